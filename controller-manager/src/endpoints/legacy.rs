//! The older Endpoints object of a Service. Pure (kube-controller-manager, endpoint/endpoints_controller.go).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Service};
use k8s_openapi::api::discovery::v1::Endpoint;

use super::facts::{Groups, Port};

/// Most addresses in one object; what is over is cut, and an annotation says so.
const MOST: usize = 1000;
pub(crate) const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");

/// Subsets, and whether addresses had to be left out.
pub(crate) fn subsets(groups: &Groups) -> (Vec<EndpointSubset>, bool) {
    let total: usize = groups.values().map(Vec::len).sum();
    let mut room = MOST;
    let mut subsets = Vec::new();
    for (ports, endpoints) in groups.iter().filter(|(_, endpoints)| !endpoints.is_empty()) {
        let (ready, waiting): (Vec<&Endpoint>, Vec<&Endpoint>) =
            endpoints.iter().filter(|endpoint| !is_terminating(endpoint)).partition(|endpoint| is_ready(endpoint));
        let mut take = |list: Vec<&Endpoint>| {
            let taken: Vec<EndpointAddress> = list.into_iter().take(room).filter_map(address).collect();
            room -= taken.len();
            (!taken.is_empty()).then_some(taken)
        };
        let (addresses, not_ready_addresses) = (take(ready), take(waiting));
        if addresses.is_some() || not_ready_addresses.is_some() {
            let ports = (!ports.is_empty()).then(|| ports.iter().map(port).collect());
            subsets.push(EndpointSubset { addresses, not_ready_addresses, ports });
        }
    }
    (subsets, total > MOST)
}

/// The Service's own labels, and what marks the object as ours.
pub(crate) fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.0.into(), MANAGED_BY.1.into());
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    labels
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn is_terminating(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating).unwrap_or(false) && !is_ready(endpoint)
}

fn address(endpoint: &Endpoint) -> Option<EndpointAddress> {
    Some(EndpointAddress {
        ip: endpoint.addresses.first()?.clone(),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node_name.clone(),
        target_ref: endpoint.target_ref.clone(),
    })
}

fn port(port: &Port) -> EndpointPort {
    EndpointPort {
        name: (!port.name.is_empty()).then(|| port.name.clone()),
        port: port.number,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::groups;
    use super::super::facts::testing::{pod, service};
    use super::*;
    use serde_json::json;

    #[test]
    fn ready_and_waiting_addresses_stand_apart() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let (subsets, over) = subsets(&groups(&service, &[pod("a", "10.0.0.1", true), pod("b", "10.0.0.2", false)]));
        assert!(!over);
        let [subset] = subsets.as_slice() else { panic!("{subsets:?}") };
        assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.2");
        assert_eq!(subset.ports.as_ref().unwrap()[0].port, 80);
    }

    #[test]
    fn at_most_a_thousand_addresses() {
        let service = service(json!({"ports": [{"port": 80}]}));
        let pods: Vec<_> =
            (0..1200).map(|n| pod(&format!("p{n}"), &format!("10.0.{}.{}", n / 250, n % 250), true)).collect();
        let (subsets, over) = subsets(&groups(&service, &pods));
        assert_eq!((subsets[0].addresses.as_ref().unwrap().len(), over), (1000, true));
    }
}
