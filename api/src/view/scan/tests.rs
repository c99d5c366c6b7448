//! What is refused when JSON is read in place.

use super::super::View;

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "tru",
        "nulll",
        "01",
        "-",
        "1.",
        "1e",
        "\"",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "\"\n\"",
        "{\"a\":1}}",
        "1 2",
        "'a'",
        "+1",
        ".5",
        "\"a\\",
        "{\"a\\",
    ] {
        assert!(View::default().read(text.as_bytes()).is_err(), "{text:?}");
        assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text:?}: a test that asks too much");
    }
    assert!(View::default().read(b"\"\xff\"").is_err());
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(View::default().read(nested(100).as_bytes()).is_ok());
    assert!(View::default().read(nested(101).as_bytes()).is_err());
}

#[test]
fn a_view_is_used_again() {
    let mut view = View::default();
    assert!(view.read(br#"{"a":["\n",{"b":1}]}"#).is_ok());
    assert!(view.read(b"[").is_err());
    assert_eq!(view.read(br#"["\t"]"#).unwrap().text("/0"), "\t");
}
