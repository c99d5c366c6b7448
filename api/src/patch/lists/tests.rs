//! Order and identity of list elements.

use super::*;
use serde_json::json;

fn list(value: Value) -> Vec<Value> {
    value.as_array().cloned().unwrap()
}

#[test]
fn order_is_settled_by_patch_then_live_list() {
    let table = [
        (json!(["a", "b", "c", "d"]), json!(["c", "d"]), json!(["a", "b", "c"]), json!(["a", "b", "c", "d"])),
        (json!(["a", "b", "c"]), json!(["c", "a"]), json!(["a", "b", "c"]), json!(["b", "c", "a"])),
        (json!(["a", "x"]), json!(["x"]), json!(["a"]), json!(["x", "a"])),
        (json!([]), json!(["x"]), json!([]), json!([])),
    ];
    for (merged, listed, live, expected) in table {
        let settled = settle_order(list(merged), &list(listed), &list(live), "").unwrap();
        assert_eq!(Value::from(settled), expected);
    }
}

#[test]
fn kinds_of_elements() {
    let none: [&[Value]; 2] = [&[], &[]];
    assert_eq!(elements(none), Ok(None));
    assert_eq!(elements([&[json!({})], &[json!({"a": 1})]]), Ok(Some(Elements::Maps)));
    assert_eq!(elements([&[json!(1)], &[json!(2)]]), Ok(Some(Elements::Scalars)));
    assert_eq!(elements([&[json!([])], &[]]), Err(Error::ListOfLists));
    let mixed = elements([&[json!(1)], &[json!("a"), json!({"b": null})]]).unwrap_err();
    assert_eq!(mixed.to_string(), "list element types are not identical: [[1] [a map[b:<nil>]]]");
}

#[test]
fn the_patch_must_follow_the_order_it_states() {
    let order = list(json!([{"n": "a"}, {"n": "b"}, {"n": "c"}]));
    let fine = list(json!([{"n": "a", "x": 1}, {"n": "c"}, {"n": "z", "$patch": "delete"}]));
    assert_eq!(check_order(&fine, &order, "n"), Ok(()));
    assert!(check_order(&list(json!([{"n": "c"}, {"n": "a"}])), &order, "n").is_err());
    assert!(check_order(&list(json!([{"n": "x"}])), &order, "n").is_err());
    assert!(check_order(&list(json!([{"m": "x"}])), &order, "n").is_err());
}
