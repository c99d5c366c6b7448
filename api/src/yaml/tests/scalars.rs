//! What scalars of every style mean, as go-yaml resolves them and JSON then has them.

use serde_json::{Value, json};

use crate::yaml::read;

fn value(text: &str) -> Value {
    read(&format!("v: {text}")).unwrap_or_else(|error| panic!("{text:?}: {error}"))["v"].take()
}

#[test]
fn plain() {
    let table = [
        // Nothing.
        ("", json!(null)),
        ("~", json!(null)),
        ("null", json!(null)),
        ("Null", json!(null)),
        ("NULL", json!(null)),
        ("nUll", json!("nUll")),
        ("nil", json!("nil")),
        ("none", json!("none")),
        // Booleans of YAML 1.1: the trap of Norway.
        ("y", json!(true)),
        ("Y", json!(true)),
        ("yes", json!(true)),
        ("Yes", json!(true)),
        ("YES", json!(true)),
        ("yEs", json!("yEs")),
        ("on", json!(true)),
        ("ON", json!(true)),
        ("oN", json!("oN")),
        ("true", json!(true)),
        ("True", json!(true)),
        ("tRUE", json!("tRUE")),
        ("n", json!(false)),
        ("N", json!(false)),
        ("no", json!(false)),
        ("No", json!(false)),
        ("NO", json!(false)),
        ("off", json!(false)),
        ("Off", json!(false)),
        ("false", json!(false)),
        ("FALSE", json!(false)),
        ("t", json!("t")),
        ("f", json!("f")),
        ("yess", json!("yess")),
        ("norway", json!("norway")),
        // Integers in four bases, with underlines.
        ("10", json!(10)),
        ("-10", json!(-10)),
        ("+685_230", json!(685_230)),
        ("02472256", json!(685_230)),
        ("0x_0A_74_AE", json!(685_230)),
        ("0XA", json!(10)),
        ("-0xa", json!(-10)),
        ("0b1010_0111_0100_1010_1110", json!(685_230)),
        ("0b10", json!(2)),
        ("-0b101010", json!(-42)),
        ("+0b11", json!(3)),
        ("0o17", json!(15)),
        ("0", json!(0)),
        ("00", json!(0)),
        ("-0", json!(0)),
        ("1_", json!(1)),
        ("1__0", json!(10)),
        ("4294967296", json!(4_294_967_296_i64)),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("0xffffffffffffffff", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("-9223372036854775809", json!(-9_223_372_036_854_775_809.0)),
        // Not numbers, though they begin like some.
        ("0b", json!("0b")),
        ("0b12", json!("0b12")),
        ("0x", json!("0x")),
        ("0xg", json!("0xg")),
        ("1a", json!("1a")),
        ("1-2", json!("1-2")),
        ("--1", json!("--1")),
        ("+-1", json!("+-1")),
        ("1,000", json!("1,000")),
        ("_1", json!("_1")),
        ("1.2.3", json!("1.2.3")),
        ("10.0.0.1", json!("10.0.0.1")),
        ("v1", json!("v1")),
        ("100m", json!("100m")),
        ("1Gi", json!("1Gi")),
        ("25%", json!("25%")),
        ("12e03x", json!("12e03x")),
        ("e3", json!("e3")),
        ("+", json!("+")),
        (".", json!(".")),
        ("..", json!("..")),
        // Floats; whole ones lose their point in JSON.
        ("0.1", json!(0.1)),
        (".1", json!(0.1)),
        ("-.1", json!(-0.1)),
        ("+.5", json!(0.5)),
        ("1.", json!(1)),
        ("1.0", json!(1)),
        ("6.8523e+5", json!(685_230)),
        ("685.230_15e+03", json!(685_230.15)),
        ("685_230.15", json!(685_230.15)),
        ("1e3", json!(1000)),
        ("1E3", json!(1000)),
        ("1e-3", json!(0.001)),
        ("-2.5E-2", json!(-0.025)),
        ("089", json!(89)),
        ("1e400", json!("1e400")),
        (".5e", json!(".5e")),
        // Base 60 is only a text, and so are times.
        ("190:20:30", json!("190:20:30")),
        ("12:30", json!("12:30")),
        ("1:1", json!("1:1")),
        ("2015-01-01", json!("2015-01-01")),
        ("2015-02-24T18:19:39.12Z", json!("2015-02-24T18:19:39.12Z")),
        ("2015-2-3 3:4:5", json!("2015-2-3 3:4:5")),
        ("2015-02-29", json!("2015-02-29")),
        // Texts with characters that mean something elsewhere.
        ("a:b", json!("a:b")),
        ("http://x.y/z?a=b#c", json!("http://x.y/z?a=b#c")),
        ("a # comment", json!("a")),
        ("a#b", json!("a#b")),
        ("a, b", json!("a, b")),
        ("a 'b' \"c\"", json!("a 'b' \"c\"")),
        ("-a", json!("-a")),
        ("?a", json!("?a")),
        (":a", json!(":a")),
        ("<<", json!("<<")),
        ("=", json!("=")),
        ("a\\nb", json!("a\\nb")),
        ("ünïcode", json!("ünïcode")),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn quoted() {
    let table = [
        ("''", ""),
        ("\"\"", ""),
        ("'yes'", "yes"),
        ("\"1\"", "1"),
        ("'~'", "~"),
        ("'it''s'", "it's"),
        ("'a\\nb'", "a\\nb"),
        ("\"a\\nb\"", "a\nb"),
        ("\"\\t\\r\\\\\\\"\\/\"", "\t\r\\\"/"),
        ("\"\\0\\a\\b\\e\\f\\v\"", "\0\u{7}\u{8}\u{1b}\u{c}\u{b}"),
        ("\"\\x41\\u00e9\\U0001F600\"", "Aé😀"),
        ("\"\\_\\N\\L\\P\\ \"", "\u{a0}\u{85}\u{2028}\u{2029} "),
        ("'# no comment'", "# no comment"),
        ("'a: b'", "a: b"),
        ("\"{a}\"", "{a}"),
        // Line breaks fold to spaces, empty lines to breaks, escaped ones vanish.
        ("'a\n  b'", "a b"),
        ("'a\n\n  b'", "a\nb"),
        ("\"a\n  b\"", "a b"),
        ("\"a\\\n  b\"", "ab"),
        ("\"a \\\n  \\  b\"", "a   b"),
        ("a\n  b\n  c", "a b c"),
        ("a\n\n  b", "a\nb"),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn blocks() {
    let table = [
        ("|\n  a\n  b\n", "a\nb\n"),
        ("|\n  a\n\n\n", "a\n"),
        ("|-\n  a\n\n", "a"),
        ("|+\n  a\n\n", "a\n\n"),
        ("|\n  a\n   b\n  c\n", "a\n b\nc\n"),
        ("|2\n    a\n", "  a\n"),
        ("|1-\n   a\n", "  a"),
        ("|\n\n  a\n", "\na\n"),
        ("|\n  # no comment\n", "# no comment\n"),
        ("|\n  a: b\n  - c\n", "a: b\n- c\n"),
        ("|\n", ""),
        ("|+\n\n\n", "\n\n"),
        (">\n  a\n  b\n", "a b\n"),
        (">-\n  a\n  b\n", "a b"),
        (">\n  a\n\n  b\n", "a\nb\n"),
        (">\n  a\n   b\n  c\n", "a\n b\nc\n"),
        (">+\n  a\n\n", "a\n\n"),
        ("| # comment\n  a\n", "a\n"),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn tagged() {
    let table = [
        ("!!str 10", json!("10")),
        ("!!str yes", json!("yes")),
        ("!!str ~", json!("~")),
        ("!!str", json!("")),
        ("!!int '10'", json!(10)),
        ("!!int \"0x10\"", json!(16)),
        ("!!float 1", json!(1)),
        ("!!float '1.5'", json!(1.5)),
        ("!!bool 'yes'", json!(true)),
        ("!!null ''", json!(null)),
        ("! 10", json!("10")),
        ("! test", json!("test")),
        ("!custom 10", json!("10")),
        ("!!binary aGk=", json!("hi")),
        ("!!binary gIGC", json!("\u{fffd}\u{fffd}\u{fffd}")),
        ("!!timestamp 2015-01-01", json!("2015-01-01")),
        ("!<tag:yaml.org,2002:int> '3'", json!(3)),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text:?}");
    }
    for (text, expected) in [
        ("!!int a", "cannot decode !!str `a` as a !!int"),
        ("!!float yes", "cannot decode !!bool `yes` as a !!float"),
        ("!!bool 1", "cannot decode !!int `1` as a !!bool"),
        ("!!null x", "cannot decode !!str `x` as a !!null"),
        ("!!timestamp soon", "cannot decode !!str `soon` as a !!timestamp"),
        ("!!binary a", "!!binary value contains invalid base64 data"),
    ] {
        let error = read(&format!("v: {text}")).unwrap_err().to_string();
        assert_eq!(error, format!("error converting YAML to JSON: yaml: {expected}"), "{text:?}");
    }
}

#[test]
fn keys_are_texts() {
    let table = [
        ("1: a", "1"),
        ("01: a", "1"),
        ("0x10: a", "16"),
        ("-5: a", "-5"),
        ("18446744073709551615: a", "18446744073709551615"),
        ("1.5: a", "1.5"),
        ("1.0: a", "1"),
        ("1e10: a", "1e+10"),
        ("yes: a", "true"),
        ("off: a", "false"),
        ("'yes': a", "yes"),
        ("\"1\": a", "1"),
        ("!!str 1: a", "1"),
        ("2001-01-01: a", "2001-01-01"),
        ("a b: a", "a b"),
        ("? long\n: a", "long"),
        ("'': a", ""),
        ("a/b.c-d: a", "a/b.c-d"),
    ];
    for (text, key) in table {
        assert_eq!(read(text).unwrap(), json!({key: "a"}), "{text:?}");
    }
    for (text, expected) in [
        ("~: a", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"a\""),
        (": a", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"a\""),
        ("[a]: b", "yaml: invalid map key"),
        ("{a: b}: c", "yaml: invalid map key"),
        ("? [a]\n: b", "yaml: invalid map key"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("error converting YAML to JSON: {expected}")), "{text:?}: {error}");
    }
}
