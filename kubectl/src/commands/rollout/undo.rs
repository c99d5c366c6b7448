//! `rollout undo` (kubectl, pkg/polymorphichelpers/rollback.go): a Deployment gets the template of an older ReplicaSet.

use serde_json::{Value, json};

use super::history::revisions;
use super::workloads;
use crate::applied::LAST_APPLIED;
use crate::command::{Call, Command, command, run};
use crate::common::{DRY, FILES, LABELS, PRINT};
use crate::describe::{Out, REVISION, template};
use crate::error::{Result, fail};
use crate::flags::Takes::Int;
use crate::flags::{Flag, flag};
use crate::locate::{Found, each};
use crate::write::{DryRun, OPERATIONS, Report, Write};

/// The label by which the pods of one template are told from those of another.
const HASH: &str = "pod-template-hash";
const FLAGS: &[Flag] = &[flag("to-revision", "", Int(0), "The revision to go back to; 0 for the one before.")];

/// `rollout undo`.
pub const COMMAND: Command = command(
    "undo",
    "(TYPE NAME | TYPE/NAME)",
    "Undo a previous rollout",
    FLAGS,
    &[PRINT, FILES, LABELS, DRY],
    run!(undo),
);

async fn undo(call: Call) -> Result<()> {
    let session = &call.session;
    let wanted = session.flags.int("to-revision");
    let (found, errors) = workloads(&call, "undo").await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write::of(&session.flags)?;
    each(found, errors, async |found| {
        let all = revisions(session, &found).await?;
        let (revision, set) = back_to(&found, &all, wanted)?;
        if write.dry == DryRun::Client {
            let mut out = Out::default();
            template(&mut out, &set["spec"]["template"]);
            return report.say(&found.resource, &found.object, &out.0);
        }
        let template = without_hash(&set["spec"]["template"]);
        if template == without_hash(&found.object["spec"]["template"]) {
            let said = format!("skipped rollback (current template already matches revision {revision})");
            return report.say(&found.resource, &found.object, &said);
        }
        let patch = json!([
            {"op": "replace", "path": "/spec/template", "value": template},
            {"op": "replace", "path": "/metadata/annotations", "value": annotations(&found.object, set)},
        ]);
        let patched = write.patch(session, &found.path(), OPERATIONS, &patch).await;
        patched.map_err(|error| error.plain("failed restoring revision: "))?;
        report.say(&found.resource, &found.object, "rolled back")
    })
    .await
}

/// The annotations of the old ReplicaSet, but for those that are the Deployment's own.
fn annotations(deployment: &Value, set: &Value) -> serde_json::Map<String, Value> {
    let mut annotations = api::object::annotations(set).cloned().unwrap_or_default();
    annotations.retain(|key, _| !OWN.contains(&key.as_str()));
    let kept = api::object::annotations(deployment).into_iter().flatten();
    annotations
        .extend(kept.filter(|(key, _)| OWN.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())));
    annotations
}

/// Annotations that belong to the Deployment and not to one of its templates.
const OWN: [&str; 6] = [
    LAST_APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    template
}

/// The revision to go back to: the one asked for, or the one before the latest.
fn back_to<'a>(found: &Found, all: &'a [(i64, Value)], wanted: i64) -> Result<(i64, &'a Value)> {
    if found.object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Err(fail!(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
        ));
    }
    let chosen = match wanted {
        0 if all.len() < 2 => return Err(fail!("no rollout history found for deployment {:?}", found.name)),
        0 => all.get(all.len() - 2),
        wanted => all.iter().find(|(revision, _)| *revision == wanted),
    };
    let chosen = chosen.ok_or_else(|| fail!("unable to find specified revision {wanted} in history"));
    chosen.map(|(revision, set)| (*revision, set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_means_the_one_before() {
        let resource = crate::resources::tests::served().find("deploy").unwrap();
        let found = Found::live(&resource, json!({"metadata": {"name": "d"}}));
        let all = vec![(1, json!(1)), (2, json!(2)), (4, json!(4))];
        assert_eq!(back_to(&found, &all, 0).unwrap().0, 2);
        assert_eq!(back_to(&found, &all, 1).unwrap().0, 1);
        assert!(back_to(&found, &all, 3).unwrap_err().to_string().contains("unable to find specified revision 3"));
        assert!(back_to(&found, &all[..1], 0).is_err());
    }
}
