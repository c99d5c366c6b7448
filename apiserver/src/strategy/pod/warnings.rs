//! What the author of a pod or template should hear although it is valid (upstream: pkg/api/pod/warnings.go and
//! pkg/api/node/util.go).

use api::names;
use api::quantity::Quantity;
use serde_json::Value;

use crate::strategy::check::At;

/// Labels that nodes have under newer names.
const OLD_LABELS: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
];

/// What is said of an old label of nodes.
pub fn of_node_label(key: &str) -> Option<&'static str> {
    OLD_LABELS.iter().find(|(label, _)| *label == key).map(|(_, advice)| *advice)
}

/// Of a pod: the name becomes a host name.
pub fn of_pod(pod: &Value, is_new: bool) -> Vec<String> {
    let root = At::root(pod);
    let mut warnings = Vec::new();
    let complaints = names::dns1123_label(root.at("metadata.name").text());
    if is_new && root.at("spec.hostname").text().is_empty() && !complaints.is_empty() {
        warnings.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [{}]",
            complaints.join(" ")
        ));
    }
    warnings.extend(of_spec(&root.get("spec")));
    warnings
}

/// Of the spec of a pod or template.
pub fn of_spec(spec: &At<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (key, at) in spec.get("nodeSelector").entries() {
        warnings.extend(of_node_label(key).map(|advice| format!("{}: {advice}", at.path)));
    }
    let mut addresses = Vec::new();
    for alias in spec.get("hostAliases").items() {
        let ip = alias.get("ip");
        if addresses.contains(&ip.text()) {
            warnings.push(format!("{}: duplicate ip {:?}", ip.path, ip.text()));
        }
        addresses.push(ip.text());
    }
    let mut secrets = Vec::new();
    for secret in spec.get("imagePullSecrets").items() {
        let name = secret.get("name");
        if name.text().is_empty() {
            warnings.push(format!("{}: invalid empty name {:?}", secret.path, name.text()));
        } else if secrets.contains(&name.text()) {
            warnings.push(format!("{}: duplicate name {:?}", secret.path, name.text()));
        }
        secrets.push(name.text());
    }
    if spec.get("terminationGracePeriodSeconds").int().is_some_and(|seconds| seconds < 0) {
        let path = spec.get("terminationGracePeriodSeconds").path;
        warnings.push(format!("{path}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    for list in ["initContainers", "containers"] {
        spec.get(list).items().for_each(|container| of_container(&container, &mut warnings));
    }
    duplicate_ports(&spec.get("containers"), &mut warnings);
    warnings
}

fn of_container(container: &At<'_>, warnings: &mut Vec<String>) {
    let env = container.get("env");
    let mut seen: Vec<&str> = Vec::new();
    for variable in env.items() {
        let (name, value) = (variable.get("name").text(), variable.get("value").text());
        // A value that builds on the earlier one is meant to replace it.
        if seen.contains(&name) && !value.contains(&format!("$({name})")) {
            warnings.push(format!(
                "{}: hides previous definition of {name:?}, which may be dropped when using apply",
                variable.path
            ));
        }
        seen.push(name);
    }
    for list in ["requests", "limits"] {
        for (name, amount) in container.at("resources").get(list).entries() {
            let fraction = Quantity::from_value(amount.value).is_ok_and(|amount| amount.milli_value() % 1000 != 0);
            if matches!(name, "memory" | "ephemeral-storage" | "storage") && fraction {
                let shown = Quantity::from_value(amount.value).map(|amount| amount.to_string()).unwrap_or_default();
                warnings
                    .push(format!("{}: fractional byte value {shown:?} is invalid, must be an integer", amount.path));
            }
        }
    }
}

fn duplicate_ports(containers: &At<'_>, warnings: &mut Vec<String>) {
    let (mut seen, mut first) = (Vec::new(), Vec::new());
    for container in containers.items() {
        for port in container.get("ports").items() {
            let key = (
                port.get("containerPort").int().unwrap_or_default(),
                port.get("protocol").text(),
                port.get("hostPort").int().unwrap_or_default(),
                port.get("hostIP").text(),
            );
            match seen.iter().position(|other| *other == key) {
                Some(index) => {
                    warnings.push(format!("{}: duplicate port definition with {}", port.path, first[index]));
                }
                None => {
                    seen.push(key);
                    first.push(port.path.clone());
                }
            }
        }
    }
}
