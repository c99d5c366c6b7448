//! What a plain scalar means in YAML 1.1 (go-yaml v2, resolve.go).

/// The meaning of a scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    /// Beyond 63 bits.
    Uint(u64),
    Float(f64),
    Timestamp,
    Text,
}

impl Resolved {
    /// The short name of the tag, for messages.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Timestamp => "!!timestamp",
            Self::Text => "!!str",
        }
    }
}

/// The meaning of an untagged plain scalar.
pub(super) fn resolve(text: &str) -> Resolved {
    let Some(first) = text.bytes().next() else { return Resolved::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match word(text) {
            Resolved::Text => float(text, false).map_or(Resolved::Text, Resolved::Float),
            found => found,
        },
        b'+' | b'-' | b'0'..=b'9' => match word(text) {
            Resolved::Text => number(text),
            found => found,
        },
        _ => Resolved::Text,
    }
}

fn word(text: &str) -> Resolved {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Resolved::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Resolved::Bool(false),
        "~" | "null" | "Null" | "NULL" => Resolved::Null,
        ".nan" | ".NaN" | ".NAN" => Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Resolved::Float(f64::NEG_INFINITY),
        _ => Resolved::Text,
    }
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(integer) = integer(&plain) {
        return integer;
    }
    float(&plain, true).map_or(Resolved::Text, Resolved::Float)
}

/// An integer with the prefixes of Go's ParseInt: `0x`, `0o`, `0b`, and a bare 0 for octal.
fn integer(plain: &str) -> Option<Resolved> {
    let (negative, digits, signed) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..], true),
        b'+' => (false, &plain[1..], true),
        _ => (false, plain, false),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.bytes().next()?.is_ascii_alphanumeric() {
        return None; // a second sign
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match i64::try_from(magnitude) {
        Ok(value) => Some(Resolved::Int(if negative { -value } else { value })),
        Err(_) if negative && magnitude == 1 << 63 => Some(Resolved::Int(i64::MIN)),
        Err(_) if signed => None, // unsigned numbers have no sign
        Err(_) => Some(Resolved::Uint(magnitude)),
    }
}

/// A decimal float: digits with an optional point and exponent; a sign only where it is allowed.
fn float(text: &str, sign: bool) -> Option<f64> {
    let body = if sign { text.strip_prefix(['-', '+']).unwrap_or(text) } else { text };
    let (number, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let fine = match number.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(number),
    };
    let exponent_fine = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    if !fine || !exponent_fine {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// `2006-1-2`, `2006-1-2 15:4:5.9` or `2006-1-2T15:4:5.9Z`: what go-yaml takes for a time.
pub(super) fn is_timestamp(text: &str) -> bool {
    timestamp(text).is_some()
}

fn timestamp(text: &str) -> Option<()> {
    let bytes = text.as_bytes();
    if bytes.len() < 6 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return None;
    }
    let year: i16 = text.get(..4)?.parse().ok()?;
    let (month, rest) = small(text.get(5..)?)?;
    let (day, rest) = small(rest.strip_prefix('-')?)?;
    jiff::civil::Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    if rest.is_empty() {
        return Some(());
    }
    let zoned = rest.starts_with(['T', 't']);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = small(rest)?;
    let (minute, rest) = small(rest.strip_prefix(':')?)?;
    let (second, mut rest) = small(rest.strip_prefix(':')?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let end = fraction.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(fraction.len());
        if end == 0 {
            return None;
        }
        rest = &fraction[end..];
    }
    let offset = |rest: &str| {
        let bytes = rest.as_bytes();
        bytes.len() == 6
            && matches!(bytes[0], b'+' | b'-')
            && bytes[3] == b':'
            && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit())
    };
    (if zoned { rest == "Z" || offset(rest) } else { rest.is_empty() }).then_some(())
}

/// A number of one or two digits, and what follows.
fn small(text: &str) -> Option<(u8, &str)> {
    let digits = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

/// Numbers in base 60 (`12:30:45`), which other YAML 1.1 readers know: they are quoted when written.
pub(super) fn is_base_60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or_default();
    let starts = first.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if !starts || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    if let Some(last) = rest.last_mut()
        && let Some((number, fraction)) = last.split_once('.')
    {
        if !fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
            return false;
        }
        *last = number;
    }
    let sixty = |part: &&str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    !rest.is_empty() && rest.iter().all(sixty)
}

#[cfg(test)]
mod tests;
