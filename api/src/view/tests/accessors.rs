//! What accessors say of every form of value: read in place and as a tree they agree.

use serde_json::{Value, json};

use crate::object;
use crate::view::View;

fn sample() -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": "a", "labels": {"x": "1", "e\"s": "c\\d"}, "empty": {}, "deletionTimestamp": null},
        "spec": {"replicas": 3, "ratio": 0.5, "big": 9_223_372_036_854_775_807_i64, "on": true, "off": false,
            "list": ["p", "q", {"deep": [1, 2]}], "none": [], "text": "3"},
    })
}

const POINTERS: [&str; 30] = [
    "",
    "/",
    "/kind",
    "/kind/x",
    "/metadata",
    "/metadata/name",
    "/metadata/labels",
    "/metadata/labels/x",
    "/metadata/empty",
    "/metadata/empty/x",
    "/metadata/deletionTimestamp",
    "/metadata/deletionTimestamp/x",
    "/metadata/missing",
    "/spec/replicas",
    "/spec/ratio",
    "/spec/big",
    "/spec/on",
    "/spec/off",
    "/spec/list",
    "/spec/list/0",
    "/spec/list/1",
    "/spec/list/2",
    "/spec/list/2/deep",
    "/spec/list/2/deep/1",
    "/spec/list/3",
    "/spec/list/x",
    "/spec/list/-1",
    "/spec/none",
    "/spec/none/0",
    "/spec/text",
];

#[test]
fn trees_and_views_agree() {
    let value = sample();
    let text = value.to_string();
    let mut view = View::default();
    let node = view.read(text.as_bytes()).unwrap();
    for pointer in POINTERS {
        assert_eq!(node.at(pointer).map(|found| found.value()), object::at(&value, pointer).cloned(), "{pointer:?}");
        assert_eq!(node.text(pointer), object::text(&value, pointer), "{pointer:?}");
        assert_eq!(node.integer(pointer), object::integer(&value, pointer), "{pointer:?}");
        assert_eq!(node.flag(pointer), object::flag(&value, pointer), "{pointer:?}");
        let list: Vec<Value> = node.list(pointer).map(|found| found.value()).collect();
        assert_eq!(list, object::list(&value, pointer), "{pointer:?}");
        let map: Vec<(String, Value)> = node.map(pointer).map(|(key, found)| (key.into(), found.value())).collect();
        let tree: Vec<(String, Value)> = object::map(&value, pointer)
            .into_iter()
            .flatten()
            .map(|(key, found)| (key.clone(), found.clone()))
            .collect();
        assert_eq!(map, tree, "{pointer:?}");
    }
}

/// Pointer, whether it is null, an object, an array; as text, boolean, number, integer; length.
#[test]
fn forms() {
    let text = r#"{"n":null,"t":"x\ty","b":true,"i":-12,"f":1.50,"e":1e3,"o":{"a":1,"b":2},"l":[1,[2,3]],"h":18446744073709551615}"#;
    let mut view = View::default();
    let node = view.read(text.as_bytes()).unwrap();
    let get = |name: &str| node.get(name).unwrap();
    let table = [
        ("n", (true, false, false), None, None, None, None, 0),
        ("t", (false, false, false), Some("x\ty"), None, None, None, 0),
        ("b", (false, false, false), None, Some(true), None, None, 0),
        ("i", (false, false, false), None, None, Some("-12"), Some(-12), 0),
        ("f", (false, false, false), None, None, Some("1.50"), None, 0),
        ("e", (false, false, false), None, None, Some("1e3"), None, 0),
        ("o", (false, true, false), None, None, None, None, 2),
        ("l", (false, false, true), None, None, None, None, 2),
        ("h", (false, false, false), None, None, Some("18446744073709551615"), None, 0),
    ];
    for (name, (null, object, array), text, flag, number, integer, length) in table {
        let found = get(name);
        assert_eq!((found.is_null(), found.is_object(), found.is_array()), (null, object, array), "{name}");
        assert_eq!((found.as_str(), found.as_bool()), (text, flag), "{name}");
        assert_eq!((found.as_number(), found.as_i64()), (number, integer), "{name}");
        assert_eq!((found.len(), found.is_empty()), (length, length == 0), "{name}");
        assert_eq!(found.elements().len(), if array { length } else { 0 }, "{name}");
    }
    assert_eq!((get("f").as_f64(), get("e").as_f64(), get("t").as_f64()), (Some(1.5), Some(1000.0), None));
    // Numbers stay as they are written, texts are written anew where they were escaped.
    let json = |name: &str| get(name).json().into_owned();
    assert_eq!(json("f"), "1.50");
    assert_eq!(json("t"), "\"x\\ty\"");
    assert_eq!(json("o"), "{\"a\":1,\"b\":2}");
    assert_eq!(json("l"), "[1,[2,3]]");
    assert_eq!(json("n"), "null");
}

#[test]
fn places_are_come_back_to() {
    let text = br#"{"a":{"b":[10,20,30]},"c":"d"}"#;
    let mut view = View::default();
    let node = view.read(text).unwrap();
    let places: Vec<_> = node.list("/a/b").map(|found| found.place().unwrap()).collect();
    let found: Vec<_> = places.iter().rev().map(|place| node.seek(*place).as_i64()).collect();
    assert_eq!(found, [Some(30), Some(20), Some(10)]);
    assert!(node.place().is_none(), "the outermost value needs none");
}

#[test]
fn an_iterator_knows_what_is_left() {
    let mut view = View::default();
    let node = view.read(b"[1,[2],3]").unwrap();
    let mut elements = node.elements();
    for left in (0..3).rev() {
        assert!(!elements.is_empty());
        elements.next().unwrap();
        assert_eq!((elements.len(), elements.is_empty()), (left, left == 0));
    }
    assert!(elements.next().is_none() && elements.clone().next().is_none());
}

/// Where reading stopped, and what should have been there.
#[test]
fn complaints() {
    let table: [(&[u8], usize, &str); 14] = [
        (b"", 0, "a value"),
        (b"  x", 2, "a value"),
        (b"nul", 0, "a value"),
        (b"[1 2]", 3, "a comma"),
        (b"{\"a\" 1}", 5, "a colon"),
        (b"{a:1}", 1, "a string"),
        (b"{\"a\":1 \"b\":2}", 7, "a comma"),
        (b"-", 1, "a digit"),
        (b"1.", 2, "a digit"),
        (b"\"abc", 4, "the end of a string"),
        (b"\"a\tb\"", 2, "no control character"),
        (b"\"a\\xb\"", 1, "valid escapes"),
        (b"{} x", 3, "the end"),
        (b"\"a\xff\"", 2, "UTF-8"),
    ];
    for (text, at, expected) in table {
        let Err(invalid) = View::default().read(text) else { panic!("{text:?} was read") };
        assert_eq!((invalid.at, invalid.expected), (at, expected), "{}", String::from_utf8_lossy(text));
    }
}
