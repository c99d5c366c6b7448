//! What a pod may ask for that this kubelet and its runtimes cannot give. It is refused, with the field's name, and never left
//! out in silence: a container that runs with less isolation than was asked for is worse than one that does not run. Pure.

use k8s_openapi::api::core::v1::{AppArmorProfile, Container, Pod, SeccompProfile, Sysctl};

use crate::known::memory::Rejection;
use crate::pod;

/// Kernel parameters that belong to the pod's own namespaces and harm nobody else (pkg/kubelet/sysctl/safe_sysctls.go).
const SAFE: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// The kernel parameters that a pod wants, by their names with dots.
pub fn sysctls(pod: &Pod) -> Vec<(String, String)> {
    let wanted = pod::spec(pod).security_context.as_ref().and_then(|context| context.sysctls.as_deref());
    wanted.unwrap_or_default().iter().map(|Sysctl { name, value }| (dotted(name), value.clone())).collect()
}

/// `net/ipv4/conf/eth0.100/x` and `net.ipv4.conf.eth0/100.x` are the same: the first separator says which one it is.
fn dotted(name: &str) -> String {
    let separator = name.find(['.', '/']).map(|at| &name[at..=at]);
    if separator != Some("/") {
        return name.to_string();
    }
    name.chars()
        .map(|c| {
            if c == '/' {
                '.'
            } else if c == '.' {
                '/'
            } else {
                c
            }
        })
        .collect()
}

/// Why the pod may not run here at all (pkg/kubelet/sysctl/allowlist.go).
pub fn forbidden(pod: &Pod) -> Option<Rejection> {
    let shares_network = pod::host_network(pod);
    let why = sysctls(pod).into_iter().find_map(|(name, _)| {
        if shares_network && name.starts_with("net.") {
            return Some(format!("forbidden sysctl: {name:?} not allowed with host net enabled"));
        }
        (!SAFE.contains(&name.as_str())).then(|| format!("forbidden sysctl: {name:?} not allowlisted"))
    })?;
    Some(Rejection { reason: "SysctlForbidden".into(), message: why })
}

/// Whether the container can be given all that it and its pod ask for.
///
/// # Errors
/// Names the first field that cannot be honoured; becomes CreateContainerConfigError.
pub fn check(pod: &Pod, container: &Container) -> Result<(), String> {
    let spec = pod::spec(pod);
    let (of_pod, own) = (spec.security_context.as_ref(), container.security_context.as_ref());
    let profile = |profile: Option<&SeccompProfile>| profile.is_some_and(|p| p.type_ == "Localhost");
    let armor = |profile: Option<&AppArmorProfile>| profile.is_some_and(|p| p.type_ == "Localhost");
    let asked = [
        ("spec.hostPID", spec.host_pid == Some(true)),
        ("spec.hostIPC", spec.host_ipc == Some(true)),
        ("spec.hostUsers: false", spec.host_users == Some(false)),
        ("spec.shareProcessNamespace", spec.share_process_namespace == Some(true)),
        ("spec.runtimeClassName", spec.runtime_class_name.as_ref().is_some_and(|name| !name.is_empty())),
        ("spec.resourceClaims", spec.resource_claims.as_ref().is_some_and(|claims| !claims.is_empty())),
        // The default profile of these runtimes is none.
        ("securityContext.seccompProfile: Localhost", profile(of_pod.and_then(|s| s.seccomp_profile.as_ref()))),
        ("securityContext.seccompProfile: Localhost", profile(own.and_then(|s| s.seccomp_profile.as_ref()))),
        ("securityContext.appArmorProfile: Localhost", armor(of_pod.and_then(|s| s.app_armor_profile.as_ref()))),
        ("securityContext.appArmorProfile: Localhost", armor(own.and_then(|s| s.app_armor_profile.as_ref()))),
        ("securityContext.procMount: Unmasked", own.and_then(|s| s.proc_mount.as_deref()) == Some("Unmasked")),
        (
            "securityContext.supplementalGroupsPolicy: Strict",
            of_pod.and_then(|s| s.supplemental_groups_policy.as_deref()) == Some("Strict"),
        ),
        ("volumeDevices", container.volume_devices.as_ref().is_some_and(|devices| !devices.is_empty())),
        ("lifecycle.stopSignal", container.lifecycle.as_ref().is_some_and(|l| l.stop_signal.is_some())),
        (
            "volumeMounts.mountPropagation: Bidirectional",
            container.volume_mounts.iter().flatten().any(|m| m.mount_propagation.as_deref() == Some("Bidirectional")),
        ),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        None => Ok(()),
        Some((field, _)) => Err(format!("{field} is not supported by this kubelet's runtime")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(spec: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap()
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        let container = |more: Value| {
            let mut container = json!({"name": "c"});
            container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        let with = |field: &str, value: Value| {
            let mut spec = container(json!({}));
            spec[field] = value;
            spec
        };
        let table = [
            (container(json!({})), None),
            (with("hostPID", json!(false)), None),
            (with("hostPID", json!(true)), Some("spec.hostPID")),
            (with("hostIPC", json!(true)), Some("spec.hostIPC")),
            (with("hostUsers", json!(true)), None),
            (with("hostUsers", json!(false)), Some("spec.hostUsers: false")),
            (with("shareProcessNamespace", json!(true)), Some("spec.shareProcessNamespace")),
            (with("runtimeClassName", json!("gvisor")), Some("spec.runtimeClassName")),
            (with("securityContext", json!({"seccompProfile": {"type": "RuntimeDefault"}})), None),
            (
                with("securityContext", json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}})),
                Some("securityContext.seccompProfile: Localhost"),
            ),
            (
                with("securityContext", json!({"supplementalGroupsPolicy": "Strict"})),
                Some("securityContext.supplementalGroupsPolicy: Strict"),
            ),
            (with("securityContext", json!({"supplementalGroupsPolicy": "Merge"})), None),
            (container(json!({"securityContext": {"procMount": "Default"}})), None),
            (
                container(json!({"securityContext": {"procMount": "Unmasked"}})),
                Some("securityContext.procMount: Unmasked"),
            ),
            (container(json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]})), Some("volumeDevices")),
            (
                container(
                    json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}),
                ),
                Some("volumeMounts.mountPropagation: Bidirectional"),
            ),
            (container(json!({"lifecycle": {"stopSignal": "SIGUSR1"}})), Some("lifecycle.stopSignal")),
        ];
        for (spec, field) in table {
            let pod = pod(spec.clone());
            let refused = check(&pod, &pod::spec(&pod).containers[0]);
            let expected = field.map(|field| format!("{field} is not supported by this kubelet's runtime"));
            assert_eq!(refused.err(), expected, "{spec}");
        }
    }

    #[test]
    fn only_safe_sysctls_of_the_pods_own_namespaces_are_set() {
        let wants = |name: &str, host: bool| {
            pod(
                json!({"containers": [], "hostNetwork": host, "securityContext": {"sysctls": [{"name": name, "value": "1"}]}}),
            )
        };
        let table = [
            ("kernel.shm_rmid_forced", false, None),
            ("kernel/shm_rmid_forced", false, None),
            ("net.ipv4.tcp_syncookies", false, None),
            (
                "net.ipv4.tcp_syncookies",
                true,
                Some("forbidden sysctl: \"net.ipv4.tcp_syncookies\" not allowed with host net enabled"),
            ),
            ("kernel.shm_rmid_forced", true, None),
            ("kernel.msgmax", false, Some("forbidden sysctl: \"kernel.msgmax\" not allowlisted")),
            ("vm.swappiness", false, Some("forbidden sysctl: \"vm.swappiness\" not allowlisted")),
        ];
        for (name, host, message) in table {
            let refused = forbidden(&wants(name, host));
            assert_eq!(refused.as_ref().map(|r| r.message.as_str()), message, "{name}");
            assert!(refused.is_none_or(|refused| refused.reason == "SysctlForbidden"));
        }
        assert_eq!(sysctls(&pod(json!({"containers": []}))), []);
    }

    #[test]
    fn both_ways_to_write_a_name_mean_the_same() {
        for (name, expected) in [
            ("a.b.c", "a.b.c"),
            ("a/b/c", "a.b.c"),
            ("net.ipv4.conf.eth0/100.x", "net.ipv4.conf.eth0/100.x"),
            ("net/ipv4/conf/eth0.100/x", "net.ipv4.conf.eth0/100.x"),
            ("plain", "plain"),
        ] {
            assert_eq!(dotted(name), expected, "{name}");
        }
    }
}
