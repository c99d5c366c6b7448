//! One pass over the JSON of an object that notes where things are, without building a tree: about a microsecond for a pod,
//! where `serde_json::Value` takes twenty. What it notes are positions, so that a cached object costs its bytes and little more.
//!
//! Worked example, with `^` where the resourceVersion will be spliced in (the place that keeps the members sorted):
//!
//! ```text
//! {"kind":"Pod","metadata":{"labels":{"app":"x"},"name":"a",^"uid":"1"},"spec":{"nodeName":"n"}}
//! spans: row spec.nodeName -> n; then label pairs: app, x
//! ```
//!
//! It relies on the bytes being JSON that this server wrote; of damaged bytes it says so or notes nonsense inside the bounds, and
//! never panics.

use std::ops::Range;

use super::fields::Row;

/// A piece of text: inside the JSON, or (an offset past its end) inside [`Scan::unescaped`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    /// Not there.
    pub(super) const ABSENT: Self = Self { start: u32::MAX, len: 0 };
}

/// How the resourceVersion gets into the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As a member before another one.
    Before,
    /// As a member after another one.
    After,
    /// As the only member.
    Alone,
    /// In place of the value that is there.
    Value,
}

/// Where the resourceVersion goes: `json[..from]`, it in this form, `json[until..]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) from: u32,
    pub(super) until: u32,
    pub(super) form: Form,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) splice: Splice,
    /// The metadata object, braces included.
    pub(super) metadata: Range<u32>,
    /// One per row, then pairs of label and value.
    pub(super) spans: Vec<Span>,
    /// Texts that had escapes.
    pub(super) unescaped: String,
}

/// Not an object as this server stores them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("stored object is damaged at byte {at}: expected {expected}")]
pub struct Damaged {
    /// Where.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

/// Scans an object for its metadata, labels and `rows`.
pub(super) fn scan(json: &[u8], rows: &'static [Row]) -> Result<Scan, Damaged> {
    let mut scanner =
        Scanner { json, at: 0, rows, spans: vec![Span::ABSENT; rows.len()], unescaped: String::new(), found: None };
    if u32::try_from(json.len()).is_err() {
        return Err(scanner.damaged("less than 4 GiB"));
    }
    // Rows without a path are never found.
    let wanted = rows.iter().enumerate().filter(|(_, row)| !row.path.is_empty()).fold(0, |mask, (i, _)| mask | 1 << i);
    scanner.object(wanted, 0)?;
    scanner.space();
    if scanner.at != json.len() {
        return Err(scanner.damaged("the end"));
    }
    match scanner.found {
        Some((splice, metadata)) => Ok(Scan { splice, metadata, spans: scanner.spans, unescaped: scanner.unescaped }),
        None => Err(scanner.damaged("metadata")),
    }
}

/// A string: its content without the quotes.
struct Text {
    range: Range<usize>,
    escaped: bool,
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    rows: &'static [Row],
    spans: Vec<Span>,
    unescaped: String,
    found: Option<(Splice, Range<u32>)>,
}

impl Scanner<'_> {
    fn damaged(&self, expected: &'static str) -> Damaged {
        Damaged { at: self.at, expected }
    }

    fn peek(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// The next byte after white space, consumed, must be `byte`.
    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Damaged> {
        self.space();
        if self.peek() != byte {
            return Err(self.damaged(expected));
        }
        self.at += 1;
        Ok(())
    }

    fn text(&mut self) -> Result<Text, Damaged> {
        self.expect(b'"', "a string")?;
        let (start, mut escaped) = (self.at, false);
        loop {
            match self.json.get(self.at) {
                None => return Err(self.damaged("the end of a string")),
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(_) => self.at += 1,
            }
        }
        let range = start..self.at;
        self.at += 1;
        Ok(Text { range, escaped })
    }

    /// Passes over a value of any kind, without recursion.
    fn skip(&mut self) -> Result<(), Damaged> {
        self.space();
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'"' => {
                    self.text()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                _ if depth > 0 && self.at < self.json.len() => self.at += 1,
                _ => {
                    self.scalar()?;
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<Range<usize>, Damaged> {
        let start = self.at;
        while matches!(self.peek(), b'a'..=b'z' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E') {
            self.at += 1;
        }
        if start == self.at { Err(self.damaged("a value")) } else { Ok(start..self.at) }
    }

    fn span(&mut self, text: &Text) -> Result<Span, Damaged> {
        if !text.escaped {
            return Ok(Span { start: text.range.start as u32, len: text.range.len() as u32 });
        }
        let quoted = &self.json[text.range.start - 1..=text.range.end];
        let plain: String = serde_json::from_slice(quoted).map_err(|_| self.damaged("valid escapes"))?;
        let start = (self.json.len() + self.unescaped.len()) as u32;
        self.unescaped.push_str(&plain);
        Ok(Span { start, len: plain.len() as u32 })
    }

    /// Members of an object. The `wanted` rows have matched as far as `depth`.
    fn object(&mut self, wanted: u32, depth: usize) -> Result<(), Damaged> {
        self.expect(b'{', "an object")?;
        self.space();
        while self.peek() != b'}' {
            let key = self.text()?;
            self.expect(b':', "a colon")?;
            let json = self.json;
            let name = &json[key.range];
            if depth == 0 && name == b"metadata" {
                self.metadata()?;
            } else {
                self.member(self.narrow(wanted, depth, name), depth + 1)?;
            }
            self.separator(b'}')?;
        }
        self.at += 1;
        Ok(())
    }

    /// Elements of an array, by index.
    fn array(&mut self, wanted: u32, depth: usize) -> Result<(), Damaged> {
        self.expect(b'[', "an array")?;
        self.space();
        let mut index = 0_u8;
        while self.peek() != b']' {
            // Rows name single digits only.
            let name = [b'0'.saturating_add(index)];
            let narrowed = if index < 10 { self.narrow(wanted, depth, &name) } else { 0 };
            self.member(narrowed, depth + 1)?;
            index = index.saturating_add(1);
            self.separator(b']')?;
        }
        self.at += 1;
        Ok(())
    }

    fn separator(&mut self, end: u8) -> Result<(), Damaged> {
        self.space();
        if self.peek() == b',' {
            self.at += 1;
            self.space();
            // A comma before the end would make the loops of the callers stop in front of it.
            if self.peek() == end { Err(self.damaged("a member")) } else { Ok(()) }
        } else if self.peek() == end {
            Ok(())
        } else {
            Err(self.damaged("a comma"))
        }
    }

    fn narrow(&self, wanted: u32, depth: usize, name: &[u8]) -> u32 {
        let (mut rest, mut narrowed) = (wanted, 0);
        while rest != 0 {
            let row = rest.trailing_zeros();
            rest &= rest - 1;
            let step = self.rows.get(row as usize).and_then(|row| row.path.get(depth));
            if step.is_some_and(|step| step.as_bytes() == name) {
                narrowed |= 1 << row;
            }
        }
        narrowed
    }

    /// A value that the `wanted` rows have led to.
    fn member(&mut self, wanted: u32, depth: usize) -> Result<(), Damaged> {
        if wanted == 0 {
            return self.skip();
        }
        self.space();
        match self.peek() {
            b'{' => self.object(wanted, depth),
            b'[' => self.array(wanted, depth),
            b'"' => {
                let text = self.text()?;
                let span = self.span(&text)?;
                self.note(wanted, depth, span);
                Ok(())
            }
            _ => {
                let range = self.scalar()?;
                if &self.json[range.clone()] != b"null" {
                    self.note(wanted, depth, Span { start: range.start as u32, len: range.len() as u32 });
                }
                Ok(())
            }
        }
    }

    fn note(&mut self, wanted: u32, depth: usize, span: Span) {
        for (index, row) in self.rows.iter().enumerate() {
            if wanted & (1 << index) != 0 && row.path.len() == depth {
                self.spans[index] = span;
            }
        }
    }

    fn metadata(&mut self) -> Result<(), Damaged> {
        self.space();
        let start = self.at;
        self.expect(b'{', "metadata to be an object")?;
        self.space();
        let (mut splice, mut last) = (None, None);
        while self.peek() != b'}' {
            let before = self.at as u32;
            let key = self.text()?;
            self.expect(b':', "a colon")?;
            self.space();
            let value = self.at as u32;
            let json = self.json;
            match &json[key.range] {
                b"labels" if self.peek() == b'{' => self.labels()?,
                b"resourceVersion" => {
                    self.skip()?;
                    splice = Some(Splice { from: value, until: self.at as u32, form: Form::Value });
                }
                name => {
                    if splice.is_none() && name > b"resourceVersion".as_slice() {
                        splice = Some(Splice { from: before, until: before, form: Form::Before });
                    }
                    self.skip()?;
                }
            }
            last = Some(self.at as u32);
            self.separator(b'}')?;
        }
        self.at += 1;
        let splice = splice.unwrap_or_else(|| match last {
            Some(end) => Splice { from: end, until: end, form: Form::After },
            None => Splice { from: self.at as u32 - 1, until: self.at as u32 - 1, form: Form::Alone },
        });
        self.found = Some((splice, start as u32..self.at as u32));
        Ok(())
    }

    fn labels(&mut self) -> Result<(), Damaged> {
        self.expect(b'{', "an object")?;
        self.space();
        while self.peek() != b'}' {
            let key = self.text()?;
            let key = self.span(&key)?;
            self.expect(b':', "a colon")?;
            self.space();
            if self.peek() == b'"' {
                let value = self.text()?;
                let value = self.span(&value)?;
                self.spans.extend([key, value]);
            } else {
                self.skip()?;
            }
            self.separator(b'}')?;
        }
        self.at += 1;
        Ok(())
    }
}

/// Takes `metadata.resourceVersion` out of an object: it is not stored, the store's own revision is the truth.
pub(super) fn strip_resource_version(json: &mut Vec<u8>) -> Result<(), Damaged> {
    let found = scan(json, &[])?;
    if found.splice.form != Form::Value {
        return Ok(());
    }
    let is_space = |byte: &u8| byte.is_ascii_whitespace();
    let (value, end) = (found.splice.from as usize, found.metadata.end as usize);
    // Back over `"resourceVersion"`, the colon and white space.
    let colon = value - json[..value].iter().rev().take_while(|byte| is_space(byte)).count() - 1;
    let quote = colon - json[..colon].iter().rev().take_while(|byte| is_space(byte)).count();
    let mut from = quote - "\"resourceVersion\"".len();
    let mut until = found.splice.until as usize;
    until += json[until..end].iter().take_while(|byte| is_space(byte)).count();
    if json.get(until) == Some(&b',') {
        until += 1;
    } else {
        let spaces = json[..from].iter().rev().take_while(|byte| is_space(byte)).count();
        if json.get(from - spaces - 1) == Some(&b',') {
            from -= spaces + 1;
        }
    }
    json.drain(from..until);
    Ok(())
}

#[cfg(test)]
mod tests;
