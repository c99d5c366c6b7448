//! Validation of metadata, in upstream's words (apimachinery, pkg/api/validation/objectmeta.go; the stricter rule for
//! finalizers from pkg/apis/core/validation).

use api::field::{FieldError, Path};
use api::kinds::KindRef;
use api::{names, object};
use serde_json::{Value, json};

use super::rules::{self, NameRule};

/// Fields that never change once they are set.
const IMMUTABLE: &[&str] =
    &["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// Finalizers without a domain that are known.
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Complaints about a name of this kind; `prefix` if it is a `generateName`.
pub fn name_errors(rule: NameRule, name: &str, prefix: bool) -> Vec<String> {
    if rule == NameRule::PathSegment {
        return if prefix { names::path_segment_prefix(name) } else { names::path_segment(name) };
    }
    if rule == NameRule::Address {
        // Names are not generated: a prefix is judged as a whole.
        return super::addresses::name_errors(name);
    }
    let masked = if prefix { names::mask_trailing_dash(name) } else { name.to_string() };
    match rule {
        NameRule::Label => names::dns1123_label(&masked),
        NameRule::Label1035 => names::dns1035_label(&masked),
        NameRule::Subdomain | NameRule::PathSegment | NameRule::Address => names::dns1123_subdomain(&masked),
    }
}

/// What is wrong with the metadata of an object about to be created.
pub fn validate(kind: KindRef, object: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    let rule = rules::of(kind).name;
    let prefix = object::generate_name(object);
    if !prefix.is_empty() {
        errors.extend(names::invalid(&path.child("generateName"), prefix, name_errors(rule, prefix, true)));
    }
    match object::name(object) {
        "" => errors.push(FieldError::required(&path.child("name"), "name or generateName is required")),
        name => errors.extend(names::invalid(&path.child("name"), name, name_errors(rule, name, false))),
    }
    let namespace = object::namespace(object);
    match (kind.namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(&path.child("namespace"), "")),
        (true, false) => {
            errors.extend(names::invalid(&path.child("namespace"), namespace, names::dns1123_label(namespace)));
        }
        (false, false) => {
            errors.push(FieldError::forbidden(&path.child("namespace"), "not allowed on this type"));
        }
        (false, true) => {}
    }
    errors.extend(common(object, &path));
    errors
}

/// What is wrong with the change of the metadata. The registry has already restored what a client may leave out.
pub fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if object::deletion_timestamp(old).is_some() {
        let before: Vec<&str> = object::finalizers(old).collect();
        let mut added: Vec<&str> = object::finalizers(new).filter(|f| !before.contains(f)).collect();
        if !added.is_empty() {
            added.sort_unstable();
            let shown: Vec<String> = added.iter().map(|f| format!("{f:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            );
            errors.push(FieldError::forbidden(&path.child("finalizers"), detail));
        }
    }
    if object::resource_version(new).is_none() {
        let detail = "must be specified for an update";
        errors.push(FieldError::invalid(&path.child("resourceVersion"), &json!(""), detail));
    }
    for field in IMMUTABLE {
        let pointer = format!("/metadata/{field}");
        let (after, before) = (object::at(new, &pointer), object::at(old, &pointer));
        if after != before {
            let shown = after.cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(&path.child(*field), &shown, "field is immutable"));
        }
    }
    errors.extend(common(new, &path));
    errors
}

/// What create and update check alike.
fn common(object: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = names::validate_labels(object::labels(object), &path.child("labels"));
    errors.extend(names::validate_annotations(object::annotations(object), &path.child("annotations")));
    errors.extend(owner_references(object, &path.child("ownerReferences")));
    errors.extend(finalizers(object, &path.child("finalizers")));
    errors
}

fn owner_references(object: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller: Option<&str> = None;
    for owner in object::owner_references(object) {
        let api_version = object::text(owner, "/apiVersion");
        let version = api_version.rsplit('/').next().unwrap_or_default();
        if version.is_empty() {
            let shown = json!(api_version);
            errors.push(FieldError::invalid(&path.child("apiVersion"), &shown, "version must not be empty"));
        }
        for field in ["kind", "name", "uid"] {
            if object::text(owner, &format!("/{field}")).is_empty() {
                errors.push(FieldError::invalid(&path.child(field), &json!(""), "must not be empty"));
            }
        }
        if api_version == "v1" && object::text(owner, "/kind") == "Event" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(FieldError::invalid(path, owner, detail));
        }
        if object::flag(owner, "/controller") {
            let name = object::text(owner, "/name");
            if let Some(first) = controller {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                );
                errors.push(FieldError::invalid(path, &json!(object::owner_references(object)), detail));
            } else {
                controller = Some(name);
            }
        }
    }
    errors
}

fn finalizers(object: &Value, path: &Path) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, finalizer) in object::finalizers(object).enumerate() {
        let place = path.index(index);
        let complaints = names::qualified_name(finalizer);
        if complaints.is_empty() && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let detail = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(&place, &json!(finalizer), detail));
        }
        errors.extend(names::invalid(path, finalizer, complaints));
    }
    let has = |name| object::finalizers(object).any(|f| f == name);
    if has("orphan") && has("foregroundDeletion") {
        let shown = object::at(object, "/metadata/finalizers").cloned().unwrap_or_default();
        let detail = "finalizer orphan and finalizer foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, &shown, detail));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;
    use api::kinds;

    #[test]
    fn metadata_is_checked_at_birth() {
        let config_map = kinds::find("", "v1", "configmaps").unwrap().0;
        let node = kinds::find("", "v1", "nodes").unwrap().0;
        let role = kinds::find("rbac.authorization.k8s.io", "v1", "clusterroles").unwrap().0;
        let table = [
            (config_map, json!({"name": "a", "namespace": "b"}), vec![]),
            (
                config_map,
                json!({"namespace": "b"}),
                vec!["metadata.name: Required value: name or generateName is required"],
            ),
            (config_map, json!({"name": "a"}), vec!["metadata.namespace: Required value"]),
            (
                node,
                json!({"name": "a", "namespace": "b"}),
                vec!["metadata.namespace: Forbidden: not allowed on this type"],
            ),
            (role, json!({"name": "system:node"}), vec![]),
            (role, json!({"name": "a/b"}), vec!["metadata.name: Invalid value: \"a/b\": may not contain '/'"]),
            (
                node,
                json!({"name": "a", "finalizers": ["x"]}),
                vec![
                    "metadata.finalizers[0]: Invalid value: \"x\": name is neither a standard finalizer name nor is it fully qualified",
                ],
            ),
            (
                node,
                json!({"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]}),
                vec!["metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"],
            ),
        ];
        for (kind, metadata, expected) in table {
            assert_eq!(texts(&validate(kind, &json!({"metadata": metadata}))), expected);
        }
        let bad = json!({"metadata": {"name": "A_b", "namespace": "b"}});
        assert!(texts(&validate(config_map, &bad))[0].contains("a lowercase RFC 1123 subdomain"));
    }

    #[test]
    fn only_one_owner_controls() {
        let owner =
            |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
        let object = json!({"metadata": {"name": "a", "ownerReferences": [owner("x"), owner("y")]}});
        let errors = validate(kinds::find("", "v1", "nodes").unwrap().0, &object);
        assert!(errors[0].message.ends_with("Found \"true\" in references for x and y"), "{errors:?}");
    }

    #[test]
    fn what_never_changes() {
        let old = json!({"metadata": {"name": "a", "uid": "1", "resourceVersion": "5"}});
        let with = |field: &str, value: Value| {
            let mut new = old.clone();
            new["metadata"][field] = value;
            texts(&validate_update(&new, &old))
        };
        assert_eq!(with("labels", json!({"a": "b"})), Vec::<String>::new());
        assert_eq!(with("uid", json!("2")), ["metadata.uid: Invalid value: \"2\": field is immutable"]);
        assert_eq!(
            with("resourceVersion", json!("")),
            ["metadata.resourceVersion: Invalid value: \"\": must be specified for an update"]
        );
        let mut dying = old.clone();
        dying["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut new = dying.clone();
        new["metadata"]["finalizers"] = json!(["a/b"]);
        assert_eq!(
            texts(&validate_update(&new, &dying)),
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a/b\"}"
            ]
        );
    }
}
