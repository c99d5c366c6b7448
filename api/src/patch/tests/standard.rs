//! The two standard patches: JSON patch by the examples of RFC 6902, merge patch by those of RFC 7386, and the patches made for
//! kinds without a schema.

use serde_json::{Value, json};

use crate::patch::{create_merge_patch, json_patch, merge_patch, three_way};

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Object, operations, result.
const OPERATIONS: &[(&str, &str, &str)] = &[
    // add
    (r#"{"foo": "bar"}"#, r#"[{"op": "add", "path": "/baz", "value": "qux"}]"#, r#"{"baz": "qux", "foo": "bar"}"#),
    (r#"{"foo": 1}"#, r#"[{"op": "add", "path": "/foo", "value": 2}]"#, r#"{"foo": 2}"#),
    (r#"{"foo": 1}"#, r#"[{"op": "add", "path": "/bar", "value": null}]"#, r#"{"foo": 1, "bar": null}"#),
    (r#"{"foo": ["a", "b"]}"#, r#"[{"op": "add", "path": "/foo/1", "value": "x"}]"#, r#"{"foo": ["a", "x", "b"]}"#),
    (r#"{"foo": ["a"]}"#, r#"[{"op": "add", "path": "/foo/1", "value": "x"}]"#, r#"{"foo": ["a", "x"]}"#),
    (r#"{"foo": ["a"]}"#, r#"[{"op": "add", "path": "/foo/-", "value": ["b", "c"]}]"#, r#"{"foo": ["a", ["b", "c"]]}"#),
    (r#"{"foo": []}"#, r#"[{"op": "add", "path": "/foo/0", "value": "x"}]"#, r#"{"foo": ["x"]}"#),
    (r#"{"foo": {"a": {}}}"#, r#"[{"op": "add", "path": "/foo/a/b", "value": 1}]"#, r#"{"foo": {"a": {"b": 1}}}"#),
    (r#"{}"#, r#"[{"op": "add", "path": "/", "value": 1}]"#, r#"{"": 1}"#),
    (r#"{}"#, r#"[{"op": "add", "path": "/a", "value": 1, "extra": 5}]"#, r#"{"a": 1}"#),
    // remove
    (r#"{"baz": "qux", "foo": "bar"}"#, r#"[{"op": "remove", "path": "/baz"}]"#, r#"{"foo": "bar"}"#),
    (r#"{"foo": ["a", "b", "c"]}"#, r#"[{"op": "remove", "path": "/foo/1"}]"#, r#"{"foo": ["a", "c"]}"#),
    (r#"{"foo": {"a": null}}"#, r#"[{"op": "remove", "path": "/foo/a"}]"#, r#"{"foo": {}}"#),
    // replace
    (r#"{"a": 1}"#, r#"[{"op": "replace", "path": "/a", "value": [1]}]"#, r#"{"a": [1]}"#),
    (r#"{"a": [1, 2]}"#, r#"[{"op": "replace", "path": "/a/0", "value": 9}]"#, r#"{"a": [9, 2]}"#),
    (r#"{"a": null}"#, r#"[{"op": "replace", "path": "/a", "value": 1}]"#, r#"{"a": 1}"#),
    (r#"{"a": 1}"#, r#"[{"op": "replace", "path": "", "value": {"b": 1}}]"#, r#"{"b": 1}"#),
    // move and copy
    (
        r#"{"foo": {"a": 1}, "bar": {}}"#,
        r#"[{"op": "move", "from": "/foo/a", "path": "/bar/b"}]"#,
        r#"{"foo": {}, "bar": {"b": 1}}"#,
    ),
    (r#"{"l": [1, 2, 3]}"#, r#"[{"op": "move", "from": "/l/0", "path": "/l/2"}]"#, r#"{"l": [2, 3, 1]}"#),
    (r#"{"a": 1}"#, r#"[{"op": "move", "from": "/a", "path": "/a"}]"#, r#"{"a": 1}"#),
    (r#"{"a": {"b": [1]}}"#, r#"[{"op": "copy", "from": "/a/b", "path": "/c"}]"#, r#"{"a": {"b": [1]}, "c": [1]}"#),
    (r#"{"l": [1, 2]}"#, r#"[{"op": "copy", "from": "/l/0", "path": "/l/-"}]"#, r#"{"l": [1, 2, 1]}"#),
    // test
    (
        r#"{"a": {"b": [1, 2.0], "c": null}}"#,
        r#"[{"op": "test", "path": "/a", "value": {"c": null, "b": [1, 2.0]}}]"#,
        r#"{"a": {"b": [1, 2.0], "c": null}}"#,
    ),
    (r#"{"a": null}"#, r#"[{"op": "test", "path": "/a", "value": null}]"#, r#"{"a": null}"#),
    // escapes, and numbers that are names
    (
        r#"{"/": 9, "~1": 10}"#,
        r#"[{"op": "test", "path": "/~01", "value": 10}, {"op": "remove", "path": "/~1"}]"#,
        r#"{"~1": 10}"#,
    ),
    (
        r#"{"m": {"app.kubernetes.io/name": "a"}}"#,
        r#"[{"op": "remove", "path": "/m/app.kubernetes.io~1name"}]"#,
        r#"{"m": {}}"#,
    ),
    (r#"{"0": "a"}"#, r#"[{"op": "replace", "path": "/0", "value": "b"}]"#, r#"{"0": "b"}"#),
    // one after the other
    (
        r#"{"l": []}"#,
        r#"[{"op": "add", "path": "/l/-", "value": 1}, {"op": "add", "path": "/l/0", "value": 0}, {"op": "copy", "from": "/l", "path": "/m"}]"#,
        r#"{"l": [0, 1], "m": [0, 1]}"#,
    ),
];

#[test]
fn operations() {
    for (object, patch, result) in OPERATIONS {
        let patched = json_patch(read(object), &read(patch)).unwrap_or_else(|status| panic!("{patch}: {status}"));
        assert_eq!(patched, read(result), "{patch}");
    }
}

#[test]
fn operations_that_do_not_fit() {
    let table = [
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": "/b"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "add", "path": "/b/c", "value": 1}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "add", "path": "/a/b", "value": 1}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "add", "path": "/l/2", "value": 1}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "add", "path": "/l/x", "value": 1}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "remove", "path": "/l/1"}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "remove", "path": "/l/-"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "test", "path": "/a", "value": "1"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "test", "path": "/b", "value": 1}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "move", "from": "/b", "path": "/c"}]"#),
        (r#"{"a": {"b": 1}}"#, r#"[{"op": "move", "from": "/a", "path": "/a/c"}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "copy", "from": "/l/1", "path": "/l/0"}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "remove", "path": "/l/-2"}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "add", "path": "/l/-4", "value": 1}]"#),
        (r#"{"l": [1]}"#, r#"[{"op": "replace", "path": "/l/1", "value": 1}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "replace", "path": "/b/c", "value": 1}]"#),
        (r#"{"a": null}"#, r#"[{"op": "add", "path": "/a/b", "value": 1}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "test", "path": "/a", "value": 1.0}]"#),
        (r#"{"a": {}}"#, r#"[{"op": "test", "path": "/a", "value": null}]"#),
        // At the root nothing is added, removed or copied, and only a map or a list can stand.
        (r#"{"a": 1}"#, r#"[{"op": "add", "path": "", "value": {"b": 2}}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": ""}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "copy", "from": "", "path": "/b"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "replace", "path": "", "value": 5}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": "a"}]"#),
        // Parts that are no texts, or not there.
        (r#"{"a": 1}"#, r#"[{"op": 5, "path": "/a"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": 5}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": null}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "copy", "path": "/b"}]"#),
        (r#"{"a": 1}"#, "[null]"),
        (r#"{"a": 1}"#, r#"[{"op": "jump", "path": "/a"}]"#),
        (r#"{"a": 1}"#, r#"[{"path": "/a"}]"#),
        (r#"{"a": 1}"#, r#"[{"op": "add", "value": 1}]"#),
        // One that fits does not help one that does not.
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": "/a"}, {"op": "remove", "path": "/a"}]"#),
    ];
    for (object, patch) in table {
        let status = json_patch(read(object), &read(patch)).expect_err(patch);
        assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"), "{patch}");
    }
}

/// Where evanphx/json-patch, and so Kubernetes, is not as strict as the RFC.
#[test]
fn what_the_rfc_forbids() {
    let table = [
        // Indexes from the end, and in other spellings.
        (r#"{"l": [1, 2, 3]}"#, r#"[{"op": "remove", "path": "/l/-1"}]"#, r#"{"l": [1, 2]}"#),
        (r#"{"l": [1, 2, 3]}"#, r#"[{"op": "remove", "path": "/l/-3"}]"#, r#"{"l": [2, 3]}"#),
        (r#"{"l": [1, 2]}"#, r#"[{"op": "replace", "path": "/l/-2", "value": 9}]"#, r#"{"l": [9, 2]}"#),
        (r#"{"l": [1, 2]}"#, r#"[{"op": "add", "path": "/l/-1", "value": 9}]"#, r#"{"l": [1, 2, 9]}"#),
        (r#"{"l": [1, 2]}"#, r#"[{"op": "add", "path": "/l/-3", "value": 9}]"#, r#"{"l": [9, 1, 2]}"#),
        (r#"{"l": []}"#, r#"[{"op": "add", "path": "/l/-1", "value": 9}]"#, r#"{"l": [9]}"#),
        (r#"{"l": [{"a": 1}]}"#, r#"[{"op": "add", "path": "/l/-1/b", "value": 2}]"#, r#"{"l": [{"a": 1, "b": 2}]}"#),
        (r#"{"l": [1]}"#, r#"[{"op": "add", "path": "/l/01", "value": 2}]"#, r#"{"l": [1, 2]}"#),
        (r#"{"l": [1, 2]}"#, r#"[{"op": "remove", "path": "/l/+1"}]"#, r#"{"l": [1]}"#),
        // A field is replaced that is not there, but not in a map that is not there.
        (r#"{"a": 1}"#, r#"[{"op": "replace", "path": "/b", "value": 2}]"#, r#"{"a": 1, "b": 2}"#),
        // Nothing is null.
        (r#"{"a": 1}"#, r#"[{"op": "test", "path": "/b", "value": null}]"#, r#"{"a": 1}"#),
        (r#"{"a": 1}"#, r#"[{"op": "test", "path": "/b"}]"#, r#"{"a": 1}"#),
        (r#"{"a": 1}"#, r#"[{"op": "add", "path": "/b"}]"#, r#"{"a": 1, "b": null}"#),
        (r#"{"a": 1}"#, r#"[{"op": "copy", "from": "/b", "path": "/c"}]"#, r#"{"a": 1, "c": null}"#),
        // What stands before the first slash is not looked at.
        (r#"{"a": 1}"#, r#"[{"op": "remove", "path": "x/a"}]"#, "{}"),
        // No patch at all.
        (r#"{"a": 1}"#, "null", r#"{"a": 1}"#),
    ];
    for (object, patch, result) in table {
        let patched = json_patch(read(object), &read(patch)).unwrap_or_else(|status| panic!("{patch}: {status}"));
        assert_eq!(patched, read(result), "{patch}");
    }
}

#[test]
fn what_is_no_patch() {
    let table = [
        ("{}", "object", "Patch"),
        ("\"x\"", "string", "Patch"),
        ("5", "number", "Patch"),
        ("true", "bool", "Patch"),
        ("[5]", "number", "Operation"),
        ("[[]]", "array", "Operation"),
        (r#"[{"op": "remove", "path": "/a"}, "x"]"#, "string", "Operation"),
    ];
    for (patch, found, ty) in table {
        let status = json_patch(json!({"a": 1}), &read(patch)).expect_err(patch);
        let message = format!("json: cannot unmarshal {found} into Go value of type jsonpatch.{ty}");
        assert_eq!((status.code, status.message), (400, message), "{patch}");
    }
}

#[test]
fn merge_patches() {
    let table = [
        (r#"{"a": "b"}"#, r#"{"a": "c"}"#, r#"{"a": "c"}"#),
        (r#"{"a": "b"}"#, r#"{"b": "c"}"#, r#"{"a": "b", "b": "c"}"#),
        (r#"{"a": "b"}"#, r#"{"a": null}"#, r#"{}"#),
        (r#"{"a": "b", "b": "c"}"#, r#"{"a": null}"#, r#"{"b": "c"}"#),
        (r#"{"a": ["b"]}"#, r#"{"a": "c"}"#, r#"{"a": "c"}"#),
        (r#"{"a": "c"}"#, r#"{"a": ["b"]}"#, r#"{"a": ["b"]}"#),
        (r#"{"a": {"b": "c"}}"#, r#"{"a": {"b": "d", "c": null}}"#, r#"{"a": {"b": "d"}}"#),
        (r#"{"a": [{"b": "c"}]}"#, r#"{"a": [1]}"#, r#"{"a": [1]}"#),
        (r#"{"e": null}"#, r#"{"a": 1}"#, r#"{"e": null, "a": 1}"#),
        (r#"{}"#, r#"{"a": {"bb": {"ccc": null}}}"#, r#"{"a": {"bb": {}}}"#),
        (r#"{"a": 1}"#, r#"{"a": {"b": null, "c": 2}}"#, r#"{"a": {"c": 2}}"#),
        // Nulls in lists are values, those in maps in lists go with what they would delete; unless the list takes the place of a map.
        (r#"{}"#, r#"{"a": [null, {"b": null}]}"#, r#"{"a": [null, {}]}"#),
        (r#"{"a": [1]}"#, r#"{"a": [{"b": null, "c": [{"d": null}]}]}"#, r#"{"a": [{"c": [{}]}]}"#),
        (r#"{"a": 1}"#, r#"{"a": [{"b": null}]}"#, r#"{"a": [{}]}"#),
        (r#"{"a": {"x": 1}}"#, r#"{"a": [{"b": null}]}"#, r#"{"a": [{"b": null}]}"#),
        (r#"{"a": null}"#, r#"{"a": {"b": null, "c": 1}}"#, r#"{"a": {"c": 1}}"#),
        (r#"{"a": [{"b": 1}]}"#, r#"{"a": {"b": null}}"#, r#"{"a": {}}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{}"#, r#"{"a": 1, "b": 2}"#),
    ];
    for (object, patch, result) in table {
        assert_eq!(merge_patch(read(object), &read(patch)).unwrap(), read(result), "{object} {patch}");
    }
    for patch in ["[]", "null", "5", "\"x\""] {
        assert_eq!(merge_patch(json!({}), &read(patch)).expect_err(patch).code, 400, "{patch}");
    }
}

#[test]
fn merge_patches_are_made() {
    let table = [
        (r#"{"a": 1}"#, r#"{"a": 1}"#, r#"{}"#),
        (r#"{"a": 1}"#, r#"{"a": 2}"#, r#"{"a": 2}"#),
        (r#"{"a": 1}"#, r#"{}"#, r#"{"a": null}"#),
        (r#"{}"#, r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 1}}"#),
        (r#"{"a": {"b": 1, "c": 2}}"#, r#"{"a": {"c": 3}}"#, r#"{"a": {"b": null, "c": 3}}"#),
        (r#"{"a": [1, 2]}"#, r#"{"a": [2, 1]}"#, r#"{"a": [2, 1]}"#),
        (r#"{"a": {"b": 1}}"#, r#"{"a": 5}"#, r#"{"a": 5}"#),
        (r#"{"a": 5}"#, r#"{"a": {"b": 1}}"#, r#"{"a": {"b": 1}}"#),
        (r#"{"a": {"b": {"c": 1}}}"#, r#"{"a": {"b": {}}}"#, r#"{"a": {"b": {"c": null}}}"#),
    ];
    for (original, modified, patch) in table {
        let made = create_merge_patch(&read(original), &read(modified));
        assert_eq!(made, read(patch), "{original} {modified}");
        assert_eq!(merge_patch(read(original), &made).unwrap(), read(modified), "{original} {modified}");
    }
}

/// Applying objects of custom kinds. Original, modified, current, patch.
#[test]
fn three_ways_without_a_schema() {
    let table = [
        ("{}", "{}", "{}", "{}"),
        ("null", r#"{"k": 1}"#, "{}", r#"{"k": 1}"#),
        // Added, though others have set it; added by others to the same.
        (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b": 9}"#, r#"{"b": 2}"#),
        (r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "b": 2}"#, "{}"),
        // Given up; given up and changed by others; given up and gone.
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, r#"{"a": 1, "b": 2, "c": 3}"#, r#"{"b": null}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, r#"{"a": 1, "b": 9}"#, r#"{"b": null}"#),
        (r#"{"a": 1, "b": 2}"#, r#"{"a": 1}"#, r#"{"a": 1}"#, r#"{"b": null}"#),
        // Changed by others: comes back.
        (r#"{"a": 1}"#, r#"{"a": 1}"#, r#"{"a": 9}"#, r#"{"a": 1}"#),
        // Lists are one value.
        (r#"{"l": [1]}"#, r#"{"l": [1, 2]}"#, r#"{"l": [1, 3]}"#, r#"{"l": [1, 2]}"#),
        (r#"{"l": [1]}"#, "{}", r#"{"l": [1, 3]}"#, r#"{"l": null}"#),
        // Deeper down.
        (
            r#"{"s": {"a": 1, "b": 2}}"#,
            r#"{"s": {"b": 3}}"#,
            r#"{"s": {"a": 1, "b": 2, "c": 4}}"#,
            r#"{"s": {"a": null, "b": 3}}"#,
        ),
        (
            r#"{"s": {"a": {"b": 1}}}"#,
            r#"{"s": {"a": {}}}"#,
            r#"{"s": {"a": {"b": 1, "c": 2}}}"#,
            r#"{"s": {"a": {"b": null}}}"#,
        ),
    ];
    for (original, modified, current, patch) in table {
        let made = three_way(&read(original), &read(modified), &read(current), None).unwrap();
        assert_eq!(made, read(patch), "{original} {modified} {current}");
    }
}
