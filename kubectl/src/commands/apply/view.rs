//! `apply view-last-applied` (kubectl, pkg/cmd/apply/apply_view_last_applied.go).

use crate::applied::last_applied;
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, FILES, LABELS};
use crate::error::{Result, fail};
use crate::flags::Takes::Text;
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, each};
use crate::output;
use crate::session::{line, say};

const FLAGS: &[Flag] = &[flag("output", "o", Text("yaml"), "yaml or json.")];

/// `apply view-last-applied`.
pub const COMMAND: Command = command(
    "view-last-applied",
    "(TYPE [NAME | -l label] | TYPE/NAME | -f FILENAME)",
    "View the latest last-applied-configuration annotations of a resource/object",
    FLAGS,
    &[FILES, LABELS, ALL],
    run!(view),
);

async fn view(call: Call) -> Result<()> {
    let session = &call.session;
    let form = session.flags.text("output");
    if !["yaml", "json"].contains(&form) {
        let said = format!("Unexpected -o output mode: {form}, the flag 'output' must be one of yaml|json");
        return Err(call.usage(&said));
    }
    let (found, errors) = locate::live(session, &call.args, &Options::of(session)).await?;
    each(found, errors, async |found| {
        let Some(last) = last_applied(&found.object)? else {
            return Err(fail!("no last-applied-configuration annotation found on resource: {}", found.name));
        };
        match form {
            "json" => line(&output::json(&last).replace("    ", "  ")),
            _ => say(&api::yaml::write(&last)),
        }
        Ok(())
    })
    .await
}
