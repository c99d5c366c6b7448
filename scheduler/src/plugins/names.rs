//! Pods that name their node, and nodes that take no new pods.

use crate::framework::{Plugin, Verdict};
use crate::plugins::taints::tolerated;
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// `spec.nodeName` set by whoever made the pod is not for the scheduler; what remains is the affinity to one name that
/// DaemonSets use, so this plugin only refuses other nodes.
pub(super) struct NodeName;

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let fits = pod.node_name.is_empty() || pod.node_name == node.name;
        Verdict::when(fits, "node(s) didn't match the requested node name")
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded]
    }
}

/// `kubectl cordon`.
pub(super) struct NodeUnschedulable;

/// The taint that stands for a cordoned node.
const CORDONED: (&str, &str, &str) = ("node.kubernetes.io/unschedulable", "", "NoSchedule");

impl Plugin for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let fits = !node.unschedulable || tolerated(&pod.tolerations, CORDONED);
        Verdict::when(fits, "node(s) were unschedulable")
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeTaints, ClusterEvent::PodTolerations]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{node, pod};
    use k8s_openapi::serde_json::json;

    #[test]
    fn a_pod_that_names_its_node_goes_nowhere_else() {
        for (wanted, fits) in [("", true), ("n", true), ("m", false)] {
            let verdict = NodeName.filter(&pod(json!({"spec": {"nodeName": wanted}})), &node("n", json!({})));
            let refused = Verdict::Refused(vec!["node(s) didn't match the requested node name".into()]);
            assert_eq!(verdict, if fits { Verdict::Fits } else { refused }, "{wanted:?}");
        }
    }

    #[test]
    fn a_cordoned_node_takes_only_pods_that_tolerate_it() {
        let cordoned = node("n", json!({"spec": {"unschedulable": true}}));
        let tolerant =
            json!({"spec": {"tolerations": [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]}});
        assert_eq!(NodeUnschedulable.filter(&pod(tolerant), &cordoned), Verdict::Fits);
        let refused = Verdict::Refused(vec!["node(s) were unschedulable".into()]);
        assert_eq!(NodeUnschedulable.filter(&pod(json!({})), &cordoned), refused);
    }
}
