//! Every form of a quantity, and the text it is known by.

use super::super::*;

/// Text, canonical text, format.
const FORMS: &[(&str, &str, Format)] = {
    use Format::{BinarySi, DecimalExponent, DecimalSi};
    &[
        // Nothing is nothing in every unit.
        ("0", "0", DecimalSi),
        ("0n", "0", DecimalSi),
        ("0u", "0", DecimalSi),
        ("0m", "0", DecimalSi),
        ("0k", "0", DecimalSi),
        ("0E", "0", DecimalSi),
        ("0Ki", "0", BinarySi),
        ("0Ti", "0", BinarySi),
        ("0e3", "0", DecimalExponent),
        ("00", "0", DecimalSi),
        ("0.000", "0", DecimalSi),
        (".", "0", DecimalSi),
        // Binary suffixes.
        ("1Ki", "1Ki", BinarySi),
        ("8Ki", "8Ki", BinarySi),
        ("7Mi", "7Mi", BinarySi),
        ("6Gi", "6Gi", BinarySi),
        ("5Ti", "5Ti", BinarySi),
        ("4Pi", "4Pi", BinarySi),
        ("3Ei", "3Ei", BinarySi),
        ("10Ti", "10Ti", BinarySi),
        ("100Ti", "100Ti", BinarySi),
        ("300Mi", "300Mi", BinarySi),
        ("307200Ki", "300Mi", BinarySi),
        ("1025024Mi", "1001Gi", BinarySi),
        ("1024Gi", "1Ti", BinarySi),
        ("1025Mi", "1025Mi", BinarySi),
        // Decimal suffixes.
        ("5n", "5n", DecimalSi),
        ("4u", "4u", DecimalSi),
        ("3m", "3m", DecimalSi),
        ("9", "9", DecimalSi),
        ("8k", "8k", DecimalSi),
        ("50k", "50k", DecimalSi),
        ("7M", "7M", DecimalSi),
        ("6G", "6G", DecimalSi),
        ("5T", "5T", DecimalSi),
        ("40T", "40T", DecimalSi),
        ("300T", "300T", DecimalSi),
        ("2P", "2P", DecimalSi),
        ("1E", "1E", DecimalSi),
        ("1080u", "1080u", DecimalSi),
        ("1000u", "1m", DecimalSi),
        ("1080000000n", "1080m", DecimalSi),
        ("1000000k", "1G", DecimalSi),
        ("0.001T", "1G", DecimalSi),
        ("1234567M", "1234567M", DecimalSi),
        // Exponents: in steps of three.
        ("1E-3", "1e-3", DecimalExponent),
        ("1e3", "1e3", DecimalExponent),
        ("1E6", "1e6", DecimalExponent),
        ("1e9", "1e9", DecimalExponent),
        ("1E18", "1e18", DecimalExponent),
        ("1e14", "100e12", DecimalExponent),
        ("1e13", "10e12", DecimalExponent),
        ("1000e-12", "1e-9", DecimalExponent),
        (".001e12", "1e9", DecimalExponent),
        ("0.001e0", "1e-3", DecimalExponent),
        ("300e6", "300e6", DecimalExponent),
        ("80e-3", "80e-3", DecimalExponent),
        ("1.2e3", "1200", DecimalExponent),
        ("1.3E+6", "1300e3", DecimalExponent),
        ("1.40e9", "1400e6", DecimalExponent),
        ("1.53E12", "1530e9", DecimalExponent),
        ("1.7E18", "1700e15", DecimalExponent),
        ("0.5e0", "500e-3", DecimalExponent),
        ("0.5e-1", "50e-3", DecimalExponent),
        ("0.5e-2", "5e-3", DecimalExponent),
        // With a point.
        ("0.001", "1m", DecimalSi),
        ("0.0005k", "500m", DecimalSi),
        ("0.05000", "50m", DecimalSi),
        ("0.50000", "500m", DecimalSi),
        ("100.035k", "100035", DecimalSi),
        ("10.035M", "10035k", DecimalSi),
        ("9.01", "9010m", DecimalSi),
        ("8.1k", "8100", DecimalSi),
        ("7.123456M", "7123456", DecimalSi),
        ("6.987654321G", "6987654321", DecimalSi),
        ("5.444T", "5444G", DecimalSi),
        ("300.2T", "300200G", DecimalSi),
        ("2.5P", "2500T", DecimalSi),
        ("1.01E", "1010P", DecimalSi),
        (".001", "1m", DecimalSi),
        (".0001k", "100m", DecimalSi),
        ("1.", "1", DecimalSi),
        ("1.G", "1G", DecimalSi),
        ("00001.5", "1500m", DecimalSi),
        // Beyond nano everything is rounded away from zero.
        ("3.001n", "4n", DecimalSi),
        ("1.1E-9", "2e-9", DecimalExponent),
        ("0.0000000005", "1n", DecimalSi),
        ("0.00000000050", "1n", DecimalSi),
        ("0.5e-9", "1e-9", DecimalExponent),
        ("0.9n", "1n", DecimalSi),
        ("0.00000012345", "124n", DecimalSi),
        ("0.00000012354", "124n", DecimalSi),
        ("0.999999999999", "1", DecimalSi),
        // Binary ones end at the largest integer of 64 bits, decimal ones do not.
        ("9Ei", "9223372036854775807", BinarySi),
        ("9223372036854775807Ki", "9223372036854775807", BinarySi),
        ("8191Pi", "8191Pi", BinarySi),
        ("12E", "12E", DecimalSi),
        ("10000E", "10000E", DecimalSi),
        // Fractions of binary units; below a whole one the suffixes are decimal.
        ("100.035Ki", "102435840m", BinarySi),
        ("0.5Mi", "512Ki", BinarySi),
        ("0.05Gi", "53687091200m", BinarySi),
        ("0.025Ti", "27487790694400m", BinarySi),
        (".001Ki", "1024m", BinarySi),
        (".000001Ki", "1024u", DecimalSi),
        (".000000001Ki", "1024n", DecimalSi),
        (".000000000001Ki", "2n", DecimalSi),
        ("1.5Ki", "1536", BinarySi),
        ("1023.9990234375Ki", "1048575", BinarySi),
    ]
};

#[test]
fn forms() {
    for (text, canonical, format) in FORMS {
        let quantity = Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((quantity.to_string().as_str(), quantity.format()), (*canonical, *format), "{text}");
        // A sign in front changes nothing else.
        let plus = Quantity::parse(&format!("+{text}")).unwrap();
        assert_eq!((plus, plus.format()), (quantity, *format), "+{text}");
        let minus = Quantity::parse(&format!("-{text}")).unwrap();
        assert_eq!((minus, minus.format()), (-quantity, *format), "-{text}");
        let negative = if quantity.is_zero() { "0".into() } else { format!("-{canonical}") };
        assert_eq!(minus.to_string(), negative, "-{text}");
        // What is printed reads back as the same.
        assert_eq!(Quantity::parse(canonical), Ok(quantity), "{text}");
    }
}

#[test]
fn what_is_none() {
    use Error::{Format, Numeric, Suffix};
    let table = [
        ("", Format),
        (" 1", Format),
        ("1 ", Format),
        ("1\n", Format),
        ("1,000", Format),
        ("1_000", Format),
        ("1.1.M", Format),
        ("1+1.0M", Format),
        ("0.1mi", Suffix),
        ("0.1am", Format),
        ("aoeu", Format),
        (".5i", Suffix),
        ("1i", Suffix),
        ("-3.01i", Suffix),
        ("-3.01e-", Suffix),
        ("0x10", Format),
        ("1e1.5", Format),
        ("1K", Suffix),
        ("1kI", Format),
        ("1Mb", Format),
        ("1MB", Format),
        ("1KiB", Format),
        ("Inf", Format),
        ("NaN", Format),
        ("１", Format),
    ];
    for (text, error) in table {
        assert_eq!(Quantity::parse(text), Err(error), "{text:?}");
    }
    // As upstream has it, a lone sign or point is zero.
    assert_eq!(["+", "-", ".", "-."].map(Quantity::parse), [Ok(Quantity::ZERO); 4]);
    assert_eq!(
        Format.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
    assert_eq!(
        [Numeric.to_string(), Suffix.to_string()],
        ["unable to parse numeric part of quantity", "unable to parse quantity's suffix"]
    );
}

/// Where 64 bits end: text, exact integer, canonical text.
#[test]
fn around_the_ends_of_64_bits() {
    let table = [
        ("999999999999999999", Some(999_999_999_999_999_999), "999999999999999999"),
        ("999999999999999999.0", Some(999_999_999_999_999_999), "999999999999999999"),
        ("999999999999999999.1", None, "999999999999999999100m"),
        ("9999999999999999999", None, "9999999999999999999"),
        ("9999999999999999999.0", None, "9999999999999999999"),
        ("9999999999999999999000m", None, "9999999999999999999"),
        ("9999999999999999999.1", None, "9999999999999999999100m"),
        ("1E", Some(1_000_000_000_000_000_000), "1E"),
        ("1000000000000000000", Some(1_000_000_000_000_000_000), "1E"),
        ("1.0E", Some(1_000_000_000_000_000_000), "1E"),
        ("1.0000000000000000001E", None, "1000000000000000000100m"),
        ("1.000000000000000001E", Some(1_000_000_000_000_000_001), "1000000000000000001"),
        ("10E", None, "10E"),
        ("10000000000000000000", None, "10E"),
        ("10000000000000000000000m", None, "10E"),
        ("10.0000000000000000001E", None, "10000000000000000000100m"),
        ("10.000000000000000001E", None, "10000000000000000001"),
        ("9223372036854775806", Some(i64::MAX - 1), "9223372036854775806"),
        ("9223372036854775806.1", None, "9223372036854775806100m"),
        ("9223372036854775807", Some(i64::MAX), "9223372036854775807"),
        ("9223372036854775807000m", Some(i64::MAX), "9223372036854775807"),
        ("9223372036854775808", None, "9223372036854775808"),
        ("9223372036854775808.1", None, "9223372036854775808100m"),
    ];
    for (text, integer, canonical) in table {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!((quantity.as_i64(), quantity.to_string().as_str()), (integer, canonical), "{text}");
        let negative = -quantity;
        let expected = integer.map(|integer: i64| -integer).or((text == "9223372036854775808").then_some(i64::MIN));
        assert_eq!((negative.as_i64(), negative.to_string()), (expected, format!("-{canonical}")), "-{text}");
    }
}
