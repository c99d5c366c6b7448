//! What a pod can learn of itself: fieldRef and resourceFieldRef (pkg/fieldpath, pkg/api/v1/resource). Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};

use crate::pod;
use crate::resources::{self, Quantities};

/// What is not in the pod's object.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Addresses of the pod.
    pub pod_ips: Vec<IpAddr>,
    /// Addresses of the node.
    pub host_ips: Vec<IpAddr>,
    /// What limits default to: the node's allocatable resources.
    pub allocatable: Quantities,
}

fn addresses(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn first(ips: &[IpAddr]) -> String {
    ips.first().map(ToString::to_string).unwrap_or_default()
}

/// The value of `metadata.name`, `metadata.labels['key']`, `status.podIP`, …
///
/// # Errors
/// When there is no such field.
pub fn field(pod: &Pod, path: &str, facts: &Facts) -> Result<String, String> {
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.annotations" => &pod.metadata.annotations,
            "metadata.labels" => &pod.metadata.labels,
            _ => return Err(format!("invalid fieldPath {path:?}: does not support subscript")),
        };
        return Ok(map.as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.annotations" => format_map(&pod.metadata.annotations),
        "metadata.labels" => format_map(&pod.metadata.labels),
        "metadata.name" => pod::name(pod).into(),
        "metadata.namespace" => pod::namespace(pod).into(),
        "metadata.uid" => pod::uid(pod).into(),
        "spec.nodeName" => pod::spec(pod).node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => pod::spec(pod).service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&facts.host_ips),
        "status.hostIPs" => addresses(&facts.host_ips),
        "status.podIP" => first(&facts.pod_ips),
        "status.podIPs" => addresses(&facts.pod_ips),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, key) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, key))
}

/// `key="value"` lines, sorted, with values quoted as Go quotes them.
fn format_map(map: &Option<BTreeMap<String, String>>) -> String {
    map.iter().flatten().map(|(k, v)| format!("{k}={}", go_quote(v))).collect::<Vec<_>>().join("\n")
}

fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of `limits.cpu`, `requests.memory`, … of a container, divided by the divisor and rounded up.
///
/// # Errors
/// When there is no such container or resource.
pub fn resource(
    pod: &Pod,
    own: Option<&Container>,
    selector: &ResourceFieldSelector,
    facts: &Facts,
) -> Result<String, String> {
    let named = selector.container_name.as_deref().filter(|n| !n.is_empty());
    let container = match named {
        Some(name) => pod::container(pod, name).map(|(_, c)| c).ok_or(format!("container {name} not found"))?,
        None => own.ok_or("container name required")?,
    };
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (list, resource) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let milli = resources::container_milli(container, list, resource, &facts.allocatable).ok_or_else(unsupported)?;
    let divisor = match selector.divisor.as_ref().map(|d| d.0.as_str()) {
        None | Some("" | "0") => 1000,
        Some(text) => resources::parse_milli(text).filter(|m| *m > 0).ok_or(format!("invalid divisor {text}"))?,
    };
    Ok(((milli + divisor - 1) / divisor).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a": "x\"y"}},
            "spec": {"nodeName": "n", "serviceAccountName": "sa", "containers": [{"name": "c",
                "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}}]}}))
        .unwrap()
    }

    #[test]
    fn fields_of_the_pod() {
        let facts = Facts {
            pod_ips: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            host_ips: vec!["192.168.0.1".parse().unwrap()],
            ..Facts::default()
        };
        let table = [
            ("metadata.name", "p"),
            ("metadata.namespace", "ns"),
            ("metadata.uid", "u"),
            ("metadata.labels", "a=\"x\\\"y\"\nb=\"2\""),
            ("metadata.labels['b']", "2"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations", ""),
            ("spec.nodeName", "n"),
            ("spec.serviceAccountName", "sa"),
            ("status.podIP", "10.0.0.1"),
            ("status.podIPs", "10.0.0.1,fd00::1"),
            ("status.hostIP", "192.168.0.1"),
        ];
        for (path, expected) in table {
            assert_eq!(field(&pod(), path, &facts).as_deref(), Ok(expected), "{path}");
        }
        assert!(field(&pod(), "spec.foo", &facts).is_err());
    }

    #[test]
    fn resources_are_divided_and_rounded_up() {
        let facts = Facts {
            allocatable: [("cpu".to_string(), 4000), ("memory".to_string(), 1 << 40)].into(),
            ..Facts::default()
        };
        let table = [
            ("requests.cpu", "0", "1"),
            ("requests.cpu", "1m", "250"),
            ("limits.cpu", "1", "4"),
            ("requests.memory", "1Mi", "64"),
            ("limits.memory", "1", "134217728"),
            ("limits.memory", "1Gi", "1"),
        ];
        for (name, divisor, expected) in table {
            let selector = serde_json::from_value(json!({"resource": name, "divisor": divisor})).unwrap();
            let pod = pod();
            let value = resource(&pod, pod::containers(&pod).first(), &selector, &facts);
            assert_eq!(value.as_deref(), Ok(expected), "{name} / {divisor}");
        }
    }
}
