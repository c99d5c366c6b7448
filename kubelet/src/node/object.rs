//! The node object: labels, addresses, capacity, conditions in upstream's words (pkg/kubelet/nodestatus/setters.go). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus, NodeSystemInfo, Taint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::machine::Machine;
use crate::eviction::plan::Pressure;
use crate::resources::Quantities;

/// What the kubelet reports as its version.
pub const VERSION: &str = concat!("v1.37.0+mkube-", env!("CARGO_PKG_VERSION"));
/// Memory kept back from pods (upstream's hard eviction threshold).
const MEMORY_KEPT: u64 = 100 << 20;

/// Everything that the node object depends on.
#[derive(Debug, Clone, Default)]
pub struct Description {
    /// Name of the node.
    pub name: String,
    /// Host name of the node.
    pub hostname: String,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Labels given by flag.
    pub labels: BTreeMap<String, String>,
    /// Taints given by flag, set at registration.
    pub taints: Vec<Taint>,
    /// The machine.
    pub machine: Machine,
    /// CPU, in thousandths, and memory and storage in bytes that count as this node's.
    pub cpu_milli: u64,
    /// See `cpu_milli`.
    pub memory: u64,
    /// See `cpu_milli`.
    pub storage: u64,
    /// Most pods.
    pub max_pods: u32,
    /// Port of the kubelet's server.
    pub port: u16,
    /// As the runtime says.
    pub runtime_version: String,
}

/// What changes while the kubelet runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Why the node is not ready; empty = it is.
    pub problems: Vec<String>,
    /// What the node lacks.
    pub pressures: Vec<Pressure>,
}

impl Description {
    /// Labels that the kubelet sets.
    pub fn all_labels(&self) -> BTreeMap<String, String> {
        let arch = &self.machine.architecture;
        let mut labels: BTreeMap<String, String> = [
            ("kubernetes.io/hostname", self.hostname.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", arch),
            ("beta.kubernetes.io/os", "linux"),
            ("beta.kubernetes.io/arch", arch),
        ]
        .into_iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
        labels.extend(self.labels.clone());
        labels
    }

    /// The object to register.
    pub fn node(&self, health: &Health, now: Timestamp) -> Node {
        Node {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(self.all_labels()),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                taints: (!self.taints.is_empty()).then(|| self.taints.clone()),
                ..NodeSpec::default()
            }),
            status: Some(self.status(health, &[], now)),
        }
    }

    fn capacity(&self) -> BTreeMap<String, Quantity> {
        quantities(self.cpu_milli, self.memory, format!("{}Ki", self.storage / 1024), self.max_pods)
    }

    fn allocatable(&self) -> BTreeMap<String, Quantity> {
        // Upstream keeps 10 % of the file system back.
        let storage = (self.storage / 10 * 9).to_string();
        quantities(self.cpu_milli, self.allocatable_memory(), storage, self.max_pods)
    }

    fn allocatable_memory(&self) -> u64 {
        self.memory.saturating_sub(MEMORY_KEPT)
    }

    /// Allocatable amounts in thousandths, for resourceFieldRef and admission.
    pub fn allocatable_milli(&self) -> Quantities {
        let bytes = |n: u64| i128::from(n) * 1000;
        [
            ("cpu".to_string(), i128::from(self.cpu_milli)),
            ("memory".to_string(), bytes(self.allocatable_memory())),
            ("ephemeral-storage".to_string(), bytes(self.storage / 10 * 9)),
            ("pods".to_string(), i128::from(self.max_pods) * 1000),
        ]
        .into()
    }

    /// The status; `before` keeps transition times.
    pub fn status(&self, health: &Health, before: &[NodeCondition], now: Timestamp) -> NodeStatus {
        let mut addresses: Vec<NodeAddress> =
            self.ips.iter().map(|ip| NodeAddress { type_: "InternalIP".into(), address: ip.to_string() }).collect();
        addresses.push(NodeAddress { type_: "Hostname".into(), address: self.hostname.clone() });
        let machine = &self.machine;
        NodeStatus {
            addresses: Some(addresses),
            capacity: Some(self.capacity()),
            allocatable: Some(self.allocatable()),
            conditions: Some(conditions(health, before, now)),
            daemon_endpoints: Some(NodeDaemonEndpoints {
                kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(self.port) }),
            }),
            node_info: Some(NodeSystemInfo {
                architecture: machine.architecture.clone(),
                boot_id: machine.boot_id.clone(),
                container_runtime_version: self.runtime_version.clone(),
                kernel_version: machine.kernel.clone(),
                kube_proxy_version: String::new(),
                kubelet_version: VERSION.into(),
                machine_id: machine.machine_id.clone(),
                operating_system: "linux".into(),
                os_image: machine.os_image.clone(),
                running_in_user_namespace: None,
                swap: None,
                system_uuid: machine.system_uuid.clone(),
            }),
            ..NodeStatus::default()
        }
    }
}

fn quantities(cpu_milli: u64, memory: u64, storage: String, pods: u32) -> BTreeMap<String, Quantity> {
    let cpu = if cpu_milli.is_multiple_of(1000) { (cpu_milli / 1000).to_string() } else { format!("{cpu_milli}m") };
    [
        ("cpu", cpu),
        ("ephemeral-storage", storage),
        ("memory", format!("{}Ki", memory / 1024)),
        ("pods", pods.to_string()),
    ]
    .into_iter()
    .map(|(name, amount)| (name.to_string(), Quantity(amount)))
    .collect()
}

fn conditions(health: &Health, before: &[NodeCondition], now: Timestamp) -> Vec<NodeCondition> {
    let pressures = [Pressure::Memory, Pressure::Disk, Pressure::Pid].into_iter().map(|pressure| {
        let lacks = health.pressures.contains(&pressure);
        let (reason, message) = match (pressure, lacks) {
            (Pressure::Memory, true) => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            (Pressure::Memory, false) => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            (Pressure::Disk, true) => ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            (Pressure::Disk, false) => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            (Pressure::Pid, true) => ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            (Pressure::Pid, false) => ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        };
        (pressure.condition(), lacks, reason, message.to_string())
    });
    let mut all: Vec<(&str, bool, &str, String)> = pressures.collect();
    all.push(match health.problems.as_slice() {
        [] => ("Ready", true, "KubeletReady", "kubelet is posting ready status".into()),
        problems => ("Ready", false, "KubeletNotReady", problems.join(", ")),
    });
    let time = Time(crate::status::conditions::whole_second(now));
    let one = |(name, status, reason, message): (&str, bool, &str, String)| {
        let status = if status { "True" } else { "False" };
        let kept = before.iter().find(|c| c.type_ == name && c.status == status);
        NodeCondition {
            type_: name.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_heartbeat_time: Some(time.clone()),
            last_transition_time: kept.and_then(|c| c.last_transition_time.clone()).or(Some(time.clone())),
        }
    };
    all.into_iter().map(one).collect()
}

/// Whether the API's status of the node says something else than `wanted`, heartbeats aside.
pub fn differs(api: &NodeStatus, wanted: &NodeStatus) -> bool {
    let plain = |status: &NodeStatus| {
        let conditions = status.conditions.iter().flatten();
        let mut conditions: Vec<_> =
            conditions.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone(), c.message.clone())).collect();
        conditions.sort();
        conditions
    };
    let (has, wants) = (plain(api), plain(wanted));
    wants.iter().any(|c| !has.contains(c))
        || api.addresses != wanted.addresses
        || api.capacity != wanted.capacity
        || api.allocatable != wanted.allocatable
        || api.node_info != wanted.node_info
        || api.daemon_endpoints != wanted.daemon_endpoints
}

/// What is said while no pod network is known.
pub const NETWORK_NOT_READY: &str = "container runtime network not ready: NetworkReady=false \
     reason:NetworkPluginNotReady message:Network plugin returns error: the node has no podCIDR yet";

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            name: "n1".into(),
            hostname: "n1".into(),
            ips: vec!["10.0.0.1".parse().unwrap()],
            labels: [("zone".to_string(), "a".to_string())].into(),
            machine: Machine { architecture: "amd64".into(), ..Machine::default() },
            cpu_milli: 1500,
            memory: 1 << 30,
            storage: 10 << 30,
            max_pods: 110,
            port: 10250,
            ..Description::default()
        }
    }

    #[test]
    fn the_object_says_what_the_node_is() {
        let node = description().node(&Health::default(), Timestamp::UNIX_EPOCH);
        let labels = node.metadata.labels.unwrap();
        assert_eq!((labels["kubernetes.io/hostname"].as_str(), labels["zone"].as_str()), ("n1", "a"));
        let status = node.status.unwrap();
        let capacity = status.capacity.unwrap();
        assert_eq!((capacity["cpu"].0.as_str(), capacity["memory"].0.as_str()), ("1500m", "1048576Ki"));
        let allocatable = status.allocatable.unwrap();
        assert_eq!((allocatable["memory"].0.as_str(), allocatable["pods"].0.as_str()), ("946176Ki", "110"));
    }

    #[test]
    fn ready_changes_with_its_time_and_others_keep_theirs() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        let network = Health { problems: vec![NETWORK_NOT_READY.into()], ..Health::default() };
        let before = description().status(&network, &[], early);
        let ready = |s: &NodeStatus| s.conditions.clone().unwrap().into_iter().find(|c| c.type_ == "Ready").unwrap();
        assert_eq!(ready(&before).reason.as_deref(), Some("KubeletNotReady"));
        let after = description().status(&Health::default(), before.conditions.as_deref().unwrap(), late);
        assert_eq!(ready(&after).last_transition_time, Some(Time(late)));
        let memory = &after.conditions.as_ref().unwrap()[0];
        assert_eq!(memory.last_transition_time, Some(Time(early)));
        assert_eq!(memory.last_heartbeat_time, Some(Time(late)));
        assert!(differs(&before, &after));
        let later = description().status(&Health::default(), after.conditions.as_deref().unwrap(), Timestamp::now());
        assert!(!differs(&after, &later), "a heartbeat alone is no difference");
    }

    #[test]
    fn pressure_is_said_in_upstreams_words() {
        let health = Health { pressures: vec![Pressure::Disk], ..Health::default() };
        let status = description().status(&health, &[], Timestamp::UNIX_EPOCH);
        let told: Vec<(String, String, String)> =
            status.conditions.unwrap().into_iter().map(|c| (c.type_, c.status, c.reason.unwrap())).collect();
        let row = |kind: &str, status: &str, reason: &str| (kind.to_string(), status.to_string(), reason.to_string());
        assert_eq!(
            told,
            [
                row("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                row("DiskPressure", "True", "KubeletHasDiskPressure"),
                row("PIDPressure", "False", "KubeletHasSufficientPID"),
                row("Ready", "True", "KubeletReady"),
            ]
        );
    }

    #[test]
    fn what_the_node_controller_wrote_is_corrected() {
        let wanted = description().status(&Health::default(), &[], Timestamp::UNIX_EPOCH);
        let mut api = wanted.clone();
        api.conditions.as_mut().unwrap()[3].status = "Unknown".into();
        assert!(differs(&api, &wanted));
    }
}
