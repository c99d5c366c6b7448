//! Nodes (kubectl, pkg/describe/describe.go: describeNode).

use api::object::{flag, list, map, text};
use api::quantity::{Format, Quantity};
use jiff::Timestamp;
use serde_json::Value;

use super::text::{Out, or_none, time};
use crate::output::go;

/// Labels that say what a node is for.
const ROLE: &str = "node-role.kubernetes.io/";

/// A node with its lease and the pods that have not ended.
pub fn node(node: &Value, lease: Option<&Value>, pods: &[Value], now: Timestamp) -> Out {
    let mut out = Out::default();
    let labels = api::object::labels(node);
    out.field(0, "Name", api::object::name(node));
    let roles =
        labels.into_iter().flatten().filter_map(|(key, _)| key.strip_prefix(ROLE)).filter(|role| !role.is_empty());
    out.field(0, "Roles", or_none(&roles.collect::<Vec<_>>().join(",")));
    out.labels("", "Labels", labels);
    out.annotations("", api::object::annotations(node));
    out.field(0, "CreationTimestamp", &time(api::object::creation_timestamp(node).unwrap_or_default()));
    let mut taints: Vec<String> = list(node, "/spec/taints").iter().map(taint).collect();
    taints.sort();
    out.lines("", "Taints", &taints);
    out.field(0, "Unschedulable", &flag(node, "/spec/unschedulable").to_string());
    if let Some(lease) = lease {
        out.line(0, "Lease:");
        let holder = text(lease, "/spec/holderIdentity");
        out.field(1, "HolderIdentity", if holder.is_empty() { "<unset>" } else { holder });
        out.field(1, "AcquireTime", &time(text(lease, "/spec/acquireTime")));
        out.field(1, "RenewTime", &time(text(lease, "/spec/renewTime")));
    }
    conditions(&mut out, node);
    let addresses = list(node, "/status/addresses");
    if !addresses.is_empty() {
        out.line(0, "Addresses:");
    }
    for address in addresses {
        out.field(1, text(address, "/type"), text(address, "/address"));
    }
    for (title, pointer) in [("Capacity", "/status/capacity"), ("Allocatable", "/status/allocatable")] {
        let Some(resources) = map(node, pointer).filter(|map| !map.is_empty()) else { continue };
        out.line(0, &format!("{title}:"));
        resources.iter().for_each(|(name, quantity)| out.field(1, name, &go(quantity)));
    }
    info(&mut out, node);
    allocated(&mut out, node, pods, now);
    out
}

fn taint(taint: &Value) -> String {
    match text(taint, "/value") {
        "" => format!("{}:{}", text(taint, "/key"), text(taint, "/effect")),
        value => format!("{}={value}:{}", text(taint, "/key"), text(taint, "/effect")),
    }
}

fn conditions(out: &mut Out, node: &Value) {
    let conditions = list(node, "/status/conditions");
    if conditions.is_empty() {
        return;
    }
    out.line(0, "Conditions:");
    out.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    out.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for condition in conditions {
        let part = |pointer: &str| text(condition, pointer);
        let (heartbeat, transition) = (time(part("/lastHeartbeatTime")), time(part("/lastTransitionTime")));
        let (kind, status, reason) = (part("/type"), part("/status"), part("/reason"));
        let message = part("/message");
        out.line(1, &format!("{kind} \t{status} \t{heartbeat} \t{transition} \t{reason} \t{message}"));
    }
}

fn info(out: &mut Out, node: &Value) {
    out.line(0, "System Info:");
    for (name, pointer) in [
        ("Machine ID", "/machineID"),
        ("System UUID", "/systemUUID"),
        ("Boot ID", "/bootID"),
        ("Kernel Version", "/kernelVersion"),
        ("OS Image", "/osImage"),
        ("Operating System", "/operatingSystem"),
        ("Architecture", "/architecture"),
        ("Container Runtime Version", "/containerRuntimeVersion"),
        ("Kubelet Version", "/kubeletVersion"),
        ("Kube-Proxy Version", "/kubeProxyVersion"),
    ] {
        out.field(1, name, text(node, &format!("/status/nodeInfo{pointer}")));
    }
    out.optional(0, "PodCIDR", text(node, "/spec/podCIDR"));
    let all: Vec<&str> = list(node, "/spec/podCIDRs").iter().filter_map(Value::as_str).collect();
    out.optional(0, "PodCIDRs", &all.join(","));
    out.optional(0, "ProviderID", text(node, "/spec/providerID"));
}

/// What a pod asks for of one resource: the sum of its containers, or the largest of those that run before them.
fn asked(pod: &Value, which: &str, resource: &str) -> Quantity {
    let of = |container: &Value| {
        let found = container.pointer(&format!("/resources/{which}/{resource}"));
        found.and_then(|value| Quantity::from_value(value).ok()).unwrap_or_else(|| zero(resource))
    };
    let mut sum = zero(resource);
    let mut largest = zero(resource);
    for container in list(pod, "/spec/containers") {
        sum = sum + of(container);
    }
    let mut sidecars = zero(resource);
    for container in list(pod, "/spec/initContainers") {
        if container["restartPolicy"] == "Always" {
            sidecars = sidecars + of(container);
            continue;
        }
        let together = sidecars + of(container);
        largest = if together > largest { together } else { largest };
    }
    let sum = sum + sidecars;
    if largest > sum { largest } else { sum }
}

fn zero(resource: &str) -> Quantity {
    Quantity::from_integer(0, if resource == "cpu" { Format::DecimalSi } else { Format::BinarySi })
}

/// `100m (10%)`.
fn share(amount: Quantity, allocatable: &Value, resource: &str) -> String {
    let whole = allocatable.get(resource).and_then(|value| Quantity::from_value(value).ok());
    let number = |quantity: &Quantity| match resource {
        "cpu" => quantity.milli_value() as f64,
        _ => quantity.value() as f64,
    };
    let whole = whole.map(|whole| number(&whole)).unwrap_or_default();
    let percent = if whole > 0.0 { (number(&amount) / whole * 100.0) as i64 } else { 0 };
    let shown = if amount.is_zero() { "0".to_string() } else { amount.to_string() };
    format!("{shown} ({percent}%)")
}

fn allocated(out: &mut Out, node: &Value, pods: &[Value], now: Timestamp) {
    let nothing = Value::Null;
    let allocatable =
        ["/status/allocatable", "/status/capacity"].iter().find_map(|path| node.pointer(path)).unwrap_or(&nothing);
    out.field(0, "Non-terminated Pods", &format!("({} in total)", pods.len()));
    out.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    out.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    for pod in pods {
        let cell = |which: &str, resource: &str| share(asked(pod, which, resource), allocatable, resource);
        let age = api::duration::age(api::object::creation_timestamp(pod).unwrap_or_default(), now);
        let cells =
            [cell("requests", "cpu"), cell("limits", "cpu"), cell("requests", "memory"), cell("limits", "memory")];
        let (namespace, name) = (api::object::namespace(pod), api::object::name(pod));
        out.line(1, &format!("{namespace}\t{name}\t\t{}\t{age}", cells.join("\t")));
    }
    out.line(0, "Allocated resources:\n  (Total limits may be over 100 percent, i.e., overcommitted.)");
    out.line(1, "Resource\tRequests\tLimits");
    out.line(1, "--------\t--------\t------");
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let total = |which: &str| pods.iter().fold(zero(resource), |sum, pod| sum + asked(pod, which, resource));
        let (requests, limits) =
            (share(total("requests"), allocatable, resource), share(total("limits"), allocatable, resource));
        out.line(1, &format!("{resource}\t{requests}\t{limits}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shares_of_what_can_be_used() {
        let pod = json!({"spec": {
            "containers": [{"resources": {"requests": {"cpu": "50m", "memory": "16Mi"}}}, {"resources": {"requests": {"cpu": "1"}}}],
            "initContainers": [{"resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}],
        }});
        let allocatable = json!({"cpu": "2", "memory": "128Mi"});
        assert_eq!(share(asked(&pod, "requests", "cpu"), &allocatable, "cpu"), "1050m (52%)");
        assert_eq!(share(asked(&pod, "requests", "memory"), &allocatable, "memory"), "64Mi (50%)");
        assert_eq!(share(asked(&pod, "limits", "memory"), &allocatable, "memory"), "0 (0%)");
    }

    #[test]
    fn taints_with_and_without_value() {
        assert_eq!(taint(&json!({"key": "k", "effect": "NoSchedule"})), "k:NoSchedule");
        assert_eq!(taint(&json!({"key": "k", "value": "v", "effect": "NoSchedule"})), "k=v:NoSchedule");
    }
}
