//! How long a pod may stay on a node with taints. Pure (kube-controller-manager, tainteviction/taint_eviction.go).

use std::time::Duration;

use api::toleration::tolerates;
use client::Object;
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};

use crate::pods;

/// Whether a change of a pod may change how long it may stay.
pub(super) fn concerns(old: Option<&Pod>, new: Option<&Pod>) -> bool {
    let facts = |pod: &Pod| {
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.clone());
        (pod.uid().to_string(), pods::node_name(pod).to_string(), tolerations)
    };
    let bound = [old, new].into_iter().flatten().any(|pod| !pods::node_name(pod).is_empty());
    bound && old.map(facts) != new.map(facts)
}

/// Whether a change of a node may change how long its pods may stay.
pub(super) fn turned(old: Option<&Node>, new: Option<&Node>) -> bool {
    old.map(driving).unwrap_or_default() != new.map(driving).unwrap_or_default()
}

/// The taints of a node that drive pods off.
pub(super) fn driving(node: &Node) -> Vec<&Taint> {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().filter(|taint| taint.effect == "NoExecute").collect()
}

/// How long a pod with these tolerations may stay from when the taints are noticed; `None`: for ever.
pub(super) fn stay(taints: &[&Taint], tolerations: &[Toleration]) -> Option<Duration> {
    let mut shortest: Option<Duration> = None;
    for taint in taints {
        // Of several tolerations of a taint the first counts, as upstream looks for one only.
        let named = (taint.key.as_str(), taint.value.as_deref().unwrap_or_default(), taint.effect.as_str());
        let Some(toleration) = tolerations.iter().find(|toleration| tolerates(toleration, named)) else {
            return Some(Duration::ZERO);
        };
        if let Some(seconds) = toleration.toleration_seconds {
            let patience = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            shortest = Some(shortest.map_or(patience, |shortest| shortest.min(patience)));
        }
    }
    shortest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn patience_is_the_shortest_of_all_that_is_needed() {
        let taint = |key: &str| Taint { key: key.into(), effect: "NoExecute".into(), ..Taint::default() };
        let (a, b) = (taint("a"), taint("b"));
        let tolerate = |key: &str, seconds: Option<i64>| Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            toleration_seconds: seconds,
            ..Toleration::default()
        };
        let seconds = |count| Some(Duration::from_secs(count));
        let table = [
            (vec![], vec![], None),
            (vec![&a], vec![], seconds(0)),
            (vec![&a], vec![tolerate("a", None)], None),
            (vec![&a], vec![tolerate("a", Some(300))], seconds(300)),
            (vec![&a], vec![tolerate("a", Some(-1))], seconds(0)),
            (vec![&a, &b], vec![tolerate("a", Some(300)), tolerate("b", Some(20))], seconds(20)),
            (vec![&a, &b], vec![tolerate("a", Some(300)), tolerate("b", None)], seconds(300)),
            (vec![&a, &b], vec![tolerate("a", Some(300))], seconds(0)),
            (vec![&a], vec![tolerate("a", Some(5)), tolerate("a", Some(1))], seconds(5)),
            (vec![&a, &b], vec![tolerate("", None)], None),
        ];
        for (taints, tolerations, expected) in table {
            assert_eq!(stay(&taints, &tolerations), expected, "{taints:?} {tolerations:?}");
        }
    }

    #[test]
    fn only_changes_that_matter_are_looked_at() {
        let pod = |node: &str, seconds: i64, phase: &str| -> Pod {
            from_value(json!({
                "metadata": {"uid": "u"},
                "spec": {"nodeName": node, "containers": [], "tolerations": [{"key": "k", "tolerationSeconds": seconds}]},
                "status": {"phase": phase},
            }))
            .unwrap()
        };
        let table = [
            (None, Some(pod("", 1, "")), false),
            (None, Some(pod("n", 1, "")), true),
            (Some(pod("", 1, "")), Some(pod("n", 1, "")), true),
            (Some(pod("n", 1, "Pending")), Some(pod("n", 1, "Running")), false),
            (Some(pod("n", 1, "")), Some(pod("n", 2, "")), true),
            (Some(pod("n", 1, "")), None, true),
        ];
        for (old, new, expected) in table {
            assert_eq!(concerns(old.as_ref(), new.as_ref()), expected, "{old:?} {new:?}");
        }
        let node = |effect: &str, unschedulable: bool| -> Node {
            let taints = json!([{"key": "a", "effect": effect}]);
            from_value(json!({"spec": {"unschedulable": unschedulable, "taints": taints}})).unwrap()
        };
        let table = [
            (None, Some(node("NoSchedule", false)), false),
            (None, Some(node("NoExecute", false)), true),
            (Some(node("NoExecute", false)), Some(node("NoExecute", true)), false),
            (Some(node("NoExecute", false)), Some(node("NoSchedule", false)), true),
        ];
        for (old, new, expected) in table {
            assert_eq!(turned(old.as_ref(), new.as_ref()), expected, "{old:?} {new:?}");
        }
    }

    #[test]
    fn only_taints_of_effect_no_execute_drive_pods_off() {
        let node: Node = from_value(json!({"spec": {"taints": [
            {"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoExecute"}]}}))
        .unwrap();
        assert_eq!(driving(&node).len(), 1);
        assert!(driving(&Node::default()).is_empty());
    }
}
