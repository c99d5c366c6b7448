//! What the scheduler knows and decides, without a client: changes of pods and nodes and ends of tries go in, decisions come
//! out. Keeps [`Cluster`] and [`Queue`] true to each other: a pod is counted on a node or waits in the queue; between a
//! decision and its end it is in both. (kube-scheduler: eventhandlers.go, schedule_one.go.)

use std::collections::HashSet;
use std::sync::Arc;

use client::{Change, Key, Object};
use k8s_openapi::api::core::v1::{Node, Pod};
use tokio::time::Instant;

use crate::plugins::PLUGINS;
use crate::queue::Queue;
use crate::schedule::{NoFit, schedule};
use crate::state::{Cluster, ClusterEvent, PodFacts};

/// See the module.
pub struct Machine {
    name: String,
    cluster: Cluster,
    queue: Queue,
}

/// What is to be done for a pod. [`Machine::ended`] must be told when it has been done.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Bind it to this node, where it is counted already.
    Bind(Arc<Pod>, String),
    /// Say that it found no node.
    Refuse(Arc<Pod>, NoFit),
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The pod is bound, or is no more: its event says so, or will.
    Bound,
    /// It could not be bound.
    Failed,
    /// It has been told that it found no node, and waits for one of these.
    Refused(HashSet<ClusterEvent>),
}

impl Machine {
    /// Knows nothing yet; pods that name the scheduler `name` are its own.
    pub fn new(name: String) -> Self {
        Self { name, cluster: Cluster::default(), queue: Queue::default() }
    }

    /// A pod came, changed or went.
    pub fn pod_changed(&mut self, change: &Change<Pod>) {
        let Some(pod) = change.new() else {
            return self.pod_needs_no_node(&change.old().map(|old| old.key()).unwrap_or_default());
        };
        let (key, facts) = (pod.key(), PodFacts::of(pod));
        if !facts.node_name.is_empty() {
            self.queue.remove(&key);
            let node = facts.node_name.clone();
            if self.cluster.place(key, pod.uid(), &node, Arc::new(facts)) {
                self.queue.happened(ClusterEvent::PodGone);
            }
        } else if self.wants_node(pod) {
            if self.cluster.replaced(&key, pod.uid()) {
                self.queue.happened(ClusterEvent::PodGone);
            }
            self.queue.add(key.clone(), pod.uid(), pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0));
            if let Some(before) = change.old().map(|old| PodFacts::of(old)) {
                for event in events_of_waiting(&before, &facts) {
                    self.queue.happened_to(&key, event);
                }
            }
        } else {
            self.pod_needs_no_node(&key);
        }
    }

    /// Gone, on its way out, or not for us. An assumed one leaves its place: no binding of it can succeed any more.
    fn pod_needs_no_node(&mut self, key: &Key) {
        self.queue.remove(key);
        if self.cluster.forget(key) {
            self.queue.happened(ClusterEvent::PodGone);
        }
    }

    fn wants_node(&self, pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let bound = spec.node_name.as_ref().is_some_and(|node| !node.is_empty());
        let ours = spec.scheduler_name.as_deref().unwrap_or("default-scheduler") == self.name;
        ours && !gated && !bound && pod.metadata.deletion_timestamp.is_none()
    }

    /// A node came, changed or went.
    pub fn node_changed(&mut self, change: &Change<Node>) {
        match change.new() {
            Some(node) => {
                for event in self.cluster.set_node(node) {
                    self.queue.happened(event);
                }
            }
            None => self.cluster.remove_node(&change.old().map(|node| node.key().name).unwrap_or_default()),
        }
    }

    /// Whether a pod waits to be decided on.
    pub fn is_ready(&mut self, now: Instant) -> bool {
        self.queue.is_ready(now)
    }

    /// When one will, if nothing happens before.
    pub fn next_due(&self) -> Option<Instant> {
        self.queue.next_due()
    }

    /// Decides on the next pod. `latest` knows it as of now, which may be ahead of what has been told here: one that has
    /// changed into something else meanwhile is left to its event. `pick(n)` chooses one of n equally good nodes.
    pub fn decide(
        &mut self,
        now: Instant,
        latest: impl Fn(&Key) -> Option<Arc<Pod>>,
        pick: impl FnOnce(usize) -> usize,
    ) -> Option<Decision> {
        let (key, uid) = self.queue.pop(now)?;
        let Some(pod) = latest(&key).filter(|pod| pod.uid() == uid && self.wants_node(pod)) else {
            self.queue.remove(&key);
            return None;
        };
        let facts = Arc::new(PodFacts::of(&pod));
        match schedule(&facts, self.cluster.nodes(), PLUGINS, pick).map(String::from) {
            Ok(node) => {
                self.cluster.assume(key, &uid, &node, facts);
                Some(Decision::Bind(pod, node))
            }
            Err(refused) => Some(Decision::Refuse(pod, refused)),
        }
    }

    /// The try of the pod of this name and UID has ended.
    pub fn ended(&mut self, key: &Key, uid: &str, end: End, now: Instant) {
        match end {
            // Until the pod's own event says the same the assumption stands.
            End::Bound => {}
            End::Failed => {
                if self.cluster.unassume(key, uid) {
                    self.queue.happened(ClusterEvent::PodGone);
                }
                self.queue.put_back(key, uid, now);
            }
            End::Refused(wakes_on) => self.queue.park(key, uid, wakes_on, now),
        }
    }
}

/// What a change of a waiting pod may mean for itself.
fn events_of_waiting(before: &PodFacts, now: &PodFacts) -> Vec<ClusterEvent> {
    let changes = [
        (now.tolerations != before.tolerations, ClusterEvent::PodTolerations),
        (now.shrank(before), ClusterEvent::PodGone),
    ];
    changes.into_iter().filter(|(changed, _)| *changed).map(|(_, event)| event).collect()
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
