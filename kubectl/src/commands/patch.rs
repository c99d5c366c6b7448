//! `patch` (kubectl, pkg/cmd/patch).

use http::Method;
use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::common::{DRY, FILES, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, Flags, flag};
use crate::locate::{self, Found, each};
use crate::session::JSON;
use crate::write::{DryRun, MERGE, OPERATIONS, Report, STRATEGIC, Write};

const FLAGS: &[Flag] = &[
    manager("kubectl-patch"),
    flag("patch", "p", Text(""), "The patch."),
    flag("patch-file", "", Text(""), "A file with the patch."),
    flag("type", "", Text("strategic"), "json, merge or strategic."),
    flag("subresource", "", Text(""), "Patch this subresource."),
];

/// `patch`.
pub const COMMAND: Command = command(
    "patch",
    "(-f FILENAME | TYPE NAME) [-p PATCH|--patch-file FILE]",
    "Update fields of a resource",
    FLAGS,
    &[PRINT, FILES, DRY, LOCAL],
    run!(patch),
);

async fn patch(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let text = text(flags)?;
    let media_type = match flags.text("type") {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => OPERATIONS,
        other => return Err(fail!("--type must be one of [json merge strategic], not {other:?}")),
    };
    // What begins as JSON is for the server to judge.
    let broken = text.trim_start().starts_with('{') && serde_json::from_str::<Value>(&text).is_err();
    let patch = if broken { Ok(Value::Null) } else { api::yaml::read(&text) };
    let patch = patch.map_err(|error| fail!("unable to parse {text:?}: {error}"))?;
    let local = flags.is("local");
    let (found, errors) = locate::chosen(session, &call.args).await?;
    if found.is_empty() && errors.is_empty() {
        return Err(fail!("no objects passed to patch"));
    }
    let mut report = Report::of(flags)?.unseparated();
    let write = Write::of(flags)?;
    each(found, errors, async |found| {
        let object = match local || write.dry == DryRun::Client {
            true => patched(&found, media_type, &patch)?,
            false => {
                let path = flags.some("subresource").map_or(found.path(), |sub| format!("{}/{sub}", found.path()));
                if broken {
                    session.send(Method::PATCH, &path, JSON, Some((media_type, text.clone().into()))).await?;
                }
                write.patch(session, &path, media_type, &patch).await?
            }
        };
        let same = object == found.object;
        report.say(&found.resource, &object, if same { "patched (no change)" } else { "patched" })
    })
    .await
}

fn text(flags: &Flags) -> Result<String> {
    match (flags.some("patch"), flags.some("patch-file")) {
        (Some(_), Some(_)) => Err(fail!("cannot specify --patch and --patch-file together")),
        (Some(text), None) => Ok(text.to_string()),
        (None, Some("-")) => Ok(std::io::read_to_string(std::io::stdin())?),
        (None, Some(file)) => std::fs::read_to_string(file)
            .map_err(|error| fail!("unable to read patch file: open {file}: {}", crate::files::why(&error))),
        (None, None) => Err(fail!("must specify --patch or --patch-file containing the contents of the patch")),
    }
}

/// The object with the patch, without asking the server.
fn patched(found: &Found, media_type: &str, patch: &Value) -> Result<Value> {
    let object = found.object.clone();
    Ok(match (media_type, found.resource.definition()) {
        (STRATEGIC, Some(definition)) => api::patch::strategic_merge(definition, object, patch.clone())?,
        (STRATEGIC, None) => {
            return Err(fail!(
                "cannot apply strategic merge patch for {} locally, try --type merge",
                found.resource.kind
            ));
        }
        (OPERATIONS, _) => api::patch::json_patch(object, patch)?,
        _ => api::patch::merge_patch(object, patch)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources::tests::served;

    #[test]
    fn patches_apply_without_a_server() {
        let resource = served().find("deploy").unwrap();
        let object = json!({"kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "1"}]}}}});
        let found = Found::live(&resource, object);
        let image = |patched: Value| patched["spec"]["template"]["spec"]["containers"].clone();
        let strategic = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "2"}]}}}});
        let operations = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "2"}]);
        for (media_type, patch) in [(STRATEGIC, &strategic), (OPERATIONS, &operations), (MERGE, &strategic)] {
            assert_eq!(image(patched(&found, media_type, patch).unwrap()), json!([{"name": "c", "image": "2"}]));
        }
        assert!(patched(&found, OPERATIONS, &json!([{"op": "remove", "path": "/nope"}])).is_err());
    }
}
