//! Questions about a typed pod, with the defaults that the API server would have filled in: manifests from a directory
//! come without them. Pure.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec, PodStatus, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Where the manifest of a pod came from: `api` or `file`.
pub const SOURCE: &str = "kubernetes.io/config.source";
/// Hash of the manifest of a static pod; equal to its UID.
pub const HASH: &str = "kubernetes.io/config.hash";
/// On a mirror pod: the hash of the static pod that it shows.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// When the kubelet first saw the manifest.
pub const SEEN: &str = "kubernetes.io/config.seen";

/// The default of `terminationGracePeriodSeconds` (core/v1 defaults).
pub const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What happens to a container that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// It is started again.
    Always,
    /// It is started again unless its exit code was 0.
    OnFailure,
    /// It stays as it ended.
    Never,
}

impl RestartPolicy {
    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }
}

/// Which list of the pod a container stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that keeps running beside the main ones (restartPolicy Always).
    Sidecar,
    /// One of `spec.containers`.
    Main,
}

static EMPTY_SPEC: std::sync::LazyLock<PodSpec> = std::sync::LazyLock::new(PodSpec::default);
static EMPTY_STATUS: std::sync::LazyLock<PodStatus> = std::sync::LazyLock::new(PodStatus::default);

/// The spec; an empty one when there is none.
pub fn spec(pod: &Pod) -> &PodSpec {
    pod.spec.as_ref().unwrap_or(&EMPTY_SPEC)
}

/// The status; an empty one when there is none.
pub fn status(pod: &Pod) -> &PodStatus {
    pod.status.as_ref().unwrap_or(&EMPTY_STATUS)
}

/// Namespace, `default` when a manifest leaves it out.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or("default")
}

/// Name.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// UID.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}

/// `name_namespace(uid)`, as upstream's messages name a pod (pkg/kubelet/util/format).
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// An annotation.
pub fn annotation<'a>(pod: &'a Pod, key: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether the pod came from a directory rather than from the API.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE).is_some_and(|source| source != "api") && !is_mirror(pod)
}

/// Whether this API object only shows a static pod.
pub fn is_mirror(pod: &Pod) -> bool {
    annotation(pod, MIRROR).is_some()
}

/// The pod's restart policy.
pub fn restart_policy(pod: &Pod) -> RestartPolicy {
    RestartPolicy::parse(spec(pod).restart_policy.as_deref())
}

/// Init containers in their order.
pub fn init_containers(pod: &Pod) -> &[Container] {
    spec(pod).init_containers.as_deref().unwrap_or_default()
}

/// Main containers in their order.
pub fn containers(pod: &Pod) -> &[Container] {
    &spec(pod).containers
}

/// Every container with its role: init containers and sidecars in their order, then the main ones.
pub fn all_containers(pod: &Pod) -> impl DoubleEndedIterator<Item = (Role, &Container)> {
    let init = init_containers(pod).iter().map(|c| (if is_sidecar(c) { Role::Sidecar } else { Role::Init }, c));
    init.chain(containers(pod).iter().map(|c| (Role::Main, c)))
}

/// A container by name, with its role.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    all_containers(pod).find(|(_, c)| c.name == name)
}

/// Whether an init container is a sidecar.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The policy that applies to a container: its own, or the pod's; init containers of an Always pod are retried on
/// failure (kuberuntime, shouldRestartOnFailure).
pub fn container_restart_policy(pod: &Pod, role: Role, container: &Container) -> RestartPolicy {
    match (role, restart_policy(pod), container.restart_policy.as_deref()) {
        (Role::Sidecar, ..) => RestartPolicy::Always,
        (Role::Init, RestartPolicy::Always, None) => RestartPolicy::OnFailure,
        (_, _, own @ Some(_)) => RestartPolicy::parse(own),
        (_, pods, None) => pods,
    }
}

/// Whether a container that ended with `exit_code` is to be started again. Its restart rules come first
/// (KEP-5307), then its policy.
pub fn restarts(pod: &Pod, role: Role, container: &Container, exit_code: i32) -> bool {
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    let by_rule = rules.iter().any(|rule| {
        let Some(codes) = &rule.exit_codes else { return false };
        let listed = codes.values.as_deref().unwrap_or_default().contains(&exit_code);
        rule.action == "Restart" && listed == (codes.operator == "In")
    });
    by_rule
        || match container_restart_policy(pod, role, container) {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
}

/// Seconds between SIGTERM and SIGKILL that the spec asks for.
pub fn grace_seconds(pod: &Pod) -> i64 {
    spec(pod).termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_SECONDS)
}

/// Whether the status already says Succeeded or Failed.
pub fn is_terminal(status: &PodStatus) -> bool {
    matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// The recorded status of a container, wherever it stands.
pub fn recorded<'a>(status: &'a PodStatus, name: &str) -> Option<&'a ContainerStatus> {
    let init = status.init_container_statuses.as_deref().unwrap_or_default();
    let main = status.container_statuses.as_deref().unwrap_or_default();
    init.iter().chain(main).find(|s| s.name == name)
}

/// Whether the pod uses the network of its node.
pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

/// The image as it is asked of the runtime.
pub fn image(container: &Container) -> &str {
    container.image.as_deref().unwrap_or_default()
}

/// `imagePullPolicy` with its default: Always for the tag `latest` or none, else IfNotPresent.
pub fn pull_policy(container: &Container) -> &str {
    match container.image_pull_policy.as_deref() {
        Some(policy) if !policy.is_empty() => policy,
        _ => {
            let image = image(container);
            let last = image.rsplit('/').next().unwrap_or(image);
            let untagged = !last.contains(':') && !image.contains('@');
            if untagged || last.ends_with(":latest") { "Always" } else { "IfNotPresent" }
        }
    }
}

/// Where the termination message is written inside the container.
pub fn termination_message_path(container: &Container) -> &str {
    container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or("/dev/termination-log")
}

/// A port given by number, by the name of a container port, or as a number in a string.
pub fn resolve_port(port: &IntOrString, container: &Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => i64::from(*number),
        IntOrString::String(name) => {
            let named = container.ports.iter().flatten().find(|p| p.name.as_deref() == Some(name));
            match named {
                Some(port) => i64::from(port.container_port),
                None => name.parse().map_err(|_| format!("port {name} not found"))?,
            }
        }
    };
    u16::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| format!("invalid port number: {number}"))
}

/// The numbers of a probe with their defaults (core/v1 defaults).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeTiming {
    /// Before the first probe.
    pub initial_delay: Duration,
    /// Between probes.
    pub period: Duration,
    /// Of one probe.
    pub timeout: Duration,
    /// Successes in a row until it counts as passing.
    pub success_threshold: u32,
    /// Failures in a row until it counts as failing.
    pub failure_threshold: u32,
}

/// The numbers of `probe`.
pub fn probe_timing(probe: &Probe) -> ProbeTiming {
    let seconds = |value: Option<i32>, default: u64| {
        Duration::from_secs(value.and_then(|v| u64::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default))
    };
    let times = |value: Option<i32>, default: u32| {
        value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
    };
    ProbeTiming {
        initial_delay: seconds(probe.initial_delay_seconds, 0),
        period: seconds(probe.period_seconds, 10),
        timeout: seconds(probe.timeout_seconds, 1),
        success_threshold: times(probe.success_threshold, 1),
        failure_threshold: times(probe.failure_threshold, 3),
    }
}

/// Host name and subdomain of the pod: `spec.hostname`, else its name cut to what a host name may be.
pub fn hostname(pod: &Pod) -> String {
    let wanted = spec(pod).hostname_override.as_deref().or(spec(pod).hostname.as_deref()).filter(|h| !h.is_empty());
    let name = wanted.unwrap_or_else(|| name(pod));
    let cut: String = name.chars().take(63).collect();
    cut.trim_end_matches(['-', '.']).to_string()
}

/// How messages and events name a container: `spec.containers{name}`.
pub fn field_path(role: Role, name: &str) -> String {
    let list = if role == Role::Main { "containers" } else { "initContainers" };
    format!("spec.{list}{{{name}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn container(value: serde_json::Value) -> Container {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn pull_policy_defaults_by_tag() {
        let table = [
            ("busybox", "Always"),
            ("busybox:latest", "Always"),
            ("busybox:1.36", "IfNotPresent"),
            ("localhost:5000/busybox", "Always"),
            ("localhost:5000/busybox:1", "IfNotPresent"),
            ("busybox@sha256:abc", "IfNotPresent"),
        ];
        for (image, expected) in table {
            assert_eq!(pull_policy(&container(json!({"name": "c", "image": image}))), expected, "{image}");
        }
        assert_eq!(pull_policy(&container(json!({"name": "c", "image": "x", "imagePullPolicy": "Never"}))), "Never");
    }

    #[test]
    fn ports_resolve_by_number_name_and_text() {
        let c = container(json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]}));
        assert_eq!(resolve_port(&IntOrString::Int(80), &c), Ok(80));
        assert_eq!(resolve_port(&IntOrString::String("web".into()), &c), Ok(8080));
        assert_eq!(resolve_port(&IntOrString::String("81".into()), &c), Ok(81));
        assert_eq!(resolve_port(&IntOrString::String("nope".into()), &c), Err("port nope not found".into()));
        assert_eq!(resolve_port(&IntOrString::Int(70000), &c), Err("invalid port number: 70000".into()));
    }

    #[test]
    fn restart_decisions() {
        // (pod policy, container policy, role, exit code, restarts)
        let table = [
            ("Always", None, Role::Main, 0, true),
            ("OnFailure", None, Role::Main, 0, false),
            ("OnFailure", None, Role::Main, 1, true),
            ("Never", None, Role::Main, 1, false),
            ("Never", Some("Always"), Role::Sidecar, 0, true),
            ("Never", Some("OnFailure"), Role::Main, 1, true),
            ("Always", None, Role::Init, 0, false),
            ("Always", None, Role::Init, 1, true),
            ("Never", None, Role::Init, 1, false),
        ];
        for (pods, own, role, code, expected) in table {
            let pod: Pod = serde_json::from_value(json!({"spec": {"restartPolicy": pods, "containers": []}})).unwrap();
            let c = container(json!({"name": "c", "restartPolicy": own}));
            assert_eq!(restarts(&pod, role, &c, code), expected, "{pods} {own:?} {role:?} {code}");
        }
        let pod: Pod = serde_json::from_value(json!({"spec": {"restartPolicy": "Never", "containers": []}})).unwrap();
        let ruled = container(json!({"name": "c", "restartPolicy": "Never", "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]}));
        assert!(restarts(&pod, Role::Main, &ruled, 42));
        assert!(!restarts(&pod, Role::Main, &ruled, 1));
    }

    #[test]
    fn host_names_fit() {
        let long = format!("{}-x", "a".repeat(62));
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": long}})).unwrap();
        assert_eq!(hostname(&pod), "a".repeat(62));
    }
}
