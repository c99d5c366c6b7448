//! `edit` (kubectl, pkg/cmd/edit): live objects in an editor; what was changed becomes a patch.

use serde_json::Value;

use crate::applied::annotated;
use crate::command::{Call, Command, command, run};
use crate::common::{FILES, PRINT, SAVE, VALIDATE, manager};
use crate::edit::{Edited, Editing, Form};
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag, refused};
use crate::locate::{self, Found, Options};
use crate::output::hide_managed;
use crate::session::line;
use crate::write::{Report, Write, difference};

const FLAGS: &[Flag] = &[
    manager("kubectl-edit"),
    flag("output-patch", "", Bool(false), "Print the patch."),
    flag("subresource", "", Text(""), "Edit this subresource."),
    refused("windows-line-endings", "", Bool(false), "editors get lines that end with a line feed"),
];

/// `edit`.
pub const COMMAND: Command = command(
    "edit",
    "(RESOURCE/NAME | -f FILENAME)",
    "Edit a resource on the server",
    FLAGS,
    &[PRINT, FILES, SAVE, VALIDATE],
    run!(edit),
);

/// How often what cannot be used is shown again.
const TRIES: usize = 5;

async fn edit(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if call.args.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!("{}", locate::NOTHING_NAMED));
    }
    let form = if flags.text("output") == "json" { Form::Json } else { Form::Yaml };
    let options = Options { everything: true, ..Options::default() };
    let (found, mut errors) = locate::live(session, &call.args, &options).await?;
    if !errors.is_empty() {
        return Err(errors.remove(0));
    }
    if found.is_empty() {
        return Err(Error::Said("edit cancelled, no objects found".into()));
    }
    let objects: Vec<Value> = found.iter().map(shown).collect();
    let editing = Editing::of(&objects, form)?;
    let (mut text, mut why): (Option<String>, Vec<String>) = (None, Vec::new());
    for _ in 0..TRIES {
        let (edited, now) = match editing.round(text.as_deref(), &why) {
            Ok(round) => round,
            Err(error) => return Err(error),
        };
        let edited = match edited {
            Edited::Objects(edited) => edited,
            Edited::Unchanged => {
                editing.done();
                eprintln!("Edit cancelled, no changes made.");
                return Ok(());
            }
            Edited::Empty => {
                editing.done();
                eprintln!("Edit cancelled, saved file was empty.");
                return Ok(());
            }
        };
        if text.as_deref() == Some(now.as_str()) && !why.is_empty() {
            break;
        }
        why = save(&call, &found, &objects, &edited).await?;
        if why.is_empty() {
            editing.done();
            return Ok(());
        }
        text = Some(now);
    }
    eprintln!("A copy of your changes has been stored to \"{}\"", editing.path());
    Err(fail!("Edit cancelled, no valid changes were saved."))
}

/// The object as it is shown.
fn shown(found: &Found) -> Value {
    let mut object = found.object.clone();
    hide_managed(&mut object);
    object
}

/// Patches what was changed; the failures.
async fn save(call: &Call, found: &[Found], before: &[Value], after: &[Value]) -> Result<Vec<String>> {
    let session = &call.session;
    let flags = &session.flags;
    let mut report = Report::edited(flags)?;
    let write = Write::of(flags)?;
    let mut why = Vec::new();
    for object in after {
        let same = |one: &&(&Found, &Value)| {
            api::object::name(one.1) == api::object::name(object)
                && api::object::kind(one.1) == api::object::kind(object)
        };
        let pairs: Vec<(&Found, &Value)> = found.iter().zip(before).collect();
        let Some((found, old)) = pairs.iter().find(same) else {
            why.push(format!(
                "no original object found for {:?}: name and kind may not be changed",
                api::object::name(object)
            ));
            continue;
        };
        let wanted = if flags.is("save-config") { annotated(object) } else { object.clone() };
        if wanted == **old {
            line(&format!("{} skipped", found.title()));
            continue;
        }
        let (media_type, patch) = difference(&found.resource, old, &wanted)?;
        if flags.is("output-patch") {
            line(&format!("Patch: {patch}"));
        }
        let path = flags.some("subresource").map_or(found.path(), |sub| format!("{}/{sub}", found.path()));
        match write.patch(session, &path, media_type, &patch).await {
            Ok(object) => report.say(&found.resource, &object, "edited")?,
            Err(error @ Error::Status(_)) => {
                let said = format!("{}: {error}", found.resource.plural);
                eprintln!("error: {said}");
                why.push(said);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(why)
}
