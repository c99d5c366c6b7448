//! What the kernel should do for Services, as data. Pure: [`plan`] turns objects into a [`RuleSet`]; the data plane makes
//! it so. Rules of choice are upstream's (kubernetes, pkg/proxy/topology.go, endpointslicecache.go): only ready endpoints
//! get traffic; if there is none, those that still serve while they terminate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// An address range, e.g. `10.64.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// First address.
    pub base: Ipv4Addr,
    /// Bits that count.
    pub bits: u8,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR address: {text}");
        let (base, bits) = text.split_once('/').ok_or_else(invalid)?;
        let base: Ipv4Addr = base.parse().map_err(|_| invalid())?;
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= 32).ok_or_else(invalid)?;
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        Ok(Self { base: Ipv4Addr::from(u32::from(base) & mask), bits })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    fn of(name: Option<&str>) -> Option<Self> {
        match name.unwrap_or("TCP") {
            "TCP" => Some(Self::Tcp),
            "UDP" => Some(Self::Udp),
            _ => None,
        }
    }

    /// As nftables writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An address and port that answers for a Service.
pub type Target = (Ipv4Addr, u16);

/// One port of one Service: where its traffic goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its protocol.
    pub protocol: Protocol,
    /// Sorted; empty = refuse.
    pub targets: Vec<Target>,
}

/// Everything that a node's kernel should do for Services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// `namespace/name:port` → where it goes.
    pub backends: BTreeMap<String, Backend>,
    /// Addresses that lead to a backend: cluster and external ones.
    pub addresses: BTreeMap<(Ipv4Addr, Protocol, u16), String>,
    /// Ports on every address of the node that lead to a backend.
    pub node_ports: BTreeMap<(Protocol, u16), String>,
    /// Addresses of nodes: reached from pods without masquerading.
    pub node_addresses: BTreeSet<Ipv4Addr>,
    /// Range of all pods.
    pub pod_range: Option<Range>,
}

impl RuleSet {
    /// Pod addresses behind Services: what a pod may reach itself through (hairpin).
    pub fn target_addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.backends.values().flat_map(|backend| backend.targets.iter().map(|(ip, _)| *ip)).collect()
    }
}

/// The rules for what the objects say.
pub fn plan(
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
    nodes: &[Arc<Node>],
    pod_range: Range,
) -> RuleSet {
    let mut rules = RuleSet { pod_range: Some(pod_range), ..RuleSet::default() };
    rules.node_addresses = nodes.iter().filter_map(|node| node_address(node)).collect();
    let mut by_service: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices {
        let labels = slice.metadata.labels.as_ref();
        let name = labels.and_then(|labels| labels.get("kubernetes.io/service-name"));
        if let (Some(namespace), Some(name)) = (&slice.metadata.namespace, name) {
            by_service.entry((namespace, name)).or_default().push(slice);
        }
    }
    for service in services {
        let meta = &service.metadata;
        let key = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let slices = by_service.get(&key).map_or(&[][..], Vec::as_slice);
        add_service(&mut rules, service, key, slices);
    }
    rules
}

fn add_service(rules: &mut RuleSet, service: &Service, (namespace, name): (&str, &str), slices: &[&EndpointSlice]) {
    let Some(spec) = &service.spec else { return };
    let Some(cluster_ip) = spec.cluster_ip.as_deref().and_then(|ip| ip.parse::<Ipv4Addr>().ok()) else {
        return; // headless, ExternalName, or not allocated yet
    };
    for port in spec.ports.iter().flatten() {
        let (Some(protocol), Ok(number)) = (Protocol::of(port.protocol.as_deref()), u16::try_from(port.port)) else {
            continue;
        };
        let id = format!("{namespace}/{name}:{}:{number}:{}", port.name.as_deref().unwrap_or(""), protocol.as_str());
        rules.backends.insert(id.clone(), Backend { protocol, targets: targets(slices, port) });
        let external = spec.external_ips.iter().flatten().filter_map(|ip| ip.parse().ok());
        for address in std::iter::once(cluster_ip).chain(external) {
            rules.addresses.insert((address, protocol, number), id.clone());
        }
        if let Some(node_port) = port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0) {
            rules.node_ports.insert((protocol, node_port), id);
        }
    }
}

/// The endpoints that get the traffic of `port`, sorted.
fn targets(slices: &[&EndpointSlice], port: &ServicePort) -> Vec<Target> {
    let ready = collect(slices, port, |endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    });
    let chosen = if ready.is_empty() {
        collect(slices, port, |endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.is_some_and(|c| c.serving == Some(true) && c.terminating == Some(true))
        })
    } else {
        ready
    };
    chosen.into_iter().collect()
}

fn collect(slices: &[&EndpointSlice], port: &ServicePort, usable: fn(&Endpoint) -> bool) -> BTreeSet<Target> {
    let mut found = BTreeSet::new();
    for slice in slices.iter().filter(|slice| slice.address_type == "IPv4") {
        let same = |name: &Option<String>| name.as_deref().unwrap_or("") == port.name.as_deref().unwrap_or("");
        let matching = slice.ports.iter().flatten().filter(|candidate| {
            same(&candidate.name)
                && Protocol::of(candidate.protocol.as_deref()) == Protocol::of(port.protocol.as_deref())
        });
        for number in matching.filter_map(|port| port.port).filter_map(|port| u16::try_from(port).ok()) {
            for endpoint in slice.endpoints.iter().flatten().filter(|endpoint| usable(endpoint)) {
                let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
                found.extend(address.map(|address: Ipv4Addr| (address, number)));
            }
        }
    }
    found
}

/// The node's own address.
pub fn node_address(node: &Node) -> Option<Ipv4Addr> {
    let addresses = node.status.as_ref()?.addresses.iter().flatten();
    addresses.filter(|address| address.type_ == "InternalIP").find_map(|address| address.address.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::serde_json::{from_value, json};

    fn service(spec: k8s_openapi::serde_json::Value) -> Arc<Service> {
        Arc::new(from_value(json!({"metadata": {"namespace": "default", "name": "web"}, "spec": spec})).unwrap())
    }

    /// (address, ready, serving, terminating)
    fn slice(port_name: &str, port: u16, endpoints: &[(&str, bool, bool, bool)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(ip, ready, serving, terminating)| {
                json!({"addresses": [ip],
                       "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
            })
            .collect();
        Arc::new(
            from_value(json!({
                "metadata": {"namespace": "default", "name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
                "addressType": "IPv4", "endpoints": endpoints,
                "ports": [{"name": port_name, "port": port, "protocol": "TCP"}],
            }))
            .unwrap(),
        )
    }

    fn planned(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> RuleSet {
        plan(services, slices, &[], "10.64.0.0/16".parse().unwrap())
    }

    const UP: (bool, bool, bool) = (true, true, false);

    #[test]
    fn ready_endpoints_of_all_slices_serve_the_named_port() {
        let service =
            service(json!({"clusterIP": "10.96.0.9", "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}));
        let slices = [
            slice("http", 8080, &[("10.64.1.2", UP.0, UP.1, UP.2), ("10.64.1.3", false, false, false)]),
            slice("other", 9090, &[("10.64.1.2", UP.0, UP.1, UP.2)]),
        ];
        let rules = planned(&[service], &slices);
        let id = "default/web:http:80:tcp";
        assert_eq!(rules.backends[id].targets, [(Ipv4Addr::new(10, 64, 1, 2), 8080)]);
        assert_eq!(rules.addresses[&(Ipv4Addr::new(10, 96, 0, 9), Protocol::Tcp, 80)], id);
        assert_eq!(rules.node_ports[&(Protocol::Tcp, 30080)], id);
    }

    #[test]
    fn endpoints_that_terminate_serve_only_when_nobody_else_does() {
        let service = service(json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}));
        let dying = ("10.64.1.4", false, true, true);
        /// Address, ready, serving, terminating; and who is chosen.
        type Case<'a> = (&'a [(&'a str, bool, bool, bool)], &'a [[u8; 4]]);
        let table: &[Case<'_>] = &[
            (&[("10.64.1.2", true, true, false), dying], &[[10, 64, 1, 2]]),
            (&[("10.64.1.2", false, false, false), dying], &[[10, 64, 1, 4]]),
            (&[("10.64.1.2", false, false, true)], &[]),
        ];
        for (endpoints, expected) in table {
            let rules = planned(std::slice::from_ref(&service), &[slice("", 80, endpoints)]);
            let got: Vec<_> = rules.backends["default/web::80:tcp"].targets.iter().map(|(ip, _)| ip.octets()).collect();
            assert_eq!(&got, expected);
        }
    }

    #[test]
    fn headless_and_external_name_services_have_no_rules() {
        for spec in [json!({"clusterIP": "None", "ports": [{"port": 80}]}), json!({"type": "ExternalName"})] {
            assert_eq!(planned(&[service(spec)], &[]).backends.len(), 0);
        }
    }

    #[test]
    fn ranges_parse_and_refuse() {
        assert_eq!("10.64.3.7/16".parse::<Range>().unwrap().to_string(), "10.64.0.0/16");
        assert_eq!("0.0.0.0/0".parse::<Range>().unwrap().to_string(), "0.0.0.0/0");
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "x/8"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }
}
