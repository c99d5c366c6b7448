//! What a pod's worker remembers between two plans. Pure data; everything that a restarted kubelet needs is found again in
//! the runtime and in the API.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Container as Spec;

use crate::backoff::Backoff;
use crate::runtime::{Container, ContainerId, ContainerState};

/// How far something that is done once per pod has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Step {
    /// To be done.
    #[default]
    Todo,
    /// Being done.
    Busy,
    /// Done.
    Done,
    /// Failed; to be tried again at `retry`.
    Failed {
        /// When.
        retry: Timestamp,
    },
}

impl Step {
    /// Whether it is to be begun now; else when, if a time is known.
    pub fn due(&self, now: Timestamp) -> Result<(), Option<Timestamp>> {
        match self {
            Self::Todo => Ok(()),
            Self::Failed { retry } if *retry <= now => Ok(()),
            Self::Failed { retry } => Err(Some(*retry)),
            Self::Busy | Self::Done => Err(None),
        }
    }
}

/// Why a container could not be started: becomes its waiting state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// e.g. `CreateContainerConfigError`, `ErrImagePull`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When it failed.
    pub at: Timestamp,
    /// What kind of waiting follows.
    pub retry: Retry,
}

/// Why a container waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// e.g. `CrashLoopBackOff`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// When a failed start is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Retry {
    /// At a fixed time, or when something that the pod refers to changes.
    At(Timestamp),
    /// As the image back-off says.
    Image(String),
    /// As the crash back-off says.
    Crash,
}

/// Results of the probes of one container; `None` = none yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probed {
    /// Startup probe.
    pub startup: Option<bool>,
    /// Liveness probe.
    pub liveness: Option<bool>,
    /// Readiness probe.
    pub readiness: Option<bool>,
}

/// Why a pod is being ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Since when.
    pub since: Timestamp,
    /// Seconds from then to SIGKILL.
    pub grace_seconds: i64,
    /// Whether the object is to be deleted (or is gone); otherwise the pod stays and is Failed.
    pub deletion: bool,
    /// `status.reason`, e.g. `DeadlineExceeded`; empty for a deletion.
    pub reason: String,
    /// `status.message`.
    pub message: String,
}

/// Why the kubelet did not take a pod on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// `status.reason`, e.g. `OutOfcpu`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// The memory of one worker.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Volumes made.
    pub volumes: Step,
    /// Sandbox made (`Done` is not used: the runtime knows).
    pub sandbox: Step,
    /// Sandboxes being stopped, and those that the runtime said are stopped.
    pub sandboxes_stopping: BTreeMap<String, Step>,
    /// The container being started, if any.
    pub starting: Option<String>,
    /// Containers being stopped, with the time at which they will have been killed.
    pub stopping: BTreeMap<ContainerId, Timestamp>,
    /// Containers that could not be started, by name.
    pub failures: BTreeMap<String, Failure>,
    /// Waiting between restarts, by container name.
    pub crashes: Backoff,
    /// Waiting between pulls, by image.
    pub pulls: Backoff,
    /// Probe results, by container.
    pub probed: BTreeMap<ContainerId, Probed>,
    /// References of images, by image name.
    pub image_ids: BTreeMap<String, String>,
    /// Set once the pod is to end.
    pub termination: Option<Termination>,
    /// The phase that the API has accepted, if terminal: it is never left.
    pub finished: bool,
    /// Set if the pod was never taken on.
    pub rejected: Option<Rejection>,
    /// When the kubelet took the pod on.
    pub start_time: Timestamp,
}

impl Memory {
    /// A worker that has done nothing yet.
    pub fn new(start_time: Timestamp) -> Self {
        Self {
            volumes: Step::Todo,
            sandbox: Step::Todo,
            sandboxes_stopping: BTreeMap::new(),
            starting: None,
            stopping: BTreeMap::new(),
            failures: BTreeMap::new(),
            crashes: Backoff::kubelet(),
            pulls: Backoff::kubelet(),
            probed: BTreeMap::new(),
            image_ids: BTreeMap::new(),
            termination: None,
            finished: false,
            rejected: None,
            start_time,
        }
    }

    /// Whether a running container counts as started.
    pub fn is_started(&self, spec: &Spec, container: &Container) -> bool {
        // Starting a container includes its postStart hook.
        let hooked = spec.lifecycle.as_ref().is_some_and(|l| l.post_start.is_some());
        container.state == ContainerState::Running
            && !(hooked && self.starting.as_deref() == Some(&spec.name))
            && (spec.startup_probe.is_none() || self.probes(&container.id).startup == Some(true))
    }

    /// Probe results of a container.
    pub fn probes(&self, id: &str) -> Probed {
        self.probed.get(id).copied().unwrap_or_default()
    }
}
