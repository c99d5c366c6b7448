//! Why a pod should be removed by force, and which ended pods are too many. Pure (kube-controller-manager,
//! podgc/gc_controller.go).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::pods;

/// What to do about one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    /// All is well.
    Fine,
    /// It is bound to a node that is not there: to be removed if the node stays away.
    Orphaned,
    /// It was deleted before it was bound: no kubelet will ever finish it.
    NeverBound,
    /// It was deleted, and somebody vouches that its node is switched off.
    OutOfService,
}

/// Whether a change of a pod may change its case.
pub(super) fn concerns(old: Option<&Pod>, new: Option<&Pod>) -> bool {
    let facts = |pod: &Pod| (pods::node_name(pod).to_string(), pod.metadata.deletion_timestamp.is_some());
    old.map(facts) != new.map(facts)
}

/// The case of a pod; `node` is the one that it is bound to, if that exists.
pub(super) fn case(pod: &Pod, node: Option<&Node>) -> Case {
    let going = pod.metadata.deletion_timestamp.is_some();
    match (pods::node_name(pod), node) {
        ("", _) if going => Case::NeverBound,
        ("", _) => Case::Fine,
        (_, None) => Case::Orphaned,
        (_, Some(node)) if going && is_out_of_service(node) => Case::OutOfService,
        _ => Case::Fine,
    }
}

/// Not ready, and tainted by hand as out of service.
pub(super) fn is_out_of_service(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    !ready && taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service")
}

/// Whether a pod has ended and lies around.
pub(super) fn has_ended(pod: &Pod) -> bool {
    matches!(pods::phase(pod), "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_none()
}

/// The ended pods beyond `threshold` (0: no limit): evicted ones first, then the oldest.
pub(super) fn excess(mut ended: Vec<Arc<Pod>>, threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 || ended.len() <= threshold {
        return Vec::new();
    }
    let evicted = |pod: &Pod| pod.status.as_ref().is_some_and(|status| status.reason.as_deref() == Some("Evicted"));
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    ended.sort_by_cached_key(|pod| (!evicted(pod), created(pod), pod.metadata.name.clone()));
    ended.truncate(ended.len() - threshold);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn cases_depend_on_node_and_deletion() {
        let pod = |node: &str, going: bool| -> Pod {
            let deletion = going.then_some("2026-01-01T00:00:00Z");
            from_value(
                json!({"metadata": {"deletionTimestamp": deletion}, "spec": {"nodeName": node, "containers": []}}),
            )
            .unwrap()
        };
        let node = |ready: &str, taint: &str| -> Node {
            from_value(json!({
                "spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        let out = "node.kubernetes.io/out-of-service";
        let table = [
            (pod("", false), None, Case::Fine),
            (pod("", true), None, Case::NeverBound),
            (pod("n", false), Some(node("True", "x")), Case::Fine),
            (pod("n", true), Some(node("Unknown", "x")), Case::Fine),
            (pod("n", true), Some(node("True", out)), Case::Fine),
            (pod("n", false), Some(node("Unknown", out)), Case::Fine),
            (pod("n", true), Some(node("Unknown", out)), Case::OutOfService),
            (pod("n", false), None, Case::Orphaned),
            (pod("n", true), None, Case::Orphaned),
        ];
        for (pod, node, expected) in table {
            assert_eq!(case(&pod, node.as_ref()), expected, "{pod:?} {node:?}");
        }
    }

    #[test]
    fn a_pod_is_looked_at_when_it_is_bound_or_deleted() {
        let pod = |node: &str, going: bool, phase: &str| -> Pod {
            let deletion = going.then_some("2026-01-01T00:00:00Z");
            from_value(json!({"metadata": {"deletionTimestamp": deletion},
                "spec": {"nodeName": node, "containers": []}, "status": {"phase": phase}}))
            .unwrap()
        };
        let table = [
            (None, Some(pod("", false, "")), true),
            (Some(pod("", false, "")), Some(pod("n", false, "")), true),
            (Some(pod("n", false, "")), Some(pod("n", false, "Running")), false),
            (Some(pod("n", false, "")), Some(pod("n", true, "")), true),
        ];
        for (old, new, expected) in table {
            assert_eq!(concerns(old.as_ref(), new.as_ref()), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn evicted_ones_go_first_then_the_oldest() {
        let pod = |name: &str, day: u8, reason: &str| -> Arc<Pod> {
            Arc::new(
                from_value(json!({
                    "metadata": {"name": name, "creationTimestamp": format!("2026-01-{day:02}T00:00:00Z")},
                    "status": {"phase": "Failed", "reason": reason},
                }))
                .unwrap(),
            )
        };
        let ended = vec![pod("young", 9, ""), pod("old", 1, ""), pod("evicted", 8, "Evicted"), pod("middle", 5, "")];
        for (threshold, expected) in
            [(0, vec![]), (4, vec![]), (3, vec!["evicted"]), (1, vec!["evicted", "old", "middle"])]
        {
            let excess = excess(ended.clone(), threshold);
            let names: Vec<&str> = excess.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
            assert_eq!(names, expected, "threshold {threshold}");
        }
    }

    #[test]
    fn ended_pods_that_are_being_deleted_do_not_count() {
        let table = [
            (json!({"status": {"phase": "Failed"}}), true),
            (json!({"status": {"phase": "Succeeded"}}), true),
            (json!({"status": {"phase": "Running"}}), false),
            (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Failed"}}), false),
        ];
        for (pod, ended) in table {
            assert_eq!(has_ended(&from_value(pod.clone()).unwrap()), ended, "{pod}");
        }
    }
}
