//! The two standard patches.

use super::*;
use serde_json::json;

#[test]
fn json_patches() {
    let object = json!({"a": {"b": [1, 2]}, "c": "d"});
    let table = [
        (json!([]), object.clone()),
        (json!([{"op": "add", "path": "/a/b/-", "value": 3}]), json!({"a": {"b": [1, 2, 3]}, "c": "d"})),
        (json!([{"op": "remove", "path": "/a/b/0"}]), json!({"a": {"b": [2]}, "c": "d"})),
        (json!([{"op": "replace", "path": "/c", "value": null}]), json!({"a": {"b": [1, 2]}, "c": null})),
        (
            json!([{"op": "test", "path": "/c", "value": "d"}, {"op": "remove", "path": "/c"}]),
            json!({"a": {"b": [1, 2]}}),
        ),
        (json!([{"op": "copy", "from": "/c", "path": "/x~1y"}]), json!({"a": {"b": [1, 2]}, "c": "d", "x/y": "d"})),
        (json!([{"op": "move", "from": "/c", "path": "/a/c"}]), json!({"a": {"b": [1, 2], "c": "d"}})),
    ];
    for (patch, expected) in table {
        assert_eq!(json_patch(object.clone(), &patch).unwrap(), expected, "{patch}");
    }
}

#[test]
fn json_patches_that_do_not_fit() {
    let table = [
        (json!({}), 400, "json: cannot unmarshal object into Go value of type jsonpatch.Patch"),
        (
            json!([{"op": "remove", "path": "/x"}]),
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            json!([{"op": "replace", "path": "/x/y", "value": 1}]),
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            json!([{"op": "test", "path": "/c", "value": "x"}]),
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            422,
            "the server rejected our request due to an error in our request",
        ),
        (json!([{"op": "frob", "path": "/x"}]), 422, "the server rejected our request due to an error in our request"),
    ];
    for (patch, code, message) in table {
        let status = json_patch(json!({"c": "d"}), &patch).unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, message), "{patch}");
    }
    assert_eq!(json_patch(json!({}), &json!([1])).unwrap_err().code, 400);
    let many: Value = (0..=MAX_OPERATIONS).map(|_| json!({"op": "test", "path": "", "value": {}})).collect();
    let status = json_patch(json!({}), &many).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (413, "RequestEntityTooLarge"));
    let mut bomb = vec![json!({"op": "add", "path": "/a", "value": [["x".repeat(1024)]]})];
    bomb.extend((0..64).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"})));
    assert_eq!(json_patch(json!({}), &Value::from(bomb)).unwrap_err().code, 422);
}

#[test]
fn merge_patches_and_their_making() {
    let table = [
        (json!({"a": 1}), json!({"a": null}), json!({})),
        (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null}}), json!({"a": {"c": 2}})),
        (json!({"a": [1]}), json!({"a": [2, 3]}), json!({"a": [2, 3]})),
        (json!({}), json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {"c": 1}}})),
        (json!({"a": 1}), json!({}), json!({"a": 1})),
    ];
    for (object, patch, expected) in table {
        assert_eq!(merge_patch(object.clone(), &patch).unwrap(), expected);
        assert_eq!(create_merge_patch(&object, &expected), patch);
    }
    assert_eq!(merge_patch(json!({}), &json!("x")).unwrap_err().code, 400);
    let patch = json!({"a": null, "b": {"c": null}, "d": {"e": null, "f": 1}, "g": {}});
    assert_eq!(keep_deletions(&patch), json!({"a": null, "b": {"c": null}, "d": {"e": null}}));
    assert_eq!(without_deletions(&patch), json!({"d": {"f": 1}, "g": {}}));
}
