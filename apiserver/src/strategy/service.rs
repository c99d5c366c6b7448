//! Services (upstream: ValidateService in pkg/apis/core/validation, pkg/registry/core/service). Addresses and node ports
//! are given out by `allocation`, on behalf of `registry/create.rs` and `registry/update.rs`, before these checks run.

use std::collections::BTreeSet;

use api::{FieldError, names};
use serde_json::{Value, json};

use super::check::{At, Errors, PROTOCOLS, run};
use super::{Cx, Strategy};

const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const POLICIES: &[&str] = &["Cluster", "Local"];
const NOT_EXTERNAL: &str = "may not be set for ExternalName services";
const ONLY_BALANCED: &str = "may only be used when `type` is 'LoadBalancer'";

/// See the module.
pub struct Service;

impl Strategy for Service {
    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        object["status"] = json!({"loadBalancer": {}});
    }

    fn prepare_update(&self, _cx: &Cx<'_>, new: &mut Value, old: &Value) {
        drop_outlived(new, old);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| validate(&At::root(object).get("spec"), errors))
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| addresses_stay(&new.get("spec"), &old.get("spec"), errors))
    }

    fn warnings(&self, object: &Value, _old: Option<&Value>) -> Vec<String> {
        let spec = At::root(object).get("spec");
        let mut warnings = Vec::new();
        if headless(&spec) && !spec.get("externalIPs").items().collect::<Vec<_>>().is_empty() {
            warnings.push(format!("{}: ignored when clusterIP is \"None\"", spec.get("externalIPs").path));
        }
        if spec.get("type").text() != "ExternalName" && !spec.get("externalName").text().is_empty() {
            warnings.push(format!("{}: ignored when `type` is not \"ExternalName\"", spec.get("externalName").path));
        }
        warnings
    }
}

fn headless(spec: &At<'_>) -> bool {
    spec.get("clusterIP").text() == "None" || spec.get("clusterIPs").items().any(|ip| ip.text() == "None")
}

fn has_node_ports(kind: &str) -> bool {
    matches!(kind, "NodePort" | "LoadBalancer")
}

fn reachable(spec: &At<'_>) -> bool {
    let kind = spec.get("type").text();
    has_node_ports(kind) || (kind == "ClusterIP" && spec.get("externalIPs").len() > 0)
}

/// What belonged to the old type goes with it, unless the request changed it (dropTypeDependentFields).
fn drop_outlived(new: &mut Value, old: &Value) {
    let (now, before) = (new["spec"].clone(), old["spec"].clone());
    let same = |field: &str| now.get(field) == before.get(field);
    let (kind, old_kind) = (now["type"].as_str().unwrap_or_default(), before["type"].as_str().unwrap_or_default());
    let mut gone = Vec::new();
    if kind == "ExternalName" && old_kind != "ExternalName" && same("clusterIP") && same("clusterIPs") {
        gone.extend(["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]);
    }
    if old_kind == "LoadBalancer" && kind != "LoadBalancer" {
        gone.extend(["allocateLoadBalancerNodePorts", "loadBalancerClass"].iter().filter(|field| same(field)));
    }
    let at = |value| At { value, path: api::Path::new("spec") };
    if reachable(&at(&before)) && !reachable(&at(&now)) && same("externalTrafficPolicy") {
        gone.push("externalTrafficPolicy");
    }
    if needs_health_port(&at(&before)) && !needs_health_port(&at(&now)) && same("healthCheckNodePort") {
        gone.push("healthCheckNodePort");
    }
    let node_ports = |spec: &Value| -> BTreeSet<i64> {
        let all = spec["ports"].as_array().into_iter().flatten().filter_map(|port| port["nodePort"].as_i64());
        all.filter(|number| *number != 0).collect()
    };
    // Ports may come, go and change along with the type, as long as no node port is a new one.
    let drop_ports =
        has_node_ports(old_kind) && !has_node_ports(kind) && node_ports(&now).is_subset(&node_ports(&before));
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for field in gone {
        spec.remove(field);
    }
    if drop_ports {
        for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(port) = port.as_object_mut() {
                port.remove("nodePort");
            }
        }
    }
}

fn needs_health_port(spec: &At<'_>) -> bool {
    spec.get("type").text() == "LoadBalancer" && spec.get("externalTrafficPolicy").text() == "Local"
}

fn validate(spec: &At<'_>, errors: &mut Errors) {
    let (kind, ports) = (spec.get("type").text(), spec.get("ports"));
    if ports.len() == 0 && !headless(spec) && kind != "ExternalName" {
        errors.required(&ports, "");
    }
    of_type(spec, kind, errors);
    let mut seen = Vec::new();
    for port in ports.items() {
        one_port(&port, ports.len() > 1, &mut seen, errors);
    }
    errors.labels(&spec.get("selector"));
    affinity(spec, errors);
    addresses(spec, errors);
    for ip in spec.get("externalIPs").items() {
        let before = errors.0.len();
        errors.ip(&ip);
        if errors.0.len() == before {
            errors.ordinary_ip(&ip);
        }
    }
    errors.one_of(&spec.get("type"), TYPES);
    if kind == "ClusterIP" {
        for port in ports.items().filter(|port| port.get("nodePort").int().unwrap_or_default() != 0) {
            errors.forbidden(&port.get("nodePort"), "may not be used when `type` is 'ClusterIP'");
        }
    }
    no_port_twice(&ports, errors);
    balancing(spec, kind, errors);
    traffic(spec, kind, errors);
}

fn of_type(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    if has_node_ports(kind) && headless(spec) {
        let at = At { value: &Value::Null, path: spec.get("clusterIPs").path.index(0) };
        errors.invalid_as(&at, "None", format!("may not be set to 'None' for {kind} services"));
    }
    if kind != "ExternalName" {
        return;
    }
    for list in ["clusterIPs", "ipFamilies"] {
        if spec.get(list).len() > 0 {
            errors.forbidden(&spec.get(list), NOT_EXTERNAL);
        }
    }
    if spec.get("ipFamilyPolicy").present() {
        errors.forbidden(&spec.get("ipFamilyPolicy"), NOT_EXTERNAL);
    }
    let name = spec.get("externalName");
    let bare = name.text().strip_suffix('.').unwrap_or(name.text());
    if bare.is_empty() {
        errors.required(&name, "");
    } else {
        errors.0.extend(names::invalid(&name.path, bare, names::dns1123_subdomain(bare)));
    }
}

fn one_port<'a>(port: &At<'a>, needs_name: bool, seen: &mut Vec<&'a str>, errors: &mut Errors) {
    let name = port.get("name");
    if name.text().is_empty() {
        if needs_name {
            errors.required(&name, "");
        }
    } else {
        errors.named(&name, names::dns1123_label);
        if seen.contains(&name.text()) {
            errors.duplicate(&name);
        }
        seen.push(name.text());
    }
    errors.port(&port.get("port"));
    errors.one_of(&port.get("protocol"), PROTOCOLS);
    errors.port_or_name(&port.get("targetPort"));
    if port.get("appProtocol").present() {
        errors.named(&port.get("appProtocol"), names::qualified_name);
    }
}

fn no_port_twice(ports: &At<'_>, errors: &mut Errors) {
    let (mut on_nodes, mut here) = (Vec::new(), Vec::new());
    for port in ports.items() {
        let protocol = port.get("protocol").text();
        let node_port = port.get("nodePort");
        let key = (protocol, node_port.int().unwrap_or_default());
        if key.1 != 0 {
            if on_nodes.contains(&key) {
                errors.duplicate(&node_port);
            }
            on_nodes.push(key);
        }
    }
    for port in ports.items() {
        let key = (port.get("protocol").text(), port.get("port").int().unwrap_or_default());
        if here.contains(&key) {
            let shown = format!(
                "{{\"Name\":\"\",\"Protocol\":{:?},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                key.0, key.1
            );
            errors.duplicate_struct(&port, &shown, "");
        }
        here.push(key);
    }
}

fn affinity(spec: &At<'_>, errors: &mut Errors) {
    errors.one_of(&spec.get("sessionAffinity"), &["ClientIP", "None"]);
    let config = spec.get("sessionAffinityConfig");
    match spec.get("sessionAffinity").text() {
        "ClientIP" => {
            let timeout = config.at("clientIP.timeoutSeconds");
            let path = [config.clone(), config.get("clientIP"), timeout.clone()];
            if let Some(missing) = path.iter().find(|at| !at.present()) {
                errors.required(missing, "when session affinity type is ClientIP");
            } else if !timeout.int().is_some_and(|seconds| (1..=86400).contains(&seconds)) {
                errors.invalid(&timeout, "must be greater than 0 and less than 86400");
            }
        }
        "None" if config.present() => errors.forbidden(&config, "must not be set when session affinity is None"),
        _ => {}
    }
}

/// Complaints about the fields that say which addresses a Service has (upstream: ValidateServiceClusterIPsRelatedFields).
pub fn address_errors(service: &Value) -> Vec<FieldError> {
    run(|errors| addresses(&At::root(service).get("spec"), errors))
}

fn addresses(spec: &At<'_>, errors: &mut Errors) {
    if spec.get("type").text() == "ExternalName" {
        return;
    }
    let (ip, ips) = (spec.get("clusterIP"), spec.get("clusterIPs"));
    if ip.text().is_empty() {
        if ips.len() > 0 {
            errors.invalid(&ips, "must be empty when `clusterIP` is not specified");
        }
    } else if ips.len() == 0 {
        errors.required(&ips, "");
    } else if ips.items().next().is_some_and(|first| first.text() != ip.text()) {
        errors.invalid(&ips, "first value must match `clusterIP`");
    }
    let mut seen = Vec::new();
    for family in spec.get("ipFamilies").items() {
        errors.supported(&family, &["IPv4", "IPv6"]);
        if seen.contains(&family.text()) {
            errors.duplicate(&family);
        }
        seen.push(family.text());
    }
    let policy = spec.get("ipFamilyPolicy");
    if policy.present() {
        errors.supported(&policy, &["PreferDualStack", "RequireDualStack", "SingleStack"]);
    }
    let before = errors.0.len();
    for (index, address) in ips.items().enumerate() {
        if index > 0 || address.text() != "None" {
            errors.ip(&address);
        } else if ips.len() > 1 {
            errors.invalid(&ips, "'None' must be the first and only value");
        }
    }
    let sound = errors.0.len() == before;
    if ips.len() > 2 {
        errors.invalid(&ips, "may only hold up to 2 values");
    }
    // More cannot be said of what is no address.
    if sound && !headless(spec) {
        one_of_each_family(&ips, &seen, errors);
    }
}

fn one_of_each_family(ips: &At<'_>, stated: &[&str], errors: &mut Errors) {
    let family = |ip: &At<'_>| if ip.text().contains(':') { "IPv6" } else { "IPv4" };
    let families: Vec<&str> = ips.items().map(|ip| family(&ip)).collect();
    if families.len() > 1 && (!families.contains(&"IPv4") || !families.contains(&"IPv6")) {
        errors.invalid(ips, "may specify no more than one IP for each IP family");
    }
    for (index, (ip, stated)) in ips.items().zip(stated).enumerate() {
        if family(&ip) != *stated && ["IPv4", "IPv6"].contains(stated) {
            errors.invalid(&ip, format!("expected an {stated} value as indicated by `ipFamilies[{index}]`"));
        }
    }
}

/// An address that has been given out stays, except on the way to or from `ExternalName`.
fn addresses_stay(new: &At<'_>, old: &At<'_>, errors: &mut Errors) {
    let external = |spec: &At<'_>| spec.get("type").text() == "ExternalName";
    if external(new) || external(old) || (headless(new) && headless(old)) {
        return;
    }
    for field in ["clusterIPs", "ipFamilies"] {
        let (now, before) = (new.get(field), old.get(field));
        for (index, (after, kept)) in now.items().zip(before.items()).enumerate() {
            if after.text() != kept.text() {
                let at = At { value: now.value, path: now.path.index(index) };
                errors.invalid(&at, "may not change once set");
            }
        }
        if now.len() == 0 && before.len() > 0 {
            let at = At { value: now.value, path: now.path.index(0) };
            errors.invalid_as(&at, json!([]), "primary clusterIP can not be unset");
        }
    }
}

fn balancing(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let ranges = spec.get("loadBalancerSourceRanges");
    if ranges.len() > 0 {
        // The capital letter is upstream's.
        let shown = At { value: ranges.value, path: spec.get("LoadBalancerSourceRanges").path };
        if kind != "LoadBalancer" {
            errors.forbidden(&shown, ONLY_BALANCED);
        }
        for range in shown.items() {
            let trimmed = Value::from(range.text().trim());
            errors.cidr(&At { value: &trimmed, path: range.path.clone() });
        }
    }
    for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
        if spec.get(field).present() && kind != "LoadBalancer" {
            errors.forbidden(&spec.get(field), ONLY_BALANCED);
        }
    }
    let class = spec.get("loadBalancerClass");
    if class.present() && kind == "LoadBalancer" {
        errors.named(&class, names::qualified_name);
    }
}

fn traffic(spec: &At<'_>, kind: &str, errors: &mut Errors) {
    let outside = spec.get("externalTrafficPolicy");
    if reachable(spec) {
        errors.one_of(&outside, POLICIES);
    } else if !outside.text().is_empty() {
        errors.invalid(&outside, "may only be set for externally-accessible services");
    }
    let health = spec.get("healthCheckNodePort");
    if health.int().unwrap_or_default() != 0 {
        if needs_health_port(spec) {
            errors.port(&health);
        } else {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&health, detail);
        }
    }
    let inside = spec.get("internalTrafficPolicy");
    if inside.present() {
        errors.supported(&inside, POLICIES);
    } else if kind != "ExternalName" && TYPES.contains(&kind) {
        errors.required(&inside, "");
    }
    let distribution = spec.get("trafficDistribution");
    if distribution.present() {
        errors.supported(&distribution, &["PreferClose", "PreferSameNode", "PreferSameZone"]);
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
