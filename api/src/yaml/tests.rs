//! What kubectl 1.33 reads and writes, case by case, and the round trip of everything.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod documents;
mod manifests;
mod scalars;
mod written;

#[test]
fn reads_yaml_1_1() {
    let table = [
        ("a: yes\nb: off\nc: y", json!({"a": true, "b": false, "c": true})),
        ("yes: 1\n1: a\n0x10: b\n1.50: c", json!({"true": 1, "1": "a", "16": "b", "1.5": "c"})),
        ("a: 0644\nb: 1_000\nc: 1e3\nd: 1.5\ne: 0.0", json!({"a": 420, "b": 1000, "c": 1000, "d": 1.5, "e": 0})),
        (
            "a: 12:30\nb: 2001-01-01\nc: 2001-12-14t21:59:43.10-05:00",
            json!({"a": "12:30", "b": "2001-01-01", "c": "2001-12-14t21:59:43.10-05:00"}),
        ),
        (
            "a: 'yes'\nb: \"1\"\nc: !!str 5\nd: !!int '7'\ne: !custom x",
            json!({"a": "yes", "b": "1", "c": "5", "d": 7, "e": "x"}),
        ),
        ("a:\nb: ~\nc: null\nd: ''", json!({"a": null, "b": null, "c": null, "d": ""})),
        ("a: |\n  x\n   y\n\nb: >-\n  x\n  y\n", json!({"a": "x\n y\n", "b": "x y"})),
        ("a: !!binary aGVs\n  bG8=", json!({"a": "hello"})),
        ("d: &d {a: 1, b: 2}\ne:\n  <<: *d\n  b: 3", json!({"d": {"a": 1, "b": 2}, "e": {"a": 1, "b": 3}})),
        (
            "d: &d {a: 1}\nf: &f {a: 2, b: 2}\ne:\n  <<: [*d, *f]",
            json!({"d": {"a": 1}, "f": {"a": 2, "b": 2}, "e": {"a": 1, "b": 2}}),
        ),
        ("a: &x 1\nb: *x\nc: &x 2\nd: *x", json!({"a": 1, "b": 1, "c": 2, "d": 2})),
        ("a: &x k\n*x : v", json!({"a": "k", "k": "v"})),
        ("a: x\na: z", json!({"a": "z"})),
        ("{\"a\": [1, {\"b\": \"\\u00e9\"}], \"c\": 1.25}", json!({"a": [1, {"b": "é"}], "c": 1.25})),
        ("- a\n- - b\n  - c\n- d: e\n  f: g", json!(["a", ["b", "c"], {"d": "e", "f": "g"}])),
        ("a:\n- b\n- c", json!({"a": ["b", "c"]})),
        ("a: 18446744073709551615", json!({"a": u64::MAX})),
        ("# nothing", json!(null)),
    ];
    for (text, value) in table {
        assert_eq!(read(text).unwrap_or_else(|error| panic!("{text}: {error}")), value, "{text}");
    }
}

#[test]
fn splits_streams() {
    let table: [(&str, Value); 6] = [
        ("a: 1\n---\nb: 2\n", json!([{"a": 1}, {"b": 2}])),
        ("---\na: 1\n--- # comment\n\n---\n# only a comment\n---\nb: 2", json!([{"a": 1}, {"b": 2}])),
        ("a: |\n  ---\n  x\n", json!([{"a": "---\nx\n"}])),
        ("", json!([])),
        ("\u{feff}a: 1\r\n---\r\nb: 2\r\n", json!([{"a": 1}, {"b": 2}])),
        ("{\"a\": 1}\n---\n{\"b\": 2}", json!([{"a": 1}, {"b": 2}])),
    ];
    for (text, documents) in table {
        assert_eq!(Value::from(read_documents(text).unwrap()), documents, "{text:?}");
    }
}

#[test]
fn errors_are_kubectls() {
    let head = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n";
    let table = [
        ("data:\n\ta: x\n", "line 6: found character that cannot start any token"),
        ("data:\n  a: b: c\n", "line 6: mapping values are not allowed in this context"),
        ("data:\n  a: [1\n", "line 6: did not find expected ',' or ']'"),
        ("data:\n  a: \"x\n", "line 7: found unexpected end of stream"),
        (" data:\n  a: x\n", "line 4: did not find expected key"),
        ("data:\n  - a\n b\n", "line 6: did not find expected key"),
        ("data:\n  a: *x\n", "unknown anchor 'x' referenced"),
        ("data:\n  a: @x\n", "line 6: found character that cannot start any token"),
        ("data: &d\n  a: x\n  b: *d\n", "anchor 'd' value contains itself"),
        ("data:\n  a: !!int x\n", "cannot decode !!str `x` as a !!int"),
        ("data:\n  <<: 3\n", "map merge requires map or sequence of maps as the value"),
        ("data:\n  a: !!binary '*'\n", "!!binary value contains invalid base64 data"),
    ];
    for (tail, message) in table {
        let error = read(&format!("{head}{tail}")).unwrap_err();
        assert_eq!(error.to_string(), format!("error converting YAML to JSON: yaml: {message}"), "{tail}");
    }
    assert_eq!(
        read("x: {a: b}}\n").unwrap_err().to_string(),
        "error converting YAML to JSON: yaml: did not find expected key"
    );
    assert_eq!(read("a: .nan").unwrap_err().to_string(), "error converting YAML to JSON: json: unsupported value: NaN");
    assert!(read("null: z").unwrap_err().to_string().contains("unsupported map key of type"));
    assert_eq!(
        read_strict("a: 1\nb:\n  c: 1\n  c: 2\na: 3").unwrap_err().to_string(),
        "error converting YAML to JSON: yaml: unmarshal errors:\n  line 4: key \"c\" already set in map\n  line 5: key \"a\" already set in map"
    );
    assert_eq!(read_strict("a: 1").unwrap(), json!({"a": 1}));
}

#[test]
fn bombs_are_refused() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert!(read(&laughs).unwrap_err().to_string().contains("excessive aliasing"));
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(read(&"- ".repeat(100_000)).is_err());
}

#[test]
fn writes_as_kubectl_does() {
    let long = "it's a very long line of text that goes on and on well beyond eighty columns so that folding would occur here for sure";
    let table = [
        (json!({}), "{}\n"),
        (json!([]), "[]\n"),
        (json!("a"), "a\n"),
        (
            json!({"a": {}, "b": [], "c": null, "d": true, "e": 1.5, "f": -3}),
            "a: {}\nb: []\nc: null\nd: true\ne: 1.5\nf: -3\n",
        ),
        (
            json!({"a": {"b": ["c", {"d": "e", "f": ["g"]}, ["h", "i"]]}}),
            "a:\n  b:\n  - c\n  - d: e\n    f:\n    - g\n  - - h\n    - i\n",
        ),
        (
            json!({"a": "yes", "b": "12:30", "c": "", "d": "2026-01-01T00:00:00Z", "e": "a: b", "y": "it's"}),
            "a: \"yes\"\nb: \"12:30\"\nc: \"\"\nd: \"2026-01-01T00:00:00Z\"\ne: 'a: b'\n\"y\": it's\n",
        ),
        (
            json!({"a": "x\ny", "b": "x\ny\n", "c": "x\n\n", "d": "  x\ny", "e": "x \ny"}),
            "a: |-\n  x\n  y\nb: |\n  x\n  y\nc: |+\n  x\n\nd: |2-\n    x\n  y\ne: \"x \\ny\"\n",
        ),
        (json!(["x\ny"]), "- |-\n  x\n  y\n"),
        (json!({"b10": 1, "b9": 2, "B": 3, "_c": 4, "a": 5, "1": 6}), "_c: 4\n\"1\": 6\nB: 3\na: 5\nb9: 2\nb10: 1\n"),
        (
            json!({"data": {"a": long}}),
            "data:\n  a: it's a very long line of text that goes on and on well beyond eighty columns\n    so that folding would occur here for sure\n",
        ),
        (
            json!({"a": "tab\there", "b": "\u{1f600}", "c": "\u{7f}"}),
            "a: \"tab\\there\"\nb: \"\\U0001F600\"\nc: \"\\x7F\"\n",
        ),
    ];
    for (value, text) in table {
        assert_eq!(write(&value), text);
        assert_eq!(read(text).unwrap(), value, "{text}");
    }
    let key = "k".repeat(129);
    assert_eq!(write(&json!({key.clone(): "v"})), format!("? {key}\n: v\n"));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 :#'\"\\-?\\n]{0,12}",
        "\\PC{0,8}",
        "[ -~\\n\\t]{0,120}",
        "[a-z ]{80,200}",
        proptest::sample::select(vec![
            "yes",
            "y",
            "NO",
            "~",
            "null",
            "1_000",
            "0644",
            "12:30",
            "1e3",
            "<<",
            "---",
            "...",
            "- a",
            "=",
            "\u{2028}",
            "\u{85}",
            "\r",
            "\u{feff}a",
            "\n",
            " \n",
            "\n ",
            "a\n\n",
            "\\",
            "%a",
            "0x1g",
            "2001-01-01",
            ".inf",
            "a\u{0}b"
        ])
        .prop_map(String::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9f64..1e9).prop_map(|number| if number.fract() == 0.0 { json!(0) } else { json!(number) }),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_is_written_reads_back(value in value()) {
        let text = write(&value);
        prop_assert_eq!(read(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?, value, "{}", text);
    }

    #[test]
    fn reading_never_panics(text in "[a-c:\\-\\[\\]{},&*!|>'\"?#%@ \\n\\t0-9<~.]{0,60}|\\PC{0,30}") {
        let _ = read_documents(&text);
    }
}
