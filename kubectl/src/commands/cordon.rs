//! `cordon` and `uncordon` (kubectl, pkg/cmd/drain).

use serde_json::{Value, json};

use crate::command::{Call, Command, command, run};
use crate::common::{DRY, LABELS};
use crate::error::{Error, Result, fail};
use crate::locate::{self, Found, Options, each};
use crate::session::{Session, line};
use crate::write::{DryRun, STRATEGIC, Write};

/// `cordon`.
pub const CORDON: Command = command("cordon", "NODE", "Mark node as unschedulable", &[], &[LABELS, DRY], run!(cordon));
/// `uncordon`.
pub const UNCORDON: Command =
    command("uncordon", "NODE", "Mark node as schedulable", &[], &[LABELS, DRY], run!(uncordon));

/// The nodes that the words name.
pub async fn nodes(call: &Call) -> Result<(Vec<Found>, Vec<Error>)> {
    let options = Options::of(&call.session);
    if call.args.is_empty() && options.labels.is_empty() {
        return Err(call.usage(&format!("USAGE: {} NODE [flags]", call.word())));
    }
    if !call.args.is_empty() && !options.labels.is_empty() {
        return Err(fail!("error: cannot specify both a node name and a --selector option"));
    }
    let mut words = vec!["nodes".to_string()];
    words
        .extend(call.args.iter().map(|word| word.trim_start_matches("node/").trim_start_matches("nodes/").to_string()));
    locate::live(&call.session, &words, &options).await
}

async fn cordon(call: Call) -> Result<()> {
    both(call, true).await
}

async fn uncordon(call: Call) -> Result<()> {
    both(call, false).await
}

async fn both(call: Call, wanted: bool) -> Result<()> {
    let (found, errors) = nodes(&call).await?;
    each(found, errors, async |node| mark(&call.session, &node, wanted).await).await
}

/// Marks a node, says so.
pub async fn mark(session: &Session, node: &Found, wanted: bool) -> Result<()> {
    let word = if wanted { "cordoned" } else { "uncordoned" };
    let dry = DryRun::of(&session.flags)?;
    if api::object::flag(&node.object, "/spec/unschedulable") == wanted {
        line(&format!("node/{} already {word}{}", node.name, dry.suffix()));
        return Ok(());
    }
    let patch = json!({"spec": {"unschedulable": if wanted { json!(true) } else { Value::Null }}});
    if dry != DryRun::Client {
        let write = Write { manager: "", dry, validation: "" };
        write.patch(session, &node.path(), STRATEGIC, &patch).await?;
    }
    line(&format!("node/{} {word}{}", node.name, dry.suffix()));
    Ok(())
}
