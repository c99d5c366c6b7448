//! `delete` (kubectl, pkg/cmd/delete/delete.go), with waiting until what was deleted is gone.

use std::io::Write;
use std::time::Duration;

use http::Method;

use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DELETING, DRY, EVERYWHERE, FIELDS, FILES, LABELS};
use crate::error::{Error, Result, all, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, Target};
use crate::removal::{Removal, gone};
use crate::session::{JSON, Session, line, say};
use crate::write::DryRun;

const FLAGS: &[Flag] = &[
    flag("wait", "", Bool(true), "Wait until the objects are gone."),
    flag("now", "", Bool(false), "Let the objects end at once: a grace period of 1 s."),
    flag("ignore-not-found", "", Bool(false), "What does not exist counts as deleted."),
    flag("interactive", "i", Bool(false), "Ask before anything is deleted."),
    flag("raw", "", Text(""), "Path to send DELETE to."),
    flag("output", "o", Text(""), "\"name\" for names only."),
];

/// `delete`.
pub const COMMAND: Command = command(
    "delete",
    "([-f FILENAME] | TYPE [(NAME | -l label | --all)])",
    "Delete resources by file names, stdin, resources and names, or by resources and label selector",
    FLAGS,
    &[DELETING, FILES, LABELS, FIELDS, EVERYWHERE, ALL, DRY],
    run!(run),
);

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if let Some(path) = flags.some("raw") {
        let answer = session.send(Method::DELETE, path, "*/*", None).await?;
        say(&String::from_utf8_lossy(answer.body()));
        return Ok(());
    }
    let options = Options::of(session);
    refuse(&call, &options)?;
    let removal = Removal::of(flags)?;
    let (targets, mut errors) = targets(session, &call.args, &options).await?;
    if targets.is_empty() && errors.is_empty() {
        line("No resources found");
        return Ok(());
    }
    if flags.is("interactive") && !confirmed(&targets)? {
        line("deletion is cancelled");
        return Ok(());
    }
    let force = flags.is("force");
    if force && removal.grace == Some(0) {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let mut waits = Vec::new();
    for target in targets {
        match one(session, &target, &removal).await {
            Ok(uid) => waits.push((target, uid)),
            Err(error) if error.is("NotFound") && flags.is("ignore-not-found") => {}
            Err(error) => errors.push(error),
        }
    }
    if flags.is("wait") && removal.dry == DryRun::No && (!force || flags.given("wait")) {
        let limit = Duration::try_from(flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
        for (target, uid) in &waits {
            if let Err(error) = gone(session, target, uid, limit).await {
                errors.push(error);
            }
        }
    }
    all(errors)
}

fn refuse(call: &Call, options: &Options) -> Result<()> {
    let flags = &call.session.flags;
    if options.everything && !options.labels.is_empty() {
        return Err(fail!("setting 'all' parameter but found a non empty selector. "));
    }
    if options.everything && !options.fields.is_empty() {
        return Err(fail!("cannot set --all and --field-selector at the same time"));
    }
    if options.everything && call.args.iter().any(|word| word.contains('/')) {
        return Err(fail!("setting 'all' parameter but found a non empty selector. "));
    }
    if !["", "name"].contains(&flags.text("output")) {
        return Err(fail!("unexpected -o output mode: {}. We only support '-o name'", flags.text("output")));
    }
    if call.args.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!("{}", locate::NOTHING_NAMED));
    }
    Ok(())
}

/// Shows what would go and asks for a `y`.
fn confirmed(targets: &[Target]) -> Result<bool> {
    line(&format!("You are about to delete the following {} resource(s):", targets.len()));
    for target in targets {
        line(&format!("{}/{}", target.resource.one(), target.name.as_deref().unwrap_or_default()));
    }
    say("Do you want to continue? (y/n): ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

/// Deletes one object, says so; returns its UID if the server told.
async fn one(session: &Session, target: &Target, removal: &Removal) -> Result<String> {
    let name = target.name.as_deref().unwrap_or_default();
    let mut uid = String::new();
    if removal.dry != DryRun::Client {
        uid = removal.delete(session, target).await?;
    }
    let what = target.resource.one();
    if session.flags.text("output") == "name" {
        line(&format!("{what}/{name}"));
        return Ok(uid);
    }
    let forced = session.flags.is("force") && removal.grace == Some(0);
    let word = if forced { "force deleted" } else { "deleted" };
    line(&format!("{what} \"{name}\" {word}{}", removal.dry.suffix()));
    Ok(uid)
}

/// What to delete, by name each.
async fn targets(session: &Session, words: &[String], options: &Options) -> Result<(Vec<Target>, Vec<Error>)> {
    let (mut targets, mut errors) = (Vec::new(), Vec::new());
    let named = match session.flags.list("filename").is_empty() || !words.is_empty() {
        true => locate::of_both(session, words, options).await?,
        false => locate::local(session).await?.iter().map(|found| found.target()).collect(),
    };
    for target in named {
        if target.name.is_some() {
            targets.push(target);
            continue;
        }
        match locate::fetch(session, &target, options, JSON, &[]).await {
            Ok(pages) => {
                let found = pages.into_iter().flat_map(|page| locate::unlist(&target.resource, page));
                targets.extend(found.map(|found| found.target()));
            }
            Err(error) => errors.push(error),
        }
    }
    Ok((targets, errors))
}
