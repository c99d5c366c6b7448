//! `/finalize` of namespaces and `/approval` of certificate signing requests: subresources that may write one list.

use api::kinds::KindRef;
use api::{Status, object};
use serde_json::{Value, json};

use super::patch::same_object;
use super::update::{Change, Target};
use super::{Call, Registry, Written, timestamp};

impl Registry {
    /// Replaces `spec.finalizers` of a namespace; with the last one the namespace goes
    /// (upstream: pkg/registry/core/namespace, `FinalizeREST`).
    ///
    /// # Errors
    /// As [`Registry::update`].
    pub async fn finalize(&self, call: &Call, kind: KindRef, name: &str, object: &Value) -> Result<Written, Status> {
        same_object(object, "", name)?;
        let change = Change::of(kind, "", name).target(Target::Raw);
        let mut edit = |old: &Value| Ok(with(old, object, "/spec/finalizers"));
        self.modify(call, &change, &mut edit).await
    }

    /// Replaces the conditions of a CertificateSigningRequest (upstream: pkg/registry/certificates, approvalStrategy).
    ///
    /// # Errors
    /// As [`Registry::update`].
    pub async fn approve(&self, call: &Call, kind: KindRef, name: &str, object: &Value) -> Result<Written, Status> {
        same_object(object, "", name)?;
        let now = timestamp(self.now());
        let change = Change::of(kind, "", name).target(Target::Raw);
        let mut edit = |old: &Value| {
            let mut new = with(old, object, "/status/conditions");
            stamp_conditions(&mut new, &now);
            Ok(new)
        };
        self.modify(call, &change, &mut edit).await
    }
}

/// `old` with what `new` has at the pointer, and the version that the writer saw.
fn with(old: &Value, new: &Value, pointer: &str) -> Value {
    let mut result = old.clone();
    match object::at(new, pointer) {
        Some(value) => object::set(&mut result, pointer, value.clone()),
        None => {
            object::remove(&mut result, pointer);
        }
    }
    object::set_resource_version(&mut result, object::resource_version(new).unwrap_or_default());
    let uid = object::uid(new);
    if !uid.is_empty() {
        object::set_uid(&mut result, uid);
    }
    result
}

/// Conditions get the times that they came without.
fn stamp_conditions(object: &mut Value, now: &str) {
    let Some(Value::Array(conditions)) = object.pointer_mut("/status/conditions") else { return };
    for condition in conditions {
        for field in ["lastUpdateTime", "lastTransitionTime"] {
            if condition.get(field).is_none_or(Value::is_null) {
                condition[field] = json!(now);
            }
        }
    }
}
