//! Columns of pods. What STATUS says is decided here: the reason that tells most about why a pod is not simply running.

use std::borrow::Cow;

use serde_json::Value;

use super::cells::{self, AGE, NAME, condition, count, is_deleted, join_field, label_map, text_or};
use super::{Column, Row};
use crate::duration;
use crate::view::Node;

/// Pods.
pub const POD: &[Column] = &[
    NAME,
    Column::text("Ready", "Ready containers of all containers", |o, row| {
        let summary = summary(o, row);
        format!("{}/{}", summary.ready, summary.total).into()
    }),
    Column::text("Status", "State of the pod and its containers in one word", |o, row| {
        summary(o, row).reason.as_ref().into()
    }),
    Column::text("Restarts", "How often containers were restarted, and when last", restarts),
    AGE,
    Column::text("IP", "Address of the pod", |o, _| text_or(o, "/status/podIPs/0/ip", "<none>")).wide(),
    Column::text("Node", "Node that the pod is bound to", |o, _| text_or(o, "/spec/nodeName", "<none>")).wide(),
    Column::text("Nominated Node", "Node on which others are being evicted for this pod", |o, _| {
        text_or(o, "/status/nominatedNodeName", "<none>")
    })
    .wide(),
    Column::text("Readiness Gates", "Passed readiness gates of all readiness gates", readiness_gates).wide(),
];

/// Pod templates.
pub const POD_TEMPLATE: &[Column] = &[
    NAME,
    Column::text("Containers", "Names of the containers in the template", |o, _| {
        join_field(o.list("/template/spec/containers"), "name").into()
    }),
    Column::text("Images", "Images of the containers in the template", |o, _| {
        join_field(o.list("/template/spec/containers"), "image").into()
    }),
    Column::text("Pod Labels", "Labels of the template", |o, _| label_map(o, "/template/metadata/labels")),
];

fn summary<'a, 'r>(pod: Node<'a>, row: &'r Row<'a>) -> &'r Summary<'a> {
    row.pod.get_or_init(|| Summary::of(pod))
}

fn restarts<'a>(pod: Node<'a>, row: &Row<'a>) -> Value {
    let summary = summary(pod, row);
    if summary.restarts == 0 || summary.last_restart.is_empty() {
        return summary.restarts.to_string().into();
    }
    format!("{} ({} ago)", summary.restarts, duration::age(summary.last_restart, row.now)).into()
}

fn readiness_gates(pod: Node<'_>, _: &Row<'_>) -> Value {
    let gates = pod.list("/spec/readinessGates");
    if gates.is_empty() {
        return "<none>".into();
    }
    let passed = gates.clone().filter(|gate| cells::is_true(pod, gate.text("/conditionType"))).count();
    format!("{passed}/{}", gates.len()).into()
}

/// What the columns say about the containers.
pub(super) struct Summary<'a> {
    ready: usize,
    total: usize,
    reason: Cow<'a, str>,
    restarts: i64,
    last_restart: &'a str,
}

/// How a container state is named when it explains the pod.
fn terminated_reason(terminated: Node<'_>) -> Cow<'_, str> {
    match (terminated.text("/reason"), count(terminated, "/signal")) {
        ("", 0) => format!("ExitCode:{}", count(terminated, "/exitCode")).into(),
        ("", signal) => format!("Signal:{signal}").into(),
        (reason, _) => reason.into(),
    }
}

fn is_sidecar(pod: Node<'_>, name: &str) -> bool {
    pod.list("/spec/initContainers")
        .any(|container| container.text("/name") == name && container.text("/restartPolicy") == "Always")
}

impl<'a> Summary<'a> {
    fn of(pod: Node<'a>) -> Self {
        let init_specs = pod.list("/spec/initContainers");
        let sidecars = init_specs.clone().filter(|c| c.text("/restartPolicy") == "Always").count();
        let phase = pod.text("/status/phase");
        let status_reason = pod.text("/status/reason");
        let mut summary = Self {
            ready: 0,
            total: pod.list("/spec/containers").len() + sidecars,
            reason: if status_reason.is_empty() { phase } else { status_reason }.into(),
            restarts: 0,
            last_restart: "",
        };
        let gated = |c: Node<'_>| c.text("/reason") == "SchedulingGated";
        if condition(pod, "PodScheduled").is_some_and(gated) {
            summary.reason = "SchedulingGated".into();
        }
        let initializing = summary.add_init_containers(pod, init_specs.len());
        if !initializing || cells::is_true(pod, "Initialized") {
            summary.add_containers(pod);
        }
        if is_deleted(pod) {
            if status_reason == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if phase != "Succeeded" && phase != "Failed" {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    fn add_restarts(&mut self, status: Node<'a>) {
        self.restarts += count(status, "/restartCount");
        // RFC 3339 times in UTC sort as texts.
        self.last_restart = self.last_restart.max(status.text("/lastState/terminated/finishedAt"));
    }

    /// Whether an init container still has to run; then it gives the reason. Once all have run only sidecars' restarts count.
    fn add_init_containers(&mut self, pod: Node<'a>, specs: usize) -> bool {
        let mut sidecars = Self { ready: 0, total: 0, reason: "".into(), restarts: 0, last_restart: "" };
        let mut initializing = false;
        for (index, status) in pod.list("/status/initContainerStatuses").enumerate() {
            self.add_restarts(status);
            let sidecar = is_sidecar(pod, status.text("/name"));
            if sidecar {
                sidecars.add_restarts(status);
            }
            let terminated = status.at("/state/terminated");
            if terminated.is_some_and(|terminated| count(terminated, "/exitCode") == 0) {
                continue;
            }
            if sidecar && status.flag("/started") {
                self.ready += usize::from(status.flag("/ready"));
                continue;
            }
            let waiting = status.text("/state/waiting/reason");
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", terminated_reason(terminated)).into(),
                None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}").into(),
                None => format!("Init:{index}/{specs}").into(),
            };
            initializing = true;
            break;
        }
        if !initializing || cells::is_true(pod, "Initialized") {
            (self.restarts, self.last_restart) = (sidecars.restarts, sidecars.last_restart);
        }
        initializing
    }

    /// The first container that is not running gives the reason; a pod with both finished and running ones is not Completed.
    fn add_containers(&mut self, pod: Node<'a>) {
        let (mut running, mut failure) = (false, Cow::Borrowed(""));
        let statuses: Vec<_> = pod.list("/status/containerStatuses").collect();
        for status in statuses.into_iter().rev() {
            self.add_restarts(status);
            let waiting = status.text("/state/waiting/reason");
            if !waiting.is_empty() {
                self.reason = waiting.into();
            } else if let Some(terminated) = status.at("/state/terminated") {
                self.reason = terminated_reason(terminated);
                if count(terminated, "/exitCode") != 0 {
                    failure.clone_from(&self.reason);
                }
            } else if status.flag("/ready") && status.at("/state/running").is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" {
            if running && cells::is_true(pod, "Ready") {
                self.reason = "Running".into();
            } else if !failure.is_empty() {
                self.reason = failure;
            } else if running {
                self.reason = "NotReady".into();
            }
        }
    }
}

#[cfg(test)]
mod tests;
