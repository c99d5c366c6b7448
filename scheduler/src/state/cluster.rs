//! All nodes and the pods on them: those that the API server has told of, and those that the scheduler has assumed onto
//! nodes before it was confirmed. Each pod is counted once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use client::Key;
use k8s_openapi::api::core::v1::Node;

use super::ClusterEvent;
use super::node::NodeState;
use super::pod::PodFacts;

/// All nodes and the pods on them.
#[derive(Debug, Default)]
pub struct Cluster {
    nodes: BTreeMap<String, NodeState>,
    /// Where each pod is counted, so that it can be counted out again.
    placed: HashMap<Key, Placed>,
}

#[derive(Debug)]
struct Placed {
    uid: String,
    node: String,
    facts: Arc<PodFacts>,
    /// Nobody has said so yet but the scheduler itself.
    assumed: bool,
}

impl Cluster {
    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.nodes.values().filter(|node| node.exists)
    }

    /// Takes a node's present state; says what that may change for waiting pods.
    pub fn set_node(&mut self, node: &Node) -> Vec<ClusterEvent> {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.nodes.entry(name).or_default().set(node)
    }

    /// The node is gone.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.exists = false;
            if node.pod_count() == 0 {
                self.nodes.remove(name);
            }
        }
    }

    /// The pod is on `node`; whether that makes room somewhere. Saying it again changes nothing.
    pub fn place(&mut self, key: Key, uid: &str, node: &str, facts: Arc<PodFacts>) -> bool {
        self.count(key, Placed { uid: uid.into(), node: node.into(), facts, assumed: false })
    }

    /// The pod will be on `node` if its binding succeeds.
    pub fn assume(&mut self, key: Key, uid: &str, node: &str, facts: Arc<PodFacts>) {
        self.count(key, Placed { uid: uid.into(), node: node.into(), facts, assumed: true });
    }

    /// The binding of the pod failed; whether it was counted on the strength of it. What has been seen since stands.
    pub fn unassume(&mut self, key: &Key, uid: &str) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.assumed && placed.uid == uid) && self.forget(key)
    }

    /// A pod of this UID has no node; whether another one of its name was counted.
    pub fn replaced(&mut self, key: &Key, uid: &str) -> bool {
        self.placed.get(key).is_some_and(|placed| placed.uid != uid) && self.forget(key)
    }

    fn count(&mut self, key: Key, placed: Placed) -> bool {
        let room = self.placed.get(&key).is_some_and(|before| {
            before.node != placed.node || before.uid != placed.uid || placed.facts.shrank(&before.facts)
        });
        self.forget(&key);
        self.nodes.entry(placed.node.clone()).or_default().add(&placed.facts);
        self.placed.insert(key, placed);
        room
    }

    /// The pod is on no node (any more); whether it was counted.
    pub fn forget(&mut self, key: &Key) -> bool {
        let Some(placed) = self.placed.remove(key) else { return false };
        if let Some(node) = self.nodes.get_mut(&placed.node) {
            node.remove(&placed.facts);
            if node.pod_count() == 0 && !node.exists {
                self.nodes.remove(&placed.node);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::pod;
    use super::*;
    use k8s_openapi::serde_json::{self, from_value, json};

    #[test]
    fn placing_and_forgetting_leaves_no_trace() {
        let mut cluster = Cluster::default();
        let node: Node =
            from_value(json!({"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "4"}}})).unwrap();
        assert_eq!(cluster.set_node(&node), [ClusterEvent::NodeAdded]);
        assert_eq!(cluster.set_node(&node), []);
        let facts = Arc::new(pod(json!({"spec": {"containers":
            [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}], "resources": {"requests": {"cpu": "1"}}}]}})));
        let key = Key::new("default", "p");
        cluster.place(key.clone(), "u", "n", facts.clone());
        cluster.place(key.clone(), "u", "n", facts.clone());
        let state = cluster.nodes().next().unwrap();
        assert_eq!((state.pod_count(), state.requested("cpu"), state.host_ports().count()), (1, 1000, 1));
        cluster.place(key.clone(), "u2", "other", facts);
        assert!(cluster.forget(&key) && !cluster.forget(&key));
        let state = cluster.nodes().next().unwrap();
        assert_eq!((state.pod_count(), state.requested("cpu"), state.host_ports().count()), (0, 0, 0));
        assert_eq!(cluster.nodes.len(), 1);
    }

    #[test]
    fn pods_outlive_their_node_and_are_there_when_it_comes_back() {
        let mut cluster = Cluster::default();
        let node: Node = from_value(json!({"metadata": {"name": "n"}})).unwrap();
        let facts = Arc::new(pod(json!({})));
        // A pod may be known before its node is.
        cluster.place(Key::new("default", "p"), "u", "n", facts);
        assert_eq!(cluster.nodes().count(), 0);
        assert_eq!(cluster.set_node(&node), [ClusterEvent::NodeAdded]);
        assert_eq!(cluster.nodes().next().unwrap().pod_count(), 1);
        cluster.remove_node("n");
        assert_eq!(cluster.nodes().count(), 0);
        assert_eq!(cluster.set_node(&node), [ClusterEvent::NodeAdded]);
        assert_eq!(cluster.nodes().next().unwrap().pod_count(), 1);
        cluster.remove_node("n");
        assert!(cluster.forget(&Key::new("default", "p")));
        assert!(cluster.nodes.is_empty(), "nothing is remembered without need");
        cluster.remove_node("never-there");
    }

    #[test]
    fn a_pod_that_moves_or_changes_is_counted_once() {
        let mut cluster = Cluster::default();
        let asks = |cpu: &str| {
            Arc::new(pod(json!({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})))
        };
        for name in ["a", "b"] {
            cluster.set_node(&from_value(json!({"metadata": {"name": name}})).unwrap());
        }
        let key = Key::new("default", "p");
        let sums = |cluster: &Cluster| {
            cluster.nodes().map(|node| (node.requested("cpu"), node.pod_count())).collect::<Vec<_>>()
        };
        cluster.place(key.clone(), "u", "a", asks("1"));
        assert_eq!(sums(&cluster), [(1000, 1), (0, 0)]);
        // Resized in place, then assumed elsewhere, then another pod of the same name.
        cluster.place(key.clone(), "u", "a", asks("2"));
        assert_eq!(sums(&cluster), [(2000, 1), (0, 0)]);
        cluster.place(key.clone(), "u", "b", asks("2"));
        assert_eq!(sums(&cluster), [(0, 0), (2000, 1)]);
        cluster.place(key, "u2", "b", asks("500m"));
        assert_eq!(sums(&cluster), [(0, 0), (500, 1)]);
    }

    #[test]
    fn only_an_assumption_is_taken_back_when_its_binding_fails() {
        let key = || Key::new("default", "p");
        let facts = || Arc::new(pod(json!({})));
        let counted = |cluster: &Cluster| cluster.placed.len();
        let mut cluster = Cluster::default();
        cluster.assume(key(), "u", "a", facts());
        assert!(!cluster.unassume(&key(), "other") && cluster.unassume(&key(), "u") && counted(&cluster) == 0);
        // Somebody else was faster: the pod is where its event says.
        cluster.assume(key(), "u", "a", facts());
        assert!(cluster.place(key(), "u", "b", facts()), "the assumed room is free again");
        assert!(!cluster.unassume(&key(), "u"));
        assert_eq!(cluster.placed[&key()].node, "b");
        // Our own binding is confirmed before its answer comes, and the answer is lost.
        cluster.assume(key(), "u2", "a", facts());
        assert!(!cluster.place(key(), "u2", "a", facts()));
        assert!(!cluster.unassume(&key(), "u2") && counted(&cluster) == 1);
    }

    #[test]
    fn it_is_known_what_makes_room() {
        let asks = |requests: serde_json::Value| {
            Arc::new(pod(json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}})))
        };
        let key = || Key::new("default", "p");
        let table = [
            (("u", "a", json!({"cpu": "1", "memory": "1Gi"})), false),
            (("u", "a", json!({"cpu": "1", "memory": "1Gi"})), false),
            (("u", "a", json!({"cpu": "2", "memory": "1Gi"})), false),
            (("u", "a", json!({"cpu": "3", "memory": "1Mi"})), true),
            (("u", "a", json!({"cpu": "3"})), true),
            (("u", "b", json!({"cpu": "3"})), true),
            (("u2", "b", json!({"cpu": "3"})), true),
        ];
        let mut cluster = Cluster::default();
        for ((uid, node, requests), room) in table {
            assert_eq!(cluster.place(key(), uid, node, asks(requests.clone())), room, "{uid} {node} {requests}");
        }
        assert!(!cluster.replaced(&key(), "u2") && cluster.replaced(&key(), "u3") && !cluster.replaced(&key(), "u3"));
        assert!(cluster.nodes.is_empty());
    }

    #[test]
    fn changes_of_a_node_are_told_apart() {
        let mut cluster = Cluster::default();
        let node = |object| from_value::<Node>(object).unwrap();
        cluster.set_node(&node(json!({"metadata": {"name": "n"}})));
        let table = [
            (json!({"metadata": {"name": "n", "labels": {"a": "b"}}}), vec![ClusterEvent::NodeLabels]),
            (
                json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"unschedulable": true}}),
                vec![ClusterEvent::NodeTaints],
            ),
            (
                json!({"metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"unschedulable": true},
                       "status": {"allocatable": {"pods": "5"}}}),
                vec![ClusterEvent::NodeResources],
            ),
        ];
        for (object, events) in table {
            assert_eq!(cluster.set_node(&node(object)), events);
        }
    }
}
