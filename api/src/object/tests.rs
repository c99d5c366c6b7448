//! Reading and setting parts of objects.

use super::*;
use serde_json::json;

mod setters;

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "name": "a", "namespace": "b", "uid": "u", "resourceVersion": "7", "labels": {"x": "y"},
        "annotations": {"k": "v"}, "finalizers": ["f"], "generation": 3, "deletionTimestamp": null,
        "ownerReferences": [{"uid": "o1"}, {"uid": "o2", "controller": true}]}, "spec": {"replicas": 2}})
}

#[test]
fn reads_metadata() {
    let pod = pod();
    assert_eq!((name(&pod), namespace(&pod), uid(&pod), kind(&pod)), ("a", "b", "u", "Pod"));
    assert_eq!(resource_version(&pod), Some("7"));
    assert_eq!((label(&pod, "x"), label(&pod, "z"), annotation(&pod, "k")), (Some("y"), None, Some("v")));
    assert_eq!(finalizers(&pod).collect::<Vec<_>>(), ["f"]);
    assert_eq!(deletion_timestamp(&pod), None);
    assert_eq!((generation(&pod), integer(&pod, "/spec/replicas")), (3, Some(2)));
    assert_eq!(controller_of(&pod).map(|o| text(o, "/uid")), Some("o2"));
}

#[test]
fn pointers_lead_through_maps_lists_and_escapes() {
    let object = json!({"a": {"b/c": [{"d": 1}, null]}, "": 2});
    for pointer in ["", "/a", "/a/b~1c/0/d", "/a/b~1c/1", "/", "/a/x", "/a/b~1c/2", "/a/b~1c/x", "/a/b"] {
        assert_eq!(find(&object, pointer), object.pointer(pointer), "{pointer}");
    }
    assert_eq!(integer(&json!({"l": [{"n": 3}]}), "/l/0/n"), Some(3));
}

#[test]
fn absent_and_mistyped_read_as_empty() {
    for object in [json!({}), json!(null), json!({"metadata": 5}), json!({"metadata": {"name": 1, "labels": []}})] {
        assert_eq!((name(&object), resource_version(&object), labels(&object)), ("", None, None));
        assert!(owner_references(&object).is_empty());
    }
    assert_eq!(group_version(&json!({"apiVersion": "apps/v1"})), ("apps", "v1"));
    assert_eq!(group_version(&json!({"apiVersion": "v1"})), ("", "v1"));
}

#[test]
fn setters_make_what_is_missing() {
    let mut object = json!({});
    set_resource_version(&mut object, "5");
    set_label(&mut object, "a/b", "c");
    set(&mut object, "/status/phase", json!("Active"));
    set(&mut object, "/metadata/annotations/a~1b", json!("d"));
    assert_eq!(
        object,
        json!({"metadata": {"resourceVersion": "5", "labels": {"a/b": "c"}, "annotations": {"a/b": "d"}},
            "status": {"phase": "Active"}})
    );
    set_resource_version(&mut object, "");
    assert_eq!(remove(&mut object, "/metadata/annotations/a~1b"), Some(json!("d")));
    assert_eq!(remove(&mut object, "/nothing/here"), None);
    assert_eq!(resource_version(&object), None);
}
