//! `diff` (kubectl, pkg/cmd/diff): what apply would change, as the program in `KUBECTL_EXTERNAL_DIFF` or `diff -u -N` shows it.
//! Exit code 1 is a difference, more than 1 a failure.

use std::fs;
use std::path::Path;
use std::process::Command as Program;

use serde_json::Value;

use crate::applied::{annotated, last_applied, three_way};
use crate::command::{Call, Command, command, run};
use crate::common::{FILES, LABELS};
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Array, Bool, Int, Text};
use crate::flags::{Flag, flag, refused};
use crate::locate::{self, Found};
use crate::output::hide_managed;
use crate::session::{Session, with_query};
use crate::write::{DryRun, MERGE, STRATEGIC, Write};

const FLAGS: &[Flag] = &[
    flag("concurrency", "", Int(1), "Taken for compatibility: objects are compared one after the other."),
    flag("field-manager", "", Text("kubectl-client-side-apply"), "Who would own the written fields."),
    flag("force-conflicts", "", Bool(false), "With --server-side: take fields that others own."),
    refused("prune", "", Bool(false), "apply does not prune either"),
    refused("prune-allowlist", "", Array, "apply does not prune either"),
    flag("server-side", "", Bool(false), "Let the server merge."),
    flag("show-managed-fields", "", Bool(false), "Compare metadata.managedFields, too."),
];

/// `diff`.
pub const COMMAND: Command = command(
    "diff",
    "-f FILENAME",
    "Diff the live version against a would-be applied version",
    FLAGS,
    &[FILES, LABELS],
    run!(diff),
);

async fn diff(call: Call) -> Result<()> {
    let ended = compare(&call).await;
    // Exit code 1 means a difference, so failures get another one.
    ended.map_err(|error| match error {
        Error::Exit(..) => error,
        other => Error::Exit(2, other.shown()),
    })
}

async fn compare(call: &Call) -> Result<()> {
    let session = &call.session;
    call.no_args()?;
    if session.flags.list("filename").is_empty() {
        return Err(fail!("must specify one of -f and -k"));
    }
    let base = std::env::temp_dir();
    let stamp = format!("{}-{:08x}", std::process::id(), rand::random::<u32>());
    let dirs = [base.join(format!("LIVE-{stamp}")), base.join(format!("MERGED-{stamp}"))];
    let result = async {
        dirs.iter().try_for_each(|dir| private(dir))?;
        for found in locate::local(session).await? {
            let (live, merged) = versions(session, &found).await?;
            for (dir, object) in dirs.iter().zip([live, merged]) {
                fs::write(dir.join(file_name(&found)), object.map(|one| api::yaml::write(&one)).unwrap_or_default())?;
            }
        }
        show(&dirs)
    };
    let result = result.await;
    for dir in &dirs {
        // Left-overs in the temporary directory are no failure of the comparison.
        let _ = fs::remove_dir_all(dir);
    }
    result
}

fn private(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    Ok(fs::DirBuilder::new().mode(0o700).create(dir)?)
}

/// `apps.v1.Deployment.default.x`.
fn file_name(found: &Found) -> String {
    let group = if found.resource.group.is_empty() { String::new() } else { format!("{}.", found.resource.group) };
    format!("{group}{}.{}.{}.{}", found.resource.version, found.resource.kind, found.namespace, found.name)
}

/// The object as it is, if it is, and as apply would make it.
async fn versions(session: &Session, found: &Found) -> Result<(Option<Value>, Option<Value>)> {
    let live = match session.get(&found.path()).await {
        Ok(live) => Some(live),
        Err(error) if error.is("NotFound") => None,
        Err(error) => return Err(error),
    };
    let write = Write { manager: session.flags.text("field-manager"), dry: DryRun::Server, validation: "" };
    let merged = merge(session, &write, found, live.as_ref()).await?;
    let clean = |object: Value| {
        let mut object = object;
        if !session.flags.is("show-managed-fields") {
            hide_managed(&mut object);
        }
        object
    };
    let (mut live, mut merged) = (live.map(clean), clean(merged));
    if found.resource.is("", "secrets") {
        mask(live.as_mut(), &mut merged);
    }
    Ok((live, Some(merged)))
}

async fn merge(session: &Session, write: &Write<'_>, found: &Found, live: Option<&Value>) -> Result<Value> {
    if session.flags.is("server-side") {
        let force = if session.flags.is("force-conflicts") { "true" } else { "" };
        let path = with_query(&found.path(), &[("force", force)]);
        return write.patch(session, &path, "application/apply-patch+yaml", &found.object).await;
    }
    let wanted = annotated(&found.object);
    let Some(live) = live else {
        return write.create(session, &found.resource, &found.namespace, &wanted).await;
    };
    let definition = found.resource.definition();
    let patch = three_way(last_applied(live)?.as_ref(), &wanted, live, definition)?;
    if patch.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(live.clone());
    }
    let media_type = if definition.is_some() { STRATEGIC } else { MERGE };
    write.patch(session, &found.path(), media_type, &patch).await
}

/// Values of Secrets are not shown, only whether they differ.
fn mask(live: Option<&mut Value>, merged: &mut Value) {
    let mut nothing = Value::Null;
    let live = live.unwrap_or(&mut nothing);
    let keys = |object: &Value| -> Vec<String> {
        object["data"].as_object().map(|data| data.keys().cloned().collect()).unwrap_or_default()
    };
    let mut all = keys(live);
    all.extend(keys(merged));
    for key in all {
        let (old, new) = (live["data"].get(&key).cloned(), merged["data"].get(&key).cloned());
        let differ = old.is_some() && new.is_some() && old != new;
        let (before, after) = if differ { ("*** (before)", "*** (after)") } else { ("***", "***") };
        if old.is_some() {
            live["data"][&key] = before.into();
        }
        if new.is_some() {
            merged["data"][&key] = after.into();
        }
    }
}

/// Runs the comparing program on both directories.
fn show(dirs: &[std::path::PathBuf; 2]) -> Result<()> {
    let named = std::env::var("KUBECTL_EXTERNAL_DIFF").ok().filter(|text| !text.is_empty());
    let words: Vec<String> = match &named {
        None => ["diff", "-u", "-N"].map(str::to_string).to_vec(),
        // Only plain words go to the program, as in kubectl: nothing that a shell would read.
        Some(text) => text.split_whitespace().map(str::to_string).collect(),
    };
    let Some((program, arguments)) = words.split_first() else { return Err(fail!("KUBECTL_EXTERNAL_DIFF is empty")) };
    let ended = Program::new(program).args(arguments).args(dirs).status();
    let ended = ended.map_err(|error| fail!("failed to run {program:?}: {}", crate::files::why(&error)))?;
    match ended.code() {
        Some(0) => Ok(()),
        Some(1) => Err(Error::Exit(1, String::new())),
        code => Err(Error::Exit(code.unwrap_or(2), format!("error: exit status {}", code.unwrap_or(2)))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_show_only_that_they_differ() {
        let mut live = json!({"data": {"same": "YQ==", "changed": "YQ==", "gone": "YQ=="}});
        let mut merged = json!({"data": {"same": "YQ==", "changed": "Yg==", "new": "Yg=="}});
        mask(Some(&mut live), &mut merged);
        assert_eq!(live["data"], json!({"same": "***", "changed": "*** (before)", "gone": "***"}));
        assert_eq!(merged["data"], json!({"same": "***", "changed": "*** (after)", "new": "***"}));
    }
}
