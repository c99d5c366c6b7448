//! Quantities as texts: taking them apart, the number in them, and the text that an API server keeps.

use super::{BINARY, BINARY_MAX, DECIMAL, Error, Format, MAX_EXPONENT, NANO, Quantity, power};

/// The parts of a text: sign, digits before and after the point, suffix.
pub(super) struct Parts<'a> {
    pub(super) negative: bool,
    whole: &'a str,
    fraction: &'a str,
    pub(super) suffix: &'a str,
}

pub(super) fn split(text: &str) -> Result<Parts<'_>, Error> {
    if text.is_empty() {
        return Err(Error::Format);
    }
    let (negative, rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let digits = |s: &str| s.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(s.len());
    let (whole, rest) = rest.split_at(digits(rest));
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    let tail = suffix.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let tail = tail.strip_prefix(['-', '+']).unwrap_or(tail);
    if !tail.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Error::Format);
    }
    Ok(Parts { negative, whole, fraction, suffix })
}

/// What a suffix stands for.
pub(super) enum Scale {
    Ten(i32, Format),
    Two(u32),
}

pub(super) fn scale(suffix: &str) -> Result<Scale, Error> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Ok(Scale::Ten(*exponent, Format::DecimalSi));
    }
    if let Some((_, bits)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Ok(Scale::Two(*bits));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(Error::Suffix)?;
    let exponent: i64 = exponent.parse().map_err(|_| Error::Suffix)?;
    if exponent > MAX_EXPONENT {
        return Err(Error::Numeric);
    }
    let exponent = i32::try_from(exponent.max(-10_000)).map_err(|_| Error::Suffix)?;
    Ok(Scale::Ten(exponent, Format::DecimalExponent))
}

/// The magnitude of a decimal text: digits are cut at nano, rounding up, before they become a number.
pub(super) fn decimal(parts: &Parts<'_>, exponent: i32, format: Format) -> Result<Quantity, Error> {
    let digits = [parts.whole, parts.fraction].concat();
    let digits = digits.trim_start_matches('0');
    let mut exponent = i64::from(exponent) - i64::try_from(parts.fraction.len()).map_err(|_| Error::Numeric)?;
    if digits.is_empty() {
        return Ok(Quantity { format, ..Quantity::ZERO });
    }
    let mut kept = digits;
    let mut round = 0;
    if exponent < NANO.into() {
        let cut = usize::try_from(i64::from(NANO) - exponent).map_err(|_| Error::Numeric)?.min(digits.len());
        let (head, tail) = digits.split_at(digits.len() - cut);
        round = i128::from(tail.bytes().any(|b| b != b'0'));
        (kept, exponent) = (head, NANO.into());
    }
    let short = kept.trim_end_matches('0');
    let (kept, zeros) = if round == 0 { (short, kept.len() - short.len()) } else { (kept, 0) };
    let mantissa: i128 = if kept.is_empty() { 0 } else { kept.parse().map_err(|_| Error::Numeric)? };
    let exponent =
        i32::try_from(exponent).map_err(|_| Error::Numeric)? + i32::try_from(zeros).map_err(|_| Error::Numeric)?;
    Ok(Quantity::new(mantissa.checked_add(round).ok_or(Error::Numeric)?, exponent, format))
}

/// The magnitude of a binary text: whole and fraction are scaled apart, so that nothing overflows before the cap applies.
pub(super) fn binary(parts: &Parts<'_>, bits: u32) -> Result<Quantity, Error> {
    let whole = parts.whole.trim_start_matches('0');
    let whole: Option<i128> = if whole.is_empty() { Some(0) } else { whole.parse().ok() };
    let whole = whole.and_then(|whole| whole.checked_mul(1 << bits)).filter(|whole| *whole <= BINARY_MAX);
    let Some(whole) = whole else { return Ok(Quantity::new(BINARY_MAX, 0, Format::BinarySi)) };
    let (near, far) = parts.fraction.split_at(parts.fraction.len().min(19));
    let fraction: i128 = if near.is_empty() { 0 } else { near.parse().map_err(|_| Error::Numeric)? };
    let unit = power(u32::try_from(near.len()).map_err(|_| Error::Numeric)?).ok_or(Error::Numeric)?;
    let product = fraction * (1 << bits);
    let (integer, rest) = (product / unit, product % unit);
    let nano_product = rest * 1_000_000_000; // rest < 10^19
    let inexact = nano_product % unit != 0 || far.bytes().any(|b| b != b'0');
    let nano = nano_product / unit + i128::from(inexact);
    let total = ((whole + integer) * 1_000_000_000 + nano).min(BINARY_MAX * 1_000_000_000);
    let format = if total < 1_000_000_000 && total > 0 { Format::DecimalSi } else { Format::BinarySi };
    Ok(Quantity::new(total, NANO, format))
}

/// The text under which an API server stores a quantity it was sent: canonical, except that upstream keeps some texts as written
/// that it takes for canonical without looking closely (`1.500`, `0100` stays `0100`, `1e3`).
pub fn canonical_text(text: &str) -> Result<String, Error> {
    let quantity = Quantity::parse(text)?;
    if text == "0" || written_as_is(text) {
        return Ok(text.into());
    }
    Ok(quantity.to_string())
}

/// The conditions under which ParseQuantity caches its input as the output.
fn written_as_is(text: &str) -> bool {
    let (Ok(parts), true) = (split(text), !text.is_empty()) else { return false };
    let whole = parts.whole.trim_start_matches('0');
    // When only zeros stand before the end the whole number is the text "0" and no fraction is read.
    let whole = if whole.is_empty() { "0" } else { whole };
    let shifted = [whole, parts.fraction].concat();
    let length = i32::try_from(shifted.len()).unwrap_or(i32::MAX);
    let (Ok(value), Ok(scale)) = (shifted.parse::<i64>(), scale(parts.suffix)) else { return false };
    match scale {
        Scale::Two(bits) => {
            let precision = 15 - length - i32::try_from(bits).unwrap_or(i32::MAX) * 3 / 10 - 1;
            let fits = value.checked_mul(1 << bits).is_some();
            parts.fraction.is_empty() && precision >= 0 && fits && value & 7 != 0
        }
        Scale::Ten(exponent, _) => {
            let scale = exponent - i32::try_from(parts.fraction.len()).unwrap_or(i32::MAX);
            18 - length >= 0
                && scale >= NANO
                && scale % 3 == 0
                && !shifted.ends_with("000")
                && !shifted.starts_with('0')
        }
    }
}
