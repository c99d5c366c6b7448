//! Documents as people write them: collections, anchors, merges, streams, and what is said of mistakes.

use serde_json::{Value, json};

use crate::yaml::{read, read_documents, read_strict, split_documents};

#[test]
fn collections() {
    let table = [
        ("[]", json!([])),
        ("{}", json!({})),
        ("a: []\nb: {}", json!({"a": [], "b": {}})),
        ("- a\n- b", json!(["a", "b"])),
        ("-\n- a\n-", json!([null, "a", null])),
        ("- - a\n  - b\n- - c", json!([["a", "b"], ["c"]])),
        ("- a: 1\n  b: 2\n- a: 3", json!([{"a": 1, "b": 2}, {"a": 3}])),
        ("-\n  a: 1", json!([{"a": 1}])),
        ("a:\n- b\n- c\nd: e", json!({"a": ["b", "c"], "d": "e"})),
        ("a:\n  - b\n  - c\nd: e", json!({"a": ["b", "c"], "d": "e"})),
        ("a:\n  b:\n    c: d", json!({"a": {"b": {"c": "d"}}})),
        ("a:\n b: 1\n c: 2", json!({"a": {"b": 1, "c": 2}})),
        ("a: {b: c}", json!({"a": {"b": "c"}})),
        ("a: {b: https://x.y/z}", json!({"a": {"b": "https://x.y/z"}})),
        ("a: [https://x.y/z, b]", json!({"a": ["https://x.y/z", "b"]})),
        ("a: [1, '2', true, null, 1.5]", json!({"a": [1, "2", true, null, 1.5]})),
        ("a: [b, c, ]", json!({"a": ["b", "c"]})),
        ("a: {b: 1, c: 2, }", json!({"a": {"b": 1, "c": 2}})),
        ("a: {b, c: 1}", json!({"a": {"b": null, "c": 1}})),
        ("a: [\n  b,\n  c\n]", json!({"a": ["b", "c"]})),
        ("a: [[1, 2], {b: [3]}]", json!({"a": [[1, 2], {"b": [3]}]})),
        ("a: [b: c, d: e]", json!({"a": [{"b": "c"}, {"d": "e"}]})),
        ("{\"a\":1,\"b\":[true,null]}", json!({"a": 1, "b": [true, null]})),
        ("\"a\" : b", json!({"a": "b"})),
        ("a:   b   ", json!({"a": "b"})),
        ("a: b # c\n# d\nc: d", json!({"a": "b", "c": "d"})),
        ("# only\n\na: b\n\n", json!({"a": "b"})),
        ("a: b\r\nc: d\r\n", json!({"a": "b", "c": "d"})),
        ("\u{feff}a: b", json!({"a": "b"})),
        ("%YAML 1.1\n---\na: b", json!({"a": "b"})),
        ("--- a", json!("a")),
        ("--- |\n a\n", json!("a\n")),
        ("a: b\n...\n", json!({"a": "b"})),
        ("", json!(null)),
        ("   \n", json!(null)),
        ("text", json!("text")),
        ("a\nb", json!("a b")),
        ("key with spaces: value", json!({"key with spaces": "value"})),
        ("? a\n? b", json!({"a": null, "b": null})),
    ];
    for (text, expected) in table {
        assert_eq!(read(text).unwrap_or_else(|error| panic!("{text:?}: {error}")), expected, "{text:?}");
    }
}

#[test]
fn anchors_and_merges() {
    let table = [
        ("a: &x 1\nb: &w 2\nc: *x\nd: *w", json!({"a": 1, "b": 2, "c": 1, "d": 2})),
        ("a: &a {c: 1}\nb: *a", json!({"a": {"c": 1}, "b": {"c": 1}})),
        ("a: &a [1, 2]\nb: *a", json!({"a": [1, 2], "b": [1, 2]})),
        ("- &a x\n- *a", json!(["x", "x"])),
        ("&a a: b\nc: *a", json!({"a": "b", "c": "a"})),
        ("a: &x null\nb: *x", json!({"a": null, "b": null})),
        ("a: &x !!str 1\nb: *x", json!({"a": "1", "b": "1"})),
        // What stands in the map itself goes before what is merged, wherever the merge stands.
        ("a: &a {x: 1, z: 2}\nb: {<<: *a, x: 3}", json!({"a": {"x": 1, "z": 2}, "b": {"x": 3, "z": 2}})),
        ("a: &a {x: 1}\nb:\n  <<: *a", json!({"a": {"x": 1}, "b": {"x": 1}})),
        ("a: &a {x: 1}\nb: &b {x: 2}\nc: {<<: [*a, *b]}", json!({"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 1}})),
        ("c: {<<: {x: 1}, z: 2}", json!({"c": {"x": 1, "z": 2}})),
        (
            "a: &a {x: 1}\nb: &b {<<: *a, z: 2}\nc: {<<: *b}",
            json!({"a": {"x": 1}, "b": {"x": 1, "z": 2}, "c": {"x": 1, "z": 2}}),
        ),
        ("a: {'<<': 1}", json!({"a": {"<<": 1}})),
        ("- <<", json!(["<<"])),
    ];
    for (text, expected) in table {
        assert_eq!(read(text).unwrap_or_else(|error| panic!("{text:?}: {error}")), expected, "{text:?}");
    }
    for (text, expected) in [
        ("a: *b", "unknown anchor 'b' referenced"),
        ("a: &a [*a]", "anchor 'a' value contains itself"),
        ("a: &a\n  b: *a", "anchor 'a' value contains itself"),
        ("a: {<<: 1}", "map merge requires map or sequence of maps as the value"),
        ("a: {<<: [1]}", "map merge requires map or sequence of maps as the value"),
        ("a: {<<: x}", "map merge requires map or sequence of maps as the value"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert_eq!(error, format!("error converting YAML to JSON: yaml: {expected}"), "{text:?}");
    }
}

#[test]
fn duplicates() {
    assert_eq!(read("a: 1\na: 2").unwrap(), json!({"a": 2}), "the last one counts");
    let head = "error converting YAML to JSON: yaml: unmarshal errors:";
    for (text, complaints) in [
        ("a: 1\na: 2", "\n  line 2: key \"a\" already set in map"),
        ("a: 1\nb: 2\na: 3\na: 4", "\n  line 3: key \"a\" already set in map\n  line 4: key \"a\" already set in map"),
        ("a: {b: 1, b: 2}", "\n  line 1: key \"b\" already set in map"),
        ("1: a\n'1': b", "\n  line 2: key \"1\" already set in map"),
        ("- {a: 1}\n- {a: 1, a: 2}", "\n  line 2: key \"a\" already set in map"),
    ] {
        assert_eq!(read_strict(text).unwrap_err().to_string(), format!("{head}{complaints}"), "{text:?}");
    }
    // The same key in two maps, or once by a merge, is none.
    for text in ["a: {x: 1}\nb: {x: 1}", "a: &a {x: 1}\nb: {<<: *a, x: 2}", "- a: 1\n- a: 2"] {
        assert!(read_strict(text).is_ok(), "{text:?}");
    }
}

#[test]
fn streams() {
    let table: &[(&str, &[&str])] = &[
        ("", &[]),
        ("\n\n", &[]),
        ("a", &["a"]),
        ("---\na", &["a"]),
        ("a\n---\nb", &["a\n", "b"]),
        ("---\na\n---\nb\n---\n", &["a\n", "b\n"]),
        ("a\n---\n---\nb", &["a\n", "b"]),
        ("a\n--- # note\nb", &["a\n", "b"]),
        ("a\n---   \nb", &["a\n", "b"]),
        ("a\r\n---\r\nb", &["a\r\n", "b"]),
        // Not separators: indented, or with something behind them.
        ("a: |\n  ---\n  b", &["a: |\n  ---\n  b"]),
        ("--- a", &["--- a"]),
        ("----\nb", &["----\nb"]),
        ("a---\nb", &["a---\nb"]),
    ];
    for (text, chunks) in table {
        assert_eq!(split_documents(text), *chunks, "{text:?}");
    }
    let read = |text: &str| Value::from(read_documents(text).unwrap());
    assert_eq!(read("a: 1\n---\n# nothing\n---\nnull\n---\nb: 2"), json!([{"a": 1}, {"b": 2}]));
    assert_eq!(read("{\"a\": 1}\n---\n{\"b\": 2}\n"), json!([{"a": 1}, {"b": 2}]));
    assert!(read_documents("a: 1\n---\nb: [").is_err());
}

/// Mistakes people make in manifests; kubectl puts the file's name before these.
#[test]
fn mistakes() {
    let table = [
        ("a: -", "block sequence entries are not allowed in this context"),
        ("a: b: c", "mapping values are not allowed in this context"),
        ("a: [b", "line 1: did not find expected ',' or ']'"),
        ("a: {b: c", "line 1: did not find expected ',' or '}'"),
        ("a: 'b", "line 1: found unexpected end of stream"),
        ("# indented\n\n\ta: b", "line 3: found character that cannot start any token"),
        ("\ta: b", "found character that cannot start any token"),
        ("a:\n\tb: c", "line 2: found character that cannot start any token"),
        ("a: `b`", "found character that cannot start any token"),
        ("a: @b", "found character that cannot start any token"),
        ("a: %b", "found character that cannot start any token"),
        ("a: b\n c: d", "line 2: mapping values are not allowed in this context"),
        ("a: \"\\q\"", "found unknown escape character"),
    ];
    for (text, expected) in table {
        let error = read(text).unwrap_err().to_string();
        let tail = expected.trim_start_matches("line 1: ");
        assert!(error.ends_with(tail), "{text:?}: {error}");
    }
    // JSON may be indented by tabs: kubectl does not read it as YAML.
    assert_eq!(read("\t{\"a\":\t1}").unwrap(), json!({"a": 1}));
}
