//! `rollout` (kubectl, pkg/cmd/rollout): of Deployments, DaemonSets and StatefulSets.

mod change;
mod history;
mod status;
mod undo;

use crate::command::{Call, Command, parent};
use crate::error::{Error, Result, fail};
use crate::locate::{self, Found, Options};

/// `rollout`.
pub const COMMAND: Command = parent(
    "rollout",
    "Manage the rollout of a resource",
    &[history::COMMAND, change::PAUSE, change::RESTART, change::RESUME, status::COMMAND, undo::COMMAND],
);

/// Kinds whose pods are rolled out.
const WORKLOADS: [&str; 3] = ["deployments", "daemonsets", "statefulsets"];

/// The objects meant, and errors in the words of `verb` for those that it does not know.
async fn workloads(call: &Call, verb: &str) -> Result<(Vec<Found>, Vec<Error>)> {
    if call.args.is_empty() && call.session.flags.list("filename").is_empty() {
        return Err(fail!("required resource not specified"));
    }
    let (found, mut errors) = locate::live(&call.session, &call.args, &Options::of(&call.session)).await?;
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| known(found, verb));
    for found in bad {
        let (plural, name) = (found.resource.qualified(), &found.name);
        errors.push(match verb {
            "history" | "undo" if WORKLOADS.contains(&found.resource.plural.as_str()) => {
                fail!(
                    "the revisions of {plural} are ControllerRevisions, which mkubectl does not read yet: use kubectl"
                )
            }
            "status" => fail!("no status viewer has been implemented for {}", found.resource.kind),
            "history" => fail!("no history viewer has been implemented for {:?}", found.resource.kind),
            "undo" => fail!("no rollbacker has been implemented for {:?}", found.resource.kind),
            verb => fail!("{plural} {name:?} {verb} is not supported"),
        });
    }
    Ok((good, errors))
}

fn known(found: &Found, verb: &str) -> bool {
    let only_deployments = ["pausing", "resuming", "history", "undo"].contains(&verb);
    found.resource.group == "apps"
        && WORKLOADS.contains(&found.resource.plural.as_str())
        && (!only_deployments || found.resource.plural == "deployments")
}
