//! Writing: block style with two spaces, sequences not indented under their key, strings quoted only where they must be, text of
//! several lines as literal blocks, long lines folded at spaces after column 80, keys in go-yaml's natural order.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::scalar::{Style, float_text, is_odd_break, is_printable, style};

const WIDTH: usize = 80;
/// Longer keys, and those with line breaks, stand on a line of their own behind `? `.
const LONGEST_SIMPLE_KEY: usize = 128;

/// A value as a YAML document, ending in a newline.
pub fn write(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0),
        Value::Array(list) if !list.is_empty() => writer.list(list, 0),
        scalar => writer.scalar(scalar, 2),
    }
    writer.fresh_line();
    writer.out
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn put(&mut self, c: char) {
        self.out.push(c);
        self.column += 1;
    }

    fn fresh_line(&mut self) {
        if self.column > 0 {
            self.out.push('\n');
            self.column = 0;
        }
    }

    /// Goes to column `indent`: on a new line, unless nothing but space stands on this one up to there.
    fn indent(&mut self, indent: usize) {
        self.fresh_line();
        self.pad(indent);
    }

    fn pad(&mut self, indent: usize) {
        while self.column < indent {
            self.put(' ');
        }
    }

    /// The entries of a map at `indent`; the first may stand behind a `- `.
    fn map(&mut self, map: &Map<String, Value>, indent: usize) {
        for (index, (key, value)) in in_natural_order(map).into_iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            } else {
                self.pad(indent);
            }
            if key.len() <= LONGEST_SIMPLE_KEY && !key.contains(|c| c == '\n' || is_odd_break(c)) {
                self.string(key, indent + 2, true);
                self.put(':');
                self.value(value, indent, true);
            } else {
                self.push("? ");
                self.string(key, indent + 2, false);
                self.indent(indent);
                self.put(':');
                self.value(value, indent, false);
            }
        }
    }

    /// What follows a `:`.
    fn value(&mut self, value: &Value, indent: usize, below: bool) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                if below {
                    self.indent(indent + 2);
                } else {
                    self.put(' ');
                }
                self.map(map, indent + 2);
            }
            Value::Array(list) if !list.is_empty() => {
                if below {
                    self.indent(indent);
                    self.list(list, indent);
                } else {
                    self.put(' ');
                    self.list(list, indent + 2);
                }
            }
            scalar => {
                self.put(' ');
                self.scalar(scalar, indent + 2);
            }
        }
    }

    /// The items of a list at `indent`; the first may stand behind another `- `.
    fn list(&mut self, list: &[Value], indent: usize) {
        for (index, item) in list.iter().enumerate() {
            if index > 0 {
                self.indent(indent);
            } else {
                self.pad(indent);
            }
            self.push("- ");
            match item {
                Value::Object(map) if !map.is_empty() => self.map(map, indent + 2),
                Value::Array(list) if !list.is_empty() => self.list(list, indent + 2),
                scalar => self.scalar(scalar, indent + 2),
            }
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) if number.is_f64() => {
                self.push(&float_text(number.as_f64().unwrap_or_default(), None));
            }
            Value::Number(number) => self.push(&number.to_string()),
            Value::String(text) => self.string(text, indent, false),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
        }
    }

    /// A string whose further lines begin at `indent`.
    fn string(&mut self, text: &str, indent: usize, key: bool) {
        match style(text, key) {
            Style::Plain => self.folded(text, indent, key, false),
            Style::Single => {
                self.put('\'');
                self.folded(text, indent, key, true);
                self.put('\'');
            }
            Style::Double => self.double(text, indent, key),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Characters as they are; single spaces beyond the width become line breaks.
    fn folded(&mut self, text: &str, indent: usize, key: bool, quoted: bool) {
        let mut chars = text.char_indices().peekable();
        let mut after_space = false;
        while let Some((at, c)) = chars.next() {
            if c == ' ' {
                let next = chars.peek().map(|(_, next)| *next);
                let inside = !quoted || (at > 0 && next.is_some());
                if !key && !after_space && self.column > WIDTH && inside && next != Some(' ') {
                    self.indent(indent);
                } else {
                    self.put(' ');
                }
            } else {
                if quoted && c == '\'' {
                    self.put('\'');
                }
                self.put(c);
            }
            after_space = c == ' ';
        }
    }

    fn double(&mut self, text: &str, indent: usize, key: bool) {
        self.put('"');
        let mut chars = text.char_indices().peekable();
        let mut after_space = false;
        while let Some((at, c)) = chars.next() {
            if !is_printable(c) || is_odd_break(c) || matches!(c, '\n' | '"' | '\\') {
                self.push(&escaped(c));
            } else if c == ' ' && !key && !after_space && self.column > WIDTH && at > 0 && chars.peek().is_some() {
                self.indent(indent);
                if chars.peek().is_some_and(|(_, next)| *next == ' ') {
                    self.put('\\');
                }
            } else {
                self.put(c);
            }
            after_space = c == ' ';
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put('2');
        }
        if !text.ends_with('\n') {
            self.put('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.put('+');
        }
        self.out.push('\n');
        self.column = 0;
        for line in text.split_inclusive('\n') {
            let (line, ended) = line.strip_suffix('\n').map_or((line, false), |line| (line, true));
            if !line.is_empty() {
                self.pad(indent);
                self.push(line);
            }
            if ended {
                self.out.push('\n');
                self.column = 0;
            }
        }
    }
}

fn escaped(c: char) -> String {
    let short = match c {
        '\0' => "\\0",
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\x0b' => "\\v",
        '\x0c' => "\\f",
        '\r' => "\\r",
        '\x1b' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        _ => {
            return match u32::from(c) {
                code @ ..=0xff => format!("\\x{code:02X}"),
                code @ ..=0xffff => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            };
        }
    };
    short.into()
}

/// go-yaml's order of keys: letters after everything else, runs of digits by their value. The comparison is no total order, so
/// the keys are inserted one by one; a sort could refuse it.
fn in_natural_order(map: &Map<String, Value>) -> Vec<(&str, &Value)> {
    let mut sorted: Vec<(&str, &Value)> = Vec::with_capacity(map.len());
    for (key, value) in map {
        let place = sorted.partition_point(|(other, _)| natural(other, key) != Ordering::Greater);
        sorted.insert(place, (key, value));
    }
    sorted
}

fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (false, true) => return Ordering::Less,
        (true, false) => return Ordering::Greater,
        (false, false) => {}
    }
    // A zero within a number counts as a digit of it, not as the start of another one.
    let within = |text: &[char]| {
        text[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0') && (x == '0' || y == '0')
    };
    let start = i64::from(within(&a));
    let run = |text: &[char]| {
        let digits = text[at..].iter().take_while(|c| c.is_ascii_digit());
        digits.fold((start, 0), |(value, length): (i64, usize), digit| {
            let digit = i64::from(digit.to_digit(10).unwrap_or_default());
            (value.wrapping_mul(10).wrapping_add(digit), length + 1)
        })
    };
    run(&a).cmp(&run(&b)).then(x.cmp(&y))
}
