//! Small changes to live objects: `label`, `annotate`, `scale`, `patch`, `set image`, `replace` (kubectl, pkg/cmd/label,
//! annotate, scale, patch, set, replace).

use http::Method;
use serde_json::{Map, Value, json};

use super::write::{DryRun, MERGE, OPERATIONS, Report, STRATEGIC, Write, difference, validation};
use crate::error::{Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found, Options};
use crate::output;
use crate::session::{JSON, Session, line};

/// Words that are resources, pairs to set, keys to remove.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Resources.
    pub words: Vec<String>,
    /// What to set.
    pub set: Vec<(String, String)>,
    /// What to remove.
    pub remove: Vec<String>,
}

/// Splits `pods x a=b c-`.
pub fn changes(args: &[String], what: &str) -> Result<Changes> {
    let mut found = Changes::default();
    let mut pairs = false;
    for arg in args {
        if let Some((key, value)) = arg.split_once('=').filter(|(key, _)| !key.is_empty()) {
            pairs = true;
            found.set.push((key.to_string(), value.to_string()));
        } else if let Some(key) = arg.strip_suffix('-').filter(|key| !key.is_empty()) {
            pairs = true;
            found.remove.push(key.to_string());
        } else if pairs {
            return Err(fail!("all resources must be specified before {what} changes: {arg}"));
        } else {
            found.words.push(arg.clone());
        }
    }
    if found.set.iter().any(|(key, _)| found.remove.contains(key)) {
        return Err(fail!("can not both modify and remove a {what} in the same command"));
    }
    Ok(found)
}

/// What differs between labels and annotations.
struct Kind {
    what: &'static str,
    field: &'static str,
    done: &'static str,
}

const LABEL: Kind = Kind { what: "label", field: "labels", done: "labeled" };
const ANNOTATION: Kind = Kind { what: "annotation", field: "annotations", done: "annotated" };

/// Runs `label`.
pub async fn label(call: Call) -> Result<()> {
    metadata(&call, &LABEL).await
}

/// Runs `annotate`.
pub async fn annotate(call: Call) -> Result<()> {
    metadata(&call, &ANNOTATION).await
}

async fn metadata(call: &Call, kind: &Kind) -> Result<()> {
    let session = &call.session;
    let changes = changes(&call.args, kind.what)?;
    let listing = session.flags.is("list");
    if changes.words.is_empty() && session.flags.list("filename").is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    }
    if changes.set.is_empty() && changes.remove.is_empty() && !listing {
        return Err(fail!("at least one {} update is required", kind.what));
    }
    let (found, mut errors) = locate::live(session, &changes.words, &Options::of(session)).await?;
    let mut report = Report::of(&session.flags)?;
    let manager = session.flags.some("field-manager").unwrap_or(match kind.what {
        "label" => "kubectl-label",
        _ => "kubectl-annotate",
    });
    let write = Write { manager, dry: DryRun::of(&session.flags)?, validation: "" };
    for found in found {
        if listing {
            let map = found.object["metadata"][kind.field].as_object().cloned().unwrap_or_default();
            map.iter().for_each(|(key, value)| line(&format!("{key}={}", output::go(value))));
            continue;
        }
        if let Err(error) = change(session, kind, &changes, &write, &found, &mut report).await {
            errors.push(error);
        }
    }
    all(errors)
}

async fn change(
    session: &Session,
    kind: &Kind,
    changes: &Changes,
    write: &Write<'_>,
    found: &Found,
    report: &mut Report,
) -> Result<()> {
    let old = found.object["metadata"][kind.field].as_object().cloned().unwrap_or_default();
    if !session.flags.is("overwrite") {
        refuse_overwriting(kind, changes, &old)?;
    }
    let (new, patch) = apply(changes, &old);
    for key in changes.remove.iter().filter(|key| !old.contains_key(*key) && kind.what == "label") {
        line(&format!("label {key:?} not found."));
    }
    let patch = json!({"metadata": {kind.field: patch}});
    // Removing from labels that are not there makes an empty map of them: a change to kubectl.
    let made = !changes.remove.is_empty() && found.object["metadata"][kind.field].is_null();
    let unchanged = new == old && !made;
    let mut object = found.object.clone();
    object["metadata"][kind.field] = Value::Object(new.clone());
    if write.dry != DryRun::Client && !(unchanged && kind.what == "label") {
        object = write.patch(session, &found.path(), MERGE, &patch).await?;
    }
    let shorter = Value::Object(new).to_string().len() < Value::Object(old).to_string().len();
    let word = match (kind.what, unchanged) {
        ("label", true) => "not labeled",
        ("label", false) if shorter && !session.flags.is("overwrite") => "unlabeled",
        _ => kind.done,
    };
    report.say(&found.resource, &object, word)
}

fn refuse_overwriting(kind: &Kind, changes: &Changes, old: &Map<String, Value>) -> Result<()> {
    let taken = changes.set.iter().filter_map(|(key, value)| {
        let known = old.get(key)?;
        (known != value.as_str()).then(|| format!("'{key}' already has a value ({})", output::go(known)))
    });
    let taken: Vec<String> = taken.collect();
    match (taken.is_empty(), kind.what) {
        (true, _) => Ok(()),
        (false, "label") => {
            let errors: Vec<String> = taken.iter().map(|one| format!("{one}, and --overwrite is false")).collect();
            Err(fail!("{}", if errors.len() == 1 { errors[0].clone() } else { format!("[{}]", errors.join(", ")) }))
        }
        (false, _) => {
            Err(fail!("--overwrite is false but found the following declared annotation(s): {}", taken.join("; ")))
        }
    }
}

/// The map afterwards, and the patch that leads there.
fn apply(changes: &Changes, old: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut new, mut patch) = (old.clone(), Map::new());
    for (key, value) in &changes.set {
        new.insert(key.clone(), json!(value));
        patch.insert(key.clone(), json!(value));
    }
    for key in &changes.remove {
        new.remove(key);
        patch.insert(key.clone(), Value::Null);
    }
    (new, patch)
}

/// Runs `scale`.
pub async fn scale(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if !flags.given("replicas") {
        return Err(fail!("required flag(s) \"replicas\" not set"));
    }
    let replicas = flags.int("replicas");
    if replicas < 0 {
        return Err(fail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"));
    }
    let (found, mut errors) = locate::live(session, &call.args, &Options::of(session)).await?;
    if found.is_empty() {
        let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(fail!("no objects passed to scale {}", why.join(" ")));
    }
    let mut report = Report::of(flags)?;
    let write = Write { manager: "", dry: DryRun::of(flags)?, validation: "" };
    for found in found {
        let result = async {
            let path = format!("{}/scale", found.path());
            let expected = flags.int("current-replicas");
            if expected >= 0 && write.dry != DryRun::Client {
                let current = session.get(&path).await?;
                let current = current.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
                if current != expected {
                    return Err(fail!("Expected replicas to be {expected}, was {current}"));
                }
            }
            if write.dry != DryRun::Client {
                write.patch(session, &path, MERGE, &json!({"spec": {"replicas": replicas}})).await?;
            }
            report.say(&found.resource, &found.object, "scaled")
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}

/// Runs `patch`.
pub async fn patch(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let text = match (flags.some("patch"), flags.some("patch-file")) {
        (Some(_), Some(_)) => return Err(fail!("cannot specify --patch and --patch-file together")),
        (Some(text), None) => text.to_string(),
        (None, Some("-")) => std::io::read_to_string(std::io::stdin())?,
        (None, Some(file)) => {
            std::fs::read_to_string(file).map_err(|error| fail!("unable to read patch file: {error}"))?
        }
        (None, None) => return Err(fail!("must specify --patch or --patch-file containing the contents of the patch")),
    };
    let media_type = match flags.text("type") {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => OPERATIONS,
        other => return Err(fail!("--type must be one of [json merge strategic], not {other:?}")),
    };
    let patch = api::yaml::read(&text).map_err(|error| fail!("unable to parse {text:?}: {error}"))?;
    let (found, mut errors) = locate::live(session, &call.args, &Options::default()).await?;
    let mut report = Report::of(flags)?;
    let write = Write {
        manager: flags.some("field-manager").unwrap_or("kubectl-patch"),
        dry: DryRun::of(flags)?,
        validation: "",
    };
    for found in found {
        let path = match flags.some("subresource") {
            Some(sub) => format!("{}/{sub}", found.path()),
            None => found.path(),
        };
        match write.patch(session, &path, media_type, &patch).await {
            Ok(object) => {
                let same = object == found.object;
                report.say(&found.resource, &object, if same { "patched (no change)" } else { "patched" })?;
            }
            Err(error) => errors.push(error),
        }
    }
    all(errors)
}

/// Runs `set image`.
pub async fn set_image(call: Call) -> Result<()> {
    let session = &call.session;
    let changes = changes(&call.args, "image")?;
    if changes.set.is_empty() {
        return Err(fail!("at least one image update is required"));
    }
    let (found, mut errors) = locate::live(session, &changes.words, &Options::of(session)).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: "kubectl-set", dry: DryRun::of(&session.flags)?, validation: "" };
    for found in found {
        let result = async {
            let wanted = with_images(&found.object, &changes.set)?;
            if wanted == found.object {
                return Ok(());
            }
            let (media_type, patch) = difference(&found.resource, &found.object, &wanted)?;
            let object = match write.dry {
                DryRun::Client => wanted,
                _ => write.patch(session, &found.path(), media_type, &patch).await?,
            };
            report.say(&found.resource, &object, "image updated")
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}

/// The object with other images in its containers; `*` means all of them.
fn with_images(object: &Value, images: &[(String, String)]) -> Result<Value> {
    let mut wanted = object.clone();
    let base = if wanted["kind"] == "Pod" { "/spec" } else { "/spec/template/spec" };
    for (name, image) in images {
        let mut hit = false;
        for list in ["containers", "initContainers"] {
            let containers = wanted.pointer_mut(&format!("{base}/{list}")).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten().filter(|one| name == "*" || one["name"] == name.as_str())
            {
                container["image"] = json!(image);
                hit = true;
            }
        }
        if !hit {
            return Err(fail!("unable to find container named {name:?}"));
        }
    }
    Ok(wanted)
}

/// Runs `replace`.
pub async fn replace(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if flags.list("filename").is_empty() {
        return Err(fail!("must specify one of -f and -k"));
    }
    let mut report = Report::of(flags)?;
    let write = Write {
        manager: flags.some("field-manager").unwrap_or("kubectl-replace"),
        dry: DryRun::of(flags)?,
        validation: validation(flags)?,
    };
    let mut errors = Vec::new();
    for found in locate::local(session).await? {
        let result = async {
            if flags.is("force") {
                let grace = Some(flags.int("grace-period")).filter(|grace| *grace >= 0);
                match super::delete::quietly(session, &found.resource, &found.namespace, &found.name, grace).await {
                    Ok(uid) => {
                        line(&format!("{} {:?} deleted", found.resource.one(), found.name));
                        super::delete::gone(session, &found.resource, &found.namespace, &found.name, &uid, None)
                            .await?;
                    }
                    Err(error) if error.is("NotFound") => {}
                    Err(error) => return Err(error),
                }
                let created = write.create(session, &found.resource, &found.namespace, &found.object).await;
                return report.say(
                    &found.resource,
                    &created.map_err(|error| error.when("replacing", &found.source))?,
                    "replaced",
                );
            }
            let mut object = found.object.clone();
            if api::object::resource_version(&object).is_none() {
                let live = session
                    .json(Method::GET, &found.path(), JSON, None)
                    .await
                    .map_err(|error| error.when("replacing", &found.source))?;
                api::object::set_resource_version(
                    &mut object,
                    api::object::resource_version(&live).unwrap_or_default(),
                );
            }
            let object = match write.dry {
                DryRun::Client => object,
                _ => write
                    .replace(session, &found.path(), &object)
                    .await
                    .map_err(|error| error.when("replacing", &found.source))?,
            };
            report.say(&found.resource, &object, "replaced")
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Result<Changes> {
        changes(&line.split_whitespace().map(str::to_string).collect::<Vec<_>>(), "label")
    }

    #[test]
    fn pairs_follow_resources() {
        let found = split("pods x a=b c-").unwrap();
        assert_eq!(found.words, ["pods", "x"]);
        assert_eq!((found.set, found.remove), (vec![("a".into(), "b".into())], vec!["c".to_string()]));
        assert!(split("a=b pods").is_err() && split("pods x a=b a-").is_err());
    }

    #[test]
    fn values_are_not_overwritten_unasked() {
        let old = json!({"a": "1", "c": "2"});
        let old = old.as_object().unwrap();
        let changes = split("po x a=2 c-").unwrap();
        assert_eq!(
            refuse_overwriting(&LABEL, &changes, old).unwrap_err().to_string(),
            "'a' already has a value (1), and --overwrite is false"
        );
        assert!(
            refuse_overwriting(&ANNOTATION, &changes, old)
                .unwrap_err()
                .to_string()
                .starts_with("--overwrite is false but found")
        );
        assert!(refuse_overwriting(&LABEL, &split("po x a=1").unwrap(), old).is_ok());
        let (new, patch) = apply(&changes, old);
        assert_eq!((json!(new), json!(patch)), (json!({"a": "2"}), json!({"a": "2", "c": null})));
    }

    #[test]
    fn images_are_set_by_container() {
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "1"}]}}}});
        let wanted = with_images(&object, &[("c".into(), "2".into())]).unwrap();
        assert_eq!(wanted["spec"]["template"]["spec"]["containers"][0]["image"], "2");
        assert!(with_images(&object, &[("x".into(), "2".into())]).is_err());
    }
}
