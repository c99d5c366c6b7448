//! Node selectors and node affinity (api: core/v1 NodeAffinity; component-helpers, scheduling/corev1/nodeaffinity).

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use crate::framework::{Plugin, Verdict, normalize};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Pods ask for nodes with certain labels.
pub(super) struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let selected = pod.node_selector.iter().all(|(key, value)| node.label(key) == Some(value));
        let required = match &pod.required_terms {
            None => true,
            Some(terms) => terms.iter().any(|term| matches(term, node)),
        };
        Verdict::when(selected && required, "node(s) didn't match Pod's node affinity/selector")
    }

    fn score(&self, pod: &PodFacts, node: &NodeState) -> Option<i64> {
        if pod.preferred_terms.is_empty() {
            return None;
        }
        let matching = pod.preferred_terms.iter().filter(|(_, term)| matches(term, node));
        Some(matching.map(|(weight, _)| i64::from(*weight)).sum())
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize(scores, false);
    }

    fn weight(&self) -> i64 {
        2
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeLabels]
    }
}

/// A term without requirements matches nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeState) -> bool {
    let (labels, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
    let (labels, fields) = (labels.unwrap_or_default(), fields.unwrap_or_default());
    if labels.is_empty() && fields.is_empty() {
        return false;
    }
    let by_label = labels.iter().all(|requirement| holds(requirement, node.label(&requirement.key)));
    let field = |key: &str| (key == "metadata.name").then_some(node.name.as_str());
    by_label && fields.iter().all(|requirement| holds(requirement, field(&requirement.key)))
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = actual.is_some_and(|actual| values.iter().any(|value| value == actual));
    let numbers = || {
        let bound: i64 = values.first()?.parse().ok()?;
        Some((actual?.parse::<i64>().ok()?, bound))
    };
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => numbers().is_some_and(|(actual, bound)| actual > bound),
        "Lt" => numbers().is_some_and(|(actual, bound)| actual < bound),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{node, pod};
    use k8s_openapi::serde_json::{Value, json};

    fn with_required(expressions: Value, fields: Value) -> Value {
        json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchExpressions": expressions, "matchFields": fields}]}}}}})
    }

    #[test]
    fn every_operator_means_what_it_says() {
        let target = node("n1", json!({"metadata": {"labels": {"disk": "ssd", "cores": "8"}}}));
        let table = [
            (json!([{"key": "disk", "operator": "In", "values": ["ssd", "hdd"]}]), true),
            (json!([{"key": "disk", "operator": "NotIn", "values": ["ssd"]}]), false),
            (json!([{"key": "gpu", "operator": "NotIn", "values": ["a"]}]), true),
            (json!([{"key": "disk", "operator": "Exists"}]), true),
            (json!([{"key": "gpu", "operator": "DoesNotExist"}]), true),
            (json!([{"key": "cores", "operator": "Gt", "values": ["4"]}]), true),
            (json!([{"key": "cores", "operator": "Lt", "values": ["8"]}]), false),
            (json!([{"key": "disk", "operator": "Gt", "values": ["4"]}]), false),
            (json!([]), false),
        ];
        for (expressions, fits) in table {
            let pod = pod(with_required(expressions.clone(), json!([])));
            assert_eq!(NodeAffinity.filter(&pod, &target) == Verdict::Fits, fits, "{expressions}");
        }
        let by_name = json!([{"key": "metadata.name", "operator": "In", "values": ["n1"]}]);
        assert_eq!(NodeAffinity.filter(&pod(with_required(json!([]), by_name)), &target), Verdict::Fits);
    }

    #[test]
    fn the_node_selector_must_match_as_a_whole() {
        let target = node("n1", json!({"metadata": {"labels": {"disk": "ssd"}}}));
        let wants = |selector: Value| pod(json!({"spec": {"nodeSelector": selector}}));
        assert_eq!(NodeAffinity.filter(&wants(json!({"disk": "ssd"})), &target), Verdict::Fits);
        assert_ne!(NodeAffinity.filter(&wants(json!({"disk": "ssd", "zone": "a"})), &target), Verdict::Fits);
    }

    #[test]
    fn preferences_add_their_weights() {
        let target = node("n1", json!({"metadata": {"labels": {"disk": "ssd"}}}));
        let term = |weight: i32, value: &str| {
            json!({"weight": weight, "preference":
                {"matchExpressions": [{"key": "disk", "operator": "In", "values": [value]}]}})
        };
        let pod = pod(json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [term(10, "ssd"), term(5, "hdd"), term(3, "ssd")]}}}}));
        assert_eq!(NodeAffinity.score(&pod, &target), Some(13));
    }
}
