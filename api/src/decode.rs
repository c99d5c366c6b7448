//! JSON text to values, with what serde_json does not do: duplicate keys are reported with their path, depth is limited,
//! invalid UTF-8 in strings is replaced, and errors read like those of Go's encoding/json, because they reach people
//! in Status messages.

use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

/// Objects and lists in one another, at most. What is stored is read back with serde_json, whose own limit is 128, also
/// as an item of a list.
pub const MAX_DEPTH: u32 = 100;

/// Duplicates that are reported, at most (sigs.k8s.io/json reports as many).
const MAX_REPORTS: usize = 100;

/// A value; of duplicate keys the last one counts.
pub fn parse(text: &[u8]) -> Result<Value, String> {
    strict(text).map(|(value, _)| value)
}

/// A value, and the paths of keys that came twice, e.g. `spec.containers[0].image`.
pub fn strict(text: &[u8]) -> Result<(Value, Vec<String>), String> {
    let mut parser = Parser { text, at: 0, duplicates: vec![], path: vec![] };
    let value = parser.value(MAX_DEPTH)?;
    parser.space();
    match parser.peek() {
        None => Ok((value, parser.duplicates)),
        Some(byte) => Err(invalid(byte, "after top-level value")),
    }
}

/// How many bytes of the inside of a string are plain: up to a quote, a backslash, a control character, or the end of the text.
pub fn plain_len(text: &[u8]) -> usize {
    let mut at = 0;
    // Eight bytes at a time; the lowest bit that is found is always right.
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let found = interruptions(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(rest.len())
}

/// The high bit of the first byte that interrupts a string; perhaps of later bytes, too, but of none before.
fn interruptions(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7)
}

enum Step {
    Key(String),
    Index(usize),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    duplicates: Vec<String>,
    path: Vec<Step>,
}

/// `invalid character 'x' <where>`, the character quoted as Go does.
fn invalid(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\n' => r"'\n'".into(),
        b'\r' => r"'\r'".into(),
        b'\t' => r"'\t'".into(),
        b'\\' => r"'\\'".into(),
        0..=0x1f | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..=0xa0 => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    };
    format!("invalid character {shown} {place}")
}

const END: &str = "unexpected end of JSON input";

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte that is no space; it is not consumed.
    fn next(&mut self) -> Result<u8, String> {
        self.space();
        self.peek().ok_or_else(|| END.into())
    }

    fn value(&mut self, depth: u32) -> Result<Value, String> {
        match self.next()? {
            b'{' => self.object(depth.checked_sub(1).ok_or("exceeded max depth")?),
            b'[' => self.array(depth.checked_sub(1).ok_or("exceeded max depth")?),
            b'"' => self.string().map(Value::String),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.number(),
            byte => Err(invalid(byte, "looking for beginning of value")),
        }
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for expected in word.bytes() {
            match self.peek() {
                Some(byte) if byte == expected => self.at += 1,
                Some(byte) => {
                    let place = format!("in literal {word} (expecting '{}')", char::from(expected));
                    return Err(invalid(byte, &place));
                }
                None => return Err(END.into()),
            }
        }
        Ok(value)
    }

    fn object(&mut self, depth: u32) -> Result<Value, String> {
        self.at += 1;
        let mut object = Map::new();
        if self.next()? == b'}' {
            self.at += 1;
            return Ok(Value::Object(object));
        }
        loop {
            match self.next()? {
                b'"' => {}
                byte => return Err(invalid(byte, "looking for beginning of object key string")),
            }
            let key = self.string()?;
            match self.next()? {
                b':' => self.at += 1,
                byte => return Err(invalid(byte, "after object key")),
            }
            self.path.push(Step::Key(key));
            let value = self.value(depth)?;
            let Some(Step::Key(key)) = self.path.pop() else { return Err(END.into()) };
            match object.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(value);
                }
                Entry::Occupied(mut entry) => {
                    self.report(entry.key());
                    entry.insert(value);
                }
            }
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(Value::Object(object));
                }
                byte => return Err(invalid(byte, "after object key:value pair")),
            }
        }
    }

    fn report(&mut self, key: &str) {
        if self.duplicates.len() >= MAX_REPORTS {
            return;
        }
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if path.is_empty() => path.push_str(key),
                Step::Key(key) => path.extend([".", key.as_str()]),
                Step::Index(index) => path.push_str(&format!("[{index}]")),
            }
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
        if !self.duplicates.contains(&path) {
            self.duplicates.push(path);
        }
    }

    fn array(&mut self, depth: u32) -> Result<Value, String> {
        self.at += 1;
        let mut array = vec![];
        if self.next()? == b']' {
            self.at += 1;
            return Ok(Value::Array(array));
        }
        loop {
            self.path.push(Step::Index(array.len()));
            array.push(self.value(depth)?);
            self.path.pop();
            match self.next()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(Value::Array(array));
                }
                byte => return Err(invalid(byte, "after array element")),
            }
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.at += 1;
        let mut bytes: Vec<u8> = vec![];
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = plain_len(rest);
            let interruption = *rest.get(plain).ok_or(END)?;
            bytes.extend_from_slice(&rest[..plain]);
            self.at += plain + 1;
            match interruption {
                b'"' => break,
                b'\\' => self.escape(&mut bytes)?,
                byte => return Err(invalid(byte, "in string literal")),
            }
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()))
    }

    /// What follows a backslash.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let byte = self.peek().ok_or(END)?;
        self.at += 1;
        bytes.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(self.unicode()?.encode_utf8(&mut buffer).as_bytes());
                return Ok(());
            }
            byte => return Err(invalid(byte, "in string escape code")),
        });
        Ok(())
    }

    /// Four hex digits, or two times four that are a surrogate pair; half a pair is the replacement character.
    fn unicode(&mut self) -> Result<char, String> {
        let high = self.hex4()?;
        if (0xd800..0xdc00).contains(&high) && self.text.get(self.at..self.at + 2) == Some(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or(END)?;
            let digit = char::from(byte).to_digit(16);
            code = code * 16 + digit.ok_or_else(|| invalid(byte, "in \\u hexadecimal character escape"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self, place: &str) -> Result<(), String> {
        match self.peek() {
            Some(b'0'..=b'9') => {}
            Some(byte) => return Err(invalid(byte, place)),
            None => return Err(END.into()),
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        let mut integer = true;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1
        } else {
            self.digits("in numeric literal")?
        }
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or("0");
        if integer && let Ok(number) = text.parse::<i64>() {
            return Ok(number.into());
        }
        if integer && let Ok(number) = text.parse::<u64>() {
            return Ok(number.into());
        }
        let float = text.parse::<f64>().ok().filter(|f| f.is_finite()).and_then(Number::from_f64);
        float
            .map(Value::Number)
            .ok_or_else(|| format!("json: cannot unmarshal number {text} into Go value of type float64"))
    }
}

#[cfg(test)]
mod tests;
