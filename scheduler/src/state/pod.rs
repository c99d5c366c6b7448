//! What scheduling needs of a pod, extracted once: its requests by upstream's rule, ports, tolerations, and which nodes it wants.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, NodeSelectorTerm, Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Requests that scoring assumes where a container names none (kube-scheduler, util/pod_resources.go).
const ASSUMED_MILLI_CPU: i64 = 100;
const ASSUMED_MEMORY: i64 = 200 << 20;

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
    pub(super) scored: (i64, i64),
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

/// Amounts by resource; CPU in thousandths.
pub(super) fn amounts(resources: Option<&BTreeMap<String, Text>>) -> BTreeMap<String, i64> {
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

#[cfg(test)]
mod tests {
    use super::super::testing::pod;
    use super::*;
    use k8s_openapi::serde_json::{self, json};

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
}
