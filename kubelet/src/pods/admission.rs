//! Whether a pod that was bound to this node still fits beside those that are there: whoever binds a pod without asking the
//! scheduler, or on old news, hears of it here (pkg/kubelet/lifecycle/predicate.go and the scheduler's noderesources and nodeports
//! plugins, which it asks). Pure.

use std::sync::Arc;

use api::toleration::tolerates;
use k8s_openapi::api::core::v1::{ContainerPort, Pod};

use crate::eviction::plan::{self, Pressure};
use crate::known::memory::Rejection;
use crate::pod::{self, Role};
use crate::resources::{self, Quantities};
use crate::status::EVICTED;

/// Resources that are looked at, in upstream's order: the first that lacks is the one named.
const COUNTED: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// The taint of a node that is short of memory.
const MEMORY_TAINT: &str = "node.kubernetes.io/memory-pressure";

/// Whether the kubelet is to judge this pod at all. Not one that it once took on (a restarted kubelet throws nobody out), not a
/// static one (the node cannot run without those), not one that is over or on its way.
pub fn is_judged(pod: &Pod) -> bool {
    let status = pod::status(pod);
    let over = pod.metadata.deletion_timestamp.is_some() || pod::is_terminal(status);
    !over && status.start_time.is_none() && !pod::is_static(pod)
}

/// Why a pod may not start while the node lacks something (eviction_manager.go, Admit).
pub fn under_pressure(pod: &Pod, pressures: &[Pressure]) -> Option<Rejection> {
    let mut tolerations = pod::spec(pod).tolerations.iter().flatten();
    let tolerant = tolerations.any(|toleration| tolerates(toleration, (MEMORY_TAINT, "", "NoSchedule")));
    let critical = resources::is_critical(pod);
    let message = plan::refuse(pressures, critical, resources::qos(pod) == "BestEffort", tolerant)?;
    Some(Rejection { reason: EVICTED.into(), message })
}

/// Judges `pod` beside `others`, which are all the pods of the node that have not ended. What `allocatable` (in thousandths) does not
/// name is not limited.
///
/// # Errors
/// Why the pod cannot run here.
pub fn admit(pod: &Pod, others: &[Arc<Pod>], allocatable: &Quantities) -> Result<(), Rejection> {
    if let Some(most) = allocatable.get("pods").map(|milli| milli / 1000) {
        let used = i128::try_from(others.len()).unwrap_or(i128::MAX);
        if used >= most {
            return Err(lacking("pods", 1, used, most));
        }
    }
    for name in COUNTED {
        let wanted = resources::request(pod, name);
        let Some(most) = allocatable.get(name).filter(|_| wanted > 0) else { continue };
        let used: i128 = others.iter().map(|other| resources::request(other, name)).sum();
        if wanted + used > *most {
            let unit = if name == "cpu" { 1 } else { 1000 };
            return Err(lacking(name, wanted / unit, used / unit, most / unit));
        }
    }
    let taken: Vec<_> = others.iter().flat_map(|other| host_ports(other)).collect();
    if host_ports(pod).any(|port| taken.iter().any(|other| conflict(port, other))) {
        let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return Err(Rejection { reason: "NodePorts".into(), message: message.into() });
    }
    Ok(())
}

fn lacking(name: &str, requested: i128, used: i128, capacity: i128) -> Rejection {
    let message =
        format!("Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}");
    Rejection { reason: format!("OutOf{name}"), message }
}

/// Ports of the node that the pod occupies as long as it runs.
fn host_ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let lasting = pod::all_containers(pod).filter(|(role, _)| *role != Role::Init);
    lasting.flat_map(|(_, c)| c.ports.iter().flatten()).filter(|port| port.host_port.is_some_and(|p| p > 0))
}

fn conflict(one: &ContainerPort, other: &ContainerPort) -> bool {
    let protocol = |port: &ContainerPort| port.protocol.clone().unwrap_or_else(|| "TCP".into());
    let address = |port: &ContainerPort| port.host_ip.clone().filter(|ip| !ip.is_empty() && ip != "0.0.0.0");
    let meet = match (address(one), address(other)) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    meet && one.host_port == other.host_port && protocol(one) == protocol(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(cpu: &str, memory: &str, port: Value) -> Arc<Pod> {
        let ports = if port.is_null() { json!([]) } else { json!([port]) };
        let requests = json!({"cpu": cpu, "memory": memory});
        let container = json!({"name": "c", "resources": {"requests": requests}, "ports": ports});
        Arc::new(
            serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})).unwrap(),
        )
    }

    fn node() -> Quantities {
        [("pods".into(), 3000), ("cpu".into(), 1000), ("memory".into(), 1000 << 20)].into()
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let small = || pod("100m", "1Ki", Value::Null);
        let cpu = "Node didn't have enough resource: cpu, requested: 950, used: 100, capacity: 1000";
        let memory = "Node didn't have enough resource: memory, requested: 1048577, used: 1024, capacity: 1048576";
        let pods = "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3";
        for (new, others, expected) in [
            (pod("900m", "1Ki", Value::Null), vec![small()], None),
            (pod("950m", "2Gi", Value::Null), vec![small()], Some(("OutOfcpu", cpu))),
            (pod("1m", "1048577", Value::Null), vec![small()], Some(("OutOfmemory", memory))),
            (pod("9", "9Gi", Value::Null), vec![small(), small(), small()], Some(("OutOfpods", pods))),
            (pod("0", "0", Value::Null), vec![pod("5", "5Gi", Value::Null)], None),
        ] {
            let found = admit(&new, &others, &node()).err();
            let found = found.as_ref().map(|r| (r.reason.as_str(), r.message.as_str()));
            assert_eq!(found, expected);
        }
        assert_eq!(
            admit(&pod("9", "9Gi", Value::Null), &[], &Quantities::new()),
            Ok(()),
            "nothing is known to be limited"
        );
    }

    #[test]
    fn ports_conflict_by_protocol_and_address() {
        let with = |port: Value| pod("0", "0", port);
        let held = json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"});
        for (port, free) in [
            (json!({"containerPort": 1, "hostPort": 80}), false),
            (json!({"containerPort": 1, "hostPort": 80, "hostIP": "0.0.0.0", "protocol": "TCP"}), false),
            (json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"}), false),
            (json!({"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.2"}), true),
            (json!({"containerPort": 1, "hostPort": 80, "protocol": "UDP"}), true),
            (json!({"containerPort": 1, "hostPort": 81}), true),
            (json!({"containerPort": 80}), true),
        ] {
            let verdict = admit(&with(port.clone()), &[with(held.clone())], &node());
            assert_eq!(verdict.map_err(|r| r.reason), if free { Ok(()) } else { Err("NodePorts".into()) }, "{port}");
        }
    }

    #[test]
    fn a_node_short_of_memory_takes_only_pods_that_asked_for_some() {
        let tolerant =
            |toleration: Value| json!({"spec": {"containers": [{"name": "c"}], "tolerations": [toleration]}});
        let asks = json!({"resources": {"requests": {"memory": "1Mi"}}, "name": "c"});
        let table = [
            (json!({"spec": {"containers": [{"name": "c"}]}}), false),
            (json!({"spec": {"containers": [asks]}}), true),
            (json!({"spec": {"containers": [{"name": "c"}], "priority": 2_000_000_000}}), true),
            (tolerant(json!({"key": MEMORY_TAINT, "operator": "Exists"})), true),
            (tolerant(json!({"operator": "Exists"})), true),
            (tolerant(json!({"key": MEMORY_TAINT, "operator": "Exists", "effect": "NoExecute"})), false),
            (tolerant(json!({"key": "other", "operator": "Exists"})), false),
        ];
        for (pod, fits) in table {
            let refused = under_pressure(&serde_json::from_value(pod.clone()).unwrap(), &[Pressure::Memory]);
            let expected =
                Rejection { reason: "Evicted".into(), message: "The node had condition: [MemoryPressure]. ".into() };
            assert_eq!(refused, (!fits).then_some(expected), "{pod}");
        }
    }

    #[test]
    fn only_newcomers_are_judged() {
        let judged = |metadata: Value, status: Value| {
            is_judged(&serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap())
        };
        assert!(judged(json!({}), json!({"phase": "Pending"})));
        assert!(!judged(json!({}), json!({"phase": "Running", "startTime": "2026-01-01T00:00:00Z"})));
        assert!(!judged(json!({}), json!({"phase": "Failed"})));
        assert!(!judged(json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), json!({})));
        assert!(!judged(json!({"annotations": {"kubernetes.io/config.source": "file"}}), json!({})));
    }
}
