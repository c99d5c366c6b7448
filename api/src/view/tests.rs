//! Reading JSON in place.

use super::*;
use serde_json::json;

mod accessors;

#[test]
fn what_is_read_is_what_a_tree_has() {
    let table = [
        json!({"kind": "Pod", "spec": {"hosts": ["a", "b"], "n": -3, "f": 1.5, "yes": true, "no": false, "nil": null}}),
        json!({"a\"b\\c": "tab\t, newline\n, ü, 🦀, \u{1}", "deep": [[[{"x": []}, {}]], ""], "": {"": 0}}),
        json!([]),
        json!("text"),
        json!(12_345_678_901_234_567_u64),
        json!(null),
    ];
    let mut view = View::default();
    for value in &table {
        for text in [value.to_string(), serde_json::to_string_pretty(value).unwrap(), format!(" {value}\n")] {
            assert_eq!(view.read(text.as_bytes()).unwrap().value(), *value, "{text}");
        }
    }
}

#[test]
fn accessors_read_what_is_absent_as_empty() {
    let text = br#"{"m":{"name":"a\u00e4","n":7,"f":1.5,"on":true,"nil":null,"l":["x",{"y":"z"}]},"m2":5}"#;
    let mut view = View::default();
    let node = view.read(text).unwrap();
    assert_eq!((node.text("/m/name"), node.text("/m/n"), node.text("/x/y/z")), ("aä", "", ""));
    assert_eq!((node.integer("/m/n"), node.integer("/m/f"), node.integer("/m/name")), (Some(7), None, None));
    assert_eq!((node.flag("/m/on"), node.flag("/m/nil"), node.flag("/m/l")), (true, false, false));
    assert_eq!((node.text("/m/l/1/y"), node.text("/m/l/0"), node.text("/m/l/2")), ("z", "x", ""));
    assert!(node.at("/m/nil").is_none() && node.get("m").unwrap().get("nil").unwrap().is_null());
    assert_eq!((node.list("/m/l").count(), node.list("/m2").count(), node.map("/m/l").count()), (2, 0, 0));
    assert_eq!(node.map("/m").map(|(key, _)| key).collect::<Vec<_>>(), ["name", "n", "f", "on", "nil", "l"]);
    assert_eq!((node.get("m").unwrap().len(), node.get("m2").unwrap().is_empty()), (6, true));
    let json = |pointer: &str| node.at(pointer).unwrap().json().into_owned();
    assert_eq!((json("/m2"), json("/m/l"), json("/m/l/0")), ("5".into(), r#"["x",{"y":"z"}]"#.into(), "\"x\"".into()));
    assert_eq!(json("/m/name"), "\"aä\"");
}

#[test]
fn of_members_of_one_name_the_last_counts() {
    assert_eq!(View::default().read(br#"{"a":1,"a":2}"#).unwrap().integer("/a"), Some(2));
}
