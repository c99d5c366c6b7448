//! Ports that pods open on their node.

use crate::framework::{Plugin, Verdict};
use crate::state::{ClusterEvent, HostPort, NodeState, PodFacts};

/// Two pods cannot have the same port of a node.
pub(super) struct NodePorts;

impl Plugin for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let free = pod.host_ports.iter().all(|wanted| node.host_ports().all(|taken| !conflict(wanted, taken)));
        Verdict::when(free, "node(s) didn't have free ports for the requested pod ports")
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::PodGone]
    }
}

/// 0.0.0.0 stands for every address.
fn conflict(one: &HostPort, other: &HostPort) -> bool {
    let same_address = one.ip == other.ip || one.ip == "0.0.0.0" || other.ip == "0.0.0.0";
    one.port == other.port && one.protocol == other.protocol && same_address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, protocol: &str, port: i32) -> HostPort {
        HostPort { ip: ip.into(), protocol: protocol.into(), port }
    }

    #[test]
    fn only_ports_of_the_node_that_are_taken_refuse_a_pod() {
        use crate::state::testing::{node, pod};
        use k8s_openapi::serde_json::{Value, json};
        let opens = |ports: Value| pod(json!({"spec": {"containers": [{"name": "c", "ports": ports}]}}));
        let mut target = node("n", json!({}));
        target.add(&opens(json!([{"containerPort": 1, "hostPort": 80}, {"containerPort": 2}])));
        let table = [
            (json!([]), true),
            (json!([{"containerPort": 80}]), true),
            (json!([{"containerPort": 1, "hostPort": 81}]), true),
            (json!([{"containerPort": 1, "hostPort": 81}, {"containerPort": 2, "hostPort": 80}]), false),
            (json!([{"containerPort": 1, "hostPort": 80, "hostIP": "127.0.0.1"}]), false),
            (json!([{"containerPort": 1, "hostPort": 80, "protocol": "SCTP"}]), true),
        ];
        for (ports, fits) in table {
            assert_eq!(NodePorts.filter(&opens(ports.clone()), &target) == Verdict::Fits, fits, "{ports}");
        }
    }

    #[test]
    fn ports_conflict_by_number_protocol_and_address() {
        let taken = port("10.0.0.1", "TCP", 80);
        let table = [
            (port("10.0.0.1", "TCP", 80), true),
            (port("10.0.0.2", "TCP", 80), false),
            (port("0.0.0.0", "TCP", 80), true),
            (port("0.0.0.0", "UDP", 80), false),
            (port("0.0.0.0", "TCP", 81), false),
        ];
        for (wanted, conflicts) in table {
            assert_eq!(conflict(&wanted, &taken), conflicts, "{wanted:?}");
        }
    }
}
