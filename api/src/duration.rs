//! Durations as people and Go print them: the ages of `kubectl get` (apimachinery, pkg/util/duration) and the text form of Go's
//! time.Duration, which command-line flags and `meta/v1 Duration` fields use.

use jiff::{SignedDuration, Timestamp};

const SECOND: i128 = 1_000_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// A length of time with two or three significant digits: `45s`, `2m5s`, `3h`, `2d4h`, `400d`, `2y30d`.
pub fn human_duration(duration: std::time::Duration) -> String {
    human(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX))
}

/// The same for a difference of two clocks, which may be negative: a little is `0s`, more is `<invalid>`.
pub fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let pair = |big: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, 'm', seconds % 60, 's'),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, 'h', minutes % 60, 'm'),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 24 * 8 => pair(hours / 24, 'd', hours % 24, 'h'),
        _ if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        _ if hours < 24 * 365 * 8 => pair(hours / 24 / 365, 'y', hours / 24 % 365, 'd'),
        _ => format!("{}y", hours / 24 / 365),
    }
}

/// A length of time in its largest unit alone: `45s`, `2m`, `3h`, `2d`, `1y`.
pub fn short_human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

/// How long ago an RFC 3339 time was; `<unknown>` if it is none.
pub fn age(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(then) => human(now.duration_since(then)),
        Err(_) => "<unknown>".into(),
    }
}

/// How long until an RFC 3339 time; `<unknown>` if it is none.
pub fn until(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(then) => human(then.duration_since(now)),
        Err(_) => "<unknown>".into(),
    }
}

/// Go's text form: `1h2m3.5s`, `1.5ms`, `0s`.
pub fn format_go(duration: SignedDuration) -> String {
    let nanos = duration.as_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.abs();
    let body = match nanos {
        0 => return "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..SECOND => format!("{}ms", decimal(nanos, 1_000_000)),
        _ if nanos < MINUTE => format!("{}s", decimal(nanos, SECOND)),
        _ if nanos < HOUR => format!("{}m{}s", nanos / MINUTE, decimal(nanos % MINUTE, SECOND)),
        _ => format!("{}h{}m{}s", nanos / HOUR, nanos % HOUR / MINUTE, decimal(nanos % MINUTE, SECOND)),
    };
    format!("{sign}{body}")
}

/// `amount / unit` as a decimal without trailing zeros; `unit` is a power of ten.
fn decimal(amount: i128, unit: i128) -> String {
    let (whole, fraction) = (amount / unit, amount % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    format!("{whole}.{}", format!("{fraction:0digits$}").trim_end_matches('0'))
}

/// What is wrong with the text of a duration, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("time: {0}")]
pub struct Error(String);

/// Parses Go's text form: a sequence of decimal numbers with units `ns us µs ms s m h`, e.g. `-1.5h` or `2m30s`; also `0`.
pub fn parse_go(text: &str) -> Result<SignedDuration, Error> {
    let invalid = || Error(format!("invalid duration {text:?}"));
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(invalid());
        }
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        if unit.is_empty() {
            return Err(Error(format!("missing unit in duration {text:?}")));
        }
        let scale = unit_nanos(unit).ok_or_else(|| Error(format!("unknown unit {unit:?} in duration {text:?}")))?;
        let amount = scaled(whole, fraction, scale).ok_or_else(invalid)?;
        total = total.checked_add(amount).ok_or_else(invalid)?;
        rest = tail;
    }
    let total = if negative { -total } else { total };
    let nanos = i64::try_from(total).map_err(|_| invalid())?;
    Ok(SignedDuration::from_nanos(nanos))
}

/// The value of a command-line flag: as [`parse_go`], but never negative.
///
/// # Errors
/// In Go's words, where Go has any.
pub fn parse_flag(text: &str) -> Result<std::time::Duration, Error> {
    let parsed = parse_go(text)?;
    std::time::Duration::try_from(parsed).map_err(|_| Error(format!("negative duration {text:?}")))
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000, // both the micro sign and the Greek letter
        "ms" => 1_000_000,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// `whole.fraction * scale`. As Go reckons: the digits of the fraction that fit into 63 bits, as a float, and what is below a
/// nanosecond is cut.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // a fraction of an hour, at most
fn scaled(whole: &str, fraction: &str, scale: i128) -> Option<i128> {
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let (mut digits, mut unit) = (0u64, 1.0);
    for digit in fraction.bytes().map(|byte| u64::from(byte - b'0')) {
        if digits > i64::MAX as u64 / 10 || digits * 10 + digit > 1 << 63 {
            break;
        }
        (digits, unit) = (digits * 10 + digit, unit * 10.0);
    }
    let part = digits as f64 * (scale as f64 / unit);
    whole.checked_mul(scale)?.checked_add(part as i128)
}

#[cfg(test)]
mod tests;
