//! Evaluation (client-go, util/jsonpath/jsonpath.go). Maps are walked in the order of their keys, where upstream's order is random.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Error, Part, Slice, Step};
use crate::patch::{go_kind, go_text};
use crate::yaml::go_float;

type Found<'a> = Vec<Cow<'a, Value>>;

fn error<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error(message.into()))
}

pub(super) fn parts(parts: &[Part], value: &Value, missing_keys: bool) -> Result<Vec<Vec<Value>>, Error> {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Text(text) => all.push(vec![Value::from(text.as_str())]),
            Part::StrayEnd => return error("not in range, nothing to end"),
            Part::Action(steps) => {
                let found = walk(vec![Cow::Borrowed(value)], steps, missing_keys)?;
                all.push(found.into_iter().map(Cow::into_owned).collect());
            }
            Part::Range(steps, body) => {
                for item in walk(vec![Cow::Borrowed(value)], steps, missing_keys)? {
                    all.extend(self::parts(body, &item, missing_keys)?);
                }
            }
        }
    }
    Ok(all)
}

fn walk<'a>(mut found: Found<'a>, steps: &[Step], missing_keys: bool) -> Result<Found<'a>, Error> {
    for step in steps {
        found = one(found, step, missing_keys)?;
    }
    Ok(found)
}

fn one<'a>(input: Found<'a>, step: &Step, missing_keys: bool) -> Result<Found<'a>, Error> {
    let each = |value: Value| Ok(input.iter().map(|_| Cow::Owned(value.clone())).collect());
    match step {
        Step::Text(text) => Ok(vec![Cow::Owned(text.as_str().into())]),
        Step::Int(number) => each((*number).into()),
        Step::Float(number) => each((*number).into()),
        Step::Bool(flag) => each((*flag).into()),
        Step::Field(name) => field(input, name, missing_keys),
        Step::Wildcard => Ok(input.into_iter().flat_map(children).collect()),
        Step::Recursive => {
            let mut found = Vec::new();
            input.into_iter().for_each(|value| descend(value, &mut found));
            Ok(found)
        }
        Step::Slice(slice) => {
            let mut found = Vec::new();
            for value in input {
                found.extend(elements(value, *slice)?);
            }
            Ok(found)
        }
        Step::Union(members) => {
            let mut found = Vec::new();
            for member in members {
                found.extend(walk(input.clone(), member, missing_keys)?);
            }
            Ok(found)
        }
        Step::Filter { left, operator, right } => {
            let mut found = Vec::new();
            for value in input {
                found.extend(filter(value, left, operator, right, missing_keys)?);
            }
            Ok(found)
        }
        Step::Unknown(word) => error(format!("unrecognized identifier {word}")),
    }
}

fn field<'a>(input: Found<'a>, name: &str, missing_keys: bool) -> Result<Found<'a>, Error> {
    if input.is_empty() {
        return Ok(input);
    }
    let get = |value: Cow<'a, Value>| match value {
        Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.get(name).cloned().map(Cow::Owned),
    };
    let found: Found<'a> = input.into_iter().filter_map(get).collect();
    if found.is_empty() && !missing_keys {
        return error(format!("{name} is not found"));
    }
    Ok(found)
}

fn children(value: Cow<'_, Value>) -> Found<'_> {
    match value {
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Array(list)) => list.iter().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
        Cow::Owned(Value::Array(list)) => list.into_iter().map(Cow::Owned).collect(),
        _ => Vec::new(),
    }
}

/// A value with everything in it, itself first; empty and scalar values but texts are left out, as upstream does.
fn descend<'a>(value: Cow<'a, Value>, found: &mut Found<'a>) {
    let text = value.as_str().is_some_and(|text| !text.is_empty());
    let inner = children(value.clone());
    if text || !inner.is_empty() {
        found.push(value);
        inner.into_iter().for_each(|value| descend(value, found));
    }
}

fn elements<'a>(value: Cow<'a, Value>, slice: Slice) -> Result<Found<'a>, Error> {
    let length = match value.as_ref() {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => i64::try_from(list.len()).unwrap_or(i64::MAX),
        other => return error(format!("{} is not array or slice", go_kind(other))),
    };
    let from_end = |index: i64| if index < 0 { index + length } else { index };
    let start = from_end(slice.start.unwrap_or(0));
    let end = match (slice.single, slice.end) {
        // `[-1]`: one past the last is the length, not 0.
        (true, _) => match slice.start.unwrap_or(0) + 1 {
            0 => length,
            end => from_end(end),
        },
        (false, Some(end)) => from_end(end),
        (false, None) => length,
    };
    if start == end {
        return Ok(Vec::new());
    }
    if !(0..length).contains(&start) {
        return error(format!("array index out of bounds: index {start}, length {length}"));
    }
    if !(0..=length).contains(&end) {
        return error(format!("array index out of bounds: index {}, length {length}", end - 1));
    }
    if start > end {
        return error(format!("starting index {start} is greater than ending index {end}"));
    }
    let step = slice.step.unwrap_or(1);
    let (Ok(step), Ok(start), Ok(count)) =
        (usize::try_from(step), usize::try_from(start), usize::try_from(end - start))
    else {
        return error("step must be > 0");
    };
    if step == 0 {
        return error("step must be > 0");
    }
    Ok(children(value).into_iter().skip(start).take(count).step_by(step).collect())
}

fn filter<'a>(
    value: Cow<'a, Value>,
    left: &[Step],
    operator: &str,
    right: &[Step],
    missing_keys: bool,
) -> Result<Found<'a>, Error> {
    if !value.is_array() {
        return error(format!("{} is not array or slice and cannot be filtered", go_text(&value)));
    }
    let mut found = Vec::new();
    for item in children(value) {
        let lefts = walk(vec![Cow::Borrowed(item.as_ref())], left, missing_keys);
        if operator == "exists" {
            if lefts.is_ok_and(|lefts| !lefts.is_empty()) {
                found.push(item);
            }
            continue;
        }
        let lefts = lefts?;
        if lefts.is_empty() {
            continue;
        }
        let rights = walk(vec![Cow::Borrowed(item.as_ref())], right, missing_keys)?;
        if lefts.len() > 1 || rights.len() > 1 {
            return error("can only compare one element at a time");
        }
        let (Some(left), Some(right)) = (lefts.first(), rights.first()) else { continue };
        let passes = compare(left, operator, right)?;
        drop((lefts, rights));
        if passes {
            found.push(item);
        }
    }
    Ok(found)
}

/// Comparison as text/template does it: only of two texts, two integers, two floats or two booleans.
fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, Error> {
    let order = match (left, right) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Less)
        }
        (Value::Number(a), Value::Number(b)) if !a.is_f64() && !b.is_f64() => {
            (a.as_i64().map(i128::from).or(a.as_u64().map(i128::from)))
                .cmp(&b.as_i64().map(i128::from).or(b.as_u64().map(i128::from)))
        }
        (Value::Bool(a), Value::Bool(b)) if matches!(operator, "==" | "!=") => a.cmp(b),
        (Value::Bool(_), Value::Bool(_)) => return error("invalid type for comparison"),
        (a, b) if [a, b].iter().any(|v| v.is_null() || v.is_array() || v.is_object()) => {
            return error("invalid type for comparison");
        }
        _ => return error("incompatible types for comparison"),
    };
    Ok(match operator {
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<=" => order.is_le(),
        ">=" => order.is_ge(),
        _ => return error(format!("unrecognized filter operator {operator}")),
    })
}

/// A value in the output.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => go_float(number.as_f64().unwrap_or_default()),
        Value::Object(_) | Value::Array(_) => html_safe(&value.to_string()),
        scalar => scalar.to_string(),
    }
}

/// A list as JSON indented by four spaces.
pub(super) fn indented(list: &[Value]) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match serde::Serialize::serialize(list, &mut serializer) {
        Ok(()) => html_safe(&String::from_utf8_lossy(&out)) + "\n",
        Err(_) => String::new(), // values always serialize
    }
}

/// JSON with the escapes of Go's encoder, which is made for HTML.
fn html_safe(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
