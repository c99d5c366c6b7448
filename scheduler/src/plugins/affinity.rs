//! Node selectors and node affinity (api: core/v1 NodeAffinity; component-helpers, scheduling/corev1/nodeaffinity).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{NodeSelectorRequirement, NodeSelectorTerm};

use crate::framework::{Candidates, Plugin, Verdict, normalize};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Pods ask for nodes with certain labels.
pub(super) struct NodeAffinity;

impl Plugin for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    /// Terms that all name their nodes leave no other to look at: DaemonSets' pods name one.
    fn prefilter(&self, pod: &PodFacts) -> Candidates {
        let terms = pod.required_terms.as_deref().unwrap_or_default();
        match terms.iter().map(named_nodes).collect::<Option<Vec<_>>>() {
            None => Candidates::All,
            Some(_) if terms.is_empty() => Candidates::All,
            Some(names) if names.iter().all(BTreeSet::is_empty) => Candidates::None("pod affinity terms conflict"),
            Some(names) => Candidates::Only(names.into_iter().flatten().collect()),
        }
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

/// The nodes that a term names, if it names any: those that all its requirements on the name have in common.
fn named_nodes(term: &NodeSelectorTerm) -> Option<BTreeSet<String>> {
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let by_name = fields.iter().filter(|field| field.key == "metadata.name" && field.operator == "In");
    by_name
        .map(|field| field.values.iter().flatten().cloned().collect::<BTreeSet<String>>())
        .reduce(|one, other| &one & &other)
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
    fn terms_that_all_name_nodes_leave_only_those() {
        let name =
            |operator: &str, values: Value| json!({"key": "metadata.name", "operator": operator, "values": values});
        let label = json!([{"key": "disk", "operator": "Exists"}]);
        let only = |names: &[&str]| Candidates::Only(names.iter().map(|name| (*name).to_string()).collect());
        let conflict = Candidates::None("pod affinity terms conflict");
        let table = [
            (json!([]), Candidates::All),
            (json!([{"matchFields": [name("In", json!(["a"]))]}]), only(&["a"])),
            (json!([{"matchFields": [name("In", json!(["a"]))], "matchExpressions": label}]), only(&["a"])),
            (
                json!([{"matchFields": [name("In", json!(["a"]))]}, {"matchFields": [name("In", json!(["b"]))]}]),
                only(&["a", "b"]),
            ),
            // One that leaves it open leaves it open for all: one of them is enough.
            (json!([{"matchFields": [name("In", json!(["a"]))]}, {"matchExpressions": label}]), Candidates::All),
            (json!([{"matchFields": [name("NotIn", json!(["a"]))]}]), Candidates::All),
            (json!([{"matchFields": [name("In", json!(["a"])), name("NotIn", json!(["b"]))]}]), only(&["a"])),
            (json!([{"matchFields": [name("In", json!(["a", "b"])), name("In", json!(["b", "c"]))]}]), only(&["b"])),
            (json!([{"matchFields": [name("In", json!(["a"])), name("In", json!(["b"]))]}]), conflict.clone()),
            (
                json!([{"matchFields": [name("In", json!(["a"])), name("In", json!(["b"]))]},
                    {"matchFields": [name("In", json!(["c"]))]}]),
                only(&["c"]),
            ),
        ];
        for (terms, candidates) in table {
            let pod = pod(json!({"spec": {"affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}}));
            assert_eq!(NodeAffinity.prefilter(&pod), candidates, "{terms}");
        }
        assert_eq!(NodeAffinity.prefilter(&pod(json!({"spec": {"nodeSelector": {"a": "b"}}}))), Candidates::All);
    }

    #[test]
    fn one_term_is_enough_and_all_of_it_must_hold() {
        let target = node("n1", json!({"metadata": {"labels": {"disk": "ssd", "zone": "a"}}}));
        let term = |labels: &[(&str, &str)], names: &[&str]| {
            let labels: Vec<Value> =
                labels.iter().map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]})).collect();
            let fields: Vec<Value> =
                names.iter().map(|name| json!({"key": "metadata.name", "operator": "In", "values": [name]})).collect();
            json!({"matchExpressions": labels, "matchFields": fields})
        };
        let table = [
            (json!([term(&[("disk", "ssd"), ("zone", "a")], &["n1"])]), true),
            (json!([term(&[("disk", "ssd"), ("zone", "b")], &[])]), false),
            (json!([term(&[("disk", "ssd")], &["n2"])]), false),
            (json!([term(&[("disk", "hdd")], &[]), term(&[("zone", "a")], &[])]), true),
            (json!([term(&[], &[]), term(&[("disk", "hdd")], &[])]), false),
            (json!([]), false),
            (json!([{"matchFields": [{"key": "metadata.uid", "operator": "Exists"}]}]), false),
            (json!([{"matchExpressions": [{"key": "disk", "operator": "Near"}]}]), false),
        ];
        for (terms, fits) in table {
            let wants = |selector: Value| {
                pod(json!({"spec": {"nodeSelector": selector, "affinity": {"nodeAffinity":
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}}))
            };
            assert_eq!(NodeAffinity.filter(&wants(json!({})), &target) == Verdict::Fits, fits, "{terms}");
            // The selector must match besides.
            assert_ne!(NodeAffinity.filter(&wants(json!({"disk": "hdd"})), &target), Verdict::Fits, "{terms}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_nothing_else_is() {
        let table = [
            ("10", "Gt", json!(["9"]), true),
            ("10", "Lt", json!(["9"]), false),
            ("9", "Gt", json!(["9"]), false),
            ("-1", "Lt", json!(["0"]), true),
            ("", "Gt", json!(["0"]), false),
            ("1.5", "Gt", json!(["1"]), false),
            ("10", "Gt", json!(["nine"]), false),
            ("10", "Gt", json!([]), false),
        ];
        for (value, operator, values, fits) in table {
            let target = node("n", json!({"metadata": {"labels": {"cores": value}}}));
            let pod = pod(with_required(json!([{"key": "cores", "operator": operator, "values": values}]), json!([])));
            assert_eq!(NodeAffinity.filter(&pod, &target) == Verdict::Fits, fits, "{value} {operator} {values}");
        }
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
        assert_eq!(NodeAffinity.score(&pod(json!({})), &target), None, "no opinion");
        let pod = pod(json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": 100, "preference": {}}, term(10, "ssd"), term(5, "hdd"), term(3, "ssd")]}}}}));
        assert_eq!(NodeAffinity.score(&pod, &target), Some(13));
        let mut scores = [13, 5, 0];
        NodeAffinity.normalize(&mut scores);
        assert_eq!(scores, [100, 38, 0]);
    }
}
