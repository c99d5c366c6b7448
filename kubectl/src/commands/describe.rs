//! `describe` (kubectl, pkg/cmd/describe).

use crate::command::{Call, Command, command, run};
use crate::common::{CHUNK, EVERYWHERE, FILES, LABELS};
use crate::describe::describe;
use crate::error::{Error, Result, all, fail};
use crate::flags::Takes::Bool;
use crate::flags::{Flag, flag};
use crate::locate::{self, Found, Options};
use crate::output::tab::Tabs;
use crate::session::{Session, say};

const FLAGS: &[Flag] = &[flag("show-events", "", Bool(true), "Tell the events, too.")];

/// `describe`.
pub const COMMAND: Command = command(
    "describe",
    "(-f FILENAME | TYPE [NAME_PREFIX | -l label] | TYPE/NAME)",
    "Show details of a specific resource or group of resources",
    FLAGS,
    &[FILES, LABELS, EVERYWHERE, CHUNK],
    run!(run),
);

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    if call.args.is_empty() && session.flags.list("filename").is_empty() {
        return Err(fail!(
            "You must specify the type of resource to describe. Use \"kubectl api-resources\" for a complete list of supported resources."
        ));
    }
    let mut options = Options::of(session);
    options.everything = true;
    let (found, errors) = with_prefixes(session, &call.args, &options).await?;
    if found.is_empty() && errors.is_empty() {
        match options.all_namespaces {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", session.namespace()?),
        }
    }
    for (index, found) in found.iter().enumerate() {
        let text = describe(session, found).await?;
        say(&format!("{}{}", if index > 0 { "\n\n" } else { "" }, Tabs::describe().align(&text.0)));
    }
    all(errors)
}

/// What is meant; a name that does not exist may be the beginning of others.
async fn with_prefixes(session: &Session, words: &[String], options: &Options) -> Result<(Vec<Found>, Vec<Error>)> {
    let (mut found, mut errors) = locate::live(session, words, options).await?;
    if let ([error], [kind, prefix], true) = (errors.as_slice(), words, found.is_empty())
        && error.is("NotFound")
    {
        let everything = Options { everything: true, ..options.clone() };
        let (others, _) = locate::live(session, std::slice::from_ref(kind), &everything).await?;
        found = others.into_iter().filter(|other| other.name.starts_with(prefix.as_str())).collect();
        if !found.is_empty() {
            errors.clear();
        }
    }
    Ok((found, errors))
}
