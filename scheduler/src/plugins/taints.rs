//! Taints and tolerations (api: core/v1 Taint, Toleration; component-helpers, scheduling/corev1/helpers.go).

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
        let offending = node.taints().find(|taint| binding(taint.2) && !tolerated(&pod.tolerations, *taint));
        match offending {
            None => Verdict::Fits,
            Some((key, value, _)) => {
                Verdict::Refused(vec![format!("node(s) had untolerated taint {{{key}: {value}}}")])
            }
        }
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
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeTaints]
    }
}

/// Whether one of `tolerations` covers the taint (key, value, effect).
pub(super) fn tolerated(tolerations: &[Toleration], taint: (&str, &str, &str)) -> bool {
    tolerations.iter().any(|toleration| covers(toleration, taint))
}

fn covers(toleration: &Toleration, (key, value, effect): (&str, &str, &str)) -> bool {
    let text = |field: &Option<String>| field.as_deref().unwrap_or_default().to_string();
    let (for_key, for_effect) = (text(&toleration.key), text(&toleration.effect));
    if (!for_effect.is_empty() && for_effect != effect) || (!for_key.is_empty() && for_key != key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or("Equal") {
        "Exists" => true,
        "Equal" => !for_key.is_empty() && text(&toleration.value) == value,
        _ => false,
    }
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
        let refused = Verdict::Refused(vec!["node(s) had untolerated taint {k: v}".into()]);
        assert_eq!(TaintToleration.filter(&pod(json!({})), &tainted), refused);
    }

    #[test]
    fn preferring_taints_cost_score_only() {
        let tainted = node("n", json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}}));
        assert_eq!(TaintToleration.filter(&pod(json!({})), &tainted), Verdict::Fits);
        assert_eq!(TaintToleration.score(&pod(json!({})), &tainted), Some(1));
    }
}
