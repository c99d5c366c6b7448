//! What a Service gets of addresses and node ports, and what it asks for and cannot have (upstream:
//! pkg/registry/core/service/storage/alloc.go). Pure: what is free is asked of [`Free`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use api::{FieldError, Path, Status, object};
use serde_json::{Value, json};

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

fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
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

/// What an update leaves out it keeps: clients that do not know the allocated fields must not lose them.
pub fn carry_over(service: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    let (kind, before) = (object::text(service, "/spec/type").to_string(), object::text(old, "/spec/type"));
    if kind == "ExternalName" {
        if before != "ExternalName" && service["spec"]["clusterIP"] == old["spec"]["clusterIP"] {
            release_addresses(service);
        }
    } else if before != "ExternalName" && object::text(service, "/spec/clusterIP").is_empty() {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(field) {
                service["spec"][field] = value.clone();
            }
        }
    }
    if needs_health_port(old) && needs_health_port(service) {
        let unset = service["spec"]["healthCheckNodePort"].as_i64().unwrap_or(0) == 0;
        if let Some(port) = old["spec"].get("healthCheckNodePort").filter(|_| unset) {
            service["spec"]["healthCheckNodePort"] = port.clone();
        }
    }
    let old_ports = object::list(old, "/spec/ports");
    let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for port in ports {
        let same = old_ports.iter().find(|o| o["port"] == port["port"] && protocol(o) == protocol(port));
        let taken = same.and_then(|old| old.get("nodePort")).filter(|number| **number != json!(0)).cloned();
        let Some(taken) = taken else { continue };
        let unset = port["nodePort"].as_i64().unwrap_or(0) == 0;
        if has_node_ports(&kind) && unset {
            port["nodePort"] = taken;
        } else if !has_node_ports(&kind) && has_node_ports(before) && port["nodePort"] == taken {
            port["nodePort"] = Value::Null;
        }
        if let Some(map) = port.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
    }
}

fn release_addresses(service: &mut Value) {
    if let Some(spec) = service["spec"].as_object_mut() {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
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
    /// What the Service holds already.
    pub own: Held,
}

/// Why a Service does not get what it wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It asks for something that it cannot have.
    Invalid(FieldError),
    /// There is nothing left.
    Exhausted(&'static str),
}

impl Refusal {
    /// As upstream answers it.
    pub fn status(self, service: &str) -> Status {
        match self {
            Self::Invalid(error) => Status::invalid("", "Service", service, &[error]),
            Self::Exhausted(what) => Status::internal(format!("failed to allocate {what}: range is full")),
        }
    }
}

/// Gives the Service what it lacks. `pick(n)` chooses one of n.
///
/// # Errors
/// What it asks for and cannot have.
pub fn fill(service: &mut Value, free: &Free<'_>, pick: &dyn Fn(u32) -> u32) -> Result<(), Refusal> {
    let kind = object::text(service, "/spec/type").to_string();
    if kind != "ExternalName" {
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
    let spec = Path::new("spec");
    if object::text(service, "/spec/ipFamilyPolicy") == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        let error = FieldError::invalid(&spec.child("ipFamilyPolicy"), &json!("RequireDualStack"), why);
        return Err(Refusal::Invalid(error));
    }
    let listed = object::list(service, "/spec/clusterIPs").first().and_then(Value::as_str);
    let wanted = match object::text(service, "/spec/clusterIP") {
        "" => listed.unwrap_or_default().to_string(),
        set => set.to_string(),
    };
    let given = match wanted.as_str() {
        "None" => wanted,
        "" => {
            let all = free.ranges.iter().flat_map(|range| range.turn(pick));
            let address = all.into_iter().find(|address| !(free.taken)(*address));
            address.ok_or(Refusal::Exhausted("a serviceIP"))?.to_string()
        }
        text => {
            // What is no address is for the validation to say.
            if let Some(why) = text.parse().ok().and_then(|address| refuse(free, address)) {
                let why = format!("failed to allocate IP {text}: {why}");
                return Err(Refusal::Invalid(FieldError::invalid(&spec.child("clusterIPs"), &json!([text]), why)));
            }
            wanted
        }
    };
    service["spec"]["clusterIP"] = json!(given);
    service["spec"]["clusterIPs"] = json!([given]);
    let fields = [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))];
    for (field, value) in fields {
        if service["spec"].get(field).is_none_or(Value::is_null) {
            service["spec"][field] = value;
        }
    }
    Ok(())
}

fn refuse(free: &Free<'_>, address: Ipv4Addr) -> Option<&'static str> {
    if free.own.addresses.contains(&address) {
        None
    } else if !free.ranges.iter().any(|range| range.contains(address)) {
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
            Refusal::Invalid(FieldError::invalid(&path, &json!(number), why))
        })?;
        own.push((port["port"].as_i64().unwrap_or(0), chosen));
    }
    if health.1 != 0 {
        chosen(free, health.1).map_err(|why| {
            let why = format!("failed to allocate requested HealthCheck NodePort {}: {why}", health.1);
            let path = Path::new("spec").child("healthCheckNodePort");
            Refusal::Invalid(FieldError::invalid(&path, &json!(health.1), why))
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
        Ok(port) if free.own.ports.contains(&port) => Ok(port),
        Ok(port) if free.taken_ports.contains(&port) => Err("provided port is already allocated".into()),
        Ok(port) if free.node_ports.contains(&port) => Ok(port),
        _ => Err(format!("provided port is not in the valid range. The range of valid ports is {first}-{last}")),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
