//! The last applied configuration: what `apply` keeps in an annotation to know what it may delete.

use serde_json::{Value, json};

use crate::error::{Result, fail};

/// Where it is kept.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with itself as its last applied configuration.
pub fn annotated(object: &Value) -> Value {
    let mut plain = object.clone();
    let metadata = api::object::metadata_mut(&mut plain);
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let mut wanted = plain.clone();
    api::object::set_annotation(&mut wanted, LAST_APPLIED, &(escaped(&plain) + "\n"));
    wanted
}

/// Compact JSON as Go's encoder escapes it.
fn escaped(value: &Value) -> String {
    let text = value.to_string();
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// What was last applied to a live object, if anything was.
pub fn last_applied(live: &Value) -> Result<Option<Value>> {
    let text = api::object::annotation(live, LAST_APPLIED);
    let read = text.map(serde_json::from_str::<Value>).transpose();
    read.map_err(|error| fail!("error decoding the last applied configuration: {error}"))
}

/// The patch from live to wanted: what was applied and is no longer wanted goes, what others added stays.
pub fn three_way(last: Option<&Value>, wanted: &Value, live: &Value, definition: Option<&str>) -> Result<Value> {
    let nothing = Value::Null;
    let patch = api::patch::three_way(last.unwrap_or(&nothing), wanted, live, definition);
    patch.map_err(|error| fail!("{error}"))
}

/// Whether two patches set the same field to different values (apimachinery, pkg/util/mergepatch: MergingMapsHaveConflicts).
pub fn conflict(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours
            .iter()
            .filter(|(key, _)| !key.starts_with('$') && *key != LAST_APPLIED)
            .any(|(key, value)| theirs.get(key).is_some_and(|other| conflict(value, other))),
        (Value::Array(ours), Value::Array(theirs)) => ours.iter().any(|one| {
            let key = |item: &Value| {
                ["name", "key", "containerPort", "port", "mountPath"].iter().find_map(|key| item.get(key).cloned())
            };
            theirs.iter().any(|other| key(one).is_some() && key(one) == key(other) && conflict(one, other))
        }),
        (ours, theirs) => ours != theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "d"}, "data": data})
    }

    #[test]
    fn what_is_applied_is_remembered() {
        let wanted = annotated(&config_map(json!({"a": "<1>"})));
        let kept = api::object::annotation(&wanted, LAST_APPLIED).unwrap();
        assert_eq!(
            kept,
            "{\"apiVersion\":\"v1\",\"data\":{\"a\":\"\\u003c1\\u003e\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"x\",\"namespace\":\"d\"}}\n"
        );
        assert_eq!(annotated(&wanted), wanted);
    }

    #[test]
    fn patches_delete_only_what_was_applied() {
        let mut live = annotated(&config_map(json!({"a": "1", "b": "2"})));
        live["data"]["foreign"] = json!("kept");
        live["metadata"]["uid"] = json!("u");
        let definition = api::kinds::by_kind("", "v1", "ConfigMap").map(|(_, served)| served.definition);
        let patch = |wanted: Value| {
            three_way(last_applied(&live).unwrap().as_ref(), &annotated(&wanted), &live, definition).unwrap()
        };
        for (wanted, data) in [
            (json!({"a": "1", "c": "3"}), json!({"b": null, "c": "3"})),
            (json!({}), json!({"a": null, "b": null})),
            (json!({"a": "2", "b": "2", "foreign": "mine"}), json!({"a": "2", "foreign": "mine"})),
        ] {
            assert_eq!(patch(config_map(wanted))["data"], data);
        }
        assert_eq!(patch(config_map(json!({"a": "1", "b": "2"}))), json!({}));
    }

    #[test]
    fn patches_conflict_where_both_change() {
        for (ours, theirs, expected) in [
            (json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), true),
            (json!({"spec": {"replicas": 2}}), json!({"spec": {"replicas": 2}}), false),
            (json!({"spec": {"replicas": 1}}), json!({"spec": {"paused": true}}), false),
            (json!({"data": {"a": null}}), json!({"data": {"a": "1"}}), true),
            (json!([{"name": "a", "image": "1"}]), json!([{"name": "b", "image": "2"}]), false),
            (json!([{"name": "a", "image": "1"}]), json!([{"name": "a", "image": "2"}]), true),
        ] {
            assert_eq!(conflict(&ours, &theirs), expected, "{ours} {theirs}");
        }
    }
}
