//! What a quantity comes to in some unit, and reckoning with quantities.

use super::super::*;

fn of(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn in_units_of_a_power_of_ten() {
    // Text, scale, rounded away from zero.
    let table = [
        ("9.01", -3, 9010),
        ("9.01", -2, 901),
        ("9.01", -1, 91),
        ("9.01", 0, 10),
        ("9.01", 1, 1),
        ("9.01", 2, 1),
        ("-9.01", -2, -901),
        ("-9.01", -1, -91),
        ("-9.01", 0, -10),
        ("-9.01", 2, -1),
        ("1n", -9, 1),
        ("1n", -6, 1),
        ("1n", 0, 1),
        ("1u", -9, 1000),
        ("1u", -3, 1),
        ("1m", -9, 1_000_000),
        ("1m", -6, 1000),
        ("1m", 0, 1),
        ("1", -9, 1_000_000_000),
        ("1", -3, 1000),
        ("100", -2, 10_000),
        ("0", -9, 0),
        ("0", 9, 0),
        ("1Ki", 3, 2),
        ("1E", -9, i64::MAX),
        ("-1E", -9, i64::MIN),
    ];
    for (text, scale, expected) in table {
        assert_eq!(of(text).scaled(scale), expected, "{text} at {scale}");
    }
    // `value` and `milli_value` are two of these.
    for text in ["9.01", "-9.01", "1n", "1Gi", "0", "2500m"] {
        assert_eq!((of(text).value(), of(text).milli_value()), (of(text).scaled(0), of(text).scaled(-3)));
    }
}

#[test]
fn made_of_numbers() {
    use Format::{BinarySi, DecimalExponent, DecimalSi};
    let whole = [
        (1, DecimalSi, "1"),
        (1000, DecimalSi, "1k"),
        (1_234_000, DecimalSi, "1234k"),
        (1024, BinarySi, "1Ki"),
        (1025, BinarySi, "1025"),
        (1023, BinarySi, "1023"),
        (-2048, BinarySi, "-2Ki"),
        (1_000_000, DecimalExponent, "1e6"),
        (1 << 20, BinarySi, "1Mi"),
        (0, BinarySi, "0"),
        (i64::MIN, DecimalSi, "-9223372036854775808"),
    ];
    for (value, format, text) in whole {
        let quantity = Quantity::from_integer(value, format);
        assert_eq!((quantity.to_string().as_str(), quantity.as_i64()), (text, Some(value)));
    }
    let milli = [
        (1, DecimalSi, "1m"),
        (1000, DecimalSi, "1"),
        (1_234_000, DecimalSi, "1234"),
        (1_000_000, DecimalExponent, "1e3"),
        // No binary suffix fits what is not whole, and none what is below 1024.
        (1024, BinarySi, "1024m"),
        (1 << 20, BinarySi, "1048576m"),
        (5000, BinarySi, "5"),
        (500, BinarySi, "500m"),
        (2_048_000, BinarySi, "2Ki"),
    ];
    for (value, format, text) in milli {
        let quantity = Quantity::from_milli(value, format);
        assert_eq!((quantity.to_string().as_str(), quantity.milli_value()), (text, value));
    }
}

#[test]
fn order() {
    use Ordering::{Equal, Greater, Less};
    let table = [
        ("0", "0", Equal),
        ("0", "0Ki", Equal),
        ("100m", "50m", Greater),
        ("50m", "100m", Less),
        ("10000T", "100Gi", Greater),
        ("9010m", "9.01", Equal),
        ("9", "9.01", Less),
        ("800m", "1", Less),
        ("800m", "0.79", Greater),
        ("1Ki", "1024", Equal),
        ("1Ki", "1k", Greater),
        ("9223372036854775807", "0.1", Greater),
        ("92233720368547758070", "10", Greater),
        ("922.3372036854775807", "1000", Less),
        ("-9223372036854775808", "0", Less),
        ("-1", "1", Less),
        ("-1Gi", "-1Mi", Less),
        ("1e3", "1k", Equal),
        // Farther apart than any number of digits that is kept.
        ("1e300", "1n", Greater),
        ("1n", "1e300", Less),
        ("-1e300", "1n", Less),
        ("-1e300", "-1n", Less),
    ];
    for (a, b, expected) in table {
        assert_eq!(of(a).cmp(&of(b)), expected, "{a} {b}");
        assert_eq!(of(b).cmp(&of(a)), expected.reverse(), "{b} {a}");
        assert_eq!(of(a) == of(b), expected == Equal, "{a} {b}");
        // Turned around by the sign.
        assert_eq!((-of(a)).cmp(&-of(b)), expected.reverse(), "-{a} -{b}");
    }
}

#[test]
fn sums_and_differences_keep_the_suffix() {
    // a, b, a + b, a - b.
    let table = [
        ("100m", "0", "100m", "100m"),
        ("0", "100m", "100m", "-100m"),
        ("1Gi", "0", "1Gi", "1Gi"),
        ("0", "1Gi", "1Gi", "-1Gi"),
        ("0Ki", "1", "1", "-1"),
        ("10", "1.1", "11100m", "8900m"),
        ("10", "1Ki", "1034", "-1014"),
        ("1Ki", "10", "1034", "1014"),
        ("1Ki", "1k", "2024", "24"),
        ("1Gi", "1G", "2073741824", "73741824"),
        ("50", "50", "100", "0"),
        ("-50", "50", "0", "-100"),
        ("50e3", "1", "50001", "49999"),
        ("1e3", "1k", "2e3", "0"),
        ("500m", "500m", "1", "0"),
        ("1", "1n", "1000000001n", "999999999n"),
        ("9223372036854775807", "1", "9223372036854775808", "9223372036854775806"),
        ("1E", "1n", "1000000000000000000000000001n", "999999999999999999999999999n"),
    ];
    for (a, b, sum, difference) in table {
        assert_eq!((of(a) + of(b)).to_string(), sum, "{a} + {b}");
        assert_eq!((of(a) - of(b)).to_string(), difference, "{a} - {b}");
    }
}

#[test]
fn products() {
    let table = [
        ("10", 10, "100"),
        ("10", 1, "10"),
        ("10Ki", 1, "10Ki"),
        ("10Ki", 3, "30Ki"),
        ("0", 50, "0"),
        ("50", 0, "0"),
        ("10", -10, "-100"),
        ("-10", 1, "-10"),
        ("-50", -50, "2500"),
        ("250m", 4, "1"),
        ("1n", 1_000_000, "1m"),
        ("9223372036854775807", 2, "18446744073709551614"),
        ("9223372036854775807", 10, "92233720368547758070"),
        ("9223372036854775807", -10, "-92233720368547758070"),
        ("-9223372036854775808", -1, "9223372036854775808"),
    ];
    for (a, factor, product) in table {
        assert_eq!((of(a) * factor).to_string(), product, "{a} * {factor}");
    }
}

#[test]
fn signs_and_floats() {
    for (text, sign, magnitude) in [("0", 0, "0"), ("-0", 0, "0"), ("5m", 1, "5m"), ("-1Gi", -1, "1Gi")] {
        assert_eq!((of(text).sign(), of(text).abs().to_string().as_str()), (sign, magnitude), "{text}");
    }
    let table = [
        ("0", 0.0),
        ("100m", 0.1),
        ("-5n", -5e-9),
        ("1.5", 1.5),
        ("12Mi", 12_582_912.0),
        ("1E", 1e18),
        ("1e30", 1e30),
        ("5Ei", 5_764_607_523_034_234_880.0),
    ];
    for (text, float) in table {
        let found = of(text).as_f64();
        assert!((found - float).abs() <= float.abs() * 1e-15, "{text}: {found} {float}");
    }
    let turned = of("1024").with_format(Format::BinarySi);
    assert_eq!((turned.to_string().as_str(), turned == of("1Ki")), ("1Ki", true));
}

/// Quantities as an API server keeps them. What upstream's parser reads on its short way it writes back as it came.
#[test]
fn stored_texts() {
    let table = [
        ("1.500", "1.500"),
        ("1.5", "1500m"),
        ("0.5", "500m"),
        ("0.1", "100m"),
        (".5", "500m"),
        ("5.", "5."),
        ("1.G", "1.G"),
        ("100.035k", "100.035k"),
        ("1.234", "1.234"),
        ("1.23", "1230m"),
        ("0100", "0100"),
        ("+1", "+1"),
        ("1e3", "1e3"),
        ("1E3", "1E3"),
        ("1e4", "10e3"),
        ("1000m", "1"),
        ("1000", "1k"),
        ("1500m", "1500m"),
        ("5Ki", "5Ki"),
        ("8Ki", "8Ki"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0Ki", "0"),
        ("-1", "-1"),
        ("-1000m", "-1"),
    ];
    for (text, stored) in table {
        assert_eq!(canonical_text(text).as_deref(), Ok(stored), "{text}");
    }
}
