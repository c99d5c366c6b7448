//! What the scheduler knows: nodes with the sums of what their pods ask for, kept up to date by single steps, and the pods
//! that it has assumed onto nodes before the API server confirmed it. Plugins see it read-only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::quantity::Quantity;
use client::Key;
use k8s_openapi::api::core::v1::{Container, Node, NodeSelectorTerm, Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Requests that scoring assumes where a container names none (kube-scheduler, util/pod_resources.go).
const ASSUMED_MILLI_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 << 20;

/// Something that happened to the cluster and may make room for a pod that found none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClusterEvent {
    /// A node appeared.
    NodeAdded,
    /// A node's allocatable resources changed.
    NodeResources,
    /// A node's labels changed.
    NodeLabels,
    /// A node's taints changed, or whether it takes new pods.
    NodeTaints,
    /// A pod left its node, or asks for less; also told to a waiting pod that itself asks for less.
    PodGone,
    /// A waiting pod's tolerations changed; told to that pod.
    PodTolerations,
}

/// A port that a pod opens on its node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Address; 0.0.0.0 = all.
    pub ip: String,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// The port.
    pub port: i32,
}

/// What scheduling needs of a pod, extracted once. CPU in thousandths, everything else in whole units.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFacts {
    /// `spec.nodeName`.
    pub node_name: String,
    /// Sum of the requests, by resource.
    pub requests: BTreeMap<String, i64>,
    /// CPU and memory that scoring assumes.
    scored: (i64, i64),
    /// Ports on the node.
    pub host_ports: Vec<HostPort>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// `spec.nodeSelector`.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity; one of the terms must match.
    pub required_terms: Option<Vec<NodeSelectorTerm>>,
    /// Preferred node affinity, with weights.
    pub preferred_terms: Vec<(i32, NodeSelectorTerm)>,
}

impl PodFacts {
    /// The facts of a pod.
    pub fn of(pod: &Pod) -> Self {
        let Some(spec) = &pod.spec else { return Self::default() };
        let node_affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        let required = node_affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref());
        let preferred = node_affinity.and_then(|a| a.preferred_during_scheduling_ignored_during_execution.as_ref());
        Self {
            node_name: spec.node_name.clone().unwrap_or_default(),
            requests: requests(spec, asked),
            scored: scored(spec),
            host_ports: host_ports(spec),
            tolerations: spec.tolerations.clone().unwrap_or_default(),
            node_selector: spec.node_selector.clone().unwrap_or_default(),
            required_terms: required.map(|selector| selector.node_selector_terms.clone()),
            preferred_terms: preferred
                .into_iter()
                .flatten()
                .map(|term| (term.weight, term.preference.clone()))
                .collect(),
        }
    }

    /// Whether it asks for less of something than `before`.
    pub fn shrank(&self, before: &Self) -> bool {
        before.requests.iter().any(|(name, amount)| self.requests.get(name).copied().unwrap_or(0) < *amount)
    }

    /// What scoring counts for `cpu` or `memory`.
    pub fn request_for_score(&self, name: &str) -> i64 {
        if name == "cpu" { self.scored.0 } else { self.scored.1 }
    }
}

/// The larger of: all containers and sidecars together, or each init container with the sidecars before it; what the pod as a
/// whole asks for stands in its place; plus overhead (component-helpers, resource/helpers.go: PodRequests).
fn requests(spec: &PodSpec, asked: fn(&Container) -> BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut total = BTreeMap::new();
    for container in &spec.containers {
        add_all(&mut total, &asked(container));
    }
    let mut sidecars = BTreeMap::new();
    let mut at_start: BTreeMap<String, i64> = BTreeMap::new();
    for container in spec.init_containers.iter().flatten() {
        let mut now = sidecars.clone();
        add_all(&mut now, &asked(container));
        for (name, amount) in &now {
            let most = at_start.entry(name.clone()).or_default();
            *most = (*most).max(*amount);
        }
        if is_sidecar(container) {
            sidecars = now;
        }
    }
    add_all(&mut total, &sidecars);
    for (name, amount) in at_start {
        let sum = total.entry(name).or_default();
        *sum = (*sum).max(amount);
    }
    let whole = amounts(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()));
    total.extend(whole.into_iter().filter(|(name, _)| is_pod_level(name)));
    add_all(&mut total, &amounts(spec.overhead.as_ref()));
    total
}

fn is_sidecar(init_container: &Container) -> bool {
    init_container.restart_policy.as_deref() == Some("Always")
}

/// Resources that a pod may ask for as a whole (supportedPodLevelResources).
fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn asked(container: &Container) -> BTreeMap<String, i64> {
    amounts(container.resources.as_ref().and_then(|resources| resources.requests.as_ref()))
}

/// The same as scoring counts it: a container that names no CPU or memory counts with some all the same.
fn assumed(container: &Container) -> BTreeMap<String, i64> {
    let mut asked = asked(container);
    asked.entry("cpu".into()).or_insert(ASSUMED_MILLI_CPU);
    asked.entry("memory".into()).or_insert(ASSUMED_MEMORY);
    asked
}

fn add_all(sum: &mut BTreeMap<String, i64>, other: &BTreeMap<String, i64>) {
    for (name, amount) in other {
        *sum.entry(name.clone()).or_default() += amount;
    }
}

fn amounts(resources: Option<&BTreeMap<String, Text>>) -> BTreeMap<String, i64> {
    resources.into_iter().flatten().map(|(name, text)| (name.clone(), amount(name, text))).collect()
}

fn amount(name: &str, text: &Text) -> i64 {
    let Ok(quantity) = Quantity::parse(&text.0) else { return 0 };
    if name == "cpu" { quantity.milli_value() } else { quantity.value() }
}

fn scored(spec: &PodSpec) -> (i64, i64) {
    let requests = requests(spec, assumed);
    let of = |name: &str| requests.get(name).copied().unwrap_or(0);
    (of("cpu"), of("memory"))
}

/// Of what runs as long as the pod does (kube-scheduler, util/utils.go: GetHostPorts).
fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_sidecar(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten());
    let opened = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        let ip = port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| "0.0.0.0".into());
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
        Some(HostPort { ip, protocol, port: number })
    });
    opened.collect()
}

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
    exists: bool,
}

impl NodeState {
    fn set(&mut self, node: &Node) {
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

    fn remove(&mut self, pod: &PodFacts) {
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
        let state = self.nodes.entry(name).or_default();
        let before = state.clone();
        state.set(node);
        if !before.exists {
            return vec![ClusterEvent::NodeAdded];
        }
        let changes = [
            (before.labels != state.labels, ClusterEvent::NodeLabels),
            (before.taints != state.taints || before.unschedulable != state.unschedulable, ClusterEvent::NodeTaints),
            (
                before.allocatable != state.allocatable || before.allocatable_pods != state.allocatable_pods,
                ClusterEvent::NodeResources,
            ),
        ];
        changes.into_iter().filter(|(changed, _)| *changed).map(|(_, event)| event).collect()
    }

    /// The node is gone.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(node) = self.nodes.get_mut(name) {
            node.exists = false;
            if node.pods == 0 {
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
            if node.pods == 0 && !node.exists {
                self.nodes.remove(&placed.node);
            }
        }
        true
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Short ways to make pods and nodes.

    use super::*;
    use k8s_openapi::serde_json::{Value, from_value, json};

    /// The facts of a pod written as JSON.
    pub(crate) fn pod(mut object: Value) -> PodFacts {
        let spec = &mut object["spec"];
        if spec.is_null() {
            *spec = json!({});
        }
        if spec["containers"].is_null() {
            spec["containers"] = json!([{"name": "c"}]);
        }
        PodFacts::of(&from_value(object).unwrap())
    }

    /// A node written as JSON.
    pub(crate) fn node(name: &str, mut object: Value) -> NodeState {
        object["metadata"]["name"] = json!(name);
        let mut state = NodeState::default();
        state.set(&from_value(object).unwrap());
        state
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use k8s_openapi::serde_json::{self, from_value, json};

    #[test]
    fn requests_are_those_of_upstreams_rule() {
        let cpu = |amount: &str| json!({"requests": {"cpu": amount}});
        let table = [
            (
                json!({"containers": [{"name": "a", "resources": cpu("1")}, {"name": "b", "resources": cpu("500m")}]}),
                1500,
            ),
            (
                json!({"containers": [{"name": "a", "resources": cpu("1")}],
                       "initContainers": [{"name": "i", "resources": cpu("2")}, {"name": "j", "resources": cpu("1")}]}),
                2000,
            ),
            (
                json!({"containers": [{"name": "a", "resources": cpu("1")}],
                       "initContainers": [{"name": "s", "restartPolicy": "Always", "resources": cpu("1")},
                                          {"name": "i", "resources": cpu("2")}]}),
                3000,
            ),
            (json!({"containers": [{"name": "a", "resources": cpu("1")}], "overhead": {"cpu": "250m"}}), 1250),
            // A sidecar after an init container does not run beside it.
            (
                json!({"containers": [{"name": "a", "resources": cpu("1")}],
                       "initContainers": [{"name": "i", "resources": cpu("2")},
                                          {"name": "s", "restartPolicy": "Always", "resources": cpu("500m")}]}),
                2000,
            ),
            // What the pod asks for as a whole counts, and overhead comes on top.
            (
                json!({"containers": [{"name": "a", "resources": cpu("1")}], "resources": cpu("3"),
                       "overhead": {"cpu": "250m"}}),
                3250,
            ),
        ];
        for (spec, milli) in table {
            assert_eq!(pod(json!({"spec": spec})).requests["cpu"], milli, "{spec}");
        }
    }

    #[test]
    fn scoring_assumes_something_for_every_container_that_names_nothing() {
        let (cpu, memory) = (ASSUMED_MILLI_CPU, ASSUMED_MEMORY);
        let container =
            |name: &str, requests: serde_json::Value| json!({"name": name, "resources": {"requests": requests}});
        let table = [
            (json!({"containers": [container("a", json!({}))]}), (cpu, memory)),
            (
                json!({"containers": [container("a", json!({})), container("b", json!({"cpu": "1"}))]}),
                (cpu + 1000, 2 * memory),
            ),
            (json!({"containers": [container("a", json!({"cpu": "0", "memory": "0"}))]}), (0, 0)),
            // An init container counts where it asks for more than what runs later.
            (
                json!({"containers": [container("a", json!({"cpu": "1"}))], "initContainers": [container("i", json!({"cpu": "2"}))]}),
                (2000, memory),
            ),
            (
                json!({"containers": [container("a", json!({}))], "overhead": {"cpu": "1", "memory": "1"}}),
                (cpu + 1000, memory + 1),
            ),
        ];
        for (spec, expected) in table {
            let facts = pod(json!({"spec": spec}));
            assert_eq!((facts.request_for_score("cpu"), facts.request_for_score("memory")), expected, "{spec}");
        }
    }

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
    fn ports_of_the_node_are_those_that_containers_ask_for() {
        let ports = json!([
            {"containerPort": 80, "hostPort": 80},
            {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "10.0.0.1"},
            {"containerPort": 81},
            {"containerPort": 82, "hostPort": 0, "hostIP": ""},
        ]);
        let facts = pod(json!({"spec": {"containers": [{"name": "c", "ports": ports}],
            "initContainers": [
                {"name": "s", "restartPolicy": "Always", "ports": [{"containerPort": 1, "hostPort": 9000, "hostIP": ""}]},
                // It has ended before the pod runs.
                {"name": "i", "ports": [{"containerPort": 1, "hostPort": 9001}]}]}}));
        let told: Vec<String> =
            facts.host_ports.iter().map(|port| format!("{}/{}:{}", port.protocol, port.ip, port.port)).collect();
        assert_eq!(told, ["TCP/0.0.0.0:80", "UDP/10.0.0.1:53", "TCP/0.0.0.0:9000"]);
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
