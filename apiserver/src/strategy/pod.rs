//! Pods (upstream: pkg/registry/core/pod/strategy.go).

use api::object;
use serde_json::{Value, json};

use super::{Cx, Strategy};

/// See the module.
pub struct Pod;

impl Strategy for Pod {
    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        object::set(object, "/status", json!({"phase": "Pending"}));
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

#[cfg(test)]
mod tests {
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
