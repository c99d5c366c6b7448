//! Reading: documents of a stream become JSON values, as sigs.k8s.io/yaml converts them. Memory is bounded: what aliases expand to
//! is limited in proportion to the document, nesting is limited, and a recursive alias is an error.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use serde_json::{Map, Number, Value};

use super::mistakes::{alias_at, leading_tab, scan_error};
use super::resolve::{Resolved, resolve};
use super::scalar::float_text;

/// How deep documents may nest.
const MAX_DEPTH: usize = 1_000;

/// What is wrong with a document, in kubectl's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error converting YAML to JSON: {0}")]
pub struct Error(String);

pub(super) fn yaml_error(problem: impl std::fmt::Display) -> Error {
    Error(format!("yaml: {problem}"))
}

/// Reads every document of a stream; empty ones are skipped. Of duplicate keys the last counts, as in kubectl.
/// JSON is YAML, so a stream of JSON objects separated by `---` reads as well.
pub fn read_documents(text: &str) -> Result<Vec<Value>, Error> {
    let mut documents = Vec::new();
    for chunk in split_documents(text) {
        let (value, _) = document(chunk)?;
        documents.extend(Some(value).filter(|value| !value.is_null()));
    }
    Ok(documents)
}

/// Reads one document; of duplicate keys the last counts.
pub fn read(text: &str) -> Result<Value, Error> {
    document(text).map(|(value, _)| value)
}

/// Reads one document; duplicate keys are an error that names their lines.
pub fn read_strict(text: &str) -> Result<Value, Error> {
    let (value, duplicates) = document(text)?;
    if duplicates.is_empty() {
        return Ok(value);
    }
    Err(yaml_error(format!("unmarshal errors:\n  {}", duplicates.join("\n  "))))
}

/// Splits a stream at lines that begin with `---` and hold nothing else but space or a comment.
pub fn split_documents(text: &str) -> Vec<&str> {
    let (mut chunks, mut start, mut position) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---").map(str::trim);
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#')) {
            chunks.push(&text[start..position]);
            start = position + line.len();
        }
        position += line.len();
    }
    chunks.push(&text[start..]);
    chunks.retain(|chunk| !chunk.trim().is_empty());
    chunks
}

/// A finished node: its value, whether it was made from a plain `<<`, and how many nodes it consists of.
#[derive(Debug, Clone)]
struct Node {
    value: Value,
    size: usize,
}

enum Frame {
    List { anchor: usize, items: Vec<Value>, size: usize },
    Map { anchor: usize, fields: Map<String, Value>, seen: HashSet<String>, key: Key, size: usize },
}

/// What a map waits for.
enum Key {
    None,
    Named(String),
    Merge,
    /// Null: JSON has no such keys; the complaint names the value.
    Null,
}

struct Reader<'a> {
    text: &'a str,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    /// All nodes so far, and those of them that came out of aliases.
    nodes: usize,
    aliased: usize,
    duplicates: Vec<String>,
    root: Option<Value>,
}

fn document(text: &str) -> Result<(Value, Vec<String>), Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        text,
        stack: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        aliased: 0,
        duplicates: Vec::new(),
        root: None,
    };
    // kubectl reads JSON as JSON: tabs may indent it.
    if text.trim_start().starts_with('{')
        && let Ok((value, duplicates)) = crate::decode::strict(text.as_bytes())
        && duplicates.is_empty()
    {
        return Ok((value, duplicates));
    }
    if let Some(error) = leading_tab(text) {
        return Err(error);
    }
    let mut wrong = None;
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| scan_error(text, &error))?;
        let line = span.start.line();
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        // What breaks the grammar further down is said first, as by a reader that parses everything before it looks at it.
        if wrong.is_none() {
            wrong = reader.event(event, line).err();
        }
    }
    if let Some(error) = wrong {
        return Err(error);
    }
    Ok((reader.root.unwrap_or_default(), reader.duplicates))
}

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, line: usize) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), line),
            Event::SequenceStart(anchor, _) => self.open(Frame::List { anchor, items: Vec::new(), size: 1 }),
            Event::MappingStart(anchor, _) => {
                self.open(Frame::Map { anchor, fields: Map::new(), seen: HashSet::new(), key: Key::None, size: 1 })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(line),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(yaml_error(format!("anchor '{}' value contains itself", alias_at(self.text, line))));
                };
                self.aliased += node.size;
                self.nodes += node.size;
                if self.nodes > 100 && self.aliased as f64 / self.nodes as f64 > allowed_alias_ratio(self.nodes) {
                    return Err(yaml_error("document contains excessive aliasing"));
                }
                self.add(node, line)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, frame: Frame) -> Result<(), Error> {
        if self.awaits_key() {
            return Err(yaml_error("invalid map key"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(yaml_error(format!("exceeded max depth of {MAX_DEPTH}")));
        }
        self.nodes += 1;
        self.stack.push(frame);
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame::Map { key: Key::None, .. }))
    }

    fn close(&mut self, line: usize) -> Result<(), Error> {
        let (anchor, node) = match self.stack.pop() {
            Some(Frame::List { anchor, items, size }) => (anchor, Node { value: Value::Array(items), size }),
            Some(Frame::Map { anchor, fields, size, .. }) => (anchor, Node { value: Value::Object(fields), size }),
            None => return Ok(()),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node, line)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        line: usize,
    ) -> Result<(), Error> {
        self.nodes += 1;
        let plain = style == ScalarStyle::Plain;
        let merge = tag.is_none() && plain && text == "<<";
        if let Some(Frame::Map { key: key @ Key::None, .. }) = self.stack.last_mut()
            && merge
        {
            *key = Key::Merge;
            return Ok(());
        }
        let resolved = tagged(text, plain, tag)?;
        if self.awaits_key() {
            if resolved == Resolved::Null {
                if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
                    *key = Key::Null;
                }
                return Ok(());
            }
            let key = key_text(text, &resolved);
            if anchor != 0 {
                self.anchors.insert(anchor, Node { value: key.clone().into(), size: 1 });
            }
            return self.key(key, line);
        }
        let node = Node { value: json(text, resolved, tag)?, size: 1 };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node, line)
    }

    fn key(&mut self, name: String, line: usize) -> Result<(), Error> {
        if let Some(Frame::Map { key, seen, .. }) = self.stack.last_mut() {
            if !seen.insert(name.clone()) {
                self.duplicates.push(format!("line {line}: key {name:?} already set in map"));
            }
            *key = Key::Named(name);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Node, line: usize) -> Result<(), Error> {
        if self.awaits_key() {
            // An alias as a key.
            return match node.value {
                Value::String(name) => self.key(name, line),
                Value::Number(number) => self.key(number.to_string(), line),
                Value::Bool(flag) => self.key(flag.to_string(), line),
                _ => Err(yaml_error("invalid map key")),
            };
        }
        match self.stack.last_mut() {
            None => self.root = Some(node.value),
            Some(Frame::List { items, size, .. }) => {
                *size += node.size;
                items.push(node.value);
            }
            Some(Frame::Map { fields, key, size, .. }) => {
                *size += node.size + 1;
                match std::mem::replace(key, Key::None) {
                    Key::Named(name) => {
                        fields.insert(name, node.value);
                    }
                    Key::Merge => merge(fields, node.value)?,
                    Key::Null => {
                        let value = node.value;
                        return Err(Error(format!(
                            "unsupported map key of type: %!s(<nil>), key: <nil>, value: {value}"
                        )));
                    }
                    Key::None => {}
                }
            }
        }
        Ok(())
    }
}

/// How much of a document may come out of aliases (go-yaml v2, decode.go): much of a small one, little of a large one.
fn allowed_alias_ratio(nodes: usize) -> f64 {
    const LOW: usize = 400_000;
    const HIGH: usize = 4_000_000;
    match nodes {
        ..=LOW => 0.99,
        HIGH.. => 0.10,
        _ => 0.99 - 0.89 * ((nodes - LOW) as f64 / (HIGH - LOW) as f64),
    }
}

/// The meaning of a scalar under its tag.
fn tagged(text: &str, plain: bool, tag: Option<&Tag>) -> Result<Resolved, Error> {
    let Some(tag) = tag else { return Ok(if plain { resolve(text) } else { Resolved::Text }) };
    let short = match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("tag:yaml.org,2002:" | "!!", suffix) => suffix,
        ("", verbatim) => verbatim.strip_prefix("tag:yaml.org,2002:").unwrap_or_default(),
        ("!", "") => "str", // the non-specific tag: not to be resolved
        _ => return Ok(Resolved::Text),
    };
    let resolved = resolve(text);
    let fits = match short {
        "int" => matches!(resolved, Resolved::Int(_) | Resolved::Uint(_)),
        "float" => matches!(resolved, Resolved::Float(_) | Resolved::Int(_)),
        "bool" => matches!(resolved, Resolved::Bool(_)),
        "null" => resolved == Resolved::Null,
        "timestamp" => resolved == Resolved::Timestamp,
        _ => return Ok(Resolved::Text),
    };
    if fits {
        return Ok(resolved);
    }
    Err(yaml_error(format!("cannot decode {} `{text}` as a !!{short}", resolved.tag())))
}

fn json(text: &str, resolved: Resolved, tag: Option<&Tag>) -> Result<Value, Error> {
    Ok(match resolved {
        Resolved::Null => Value::Null,
        Resolved::Bool(flag) => flag.into(),
        Resolved::Int(number) => number.into(),
        Resolved::Uint(number) => number.into(),
        Resolved::Float(number) => float_json(number)?,
        Resolved::Text if tag.is_some_and(|tag| tag.suffix == "binary") => binary(text)?,
        Resolved::Timestamp | Resolved::Text => text.into(),
    })
}

/// A float as JSON: whole numbers lose their point on the way through Go's JSON, as `1e3` becomes 1000.
fn float_json(number: f64) -> Result<Value, Error> {
    if !number.is_finite() {
        let shown = if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Err(Error(format!("json: unsupported value: {shown}")));
    }
    if number.fract() == 0.0 && number.abs() < 9e18 {
        #[allow(clippy::cast_possible_truncation)] // bounded above
        return Ok((number as i64).into());
    }
    Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
}

/// `!!binary`: the bytes as text; what is no UTF-8 is replaced, as Go's JSON does.
fn binary(text: &str) -> Result<Value, Error> {
    use base64::Engine as _;
    let compact: String = text.split_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD.decode(compact);
    let bytes = bytes.map_err(|_| yaml_error("!!binary value contains invalid base64 data"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned().into())
}

/// A key as text: JSON knows no other keys.
fn key_text(text: &str, resolved: &Resolved) -> String {
    match resolved {
        Resolved::Bool(flag) => flag.to_string(),
        Resolved::Int(number) => number.to_string(),
        Resolved::Uint(number) => number.to_string(),
        #[allow(clippy::cast_possible_truncation)] // upstream prints keys with single precision
        Resolved::Float(number) => float_text(f64::from(*number as f32), Some(*number as f32)),
        Resolved::Timestamp | Resolved::Text => text.into(),
        Resolved::Null => String::new(),
    }
}

/// `<<: *a` or `<<: [*a, *b]`: of several the first wins.
fn merge(fields: &mut Map<String, Value>, value: Value) -> Result<(), Error> {
    let wrong = || yaml_error("map merge requires map or sequence of maps as the value");
    match value {
        Value::Object(other) => fields.extend(other),
        Value::Array(maps) => {
            for map in maps.into_iter().rev() {
                let Value::Object(other) = map else { return Err(wrong()) };
                fields.extend(other);
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}
