//! Templates against one object; the results are those of kubectl 1.33, maps in the order of their keys.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod commands;
mod lists;
mod paths;

fn object() -> Value {
    json!({
        "kind": "List",
        "metadata": {"labels": {"app.kubernetes.io/name": "x", "a-b": "y"}, "annotations": {"html": "<a & b>"}},
        "n": 5, "f": 1.5, "yes": true, "nothing": null, "empty": [],
        "items": [
            {"name": "a", "size": 1, "ready": true, "conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
            {"name": "b", "size": 2, "ready": false, "conditions": [{"type": "Ready", "status": "False"}]},
            {"name": "c", "size": 3, "conditions": []},
        ],
    })
}

pub(super) const CASES: &[(&str, &str)] = &[
    ("", ""),
    ("plain text", "plain text"),
    ("{.kind}", "List"),
    ("{$.kind}", "List"),
    ("{@.kind}", "List"),
    ("kind is {.kind}!", "kind is List!"),
    ("{.n} {.f} {.yes} {.nothing}", "5 1.5 true null"),
    ("{.missing}", ""),
    ("{.kind.missing}", ""),
    ("{.items[0].name}", "a"),
    ("{.items[-1].name}", "c"),
    ("{.items[-2].name}", "b"),
    ("{.items[*].name}", "a b c"),
    ("{.items[:].name}", "a b c"),
    ("{.items[0:2].name}", "a b"),
    ("{.items[1:].name}", "b c"),
    ("{.items[:-1].name}", "a b"),
    ("{.items[0:3:2].name}", "a c"),
    ("{.items[0,2].name}", "a c"),
    ("{.items[0]['name','size']}", "a 1"),
    ("{.items[2:2].name}", ""),
    ("{.items[?(@.size>1)].name}", "b c"),
    ("{.items[?(@.size>=2)].name}", "b c"),
    ("{.items[?(@.size!=2)].name}", "a c"),
    ("{.items[?(@.name==\"b\")].size}", "2"),
    ("{.items[?(@.name=='b')].size}", "2"),
    ("{.items[?(@.name < \"c\")].name}", "a b"),
    ("{.items[?(@.ready==true)].name}", "a"),
    ("{.items[?(@.ready)].name}", "a b"),
    ("{.items[?(@.conditions[?(@.type==\"Ready\")])].name}", "ERR unterminated filter"),
    ("{.items[0].conditions[?(@.type==\"Ready\")].status}", "True"),
    ("{.items[*].conditions[*].type}", "Ready Other Ready"),
    ("{..name}", "a b c"),
    ("{..conditions[0].type}", "ERR array index out of bounds: index 0, length 0"),
    ("{.metadata.labels.app\\.kubernetes\\.io/name}", "x"),
    ("{.metadata.labels['app\\.kubernetes\\.io/name']}", "x"),
    ("{.metadata.labels.a-b}", "y"),
    ("{.metadata['labels'].a-b}", "y"),
    ("{.metadata.labels}", "{\"a-b\":\"y\",\"app.kubernetes.io/name\":\"x\"}"),
    ("{.metadata.annotations}", "{\"html\":\"\\u003ca \\u0026 b\\u003e\"}"),
    ("{.metadata.annotations.html}", "<a & b>"),
    ("{.items[0].conditions}", "[{\"status\":\"True\",\"type\":\"Ready\"},{\"status\":\"False\",\"type\":\"Other\"}]"),
    ("{range .items[*]}{.name}={.size}{\"\\n\"}{end}", "a=1\nb=2\nc=3\n"),
    ("{range .items[*]}[{.name}{range .conditions[*]} {.type}{end}]{end}.", "[a Ready Other][b Ready][c]."),
    ("{range .empty[*]}{.name}{end}after", "after"),
    ("{range .items[*]}{.name}", "abc"),
    ("{\"text\"}{'more'}{\"\\t\\x41\\u00e9\"}", "textmore\tAé"),
    ("{.kind}{1}{-2.5}{true}", "List1-2.5true"),
    ("{.*.html}", ""),
    ("{.empty}", "[]"),
];

const ERRORS: &[(&str, &str)] = &[
    ("{.kind", "unclosed action"),
    ("{", "unclosed action"),
    ("{.items[0", "unterminated array"),
    ("{.items[x]}", "invalid array index x"),
    ("{.items[1:2:3:4]}", "invalid array index 1:2:3:4"),
    ("{.items[?(@.a}", "unterminated filter"),
    ("{.items[?(@.a)}", "unclosed array expect ]"),
    ("{\"abc}", "unterminated quoted string"),
    ("{'\\q'}", "unquote string '\\q' error invalid syntax"),
    ("{....}", "invalid multiple recursive descent"),
    ("{.a,.b}", "unrecognized character in action: U+002C ','"),
    ("{%}", "unrecognized character in action: U+0025 '%'"),
    ("{1.2.3}", "cannot parse number 1.2.3"),
    ("{end}", "not in range, nothing to end"),
    ("{foo}", "unrecognized identifier foo"),
    ("{.items[5].name}", "array index out of bounds: index 5, length 3"),
    ("{.items[-5].name}", "array index out of bounds: index -2, length 3"),
    ("{.items[0:9].name}", "array index out of bounds: index 8, length 3"),
    ("{.items[2:1].name}", "starting index 2 is greater than ending index 1"),
    ("{.items[0:2:0].name}", "step must be > 0"),
    ("{.metadata[0]}", "map[string]interface {} is not array or slice"),
    ("{.kind[?(@.a)]}", "List is not array or slice and cannot be filtered"),
    ("{.items[?(@.size==\"1\")].name}", "incompatible types for comparison"),
    ("{.items[?(@.conditions==1)].name}", "invalid type for comparison"),
    ("{.items[?(@.size=1)].name}", "unrecognized filter operator ="),
];

fn run(template: &str) -> Result<String, Error> {
    JsonPath::parse(template)?.render(&object())
}

#[test]
fn renders_as_kubectl_does() {
    for (template, expected) in CASES {
        let rendered = run(template).unwrap_or_else(|error| format!("ERR {error}"));
        assert_eq!(rendered, *expected, "{template}");
    }
}

#[test]
fn errors_are_kubectls() {
    for (template, message) in ERRORS {
        assert_eq!(run(template).unwrap_err().0, *message, "{template}");
    }
    let strict = JsonPath::parse("{.kind.missing}").unwrap().allow_missing_keys(false);
    assert_eq!(strict.render(&object()).unwrap_err().0, "missing is not found");
}

#[test]
fn relaxed_paths() {
    for path in ["a.b", ".a.b", "{a.b}", "{.a.b}"] {
        assert_eq!(relaxed(path).as_deref(), Ok("{.a.b}"));
    }
    assert_eq!(relaxed("").as_deref(), Ok(""));
    for path in ["{a", "a}", "{{a}}", ".", "{}"] {
        assert!(relaxed(path).unwrap_err().0.starts_with("unexpected path string"), "{path}");
    }
}

#[test]
fn as_json() {
    let path = JsonPath::parse("{.items[0:2].name}").unwrap();
    assert_eq!(path.render_as_json(&object()).unwrap(), "[\n    \"a\",\n    \"b\"\n]\n");
}

#[test]
fn nesting_is_bounded() {
    let nested = format!("{{{}", "[?(".repeat(10_000));
    assert!(JsonPath::parse(&nested).is_err());
    let nested = format!("{{[{}]}}", "'".repeat(10_001));
    assert!(JsonPath::parse(&nested).is_err());
}

proptest! {
    #[test]
    fn nothing_panics(template in "[{}\\[\\]().@$*?:,'\"\\\\a-c0-3=<> \\n-]{0,40}|\\PC{0,20}") {
        let _ = run(&template);
    }
}
