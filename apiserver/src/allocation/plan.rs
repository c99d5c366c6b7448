//! What a Service gets of addresses and node ports, and what it asks for and cannot have (upstream:
//! pkg/registry/core/service/storage/alloc.go). Pure: what is free is asked of [`Free`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use api::{FieldError, Path, Status, object};
use serde_json::{Value, json};

use super::families;
use super::range::{self, Range};

/// What a Service holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Its own addresses; a headless one has none.
    pub addresses: Vec<Ipv4Addr>,
    /// Its node ports, each number once: one number may serve several protocols.
    pub ports: BTreeSet<u16>,
}

/// What a Service holds, by its specification.
pub fn held(service: &Value) -> Held {
    let number = |value: &Value| u16::try_from(value.as_i64()?).ok().filter(|number| *number != 0);
    let mut held = Held::default();
    if object::text(service, "/spec/type") != "ExternalName" {
        let addresses = object::list(service, "/spec/clusterIPs").iter();
        held.addresses.extend(addresses.filter_map(|ip| ip.as_str()?.parse::<Ipv4Addr>().ok()));
    }
    held.ports.extend(object::list(service, "/spec/ports").iter().filter_map(|port| number(&port["nodePort"])));
    held.ports.extend(number(&service["spec"]["healthCheckNodePort"]));
    held
}

fn has_node_ports(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}

fn needs_health_port(service: &Value) -> bool {
    object::text(service, "/spec/type") == "LoadBalancer"
        && object::text(service, "/spec/externalTrafficPolicy") == "Local"
}

/// Whether giving the Service what it lacks takes a look at the node ports.
pub fn concerns_ports(service: &Value) -> bool {
    has_node_ports(object::text(service, "/spec/type")) || !held(service).ports.is_empty()
}

/// What an update leaves out it keeps: clients that do not know the allocated fields must not lose them (upstream:
/// patchAllocatedValues and normalizeClusterIPs). Node ports go by the name of their port, so that one whose number changes
/// keeps it.
pub fn carry_over(service: &mut Value, old: Option<&Value>) {
    let of = |service: &Value| object::text(service, "/spec/type").to_string();
    let (now, before) = (of(service), old.map(of).unwrap_or_default());
    if let Some(old) = old {
        if now != "ExternalName" && before != "ExternalName" {
            for field in ["clusterIP", "clusterIPs"] {
                keep(service, old, field, |value| value.as_str().is_none_or(str::is_empty) && !has_items(value));
            }
        }
        if has_node_ports(&now) && has_node_ports(&before) {
            keep_ports(service, old);
        }
        if needs_health_port(old) && needs_health_port(service) {
            keep(service, old, "healthCheckNodePort", |value| value.as_i64().unwrap_or(0) == 0);
        }
    }
    let list = |service: &Value| object::list(service, "/spec/clusterIPs").to_vec();
    let (address, all) = (object::text(service, "/spec/clusterIP").to_string(), list(service));
    let same = old.is_some_and(|old| object::text(old, "/spec/clusterIP") == address);
    if !address.is_empty() && (all.is_empty() || (!same && old.is_some_and(|old| list(old) == all))) {
        // A client that knows the one field only.
        service["spec"]["clusterIPs"] = json!([address]);
    } else if address.is_empty() && !same && old.is_some_and(|old| list(old) == all) {
        set_aside(service, &["clusterIPs"]);
    }
}

/// The field as it was, where it is not set now.
fn keep(service: &mut Value, old: &Value, field: &str, unset: impl Fn(&Value) -> bool) {
    if let Some(value) = old["spec"].get(field).filter(|_| unset(&service["spec"][field])) {
        service["spec"][field] = value.clone();
    }
}

fn has_items(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty())
}

fn node_port(port: &Value) -> Option<i64> {
    port["nodePort"].as_i64().filter(|number| *number != 0)
}

fn keep_ports(service: &mut Value, old: &Value) {
    let before = object::list(old, "/spec/ports");
    let used: BTreeSet<i64> = object::list(service, "/spec/ports").iter().filter_map(node_port).collect();
    let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for port in ports.iter_mut().filter(|port| node_port(port).is_none()) {
        let name = |port: &Value| port["name"].as_str().unwrap_or_default().to_string();
        let same = before.iter().rfind(|other| name(other) == name(port));
        // One that the request gives to another port is not to be had.
        if let Some(number) = same.and_then(node_port).filter(|number| !used.contains(number)) {
            port["nodePort"] = json!(number);
        }
    }
}

fn set_aside(service: &mut Value, fields: &[&str]) {
    if let Some(spec) = service["spec"].as_object_mut() {
        for field in fields {
            spec.remove(*field);
        }
    }
}

/// What may be given out.
pub struct Free<'a> {
    /// Whether somebody else has an address.
    pub taken: &'a dyn Fn(Ipv4Addr) -> bool,
    /// The node ports that somebody else has.
    pub taken_ports: BTreeSet<u16>,
    /// Where addresses come from.
    pub ranges: Vec<Range>,
    /// And node ports.
    pub node_ports: RangeInclusive<u16>,
    /// The node ports that the Service has already.
    pub own_ports: BTreeSet<u16>,
}

/// Why a Service does not get what it wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks for something that it cannot have.
    Invalid(Vec<FieldError>),
    /// There is nothing left.
    Exhausted(&'static str),
}

impl Refusal {
    fn one(error: FieldError) -> Self {
        Self::Invalid(vec![error])
    }

    /// As upstream answers it.
    pub fn status(self, service: &str) -> Status {
        match self {
            Self::Invalid(errors) => Status::invalid("", "Service", service, &errors),
            Self::Exhausted(what) => Status::internal(format!("failed to allocate {what}: range is full")),
        }
    }
}

/// Gives the Service, which was `old`, what it lacks. `pick(n)` chooses one of n.
///
/// # Errors
/// What it asks for and cannot have.
pub fn fill(
    service: &mut Value,
    old: Option<&Value>,
    free: &Free<'_>,
    pick: &dyn Fn(u32) -> u32,
) -> Result<(), Refusal> {
    families::settle(service, old).map_err(Refusal::Invalid)?;
    let kind = object::text(service, "/spec/type").to_string();
    // What has had an address keeps it: that it may not change is for the validation to say.
    let has_had = old.is_some_and(|old| object::text(old, "/spec/type") != "ExternalName");
    if kind != "ExternalName" && !has_had {
        address(service, free, pick)?;
    }
    let wanted = match kind.as_str() {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != json!(false),
        _ => false,
    };
    ports(service, free, wanted, pick)
}

fn address(service: &mut Value, free: &Free<'_>, pick: &dyn Fn(u32) -> u32) -> Result<(), Refusal> {
    let given = match object::text(service, "/spec/clusterIP") {
        "None" => return Ok(()),
        "" => {
            let all = free.ranges.iter().flat_map(|range| range.turn(pick));
            let address = all.into_iter().find(|address| !(free.taken)(*address));
            address.ok_or(Refusal::Exhausted("a serviceIP"))?.to_string()
        }
        text => {
            if let Some(why) = text.parse().ok().and_then(|address| refuse(free, address)) {
                let (path, why) =
                    (Path::new("spec").child("clusterIPs"), format!("failed to allocate IP {text}: {why}"));
                return Err(Refusal::one(FieldError::invalid(&path, &service["spec"]["clusterIPs"], why)));
            }
            return Ok(());
        }
    };
    service["spec"]["clusterIP"] = json!(given);
    service["spec"]["clusterIPs"] = json!([given]);
    Ok(())
}

fn refuse(free: &Free<'_>, address: Ipv4Addr) -> Option<&'static str> {
    if !free.ranges.iter().any(|range| range.contains(address)) {
        Some("the provided network does not match the current range")
    } else {
        (free.taken)(address).then_some("provided IP is already allocated")
    }
}

fn ports(service: &mut Value, free: &Free<'_>, wanted: bool, pick: &dyn Fn(u32) -> u32) -> Result<(), Refusal> {
    let path = Path::new("spec").child("ports");
    let health = (needs_health_port(service), service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0));
    let mut own: Vec<(i64, u16)> = Vec::new();
    let mut used: BTreeSet<u16> = held(service).ports;
    for (index, port) in object::list(service, "/spec/ports").iter().enumerate() {
        let Some(number) = port["nodePort"].as_i64().filter(|number| *number != 0) else { continue };
        let chosen = chosen(free, number).map_err(|why| {
            let path = path.index(index).child("nodePort");
            Refusal::one(FieldError::invalid(&path, &json!(number), why))
        })?;
        own.push((port["port"].as_i64().unwrap_or(0), chosen));
    }
    if health.1 != 0 {
        chosen(free, health.1).map_err(|why| {
            let why = format!("failed to allocate requested HealthCheck NodePort {}: {why}", health.1);
            let path = Path::new("spec").child("healthCheckNodePort");
            Refusal::one(FieldError::invalid(&path, &json!(health.1), why))
        })?;
    }
    let next = |used: &mut BTreeSet<u16>| {
        let mut all = range::ports(&free.node_ports, pick);
        let found = all.find(|port| !free.taken_ports.contains(port) && !used.contains(port));
        used.extend(found);
        found
    };
    let list = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut);
    for port in list.into_iter().flatten().filter(|_| wanted) {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        // Protocols of one port share their node port.
        let number = port["port"].as_i64().unwrap_or(0);
        let sibling = own.iter().find(|(port, _)| *port == number).map(|(_, node)| *node);
        let node = sibling.or_else(|| next(&mut used)).ok_or(Refusal::Exhausted("a nodePort"))?;
        port["nodePort"] = json!(node);
        own.push((number, node));
    }
    if health == (true, 0) {
        service["spec"]["healthCheckNodePort"] =
            json!(next(&mut used).ok_or(Refusal::Exhausted("a HealthCheck NodePort"))?);
    }
    Ok(())
}

/// A port that was asked for by its number.
fn chosen(free: &Free<'_>, number: i64) -> Result<u16, String> {
    let (first, last) = (free.node_ports.start(), free.node_ports.end());
    match u16::try_from(number) {
        Ok(port) if free.own_ports.contains(&port) => Ok(port),
        Ok(port) if free.taken_ports.contains(&port) => Err("provided port is already allocated".into()),
        Ok(port) if free.node_ports.contains(&port) => Ok(port),
        _ => Err(format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
