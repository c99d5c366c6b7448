//! Creates an object that is missing. Of roles and bindings that exist, missing rules and subjects are added, unless a person
//! has switched that off (upstream: pkg/registry/rbac/reconciliation; annotation `rbac.authorization.kubernetes.io/autoupdate`).

use api::kinds::{self, KindRef};
use api::{Status, object};
use serde_json::Value;

use crate::auth::rbac::{Subject, rules_of, uncovered};
use crate::registry::{Call, Registry, Target};
use crate::storage::Freshness;

const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
/// Attempts against concurrent changes.
const ATTEMPTS: usize = 5;

/// Makes sure of `wanted`.
///
/// # Errors
/// When it is refused or the store fails.
pub async fn ensure(registry: &Registry, wanted: Value) -> Result<(), Status> {
    let kind = kind_of(&wanted)?;
    let (namespace, name) = (object::namespace(&wanted).to_string(), object::name(&wanted).to_string());
    for _ in 0..ATTEMPTS {
        let Some(entry) = registry.storage().get(kind, &namespace, &name, Freshness::Latest).await? else {
            match registry.create(&Call::internal(), kind, &namespace, wanted.clone()).await {
                Err(status) if status.is("AlreadyExists") => continue,
                done => return done.map(drop),
            }
        };
        let Some(merged) = merged(&entry.value(), &wanted) else { return Ok(()) };
        let call = Call::internal();
        // The version in it makes the write fail if somebody else's came between.
        match registry.update(&call, kind, &namespace, &name, Target::Main, merged).await {
            Err(status) if status.is("Conflict") => {}
            done => return done.map(drop),
        }
    }
    Err(Status::conflict(kind.group, kind.plural, &name, "it changes faster than it can be brought up to date"))
}

fn kind_of(object: &Value) -> Result<KindRef, Status> {
    let (version, kind) = (object::api_version(object), object::kind(object));
    let found = kinds::by_api_version(version, kind).map(|(kind, _)| kind);
    found.ok_or_else(|| Status::internal(format!("no kind {kind} in {version}")))
}

/// What `present` becomes; `None` if nothing is missing.
pub fn merged(present: &Value, wanted: &Value) -> Option<Value> {
    if object::kind(wanted) == "ConfigMap" {
        // The authorities may have been replaced between two starts.
        return (present.get("data") != wanted.get("data")).then(|| {
            let mut merged = present.clone();
            object::set(&mut merged, "/data", wanted.get("data").cloned().unwrap_or_default());
            merged
        });
    }
    if !object::group_version(wanted).0.starts_with("rbac.")
        || object::annotation(present, AUTO_UPDATE) == Some("false")
    {
        return None;
    }
    let list = |object: &Value, field: &str| object.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut merged = present.clone();
    let mut changed = false;
    let missing = uncovered(&rules_of(present), &rules_of(wanted));
    if !missing.is_empty() {
        // Whole rules of the table rather than their crumbs.
        let mut rules = list(present, "rules");
        rules.extend(list(wanted, "rules").into_iter().filter(|rule| {
            let one = rules_of(&serde_json::json!({ "rules": [rule] }));
            !uncovered(&rules_of(present), &one).is_empty()
        }));
        object::set(&mut merged, "/rules", Value::Array(rules));
        changed = true;
    }
    let subject = |value: &Value| serde_json::from_value::<Subject>(value.clone()).ok();
    let present_subjects = list(present, "subjects");
    let known: Vec<Subject> = present_subjects.iter().filter_map(subject).collect();
    let lacking: Vec<Value> =
        list(wanted, "subjects").into_iter().filter(|s| subject(s).is_some_and(|s| !known.contains(&s))).collect();
    if !lacking.is_empty() {
        object::set(&mut merged, "/subjects", Value::Array([present_subjects, lacking].concat()));
        changed = true;
    }
    changed.then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_missing_is_added() {
        let rule = |verbs: Value| json!({"verbs": verbs, "apiGroups": [""], "resources": ["pods"]});
        let role = |rules: Value, auto: &str| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "x", "annotations": {AUTO_UPDATE: auto}}, "rules": rules})
        };
        let wanted = role(json!([rule(json!(["get", "list"]))]), "true");
        let table = [
            (role(json!([rule(json!(["get", "list"]))]), "true"), None),
            (role(json!([rule(json!(["*"]))]), "true"), None),
            (role(json!([rule(json!(["get"]))]), "true"), Some(2)),
            (role(json!([]), "true"), Some(1)),
            (role(json!([]), "false"), None),
        ];
        for (present, rules) in table {
            let merged = merged(&present, &wanted);
            assert_eq!(merged.map(|m| m["rules"].as_array().unwrap().len()), rules, "{present}");
        }
    }

    #[test]
    fn subjects_of_a_person_stay() {
        let binding = |subjects: Value| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "subjects": subjects});
        let group = json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:masters"});
        let person = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"});
        let merged = merged(&binding(json!([person])), &binding(json!([group]))).unwrap();
        assert_eq!(merged["subjects"], json!([person, group]));
        let present = binding(json!([person, group]));
        assert!(super::merged(&present, &binding(json!([group]))).is_none());
    }

    #[test]
    fn other_objects_are_left_alone() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
        assert!(merged(&json!({"metadata": {"labels": {"a": "b"}}}), &namespace).is_none());
    }
}
