//! A node as scheduling sees it: what it offers, and the sums of what its pods ask for, kept by single steps.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;

use super::ClusterEvent;
use super::pod::{HostPort, PodFacts, amounts};

/// A node and the sums over its pods.
#[derive(Debug, Clone, Default)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// `spec.unschedulable`.
    pub unschedulable: bool,
    /// `status.allocatable.pods`.
    pub allocatable_pods: i64,
    labels: BTreeMap<String, String>,
    taints: Vec<(String, String, String)>,
    allocatable: BTreeMap<String, i64>,
    requested: BTreeMap<String, i64>,
    scored: (i64, i64),
    ports: Vec<HostPort>,
    pods: i64,
    /// Whether the Node object exists; pods may outlive it.
    pub(super) exists: bool,
}

impl NodeState {
    /// Takes the node's present state; says what that may change for waiting pods.
    pub(super) fn set(&mut self, node: &Node) -> Vec<ClusterEvent> {
        let before = self.clone();
        let (spec, status) = (node.spec.as_ref(), node.status.as_ref());
        self.name = node.metadata.name.clone().unwrap_or_default();
        self.labels = node.metadata.labels.clone().unwrap_or_default();
        self.unschedulable = spec.and_then(|spec| spec.unschedulable).unwrap_or(false);
        self.taints = spec
            .and_then(|spec| spec.taints.as_ref())
            .into_iter()
            .flatten()
            .map(|taint| (taint.key.clone(), taint.value.clone().unwrap_or_default(), taint.effect.clone()))
            .collect();
        self.allocatable = amounts(status.and_then(|status| status.allocatable.as_ref()));
        self.allocatable_pods = self.allocatable.remove("pods").unwrap_or(0);
        self.exists = true;
        if !before.exists {
            return vec![ClusterEvent::NodeAdded];
        }
        let changes = [
            (before.labels != self.labels, ClusterEvent::NodeLabels),
            (before.taints != self.taints || before.unschedulable != self.unschedulable, ClusterEvent::NodeTaints),
            (
                before.allocatable != self.allocatable || before.allocatable_pods != self.allocatable_pods,
                ClusterEvent::NodeResources,
            ),
        ];
        changes.into_iter().filter(|(changed, _)| *changed).map(|(_, event)| event).collect()
    }

    /// A label's value.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }

    /// Taints as (key, value, effect).
    pub fn taints(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.taints.iter().map(|(key, value, effect)| (key.as_str(), value.as_str(), effect.as_str()))
    }

    /// What the node offers of a resource.
    pub fn allocatable(&self, name: &str) -> i64 {
        self.allocatable.get(name).copied().unwrap_or(0)
    }

    /// What its pods ask for.
    pub fn requested(&self, name: &str) -> i64 {
        self.requested.get(name).copied().unwrap_or(0)
    }

    /// The same as scoring counts it.
    pub fn requested_for_score(&self, name: &str) -> i64 {
        if name == "cpu" { self.scored.0 } else { self.scored.1 }
    }

    /// Ports that its pods have opened.
    pub fn host_ports(&self) -> impl Iterator<Item = &HostPort> {
        self.ports.iter()
    }

    /// How many pods it has.
    pub fn pod_count(&self) -> i64 {
        self.pods
    }

    /// Counts a pod in.
    pub fn add(&mut self, pod: &PodFacts) {
        self.count(pod, 1);
        self.ports.extend(pod.host_ports.iter().cloned());
    }

    /// Counts it out again.
    pub(super) fn remove(&mut self, pod: &PodFacts) {
        self.count(pod, -1);
        for port in &pod.host_ports {
            if let Some(place) = self.ports.iter().position(|taken| taken == port) {
                self.ports.swap_remove(place);
            }
        }
    }

    fn count(&mut self, pod: &PodFacts, sign: i64) {
        self.pods += sign;
        self.scored = (self.scored.0 + sign * pod.scored.0, self.scored.1 + sign * pod.scored.1);
        for (name, amount) in &pod.requests {
            *self.requested.entry(name.clone()).or_default() += sign * amount;
        }
    }
}
