//! The endpoints of a Service, from its pods. Pure (upstream: staging/endpointslice/utils.go, reconciler.go).

use std::collections::BTreeMap;
use std::sync::Arc;

use api::selector::LabelSelector;
use client::Object;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pods;

/// Endpoints that have the same port numbers: pods may resolve a named target port differently.
pub(crate) type Groups = BTreeMap<Vec<Port>, Vec<Endpoint>>;

/// A port as endpoints name it; comparable, unlike the API type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) number: i32,
    pub(crate) app_protocol: Option<String>,
}

impl Port {
    pub(crate) fn as_slice_port(&self) -> EndpointPort {
        EndpointPort {
            name: Some(self.name.clone()),
            protocol: Some(self.protocol.clone()),
            port: Some(self.number),
            app_protocol: self.app_protocol.clone(),
        }
    }

    pub(crate) fn of_slice_port(port: &EndpointPort) -> Self {
        Self {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            number: port.port.unwrap_or(0),
            app_protocol: port.app_protocol.clone(),
        }
    }
}

/// The pods that the Service selects; none if it selects by nothing.
pub(crate) fn selected(service: &Service, pods: Vec<Arc<Pod>>) -> Vec<Arc<Pod>> {
    let Some(selector) = selector(service) else { return Vec::new() };
    pods.into_iter().filter(|pod| selector.matches_labels(pod.metadata.labels.as_ref())).collect()
}

/// The Service's selector, if it has one.
pub(crate) fn selector(service: &Service) -> Option<LabelSelector> {
    let selector = service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())?;
    Some(LabelSelector::from_map(selector.iter().map(|(key, value)| (key.as_str(), value.as_str()))))
}

/// The endpoints for `pods`, sorted within their groups. Without any there is one empty group.
pub(crate) fn groups(service: &Service, pods: &[Arc<Pod>]) -> Groups {
    let spec = service.spec.clone().unwrap_or_default();
    let everyone = spec.publish_not_ready_addresses.unwrap_or(false);
    let mut groups = Groups::new();
    for pod in pods {
        if matches!(pods::phase(pod), "Succeeded" | "Failed") {
            continue;
        }
        let Some(endpoint) = endpoint(service, pod, everyone) else { continue };
        let ports = spec.ports.iter().flatten().filter_map(|port| resolve(port, pod)).collect();
        groups.entry(ports).or_default().push(endpoint);
    }
    for endpoints in groups.values_mut() {
        endpoints.sort_by(|a, b| a.addresses.cmp(&b.addresses));
    }
    if groups.is_empty() {
        groups.insert(Vec::new(), Vec::new());
    }
    groups
}

fn endpoint(service: &Service, pod: &Pod, everyone: bool) -> Option<Endpoint> {
    let address = pod.status.as_ref()?.pod_ip.clone().filter(|ip| !ip.is_empty())?;
    let key = pod.key();
    let serving = pods::is_ready(pod);
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let spec = pod.spec.as_ref();
    // A pod that names the Service as its subdomain is found under its own host name.
    let subdomain = spec.and_then(|spec| spec.subdomain.as_deref());
    let hostname = spec
        .and_then(|spec| spec.hostname.clone())
        .filter(|name| !name.is_empty() && subdomain == service.metadata.name.as_deref());
    Some(Endpoint {
        addresses: vec![address],
        conditions: Some(EndpointConditions {
            ready: Some(everyone || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname,
        node_name: spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".into()),
            namespace: Some(key.namespace),
            name: Some(key.name),
            uid: pod.metadata.uid.clone(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    })
}

/// The number behind a Service's port on this pod; `None` when it has no port of that name.
fn resolve(port: &ServicePort, pod: &Pod) -> Option<Port> {
    let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".into());
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => named(pod, name, &protocol)?,
    };
    let name = port.name.clone().unwrap_or_default();
    Some(Port { name, protocol, number, app_protocol: port.app_protocol.clone() })
}

fn named(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut matching = ports
        .filter(|port| port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol);
    matching.next().map(|port| port.container_port)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use serde_json::{Value, from_value, json};

    pub(crate) fn service(spec: Value) -> Service {
        from_value(json!({"metadata": {"name": "web", "namespace": "default", "uid": "s"}, "spec": spec})).unwrap()
    }

    pub(crate) fn pod(name: &str, ip: &str, ready: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        let object = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
            "status": {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
        });
        Arc::new(from_value(object).unwrap())
    }

    /// The pod with `more` put over it.
    pub(crate) fn with(pod: &Pod, more: Value) -> Arc<Pod> {
        fn merge(object: &mut Value, more: Value) {
            match (object, more) {
                (Value::Object(object), Value::Object(more)) => {
                    more.into_iter().for_each(|(key, value)| merge(object.entry(key).or_insert(Value::Null), value));
                }
                (object, more) => *object = more,
            }
        }
        let mut object = json!(pod);
        merge(&mut object, more);
        Arc::new(from_value(object).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::testing::*;
    use super::*;
    use serde_json::json;

    fn conditions(endpoint: &Endpoint) -> (bool, bool, bool) {
        let c = endpoint.conditions.clone().unwrap();
        (c.ready.unwrap(), c.serving.unwrap(), c.terminating.unwrap())
    }

    #[test]
    fn conditions_say_who_may_get_traffic() {
        let mut going = (*pod("going", "10.0.0.3", true)).clone();
        going.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let pods = [pod("a", "10.0.0.1", true), pod("b", "10.0.0.2", false), Arc::new(going), pod("no-ip", "", true)];
        let plain = groups(&service(json!({"ports": [{"port": 80}]})), &pods);
        let seen: Vec<_> = plain.values().next().unwrap().iter().map(conditions).collect();
        assert_eq!(seen, [(true, true, false), (false, false, false), (false, true, true)]);
        let everyone = groups(&service(json!({"publishNotReadyAddresses": true})), &pods);
        assert!(everyone.values().next().unwrap().iter().all(|endpoint| conditions(endpoint).0));
    }

    #[test]
    fn target_ports_resolve_on_each_pod() {
        let mut other = (*pod("b", "10.0.0.2", true)).clone();
        other.spec.as_mut().unwrap().containers[0].ports.as_mut().unwrap()[0].container_port = 9090;
        let service = service(json!({"ports": [{"name": "web", "port": 80, "targetPort": "http"}]}));
        let groups = groups(&service, &[pod("a", "10.0.0.1", true), Arc::new(other)]);
        let numbers: Vec<Vec<i32>> =
            groups.keys().map(|ports| ports.iter().map(|port| port.number).collect()).collect();
        assert_eq!(numbers, [[8080], [9090]]);
    }

    #[test]
    fn nothing_is_selected_by_nothing() {
        let pods = vec![pod("a", "10.0.0.1", true)];
        assert_eq!(selected(&service(json!({})), pods.clone()).len(), 0);
        assert_eq!(selected(&service(json!({"selector": {"app": "web"}})), pods.clone()).len(), 1);
        assert_eq!(selected(&service(json!({"selector": {"app": "db"}})), pods).len(), 0);
    }

    #[test]
    fn each_kind_of_target_port_means_what_upstream_says() {
        let one = with(
            &pod("a", "10.0.0.1", true),
            json!({"spec": {
                "containers": [
                    {"name": "c", "ports": [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
                    {"name": "d", "ports": [{"name": "http", "containerPort": 9090}]}],
                "initContainers": [
                    {"name": "s", "restartPolicy": "Always", "ports": [{"name": "mesh", "containerPort": 15001}]},
                    {"name": "i", "ports": [{"name": "once", "containerPort": 1}]}],
            }}),
        );
        let table = [
            (json!({"port": 80}), Some(80)),
            (json!({"port": 80, "targetPort": 0}), Some(80)),
            (json!({"port": 80, "targetPort": 8080}), Some(8080)),
            // The first container that has it.
            (json!({"port": 80, "targetPort": "http"}), Some(8080)),
            (json!({"port": 80, "targetPort": "dns"}), None),
            (json!({"port": 80, "targetPort": "dns", "protocol": "UDP"}), Some(53)),
            (json!({"port": 80, "targetPort": "mesh"}), Some(15001)),
            (json!({"port": 80, "targetPort": "once"}), None),
            (json!({"port": 80, "targetPort": "nobody"}), None),
        ];
        for (port, number) in table {
            let groups = groups(&service(json!({"ports": [port]})), std::slice::from_ref(&one));
            let (ports, endpoints) = groups.first_key_value().unwrap();
            assert_eq!(ports.first().map(|port| port.number), number, "{port}");
            assert_eq!(endpoints.len(), 1, "without the port it is an endpoint all the same");
        }
    }

    #[test]
    fn a_pod_is_an_endpoint_when_it_has_an_address_and_has_not_ended() {
        let table = [
            (json!({}), 1),
            (json!({"status": {"phase": "Pending"}}), 1),
            (json!({"status": {"phase": "Succeeded"}}), 0),
            (json!({"status": {"phase": "Failed"}}), 0),
            (json!({"status": {"podIP": ""}}), 0),
            (json!({"status": {"podIP": null}}), 0),
            (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), 1),
        ];
        for (more, count) in table {
            let found = groups(&service(json!({})), &[with(&pod("a", "10.0.0.1", true), more.clone())]);
            assert_eq!(found.values().map(Vec::len).sum::<usize>(), count, "{more}");
            assert_eq!(found.len(), 1, "one group at least");
        }
    }

    #[test]
    fn only_pods_of_the_subdomain_have_names() {
        let table = [
            (json!({"hostname": "db-0", "subdomain": "web"}), Some("db-0")),
            (json!({"hostname": "db-0", "subdomain": "other"}), None),
            (json!({"hostname": "db-0"}), None),
            (json!({"subdomain": "web"}), None),
            (json!({"hostname": "", "subdomain": "web"}), None),
        ];
        for (spec, hostname) in table {
            let named = with(&pod("a", "10.0.0.1", true), json!({"spec": spec}));
            let found = groups(&service(json!({})), &[named]);
            let endpoint = &found.values().next().unwrap()[0];
            assert_eq!(endpoint.hostname.as_deref(), hostname, "{spec}");
        }
    }

    #[test]
    fn endpoints_are_sorted_so_that_the_same_pods_say_the_same() {
        let pods = ["10.0.0.3", "10.0.0.1", "10.0.0.2"].map(|ip| pod(ip, ip, true));
        let reversed: Vec<_> = pods.iter().rev().cloned().collect();
        let service = service(json!({"ports": [{"port": 80}]}));
        assert_eq!(groups(&service, &pods), groups(&service, &reversed));
    }

    #[test]
    fn ports_of_slices_are_read_with_their_defaults() {
        let table = [
            (json!({}), ("", "TCP", 0, None)),
            (json!({"name": "a", "protocol": "UDP", "port": 53, "appProtocol": "dns"}), ("a", "UDP", 53, Some("dns"))),
        ];
        for (port, expected) in table {
            let port = Port::of_slice_port(&serde_json::from_value(port).unwrap());
            let told = (port.name.as_str(), port.protocol.as_str(), port.number, port.app_protocol.as_deref());
            assert_eq!(told, expected);
            assert_eq!(Port::of_slice_port(&port.as_slice_port()), port, "there and back");
        }
    }
}
