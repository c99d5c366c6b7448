//! The grammar (client-go, util/jsonpath/parser.go), down to its oddities: backslashes vanish from field names, a quoted key in
//! brackets is read as a field path once more, `$` and `@` mean nothing.

use super::{Error, Part, Slice, Step};

/// How deep actions within actions (filters, unions) may go.
const MAX_DEPTH: usize = 50;

fn error<T>(message: impl Into<String>) -> Result<T, Error> {
    Err(Error(message.into()))
}

/// The parts of a template; ranges hold what stands up to their end.
pub(super) fn template(text: &str) -> Result<Vec<Part>, Error> {
    let mut open: Vec<(Vec<Step>, Vec<Part>)> = Vec::new();
    let mut parts = Vec::new();
    for part in flat(text, 0)? {
        match part {
            Part::Action(mut steps) if steps.iter().any(|step| *step == Step::Unknown("range".into())) => {
                steps.retain(|step| *step != Step::Unknown("range".into()));
                open.push((steps, std::mem::take(&mut parts)));
            }
            Part::Action(steps) if steps.iter().any(|step| *step == Step::Unknown("end".into())) => match open.pop() {
                Some((range, before)) => {
                    let body = std::mem::replace(&mut parts, before);
                    parts.push(Part::Range(range, body));
                }
                None => parts.push(Part::StrayEnd),
            },
            part => parts.push(part),
        }
    }
    // A range without an end reaches to the end of the template.
    while let Some((range, before)) = open.pop() {
        let body = std::mem::replace(&mut parts, before);
        parts.push(Part::Range(range, body));
    }
    Ok(parts)
}

/// A path as kubectl's `--sort-by` and custom columns accept it, in braces: `a.b`, `.a.b`, `{a.b}` and `{.a.b}` are the same.
pub fn relaxed(path: &str) -> Result<String, Error> {
    if path.is_empty() {
        return Ok(String::new());
    }
    let inner = path.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(path);
    let inner = inner.strip_prefix('.').unwrap_or(inner);
    if inner.is_empty() || inner.contains(['{', '}']) {
        return error(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'",
        );
    }
    Ok(format!("{{.{inner}}}"))
}

fn flat(text: &str, depth: usize) -> Result<Vec<Part>, Error> {
    if depth > MAX_DEPTH {
        return error("template is nested too deeply");
    }
    let mut parts = Vec::new();
    let mut parser = Parser { rest: text, depth };
    while !parser.rest.is_empty() {
        let open = parser.rest.find('{').unwrap_or(parser.rest.len());
        let (before, rest) = parser.rest.split_at(open);
        if !before.is_empty() {
            parts.push(Part::Text(before.into()));
        }
        parser.rest = rest;
        if let Some(rest) = rest.strip_prefix('{') {
            parser.rest = rest;
            parts.push(Part::Action(parser.action()?));
        }
    }
    Ok(parts)
}

/// The steps of `{text}`.
fn action(text: &str, depth: usize) -> Result<Vec<Step>, Error> {
    match flat(&format!("{{{text}}}"), depth + 1)?.into_iter().next() {
        Some(Part::Action(steps)) => Ok(steps),
        _ => Ok(Vec::new()),
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

fn ends_name(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}')
}

impl<'a> Parser<'a> {
    fn action(&mut self) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        loop {
            if self.eat("}") {
                return Ok(steps);
            }
            if self.eat("[?(") {
                steps.push(self.filter()?);
                continue;
            }
            if self.eat("..") {
                if steps.last() == Some(&Step::Recursive) {
                    return error("invalid multiple recursive descent");
                }
                steps.push(Step::Recursive);
                if self.rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
                    steps.push(self.field());
                }
                continue;
            }
            let Some(first) = self.rest.chars().next().filter(|c| !matches!(c, '\r' | '\n')) else {
                return error("unclosed action");
            };
            match first {
                ' ' | '@' | '$' => self.skip(1),
                '[' => steps.extend(self.brackets()?),
                '"' | '\'' => steps.push(self.quoted(first)?),
                '.' => {
                    self.skip(1);
                    steps.push(self.field());
                }
                '+' | '-' | '0'..='9' => steps.push(self.number()?),
                c if c == '_' || c.is_alphanumeric() => steps.push(self.word()),
                c => return error(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c))),
            }
        }
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// A name up to the next character that ends one; a backslash takes the character after it along.
    fn field(&mut self) -> Step {
        let (mut end, mut escaped) = (self.rest.len(), false);
        for (at, c) in self.rest.char_indices() {
            if !escaped && ends_name(c) {
                end = at;
                break;
            }
            escaped = !escaped && c == '\\';
        }
        match self.take(end) {
            "*" => Step::Wildcard,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    fn word(&mut self) -> Step {
        let end = self.rest.find(ends_name).unwrap_or(self.rest.len());
        match self.take(end) {
            "true" => Step::Bool(true),
            "false" => Step::Bool(false),
            word => Step::Unknown(word.into()),
        }
    }

    fn number(&mut self) -> Result<Step, Error> {
        let sign = usize::from(self.rest.starts_with(['+', '-']));
        let digits = self.rest[sign..].find(|c: char| c != '.' && !c.is_ascii_digit());
        let text = self.take(digits.map_or(self.rest.len(), |end| end + sign));
        match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => Ok(Step::Int(number)),
            (_, Ok(number)) => Ok(Step::Float(number)),
            _ => error(format!("cannot parse number {text}")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Step, Error> {
        let mut before = quote;
        for (at, c) in self.rest.char_indices().skip(1) {
            if c == '\n' {
                break;
            }
            if c == quote && before != '\\' {
                let text = self.take(at + 1);
                return match unquote(&text[1..at], quote) {
                    Some(text) => Ok(Step::Text(text)),
                    None => error(format!("unquote string {text} error invalid syntax")),
                };
            }
            before = c;
        }
        error("unterminated quoted string")
    }

    /// `[*]`, `[0]`, `[1:3:2]`, `['key']`, or several of them.
    fn brackets(&mut self) -> Result<Vec<Step>, Error> {
        let end = self.rest.find([']', '\n']).filter(|end| self.rest[*end..].starts_with(']'));
        let Some(end) = end else { return error("unterminated array") };
        let text = self.take(end + 1);
        let text = &text[1..end];
        let text = if text == "*" { ":" } else { text };
        if text.contains(',') {
            let member = |part: &str| action(&format!("[{}]", part.trim_matches(' ')), self.depth);
            return Ok(vec![Step::Union(text.split(',').map(member).collect::<Result<_, _>>()?)]);
        }
        let key = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        if let Some(key) = key.filter(|key| !key.contains('\'')) {
            return action(&format!(".{key}"), self.depth);
        }
        slice(text).map(|slice| vec![Step::Slice(slice)])
    }

    /// `[?(left operator right)]` or `[?(path)]`; a quoted text may contain anything.
    fn filter(&mut self) -> Result<Step, Error> {
        let (mut pair, mut closed, mut before) = (None, false, '\0');
        let mut end = None;
        for (at, c) in self.rest.char_indices() {
            match c {
                '\n' => break,
                '"' | '\'' if pair.is_none() => pair = Some(c),
                '"' | '\'' if before != '\\' && pair == Some(c) => closed = true,
                ')' if pair.is_some() == closed => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
            before = c;
        }
        let Some(end) = end else { return error("unterminated filter") };
        let text = self.take(end);
        self.skip(1);
        if !self.eat("]") {
            return error("unclosed array expect ]");
        }
        let is_operator = |c: char| matches!(c, '!' | '<' | '>' | '=');
        let start = text.find(is_operator).filter(|start| *start > 0);
        let comparison = start.and_then(|start| {
            let run = text[start..].find(|c| !is_operator(c)).map(|length| start + length)?;
            Some((&text[..start], &text[start..run], &text[run..]))
        });
        Ok(match comparison {
            Some((left, operator, right)) => Step::Filter {
                left: action(left, self.depth)?,
                operator: operator.into(),
                right: action(right, self.depth)?,
            },
            None => Step::Filter { left: action(text, self.depth)?, operator: "exists".into(), right: Vec::new() },
        })
    }
}

fn slice(text: &str) -> Result<Slice, Error> {
    let parts: Vec<&str> = text.split(':').collect();
    let invalid = || Error(format!("invalid array index {text}"));
    let number = |part: &str| match part {
        "" => Ok(None),
        part if part.strip_prefix('-').unwrap_or(part).bytes().all(|b| b.is_ascii_digit()) => match part.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => error(format!("array index {part} is not a number")),
        },
        _ => Err(invalid()),
    };
    match parts.as_slice() {
        [index] => Ok(Slice { start: number(index)?, end: None, step: None, single: true }),
        [start, end] => Ok(Slice { start: number(start)?, end: number(end)?, step: None, single: false }),
        [start, end, step] => {
            Ok(Slice { start: number(start)?, end: number(end)?, step: number(step)?, single: false })
        }
        _ => Err(invalid()),
    }
}

/// Go's escapes within quotes.
fn unquote(text: &str, quote: char) -> Option<String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let kind = chars.next()?;
        let mut code = |length: usize, radix: u32, first: Option<char>| -> Option<char> {
            let digits: String = first.into_iter().chain(chars.by_ref()).take(length).collect();
            let code = u32::from_str_radix(&digits, radix).ok().filter(|_| digits.chars().count() == length)?;
            char::from_u32(code)
        };
        let escaped = match kind {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            'x' => code(2, 16, None)?,
            'u' => code(4, 16, None)?,
            'U' => code(8, 16, None)?,
            digit @ '0'..='7' => code(3, 8, Some(digit))?,
            c if c == quote => c,
            _ => return None,
        };
        plain.push(escaped);
    }
    Some(plain)
}
