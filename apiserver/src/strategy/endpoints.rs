//! Endpoints and EndpointSlices (upstream: ValidateEndpoints in pkg/apis/core/validation, pkg/apis/discovery/validation).

use std::net::IpAddr;

use api::field::{FieldError, Path};
use api::names;
use serde_json::Value;

use super::Strategy;
use super::check::{At, Errors, PROTOCOLS, parse_ip, run};

/// See the module.
pub struct Endpoints;
/// See the module.
pub struct EndpointSlice;

impl Strategy for Endpoints {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| {
            for subset in At::root(object).get("subsets").items() {
                let (ready, waiting) = (subset.get("addresses"), subset.get("notReadyAddresses"));
                if ready.len() + waiting.len() == 0 {
                    errors.required(&subset, "must specify `addresses` or `notReadyAddresses`");
                }
                for one in ready.items().chain(waiting.items()) {
                    address(&one, errors);
                }
                let ports = subset.get("ports");
                for one in ports.items() {
                    port(&one, ports.len() > 1, errors);
                }
            }
        })
    }
}

fn address(address: &At<'_>, errors: &mut Errors) {
    let ip = address.get("ip");
    errors.ip(&ip);
    errors.named_if_any(&address.get("hostname"), names::dns1123_label);
    if address.get("nodeName").present() {
        errors.named(&address.get("nodeName"), names::dns1123_subdomain);
    }
    errors.ordinary_ip(&ip);
}

fn port(port: &At<'_>, needs_name: bool, errors: &mut Errors) {
    let name = port.get("name");
    if needs_name {
        errors.named_required(&name, names::dns1123_label);
    } else {
        errors.named_if_any(&name, names::dns1123_label);
    }
    errors.port(&port.get("port"));
    errors.one_of(&port.get("protocol"), PROTOCOLS);
    if port.get("appProtocol").present() {
        errors.named(&port.get("appProtocol"), names::qualified_name);
    }
}

impl Strategy for EndpointSlice {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            let kind = root.get("addressType");
            errors.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
            slice_endpoints(&root.get("endpoints"), kind.text(), errors);
            slice_ports(&root.get("ports"), errors);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| errors.unchanged(&new.get("addressType"), &old.get("addressType")))
    }
}

fn too_many(at: &At<'_>, most: usize, errors: &mut Errors) -> bool {
    if at.len() > most {
        errors.0.push(FieldError::too_many(&at.path, at.len(), most));
    }
    at.len() > most
}

fn slice_endpoints(list: &At<'_>, kind: &str, errors: &mut Errors) {
    if too_many(list, 1000, errors) {
        return;
    }
    for endpoint in list.items() {
        let addresses = endpoint.get("addresses");
        if addresses.len() == 0 {
            errors.required(&addresses, "must contain at least 1 address");
        }
        too_many(&addresses, 100, errors);
        for address in addresses.items() {
            slice_address(&address, kind, errors);
        }
        if endpoint.get("nodeName").present() {
            errors.named(&endpoint.get("nodeName"), names::dns1123_subdomain);
        }
        let topology = endpoint.get("deprecatedTopology");
        too_many(&topology, 16, errors);
        errors.labels(&topology);
        if endpoint.get("hostname").present() {
            errors.named(&endpoint.get("hostname"), names::dns1123_label);
        }
        let zones = endpoint.at("hints.forZones");
        if zones.len() > 8 {
            too_many(&zones, 8, errors);
            continue;
        }
        let mut seen = Vec::new();
        for zone in zones.items() {
            let name = zone.get("name");
            if seen.contains(&name.text()) {
                errors.duplicate(&name);
            } else {
                errors.named_required(&name, names::label_value);
            }
            seen.push(name.text());
        }
    }
}

fn slice_address(address: &At<'_>, kind: &str, errors: &mut Errors) {
    let parsed = parse_ip(address.text());
    let fits = match kind {
        "IPv4" => parsed.as_ref().is_some_and(IpAddr::is_ipv4),
        "IPv6" => parsed.as_ref().is_some_and(IpAddr::is_ipv6),
        "FQDN" => return domain(address, errors),
        _ => return,
    };
    if !fits {
        errors.invalid(address, format!("must be a valid {kind} address"));
    }
    errors.ordinary_ip(address);
}

fn domain(address: &At<'_>, errors: &mut Errors) {
    if !errors.filled(address) {
        return;
    }
    let name = address.text().strip_suffix('.').unwrap_or(address.text());
    let complaints = names::dns1123_subdomain(name);
    if complaints.is_empty() && !name.contains('.') {
        errors.invalid_as(address, name, "should be a domain with at least two segments separated by dots");
    }
    errors.0.extend(names::invalid(&address.path, name, complaints));
}

fn slice_ports(list: &At<'_>, errors: &mut Errors) {
    if too_many(list, 20000, errors) {
        return;
    }
    let mut seen = Vec::new();
    for port in list.items() {
        let name = port.get("name");
        errors.named_if_any(&name, names::dns1123_label);
        if seen.contains(&name.text()) {
            errors.0.push(FieldError::duplicate(&Path::clone(&name.path), &name.text().into()));
        }
        seen.push(name.text());
        if port.get("port").int().is_some_and(|number| !(1..=65535).contains(&number)) {
            errors.port(&port.get("port"));
        }
        errors.one_of(&port.get("protocol"), PROTOCOLS);
        if port.get("appProtocol").present() {
            errors.named(&port.get("appProtocol"), names::qualified_name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;
    use serde_json::json;

    #[test]
    fn endpoints() {
        let good = json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}]});
        let table = [
            (good, vec![]),
            (json!({}), vec!["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"]),
            (
                json!({"addresses": [{"ip": "127.0.0.1"}]}),
                vec![
                    "subsets[0].addresses[0].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                ],
            ),
            (
                json!({"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "protocol": "TCP"}, {"port": 0, "protocol": "x", "name": "b"}]}),
                vec![
                    "subsets[0].ports[0].name: Required value",
                    "subsets[0].ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                    "subsets[0].ports[1].protocol: Unsupported value: \"x\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
                ],
            ),
        ];
        for (subset, expected) in table {
            assert_eq!(texts(&Endpoints.validate(&json!({"subsets": [subset]}))), expected, "{subset}");
        }
    }

    #[test]
    fn slices() {
        let table = [
            (json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}), vec![]),
            (json!({}), vec!["addressType: Required value"]),
            (
                json!({"addressType": "IP"}),
                vec!["addressType: Unsupported value: \"IP\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""],
            ),
            (
                json!({"addressType": "IPv4", "endpoints": [{"addresses": []}]}),
                vec!["endpoints[0].addresses: Required value: must contain at least 1 address"],
            ),
            (
                json!({"addressType": "IPv4", "endpoints": [{"addresses": ["fd00::1"]}]}),
                vec!["endpoints[0].addresses[0]: Invalid value: \"fd00::1\": must be a valid IPv4 address"],
            ),
            (
                json!({"addressType": "FQDN", "endpoints": [{"addresses": ["a"]}]}),
                vec![
                    "endpoints[0].addresses[0]: Invalid value: \"a\": should be a domain with at least two segments separated by dots",
                ],
            ),
            (
                json!({"addressType": "IPv4", "endpoints": [], "ports": [{"name": "a", "protocol": "TCP"}, {"name": "a", "protocol": "TCP"}]}),
                vec!["ports[1].name: Duplicate value: \"a\""],
            ),
        ];
        for (slice, expected) in table {
            assert_eq!(texts(&EndpointSlice.validate(&slice)), expected, "{slice}");
        }
        let changed = EndpointSlice.validate_update(&json!({"addressType": "IPv6"}), &json!({"addressType": "IPv4"}));
        assert_eq!(texts(&changed), ["addressType: Invalid value: \"IPv6\": field is immutable"]);
    }
}
