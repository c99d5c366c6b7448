//! The server's tables on a terminal (cli-runtime, pkg/printers/tableprinter.go): which columns, which headers, kinds before
//! names, namespaces before them, labels behind.

use serde_json::{Value, json};

use super::go;

/// How tables are decorated.
#[derive(Debug, Clone, Default)]
pub struct Style {
    /// All columns.
    pub wide: bool,
    /// No first line.
    pub no_headers: bool,
    /// `deployment.apps` before each name, if it is to be there.
    pub kind: Option<String>,
    /// Namespace as the first column.
    pub namespace: bool,
    /// Labels as the last column.
    pub labels: bool,
    /// These labels as columns.
    pub label_columns: Vec<String>,
}

/// Prints tables of one kind one after the other under one header.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    columns: Vec<Value>,
    printed_headers: bool,
}

impl Printer {
    /// In this style.
    pub fn new(style: Style) -> Self {
        Self { style, columns: Vec::new(), printed_headers: false }
    }

    /// The table's lines, cells ended by tabs; `event` is a first column of its own.
    pub fn print(&mut self, table: &Value, event: Option<&str>) -> String {
        let columns = table["columnDefinitions"].as_array().cloned().unwrap_or_default();
        let same = columns.is_empty() || columns == self.columns;
        if !columns.is_empty() {
            self.columns = columns;
        }
        let rows = table["rows"].as_array().map_or(&[][..], Vec::as_slice);
        let mut text = String::new();
        if !(self.style.no_headers || rows.is_empty() || self.printed_headers && same) {
            text.push_str(&self.header(event));
            text.push('\n');
        }
        self.printed_headers |= !rows.is_empty();
        for row in rows {
            text.push_str(&self.row(row, event));
            text.push('\n');
        }
        text
    }

    fn shown(&self) -> impl Iterator<Item = (usize, &Value)> {
        let wide = self.style.wide;
        let visible = move |column: &Value| wide || column["priority"].as_i64().unwrap_or(0) == 0;
        self.columns.iter().enumerate().filter(move |(_, column)| visible(column))
    }

    fn header(&self, event: Option<&str>) -> String {
        let mut cells: Vec<String> = Vec::new();
        cells.extend(event.map(|_| "EVENT".to_string()));
        if self.style.namespace {
            cells.push("NAMESPACE".into());
        }
        cells.extend(self.shown().map(|(_, column)| column["name"].as_str().unwrap_or_default().to_uppercase()));
        let last = |label: &String| label.rsplit('/').next().unwrap_or_default().to_uppercase();
        cells.extend(self.style.label_columns.iter().map(last));
        if self.style.labels {
            cells.push("LABELS".into());
        }
        cells.join("\t")
    }

    fn row(&self, row: &Value, event: Option<&str>) -> String {
        let object = &row["object"];
        let mut cells: Vec<String> = Vec::new();
        cells.extend(event.map(str::to_string));
        if self.style.namespace {
            cells.push(api::object::namespace(object).to_string());
        }
        for (index, column) in self.shown() {
            let text = cell(&row["cells"][index]);
            match &self.style.kind {
                Some(kind) if column["format"] == "name" => cells.push(format!("{kind}/{text}")),
                _ => cells.push(text),
            }
        }
        let label = |key: &String| api::object::label(object, key).unwrap_or("<none>").to_string();
        cells.extend(self.style.label_columns.iter().map(label));
        if self.style.labels {
            cells.push(labels(object, ","));
        }
        cells.join("\t")
    }
}

/// `a=b,c=d`, or `<none>`.
pub fn labels(object: &Value, separator: &str) -> String {
    match api::object::labels(object) {
        Some(labels) if !labels.is_empty() => {
            let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={}", go(value))).collect();
            pairs.join(separator)
        }
        _ => "<none>".into(),
    }
}

/// One line of text without anything that moves the cursor.
fn cell(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let text = go(value);
    let cut = text.find(['\n', '\r', '\x0c']);
    let mut out = text[..cut.unwrap_or(text.len())].replace('\x1b', "^[").replace('\t', " ");
    if cut.is_some() {
        out.push_str("...");
    }
    out
}

/// A table of an object that the server gave no table for: name and age.
pub fn plain(objects: &[Value], now: jiff::Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let created = api::object::creation_timestamp(object).unwrap_or_default();
            let age = api::duration::age(created, now);
            json!({"cells": [api::object::name(object), age], "object": object})
        })
        .collect();
    let columns = json!([
        {"name": "Name", "type": "string", "format": "name", "priority": 0},
        {"name": "Age", "type": "string", "priority": 0},
    ]);
    json!({"kind": "Table", "columnDefinitions": columns, "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Value {
        let row = |name: &str, labels: Value| json!({"cells": [name, "1/1", 5, "10.0.0.1"], "object": {"metadata": {"name": name, "namespace": "ns", "labels": labels}}});
        json!({
            "columnDefinitions": [
                {"name": "Name", "format": "name", "priority": 0}, {"name": "Ready", "priority": 0},
                {"name": "Restarts", "priority": 0}, {"name": "IP", "priority": 1},
            ],
            "rows": [row("a", json!({"app": "x", "k8s.io/tier": "t"})), row("b", Value::Null)],
        })
    }

    #[test]
    fn styles() {
        let labels = vec!["k8s.io/tier".to_string()];
        for (style, expected) in [
            (Style::default(), "NAME\tREADY\tRESTARTS\na\t1/1\t5\nb\t1/1\t5\n"),
            (Style { no_headers: true, wide: true, ..Style::default() }, "a\t1/1\t5\t10.0.0.1\nb\t1/1\t5\t10.0.0.1\n"),
            (
                Style { namespace: true, kind: Some("pod".into()), ..Style::default() },
                "NAMESPACE\tNAME\tREADY\tRESTARTS\nns\tpod/a\t1/1\t5\nns\tpod/b\t1/1\t5\n",
            ),
            (
                Style { labels: true, label_columns: labels, ..Style::default() },
                "NAME\tREADY\tRESTARTS\tTIER\tLABELS\na\t1/1\t5\tt\tapp=x,k8s.io/tier=t\nb\t1/1\t5\t<none>\t<none>\n",
            ),
        ] {
            assert_eq!(Printer::new(style).print(&pods(), None), expected);
        }
    }

    #[test]
    fn one_header_for_tables_of_one_kind() {
        let mut printer = Printer::new(Style::default());
        assert!(printer.print(&pods(), None).starts_with("NAME"));
        assert!(printer.print(&pods(), None).starts_with("a\t"));
        let mut without = pods();
        without["columnDefinitions"] = json!([]);
        assert!(printer.print(&without, None).starts_with("a\t"));
        let mut events = Printer::new(Style::default());
        assert!(events.print(&pods(), Some("ADDED")).starts_with("EVENT\tNAME\tREADY\tRESTARTS\nADDED\ta\t"));
    }

    #[test]
    fn cells_stay_on_their_line() {
        assert_eq!(cell(&json!("a\nb")), "a...");
        assert_eq!(cell(&json!("\u{1b}[1m")), "^[[1m");
        assert_eq!(cell(&Value::Null), "");
    }
}
