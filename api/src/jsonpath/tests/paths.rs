//! Paths through maps: fields, unions, wildcards, descent, and what cannot be parsed.

use serde_json::{Value, json};

use crate::jsonpath::{JsonPath, relaxed};

fn store() -> Value {
    json!({
        "name": "jsonpath",
        "book": [
            {"category": "reference", "author": "Nigel Rees", "price": 8.95},
            {"category": "fiction", "author": "Evelyn Waugh", "price": 12.99},
            {"category": "fiction", "author": "Herman Melville", "price": 8.99},
        ],
        "bicycle": [{"color": "red", "price": 19.95, "new": true}, {"color": "green", "price": 20.01, "new": false}],
        "labels": {"engineer": 10, "web/html": 15, "k8s-app": 20, "dotted.key": 25, "a_b": 30},
        "big": 12_345_678, "huge": 1e21, "tiny": 0.00001, "negative": -3, "nothing": null,
    })
}

fn rendered(template: &str, missing: bool) -> String {
    let rendered = JsonPath::parse(template).and_then(|path| path.allow_missing_keys(missing).render(&store()));
    rendered.unwrap_or_else(|error| format!("error: {error}"))
}

#[test]
fn paths() {
    let table = [
        ("hello jsonpath", "hello jsonpath"),
        ("{\"{\"}", "{"),
        ("hello {.name}", "hello jsonpath"),
        ("{.name}{.name}", "jsonpathjsonpath"),
        ("{.name} and {.name}", "jsonpath and jsonpath"),
        ("{ .name }", "jsonpath"),
        ("{$.name}", "jsonpath"),
        ("{@.name}", "jsonpath"),
        ("{$.labels.web/html}", "15"),
        ("{.labels.k8s-app}", "20"),
        ("{.labels.a_b}", "30"),
        ("{.labels.dotted\\.key}", "25"),
        ("{.labels['dotted\\.key']}", "25"),
        ("{['name']}", "jsonpath"),
        ("{['labels']['k8s-app']}", "20"),
        ("{.labels.*}", "30 25 10 20 15"),
        ("{.bicycle[*].color}", "red green"),
        ("{.bicycle.*.color}", "red green"),
        ("{.book[*].author}", "Nigel Rees Evelyn Waugh Herman Melville"),
        ("{range .bicycle[*]}{ \"{\" }{ @.* }{ \"} \" }{end}", "{red true 19.95} {green false 20.01} "),
        ("{..price}", "19.95 20.01 8.95 12.99 8.99"),
        (
            "{.bicycle}",
            "[{\"color\":\"red\",\"new\":true,\"price\":19.95},{\"color\":\"green\",\"new\":false,\"price\":20.01}]",
        ),
        ("{.book[-1:].author}", "Herman Melville"),
        ("{..book[2].author}", "Herman Melville"),
        ("{.bicycle[?(@.new==true)].color}", "red"),
        ("{.book[?(@.price<9.0)].author}", "Nigel Rees Herman Melville"),
        // A union takes each of its members from all that was found before.
        ("{.bicycle[*]['color','price']}", "red green 19.95 20.01"),
        ("{.bicycle[*]['color', 'price']}", "red green 19.95 20.01"),
        ("{['name','big']}", "jsonpath 12345678"),
        ("{.book[0,2].price}", "8.95 8.99"),
        ("{['labels.engineer','name']}", "10 jsonpath"),
        // Numbers as Go prints them.
        ("{.big}", "12345678"),
        ("{.huge}", "1e+21"),
        ("{.tiny}", "1e-05"),
        ("{.negative}", "-3"),
        ("{.nothing}", "null"),
        // Literals stand for themselves.
        ("{\"a\\tb\"}", "a\tb"),
        ("{'single'}", "single"),
        ("{\"it's\"}", "it's"),
        ("{'say \"x\"'}", "say \"x\""),
        ("{5}", "5"),
        ("{-2.50}", "-2.5"),
        ("{+7}", "7"),
        ("{true}{false}", "truefalse"),
    ];
    for (template, expected) in table {
        assert_eq!(rendered(template, false), expected, "{template}");
    }
}

#[test]
fn what_is_not_there() {
    for (template, expected) in [
        ("{.hello}", ""),
        ("before-{.hello}after", "before-after"),
        ("{.labels.none.deeper}", ""),
        ("{.name.first}", ""),
        ("{.book[*].title}", ""),
        ("{..title}", ""),
    ] {
        assert_eq!(rendered(template, true), expected, "{template}");
    }
    for (template, expected) in [
        ("{.hello}", "error: hello is not found"),
        ("{.labels.none.deeper}", "error: none is not found"),
        ("{.name.first}", "error: first is not found"),
        ("{.book[*].title}", "error: title is not found"),
        ("{hello}", "error: unrecognized identifier hello"),
        ("{.labels[0]}", "error: map[string]interface {} is not array or slice"),
        ("{.name[0]}", "error: string is not array or slice"),
        ("{.big[0]}", "error: int64 is not array or slice"),
        ("{.tiny[0]}", "error: float64 is not array or slice"),
        ("{.big[?(@.x)]}", "error: 12345678 is not array or slice and cannot be filtered"),
        (
            "{.labels[?(@.x)]}",
            "error: map[a_b:30 dotted.key:25 engineer:10 k8s-app:20 web/html:15] is not array or slice and cannot be filtered",
        ),
    ] {
        assert_eq!(rendered(template, false), expected, "{template}");
    }
}

#[test]
fn what_cannot_be_parsed() {
    let table = [
        ("{.metadata.name", "unclosed action"),
        ("{range .items[*]}{.name", "unclosed action"),
        ("{\n}", "unclosed action"),
        ("{.a[", "unterminated array"),
        ("{.a[0}", "unterminated array"),
        ("{.a[0\n]}", "unterminated array"),
        ("{.a[a]}", "invalid array index a"),
        ("{.a['b]}", "invalid array index 'b"),
        ("{.a[1.5]}", "invalid array index 1.5"),
        ("{.a[+1]}", "invalid array index +1"),
        ("{.a[::-x]}", "invalid array index ::-x"),
        ("{.a[99999999999999999999]}", "array index 99999999999999999999 is not a number"),
        ("{\"unterminated}", "unterminated quoted string"),
        ("{'a\nb'}", "unterminated quoted string"),
        ("{\"\\x4\"}", "unquote string \"\\x4\" error invalid syntax"),
        ("{\"\\'\"}", "unquote string \"\\'\" error invalid syntax"),
        ("{.a[?(@.b==1)}", "unclosed array expect ]"),
        ("{.a[?(@.b==1]}", "unterminated filter"),
        ("{.a[?(@.b==\"x]}", "unterminated filter"),
        ("{.....}", "invalid multiple recursive descent"),
        ("{#}", "unrecognized character in action: U+0023 '#'"),
        ("{.a | .b}", "unrecognized character in action: U+007C '|'"),
        ("{;}", "unrecognized character in action: U+003B ';'"),
        ("{(.a)}", "unrecognized character in action: U+0028 '('"),
        ("{!}", "unrecognized character in action: U+0021 '!'"),
        ("{1.2.3}", "cannot parse number 1.2.3"),
        ("{-}", "cannot parse number -"),
    ];
    for (template, message) in table {
        assert_eq!(
            JsonPath::parse(template).err().map(|error| error.to_string()).as_deref(),
            Some(message),
            "{template}"
        );
    }
}

/// `--sort-by` and `-o custom-columns` take paths in four spellings.
#[test]
fn spellings_of_paths() {
    for (path, expected) in [
        ("", ""),
        ("x", "{.x}"),
        (".x", "{.x}"),
        ("{x}", "{.x}"),
        ("{.x}", "{.x}"),
        ("metadata.name", "{.metadata.name}"),
        (".items[*].x", "{.items[*].x}"),
        ("{.status.conditions[?(@.type==\"Ready\")].status}", "{.status.conditions[?(@.type==\"Ready\")].status}"),
    ] {
        assert_eq!(relaxed(path).as_deref(), Ok(expected), "{path}");
    }
    for path in ["{.x", ".x}", "{{.x}}", "{.x}{.y}", "{", "}", ".", "{.}", "{}"] {
        assert!(relaxed(path).is_err(), "{path}");
    }
}

#[test]
fn as_json() {
    let json = |template: &str| JsonPath::parse(template).unwrap().render_as_json(&store()).unwrap();
    assert_eq!(json("{.name}"), "[\n    \"jsonpath\"\n]\n");
    assert_eq!(json("{.book[0,1].price}"), "[\n    8.95,\n    12.99\n]\n");
    assert_eq!(json("{.none}"), "[]\n");
    assert_eq!(json("{.labels.engineer}{.name}"), "[\n    10\n]\n[\n    \"jsonpath\"\n]\n");
    let html = JsonPath::parse("{@}").unwrap().render_as_json(&json!({"a": "<&>"})).unwrap();
    assert_eq!(html, "[\n    {\n        \"a\": \"\\u003c\\u0026\\u003e\"\n    }\n]\n");
}
