//! Canonical texts, errors, rounding and arithmetic of quantities.

use super::*;
use proptest::prelude::*;
use serde_json::json;

mod forms;
mod values;

fn parsed(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn canonical_forms() {
    let table = [
        ("0", "0"),
        ("0Ki", "0"),
        ("-0", "0"),
        ("0.0000m", "0"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1024", "1024"),
        ("1025Ki", "1025Ki"),
        ("0.5Ki", "512"),
        ("46579418437.5Ki", "47697324480000"),
        ("0.1Gi", "107374182400m"),
        ("0.0001Ki", "102400u"),
        ("1000m", "1"),
        ("1000k", "1M"),
        ("100", "100"),
        ("1000", "1k"),
        ("1234567", "1234567"),
        ("1e3", "1e3"),
        ("10e3", "10e3"),
        ("1e4", "10e3"),
        ("1E5", "100e3"),
        ("1e-1", "100e-3"),
        ("12345e-3", "12345e-3"),
        ("1e0", "1"),
        ("-1", "-1"),
        ("-1.5Ki", "-1536"),
        ("-100m", "-100m"),
        ("+5k", "5k"),
        ("1.1n", "2n"),
        ("-1.1n", "-2n"),
        ("0.0000000001", "1n"),
        ("-0.00000000001", "-1n"),
        ("1.0000000000000000000000001", "1000000001n"),
        ("1e-100", "1e-9"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("100Ei", "9223372036854775807"),
        ("8Ei", "9223372036854775807"),
        ("7Ei", "7Ei"),
        ("999999999999999999999Ki", "9223372036854775807"),
        ("1000E", "1000E"),
        ("1e100", "10e99"),
        ("12345678901234567890123456789", "12345678901234567890123456789"),
        ("1.00000000000000000000000000000000000000000000001Gi", "1073741824000000001n"),
    ];
    for (text, canonical) in table {
        assert_eq!(parsed(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn errors_are_upstreams() {
    let table = [
        ("", Error::Format),
        ("abc", Error::Format),
        ("1 Gi", Error::Format),
        ("1.2.3", Error::Format),
        ("--1", Error::Suffix),
        ("1é", Error::Format),
        ("Non-Numeric", Error::Format),
        ("1Gib", Error::Format),
        ("1i", Error::Suffix),
        ("1mm", Error::Suffix),
        ("1e", Error::Suffix),
        ("1ki", Error::Suffix),
        ("1K", Error::Suffix),
        ("1e3m", Error::Format),
        ("1e301", Error::Numeric),
        ("11111111111111111111111111111111111111111111111111", Error::Numeric),
    ];
    for (text, error) in table {
        assert_eq!(Quantity::parse(text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn what_is_stored() {
    let table = [
        ("1.500", "1.500"),
        ("0.5", "500m"),
        ("1e3", "1e3"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("5Ki", "5Ki"),
        ("1024Ki", "1Mi"),
        ("8Ki", "8Ki"),
        ("100", "100"),
        ("1000", "1k"),
        ("2.000", "2"),
        ("0.100", "100m"),
    ];
    for (text, stored) in table {
        assert_eq!(canonical_text(text).as_deref(), Ok(stored), "{text}");
    }
    assert_eq!(Quantity::from_value(&json!(0.5)).unwrap().to_string(), "500m");
    assert_eq!(Quantity::from_value(&json!(" 2 ")).unwrap().to_string(), "2");
    assert_eq!(Quantity::from_value(&json!([])), Err(Error::Format));
}

#[test]
fn values_round_away_from_zero() {
    let table = [
        ("1500m", 2, 1500),
        ("-1500m", -2, -1500),
        ("1n", 1, 1),
        ("1Gi", 1 << 30, 1000 << 30),
        ("1e30", i64::MAX, i64::MAX),
        ("-1e30", i64::MIN, i64::MIN),
        ("0", 0, 0),
    ];
    for (text, value, milli) in table {
        assert_eq!((parsed(text).value(), parsed(text).milli_value()), (value, milli), "{text}");
    }
    assert_eq!((parsed("2").as_i64(), parsed("2500m").as_i64()), (Some(2), None));
    assert!((parsed("1.5").as_f64() - 1.5).abs() < 1e-12);
}

#[test]
fn order_and_arithmetic() {
    let ordered = ["-1e300", "-1", "-1m", "0", "1n", "100m", "0.2", "1", "1024", "1.1Ki", "10M", "1Gi", "1e200"];
    for (i, a) in ordered.iter().enumerate() {
        for (j, b) in ordered.iter().enumerate() {
            assert_eq!(parsed(a).cmp(&parsed(b)), i.cmp(&j), "{a} {b}");
        }
    }
    assert_eq!(parsed("1Ki"), parsed("1024"));
    let table = [
        ("100m", "200m", "300m", "-100m"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("1Gi", "0", "1Gi", "1Gi"),
        ("1Gi", "512Mi", "1536Mi", "512Mi"),
        ("1", "1Ki", "1025", "-1023"),
        ("1e300", "1", "1e300", "1e300"),
    ];
    for (a, b, sum, difference) in table {
        assert_eq!((parsed(a) + parsed(b)).to_string(), sum, "{a} + {b}");
        assert_eq!((parsed(a) - parsed(b)).to_string(), difference, "{a} - {b}");
    }
    assert_eq!((parsed("250m") * 3).to_string(), "750m");
    assert_eq!(Quantity::from_integer(2048, Format::BinarySi).to_string(), "2Ki");
    assert_eq!(Quantity::from_milli(2500, Format::DecimalSi).to_string(), "2500m");
}

proptest! {
    #[test]
    fn canonical_text_keeps_the_value(
        mantissa in -1_000_000_000_000i64..1_000_000_000_000, point in 0usize..8,
        suffix in proptest::sample::select(vec!["n", "u", "m", "", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "e-2"]),
    ) {
        let digits = format!("{:09}", mantissa.abs());
        let (whole, fraction) = digits.split_at(digits.len() - point);
        let text = format!("{}{whole}.{fraction}{suffix}", if mantissa < 0 { "-" } else { "" });
        let quantity = Quantity::parse(&text).unwrap();
        let canonical = quantity.to_string();
        prop_assert_eq!(Quantity::parse(&canonical).unwrap(), quantity);
        // A binary quantity that no binary suffix fits prints as a plain number, which reads back as a decimal one.
        if quantity.format() != Format::BinarySi {
            prop_assert_eq!(Quantity::parse(&canonical).unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn sums_undo_differences(a in any::<i64>(), b in any::<i64>(), x in -9i32..9, y in -9i32..9) {
        let (a, b) = (Quantity::new(a.into(), x, Format::DecimalSi), Quantity::new(b.into(), y, Format::DecimalSi));
        prop_assert_eq!(a + b - b, a);
        prop_assert_eq!(a.cmp(&b), (a - b).sign().cmp(&0));
    }

    #[test]
    fn parsing_never_panics(text in "[-+.0-9eEinumkKMGTP]{0,60}|\\PC{0,8}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.to_string(), quantity.value(), canonical_text(&text));
        }
    }
}
