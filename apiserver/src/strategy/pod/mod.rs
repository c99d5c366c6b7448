//! Pods (upstream: pkg/registry/core/pod/strategy.go), and what pods share with the templates they are made from.
//!
//! | module | what it checks |
//! |---|---|
//! | [`spec`] | the spec as a whole |
//! | `containers`, `env`, `probes`, `resources`, `security` | containers |
//! | `volumes` | volumes and mounts |
//! | `affinity` | where pods may run |
//! | `update` | what may change |
//! | `qos` | the quality of service class |
//! | [`warnings`] | what is valid but worth a word |

pub mod affinity;
mod containers;
mod env;
mod probes;
mod qos;
pub mod resources;
mod security;
pub mod spec;
#[cfg(test)]
mod tests;
mod update;
mod volumes;
pub mod warnings;

use api::{FieldError, object};
use serde_json::{Value, json};

use super::check::{At, Errors, run};
use super::{Cx, Strategy};

/// See the module.
pub struct Pod;

impl Strategy for Pod {
    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        let class = qos::class(&object["spec"]);
        object::set(object, "/status", json!({"phase": "Pending", "qosClass": class}));
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| spec::pod(object, errors))
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| created(&At::root(object).get("spec"), errors))
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        run(|errors| update::pod(new, old, errors))
    }

    /// A status keeps the class that the pod was born with, whoever writes it.
    fn prepare_status_update(&self, _cx: &Cx<'_>, new: &mut Value, old: &Value) {
        let class = object::text(old, "/status/qosClass");
        if !class.is_empty() && object::text(new, "/status/qosClass").is_empty() {
            object::set(new, "/status/qosClass", json!(class));
        }
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        run(|errors| update::status(new, old, errors))
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::of_pod(object, old.is_none())
    }

    /// A pod that is on no node, or has ended, goes at once; below zero means "as fast as its node can".
    fn graceful_deletion_seconds(&self, object: &Value, requested: Option<i64>) -> Option<i64> {
        let unbound = object::text(object, "/spec/nodeName").is_empty();
        if unbound || matches!(object::text(object, "/status/phase"), "Failed" | "Succeeded") {
            return Some(0);
        }
        let period = requested.or_else(|| object::integer(object, "/spec/terminationGracePeriodSeconds")).unwrap_or(30);
        Some(if period < 0 { 1 } else { period })
    }
}

/// What holds for new pods only.
fn created(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("ephemeralContainers").len() > 0 {
        errors.forbidden(&spec.get("ephemeralContainers"), "cannot be set on create");
    }
    if !spec.get("nodeName").text().is_empty() && spec.get("schedulingGates").len() > 0 {
        errors.forbidden(&spec.get("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
}

#[cfg(test)]
mod grace_tests {
    use super::*;

    #[test]
    fn grace() {
        let table = [
            (json!({"spec": {}}), Some(30), 0),
            (json!({"spec": {"nodeName": "n"}, "status": {"phase": "Succeeded"}}), None, 0),
            (json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}}), None, 7),
            (json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": 7}}), Some(0), 0),
            (json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": -1}}), None, 1),
            (json!({"spec": {"nodeName": "n"}}), None, 30),
        ];
        for (pod, requested, expected) in table {
            assert_eq!(Pod.graceful_deletion_seconds(&pod, requested), Some(expected), "{pod}");
        }
    }
}
