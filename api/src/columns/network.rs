//! Columns of services and of the groups networking and discovery.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Column;
use super::cells::{AGE, NAME, count, first_three, join, label_map, label_selector, text, text_or};
use crate::object;

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
        let port = |port: &Value| match (object::integer(port, "/port"), object::at(port, "/name")) {
            (Some(number), _) => number.to_string(),
            (None, Some(name)) => name.as_str().unwrap_or_default().into(),
            (None, None) => "*".into(),
        };
        first_three(&object::list(o, "/ports").iter().map(port).collect::<Vec<_>>()).into()
    }),
    Column::text("Endpoints", "Addresses of the endpoints", |o, _| {
        let endpoints = object::list(o, "/endpoints").iter();
        let addresses = endpoints.flat_map(|endpoint| object::list(endpoint, "/addresses")).filter_map(Value::as_str);
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
        if object::list(o, "/spec/tls").is_empty() { "80".into() } else { "80, 443".into() }
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
    Column::text("CIDRs", "Ranges of addresses", |o, _| {
        join(object::list(o, "/spec/cidrs").iter().filter_map(Value::as_str)).into()
    }),
    AGE,
];

/// Allocated service addresses.
pub const IP_ADDRESS: &[Column] =
    &[NAME, Column::text("ParentRef", "Object that the address belongs to", |o, _| parent(o).into())];

fn load_balancer(o: &Value) -> String {
    let ingress = object::list(o, "/status/loadBalancer/ingress").iter();
    let address = |point| match object::text(point, "/ip") {
        "" => object::text(point, "/hostname"),
        ip => ip,
    };
    join(ingress.map(address).filter(|address| !address.is_empty()).collect::<BTreeSet<_>>())
}

fn external_ip(o: &Value) -> String {
    let mut external: Vec<&str> = object::list(o, "/spec/externalIPs").iter().filter_map(Value::as_str).collect();
    let (balancer, none) = match object::text(o, "/spec/type") {
        "ClusterIP" | "NodePort" => (String::new(), "<none>"),
        "LoadBalancer" => (load_balancer(o), "<pending>"),
        "ExternalName" => return object::text(o, "/spec/externalName").into(),
        _ => return "<unknown>".into(),
    };
    if !balancer.is_empty() {
        external.insert(0, &balancer);
    }
    if external.is_empty() { none.into() } else { external.join(",") }
}

fn ports(o: &Value) -> String {
    let port = |port: &Value| match count(port, "/nodePort") {
        0 => format!("{}/{}", count(port, "/port"), object::text(port, "/protocol")),
        node => format!("{}:{node}/{}", count(port, "/port"), object::text(port, "/protocol")),
    };
    let ports: Vec<String> = object::list(o, "/spec/ports").iter().map(port).collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",") }
}

/// Up to three hosts; how many more is counted in rules, as upstream does.
fn hosts(o: &Value) -> String {
    let rules = object::list(o, "/spec/rules");
    let (mut hosts, mut more) = (Vec::new(), false);
    for rule in rules {
        more |= hosts.len() == 3;
        let host = object::text(rule, "/host");
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

fn parameters(o: &Value) -> String {
    let Some(parameters) = object::at(o, "/spec/parameters") else { return "<none>".into() };
    let group = match object::at(parameters, "/apiGroup").and_then(Value::as_str) {
        Some(group) => format!(".{group}"),
        None => String::new(),
    };
    format!("{}{group}/{}", object::text(parameters, "/kind"), object::text(parameters, "/name"))
}

fn parent(o: &Value) -> String {
    let Some(parent) = object::at(o, "/spec/parentRef") else { return "<none>".into() };
    let mut text = object::text(parent, "/resource").to_lowercase();
    for (separator, field) in [('.', "/group"), ('/', "/namespace")] {
        let part = object::text(parent, field);
        if !part.is_empty() {
            text = format!("{text}{separator}{part}");
        }
    }
    format!("{text}/{}", object::text(parent, "/name"))
}
