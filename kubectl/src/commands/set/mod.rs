//! `set` (kubectl, pkg/cmd/set): one field of many objects.

mod env;
mod image;
mod resources;
mod selector;

pub use selector::subjects;
use serde_json::Value;

use crate::command::{Call, Command, parent};
use crate::error::{Result, fail};
use crate::locate::{self, each};
use crate::write::{DryRun, Report, Write, difference};

/// `set`.
pub const COMMAND: Command = parent(
    "set",
    "Set specific features on objects",
    &[
        env::COMMAND,
        image::COMMAND,
        resources::COMMAND,
        selector::SELECTOR,
        selector::SERVICE_ACCOUNT,
        selector::SUBJECT,
    ],
);

/// Changes the objects that the words mean; `what` is how errors call it, `done` what is said of each.
async fn update(
    call: &Call,
    words: &[String],
    what: &str,
    done: &str,
    change: impl Fn(&Value) -> Result<Value>,
) -> Result<()> {
    let session = &call.session;
    let (found, errors) = locate::chosen(session, words).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write::of(&session.flags)?;
    each(found, errors, async |found| {
        let wanted = change(&found.object)?;
        if wanted == found.object {
            return Ok(());
        }
        let object = if session.flags.is("local") || write.dry == DryRun::Client {
            wanted
        } else {
            let (media_type, patch) = difference(&found.resource, &found.object, &wanted)?;
            let patched = write.patch(session, &found.path(), media_type, &patch).await;
            patched.map_err(|error| error.plain(&format!("failed to patch {what} update to pod template: ")))?
        };
        report.say(&found.resource, &object, done)
    })
    .await
}

/// Where the containers of a kind are.
fn pod_spec(object: &Value) -> Result<&'static str> {
    match api::object::kind(object) {
        "Pod" => Ok("/spec"),
        "CronJob" => Ok("/spec/jobTemplate/spec/template/spec"),
        _ if object.pointer("/spec/template/spec").is_some() => Ok("/spec/template/spec"),
        kind => Err(fail!("the object is not a pod or does not have a pod template: {kind}")),
    }
}
