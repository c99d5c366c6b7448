//! Namespaces: the `kubernetes` finalizer in the spec keeps a deleted namespace until the namespace controller has
//! emptied it (upstream: pkg/registry/core/namespace).

use api::field::FieldError;
use api::{names, object};
use serde_json::{Value, json};

use super::check::{At, run};
use super::{Cx, Strategy};

/// The label by which selectors find a namespace by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Finalizers without a domain that are known.
const STANDARD: &[&str] = &["foregroundDeletion", "kubernetes", "orphan"];

/// See the module.
pub struct Namespace;

impl Strategy for Namespace {
    fn default(&self, object: &mut Value) {
        let name = object::name(object).to_string();
        if !name.is_empty() {
            object::set_label(object, NAME_LABEL, &name);
        }
        if object::text(object, "/status/phase").is_empty() {
            object::set(object, "/status/phase", json!("Active"));
        }
    }

    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        self.default(object);
        object::set(object, "/status", json!({"phase": "Active"}));
        let mut finalizers = object::list(object, "/spec/finalizers").to_vec();
        if !finalizers.iter().any(|finalizer| finalizer == "kubernetes") {
            finalizers.push(json!("kubernetes"));
        }
        object::set(object, "/spec/finalizers", Value::Array(finalizers));
    }

    fn prepare_update(&self, _cx: &Cx<'_>, new: &mut Value, old: &Value) {
        let kept = old.pointer("/spec/finalizers").cloned().unwrap_or_else(|| json!([]));
        object::set(new, "/spec/finalizers", kept);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let list = At::root(object).at("spec.finalizers");
        run(|errors| {
            for finalizer in list.items() {
                let complaints = names::qualified_name(finalizer.text());
                if complaints.is_empty() && !finalizer.text().contains('/') && !STANDARD.contains(&finalizer.text()) {
                    let detail = "name is neither a standard finalizer name nor is it fully qualified";
                    errors.invalid_as(&list, finalizer.text(), detail);
                }
                errors.0.extend(names::invalid(&list.path, finalizer.text(), complaints));
            }
        })
    }

    fn validate_status_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        let root = At::root(new);
        let phase = At { path: root.at("status.Phase").path, ..root.at("status.phase") };
        run(|errors| match object::deletion_timestamp(new) {
            None if phase.text() != "Active" => {
                errors.invalid_as(&phase, phase.text(), "may only be 'Active' if `deletionTimestamp` is empty");
            }
            Some(_) if phase.text() != "Terminating" => {
                errors.invalid_as(
                    &phase,
                    phase.text(),
                    "may only be 'Terminating' if `deletionTimestamp` is not empty",
                );
            }
            _ => {}
        })
    }

    fn held(&self, object: &Value) -> bool {
        !object::list(object, "/spec/finalizers").is_empty()
    }

    fn mark_deleting(&self, object: &mut Value) {
        object::set(object, "/status/phase", json!("Terminating"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finalizers_and_phases() {
        let bad = Namespace.validate(&json!({"spec": {"finalizers": ["kubernetes", "mine"]}}));
        assert_eq!(
            bad[0].to_string(),
            "spec.finalizers: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully qualified"
        );
        let early = json!({"metadata": {}, "status": {"phase": "Terminating"}});
        assert_eq!(
            Namespace.validate_status_update(&early, &early)[0].to_string(),
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        );
    }
}
