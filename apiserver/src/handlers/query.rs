//! Query parameters as options, checked with upstream's words (apimachinery, pkg/apis/meta/v1/validation and
//! pkg/apis/meta/internalversion/validation). Pure.

use api::Status;
use api::field::{FieldError, Path};
use api::selector::{FieldSelector, LabelSelector};
use api::validate::FieldValidation;
use serde_json::{Value, json};

use crate::registry::{DeleteOptions, Preconditions, Propagation};
use crate::request::Query;
use crate::storage::{Freshness, WatchFrom, token};

/// Longest name of a field manager.
const LONGEST_MANAGER: usize = 128;

/// Options of create, update and patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Do everything but write.
    pub dry_run: bool,
    /// What to do about fields that the kind does not have.
    pub validation: FieldValidation,
}

/// Reads them; `kind` is the options' own kind, for messages.
///
/// # Errors
/// `Invalid`.
pub fn write_options(query: &Query, kind: &str) -> Result<WriteOptions, Status> {
    let mut errors = dry_run_errors(query.all("dryRun"));
    errors.extend(manager_errors(query.get("fieldManager").unwrap_or_default()));
    let validation = match query.get("fieldValidation").unwrap_or_default() {
        "" | "Warn" => FieldValidation::Warn,
        "Ignore" => FieldValidation::Ignore,
        "Strict" => FieldValidation::Strict,
        other => {
            let path = Path::new("fieldValidation");
            errors.push(FieldError::not_supported(&path, &json!(other), &["", "Ignore", "Strict", "Warn"]));
            FieldValidation::Warn
        }
    };
    if kind == "PatchOptions" && query.get("force").is_some() {
        let path = Path::new("force");
        errors.push(FieldError::forbidden(&path, "may not be specified for non-apply patch"));
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", kind, "", &errors));
    }
    Ok(WriteOptions { dry_run: query.get("dryRun").is_some_and(|value| !value.is_empty()), validation })
}

fn dry_run_errors<'a>(values: impl Iterator<Item = &'a str>) -> Vec<FieldError> {
    let path = Path::new("dryRun");
    values
        .filter(|value| !matches!(*value, "" | "All"))
        .map(|value| FieldError::not_supported(&path, &json!([value]), &["All"]))
        .collect()
}

fn manager_errors(manager: &str) -> Vec<FieldError> {
    let path = Path::new("fieldManager");
    let mut errors = Vec::new();
    if manager.len() > LONGEST_MANAGER {
        errors.push(FieldError::too_long(&path, LONGEST_MANAGER));
    }
    // unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the space.
    if let Some(at) = manager.char_indices().find(|(_, c)| c.is_control() || (c.is_whitespace() && *c != ' ')) {
        let shown = json!(manager);
        let detail = format!("invalid character {:?} (at position {})", at.1.to_string(), at.0);
        errors.push(FieldError::invalid(&path, &shown, detail));
    }
    errors
}

/// Options of list, watch and deletecollection.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// By label.
    pub labels: LabelSelector,
    /// By field.
    pub fields: FieldSelector,
    /// As given.
    pub version: String,
    /// As given.
    pub version_match: String,
    /// Most objects; 0 = all.
    pub limit: usize,
    /// The token, as given.
    pub token: String,
    /// Seconds after which a watch ends.
    pub timeout_seconds: Option<u64>,
    /// Bookmarks are welcome.
    pub bookmarks: bool,
    /// Begin a watch with the present objects.
    pub initial_events: Option<bool>,
}

/// Reads them.
///
/// # Errors
/// `BadRequest` for what cannot be read, `Invalid` for what does not go together.
pub fn list_options(query: &Query, watch: bool) -> Result<ListOptions, Status> {
    let bad = |error: api::selector::Error| Status::bad_request(error.to_string());
    let text = |name: &str| query.get(name).unwrap_or_default().to_string();
    let limit = number(query, "limit")?.unwrap_or(0);
    if limit < 0 {
        return Err(Status::bad_request(format!("limit must be a positive number: {limit}")));
    }
    let options =
        ListOptions {
            labels: LabelSelector::parse(query.get("labelSelector").unwrap_or_default()).map_err(|error| {
                Status::bad_request(format!("unable to parse requirement: {error}").replace(
                    "unable to parse requirement: unable to parse requirement: ",
                    "unable to parse requirement: ",
                ))
            })?,
            fields: FieldSelector::parse(query.get("fieldSelector").unwrap_or_default()).map_err(bad)?,
            version: text("resourceVersion"),
            version_match: text("resourceVersionMatch"),
            limit: usize::try_from(limit).unwrap_or(0),
            token: text("continue"),
            timeout_seconds: number(query, "timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok()),
            bookmarks: query.flag("allowWatchBookmarks"),
            initial_events: query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents")),
        };
    let errors = combination_errors(&options, watch);
    if errors.is_empty() { Ok(options) } else { Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

fn number(query: &Query, name: &str) -> Result<Option<i64>, Status> {
    let Some(text) = query.get(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let bad = |_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"));
    text.parse().map(Some).map_err(bad)
}

fn combination_errors(options: &ListOptions, watch: bool) -> Vec<FieldError> {
    let path = Path::new("resourceVersionMatch");
    let matching = options.version_match.as_str();
    let mut errors = Vec::new();
    if options.initial_events.is_some() {
        if !watch {
            let path = Path::new("sendInitialEvents");
            errors.push(FieldError::forbidden(&path, "sendInitialEvents is forbidden for list"));
        } else if matching != "NotOlderThan" {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(FieldError::forbidden(&path, detail));
        }
        if !options.token.is_empty() {
            let path = Path::new("continue");
            errors.push(FieldError::forbidden(&path, "sendInitialEvents is forbidden when continue is provided"));
        }
        return errors;
    }
    if matching.is_empty() {
        return errors;
    }
    if watch {
        let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.push(FieldError::forbidden(&path, detail));
    }
    if options.version.is_empty() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(FieldError::forbidden(&path, detail));
    }
    if !options.token.is_empty() {
        let detail = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(FieldError::forbidden(&path, detail));
    }
    match matching {
        "Exact" if options.version == "0" => {
            let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            errors.push(FieldError::forbidden(&path, detail));
        }
        "Exact" | "NotOlderThan" => {}
        other => errors.push(FieldError::not_supported(&path, &json!(other), &["Exact", "NotOlderThan", ""])),
    }
    errors
}

/// A resourceVersion as a number; `None` if it is unset.
///
/// # Errors
/// `BadRequest`.
pub fn revision(version: &str) -> Result<Option<u64>, Status> {
    if version.is_empty() {
        return Ok(None);
    }
    let bad = |_| {
        Status::bad_request(format!(
            "Invalid value: {version:?}: resourceVersion: strconv.ParseUint: parsing {version:?}: invalid syntax"
        ))
    };
    version.parse().map(Some).map_err(bad)
}

/// How recent the answer to a get must be.
///
/// # Errors
/// `BadRequest`.
pub fn get_freshness(query: &Query) -> Result<Freshness, Status> {
    Ok(match revision(query.get("resourceVersion").unwrap_or_default())? {
        None => Freshness::Latest,
        Some(0) => Freshness::Any,
        Some(revision) => Freshness::AtLeast(revision),
    })
}

/// Where a list stands: freshness, limit, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which revision.
    pub freshness: Freshness,
    /// Most objects.
    pub limit: usize,
    /// After which key.
    pub after_key: Option<String>,
}

/// Upstream's table of resourceVersion, resourceVersionMatch, limit and continue.
///
/// # Errors
/// `BadRequest`.
pub fn place(options: &ListOptions) -> Result<Place, Status> {
    let version = revision(&options.version)?;
    let limit = options.limit;
    if !options.token.is_empty() {
        if version.is_some_and(|version| version != 0) {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        let decoded = token::decode(&options.token)?;
        let freshness = decoded.revision.map_or(Freshness::Latest, Freshness::Exact);
        return Ok(Place { freshness, limit, after_key: Some(decoded.start) });
    }
    let (freshness, limit) = match (version, options.version_match.as_str()) {
        (None, _) => (Freshness::Latest, limit),
        // Served from the cache whole: upstream ignores the limit here, and clients rely on it.
        (Some(0), _) => (Freshness::Any, 0),
        (Some(version), "Exact") => (Freshness::Exact(version), limit),
        (Some(version), "NotOlderThan") => (Freshness::AtLeast(version), limit),
        (Some(version), _) if limit > 0 => (Freshness::Exact(version), limit),
        (Some(version), _) => (Freshness::AtLeast(version), 0),
    };
    Ok(Place { freshness, limit, after_key: None })
}

/// Where a watch begins.
///
/// # Errors
/// `BadRequest`.
pub fn watch_from(options: &ListOptions) -> Result<WatchFrom, Status> {
    let version = revision(&options.version)?;
    Ok(match (options.initial_events, version) {
        (Some(true), Some(version)) if version > 0 => WatchFrom::State(Freshness::AtLeast(version)),
        (_, Some(version)) if version > 0 => WatchFrom::Revision(version),
        (Some(false), _) => WatchFrom::Now,
        (_, Some(_)) => WatchFrom::State(Freshness::Any),
        (_, None) => WatchFrom::State(Freshness::Latest),
    })
}

/// Delete options from the query, over which the body's go (upstream reads the query only if there is no body).
///
/// # Errors
/// `Invalid`, `BadRequest`.
pub fn delete_options(query: &Query, body: Option<&Value>) -> Result<(DeleteOptions, bool), Status> {
    let from_query;
    let options = match body {
        Some(body) => body,
        None => {
            from_query = delete_query(query)?;
            &from_query
        }
    };
    let text = |pointer: &str| options.pointer(pointer).and_then(Value::as_str);
    let dry_run: Vec<&str> = options["dryRun"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut errors = Vec::new();
    let orphan_dependents = options["orphanDependents"].as_bool();
    if orphan_dependents.is_some() && text("/propagationPolicy").is_some() {
        let (path, shown) = (Path::new("propagationPolicy"), json!(text("/propagationPolicy")));
        let detail = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid(&path, &shown, detail));
    }
    let propagation = match text("/propagationPolicy") {
        None => None,
        Some("Orphan") => Some(Propagation::Orphan),
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some(other) => {
            let path = Path::new("propagationPolicy");
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            errors.push(FieldError::not_supported(&path, &json!(other), &supported));
            None
        }
    };
    errors.extend(dry_run_errors(dry_run.iter().copied()));
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors));
    }
    let owned = |pointer: &str| text(pointer).map(str::to_string);
    let preconditions =
        Preconditions { uid: owned("/preconditions/uid"), resource_version: owned("/preconditions/resourceVersion") };
    let grace_period_seconds = options["gracePeriodSeconds"].as_i64();
    let options = DeleteOptions { grace_period_seconds, preconditions, propagation, orphan_dependents };
    Ok((options, !dry_run.is_empty()))
}

fn delete_query(query: &Query) -> Result<Value, Status> {
    let mut options = json!({});
    if let Some(seconds) = number(query, "gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = json!(seconds);
    }
    if let Some(policy) = query.get("propagationPolicy") {
        options["propagationPolicy"] = json!(policy);
    }
    if query.get("orphanDependents").is_some() {
        options["orphanDependents"] = json!(query.flag("orphanDependents"));
    }
    let dry_run: Vec<&str> = query.all("dryRun").filter(|value| !value.is_empty()).collect();
    options["dryRun"] = json!(dry_run);
    Ok(options)
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
