//! The pass over the text that makes the marks of a [`View`](super::View). Not a checker for people: bodies of requests go through
//! [`crate::decode`], which explains; here it is enough that nothing invalid is taken for something else.

use super::{Form, Invalid, Mark};
use crate::decode::{MAX_DEPTH, plain_len};

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    marks: &'a mut Vec<Mark>,
    unescaped: &'a mut String,
}

/// Fills `marks` and `unescaped`; marks point into the text only at the boundaries of characters.
pub(super) fn scan(text: &str, marks: &mut Vec<Mark>, unescaped: &mut String) -> Result<(), Invalid> {
    marks.clear();
    unescaped.clear();
    let mut scanner = Scanner { text, at: 0, marks, unescaped };
    if u32::try_from(text.len()).is_err() {
        return Err(scanner.invalid("less than 4 GiB"));
    }
    scanner.value(MAX_DEPTH)?;
    scanner.space();
    if scanner.at == text.len() { Ok(()) } else { Err(scanner.invalid("the end")) }
}

// Positions are below 4 GiB, as checked above; what is unescaped is shorter than what it stood for.
#[allow(clippy::cast_possible_truncation)]
impl Scanner<'_> {
    fn invalid(&self, expected: &'static str) -> Invalid {
        Invalid { at: self.at, expected }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Begins a mark; `end` and `next` are known later.
    fn begin(&mut self, form: Form) -> usize {
        let start = self.at as u32;
        self.marks.push(Mark { form, start, end: start, next: 0 });
        self.marks.len() - 1
    }

    fn end(&mut self, index: usize) {
        let next = self.marks.len() as u32;
        let mark = &mut self.marks[index];
        (mark.end, mark.next) = (self.at as u32, next);
    }

    fn value(&mut self, depth: u32) -> Result<(), Invalid> {
        self.space();
        match self.peek() {
            b'"' => self.string(),
            b'{' => self.container(Form::Object, b'}', depth),
            b'[' => self.container(Form::Array, b']', depth),
            b't' => self.literal("true", Form::True),
            b'f' => self.literal("false", Form::False),
            b'n' => self.literal("null", Form::Null),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.invalid("a value")),
        }
    }

    fn literal(&mut self, word: &str, form: Form) -> Result<(), Invalid> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.invalid("a value"));
        }
        let mark = self.begin(form);
        self.at += word.len();
        self.end(mark);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Invalid> {
        let mark = self.begin(Form::Number);
        self.at += usize::from(self.peek() == b'-');
        if self.peek() == b'0' {
            self.at += 1
        } else {
            self.digits()?
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        self.end(mark);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.invalid("a digit")) }
    }

    fn container(&mut self, form: Form, close: u8, depth: u32) -> Result<(), Invalid> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.invalid("less depth"))?;
        let mark = self.begin(form);
        self.at += 1;
        self.space();
        if self.peek() != close {
            loop {
                if form == Form::Object {
                    self.space();
                    self.string()?;
                    self.space();
                    if self.peek() != b':' {
                        return Err(self.invalid("a colon"));
                    }
                    self.at += 1;
                }
                self.value(depth)?;
                self.space();
                match self.peek() {
                    b',' => self.at += 1,
                    byte if byte == close => break,
                    _ => return Err(self.invalid("a comma")),
                }
            }
        }
        self.at += 1;
        self.end(mark);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Invalid> {
        if self.peek() != b'"' {
            return Err(self.invalid("a string"));
        }
        self.at += 1;
        let (start, mark) = (self.at, self.begin(Form::Text));
        let mut escaped = false;
        loop {
            self.at += plain_len(&self.text.as_bytes()[self.at..]);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at = (self.at + 2).min(self.text.len());
                }
                _ if self.at == self.text.len() => return Err(self.invalid("the end of a string")),
                _ => return Err(self.invalid("no control character")),
            }
        }
        self.end(mark);
        self.at += 1;
        if escaped { self.unescape(mark, start) } else { Ok(()) }
    }

    /// Rare in what is stored: serde_json does it.
    fn unescape(&mut self, mark: usize, start: usize) -> Result<(), Invalid> {
        let invalid = Invalid { at: start, expected: "valid escapes" };
        let quoted = self.text.get(start - 1..self.at);
        let Some(plain) = quoted.and_then(|quoted| serde_json::from_str::<String>(quoted).ok()) else {
            return Err(invalid);
        };
        let from = self.unescaped.len() as u32;
        self.unescaped.push_str(&plain);
        let mark = &mut self.marks[mark];
        (mark.form, mark.start, mark.end) = (Form::Escaped, from, self.unescaped.len() as u32);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
