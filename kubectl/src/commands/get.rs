//! `get` (kubectl, pkg/cmd/get/get.go): the server's tables for people, objects for `-o`, and both while they change.

use http::Method;
use serde_json::Value;

use crate::command::{Call, Command, command, run};
use crate::common::{CHUNK, EVERYWHERE, FIELDS, FILES, LABELS, PRINT};
use crate::error::{Error, Result, all, fail};
use crate::flags::Takes::{Bool, List, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Options, Target};
use crate::output::sort::sort_by;
use crate::output::tab::Tabs;
use crate::output::table::{Printer, Style, plain};
use crate::output::{self, Documents, Format};
use crate::session::{JSON, Session, TABLE, say};
use crate::watch::events;

const FLAGS: &[Flag] = &[
    flag("watch", "w", Bool(false), "Print what is there, then what changes."),
    flag("watch-only", "", Bool(false), "Print only what changes."),
    flag("output-watch-events", "", Bool(false), "Print the kind of each change, too."),
    flag("sort-by", "", Text(""), "Sort by what this JSONPath finds."),
    flag("show-labels", "", Bool(false), "Print labels as the last column."),
    flag("label-columns", "L", List, "Print these labels as columns."),
    flag("show-kind", "", Bool(false), "Print the type before each name."),
    flag("no-headers", "", Bool(false), "Print no first line."),
    flag("ignore-not-found", "", Bool(false), "It is no error if an object does not exist."),
    flag("raw", "", Text(""), "Path to send GET to."),
    flag("server-print", "", Bool(true), "Let the server make the table."),
    flag("subresource", "", Text(""), "Get this subresource of the objects."),
];

/// `get`.
pub const COMMAND: Command = command(
    "get",
    "[TYPE[.VERSION][.GROUP] [NAME | -l label] | TYPE/NAME ...]",
    "Display one or many resources",
    FLAGS,
    &[PRINT, FILES, LABELS, FIELDS, EVERYWHERE, CHUNK],
    run!(run),
);

async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    if let Some(path) = session.flags.some("raw") {
        if !path.starts_with('/') && !path.contains("://") {
            return Err(fail!("--raw must be a valid URL path: parse {path:?}: invalid URI for request"));
        }
        let answer = session.send(Method::GET, path, "*/*", None).await?;
        say(&String::from_utf8_lossy(answer.body()));
        return Ok(());
    }
    let format = Format::of_get(&session.flags)?;
    let files = session.flags.list("filename");
    if call.args.is_empty() && files.is_empty() {
        eprint!(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.\n\n"
        );
        return Err(fail!(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples"
        ));
    }
    let mut options = Options::of(session);
    options.everything = true;
    let targets = locate::of_both(session, &call.args, &options).await?;
    if session.flags.is("watch") || session.flags.is("watch-only") {
        return watch(session, &targets, &options, &format).await;
    }
    if format.human() {
        human(session, &targets, &options, &format).await
    } else {
        generic(session, &targets, &options, format).await
    }
}

/// One page of a table that the server gave, or one made here from objects.
fn as_table(mut document: Value, sort: Option<&str>) -> Result<Value> {
    if document["kind"] != "Table" {
        let objects = match document["items"].take() {
            Value::Array(items) => items,
            _ => vec![document],
        };
        document = plain(&objects, jiff::Timestamp::now());
    }
    if let Some(path) = sort
        && let Some(rows) = document["rows"].as_array_mut()
    {
        // Nothing to sort by leaves nothing to show, as in kubectl's table sorter.
        if sort_by(rows, path, |row| &row["object"]).is_err() {
            rows.clear();
        }
    }
    Ok(document)
}

fn style(session: &Session, target: &Target, wide: bool, with_kind: bool) -> Style {
    let flags = &session.flags;
    Style {
        wide,
        no_headers: flags.is("no-headers"),
        kind: (with_kind || flags.is("show-kind")).then(|| target.resource.one()),
        namespace: flags.is("all-namespaces") && target.resource.namespaced,
        labels: flags.is("show-labels"),
        label_columns: flags.list("label-columns").to_vec(),
    }
}

async fn human(session: &Session, targets: &[Target], options: &Options, format: &Format) -> Result<()> {
    let wide = matches!(format, Format::Human { wide: true });
    let sort = session.flags.some("sort-by");
    let more: &[(&str, &str)] = if sort.is_some() { &[("includeObject", "Object")] } else { &[] };
    let (mut errors, mut groups): (Vec<Error>, Vec<(Target, Vec<Value>)>) = (Vec::new(), Vec::new());
    let accept = if session.flags.is("server-print") { TABLE } else { JSON };
    for target in targets {
        match locate::fetch(session, target, options, accept, more).await {
            Ok(pages) => match groups.last_mut() {
                Some((last, tables)) if last.resource == target.resource => tables.extend(pages),
                _ => groups.push((target.clone(), pages)),
            },
            Err(error) if error.is("NotFound") && session.flags.is("ignore-not-found") => {}
            Err(error) => errors.push(error),
        }
    }
    let with_kind = groups.iter().any(|(target, _)| target.resource != groups[0].0.resource);
    let mut written = false;
    for (target, tables) in groups {
        let mut printer = Printer::new(style(session, &target, wide, with_kind));
        let mut text = String::new();
        for table in merged(tables, sort)? {
            text.push_str(&printer.print(&table, None));
        }
        if text.is_empty() {
            continue;
        }
        if written && !session.flags.is("no-headers") {
            say("\n");
        }
        say(&Tabs::table().align(&text));
        written = true;
    }
    if !written && errors.is_empty() && !session.flags.is("ignore-not-found") {
        let namespaced = targets.iter().all(|target| target.resource.namespaced);
        match namespaced && !options.all_namespaces {
            true => eprintln!("No resources found in {} namespace.", session.namespace()?),
            false => eprintln!("No resources found"),
        }
    }
    all(errors)
}

/// Tables of one kind; sorted ones as a single table.
fn merged(tables: Vec<Value>, sort: Option<&str>) -> Result<Vec<Value>> {
    if sort.is_none() {
        return tables.into_iter().map(|table| as_table(table, None)).collect();
    }
    let mut tables = tables.into_iter().map(|table| as_table(table, None));
    let Some(mut first) = tables.next().transpose()? else { return Ok(Vec::new()) };
    for table in tables {
        if let (Some(rows), Value::Array(more)) = (first["rows"].as_array_mut(), table?["rows"].take()) {
            rows.extend(more);
        }
    }
    Ok(vec![as_table(first, sort)?])
}

async fn generic(session: &Session, targets: &[Target], options: &Options, format: Format) -> Result<()> {
    let (mut errors, mut items) = (Vec::new(), Vec::new());
    for target in targets {
        match locate::fetch(session, target, options, JSON, &[]).await {
            Ok(pages) => {
                let found = pages.into_iter().flat_map(|page| locate::unlist(&target.resource, page));
                items.extend(found.map(|found| found.object));
            }
            Err(error) if error.is("NotFound") && session.flags.is("ignore-not-found") => {}
            Err(error) => errors.push(error),
        }
    }
    if let Some(path) = session.flags.some("sort-by") {
        sort_by(&mut items, path, |item| item)?;
    }
    let single = targets.len() == 1 && targets[0].name.is_some();
    if items.is_empty() && (!errors.is_empty() || single || session.flags.is("ignore-not-found")) {
        return all(errors);
    }
    let object = if single { items.remove(0) } else { output::list(items) };
    say(&Documents::new(format, &session.flags).next(&object)?);
    all(errors)
}

/// What changes, printed as it comes.
async fn watch(session: &Session, targets: &[Target], options: &Options, format: &Format) -> Result<()> {
    let [target] = targets else { return Err(fail!("you may only specify a single resource type")) };
    let accept = if format.human() && session.flags.is("server-print") { TABLE } else { JSON };
    let document = locate::fetch(session, target, options, accept, &[]).await?;
    let version = document.first().and_then(api::object::resource_version).unwrap_or_default().to_string();
    let wide = matches!(format, Format::Human { wide: true });
    let mut view = View {
        printer: Printer::new(style(session, target, wide, false)),
        tabs: Tabs::table(),
        documents: Documents::new(format.clone(), &session.flags),
        human: format.human(),
        events: session.flags.is("output-watch-events"),
    };
    if !session.flags.is("watch-only") {
        for page in document {
            match format.human() {
                true => view.show("ADDED", &page)?,
                false => {
                    for found in locate::unlist(&target.resource, page) {
                        view.show("ADDED", &found.object)?;
                    }
                }
            }
        }
    }
    let mut lines = events(session, target, options, accept, &version).await?;
    while let Some(line) = lines.next().await? {
        let event: Value = serde_json::from_slice(&line).map_err(|error| fail!("decoding a watch event: {error}"))?;
        match event["type"].as_str().unwrap_or_default() {
            "BOOKMARK" => {}
            "ERROR" => {
                let status: api::Status =
                    serde_json::from_value(event["object"].clone()).map_err(|error| fail!("{error}"))?;
                return Err(status.into());
            }
            kind => view.show(kind, &event["object"])?,
        }
    }
    Ok(())
}

struct View {
    printer: Printer,
    tabs: Tabs,
    documents: Documents,
    human: bool,
    events: bool,
}

impl View {
    fn show(&mut self, kind: &str, object: &Value) -> Result<()> {
        let event = self.events.then_some(kind);
        if self.human {
            let table = as_table(object.clone(), None)?;
            say(&self.tabs.align(&self.printer.print(&table, event)));
            return Ok(());
        }
        match event {
            Some(kind) => say(&self.documents.next(&serde_json::json!({"type": kind, "object": object}))?),
            None => say(&self.documents.next(object)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_without_a_table_get_name_and_age() {
        let list = json!({"kind": "FooList", "items": [{"metadata": {"name": "x"}}]});
        let table = as_table(list, None).unwrap();
        assert_eq!(table["rows"][0]["cells"][0], "x");
    }
}
