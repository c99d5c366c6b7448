//! The decision: which node is best for a pod, or why none will do. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::framework::{Candidates, Plugin, Verdict};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Why no node will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoFit {
    /// How many nodes there are.
    pub nodes: usize,
    /// The reason that holds for all of them, without a look at any.
    pub conflict: Option<&'static str>,
    /// Reason → how many nodes gave it.
    pub reasons: BTreeMap<String, usize>,
    /// What may change that.
    pub wakes_on: HashSet<ClusterEvent>,
}

impl NoFit {
    fn refuse(&mut self, plugin: &dyn Plugin, reasons: Vec<String>) {
        self.wakes_on.extend(plugin.wakes_on());
        for reason in reasons {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// The message of the FailedScheduling event and the PodScheduled condition (kube-scheduler, FitError.Error).
    pub fn message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        reasons.extend(self.conflict.map(String::from));
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
    let wakes_on = HashSet::from([ClusterEvent::NodeAdded]);
    let mut refused = NoFit { nodes: 0, conflict: None, reasons: BTreeMap::new(), wakes_on };
    let limits = match limits(pod, plugins) {
        Ok(limits) => limits,
        Err(conflict) => return Err(NoFit { nodes: nodes.count(), conflict: Some(conflict), ..refused }),
    };
    let mut candidates = Vec::new();
    for node in nodes {
        refused.nodes += 1;
        if let Some((plugin, _)) = limits.iter().find(|(_, names)| !names.contains(&node.name)) {
            let by: Vec<&str> = limits.iter().map(|(plugin, _)| plugin.name()).collect();
            refused.refuse(*plugin, vec![format!("node(s) didn't satisfy plugin(s) [{}]", by.join(" "))]);
            continue;
        }
        match filter(pod, node, plugins) {
            None => candidates.push(node),
            Some((plugin, reasons)) => refused.refuse(plugin, reasons),
        }
    }
    match candidates.as_slice() {
        [] => Err(refused),
        [only] => Ok(&only.name),
        several => Ok(best(pod, several, plugins, pick)),
    }
}

/// The plugins that name the nodes worth a look, with the names; or why none is.
type Limits<'p> = Vec<(&'p dyn Plugin, BTreeSet<String>)>;

fn limits<'p>(pod: &PodFacts, plugins: &[&'p dyn Plugin]) -> Result<Limits<'p>, &'static str> {
    let mut limits = Limits::new();
    for plugin in plugins {
        match plugin.prefilter(pod) {
            Candidates::All => {}
            Candidates::Only(names) => limits.push((*plugin, names)),
            Candidates::None(reason) => return Err(reason),
        }
    }
    Ok(limits)
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
    use k8s_openapi::serde_json::{Value, json};

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
        let expected = "0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu.";
        assert_eq!(refused.message(), expected);
        assert!(
            refused.wakes_on.contains(&ClusterEvent::PodGone) && refused.wakes_on.contains(&ClusterEvent::NodeTaints)
        );
        let none = schedule(&asks("2"), std::iter::empty(), PLUGINS, |_| 0).unwrap_err();
        assert_eq!(none.message(), "no nodes available to schedule pods");
    }

    /// A node written in short.
    fn made(name: &str, spec: Value, cpu: &str, pods: &str) -> NodeState {
        node(name, json!({"spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}}}))
    }

    #[test]
    fn messages_name_the_first_reason_of_each_node_and_count_them() {
        let tainted = |key: &str| json!({"taints": [{"key": key, "effect": "NoSchedule"}]});
        let cordoned = || json!({"unschedulable": true});
        let plain = || json!({});
        let table = [
            (vec![made("a", plain(), "1", "9")], "0/1 nodes are available: 1 Insufficient cpu."),
            // Different taints are one reason.
            (
                vec![made("a", tainted("x"), "4", "9"), made("b", tainted("y"), "4", "9")],
                "0/2 nodes are available: 2 node(s) had untolerated taint(s).",
            ),
            // A cordoned node that lacks room too is cordoned.
            (
                vec![made("a", cordoned(), "1", "9"), made("b", plain(), "1", "0")],
                "0/2 nodes are available: 1 Insufficient cpu, 1 Too many pods, 1 node(s) were unschedulable.",
            ),
            (
                vec![made("a", plain(), "1", "9"), made("b", plain(), "1", "9"), made("c", cordoned(), "9", "9")],
                "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.",
            ),
        ];
        for (nodes, message) in table {
            assert_eq!(schedule(&asks("2"), nodes.iter(), PLUGINS, |_| 0).unwrap_err().message(), message);
        }
    }

    #[test]
    fn every_plugin_that_refuses_says_what_may_help() {
        use ClusterEvent::{NodeAdded, NodeLabels, NodeResources, NodeTaints, PodGone, PodTolerations};
        let free = || made("n", json!({}), "4", "9");
        let mut taken = free();
        taken.add(&pod(
            json!({"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]}}),
        ));
        let port = json!({"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}]}]});
        let table = [
            (json!({"spec": {"nodeSelector": {"a": "b"}}}), free(), vec![NodeLabels]),
            (json!({}), made("n", json!({"unschedulable": true}), "4", "9"), vec![NodeTaints, PodTolerations]),
            (
                json!({}),
                made("n", json!({"taints": [{"key": "k", "effect": "NoExecute"}]}), "4", "9"),
                vec![NodeTaints, PodTolerations],
            ),
            (json!({"spec": {"nodeName": "other"}}), free(), vec![]),
            (json!({"spec": port}), taken, vec![PodGone]),
            (json!({}), made("n", json!({}), "4", "0"), vec![NodeResources, PodGone]),
        ];
        for (object, node, mut expected) in table {
            expected.push(NodeAdded);
            let refused = schedule(&pod(object.clone()), [node].iter(), PLUGINS, |_| 0).unwrap_err();
            assert_eq!(refused.wakes_on, HashSet::from_iter(expected), "{object}");
        }
    }

    /// A pod that must go to nodes of these names; each list is a term.
    fn named(terms: &[&[&str]]) -> PodFacts {
        let field =
            |names: &[&str]| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": names}]});
        let terms: Vec<Value> = terms.iter().map(|names| field(names)).collect();
        pod(json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": terms}}}}}))
    }

    #[test]
    fn nodes_that_the_pod_does_not_name_are_not_looked_at() {
        let nodes = [
            made("a", json!({}), "4", "9"),
            made("b", json!({"unschedulable": true}), "4", "9"),
            made("c", json!({}), "4", "0"),
        ];
        let tried = |terms| schedule(&named(terms), nodes.iter(), PLUGINS, |_| 0).map_err(|refused| refused.message());
        let passed_by = "node(s) didn't satisfy plugin(s) [NodeAffinity]";
        assert_eq!(tried(&[&["a"]]), Ok("a"));
        assert_eq!(tried(&[&["gone"], &["a", "b"]]), Ok("a"));
        let table: [(&[&[&str]], String); 3] = [
            (&[&["b"]], format!("0/3 nodes are available: 1 node(s) were unschedulable, 2 {passed_by}.")),
            (
                &[&["b"], &["c"]],
                format!("0/3 nodes are available: 1 Too many pods, 1 {passed_by}, 1 node(s) were unschedulable."),
            ),
            (&[&["gone"]], format!("0/3 nodes are available: 3 {passed_by}.")),
        ];
        for (terms, message) in table {
            assert_eq!(tried(terms), Err(message), "{terms:?}");
        }
        let refused = schedule(&named(&[&["gone"]]), nodes.iter(), PLUGINS, |_| 0).unwrap_err();
        assert!(refused.wakes_on.contains(&ClusterEvent::NodeAdded), "it may come");
    }

    #[test]
    fn a_pod_that_contradicts_itself_is_told_so() {
        let refused = schedule(&named(&[&[]]), [sized("a", "1"), sized("b", "1")].iter(), PLUGINS, |_| 0).unwrap_err();
        assert_eq!(refused.message(), "0/2 nodes are available: pod affinity terms conflict.");
        let alone = schedule(&named(&[&[]]), std::iter::empty(), PLUGINS, |_| 0).unwrap_err();
        assert_eq!(alone.message(), "no nodes available to schedule pods");
    }

    #[test]
    fn plugins_that_limit_the_nodes_do_so_together() {
        struct Names(&'static str, &'static [&'static str]);
        impl Plugin for Names {
            fn name(&self) -> &'static str {
                self.0
            }
            fn prefilter(&self, _: &PodFacts) -> Candidates {
                Candidates::Only(self.1.iter().map(|name| (*name).to_string()).collect())
            }
        }
        let nodes = [sized("a", "1"), sized("b", "1"), sized("c", "1")];
        let (one, other) = (Names("One", &["a", "b"]), Names("Other", &["b", "c"]));
        assert_eq!(schedule(&pod(json!({})), nodes.iter(), &[&one, &other], |_| 0), Ok("b"));
        let third = Names("Third", &["c"]);
        let refused = schedule(&pod(json!({})), nodes.iter(), &[&one, &third], |_| 0).unwrap_err();
        assert_eq!(refused.message(), "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [One Third].");
    }

    #[test]
    fn scores_are_weighed_and_a_plugin_without_an_opinion_counts_nothing() {
        struct Likes(&'static str, i64, i64);
        impl Plugin for Likes {
            fn name(&self) -> &'static str {
                "Likes"
            }
            fn score(&self, _: &PodFacts, node: &NodeState) -> Option<i64> {
                (self.0 != "nobody").then_some(if node.name == self.0 { self.1 } else { 0 })
            }
            fn weight(&self) -> i64 {
                self.2
            }
        }
        let nodes = [sized("a", "1"), sized("b", "1"), sized("c", "1")];
        let best =
            |plugins: &[&dyn Plugin]| schedule(&pod(json!({})), nodes.iter(), plugins, |_| 0).unwrap().to_string();
        assert_eq!(best(&[&Likes("b", 60, 1), &Likes("c", 40, 2)]), "c");
        assert_eq!(best(&[&Likes("b", 60, 1), &Likes("c", 20, 2), &Likes("nobody", 100, 9)]), "b");
        assert_eq!(best(&[]), "a", "all alike");
        // Whoever picks beyond the end gets the last one.
        assert_eq!(schedule(&pod(json!({})), nodes.iter(), &[], |count| count), Ok("c"));
    }

    #[test]
    fn preferences_weigh_more_than_room() {
        let wants = json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}}}});
        let mut liked = node(
            "liked",
            json!({"metadata": {"labels": {"disk": "ssd"}},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9"}}}),
        );
        liked.add(&asks("2"));
        let nodes = [liked, sized("empty", "4")];
        assert_eq!(schedule(&pod(wants), nodes.iter(), PLUGINS, |_| 0), Ok("liked"));
        // And a taint that only prefers weighs more than both.
        let shy = made("shy", json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}), "4", "9");
        let mut busy = sized("busy", "4");
        busy.add(&asks("3"));
        assert_eq!(schedule(&pod(json!({})), [shy, busy].iter(), PLUGINS, |_| 0), Ok("busy"));
    }

    #[test]
    fn a_node_that_is_alone_is_not_scored() {
        struct Never;
        impl Plugin for Never {
            fn name(&self) -> &'static str {
                "Never"
            }
            fn score(&self, _: &PodFacts, _: &NodeState) -> Option<i64> {
                panic!("one node needs no score")
            }
        }
        let nodes = [sized("only", "4")];
        assert_eq!(
            schedule(&pod(json!({})), nodes.iter(), &[&Never], |_| panic!("nothing to choose from")),
            Ok("only")
        );
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
