//! `label` and `annotate` (kubectl, pkg/cmd/label and annotate).

use serde_json::{Map, Value, json};

use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, EVERYWHERE, FIELDS, FILES, LABELS, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Found, each};
use crate::output;
use crate::pairs::{Changes, changes};
use crate::session::{Session, line};
use crate::write::{DryRun, MERGE, Report, Write};

const OVERWRITE: Flag = flag("overwrite", "", Bool(false), "Values that are there may be changed.");
const LIST: Flag = flag("list", "", Bool(false), "Print what there is.");
const VERSION: Flag = flag("resource-version", "", Text(""), "Only change an object of this version.");
const SHARED: &[&[Flag]] = &[PRINT, FILES, LABELS, FIELDS, EVERYWHERE, ALL, DRY, LOCAL];

/// `label`.
pub const LABEL: Command = command(
    "label",
    "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    "Update the labels on a resource",
    &[manager("kubectl-label"), OVERWRITE, LIST, VERSION],
    SHARED,
    run!(label),
);
/// `annotate`.
pub const ANNOTATE: Command = command(
    "annotate",
    "[--overwrite] (-f FILENAME | TYPE NAME) KEY_1=VAL_1 ... KEY_N=VAL_N [--resource-version=version]",
    "Update the annotations on a resource",
    &[manager("kubectl-annotate"), OVERWRITE, LIST, VERSION],
    SHARED,
    run!(annotate),
);

/// What differs between labels and annotations.
struct Kind {
    what: &'static str,
    field: &'static str,
    done: &'static str,
}

const OF_LABEL: Kind = Kind { what: "label", field: "labels", done: "labeled" };
const OF_ANNOTATION: Kind = Kind { what: "annotation", field: "annotations", done: "annotated" };

async fn label(call: Call) -> Result<()> {
    for (key, value) in changes(&call.args, "label")?.set {
        let complaints = api::names::label_value(&value);
        if !complaints.is_empty() {
            return Err(fail!("invalid label value: \"{key}={value}\": {}", complaints.join(";")));
        }
    }
    metadata(&call, &OF_LABEL).await
}

async fn annotate(call: Call) -> Result<()> {
    metadata(&call, &OF_ANNOTATION).await
}

async fn metadata(call: &Call, kind: &Kind) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let changes = changes(&call.args, kind.what)?;
    let listing = flags.is("list");
    if changes.words.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    }
    if changes.set.is_empty() && changes.remove.is_empty() && !listing {
        return Err(fail!("at least one {} update is required", kind.what));
    }
    if listing && !flags.text("output").is_empty() {
        return Err(fail!("--list and --output may not be specified together"));
    }
    let (found, errors) = locate::chosen(session, &changes.words).await?;
    if found.len() > 1 && flags.some("resource-version").is_some() {
        return Err(fail!("--resource-version may only be used with a single resource"));
    }
    let mut report = Report::of(flags)?.unseparated();
    let write = Write::of(flags)?;
    let several = found.len() > 1;
    each(found, errors, async |found| {
        if !listing {
            return change(session, kind, &changes, &write, &found, &mut report).await;
        }
        if several {
            line(&format!("Listing {} for {}/{}:", kind.field, found.resource.kind, found.name));
        }
        let space = if several { " " } else { "" };
        let map = found.object["metadata"][kind.field].as_object().cloned().unwrap_or_default();
        map.iter().for_each(|(key, value)| line(&format!("{space}{key}={}", output::go(value))));
        Ok(())
    })
    .await
}

async fn change(
    session: &Session,
    kind: &Kind,
    changes: &Changes,
    write: &Write<'_>,
    found: &Found,
    report: &mut Report,
) -> Result<()> {
    let flags = &session.flags;
    let old = found.object["metadata"][kind.field].as_object().cloned().unwrap_or_default();
    if !flags.is("overwrite") {
        refuse_overwriting(kind, changes, &old)?;
    }
    let (new, patch) = apply(changes, &old);
    for key in changes.remove.iter().filter(|key| !old.contains_key(*key) && kind.what == "label") {
        line(&format!("label {key:?} not found."));
    }
    let mut patch = json!({"metadata": {kind.field: patch}});
    let mut object = found.object.clone();
    if let Some(version) = flags.some("resource-version") {
        api::object::set_resource_version(&mut patch, version);
        api::object::set_resource_version(&mut object, version);
    }
    // Removing from labels that are not there makes an empty map of them: a change to kubectl.
    let made = !changes.remove.is_empty() && found.object["metadata"][kind.field].is_null();
    let unchanged = new == old && !made;
    object["metadata"][kind.field] = Value::Object(new.clone());
    let silent = write.dry == DryRun::Client || flags.is("local") || unchanged && kind.what == "label";
    if !silent {
        object = write.patch(session, &found.path(), MERGE, &patch).await?;
    }
    let shorter = Value::Object(new).to_string().len() < Value::Object(old).to_string().len();
    let word = match (kind.what, unchanged) {
        ("label", true) => "not labeled",
        ("label", false) if shorter && !flags.is("overwrite") => "unlabeled",
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

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Changes {
        changes(&line.split_whitespace().map(str::to_string).collect::<Vec<_>>(), "label").unwrap()
    }

    #[test]
    fn values_are_not_overwritten_unasked() {
        let old = json!({"a": "1", "c": "2"});
        let old = old.as_object().unwrap();
        let changes = words("po x a=2 c-");
        assert_eq!(
            refuse_overwriting(&OF_LABEL, &changes, old).unwrap_err().to_string(),
            "'a' already has a value (1), and --overwrite is false"
        );
        assert!(
            refuse_overwriting(&OF_ANNOTATION, &changes, old)
                .unwrap_err()
                .to_string()
                .starts_with("--overwrite is false but found")
        );
        assert!(refuse_overwriting(&OF_LABEL, &words("po x a=1"), old).is_ok());
        let (new, patch) = apply(&changes, old);
        assert_eq!((json!(new), json!(patch)), (json!({"a": "2"}), json!({"a": "2", "c": null})));
    }
}
