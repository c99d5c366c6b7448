//! Taints and tolerations (kube-scheduler, tainttoleration/taint_toleration.go).

use api::toleration::tolerates;
use k8s_openapi::api::core::v1::Toleration;

use crate::framework::{Plugin, Verdict, normalize};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Nodes keep off pods that do not tolerate their taints; a taint that only prefers so costs score.
pub(super) struct TaintToleration;

impl Plugin for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let binding = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
        let offends = |taint: (&str, &str, &str)| binding(taint.2) && !tolerated(&pod.tolerations, taint);
        // One reason for all taints, so that nodes tainted each in its own way count together (since 1.35).
        Verdict::when(!node.taints().any(offends), "node(s) had untolerated taint(s)")
    }

    fn score(&self, pod: &PodFacts, node: &NodeState) -> Option<i64> {
        let unwelcome =
            node.taints().filter(|taint| taint.2 == "PreferNoSchedule" && !tolerated(&pod.tolerations, *taint));
        Some(i64::try_from(unwelcome.count()).unwrap_or(i64::MAX))
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, true);
    }

    fn weight(&self) -> i64 {
        3
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeTaints, ClusterEvent::PodTolerations]
    }
}

/// Whether one of `tolerations` covers the taint (key, value, effect).
pub(super) fn tolerated(tolerations: &[Toleration], taint: (&str, &str, &str)) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{node, pod};
    use k8s_openapi::serde_json::json;

    #[test]
    fn tolerations_cover_by_key_value_and_effect() {
        let table = [
            (json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}), true),
            (json!({"key": "k", "value": "v"}), true),
            (json!({"key": "k", "value": "other"}), false),
            (json!({"key": "k", "operator": "Exists"}), true),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"operator": "Exists"}), true),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
        ];
        let tainted = node("n", json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}}));
        for (toleration, fits) in table {
            let verdict = TaintToleration.filter(&pod(json!({"spec": {"tolerations": [toleration]}})), &tainted);
            assert_eq!(verdict == Verdict::Fits, fits, "{toleration}");
        }
        let refused = Verdict::Refused(vec!["node(s) had untolerated taint(s)".into()]);
        assert_eq!(TaintToleration.filter(&pod(json!({})), &tainted), refused);
    }

    #[test]
    fn every_binding_taint_must_be_tolerated() {
        let taint = |key: &str, effect: &str| json!({"key": key, "effect": effect});
        let tolerate = |key: &str| json!({"key": key, "operator": "Exists"});
        let table = [
            (json!([]), json!([]), true),
            (json!([taint("a", "NoSchedule"), taint("b", "NoExecute")]), json!([tolerate("a")]), false),
            (json!([taint("a", "NoSchedule"), taint("b", "NoExecute")]), json!([tolerate("a"), tolerate("b")]), true),
            (json!([taint("a", "PreferNoSchedule")]), json!([]), true),
            (json!([taint("a", "NoExecute")]), json!([]), false),
            // How long it may stay there is none of the scheduler's business.
            (
                json!([taint("a", "NoExecute")]),
                json!([{"key": "a", "operator": "Exists", "tolerationSeconds": 1}]),
                true,
            ),
        ];
        for (taints, tolerations, fits) in table {
            let verdict = TaintToleration.filter(
                &pod(json!({"spec": {"tolerations": tolerations}})),
                &node("n", json!({"spec": {"taints": taints}})),
            );
            assert_eq!(verdict == Verdict::Fits, fits, "{taints} {tolerations}");
        }
    }

    #[test]
    fn the_node_with_fewest_unwelcome_taints_is_best() {
        let prefers = |keys: &[&str]| {
            let taints: Vec<_> = keys.iter().map(|key| json!({"key": key, "effect": "PreferNoSchedule"})).collect();
            node("n", json!({"spec": {"taints": taints}}))
        };
        let pod =
            pod(json!({"spec": {"tolerations": [{"key": "c", "operator": "Exists", "effect": "PreferNoSchedule"},
            {"key": "b", "operator": "Exists", "effect": "NoSchedule"}]}}));
        let nodes = [prefers(&["a", "b"]), prefers(&["a"]), prefers(&["c"])];
        let mut scores: Vec<i64> = nodes.iter().map(|node| TaintToleration.score(&pod, node).unwrap()).collect();
        assert_eq!(scores, [2, 1, 0]);
        TaintToleration.normalize(&mut scores);
        assert_eq!(scores, [0, 50, 100]);
    }

    #[test]
    fn preferring_taints_cost_score_only() {
        let tainted = node("n", json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}}));
        assert_eq!(TaintToleration.filter(&pod(json!({})), &tainted), Verdict::Fits);
        assert_eq!(TaintToleration.score(&pod(json!({})), &tainted), Some(1));
    }
}
