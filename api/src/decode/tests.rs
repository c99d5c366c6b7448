//! JSON as Go reads it: values, errors, duplicates, limits.

use super::*;
use serde_json::json;

mod grammar;

#[test]
fn agrees_with_serde_json_on_what_is_valid() {
    let table = [
        r#"{}"#,
        r#" [ ] "#,
        r#"{"a":[1,-2,3.5,1e3,0,18446744073709551615,9223372036854775807,-9223372036854775808],"b":{"c":null}}"#,
        r#"{"s":"a\"\\\/\b\f\n\r\tAé😀ü","t":true,"f":false}"#,
        r#""text""#,
        "123",
        "\t{\r\n\"a\" : 1 }\n",
    ];
    for text in table {
        assert_eq!(parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap(), "{text}");
    }
}

#[test]
fn errors_are_those_of_go() {
    let table: [(&[u8], &str); 20] = [
        (b"", "unexpected end of JSON input"),
        (b"{", "unexpected end of JSON input"),
        (b"{\"a\"", "unexpected end of JSON input"),
        (b"\"abc", "unexpected end of JSON input"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b"{\"a\" 1}", "invalid character '1' after object key"),
        (b"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"trie", "invalid character 'i' in literal true (expecting 'u')"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e+", "unexpected end of JSON input"),
        (b"\"\n\"", "invalid character '\\n' in string literal"),
        (b"\"\\x\"", "invalid character 'x' in string escape code"),
        (b"\"\\u12g4\"", "invalid character 'g' in \\u hexadecimal character escape"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
    ];
    for (text, error) in table {
        assert_eq!(parse(text).unwrap_err(), error, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn duplicates_are_reported_once_with_their_path() {
    let text = br#"{"a":1,"a":2,"a":3,"spec":{"containers":[{"x":1},{"image":"a","image":"b"}]},"spec":{}}"#;
    let (value, duplicates) = strict(text).unwrap();
    assert_eq!(duplicates, ["a", "spec.containers[1].image", "spec"]);
    assert_eq!(value, json!({"a": 3, "spec": {}}));
    let many: String = (0..500).map(|i| format!(r#""k{i}":1,"k{i}":2,"#)).collect();
    assert_eq!(strict(format!("{{{many}\"z\":1}}").as_bytes()).unwrap().1.len(), MAX_REPORTS);
}

#[test]
fn strings_are_plain_up_to_what_interrupts_them() {
    for interruption in [b'"', b'\\', 0, 0x1f, b'\n'] {
        for before in 0..20 {
            // What is plain, and next to what is not.
            for plain in [b'!', b'#', b'[', b']', b' ', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                let text = [vec![plain; before], vec![interruption, plain, interruption]].concat();
                assert_eq!(plain_len(&text), before, "{interruption:#x} behind {plain:#x}");
                assert_eq!(plain_len(&text[..before]), before);
            }
        }
    }
}

#[test]
fn depth_is_limited() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(parse(nested(MAX_DEPTH as usize).as_bytes()).is_ok());
    assert_eq!(parse(nested(MAX_DEPTH as usize + 1).as_bytes()).unwrap_err(), "exceeded max depth");
    assert_eq!(parse("[{\"a\":".repeat(100_000).as_bytes()).unwrap_err(), "exceeded max depth");
}

#[test]
fn invalid_utf8_and_half_surrogates_are_replaced() {
    assert_eq!(parse(b"\"a\xffb\"").unwrap(), json!("a\u{fffd}b"));
    assert_eq!(parse(br#""\ud800x""#).unwrap(), json!("\u{fffd}x"));
    assert_eq!(parse(br#""\ud83d\ude00""#).unwrap(), json!("😀"));
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn reads_what_serde_json_writes(text: String, number: i64) {
        let value = json!({"t": text, "n": [number, {"deep": null}]});
        proptest::prop_assert_eq!(parse(value.to_string().as_bytes()).unwrap(), value);
    }
}
