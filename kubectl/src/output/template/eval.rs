//! A template's tree and an object become text.

use std::cmp::Ordering;

use base64::Engine;
use serde_json::Value;

use super::format::{print, printf, println};
use super::parse::{Node, Operand, Pipeline};
use crate::output::go;

/// What a template makes of an object, and what stopped it.
pub fn render(nodes: &[Node], object: &Value, strict: bool) -> (String, Result<(), String>) {
    let mut state = State { out: String::new(), variables: vec![("$".into(), object.clone())], strict };
    let ended = state.walk(nodes, object).map(|_| ());
    (state.out, ended)
}

/// How a block ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct State {
    out: String,
    variables: Vec<(String, Value)>,
    strict: bool,
}

impl State {
    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, String> {
        for node in nodes {
            let known = self.variables.len();
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Print(pipeline) => {
                    let value = self.value(pipeline, dot)?;
                    if pipeline.variables.is_empty() {
                        self.out.push_str(&if value.is_null() { "<no value>".into() } else { go(&value) });
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::If(pipeline, then, otherwise) | Node::With(pipeline, then, otherwise) => {
                    let value = self.value(pipeline, dot)?;
                    let inner = if matches!(node, Node::With(..)) { &value } else { dot };
                    let flow = match truth(&value) {
                        true => self.walk(then, inner)?,
                        false => self.walk(otherwise, dot)?,
                    };
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Range(pipeline, each, none) => {
                    let flow = self.range(pipeline, each, none, dot)?;
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::On)
    }

    fn range(&mut self, pipeline: &Pipeline, each: &[Node], none: &[Node], dot: &Value) -> Result<Flow, String> {
        let value = self.commands(pipeline, dot)?;
        let pairs: Vec<(Value, Value)> = match value {
            Value::Array(items) => items.into_iter().enumerate().map(|(index, item)| (index.into(), item)).collect(),
            Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
            Value::Number(number) => {
                (0..number.as_u64().unwrap_or(0)).map(|index| (index.into(), index.into())).collect()
            }
            Value::Null => Vec::new(),
            other => return Err(at(pipeline, &format!("range can't iterate over {}", go(&other)))),
        };
        if pairs.is_empty() {
            return self.walk(none, dot);
        }
        for (key, item) in pairs {
            let known = self.variables.len();
            match pipeline.variables.as_slice() {
                [one] => self.variables.push((one.clone(), item.clone())),
                [first, second] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
                _ => {}
            }
            let flow = self.walk(each, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    /// The value of a pipeline, put into its variable if it has one.
    fn value(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.commands(pipeline, dot)?;
        for name in &pipeline.variables {
            match self.variables.iter_mut().rev().find(|(known, _)| known == name).filter(|_| !pipeline.declares) {
                Some((_, known)) => *known = value.clone(),
                None => self.variables.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(match command.split_first() {
                Some((Operand::Function(name), arguments)) => {
                    let mut values: Vec<Value> = Vec::new();
                    for argument in arguments {
                        let value = self.operand(argument, dot, pipeline)?;
                        // `and` and `or` stop at the first argument that decides.
                        let decides = name == "and" && !truth(&value) || name == "or" && truth(&value);
                        values.push(value);
                        if decides {
                            break;
                        }
                    }
                    values.extend(last);
                    call(name, &values).map_err(|why| at(pipeline, &format!("error calling {name}: {why}")))?
                }
                Some((operand, [])) if last.is_none() => self.operand(operand, dot, pipeline)?,
                _ => return Err(at(pipeline, "can't give argument to non-function")),
            });
        }
        Ok(last.unwrap_or_default())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value, pipeline: &Pipeline) -> Result<Value, String> {
        let (value, fields) = match operand {
            Operand::Literal(value) => return Ok(value.clone()),
            Operand::Function(name) => return call(name, &[]).map_err(|why| at(pipeline, &why)),
            Operand::Dot(fields) => (dot.clone(), fields),
            Operand::Nested(inner, fields) => (self.value(inner, dot)?, fields),
            Operand::Variable(name, fields) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                (known.map(|(_, value)| value.clone()).unwrap_or_default(), fields)
            }
        };
        let mut value = value;
        for field in fields {
            value = match value {
                Value::Object(mut map) => match map.remove(field) {
                    Some(found) => found,
                    None if self.strict => return Err(at(pipeline, &format!("map has no entry for key {field:?}"))),
                    None => Value::Null,
                },
                Value::Null if !self.strict => Value::Null,
                Value::Null => return Err(at(pipeline, &format!("nil data; no entry for key {field:?}"))),
                _ => return Err(at(pipeline, &format!("can't evaluate field {field} in type interface {{}}"))),
            };
        }
        Ok(value)
    }
}

fn at(pipeline: &Pipeline, why: &str) -> String {
    format!("template: output:1: executing \"output\" at <{}>: {why}", pipeline.text)
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn call(name: &str, values: &[Value]) -> Result<Value, String> {
    let wants = |count: usize| match values.len() {
        got if got == count => Ok(()),
        got => Err(format!("wrong number of args for {name}: want {count} got {got}")),
    };
    Ok(match (name, values) {
        ("and" | "or", values) => values.last().cloned().ok_or("wrong number of args: want at least 1 got 0")?,
        ("not", values) => {
            wants(1)?;
            (!truth(&values[0])).into()
        }
        ("len", values) => {
            wants(1)?;
            length(&values[0])?.into()
        }
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            others.iter().try_fold(false, |any, other| Ok::<_, String>(any || equal(first, other)?))?.into()
        }
        ("ne", [a, b]) => (!equal(a, b)?).into(),
        ("lt" | "le" | "gt" | "ge", [a, b]) => {
            let order = order(a, b)?;
            match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
            .into()
        }
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key))?,
        ("exists", [value, keys @ ..]) => keys
            .iter()
            .try_fold(value.clone(), |value, key| index(&value, key).ok().filter(|found| !found.is_null()))
            .is_some()
            .into(),
        ("slice", [Value::String(text), from]) => cut(text, from, &text.len().into())?.into(),
        ("slice", [Value::String(text), from, to]) => cut(text, from, to)?.into(),
        ("print", values) => print(values).into(),
        ("println", values) => println(values).into(),
        ("printf", [Value::String(format), values @ ..]) => printf(format, values).into(),
        ("html", values) => {
            let text = print(values).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.replace('"', "&#34;").replace('\'', "&#39;").into()
        }
        ("urlquery", values) => {
            let mut text = String::new();
            client::rest::percent_encode(&print(values), &mut text);
            text.into()
        }
        ("base64decode", [Value::String(text)]) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| error.to_string())?;
            String::from_utf8_lossy(&bytes).into_owned().into()
        }
        _ => return Err(format!("wrong type or number of args for {name}")),
    })
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(map) => Ok(map.len()),
        Value::Null => Err("len of nil pointer".into()),
        _ => Err("len of type interface {}".into()),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    match (a, b) {
        (Value::Null, other) | (other, Value::Null) => Ok(other.is_null()),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        _ => order(a, b).map(|order| order == Ordering::Equal),
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Number(x), Value::Number(y)) if x.is_f64() == y.is_f64() => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => Ok(x.cmp(&y)),
            _ => Ok(x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal)),
        },
        (Value::Array(_) | Value::Object(_), _) | (_, Value::Array(_) | Value::Object(_)) => {
            Err("non-comparable type".into())
        }
        _ => Err("incompatible types for comparison".into()),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(map), Value::String(key)) => Ok(map.get(key).cloned().unwrap_or_default()),
        (Value::Array(items), Value::Number(number)) => {
            let place = number.as_u64().and_then(|place| items.get(usize::try_from(place).ok()?));
            place.cloned().ok_or_else(|| format!("index out of range: {number}"))
        }
        (Value::Null, _) => Err("index of untyped nil".into()),
        (Value::Object(_), _) => Err("value has wrong type for map key".into()),
        _ => Err("can't index item of this type".into()),
    }
}

fn cut(text: &str, from: &Value, to: &Value) -> Result<String, String> {
    let place = |value: &Value| value.as_u64().and_then(|place| usize::try_from(place).ok());
    let part = place(from).zip(place(to)).and_then(|(from, to)| text.get(from..to));
    part.map(str::to_string).ok_or_else(|| "index out of range".into())
}
