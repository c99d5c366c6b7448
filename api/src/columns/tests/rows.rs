//! What stands beside the cells of a row: conditions, and as much of the object as was asked for.

use serde_json::{Value, json};

use super::{now, row};
use crate::columns::{IncludeObject, NAME_AGE, POD, write_partial};
use crate::view::View;

#[test]
fn finished_pods_may_be_hidden() {
    let pod =
        |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "status": {"phase": phase}});
    let condition = |reason: &str, message: &str| json!([{"type": "Completed", "status": "True", "reason": reason, "message": message}]);
    let table = [
        (pod("Succeeded"), condition("Succeeded", "The pod has completed successfully.")),
        (pod("Failed"), condition("Failed", "The pod failed.")),
        (pod("Running"), Value::Null),
        (pod("Pending"), Value::Null),
        (pod("Unknown"), Value::Null),
        // Only pods of the core group end.
        (json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Failed"}}), Value::Null),
        (json!({"apiVersion": "example.com/v1", "kind": "Pod", "status": {"phase": "Failed"}}), Value::Null),
        (json!({"status": {"phase": "Failed"}}), Value::Null),
    ];
    for (object, conditions) in table {
        assert_eq!(row(POD, &object, now(), &Value::Null)["conditions"], conditions, "{object}");
    }
}

#[test]
fn how_much_of_the_object() {
    for (text, expected) in [
        ("", Some(IncludeObject::Metadata)),
        ("Metadata", Some(IncludeObject::Metadata)),
        ("None", Some(IncludeObject::None)),
        ("Object", Some(IncludeObject::Object)),
        ("object", None),
        ("All", None),
        (" ", None),
    ] {
        assert_eq!(IncludeObject::parse(text), expected, "{text:?}");
    }
    assert_eq!(IncludeObject::default(), IncludeObject::Metadata);
}

#[test]
fn only_the_metadata() {
    let partial = |object: Value| -> Value {
        let (mut view, text, mut out) = (View::default(), object.to_string(), Vec::new());
        write_partial(view.read(text.as_bytes()).unwrap(), &mut out);
        serde_json::from_slice(&out).unwrap()
    };
    let head = |metadata: Value| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata});
    let metadata = json!({"name": "a\"b", "labels": {"x": "y"}, "annotations": {"n": "line\nbreak"}});
    assert_eq!(partial(json!({"kind": "Pod", "metadata": metadata, "spec": {"x": 1}})), head(metadata.clone()));
    assert_eq!(partial(json!({"kind": "Pod"})), head(json!({})));
    assert_eq!(partial(json!({"metadata": null})), head(json!({})));
}

#[test]
fn objects_stand_behind_their_cells() {
    let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:59:00Z"}});
    for shown in [json!(null), json!({}), object.clone()] {
        assert_eq!(row(NAME_AGE, &object, now(), &shown), json!({"cells": ["a", "60s"], "object": shown}));
    }
}
