//! `events` (kubectl, pkg/cmd/events): the events of a namespace, or about one object, oldest first.

use jiff::Timestamp;
use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::common::{CHUNK, EVERYWHERE, PRINT};
use crate::describe::interval;
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Bool, List, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, Target};
use crate::output::tab::Tabs;
use crate::output::{self, Documents, Format};
use crate::session::{JSON, Session, say};
use crate::watch;

const FLAGS: &[Flag] = &[
    flag("for", "", Text(""), "Only events about this object, TYPE/NAME."),
    flag("no-headers", "", Bool(false), "Print no first line."),
    flag("types", "", List, "Only events of these types: Normal, Warning."),
    flag("watch", "w", Bool(false), "Print what is there, then what comes."),
];

/// `events`.
pub const COMMAND: Command = command(
    "events",
    "[(-o|--output=)json|yaml|name|go-template|go-template-file|template|templatefile|jsonpath|jsonpath-as-json|jsonpath-file] [--for TYPE/NAME] [--watch] [--types=Normal,Warning]",
    "List events",
    FLAGS,
    &[PRINT, CHUNK, EVERYWHERE],
    run!(events),
);

async fn events(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let format = Format::of(flags)?;
    let types: Vec<String> = flags.list("types").to_vec();
    if types.iter().any(|one| !["normal", "warning"].contains(&one.to_lowercase().as_str())) {
        return Err(fail!("valid --types are Normal or Warning"));
    }
    let everywhere = flags.is("all-namespaces");
    let namespace = if everywhere { String::new() } else { session.namespace()? };
    let options = Options { fields: about(session).await?, ..Options::default() };
    let target = Target { resource: session.resources().await?.find("events")?, namespace, name: None };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    let version = pages.last().and_then(api::object::resource_version).unwrap_or_default().to_string();
    let found = pages.into_iter().flat_map(|page| locate::unlist(&target.resource, page));
    let wanted = |event: &Value| {
        types.is_empty() || types.iter().any(|one| one.eq_ignore_ascii_case(api::object::text(event, "/type")))
    };
    let mut all: Vec<Value> = found.map(|found| found.object).filter(wanted).collect();
    all.sort_by_key(|event| last_seen(event).to_string());
    let watching = flags.is("watch");
    let mut documents = Documents::new(format.clone(), flags);
    let mut tabs = Tabs::table();
    if all.is_empty() && !watching {
        match everywhere {
            true => eprintln!("No events found."),
            false => eprintln!("No events found in {} namespace.", target.namespace),
        }
        return Ok(());
    }
    if format.human() {
        say(&tabs.align(&table(&all, everywhere, !flags.is("no-headers"), Timestamp::now())));
    } else if watching {
        all.iter().try_for_each(|event| documents.next(event).map(|text| say(&text)))?;
    } else {
        let mut list = output::list(all);
        list["kind"] = "EventList".into();
        say(&documents.next(&list)?);
    }
    if !watching {
        return Ok(());
    }
    let mut lines = watch::events(session, &target, &options, JSON, &version).await?;
    while let Some(line) = lines.next().await? {
        let event = watch::event(&line)?;
        if event["type"] == "ERROR" {
            let status = serde_json::from_value::<api::Status>(event["object"].clone());
            return Err(status.map_err(|error| fail!("{error}"))?.into());
        }
        if !["ADDED", "MODIFIED"].contains(&event["type"].as_str().unwrap_or_default()) || !wanted(&event["object"]) {
            continue;
        }
        match format.human() {
            true => {
                say(&tabs.align(&table(std::slice::from_ref(&event["object"]), everywhere, false, Timestamp::now())))
            }
            false => say(&documents.next(&event["object"])?),
        }
    }
    Ok(())
}

/// The field selector of `--for`.
async fn about(session: &Session) -> Result<String> {
    let Some(word) = session.flags.some("for") else { return Ok(String::new()) };
    let Some((kind, name)) = word.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()) else {
        return Err(fail!("--for must be in resource/name form"));
    };
    let found = session.resources().await?.find(kind);
    // kubectl says this one without its usual "error: ".
    let resource = found.map_err(|error| Error::Said(error.to_string()))?;
    let version = resource.api_version();
    let kind = &resource.kind;
    Ok(format!("involvedObject.kind={kind},involvedObject.apiVersion={version},involvedObject.name={name}"))
}

fn last_seen(event: &Value) -> &str {
    let times = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
    times.iter().map(|pointer| api::object::text(event, pointer)).find(|time| !time.is_empty()).unwrap_or_default()
}

fn table(events: &[Value], everywhere: bool, headers: bool, now: Timestamp) -> String {
    let mut text = String::new();
    if headers {
        text.push_str(if everywhere { "NAMESPACE\t" } else { "" });
        text.push_str("LAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\n");
    }
    for event in events {
        let part = |pointer: &str| api::object::text(event, pointer);
        if everywhere {
            text.push_str(&format!("{}\t", api::object::namespace(event)));
        }
        let object = format!("{}/{}", part("/involvedObject/kind"), part("/involvedObject/name"));
        let cells =
            [&interval(event, now), part("/type"), part("/reason"), &object, part("/message").trim()].join("\t");
        text.push_str(&cells);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_rows() {
        let now: Timestamp = "2026-11-20T20:10:00Z".parse().unwrap();
        let event = json!({"metadata": {"namespace": "n"}, "type": "Normal", "reason": "Created", "message": " made it ",
            "firstTimestamp": "2026-11-20T20:00:00Z", "lastTimestamp": "2026-11-20T20:09:00Z", "count": 2,
            "involvedObject": {"kind": "Pod", "name": "p"}});
        assert_eq!(
            table(std::slice::from_ref(&event), true, true, now),
            "NAMESPACE\tLAST SEEN\tTYPE\tREASON\tOBJECT\tMESSAGE\nn\t60s (x2 over 10m)\tNormal\tCreated\tPod/p\tmade it\n"
        );
        assert_eq!(last_seen(&event), "2026-11-20T20:09:00Z");
        assert_eq!(last_seen(&json!({"eventTime": "x"})), "x");
    }
}
