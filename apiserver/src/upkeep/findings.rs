//! What is wrong between a Service and the records of what it holds, and what is done about it (upstream: repairip.go and
//! repair.go in pkg/registry/core/service/{ipallocator,portallocator}/controller; reasons and texts are upstream's). Pure.

use std::net::Ipv4Addr;

use api::object;
use serde_json::Value;

use crate::allocation::{FAMILY, MANAGED_BY, MANAGER, refers_to};

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Only a person can help.
    Tell,
    /// Write the record for the Service, in place of what stands there.
    Write,
    /// Remove the record.
    Remove,
}

/// Something wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Reason of the event; empty = not worth one.
    pub reason: &'static str,
    /// Text of the event.
    pub note: String,
    /// What to do.
    pub act: Act,
}

impl Finding {
    fn new(reason: &'static str, act: Act, note: String) -> Option<Self> {
        Some(Self { reason, note, act })
    }
}

/// An address that a Service holds. `record` is the IPAddress of that name; `holder` the Service that it names, if there
/// is one.
pub fn of_service(
    service: &Value,
    address: Ipv4Addr,
    in_range: bool,
    record: Option<&Value>,
    holder: Option<&Value>,
) -> Option<Finding> {
    let name = format!("{}/{}", object::namespace(service), object::name(service));
    if !in_range {
        let note =
            format!("Cluster IP [IPv4]: {address} is not within any configured Service CIDR; please recreate service");
        return Finding::new("ClusterIPOutOfRange", Act::Tell, note);
    }
    let Some(record) = record else {
        let note = format!("Cluster IP [IPv4]: {address} is not allocated; repairing");
        return Finding::new("ClusterIPNotAllocated", Act::Write, note);
    };
    if refers_to(record, service) {
        let labelled =
            object::label(record, FAMILY) == Some("IPv4") && object::label(record, MANAGED_BY) == Some(MANAGER);
        return if labelled { None } else { Finding::new("", Act::Write, String::new()) };
    }
    let shared = holder.is_some_and(|holder| holds(holder, &address.to_string()));
    if shared {
        let note = format!("Cluster IP [IPv4]:{address} was assigned to multiple services; please recreate service");
        return Finding::new("ClusterIPAlreadyAllocated", Act::Tell, note);
    }
    let note = format!("the ClusterIP [IPv4]: {address} for Service {name} has a wrong reference; repairing");
    Finding::new("ClusterIPNotAllocated", Act::Write, note)
}

/// An IPAddress. `holder` is the Service that it names, if there is one.
pub fn of_address(record: &Value, holder: Option<&Value>) -> Option<Finding> {
    if object::label(record, MANAGED_BY) != Some(MANAGER) {
        return None;
    }
    let name = object::name(record);
    let parent = |field: &str| object::text(record, &format!("/spec/parentRef/{field}"));
    if (parent("group"), parent("resource")) != ("", "services") {
        let note = format!(
            "IPAddress {name} appears to have been modified, not referencing a Service &ParentReference{{Group:{},Resource:{},Namespace:{},Name:{},}}: cleaning up",
            parent("group"),
            parent("resource"),
            parent("namespace"),
            parent("name")
        );
        return Finding::new("IPAddressNotAllocated", Act::Remove, note);
    }
    let service = format!("{}/{}", parent("namespace"), parent("name"));
    match holder {
        None => {
            let note = format!("IPAddress: {name} for Service {service} appears to have leaked: cleaning up");
            Finding::new("IPAddressNotAllocated", Act::Remove, note)
        }
        Some(holder) if holds(holder, name) => None,
        Some(_) => {
            let note = format!("IPAddress: {name} for Service {service} has a wrong reference; cleaning up");
            Finding::new("IPAddressWrongReference", Act::Remove, note)
        }
    }
}

fn holds(service: &Value, address: &str) -> bool {
    object::list(service, "/spec/clusterIPs").iter().any(|ip| ip == address)
}

/// A node port that a Service holds. `owner` is whom the record of the port names, `owner_holds` whether that Service is
/// there and has the port too.
pub fn of_port(service: &str, port: u16, in_range: bool, owner: Option<&str>, owner_holds: bool) -> Option<Finding> {
    if !in_range {
        let note = format!("Port {port} is not within the port range; please recreate service");
        return Finding::new("PortOutOfRange", Act::Tell, note);
    }
    match owner {
        Some(owner) if owner == service => None,
        Some(_) if owner_holds => {
            let note = format!("Port {port} was assigned to multiple services; please recreate service");
            Finding::new("PortAlreadyAllocated", Act::Tell, note)
        }
        _ => Finding::new("PortNotAllocated", Act::Write, format!("Port {port} is not allocated; repairing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, addresses: &[&str]) -> Value {
        json!({"metadata": {"namespace": "a", "name": name}, "spec": {"clusterIPs": addresses}})
    }

    fn record(name: &str, resource: &str, service: &str) -> Value {
        json!({"metadata": {"name": name, "labels": {FAMILY: "IPv4", MANAGED_BY: MANAGER}},
               "spec": {"parentRef": {"resource": resource, "namespace": "a", "name": service}}})
    }

    const IP: &str = "10.0.0.1";

    #[test]
    fn a_service_and_its_record() {
        let own = service("x", &[IP]);
        let (right, wrong) = (record(IP, "services", "x"), record(IP, "services", "y"));
        let mut unlabelled = right.clone();
        unlabelled["metadata"]["labels"] = json!({});
        let (sharing, other) = (service("y", &[IP]), service("y", &["10.0.0.2"]));
        let gateway = record(IP, "gateways", "x");
        let table = [
            (true, Some(&right), None, None),
            (false, Some(&right), None, Some(("ClusterIPOutOfRange", Act::Tell))),
            (true, None, None, Some(("ClusterIPNotAllocated", Act::Write))),
            (true, Some(&unlabelled), None, Some(("", Act::Write))),
            (true, Some(&wrong), None, Some(("ClusterIPNotAllocated", Act::Write))),
            (true, Some(&wrong), Some(&other), Some(("ClusterIPNotAllocated", Act::Write))),
            (true, Some(&wrong), Some(&sharing), Some(("ClusterIPAlreadyAllocated", Act::Tell))),
            (true, Some(&gateway), None, Some(("ClusterIPNotAllocated", Act::Write))),
        ];
        for (in_range, record, holder, expected) in table {
            let found = of_service(&own, IP.parse().unwrap(), in_range, record, holder);
            assert_eq!(
                found.map(|finding| (finding.reason, finding.act)),
                expected,
                "{in_range} {record:?} {holder:?}"
            );
        }
    }

    #[test]
    fn a_record_and_its_service() {
        let mut foreign = record(IP, "services", "x");
        foreign["metadata"]["labels"][MANAGED_BY] = json!("somebody");
        let (has, has_not) = (service("x", &[IP]), service("x", &["10.0.0.2"]));
        let table = [
            (foreign, None, None),
            (record(IP, "services", "x"), Some(&has), None),
            (record(IP, "services", "x"), None, Some("IPAddressNotAllocated")),
            (record(IP, "services", "x"), Some(&has_not), Some("IPAddressWrongReference")),
            (record(IP, "gateways", "x"), Some(&has), Some("IPAddressNotAllocated")),
        ];
        for (record, holder, expected) in table {
            let found = of_address(&record, holder);
            assert_eq!(found.as_ref().map(|finding| finding.reason), expected, "{record} {holder:?}");
            assert!(found.is_none_or(|finding| finding.act == Act::Remove));
        }
    }

    #[test]
    fn a_node_port_and_its_record() {
        let table = [
            (true, Some("a/x"), true, None),
            (true, None, false, Some(("PortNotAllocated", Act::Write))),
            (true, Some("a/y"), false, Some(("PortNotAllocated", Act::Write))),
            (true, Some("a/y"), true, Some(("PortAlreadyAllocated", Act::Tell))),
            (false, Some("a/x"), true, Some(("PortOutOfRange", Act::Tell))),
        ];
        for (in_range, owner, holds, expected) in table {
            let found = of_port("a/x", 30000, in_range, owner, holds);
            assert_eq!(found.map(|finding| (finding.reason, finding.act)), expected, "{in_range} {owner:?} {holds}");
        }
    }
}
