//! `get` (kubectl, pkg/cmd/get/get.go): the server's tables for people, objects for `-o`, and both while they change.

use bytes::{Bytes, BytesMut};
use http::{Method, Request, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::error::{Error, Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Options, Target};
use crate::output::tab::Tabs;
use crate::output::table::{Printer, Style, plain};
use crate::output::{self, Documents, Format};
use crate::session::{JSON, Session, TABLE, say, with_query};

/// Runs `get`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    if let Some(path) = session.flags.some("raw") {
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
    let targets = targets(session, &call.args, &options).await?;
    if session.flags.is("watch") || session.flags.is("watch-only") {
        return watch(session, &targets, &options, &format).await;
    }
    if format.human() {
        human(session, &targets, &options, &format).await
    } else {
        generic(session, &targets, &options, format).await
    }
}

async fn targets(session: &Session, words: &[String], options: &Options) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    if !session.flags.list("filename").is_empty() {
        for found in locate::local(session).await? {
            targets.push(Target { resource: found.resource, namespace: found.namespace, name: Some(found.name) });
        }
    }
    targets.extend(locate::targets(words, session.resources().await?, &session.namespace()?, options)?);
    Ok(targets)
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
    for target in targets {
        match locate::fetch(session, target, options, TABLE, more).await {
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

/// Sorts by what a JSONPath finds; quantities, times and numbers by value (kubectl, pkg/cmd/get/sorter.go).
fn sort_by(items: &mut [Value], path: &str, object: impl Fn(&Value) -> &Value) -> Result<()> {
    let parsed = output::relaxed_path(path)?;
    let mut keys = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let found = parsed.find(object(item)).map_err(|error| fail!("{error}"))?;
        keys.push((found.into_iter().flatten().next(), index));
    }
    if !items.is_empty() && keys.iter().all(|(key, _)| key.is_none()) {
        let shown =
            if path.starts_with('{') { path.to_string() } else { format!("{{.{}}}", path.trim_start_matches('.')) };
        return Err(fail!("couldn't find any field with path \"{shown}\" in the list of objects"));
    }
    keys.sort_by(|(a, _), (b, _)| compare(a.as_ref(), b.as_ref()));
    let sorted: Vec<Value> = keys.iter().map(|(_, index)| items[*index].clone()).collect();
    items.clone_from_slice(&sorted);
    Ok(())
}

fn compare(a: Option<&Value>, b: Option<&Value>) -> std::cmp::Ordering {
    match (a, b) {
        (Some(Value::String(a)), Some(Value::String(b))) => {
            match (api::quantity::Quantity::parse(a), api::quantity::Quantity::parse(b)) {
                (Ok(a), Ok(b)) => a.cmp(&b),
                _ => a.cmp(b),
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(std::cmp::Ordering::Equal)
        }
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (None, None) => std::cmp::Ordering::Equal,
        (None, _) => std::cmp::Ordering::Less,
        (_, None) => std::cmp::Ordering::Greater,
        (Some(a), Some(b)) => output::go(a).cmp(&output::go(b)),
    }
}

/// What changes, printed as it comes.
async fn watch(session: &Session, targets: &[Target], options: &Options, format: &Format) -> Result<()> {
    let [target] = targets else { return Err(fail!("you may only specify a single resource type")) };
    let accept = if format.human() { TABLE } else { JSON };
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

/// Opens a watch.
pub async fn events(
    session: &Session,
    target: &Target,
    options: &Options,
    accept: &str,
    version: &str,
) -> Result<Lines> {
    let fields = match &target.name {
        Some(name) => format!("metadata.name={name}"),
        None => options.fields.clone(),
    };
    let path = with_query(
        &target.resource.collection(&target.namespace),
        &[
            ("labelSelector", &options.labels),
            ("fieldSelector", &fields),
            ("resourceVersion", version),
            ("watch", "true"),
        ],
    );
    let request = Request::builder().uri(&path).header(header::ACCEPT, accept).body(Bytes::new());
    let request = request.map_err(|error| fail!("invalid request {path}: {error}"))?;
    let answer = session.client()?.stream(request).await.map_err(|error| session.unreachable(error))?;
    Ok(Lines::new(answer.into_body()))
}

/// A body, line by line.
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

/// Most that a line may hold.
const MOST_LINE: usize = 64 << 20;

impl Lines {
    /// Of this body.
    pub fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(searched + end + 1);
                return Ok(Some(line.freeze()));
            }
            searched = self.buffer.len();
            if searched > MOST_LINE {
                return Err(fail!("a line is too long"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(fail!("{error}")),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Ok(Some(self.buffer.split().freeze())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorting_knows_numbers_quantities_and_names() {
        let mut items: Vec<Value> = [("b10", "1Gi", 3), ("b9", "20Mi", 20), ("a", "100", 1)]
            .iter()
            .map(|(name, size, count)| json!({"metadata": {"name": name}, "size": size, "count": count}))
            .collect();
        for (path, expected) in [(".metadata.name", "a b10 b9"), ("{.size}", "a b9 b10"), ("count", "a b10 b9")] {
            sort_by(&mut items, path, |item| item).unwrap();
            let names: Vec<&str> = items.iter().map(api::object::name).collect();
            assert_eq!(names.join(" "), expected, "{path}");
        }
        let error = sort_by(&mut items, ".nothing", |item| item).unwrap_err().to_string();
        assert_eq!(error, "couldn't find any field with path \"{.nothing}\" in the list of objects");
    }

    #[test]
    fn objects_without_a_table_get_name_and_age() {
        let list = json!({"kind": "FooList", "items": [{"metadata": {"name": "x"}}]});
        let table = as_table(list, None).unwrap();
        assert_eq!(table["rows"][0]["cells"][0], "x");
    }
}
