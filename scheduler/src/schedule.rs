//! The decision: which node is best for a pod, or why none will do. Pure.

use std::collections::{BTreeMap, HashSet};

use crate::framework::{Plugin, Verdict};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Why no node will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFit {
    /// How many nodes were looked at.
    pub nodes: usize,
    /// Reason → how many nodes gave it.
    pub reasons: BTreeMap<String, usize>,
    /// What may change that.
    pub wakes_on: HashSet<ClusterEvent>,
}

impl NoFit {
    /// The message of the FailedScheduling event and the PodScheduled condition (kube-scheduler, FitError.Error).
    pub fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        format!("0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}

/// The best node for `pod`. Among equals `pick(n)` chooses one of n.
///
/// # Errors
/// [`NoFit`].
pub fn schedule<'a>(
    pod: &PodFacts,
    nodes: impl Iterator<Item = &'a NodeState>,
    plugins: &[&dyn Plugin],
    pick: impl FnOnce(usize) -> usize,
) -> Result<&'a str, NoFit> {
    let mut refused = NoFit { nodes: 0, reasons: BTreeMap::new(), wakes_on: HashSet::from([ClusterEvent::NodeAdded]) };
    let mut candidates = Vec::new();
    for node in nodes {
        refused.nodes += 1;
        match filter(pod, node, plugins) {
            None => candidates.push(node),
            Some((plugin, reasons)) => {
                refused.wakes_on.extend(plugin.wakes_on());
                for reason in reasons {
                    *refused.reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    match candidates.as_slice() {
        [] => Err(refused),
        [only] => Ok(&only.name),
        several => Ok(best(pod, several, plugins, pick)),
    }
}

fn filter<'p>(pod: &PodFacts, node: &NodeState, plugins: &[&'p dyn Plugin]) -> Option<(&'p dyn Plugin, Vec<String>)> {
    plugins.iter().find_map(|plugin| match plugin.filter(pod, node) {
        Verdict::Fits => None,
        Verdict::Refused(reasons) => Some((*plugin, reasons)),
    })
}

fn best<'a>(
    pod: &PodFacts,
    nodes: &[&'a NodeState],
    plugins: &[&dyn Plugin],
    pick: impl FnOnce(usize) -> usize,
) -> &'a str {
    let mut totals = vec![0_i64; nodes.len()];
    for plugin in plugins {
        let scores: Option<Vec<i64>> = nodes.iter().map(|node| plugin.score(pod, node)).collect();
        let Some(mut scores) = scores else { continue };
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight();
        }
    }
    let highest = totals.iter().copied().max().unwrap_or(0);
    let equals: Vec<&NodeState> =
        nodes.iter().zip(&totals).filter(|(_, total)| **total == highest).map(|(node, _)| *node).collect();
    &equals[pick(equals.len()).min(equals.len() - 1)].name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugins::PLUGINS;
    use crate::state::testing::{node, pod};
    use k8s_openapi::serde_json::json;

    fn sized(name: &str, cpu: &str) -> NodeState {
        node(name, json!({"status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}}))
    }

    fn asks(cpu: &str) -> PodFacts {
        pod(json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}))
    }

    #[test]
    fn no_fit_reads_like_upstream() {
        let tainted = node("t", json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}));
        let nodes = [sized("a", "1"), sized("b", "1"), tainted];
        let refused = schedule(&asks("2"), nodes.iter(), PLUGINS, |_| 0).unwrap_err();
        let expected = "0/3 nodes are available: 1 node(s) had untolerated taint {k: }, 2 Insufficient cpu.";
        assert_eq!(refused.message(), expected);
        assert!(
            refused.wakes_on.contains(&ClusterEvent::PodGone) && refused.wakes_on.contains(&ClusterEvent::NodeTaints)
        );
        let none = schedule(&asks("2"), std::iter::empty(), PLUGINS, |_| 0).unwrap_err();
        assert_eq!(none.message(), "no nodes available to schedule pods");
    }

    #[test]
    fn the_emptier_node_wins_and_equals_are_picked_from() {
        let mut busy = sized("busy", "4");
        busy.add(&asks("2"));
        let nodes = [busy, sized("x", "4"), sized("y", "4")];
        assert_eq!(schedule(&asks("1"), nodes.iter(), PLUGINS, |_| 0), Ok("x"));
        assert_eq!(schedule(&asks("1"), nodes.iter(), PLUGINS, |count| count - 1), Ok("y"));
    }

    #[test]
    fn pods_of_one_kind_spread_over_equal_nodes() {
        let mut nodes = [sized("a", "4"), sized("b", "4"), sized("c", "4")];
        let facts = pod(json!({}));
        for _ in 0..6 {
            let chosen = schedule(&facts, nodes.iter(), PLUGINS, |_| 0).unwrap().to_string();
            nodes.iter_mut().find(|node| node.name == chosen).unwrap().add(&facts);
        }
        assert!(nodes.iter().all(|node| node.pod_count() == 2));
    }
}
