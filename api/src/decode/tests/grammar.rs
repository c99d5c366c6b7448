//! The grammar of JSON, case by case, with Go's complaints; and that reading in place agrees on what is JSON.

use serde_json::{Value, json};

use crate::decode::{parse, strict};
use crate::view::View;

#[test]
fn what_reads() {
    let table: &[(&str, Value)] = &[
        ("null", json!(null)),
        ("true", json!(true)),
        ("false", json!(false)),
        ("\"\"", json!("")),
        ("0", json!(0)),
        ("1", json!(1)),
        ("-1", json!(-1)),
        ("123456789012", json!(123_456_789_012_i64)),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("1.5", json!(1.5)),
        ("-0.5", json!(-0.5)),
        ("1e3", json!(1000.0)),
        ("1E+3", json!(1000.0)),
        ("1e-3", json!(0.001)),
        ("1.25e2", json!(125.0)),
        ("0e0", json!(0.0)),
        ("[]", json!([])),
        ("[1]", json!([1])),
        ("[1,2,[3]]", json!([1, 2, [3]])),
        ("{}", json!({})),
        ("{\"\":1}", json!({"": 1})),
        ("{\"a\":{\"b\":[{}]}}", json!({"a": {"b": [{}]}})),
        // Space of four kinds, around everything.
        (" \t\r\n{ \"a\" : [ 1 , 2 ] } \n", json!({"a": [1, 2]})),
        // Escapes.
        (r#""\"\\\/\b\f\n\r\t""#, json!("\"\\/\u{8}\u{c}\n\r\t")),
        (r#""\u0041\u00e9\u20ac""#, json!("Aé€")),
        (r#""\ud83d\ude00""#, json!("😀")),
        (r#""\u0000""#, json!("\u{0}")),
        ("\"é€😀\"", json!("é€😀")),
        ("\"\u{7f}\"", json!("\u{7f}")),
        ("\"/\"", json!("/")),
    ];
    for (text, value) in table {
        let found = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(found, *value, "{text}");
        assert_eq!(View::default().read(text.as_bytes()).unwrap().value(), *value, "{text} in place");
    }
}

#[test]
fn what_does_not() {
    let end = "unexpected end of JSON input";
    let table = [
        ("", end),
        (" ", end),
        ("{", end),
        ("{\"a\"", end),
        ("{\"a\":", end),
        ("{\"a\":1", end),
        ("{\"a\":1,", end),
        ("[", end),
        ("[1", end),
        ("[1,", end),
        ("\"a", end),
        ("\"\\", end),
        ("\"\\u12", end),
        ("-", end),
        ("1.", end),
        ("1e", end),
        ("1e-", end),
        ("t", end),
        ("tru", end),
        ("nul", end),
        ("}", "invalid character '}' looking for beginning of value"),
        ("]", "invalid character ']' looking for beginning of value"),
        (",", "invalid character ',' looking for beginning of value"),
        (":", "invalid character ':' looking for beginning of value"),
        ("+1", "invalid character '+' looking for beginning of value"),
        (".5", "invalid character '.' looking for beginning of value"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("Infinity", "invalid character 'I' looking for beginning of value"),
        ("undefined", "invalid character 'u' looking for beginning of value"),
        ("'a'", "invalid character '\\'' looking for beginning of value"),
        ("// x", "invalid character '/' looking for beginning of value"),
        ("True", "invalid character 'T' looking for beginning of value"),
        ("01", "invalid character '1' after top-level value"),
        ("1 2", "invalid character '2' after top-level value"),
        ("{} {}", "invalid character '{' after top-level value"),
        ("null,", "invalid character ',' after top-level value"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("--1", "invalid character '-' in numeric literal"),
        ("-.5", "invalid character '.' in numeric literal"),
        ("1.e3", "invalid character 'e' after decimal point in numeric literal"),
        ("1e+x", "invalid character 'x' in exponent of numeric literal"),
        ("1e1.5", "invalid character '.' after top-level value"),
        ("0x10", "invalid character 'x' after top-level value"),
        ("tree", "invalid character 'e' in literal true (expecting 'u')"),
        ("fals!", "invalid character '!' in literal false (expecting 'e')"),
        ("nil", "invalid character 'i' in literal null (expecting 'u')"),
        ("{1:2}", "invalid character '1' looking for beginning of object key string"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ("{,}", "invalid character ',' looking for beginning of object key string"),
        ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        ("{\"a\",1}", "invalid character ',' after object key"),
        ("{\"a\" 1}", "invalid character '1' after object key"),
        ("{\"a\":1;}", "invalid character ';' after object key:value pair"),
        ("{\"a\":1]", "invalid character ']' after object key:value pair"),
        ("[1;2]", "invalid character ';' after array element"),
        ("[1}", "invalid character '}' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("[,1]", "invalid character ',' looking for beginning of value"),
        ("\"\t\"", "invalid character '\\t' in string literal"),
        ("\"\n\"", "invalid character '\\n' in string literal"),
        ("\"\u{0}\"", "invalid character '\\x00' in string literal"),
        ("\"\u{1f}\"", "invalid character '\\x1f' in string literal"),
        ("\"\\a\"", "invalid character 'a' in string escape code"),
        ("\"\\'\"", "invalid character '\\'' in string escape code"),
        ("\"\\x41\"", "invalid character 'x' in string escape code"),
        ("\"\\u004g\"", "invalid character 'g' in \\u hexadecimal character escape"),
        ("\u{feff}{}", "invalid character 'ï' looking for beginning of value"),
    ];
    for (text, complaint) in table {
        assert_eq!(parse(text.as_bytes()).unwrap_err(), complaint, "{text:?}");
        assert!(View::default().read(text.as_bytes()).is_err(), "{text:?} in place");
    }
}

#[test]
fn numbers_too_large_are_refused() {
    for text in ["1e400", "-1e400", &format!("1{}", "0".repeat(400))] {
        let complaint = format!("json: cannot unmarshal number {text} into Go value of type float64");
        assert_eq!(parse(text.as_bytes()).unwrap_err(), complaint);
    }
    assert_eq!(parse(b"1e-400").unwrap(), json!(0.0));
}

#[test]
fn halves_of_surrogates_are_replaced() {
    let table = [
        (r#""\ud83d""#, "\u{fffd}"),
        (r#""\ude00""#, "\u{fffd}"),
        (r#""\ud83dx""#, "\u{fffd}x"),
        (r#""\ud83d\n""#, "\u{fffd}\n"),
        (r#""\ud83d\u0041""#, "\u{fffd}A"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
    ];
    for (text, value) in table {
        assert_eq!(parse(text.as_bytes()).unwrap(), json!(value), "{text}");
    }
}

#[test]
fn duplicates() {
    let table: &[(&str, &[&str])] = &[
        (r#"{"a":1}"#, &[]),
        (r#"{"a":1,"a":1}"#, &["a"]),
        (r#"{"a":1,"b":2,"a":3,"b":4}"#, &["a", "b"]),
        (r#"{"a":{"b":1,"b":2}}"#, &["a.b"]),
        (r#"{"a":[{"b":1,"b":2},{"b":1}]}"#, &["a[0].b"]),
        (r#"[{"a":1,"a":2}]"#, &["[0].a"]),
        (r#"[[{"a":1,"a":2}]]"#, &["[0][0].a"]),
        (r#"{"a":{"x":1},"b":{"x":1}}"#, &[]),
        (r#"{"a":1,"A":2}"#, &[]),
        // Equal once they are unescaped.
        (r#"{"a":1,"\u0061":2}"#, &["a"]),
        (r#"{"a":{"b":1,"b":2},"a":{"b":1,"b":2}}"#, &["a.b", "a"]),
        (r#"{"":1,"":2}"#, &[""]),
    ];
    for (text, paths) in table {
        assert_eq!(strict(text.as_bytes()).unwrap().1, *paths, "{text}");
    }
}
