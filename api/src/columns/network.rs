//! Columns of services and of the groups networking and discovery.

use std::collections::BTreeSet;

use super::Column;
use super::cells::{AGE, NAME, count, first_three, join, label_map, label_selector, text, text_or};
use crate::view::Node;

/// Services.
pub const SERVICE: &[Column] = &[
    NAME,
    Column::text("Type", "How the service is reached", |o, _| text(o, "/spec/type")),
    Column::text("Cluster-IP", "Address within the cluster", |o, _| text_or(o, "/spec/clusterIPs/0", "<none>")),
    Column::text("External-IP", "Addresses from outside", |o, _| external_ip(o).into()),
    Column::text("Port(s)", "Ports, with node ports and protocols", |o, _| ports(o).into()),
    AGE,
    Column::text("Selector", "Labels of the pods behind the service", |o, _| label_map(o, "/spec/selector")).wide(),
];

/// Endpoint slices.
pub const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    Column::text("AddressType", "Kind of the addresses", |o, _| text(o, "/addressType")),
    Column::text("Ports", "Ports of every endpoint", |o, _| {
        let port = |port: Node<'_>| match (port.integer("/port"), port.at("/name")) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.as_str().unwrap_or_default().into(),
            (None, None) => "*".into(),
        };
        first_three(&o.list("/ports").map(port).collect::<Vec<_>>()).into()
    }),
    Column::text("Endpoints", "Addresses of the endpoints", |o, _| {
        let endpoints = o.list("/endpoints");
        let addresses = endpoints.flat_map(|endpoint| endpoint.list("/addresses")).filter_map(Node::as_str);
        first_three(&addresses.map(String::from).collect::<Vec<_>>()).into()
    }),
    AGE,
];

/// Ingresses.
pub const INGRESS: &[Column] = &[
    NAME,
    Column::text("Class", "Class that decides who serves it", |o, _| text_or(o, "/spec/ingressClassName", "<none>")),
    Column::text("Hosts", "Hosts of its rules", |o, _| hosts(o).into()),
    Column::text("Address", "Addresses of the load balancer", |o, _| load_balancer(o).into()),
    Column::text("Ports", "Ports that are open", |o, _| {
        if o.list("/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }
    }),
    AGE,
];

/// Ingress classes.
pub const INGRESS_CLASS: &[Column] = &[
    NAME,
    Column::text("Controller", "Controller that serves the class", |o, _| text(o, "/spec/controller")),
    Column::text("Parameters", "Object with further parameters", |o, _| parameters(o).into()),
    AGE,
];

/// Network policies.
pub const NETWORK_POLICY: &[Column] = &[
    NAME,
    Column::text("Pod-Selector", "Pods that it applies to", |o, _| label_selector(o, "/spec/podSelector")),
    AGE,
];

/// Ranges of service addresses.
pub const SERVICE_CIDR: &[Column] = &[
    NAME,
    Column::text("CIDRs", "Ranges of addresses", |o, _| join(o.list("/spec/cidrs").filter_map(Node::as_str)).into()),
    AGE,
];

/// Allocated service addresses.
pub const IP_ADDRESS: &[Column] =
    &[NAME, Column::text("ParentRef", "Object that the address belongs to", |o, _| parent(o).into())];

fn load_balancer(o: Node<'_>) -> String {
    let addresses = o.list("/status/loadBalancer/ingress").map(|point| match point.text("/ip") {
        "" => point.text("/hostname"),
        ip => ip,
    });
    join(addresses.filter(|address| !address.is_empty()).collect::<BTreeSet<_>>())
}

fn external_ip(o: Node<'_>) -> String {
    let mut external: Vec<&str> = o.list("/spec/externalIPs").filter_map(Node::as_str).collect();
    let (balancer, none) = match o.text("/spec/type") {
        "ClusterIP" | "NodePort" => (String::new(), "<none>"),
        "LoadBalancer" => (load_balancer(o), "<pending>"),
        "ExternalName" => return o.text("/spec/externalName").into(),
        _ => return "<unknown>".into(),
    };
    if !balancer.is_empty() {
        external.insert(0, &balancer);
    }
    if external.is_empty() { none.into() } else { external.join(",") }
}

fn ports(o: Node<'_>) -> String {
    let port = |port: Node<'_>| match count(port, "/nodePort") {
        0 => format!("{}/{}", count(port, "/port"), port.text("/protocol")),
        node => format!("{}:{node}/{}", count(port, "/port"), port.text("/protocol")),
    };
    let ports: Vec<String> = o.list("/spec/ports").map(port).collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",") }
}

/// Up to three hosts; how many more is counted in rules, as upstream does.
fn hosts(o: Node<'_>) -> String {
    let rules = o.list("/spec/rules");
    let (mut hosts, mut more) = (Vec::new(), false);
    for rule in rules.clone() {
        more |= hosts.len() == 3;
        let host = rule.text("/host");
        if !more && !host.is_empty() {
            hosts.push(host);
        }
    }
    match (hosts.is_empty(), more) {
        (true, _) => "*".into(),
        (false, true) => format!("{} + {} more...", hosts.join(","), rules.len() - 3),
        (false, false) => hosts.join(","),
    }
}

fn parameters(o: Node<'_>) -> String {
    let Some(parameters) = o.at("/spec/parameters") else { return "<none>".into() };
    let group = match parameters.at("/apiGroup").and_then(Node::as_str) {
        Some(group) => format!(".{group}"),
        None => String::new(),
    };
    format!("{}{group}/{}", parameters.text("/kind"), parameters.text("/name"))
}

fn parent(o: Node<'_>) -> String {
    let Some(parent) = o.at("/spec/parentRef") else { return "<none>".into() };
    let mut text = parent.text("/resource").to_lowercase();
    for (separator, field) in [('.', "/group"), ('/', "/namespace")] {
        let part = parent.text(field);
        if !part.is_empty() {
            text = format!("{text}{separator}{part}");
        }
    }
    format!("{text}/{}", parent.text("/name"))
}
