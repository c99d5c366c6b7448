//! What is written, line by line, and that it reads back.

use serde_json::{Value, json};

use crate::yaml::{read, write};

fn check(value: &Value, expected: &str) {
    assert_eq!(write(value), expected);
    assert_eq!(read(expected).unwrap(), *value, "{expected}");
}

#[test]
fn texts() {
    // A text, and what stands behind `a: `.
    let table = [
        ("b", "b"),
        ("b c", "b c"),
        ("ünï", "ünï"),
        ("a-b_c.d/e", "a-b_c.d/e"),
        ("http://x.y/z?a=b&c=d#e", "http://x.y/z?a=b&c=d#e"),
        ("v1", "v1"),
        ("10.0.0.1", "10.0.0.1"),
        ("100m", "100m"),
        ("25%", "25%"),
        ("a,b", "a,b"),
        ("a]b", "a]b"),
        ("-x", "-x"),
        ("--flag=x", "--flag=x"),
        ("it's", "it's"),
        ("say \"x\"", "say \"x\""),
        ("a\\nb", "a\\nb"),
        ("$(A)", "$(A)"),
        ("(a)", "(a)"),
        ("/a", "/a"),
        ("<none>", "<none>"),
        ("<<", "<<"),
        ("^a$", "^a$"),
        // What would read as something else.
        ("", "\"\""),
        ("null", "\"null\""),
        ("~", "\"~\""),
        ("true", "\"true\""),
        ("False", "\"False\""),
        ("yes", "\"yes\""),
        ("No", "\"No\""),
        ("on", "\"on\""),
        ("y", "\"y\""),
        ("N", "\"N\""),
        ("1", "\"1\""),
        ("-1", "\"-1\""),
        ("+1", "\"+1\""),
        ("0x10", "\"0x10\""),
        ("0755", "\"0755\""),
        ("0b1", "\"0b1\""),
        ("0o7", "\"0o7\""),
        ("1_0", "\"1_0\""),
        ("1.5", "\"1.5\""),
        (".5", "\".5\""),
        ("1e3", "\"1e3\""),
        (".inf", "\".inf\""),
        (".NaN", "\".NaN\""),
        ("12:30", "\"12:30\""),
        ("1:1", "\"1:1\""),
        ("190:20:30.5", "\"190:20:30.5\""),
        ("2026-01-01", "\"2026-01-01\""),
        ("2026-01-01T00:00:00Z", "\"2026-01-01T00:00:00Z\""),
        // What would break the grammar.
        ("-", "'-'"),
        ("- a", "'- a'"),
        ("? a", "'? a'"),
        (": a", "': a'"),
        ("a: b", "'a: b'"),
        ("a:", "'a:'"),
        ("a #b", "'a #b'"),
        ("#a", "'#a'"),
        ("{a}", "'{a}'"),
        ("[a]", "'[a]'"),
        ("*a", "'*a'"),
        ("&a", "'&a'"),
        ("!a", "'!a'"),
        ("|a", "'|a'"),
        (">a", "'>a'"),
        ("%a", "'%a'"),
        ("@a", "'@a'"),
        ("`a", "'`a'"),
        ("'a'", "'''a'''"),
        ("\"a\"", "'\"a\"'"),
        (",a", "',a'"),
        (" a", "' a'"),
        ("a ", "'a '"),
        ("---", "'---'"),
        ("...", "'...'"),
        ("--- a", "'--- a'"),
        // What cannot be seen.
        ("a\tb", "\"a\\tb\""),
        ("a\rb", "\"a\\rb\""),
        ("\u{0}", "\"\\0\""),
        ("\u{7}\u{8}\u{b}\u{c}\u{1b}", "\"\\a\\b\\v\\f\\e\""),
        ("\u{1}", "\"\\x01\""),
        ("\u{7f}", "\"\\x7F\""),
        ("\u{85}\u{a0}\u{2028}\u{2029}", "\"\\N\u{a0}\\L\\P\""),
        ("\u{feff}", "\"\\uFEFF\""),
        ("\u{1f600}", "\"\\U0001F600\""),
        ("a\t\"\\", "\"a\\t\\\"\\\\\""),
    ];
    for (text, written) in table {
        check(&json!({"a": text}), &format!("a: {written}\n"));
    }
}

#[test]
fn texts_of_several_lines() {
    let table = [
        ("b\nc", "|-\n  b\n  c"),
        ("b\nc\n", "|\n  b\n  c"),
        ("b\n\n", "|+\n  b\n"),
        ("b\n\nc\n", "|\n  b\n\n  c"),
        ("b\n  c\n", "|\n  b\n    c"),
        ("#!/bin/sh\nset -e\n", "|\n  #!/bin/sh\n  set -e"),
        ("key: value\nother: 'x'\n", "|\n  key: value\n  other: 'x'"),
        ("\nb", "|2-\n\n  b"),
        (" b\nc", "|2-\n   b\n  c"),
        ("b\\\n", "|\n  b\\"),
        ("b \nc", "\"b \\nc\""),
        ("b\nc ", "\"b\\nc \""),
        ("b\n\tc", "\"b\\n\\tc\""),
        ("b\r\nc\r\n", "\"b\\r\\nc\\r\\n\""),
        ("b\n\u{1f600}", "\"b\\n\\U0001F600\""),
    ];
    for (text, written) in table {
        check(&json!({"a": text}), &format!("a: {written}\n"));
    }
    check(&json!(["b\nc", {"d": "e\nf\n"}]), "- |-\n  b\n  c\n- d: |\n    e\n    f\n");
    check(&json!({"a": {"b": "c\nd"}}), "a:\n  b: |-\n    c\n    d\n");
}

#[test]
fn collections_and_numbers() {
    let table = [
        (json!(null), "null\n"),
        (json!(true), "true\n"),
        (json!(-5), "-5\n"),
        (json!(u64::MAX), "18446744073709551615\n"),
        (json!(1.5), "1.5\n"),
        (json!(0.1), "0.1\n"),
        (json!(1.5e-10), "1.5e-10\n"),
        (json!(2.5e-7), "2.5e-07\n"),
        (json!({}), "{}\n"),
        (json!([]), "[]\n"),
        (json!({"a": {}}), "a: {}\n"),
        (json!({"a": []}), "a: []\n"),
        (json!({"a": null}), "a: null\n"),
        (json!([null, true, 1]), "- null\n- true\n- 1\n"),
        (json!([[]]), "- []\n"),
        (json!([[1, 2], [3]]), "- - 1\n  - 2\n- - 3\n"),
        (json!([[[1]]]), "- - - 1\n"),
        (json!([{"a": 1, "b": 2}, {}]), "- a: 1\n  b: 2\n- {}\n"),
        (json!([{"a": {"b": 1}}]), "- a:\n    b: 1\n"),
        (json!([{"a": [1]}]), "- a:\n  - 1\n"),
        (json!({"a": [{"b": [{"c": 1}]}]}), "a:\n- b:\n  - c: 1\n"),
        (json!({"a": {"b": {"c": {}}}}), "a:\n  b:\n    c: {}\n"),
        (json!({"a": [[{"b": 1}]]}), "a:\n- - b: 1\n"),
    ];
    for (value, expected) in table {
        check(&value, expected);
    }
}

#[test]
fn keys() {
    let table = [
        ("a", "a"),
        ("a b", "a b"),
        ("a.b/c-d", "a.b/c-d"),
        ("", "\"\""),
        ("1", "\"1\""),
        ("y", "\"y\""),
        ("null", "\"null\""),
        ("<<", "\"<<\""),
        ("a: b", "'a: b'"),
        ("#a", "'#a'"),
        ("*", "'*'"),
        ("a\tb", "\"a\\tb\""),
        ("2026-01-01", "\"2026-01-01\""),
    ];
    for (key, written) in table {
        check(&json!({key: "v"}), &format!("{written}: v\n"));
    }
}

/// go-yaml's own list (its sorter test).
#[test]
fn keys_are_in_natural_order() {
    let order = [
        "", ".1", ".2", ".a", "1", "2", "a!10", "a/0001", "a/002", "a/3", "a/10", "a/11", "a/0012", "a/100", "a~10",
        "ab/1", "b/1", "b/01", "b/2", "b/02", "b/3", "b/03", "b1", "b01", "b3", "c2.10", "c10.2", "d1", "d7", "d7abc",
        "d12", "d12a",
    ];
    let map: Value = order.iter().map(|key| ((*key).to_string(), json!(0))).collect::<serde_json::Map<_, _>>().into();
    let written = write(&map);
    let keys: Vec<&str> = written.lines().map(|line| line.trim_end_matches(": 0").trim_matches(['"', '\''])).collect();
    assert_eq!(keys, order);
}

#[test]
fn long_texts_fold() {
    let words = "word ".repeat(40);
    let words = words.trim_end();
    let written = write(&json!({"a": words}));
    let lines: Vec<&str> = written.lines().collect();
    // A line ends at the first space behind column 80; nothing else breaks it.
    assert!(lines.len() > 1 && lines[..lines.len() - 1].iter().all(|line| (80..90).contains(&line.len())), "{written}");
    assert!(lines[1].starts_with("  word"), "{written}");
    assert_eq!(read(&written).unwrap()["a"], words);
    let solid = "x".repeat(200);
    check(&json!({"a": solid}), &format!("a: {solid}\n"));
    // Keys do not fold, and two spaces are kept together.
    let key = "k ".repeat(50) + "k";
    check(&json!({key.clone(): "v"}), &format!("{key}: v\n"));
    let double = format!("{}  b", "x".repeat(90));
    check(&json!({"a": double}), &format!("a: {double}\n"));
}
