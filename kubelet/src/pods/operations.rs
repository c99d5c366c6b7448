//! What runs beside the worker, so that the worker stays able to hear news: each operation ends with a [`Done`].

use std::sync::Arc;
use std::time::Duration;

use base::panics::catch_in;
use k8s_openapi::api::core::v1::Pod;
use tokio::task::{AbortHandle, JoinSet};

use super::hooks;
use super::launch::Launched;
use super::supplies::Supplies;
use super::unsupported;
use crate::cluster::{Severity, WriteError};
use crate::known::memory::Failure;
use crate::node::Node;
use crate::pod::{self, field_path};
use crate::resources;
use crate::runtime::{self, ContainerId, Sandbox, SandboxId, SandboxSpec, describe};
use crate::volumes::network_files;

/// Between two tries to stop a container that could not be stopped.
const STOP_PAUSE: Duration = Duration::from_secs(1);

/// How an operation ended.
pub enum Done {
    /// Volumes made or brought up to date.
    Supplied(Result<Supplies, Vec<String>>),
    /// A sandbox made.
    Sandboxed(Result<Sandbox, String>),
    /// A sandbox stopped.
    SandboxStopped(SandboxId, Result<(), String>),
    /// A container started.
    Launched {
        /// Its name.
        container: String,
        /// Its image.
        image: String,
        /// How it went.
        result: Result<Launched, Failure>,
    },
    /// A container stopped.
    Stopped(ContainerId),
    /// The status written.
    Written(Result<Arc<Pod>, WriteError>),
    /// Nothing to remember.
    Nothing,
    /// A mistake in an operation: what it was about stays as it is until the kubelet starts again.
    Panicked(String),
}

impl Done {
    /// What it was, for logs.
    pub fn title(&self) -> &'static str {
        match self {
            Self::Supplied(_) => "volumes",
            Self::Sandboxed(_) => "sandbox",
            Self::SandboxStopped(..) => "sandbox stopped",
            Self::Launched { .. } => "container started",
            Self::Stopped(_) => "container stopped",
            Self::Written(_) => "status written",
            Self::Nothing => "cleaned up",
            Self::Panicked(_) => "panicked",
        }
    }
}

/// Starts an operation. Its panic is its pod's loss only.
pub fn operate(operations: &mut JoinSet<Done>, operation: impl Future<Output = Done> + Send + 'static) -> AbortHandle {
    operations.spawn(async { catch_in(operation).await.unwrap_or_else(Done::Panicked) })
}

/// Makes a sandbox.
pub async fn run_sandbox(node: Arc<Node>, pod: Arc<Pod>, attempt: u32) -> Done {
    if attempt > 0 {
        let message = "Pod sandbox changed, it will be killed and re-created.";
        node.cluster.event(&pod, None, Severity::Normal, "SandboxChanged", message);
    }
    let resolv = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let spec = SandboxSpec {
        namespace: pod::namespace(&pod).into(),
        name: pod::name(&pod).into(),
        uid: pod::uid(&pod).into(),
        attempt,
        hostname: if pod::host_network(&pod) { node.name.clone() } else { pod::hostname(&pod) },
        host_network: pod::host_network(&pod),
        labels: pod.metadata.labels.clone().unwrap_or_default(),
        log_directory: node.paths.logs(&pod),
        resolv_conf: Some(network_files::resolv_conf(&pod, &node.dns, &resolv)),
        cgroup_parent: resources::cgroup_parent(&pod),
        resources: resources::whole_pod(&pod),
        sysctls: unsupported::sysctls(&pod),
    };
    Done::Sandboxed(node.runtime.run_sandbox(&spec).await.map_err(|error| {
        let message = format!("Failed to create pod sandbox: {}", describe(&error));
        node.cluster.event(&pod, None, Severity::Warning, "FailedCreatePodSandBox", &message);
        message
    }))
}

/// Stops a sandbox.
pub async fn stop_sandbox(node: Arc<Node>, pod: Arc<Pod>, id: SandboxId) -> Done {
    let result = match node.runtime.stop_sandbox(&id).await {
        Ok(()) | Err(runtime::Error::NotFound(_)) => Ok(()),
        Err(error) => {
            let message = format!("error killing pod: {}", describe(&error));
            node.cluster.event(&pod, None, Severity::Warning, "FailedKillPod", &message);
            Err(message)
        }
    };
    Done::SandboxStopped(id, result)
}

/// Stops a container: preStop hook, SIGTERM, SIGKILL, all within `grace`.
pub async fn stop(
    node: Arc<Node>,
    pod: Arc<Pod>,
    id: ContainerId,
    name: String,
    grace: Duration,
    hook: bool,
    message: String,
) -> Done {
    let found = pod::container(&pod, &name).map(|(role, spec)| (role, spec.clone()));
    let field = found.as_ref().map(|(role, _)| field_path(*role, &name));
    node.cluster.event(&pod, field.as_deref(), Severity::Normal, "Killing", &message);
    let begun = node.clock.monotonic();
    if let Some((_, spec)) = found.filter(|_| hook)
        && let Some(handler) = spec.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref())
    {
        let ip = pod::status(&pod).pod_ip.as_deref().and_then(|ip| ip.parse().ok());
        if let Err(why) = hooks::run(&*node.runtime, &id, &spec, handler, ip, grace).await {
            let message = format!("PreStopHook failed: {why}");
            node.cluster.event(&pod, field.as_deref(), Severity::Warning, "FailedPreStopHook", &message);
        }
    }
    let used = node.clock.monotonic().saturating_sub(begun);
    // What the hook used is gone, but SIGTERM is always given a moment.
    let rest = grace.saturating_sub(used).max(super::plan::MINIMUM_GRACE);
    if let Err(error) = node.runtime.stop_container(&id, rest).await
        && !matches!(error, runtime::Error::NotFound(_))
    {
        tracing::warn!(error = %describe(&error), container = %name, "container cannot be stopped");
        // The worker looks again and finds it running.
        tokio::time::sleep(STOP_PAUSE).await;
    }
    Done::Stopped(id)
}
