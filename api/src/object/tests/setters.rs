//! Setting and removing parts of objects: what lies between is made, what is of another type gives way.

use serde_json::{Value, json};

use crate::object::*;

#[test]
fn setting_by_pointer() {
    let table = [
        (json!({}), "/a", json!(1), json!({"a": 1})),
        (json!({"a": 1}), "/a", json!(2), json!({"a": 2})),
        (json!({}), "/a/b/c", json!(1), json!({"a": {"b": {"c": 1}}})),
        (json!({"a": {"x": 1}}), "/a/b", json!(2), json!({"a": {"x": 1, "b": 2}})),
        (json!({"a": 5}), "/a/b", json!(1), json!({"a": {"b": 1}})),
        (json!({"a": null}), "/a/b", json!(1), json!({"a": {"b": 1}})),
        (json!({"a": [1]}), "/a/b", json!(1), json!({"a": {"b": 1}})),
        (json!(null), "/a", json!(1), json!({"a": 1})),
        (json!({}), "/metadata/annotations/x.y~1z", json!("v"), json!({"metadata": {"annotations": {"x.y/z": "v"}}})),
        (json!({}), "/a~0b", json!(1), json!({"a~b": 1})),
        (json!({}), "/a~01", json!(1), json!({"a~1": 1})),
        (json!({}), "/", json!(1), json!({"": 1})),
        (json!({"a": 1}), "", json!(5), json!(5)),
    ];
    for (mut object, pointer, value, expected) in table {
        let before = object.clone();
        set(&mut object, pointer, value.clone());
        assert_eq!(object, expected, "{before} {pointer}");
        assert_eq!(object.pointer(pointer), Some(&value), "{before} {pointer}");
    }
}

#[test]
fn removing_by_pointer() {
    let table = [
        (json!({"a": 1, "b": 2}), "/a", Some(json!(1)), json!({"b": 2})),
        (json!({"a": {"b": 1}}), "/a/b", Some(json!(1)), json!({"a": {}})),
        (json!({"a": null}), "/a", Some(json!(null)), json!({})),
        (json!({"a": 1}), "/b", None, json!({"a": 1})),
        (json!({"a": 1}), "/a/b", None, json!({"a": 1})),
        (json!({"a": [1]}), "/a/0", None, json!({"a": [1]})),
        (json!({"a": {"x/y": 1}}), "/a/x~1y", Some(json!(1)), json!({"a": {}})),
        (json!({"a": 1}), "", None, json!({"a": 1})),
    ];
    for (mut object, pointer, removed, expected) in table {
        assert_eq!(remove(&mut object, pointer), removed, "{pointer}");
        assert_eq!(object, expected, "{pointer}");
    }
}

#[test]
fn metadata() {
    let mut object = json!({});
    set_name(&mut object, "a");
    set_namespace(&mut object, "ns");
    set_uid(&mut object, "u");
    set_resource_version(&mut object, "7");
    set_generation(&mut object, 2);
    set_label(&mut object, "x/y", "z");
    set_annotation(&mut object, "k", "v");
    set_finalizers(&mut object, vec!["f".into(), "g".into()]);
    assert_eq!(
        object,
        json!({"metadata": {"name": "a", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
            "labels": {"x/y": "z"}, "annotations": {"k": "v"}, "finalizers": ["f", "g"]}})
    );
    assert_eq!((name(&object), namespace(&object), uid(&object), generation(&object)), ("a", "ns", "u", 2));
    assert_eq!(
        (label(&object, "x/y"), annotation(&object, "k"), annotation(&object, "x")),
        (Some("z"), Some("v"), None)
    );
    assert_eq!(finalizers(&object).collect::<Vec<_>>(), ["f", "g"]);
    // Empty texts and lists are gone.
    set_name(&mut object, "");
    set_uid(&mut object, "");
    set_finalizers(&mut object, vec![]);
    let kept: Vec<&String> = object["metadata"].as_object().unwrap().keys().collect();
    assert_eq!(kept, ["annotations", "generation", "labels", "namespace", "resourceVersion"]);
}

#[test]
fn what_is_in_the_way_is_replaced() {
    for broken in [json!(5), json!([]), json!({"metadata": 5}), json!({"metadata": {"labels": "x"}}), json!(null)] {
        let mut object = broken.clone();
        set_label(&mut object, "a", "b");
        assert_eq!(label(&object, "a"), Some("b"), "{broken}");
    }
}

#[test]
fn reading() {
    let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"generateName": "web-",
        "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-02T00:00:00Z", "deletionGracePeriodSeconds": 0,
        "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}, {"uid": "3", "controller": true}]}});
    assert_eq!(
        (api_version(&object), kind(&object), group_version(&object)),
        ("apps/v1", "Deployment", ("apps", "v1"))
    );
    assert_eq!((name(&object), generate_name(&object)), ("", "web-"));
    assert_eq!(creation_timestamp(&object), Some("2026-01-01T00:00:00Z"));
    assert_eq!(deletion_timestamp(&object), Some("2026-01-02T00:00:00Z"));
    assert_eq!(deletion_grace_period_seconds(&object), Some(0));
    assert_eq!(owner_references(&object).len(), 3);
    assert_eq!(controller_of(&object).map(|owner| text(owner, "/uid")), Some("2"), "the first that says so");
    for (version, parts) in
        [("v1", ("", "v1")), ("a.b/v2beta1", ("a.b", "v2beta1")), ("", ("", "")), ("/v1", ("", "v1"))]
    {
        assert_eq!(group_version(&json!({"apiVersion": version})), parts);
    }
    // Empty and null are absent.
    for metadata in [
        json!({"creationTimestamp": null, "deletionTimestamp": null}),
        json!({"creationTimestamp": "", "resourceVersion": ""}),
        Value::Null,
    ] {
        let object = json!({"metadata": metadata});
        assert_eq!(
            (creation_timestamp(&object), deletion_timestamp(&object), resource_version(&object)),
            (None, None, None)
        );
    }
}
