//! `apply` (kubectl, pkg/cmd/apply): three-way merge between what was last applied (an annotation), what is wanted, and what is
//! live.

use http::Method;
use serde_json::{Value, json};

use super::write::{DryRun, MERGE, Report, STRATEGIC, Write, validation};
use crate::error::{Error, Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found};
use crate::session::{JSON, Session};
use crate::{files, output};

/// Where the last applied configuration is kept.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How often a conflicting patch is made anew.
const TRIES: usize = 5;

/// Runs `apply`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if !call.args.is_empty() {
        return Err(call.usage(&format!("Unexpected args: [{}]", call.args.join(" "))));
    }
    for unsupported in ["kustomize", "prune"] {
        if flags.given(unsupported) {
            return Err(fail!("--{unsupported} is not supported by mkubectl"));
        }
    }
    if flags.list("filename").is_empty() {
        return Err(fail!("must specify one of -f and -k"));
    }
    let mut report = Report::of(flags)?;
    let write = Write { manager: manager(session), dry: DryRun::of(flags)?, validation: validation(flags)? };
    if flags.is("server-side") && write.dry == DryRun::Client {
        return Err(fail!("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"));
    }
    let documents = files::read(flags.list("filename"), flags.is("recursive")).await?;
    let resources = session.resources().await?;
    let namespace = session.namespace()?;
    let (mut errors, mut done) = (Vec::new(), Vec::new());
    for document in documents {
        let result = async {
            let found = locate::identify(document, resources, &namespace, session.namespace_given())?;
            let (object, word) = apply(session, &write, &found).await?;
            if report.whole() {
                done.push(object);
                return Ok(());
            }
            report.say(&found.resource, &object, word)
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    if report.whole() && !done.is_empty() {
        let whole = if done.len() == 1 { done.remove(0) } else { output::list(done) };
        let mut documents = output::Documents::new(output::Format::of(flags)?, flags);
        crate::session::say(&documents.next(&whole)?);
    }
    all(errors)
}

fn manager(session: &Session) -> &str {
    match (session.flags.some("field-manager"), session.flags.is("server-side")) {
        (Some(manager), _) => manager,
        (None, true) => "kubectl",
        (None, false) => "kubectl-client-side-apply",
    }
}

/// Applies one object; says what it became and with which word.
async fn apply(session: &Session, write: &Write<'_>, found: &Found) -> Result<(Value, &'static str)> {
    if found.name.is_empty() {
        if !api::object::generate_name(&found.object).is_empty() {
            let name = api::object::generate_name(&found.object);
            return Err(fail!("from {name}: cannot use generate name with apply"));
        }
        return Err(fail!(
            "error when retrieving current configuration of:\n{}\nfrom server for: {:?}: resource name may not be empty",
            describe(found),
            found.source
        ));
    }
    if session.flags.is("server-side") {
        return server_side(session, write, found).await;
    }
    let wanted = annotated(&found.object);
    let live = match session.json(Method::GET, &found.path(), JSON, None).await {
        Ok(live) => live,
        Err(error) if error.is("NotFound") => {
            if write.dry == DryRun::Client {
                return Ok((wanted, "created"));
            }
            let created = write.create(session, &found.resource, &found.namespace, &wanted).await;
            return Ok((created.map_err(|error| error.when("creating", &found.source))?, "created"));
        }
        Err(error) => {
            let words = format!("retrieving current configuration of:\n{}\nfrom server for:", describe(found));
            return Err(error.before(&format!("error when {words} {:?}: ", found.source)));
        }
    };
    if api::object::annotation(&live, LAST_APPLIED).is_none() {
        eprintln!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
            found.resource.plural, found.name
        );
    }
    if write.dry == DryRun::Client {
        return Ok((live, "configured"));
    }
    patch(session, write, found, &wanted, live).await
}

/// Patches the live object until nobody interferes.
async fn patch(
    session: &Session,
    write: &Write<'_>,
    found: &Found,
    wanted: &Value,
    mut live: Value,
) -> Result<(Value, &'static str)> {
    let mut tries = 0;
    loop {
        let patch = three_way(found, wanted, &live)?;
        if patch.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok((live, "unchanged"));
        }
        let media_type = if found.resource.definition().is_some() { STRATEGIC } else { MERGE };
        match write.patch(session, &found.path(), media_type, &patch).await {
            Ok(object) => {
                let same = api::object::resource_version(&object) == api::object::resource_version(&live);
                return Ok((object, if same && write.dry == DryRun::No { "unchanged" } else { "configured" }));
            }
            Err(error) if error.is("Conflict") && tries < TRIES => {
                tries += 1;
                live = session.json(Method::GET, &found.path(), JSON, None).await?;
            }
            Err(error) if session.flags.is("force") && (error.is("Conflict") || error.is("Invalid")) => {
                return replace(session, write, found, wanted).await;
            }
            Err(error) => {
                let error = error.when("patching", &found.source);
                let words = format!("applying patch:\n{patch}\nto:\n{}\nfor:", describe(found));
                return Err(error.before(&format!("error when {words} {:?}: ", found.source)));
            }
        }
    }
}

/// `--force`: deletes the object and creates it again.
async fn replace(session: &Session, write: &Write<'_>, found: &Found, wanted: &Value) -> Result<(Value, &'static str)> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    session.json(Method::DELETE, &found.path(), JSON, Some((JSON, &options))).await?;
    super::delete::gone(session, &found.resource, &found.namespace, &found.name, "", None).await?;
    let created = write.create(session, &found.resource, &found.namespace, wanted).await?;
    Ok((created, "configured"))
}

/// The patch from live to wanted, with what is no longer wanted deleted.
fn three_way(found: &Found, wanted: &Value, live: &Value) -> Result<Value> {
    let last = api::object::annotation(live, LAST_APPLIED).map(serde_json::from_str::<Value>).transpose();
    let last = last.map_err(|error| fail!("error decoding the last applied configuration: {error}"))?;
    api::patch::three_way(&last.unwrap_or(Value::Null), wanted, live, found.resource.definition()).map_err(
        |error: api::patch::Error| fail!("creating patch with:\n{}\nfor: {:?}: {error}", describe(found), found.source),
    )
}

/// The object with itself as its last applied configuration.
pub fn annotated(object: &Value) -> Value {
    let mut plain = object.clone();
    let metadata = api::object::metadata_mut(&mut plain);
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let mut wanted = plain.clone();
    api::object::set_annotation(&mut wanted, LAST_APPLIED, &(escaped(&plain) + "\n"));
    wanted
}

/// Compact JSON as Go's encoder escapes it.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// The server merges; it says so itself where it does not know how.
async fn server_side(session: &Session, write: &Write<'_>, found: &Found) -> Result<(Value, &'static str)> {
    let force = if session.flags.is("force-conflicts") { "true" } else { "" };
    let path = crate::session::with_query(&found.path(), &[("force", force)]);
    let applied = write.patch(session, &path, "application/apply-patch+yaml", &found.object).await;
    match applied {
        Ok(object) => Ok((object, "serverside-applied")),
        Err(error @ Error::Status(_)) => Err(error),
        Err(error) => Err(error.when("applying", &found.source)),
    }
}

/// How kubectl shows what an error is about.
fn describe(found: &Found) -> String {
    let resource = &found.resource;
    let group = format!("{}/{}", resource.group, resource.version);
    format!(
        "Resource: \"{group}, Resource={}\", GroupVersionKind: \"{group}, Kind={}\"\nName: {:?}, Namespace: {:?}",
        resource.plural, resource.kind, found.name, found.namespace
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::tests::served;

    fn config_map(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "d"}, "data": data})
    }

    #[test]
    fn what_is_applied_is_remembered() {
        let wanted = annotated(&config_map(json!({"a": "<1>"})));
        let kept = api::object::annotation(&wanted, LAST_APPLIED).unwrap();
        assert_eq!(
            kept,
            "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"\\u003c1\\u003e\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"x\",\"namespace\":\"d\"}}\n"
        );
        assert_eq!(annotated(&wanted), wanted);
    }

    #[test]
    fn patches_delete_only_what_was_applied() {
        let resource = served().find("cm").unwrap();
        let mut live = annotated(&config_map(json!({"a": "1", "b": "2"})));
        live["data"]["foreign"] = json!("kept");
        live["metadata"]["uid"] = json!("u");
        let found = Found::live(&resource, config_map(json!({"a": "1", "c": "3"})));
        let patch = three_way(&found, &annotated(&found.object), &live).unwrap();
        assert_eq!(patch["data"], json!({"b": null, "c": "3"}));
        let found = Found::live(&resource, config_map(json!({"a": "1", "b": "2"})));
        assert_eq!(three_way(&found, &annotated(&found.object), &live).unwrap(), json!({}));
    }

    #[test]
    fn errors_show_what_they_are_about() {
        let found = Found::live(&served().find("cm").unwrap(), config_map(json!({})));
        assert_eq!(
            describe(&found),
            "Resource: \"/v1, Resource=configmaps\", GroupVersionKind: \"/v1, Kind=ConfigMap\"\nName: \"x\", Namespace: \"d\""
        );
    }
}
