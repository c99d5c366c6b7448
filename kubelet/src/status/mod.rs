//! The status of a pod as a pure function of what the runtime has and the worker remembers, in upstream's words
//! (pkg/kubelet/kubelet_pods.go, pkg/kubelet/status/generate.go).
//!
//! | file | decides |
//! |---|---|
//! | [`containers`] | state, last state, readiness of each container |
//! | [`phase`] | Pending, Running, Succeeded, Failed |
//! | [`conditions`] | the pod's conditions and when they last changed |
//! | [`patch`] | the smallest strategic merge patch from one status to the next |

pub mod conditions;
pub mod containers;
pub mod patch;
pub mod phase;

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::known::memory::Waiting;
use crate::known::memory::{Memory, Rejection};
use crate::known::observed::Observed;
use crate::pod;

/// `status.reason` of a pod that was made to end for the sake of the others.
pub const EVICTED: &str = "Evicted";

/// How the message of a rejected pod begins (pkg/kubelet/kubelet.go, rejectPod).
const REJECTED: &str = "Pod was rejected: ";

/// Everything that the status depends on.
pub struct View<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// What the runtime has.
    pub seen: &'a Observed,
    /// What the worker remembers.
    pub memory: &'a Memory,
    /// Containers in back-off.
    pub waiting: &'a BTreeMap<String, Waiting>,
    /// The status before: keeps transition times, addresses and the conditions of others.
    pub previous: &'a PodStatus,
    /// Addresses of the node.
    pub host_ips: &'a [IpAddr],
    /// Scheme of container IDs, e.g. `process`.
    pub runtime: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// The status of the pod now.
pub fn generate(view: &View<'_>) -> PodStatus {
    if let Some(rejection) = &view.memory.rejected {
        return rejected(view, rejection);
    }
    let generation = view.pod.metadata.generation;
    let init: Vec<_> = containers::init(view);
    let main: Vec<_> = containers::main(view);
    let ended = view.seen.running().next().is_none() && view.memory.starting.is_none();
    let terminating = view.memory.termination.as_ref();
    let mut status = PodStatus {
        qos_class: Some(crate::resources::qos(view.pod).into()),
        observed_generation: generation,
        start_time: Some(Time(view.memory.start_time)),
        nominated_node_name: view.previous.nominated_node_name.clone(),
        resource_claim_statuses: view.previous.resource_claim_statuses.clone(),
        ..PodStatus::default()
    };
    (status.reason, status.message) = (view.previous.reason.clone(), view.previous.message.clone());
    let computed = phase::phase(view.pod, &init, &main, terminating.is_some() && ended);
    let phase = match terminating {
        _ if pod::is_terminal(view.previous) => view.previous.phase.clone().unwrap_or_default(),
        // A pod that is made to end says so once nothing of it runs (status_manager.go).
        Some(termination) if !termination.deletion => {
            status.reason = Some(termination.reason.clone());
            status.message = Some(termination.message.clone());
            if ended { "Failed".into() } else { running_phase(view.previous) }
        }
        _ if is_terminal(computed) && !ended => running_phase(view.previous),
        _ => computed.to_string(),
    };
    status.conditions = Some(conditions::conditions(view, &phase, &init, &main));
    status.phase = Some(phase);
    if !init.is_empty() {
        status.init_container_statuses = Some(init);
    }
    status.container_statuses = Some(main);
    addresses(view, &mut status);
    status
}

/// Upstream's kubelet.rejectPod: nothing was ever tried, so there is nothing to say about containers.
fn rejected(view: &View<'_>, rejection: &Rejection) -> PodStatus {
    PodStatus {
        phase: Some("Failed".into()),
        reason: Some(rejection.reason.clone()),
        message: Some(format!("{REJECTED}{}", rejection.message)),
        conditions: view.previous.conditions.clone(),
        qos_class: Some(crate::resources::qos(view.pod).into()),
        observed_generation: view.pod.metadata.generation,
        start_time: Some(Time(view.memory.start_time)),
        nominated_node_name: view.previous.nominated_node_name.clone(),
        resource_claim_statuses: view.previous.resource_claim_statuses.clone(),
        ..PodStatus::default()
    }
}

/// The rejection that a status tells of, for a restarted kubelet.
pub fn rejection(status: &PodStatus) -> Option<Rejection> {
    let message = status.message.as_deref()?.strip_prefix(REJECTED)?;
    let rejection = Rejection { reason: status.reason.clone().unwrap_or_default(), message: message.into() };
    (pod::is_terminal(status) && status.container_statuses.is_none()).then_some(rejection)
}

fn is_terminal(phase: &str) -> bool {
    phase == "Succeeded" || phase == "Failed"
}

fn running_phase(previous: &PodStatus) -> String {
    previous.phase.clone().filter(|p| !p.is_empty()).unwrap_or_else(|| "Pending".into())
}

fn addresses(view: &View<'_>, status: &mut PodStatus) {
    let text: Vec<String> = view.host_ips.iter().map(ToString::to_string).collect();
    status.host_ip = text.first().cloned();
    status.host_ips = (!text.is_empty()).then(|| text.iter().map(|ip| HostIP { ip: ip.clone() }).collect());
    let ips: Vec<String> = if pod::host_network(view.pod) {
        text
    } else {
        view.seen.sandbox().map(|s| s.ips.iter().map(ToString::to_string).collect()).unwrap_or_default()
    };
    if ips.is_empty() {
        // The API expects a finished pod's address to stay readable.
        status.pod_ip = view.previous.pod_ip.clone();
        status.pod_ips = view.previous.pod_ips.clone();
    } else {
        status.pod_ip = ips.first().cloned();
        status.pod_ips = Some(ips.into_iter().map(|ip| PodIP { ip }).collect());
    }
}
