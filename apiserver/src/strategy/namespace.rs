//! Namespaces: the `kubernetes` finalizer in the spec keeps a deleted namespace until the namespace controller has
//! emptied it (upstream: pkg/registry/core/namespace).

use api::object;
use serde_json::{Value, json};

use super::{Cx, Strategy};

/// The label by which selectors find a namespace by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// See the module.
pub struct Namespace;

impl Strategy for Namespace {
    fn default(&self, object: &mut Value) {
        let name = object::name(object).to_string();
        if !name.is_empty() {
            object::set_label(object, NAME_LABEL, &name);
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

    fn held(&self, object: &Value) -> bool {
        !object::list(object, "/spec/finalizers").is_empty()
    }

    fn mark_deleting(&self, object: &mut Value) {
        object::set(object, "/status/phase", json!("Terminating"));
    }
}
