//! The conditions of a pod (pkg/kubelet/status/generate.go). Pure. A condition's transition time changes only with its
//! status; conditions that somebody else set are kept.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::View;
use crate::pod;

/// The conditions that the kubelet owns, in upstream's order.
pub const OWNED: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Says that the system ends the pod, not its own doing; others may have said so before.
const DISRUPTION: &str = "DisruptionTarget";

/// The reason of the kubelet's own disruptions.
const BY_KUBELET: &str = "TerminationByKubelet";

/// Whether a condition is the kubelet's to write.
pub fn is_ours(name: &str, reason: &str) -> bool {
    OWNED.contains(&name) || (name == DISRUPTION && reason == BY_KUBELET)
}

struct Finding {
    status: bool,
    reason: &'static str,
    message: String,
}

impl Finding {
    fn yes() -> Self {
        Self { status: true, reason: "", message: String::new() }
    }

    fn no(reason: &'static str, message: String) -> Self {
        Self { status: false, reason, message }
    }
}

/// All conditions of the pod in `phase`.
pub fn conditions(
    view: &View<'_>,
    phase: &str,
    init: &[ContainerStatus],
    main: &[ContainerStatus],
) -> Vec<PodCondition> {
    let containers = containers_ready(view.pod, phase, init, main);
    let ready = ready(view, &containers);
    let sandboxed = view.seen.ready_sandbox().is_some_and(|s| pod::host_network(view.pod) || !s.ips.is_empty());
    let findings = [
        Finding { status: sandboxed, ..Finding::yes() },
        initialized(view.pod, phase, init, main),
        ready,
        containers,
        Finding::yes(),
    ];
    let previous = view.previous.conditions.as_deref().unwrap_or_default();
    let mut all: Vec<PodCondition> = OWNED
        .iter()
        .zip(findings)
        .map(|(name, finding)| {
            let before = previous.iter().find(|c| c.type_ == *name);
            condition(name, finding, before, view.pod.metadata.generation, view.now)
        })
        .collect();
    all.extend(previous.iter().filter(|c| !OWNED.contains(&c.type_.as_str())).cloned());
    if let Some(termination) = view.memory.termination.as_ref().filter(|t| t.reason == super::EVICTED)
        && !all.iter().any(|condition| condition.type_ == DISRUPTION)
    {
        let finding = Finding { status: true, reason: BY_KUBELET, message: termination.message.clone() };
        all.push(condition(DISRUPTION, finding, None, view.pod.metadata.generation, view.now));
    }
    all
}

fn condition(
    name: &str,
    finding: Finding,
    before: Option<&PodCondition>,
    generation: Option<i64>,
    now: Timestamp,
) -> PodCondition {
    let status = if finding.status { "True" } else { "False" };
    let kept = before.filter(|b| b.status == status).and_then(|b| b.last_transition_time.clone());
    PodCondition {
        type_: name.into(),
        status: status.into(),
        reason: Some(finding.reason.to_string()).filter(|r| !r.is_empty()),
        message: Some(finding.message).filter(|m| !m.is_empty()),
        last_transition_time: Some(kept.unwrap_or(Time(whole_second(now)))),
        last_probe_time: None,
        observed_generation: generation,
    }
}

/// API times have whole seconds.
pub fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn list(names: &[&str]) -> String {
    format!("[{}]", names.join(" "))
}

fn findings(unknown: &[&str], lacking: &[&str], how: &str) -> Option<String> {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!("containers with unknown status: {}", list(unknown)));
    }
    if !lacking.is_empty() {
        parts.push(format!("containers with {how} status: {}", list(lacking)));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn containers_ready(pod: &Pod, phase: &str, init: &[ContainerStatus], main: &[ContainerStatus]) -> Finding {
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for (role, spec) in pod::all_containers(pod).filter(|(role, _)| *role != pod::Role::Init) {
        let statuses = if role == pod::Role::Main { main } else { init };
        match statuses.iter().find(|s| s.name == spec.name) {
            Some(status) if status.ready => {}
            Some(_) => unready.push(spec.name.as_str()),
            None => unknown.push(spec.name.as_str()),
        }
    }
    match phase {
        "Succeeded" if unknown.is_empty() => return Finding::no("PodCompleted", String::new()),
        "Failed" if unknown.is_empty() => return Finding::no("PodFailed", String::new()),
        _ => {}
    }
    findings(&unknown, &unready, "unready").map_or_else(Finding::yes, |m| Finding::no("ContainersNotReady", m))
}

fn ready(view: &View<'_>, containers: &Finding) -> Finding {
    if !containers.status {
        return Finding::no(containers.reason, containers.message.clone());
    }
    let present = view.previous.conditions.as_deref().unwrap_or_default();
    let mut lacking = Vec::new();
    for gate in pod::spec(view.pod).readiness_gates.iter().flatten() {
        let name = &gate.condition_type;
        match present.iter().find(|c| c.type_ == *name) {
            None => lacking.push(format!("corresponding condition of pod readiness gate \"{name}\" does not exist.")),
            Some(c) if c.status != "True" => {
                lacking.push(format!("the status of pod readiness gate \"{name}\" is not \"True\", but {}", c.status))
            }
            Some(_) => {}
        }
    }
    if lacking.is_empty() { Finding::yes() } else { Finding::no("ReadinessGatesNotReady", lacking.join(", ")) }
}

fn initialized(pod: &Pod, phase: &str, init: &[ContainerStatus], main: &[ContainerStatus]) -> Finding {
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for spec in pod::init_containers(pod) {
        match init.iter().find(|s| s.name == spec.name) {
            Some(s) if pod::is_sidecar(spec) && s.started == Some(true) => {}
            Some(s) if !pod::is_sidecar(spec) && s.ready => {}
            Some(_) => incomplete.push(spec.name.as_str()),
            None => unknown.push(spec.name.as_str()),
        }
    }
    if phase == "Succeeded" && unknown.is_empty() {
        return Finding { status: true, reason: "PodCompleted", message: String::new() };
    }
    let begun = main.iter().filter_map(|s| s.state.as_ref()).any(|s| s.running.is_some() || s.terminated.is_some());
    if begun {
        return Finding::yes();
    }
    findings(&unknown, &incomplete, "incomplete")
        .map_or_else(Finding::yes, |m| Finding::no("ContainersNotInitialized", m))
}
