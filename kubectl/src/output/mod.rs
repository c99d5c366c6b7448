//! What `-o` makes of objects (cli-runtime, pkg/genericclioptions/print_flags.go and pkg/printers).

pub mod columns;
pub mod sort;
pub mod tab;
pub mod table;
mod template;

use std::fmt::Write;

use api::jsonpath::{JsonPath, relaxed};
use serde_json::{Value, json};

use crate::error::{Result, fail};
use crate::flags::Flags;
use columns::Columns;
use template::Template;

/// A form of output.
#[derive(Debug, Clone)]
pub enum Format {
    /// For people; with all columns or not.
    Human {
        /// `-o wide`.
        wide: bool,
    },
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// `kind/name`.
    Name,
    /// A template.
    JsonPath(JsonPath, String),
    /// A Go template.
    Template(Template),
    /// What a template finds, as JSON.
    JsonPathAsJson(JsonPath, String),
    /// Columns of the user's choice.
    Columns(Columns),
}

/// Formats that `get` knows, in the order in which kubectl lists them.
const OF_GET: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,wide,yaml";
/// Formats that the other commands know.
const OF_OTHERS: &str =
    "go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,template,templatefile,yaml";

impl Format {
    /// From `-o` of a command that lists.
    pub fn of_get(flags: &Flags) -> Result<Self> {
        Self::parse(flags, OF_GET)
    }

    /// From `-o` of any other command.
    pub fn of(flags: &Flags) -> Result<Self> {
        Self::parse(flags, OF_OTHERS)
    }

    fn parse(flags: &Flags, allowed: &str) -> Result<Self> {
        let text = flags.text("output");
        let (name, argument) = text.split_once('=').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let template = || {
            let given = argument.or_else(|| flags.some("template"));
            given
                .filter(|text| !text.is_empty())
                .ok_or_else(|| fail!("template format specified but no template given"))
        };
        let file = || {
            let path = template()?;
            std::fs::read_to_string(path)
                .map_err(|error| fail!("error reading --template {path}, open {path}: {}\n", crate::files::why(&error)))
        };
        let path = |text: &str| -> Result<JsonPath> {
            let parsed = JsonPath::parse(text);
            let parsed = parsed.map_err(|error| fail!("error parsing jsonpath {text}, {error}\n"))?;
            Ok(parsed.allow_missing_keys(flags.text("allow-missing-template-keys") != "false"))
        };
        Ok(match name {
            "" => Self::Human { wide: false },
            "wide" if allowed.contains("wide") => Self::Human { wide: true },
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "name" => Self::Name,
            "jsonpath" => Self::JsonPath(path(template()?)?, template()?.into()),
            "jsonpath-file" => Self::JsonPath(path(&file()?)?, file()?),
            "jsonpath-as-json" => Self::JsonPathAsJson(path(template()?)?, template()?.into()),
            "custom-columns" if allowed.contains("custom-columns") => {
                let spec = argument.unwrap_or_default();
                if spec.is_empty() {
                    return Err(fail!("custom-columns format specified but no custom columns given"));
                }
                Self::Columns(Columns::parse(spec, flags.is("no-headers"))?)
            }
            "custom-columns-file" if allowed.contains("custom-columns") => {
                let path = template()?;
                let text = std::fs::read_to_string(path).map_err(|error| {
                    fail!("error reading template {path}, open {path}: {}\n", crate::files::why(&error))
                })?;
                Self::Columns(Columns::template(&text, flags.is("no-headers"))?)
            }
            "go-template" | "template" => Self::Template(go_template(template()?, flags)?),
            "go-template-file" | "templatefile" => Self::Template(go_template(&file()?, flags)?),
            _ => {
                return Err(fail!(
                    "unable to match a printer suitable for the output format {text:?}, allowed formats are: {allowed}"
                ));
            }
        })
    }

    /// Whether it is for people.
    pub fn human(&self) -> bool {
        matches!(self, Self::Human { .. })
    }

    /// Prints one object or list.
    pub fn object(&self, object: &Value) -> Result<String> {
        Ok(match self {
            Self::Human { .. } => String::new(),
            Self::Yaml => api::yaml::write(object),
            Self::Json => json(object) + "\n",
            Self::Name => names(object),
            Self::JsonPath(path, text) => {
                path.render(object).map_err(|error| template_failed(object, text, &error.to_string()))?
            }
            Self::JsonPathAsJson(path, text) => {
                path.render_as_json(object).map_err(|error| template_failed(object, text, &error.to_string()))?
            }
            Self::Columns(columns) => columns.print(object)?,
            Self::Template(template) => rendered(template, object)?,
        })
    }
}

fn go_template(text: &str, flags: &Flags) -> Result<Template> {
    let parsed = Template::parse(text).map_err(|error| fail!("error parsing template {text}, {error}\n"))?;
    Ok(parsed.strict(flags.text("allow-missing-template-keys") == "false"))
}

/// kubectl shows on stdout what it had when a template does not apply.
fn rendered(template: &Template, object: &Value) -> Result<String> {
    let (text, ended) = template.render(object);
    let Err(error) = ended else { return Ok(text) };
    let (raw, shown) = (serde_json::to_string(object).unwrap_or_default(), go(object));
    let template = &template.text;
    crate::session::say(&format!(
        "{text}Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{template}\n\traw data was:\n\t\t{raw}\n\tobject given to template engine was:\n\t\t{shown}\n\n"
    ));
    Err(fail!("error executing template {template:?}: {error}"))
}

/// kubectl shows what it had when a template does not apply.
fn template_failed(object: &Value, text: &str, error: &str) -> crate::error::Error {
    let shown = go_syntax(object);
    fail!(
        "error executing jsonpath {text:?}: Error executing template: {error}. Printing more information for debugging the template:\n\ttemplate was:\n\t\t{text}\n\tobject given to jsonpath engine was:\n\t\t{shown}\n\n\n"
    )
}

/// A value as Go's `%#v` writes it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => format!("{text:?}"),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{key:?}:{}", go_syntax(value)));
            format!("map[string]interface {{}}{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Prints several objects of which each is its own document.
#[derive(Debug)]
pub struct Documents {
    format: Format,
    count: usize,
    keep_managed: bool,
    /// Whether `---` stands between YAML documents.
    pub separated: bool,
}

impl Documents {
    /// In this format.
    pub fn new(format: Format, flags: &Flags) -> Self {
        Self { format, count: 0, keep_managed: flags.is("show-managed-fields"), separated: true }
    }

    /// The next one; YAML documents are separated.
    pub fn next(&mut self, object: &Value) -> Result<String> {
        let mut object = object.clone();
        if !self.keep_managed {
            hide_managed(&mut object);
        }
        let text = self.format.object(&object)?;
        self.count += 1;
        let separated = self.separated && matches!(self.format, Format::Yaml) && self.count > 1;
        Ok(if separated { format!("---\n{text}") } else { text })
    }
}

/// Takes `managedFields` away, also from the items of a list.
pub fn hide_managed(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(hide_managed);
    }
}

/// JSON as Go's encoder indents it, `<`, `>` and `&` escaped.
pub fn json(value: &Value) -> String {
    let mut buffer = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut buffer, formatter);
    if serde::Serialize::serialize(value, &mut serializer).is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&buffer);
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            other => out.push(other),
        }
    }
    out
}

/// `deployment.apps` of an object.
pub fn one(object: &Value) -> String {
    let (group, _) = api::object::group_version(object);
    let kind = api::object::kind(object).to_lowercase();
    if group.is_empty() { kind } else { format!("{kind}.{group}") }
}

fn names(object: &Value) -> String {
    if let (Some(items), true) = (object["items"].as_array(), api::object::kind(object).ends_with("List")) {
        return items.iter().map(names).collect();
    }
    format!("{}/{}\n", one(object), api::object::name(object))
}

/// The list that kubectl makes of several objects.
pub fn list(items: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items})
}

/// A relaxed JSONPath, `metadata.name` or `{.metadata.name}`.
pub fn relaxed_path(text: &str) -> Result<JsonPath> {
    let path = relaxed(text).map_err(|error| fail!("{error}"))?;
    JsonPath::parse(&path).map_err(|error| fail!("{error}"))
}

/// A value as Go's `fmt.Sprint` writes it.
pub fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            format!(
                "map[{}]",
                map.iter().map(|(key, value)| format!("{key}:{}", go(value))).collect::<Vec<_>>().join(" ")
            )
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Takes, flag, parse};

    fn format(text: &str) -> Result<Format> {
        let table = [flag("output", "o", Takes::Text(""), "")];
        Format::of_get(&parse(&table, &["-o".into(), text.into()]).unwrap().flags)
    }

    #[test]
    fn each_form_of_one_object() {
        let object =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x<y", "managedFields": []}});
        for (form, expected) in [
            ("name", "deployment.apps/x<y\n"),
            ("jsonpath={.metadata.name}", "x<y"),
            ("yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x<y\n"),
            (
                "json",
                "{\n    \"apiVersion\": \"apps/v1\",\n    \"kind\": \"Deployment\",\n    \"metadata\": {\n        \"name\": \"x\\u003cy\"\n    }\n}\n",
            ),
            ("custom-columns=N:.metadata.name,V:.spec.x", "N         V\nx<y       <none>\n"),
        ] {
            let mut documents = Documents::new(format(form).unwrap(), &Flags::default());
            assert_eq!(documents.next(&object).unwrap(), expected, "{form}");
        }
        let mut yaml = Documents::new(Format::Yaml, &Flags::default());
        assert!(!yaml.next(&object).unwrap().starts_with("---\n"));
        assert!(yaml.next(&object).unwrap().starts_with("---\n"));
    }

    #[test]
    fn unknown_formats_are_refused() {
        let error = format("foo").unwrap_err().to_string();
        assert!(error.starts_with(
            "unable to match a printer suitable for the output format \"foo\", allowed formats are: custom-columns,"
        ));
    }

    #[test]
    fn go_s_print_form() {
        assert_eq!(go(&json!({"a": [1, "x"], "b": {"c": true}})), "map[a:[1 x] b:map[c:true]]");
        assert_eq!(
            go_syntax(&json!({"a": [1, "x", null]})),
            "map[string]interface {}{\"a\":[]interface {}{1, \"x\", interface {}(nil)}}"
        );
    }
}
