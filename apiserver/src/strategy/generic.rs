//! What a write does to every kind before its own strategy: the status belongs to `/status`, the rest does not, and
//! `metadata.generation` counts the changes of what users write.
//!
//! Upstream repeats this in the `PrepareForCreate` and `PrepareForUpdate` of nearly every strategy.

use api::kinds::{Kind, Subresource};
use serde_json::{Map, Value, json};

use super::{Cx, rules};

/// Whether the kind has a `/status` of its own.
pub fn has_status(kind: &Kind) -> bool {
    kind.subresources.contains(&Subresource::Status)
}

/// Clears what a client may not set at birth.
pub fn prepare_create(cx: &Cx<'_>, object: &mut Value) {
    let rules = rules::of(cx.kind);
    if has_status(cx.kind) && !rules.keeps_status {
        object["status"] = json!({});
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("generation");
        if rules.generation {
            metadata.insert("generation".into(), json!(1));
        }
    }
}

/// Keeps the stored status and counts a change of the rest.
pub fn prepare_update(cx: &Cx<'_>, new: &mut Value, old: &Value) {
    if has_status(cx.kind) {
        put_or_remove(new, "status", old.get("status"));
    }
    let before = old.pointer("/metadata/generation").and_then(Value::as_i64);
    let changed = rules::of(cx.kind).generation && body_differs(new, old);
    let after = if changed { Some(before.unwrap_or(0) + 1) } else { before };
    set_generation(new, after);
}

/// Keeps everything that a status update may not touch: the body, the owners, the generation.
pub fn prepare_status_update(_cx: &Cx<'_>, new: &mut Value, old: &Value) {
    let status = new.get_mut("status").map(Value::take);
    let metadata = new.get_mut("metadata").map(Value::take).unwrap_or_default();
    let mut merged = old.clone();
    put_or_remove(&mut merged, "status", status.as_ref());
    merged["metadata"] = metadata;
    let owners = old.pointer("/metadata/ownerReferences").cloned();
    put_or_remove(&mut merged["metadata"], "ownerReferences", owners.as_ref());
    set_generation(&mut merged, old.pointer("/metadata/generation").and_then(Value::as_i64));
    *new = merged;
}

/// Whether anything but metadata, status and the type differs.
fn body_differs(new: &Value, old: &Value) -> bool {
    let empty = Map::new();
    let (new, old) = (new.as_object().unwrap_or(&empty), old.as_object().unwrap_or(&empty));
    let own = |key: &str| !matches!(key, "metadata" | "status" | "apiVersion" | "kind");
    new.iter().filter(|(key, _)| own(key)).any(|(key, value)| old.get(key) != Some(value))
        || old.keys().filter(|key| own(key)).any(|key| !new.contains_key(key))
}

/// Writes or removes the generation.
pub fn set_generation(object: &mut Value, generation: Option<i64>) {
    if let Some(metadata) = object.get_mut("metadata") {
        put_or_remove(metadata, "generation", generation.map(Value::from).as_ref());
    }
}

/// `object[field] = value`, or no such field.
pub fn put_or_remove(object: &mut Value, field: &str, value: Option<&Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => map.insert(field.into(), value.clone()),
            None => map.remove(field),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::User;
    use api::kinds;

    fn run(plural: &str, step: impl Fn(&Cx<'_>)) {
        let (kind, _) = kinds::find("apps", "v1", plural).unwrap();
        let user = User::loopback();
        step(&Cx { kind, user: &user, now: jiff::Timestamp::UNIX_EPOCH });
    }

    #[test]
    fn a_new_object_has_no_status_and_generation_one() {
        run("deployments", |cx| {
            let mut object = json!({"metadata": {"generation": 7}, "spec": {}, "status": {"replicas": 3}});
            prepare_create(cx, &mut object);
            assert_eq!(object, json!({"metadata": {"generation": 1}, "spec": {}, "status": {}}));
        });
    }

    #[test]
    fn the_generation_counts_changes_of_the_body_only() {
        let old =
            json!({"metadata": {"generation": 4, "labels": {"a": "b"}}, "spec": {"replicas": 1}, "status": {"x": 1}});
        let table = [
            (json!({"metadata": {}, "spec": {"replicas": 1}, "status": {"x": 2}}), 4),
            (json!({"metadata": {"labels": {}}, "spec": {"replicas": 2}}), 5),
            (json!({"metadata": {"generation": 9}}), 5),
        ];
        for (new, generation) in table {
            run("deployments", |cx| {
                let mut new = new.clone();
                prepare_update(cx, &mut new, &old);
                assert_eq!(new["metadata"]["generation"], generation);
                assert_eq!(new["status"], old["status"]);
            });
        }
    }

    #[test]
    fn a_status_update_touches_the_status_only() {
        run("deployments", |cx| {
            let old =
                json!({"metadata": {"generation": 4, "ownerReferences": [1]}, "spec": {"replicas": 1}, "status": {}});
            let mut new = json!({"metadata": {"annotations": {}}, "spec": {"replicas": 9}, "status": {"x": 1}});
            prepare_status_update(cx, &mut new, &old);
            let expected = json!({"metadata": {"annotations": {}, "generation": 4, "ownerReferences": [1]},
                "spec": {"replicas": 1}, "status": {"x": 1}});
            assert_eq!(new, expected);
        });
    }
}
