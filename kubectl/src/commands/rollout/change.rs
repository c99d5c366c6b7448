//! `rollout restart`, `pause`, `resume` (kubectl, pkg/polymorphichelpers: objectrestarter.go, objectpauser.go,
//! objectresumer.go).

use serde_json::{Value, json};

use super::workloads;
use crate::command::{Call, Command, command, run};
use crate::common::{FILES, LABELS, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Flag;
use crate::locate::each;
use crate::write::{DryRun, Report, STRATEGIC, Write};

/// Labels a template when its pods are to be replaced without any other change.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
const FLAGS: &[Flag] = &[manager("kubectl-rollout")];
const SHARED: &[&[Flag]] = &[PRINT, FILES, LABELS];

/// `rollout pause`.
pub const PAUSE: Command =
    command("pause", "RESOURCE", "Mark the provided resource as paused", FLAGS, SHARED, run!(pause));
/// `rollout restart`.
pub const RESTART: Command = command("restart", "RESOURCE", "Restart a resource", FLAGS, SHARED, run!(restart));
/// `rollout resume`.
pub const RESUME: Command = command("resume", "RESOURCE", "Resume a paused resource", FLAGS, SHARED, run!(resume));

async fn restart(call: Call) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
    change(call, "restarting", "restarted", patch, |object| match paused(object) {
        true => Some("can't restart paused deployment (run rollout resume first)".into()),
        false => None,
    })
    .await
}

async fn pause(call: Call) -> Result<()> {
    change(call, "pausing", "paused", json!({"spec": {"paused": true}}), |object| {
        paused(object).then(|| "is already paused".to_string())
    })
    .await
}

async fn resume(call: Call) -> Result<()> {
    change(call, "resuming", "resumed", json!({"spec": {"paused": null}}), |object| {
        (!paused(object)).then(|| "is not paused".to_string())
    })
    .await
}

fn paused(object: &Value) -> bool {
    api::object::flag(object, "/spec/paused")
}

async fn change(call: Call, verb: &str, done: &str, patch: Value, refuse: fn(&Value) -> Option<String>) -> Result<()> {
    let session = &call.session;
    let (found, errors) = workloads(&call, verb).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: session.flags.text("field-manager"), dry: DryRun::No, validation: "" };
    each(found, errors, async |found| {
        if let Some(why) = refuse(&found.object) {
            return Err(fail!("{} {:?} {why}", found.resource.qualified(), found.name));
        }
        let patched = write.patch(session, &found.path(), STRATEGIC, &patch).await;
        report.say(&found.resource, &patched.map_err(|error| error.plain("failed to patch: "))?, done)
    })
    .await
}
