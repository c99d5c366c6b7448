//! Exact resource quantities: `500m`, `1.5Gi`, `1e3` (apimachinery, pkg/api/resource/quantity.go: forms, rounding, canonical
//! text). A quantity is `mantissa × 10^exponent` with the family of suffixes it was written in; example: `1.5Gi` is
//! 1610612736 × 10^0, written in binary suffixes, and prints as `1536Mi`.
//!
//! It keeps: the exponent is at least -9 (finer parts are rounded away from zero when parsed) and the mantissa has no trailing
//! zeros, so equal values have equal parts. Two bounds are ours: 38 significant digits and an exponent of 300; what exceeds them
//! is refused.

mod text;

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::str::FromStr;

use serde_json::Value;

pub use text::canonical_text;
use text::{Scale, binary, decimal, scale, split};

/// What is wrong with the text of a quantity, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number is none, or too long.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The family of suffixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `m`, none, `k`, `M` …
    DecimalSi,
    /// `Ki`, `Mi` …
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// An exact quantity. Equality and order are those of the value, whatever the format.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
    format: Format,
}

const NANO: i32 = -9;
const MAX_EXPONENT: i64 = 300;
/// Binary quantities are capped at the largest 64-bit integer.
const BINARY_MAX: i128 = i64::MAX as i128;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];

impl Quantity {
    /// Zero, without a suffix.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0, format: Format::DecimalSi };

    /// `mantissa × 10^exponent`, rounded away from zero to nano.
    fn new(mut mantissa: i128, mut exponent: i32, format: Format) -> Self {
        let mut rounded = false;
        while exponent < NANO && mantissa != 0 {
            rounded |= mantissa % 10 != 0;
            mantissa /= 10;
            exponent += 1;
            if mantissa == 0 {
                exponent = NANO;
            }
        }
        if rounded {
            // The sign of a vanished mantissa is lost here; callers round magnitudes.
            mantissa += if mantissa < 0 { -1 } else { 1 };
        }
        while mantissa != 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        if mantissa == 0 {
            exponent = 0;
        }
        Self { mantissa, exponent, format }
    }

    /// A whole number.
    pub fn from_integer(value: i64, format: Format) -> Self {
        Self::new(value.into(), 0, format)
    }

    /// A number of thousandths.
    pub fn from_milli(milli: i64, format: Format) -> Self {
        Self::new(milli.into(), -3, format)
    }

    /// From text such as `100m`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts = split(text)?;
        let magnitude = match scale(parts.suffix)? {
            Scale::Ten(exponent, format) => decimal(&parts, exponent, format)?,
            Scale::Two(bits) => binary(&parts, bits)?,
        };
        Ok(if parts.negative { Self { mantissa: -magnitude.mantissa, ..magnitude } } else { magnitude })
    }

    /// From a JSON string or number, as decoding does; null is zero.
    pub fn from_value(value: &Value) -> Result<Self, Error> {
        match value {
            Value::Null => Ok(Self::ZERO),
            Value::String(text) => Self::parse(text.trim()),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => Err(Error::Format),
        }
    }

    /// The family of suffixes that it prints in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The same value in another format.
    #[must_use]
    pub fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// -1, 0 or 1.
    pub fn sign(&self) -> i32 {
        self.mantissa.signum() as i32
    }

    /// The value in whole units, rounded away from zero, limited to 64 bits.
    pub fn value(&self) -> i64 {
        self.scaled(0)
    }

    /// The value in thousandths, rounded away from zero, limited to 64 bits.
    pub fn milli_value(&self) -> i64 {
        self.scaled(-3)
    }

    /// The value in units of `10^scale`, rounded away from zero, limited to 64 bits.
    pub fn scaled(&self, scale: i32) -> i64 {
        let shift = self.exponent - scale;
        let scaled = if shift >= 0 {
            power(shift.unsigned_abs()).and_then(|factor| self.mantissa.checked_mul(factor))
        } else {
            let quotient = |factor: i128| {
                let rest = (self.mantissa % factor).signum();
                self.mantissa / factor + rest
            };
            Some(power(shift.unsigned_abs()).map_or(self.mantissa.signum(), quotient))
        };
        let saturated = if self.mantissa < 0 { i64::MIN } else { i64::MAX };
        scaled.and_then(|value| i64::try_from(value).ok()).unwrap_or(saturated)
    }

    /// The exact integer, if it is one of 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        i64::try_from(self.integer()?).ok()
    }

    /// The nearest floating-point number.
    #[allow(clippy::cast_precision_loss)] // what is asked for
    pub fn as_f64(&self) -> f64 {
        self.mantissa as f64 * 10f64.powi(self.exponent)
    }

    fn integer(&self) -> Option<i128> {
        if self.exponent < 0 {
            return None;
        }
        self.mantissa.checked_mul(power(self.exponent.unsigned_abs())?)
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { mantissa: self.mantissa.saturating_abs(), ..self }
    }
}

/// The format stays, unless the left side is zero; beyond 38 digits the smaller addend counts for nothing.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let format = if self.is_zero() { other.format } else { self.format };
        let sum = align(self, other).and_then(|(a, b, exponent)| Some(Self::new(a.checked_add(b)?, exponent, format)));
        sum.unwrap_or_else(|| {
            let larger = if self.abs() < other.abs() { other } else { self };
            Self { format, ..larger }
        })
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Quantity {
    type Output = Self;

    fn neg(self) -> Self {
        Self { mantissa: self.mantissa.saturating_neg(), ..self }
    }
}

/// Saturates at 38 digits.
impl Mul<i64> for Quantity {
    type Output = Self;

    fn mul(self, factor: i64) -> Self {
        let limit = if (self.sign() < 0) == (factor < 0) { i128::MAX } else { -i128::MAX };
        let product = self.mantissa.checked_mul(factor.into());
        Self::new(product.unwrap_or(limit), self.exponent, self.format)
    }
}

fn power(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

/// Both mantissas at the smaller exponent.
fn align(a: Quantity, b: Quantity) -> Option<(i128, i128, i32)> {
    if a.is_zero() || b.is_zero() {
        return Some((a.mantissa, b.mantissa, if a.is_zero() { b.exponent } else { a.exponent }));
    }
    let exponent = a.exponent.min(b.exponent);
    let raise = |q: Quantity| q.mantissa.checked_mul(power((q.exponent - exponent).unsigned_abs())?);
    Some((raise(a)?, raise(b)?, exponent))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        // Binary suffixes only fit whole numbers of at least 1024.
        if let (Format::BinarySi, Some(mut amount)) = (self.format, self.integer())
            && amount.abs() >= 1024
        {
            let mut suffix = "";
            for (next, _) in BINARY {
                if amount % 1024 != 0 {
                    break;
                }
                (amount, suffix) = (amount / 1024, next);
            }
            return write!(f, "{amount}{suffix}");
        }
        let format = if self.format == Format::BinarySi { Format::DecimalSi } else { self.format };
        let mut exponent = self.exponent - self.exponent.rem_euclid(3);
        if format == Format::DecimalSi {
            exponent = exponent.min(18);
        }
        // Appended zeros instead of a multiplication that could overflow.
        let zeros = "0".repeat((self.exponent - exponent).unsigned_abs() as usize);
        let suffix = DECIMAL.iter().find(|(_, known)| *known == exponent).map_or("", |(suffix, _)| suffix);
        match format {
            Format::DecimalExponent if exponent != 0 => write!(f, "{}{zeros}e{exponent}", self.mantissa),
            _ => write!(f, "{}{zeros}{suffix}", self.mantissa),
        }
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        (self.mantissa, self.exponent) == (other.mantissa, other.exponent)
    }
}

impl Eq for Quantity {}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        match align(*self, *other) {
            Some((a, b, _)) => a.cmp(&b),
            // Not within 38 digits of each other, or of different sign: the exponent decides, turned by the sign.
            None if self.sign() != other.sign() => self.sign().cmp(&other.sign()),
            None if self.sign() > 0 => self.exponent.cmp(&other.exponent),
            None => other.exponent.cmp(&self.exponent),
        }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
