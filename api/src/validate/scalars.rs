//! Scalars that Go reads with code of their own, and its errors about them: base64, RFC 3339, IntOrString.

use serde_json::Value;

use super::Checked;

/// Like encoding/base64, whose bytes are written anew: line breaks are allowed, and bits at the end that belong to no byte; neither
/// stays.
pub(super) fn base64(text: &mut String) -> Checked {
    use base64::Engine as _;
    use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
    if STANDARD.decode(text.as_bytes()).is_ok() {
        return Ok(());
    }
    if let Some(at) = corrupt(text.as_bytes()) {
        return Err(format!("illegal base64 data at input byte {at}"));
    }
    text.retain(|c| !matches!(c, '\r' | '\n'));
    let lenient = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(text.as_bytes());
    *text = STANDARD.encode(bytes.map_err(|error| format!("illegal base64 data: {error}"))?);
    Ok(())
}

/// Where encoding/base64 finds a text corrupt: in groups of four, line breaks stepped over, of which the last may end in `=`.
fn corrupt(text: &[u8]) -> Option<usize> {
    let line_break = |at: usize| matches!(text.get(at), Some(b'\r' | b'\n'));
    let (mut at, mut place) = (0, 0);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => place = (place + 1) % 4,
            b'\r' | b'\n' => {}
            b'=' if place >= 2 => {
                if place == 2 {
                    at += (at..).take_while(|at| line_break(*at)).count();
                    match text.get(at) {
                        None => return Some(at),
                        Some(b'=') => at += 1,
                        Some(_) => return Some(at - 1),
                    }
                }
                at += (at..).take_while(|at| line_break(*at)).count();
                return (at < text.len()).then_some(at);
            }
            _ => return Some(at - 1),
        }
    }
    (place > 0).then(|| at - place)
}

pub(super) fn int_or_string(value: &Value) -> Checked {
    let found = match value {
        Value::String(_) | Value::Null => return Ok(()),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => return Ok(()),
        Value::Number(number) => format!("number {number}"),
        Value::Bool(_) => "bool".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    };
    Err(format!("json: cannot unmarshal {found} into Go value of type int32"))
}

/// Jiff reads more than RFC 3339; Go does not.
pub(super) fn looks_like_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    let at = |index: usize| bytes.get(index).copied();
    let zone = text.ends_with('Z') || matches!(at(text.len().wrapping_sub(6)), Some(b'+' | b'-'));
    digits(0..4)
        && at(4) == Some(b'-')
        && digits(5..7)
        && at(7) == Some(b'-')
        && digits(8..10)
        && at(10) == Some(b'T')
        && digits(11..13)
        && at(13) == Some(b':')
        && digits(14..16)
        && at(16) == Some(b':')
        && digits(17..19)
        && zone
}

/// `parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"`.
pub(super) fn time_error(text: &str, micro: bool) -> String {
    let layout = if micro { "2006-01-02T15:04:05.000000Z07:00" } else { "2006-01-02T15:04:05Z07:00" };
    let parts: &[(&str, usize)] = &[
        ("2006", 4),
        ("-", 0),
        ("01", 2),
        ("-", 0),
        ("02", 2),
        ("T", 0),
        ("15", 2),
        (":", 0),
        ("04", 2),
        (":", 0),
        ("05", 2),
    ];
    let mut rest = text;
    for (part, digits) in parts {
        let length = if *digits == 0 { part.len() } else { *digits };
        let fits = rest.as_bytes().get(..length).is_some_and(|head| {
            if *digits == 0 { head == part.as_bytes() } else { head.iter().all(u8::is_ascii_digit) }
        });
        if !fits {
            return format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as {part:?}");
        }
        rest = &rest[length..];
    }
    format!("parsing time {text:?} as {layout:?}: cannot parse {rest:?} as \"Z07:00\"")
}
