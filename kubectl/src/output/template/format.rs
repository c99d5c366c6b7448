//! `print` and `printf` as Go's fmt does them for what JSON holds.

use std::fmt::Write;

use serde_json::Value;

use crate::output::go;

/// Go's name of a value's type.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() || number.is_u64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// `fmt.Sprint`: spaces between two operands of which neither is a text.
pub fn print(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &values[before]);
        if before.is_some_and(|before| !before.is_string() && !value.is_string()) {
            out.push(' ');
        }
        out.push_str(&go(value));
    }
    out
}

/// `fmt.Sprintln`.
pub fn println(values: &[Value]) -> String {
    values.iter().map(go).collect::<Vec<_>>().join(" ") + "\n"
}

/// `fmt.Sprintf`.
pub fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let (mut chars, mut values) = (format.chars().peekable(), values.iter());
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.next_if(|next| "-+0 #".contains(*next)) {
            match flag {
                '-' => spec.left = true,
                '0' => spec.zeros = true,
                '+' => spec.sign = true,
                _ => {}
            }
        }
        spec.width = number(&mut chars).unwrap_or(0);
        if chars.next_if_eq(&'.').is_some() {
            spec.precision = Some(number(&mut chars).unwrap_or(0));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.next() {
                Some(value) => out.push_str(&spec.padded(spec.one(verb, value))),
                None => {
                    let _ = write!(out, "%!{verb}(MISSING)");
                }
            },
        }
    }
    let extra: Vec<String> = values.map(|value| format!("{}={}", type_of(value), go(value))).collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// Widths in templates are small; a greater one is cut.
const MOST_WIDTH: usize = 10_000;

fn number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut found = None;
    while let Some(digit) = chars.peek().and_then(|next| next.to_digit(10)) {
        chars.next();
        found = Some((found.unwrap_or(0usize) * 10 + digit as usize).min(MOST_WIDTH));
    }
    found
}

#[derive(Default)]
struct Spec {
    left: bool,
    zeros: bool,
    sign: bool,
    width: usize,
    precision: Option<usize>,
}

impl Spec {
    fn one(&self, verb: char, value: &Value) -> String {
        let plus = |text: String| if self.sign && !text.starts_with('-') { format!("+{text}") } else { text };
        let wrong = || format!("%!{verb}({}={})", type_of(value), go(value));
        match (verb, value) {
            ('v', value) => go(value),
            ('T', value) => type_of(value).into(),
            ('s', Value::String(text)) => match self.precision {
                Some(most) => text.chars().take(most).collect(),
                None => text.clone(),
            },
            ('s', Value::Array(_) | Value::Object(_)) => go(value),
            ('q', Value::String(text)) => format!("{text:?}"),
            ('t', Value::Bool(truth)) => truth.to_string(),
            ('d', Value::Number(number)) if type_of(value) == "int64" => plus(number.to_string()),
            ('x', Value::Number(number)) if number.is_u64() => format!("{:x}", number.as_u64().unwrap_or_default()),
            ('x', Value::String(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('c', Value::Number(number)) => {
                let char = number.as_u64().and_then(|code| char::from_u32(u32::try_from(code).ok()?));
                char.map(String::from).unwrap_or_default()
            }
            ('f' | 'F', Value::Number(number)) if type_of(value) == "float64" => {
                plus(format!("{:.*}", self.precision.unwrap_or(6), number.as_f64().unwrap_or_default()))
            }
            ('g', Value::Number(number)) if type_of(value) == "float64" => plus(number.to_string()),
            _ => wrong(),
        }
    }

    fn padded(&self, text: String) -> String {
        let missing = self.width.saturating_sub(text.chars().count());
        match (self.left, self.zeros) {
            (true, _) => text + &" ".repeat(missing),
            (false, true) => "0".repeat(missing) + &text,
            (false, false) => " ".repeat(missing) + &text,
        }
    }
}
