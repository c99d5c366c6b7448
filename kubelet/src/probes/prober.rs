//! One task per probe of a running container. Results that change are told to the worker; each failure is an event.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::panics::catch_in;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::task::AbortHandle;

use super::ProbeKind;
use super::grpc;
use super::http;
use super::machine::Machine;
use crate::cluster::Severity;
use crate::node::Node;
use crate::pod::{self, Role};
use crate::runtime::{self, ContainerId};

/// A probe that is to run.
#[derive(Clone)]
pub struct Task {
    /// The node.
    pub node: Arc<Node>,
    /// The pod.
    pub pod: Arc<Pod>,
    /// Which list the container stands in.
    pub role: Role,
    /// Its spec.
    pub container: Container,
    /// The running container.
    pub id: ContainerId,
    /// When it was started.
    pub started_at: Timestamp,
    /// Which probe.
    pub kind: ProbeKind,
    /// The result so far.
    pub result: Option<bool>,
    /// Address of the pod.
    pub ip: Option<IpAddr>,
}

/// Takes the results that changed.
pub type Tell = Arc<dyn Fn(&ContainerId, ProbeKind, bool) + Send + Sync>;

/// The running probes of one pod.
#[derive(Default)]
pub struct Probers {
    running: BTreeMap<(ContainerId, ProbeKind), AbortHandle>,
}

impl Drop for Probers {
    fn drop(&mut self) {
        self.running.values().for_each(AbortHandle::abort);
    }
}

impl Probers {
    /// Starts what is wanted and not running, stops what is not wanted any more.
    pub fn reconcile(&mut self, wanted: Vec<Task>, tell: &Tell) {
        let keys: BTreeSet<_> = wanted.iter().map(|t| (t.id.clone(), t.kind)).collect();
        self.running.retain(|key, task| {
            let keep = keys.contains(key);
            if !keep {
                task.abort();
            }
            keep
        });
        for task in wanted {
            let key = (task.id.clone(), task.kind);
            self.running.entry(key).or_insert_with(|| tokio::spawn(task.run(tell.clone())).abort_handle());
        }
    }
}

/// The probe of `kind` in a container's spec.
pub fn spec(container: &Container, kind: ProbeKind) -> Option<&Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// One outcome that is no success.
struct Unhealthy {
    /// As in the event.
    text: String,
    /// Whether it counts: what could not be asked at all (upstream: unknown) does not.
    counts: bool,
}

impl Task {
    async fn run(self, tell: Tell) {
        let Some(probe) = spec(&self.container, self.kind) else { return };
        let timing = pod::probe_timing(probe);
        let mut machine = Machine::new(self.kind, timing, self.result);
        let age = self.node.now().duration_since(self.started_at);
        let age = Duration::try_from(age).unwrap_or_default();
        tokio::time::sleep(timing.initial_delay.saturating_sub(age)).await;
        let mut ticks = tokio::time::interval(timing.period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let outcome = catch_in(self.probe(probe, timing.timeout)).await;
            let outcome = outcome.unwrap_or_else(|panic| Err(Unhealthy { text: panic, counts: false }));
            if let Err(unhealthy) = &outcome {
                self.tell(unhealthy);
                if !unhealthy.counts {
                    continue;
                }
            }
            let verdict = machine.outcome(outcome.is_ok());
            if let Some(result) = verdict.changed {
                tell(&self.id, self.kind, result);
            }
            if verdict.done {
                return;
            }
        }
    }

    fn tell(&self, unhealthy: &Unhealthy) {
        let title = self.kind.title();
        let verb = if unhealthy.counts { "failed" } else { "errored and resulted in unknown state" };
        let message = format!("{title} probe {verb}: {}", unhealthy.text);
        let field = pod::field_path(self.role, &self.container.name);
        self.node.cluster.event(&self.pod, Some(&field), Severity::Warning, "Unhealthy", &message);
    }

    async fn probe(&self, probe: &Probe, timeout: Duration) -> Result<(), Unhealthy> {
        let failed = |text: String| Unhealthy { text, counts: true };
        let unknown = |text: String| Unhealthy { text, counts: false };
        if let Some(exec) = &probe.exec {
            return self.exec(exec.command.as_deref().unwrap_or_default(), timeout).await;
        }
        if let Some(action) = &probe.http_get {
            let port = pod::resolve_port(&action.port, &self.container).map_err(unknown)?;
            let request = http::Request::new(action, self.ip, port).map_err(unknown)?;
            return http::get(&request, timeout).await.map(drop).map_err(failed);
        }
        if let Some(action) = &probe.tcp_socket {
            let port = pod::resolve_port(&action.port, &self.container).map_err(unknown)?;
            let host = action.host.clone().filter(|h| !h.is_empty()).or(self.ip.map(|ip| ip.to_string()));
            let host = host.ok_or_else(|| unknown("the pod has no address yet".into()))?;
            return match tokio::time::timeout(timeout, http::dial(&host, port)).await {
                Ok(result) => result.map(drop).map_err(failed),
                Err(_) => Err(failed(format!("dial tcp {host}:{port}: i/o timeout"))),
            };
        }
        if let Some(action) = &probe.grpc {
            let ip = self.ip.ok_or_else(|| unknown("the pod has no address yet".into()))?;
            let port = u16::try_from(action.port).map_err(|_| unknown(format!("invalid port {}", action.port)))?;
            let service = action.service.as_deref().unwrap_or_default();
            return grpc::check((ip, port).into(), service, timeout).await.map_err(failed);
        }
        Err(unknown("missing probe handler".into()))
    }

    async fn exec(&self, command: &[String], timeout: Duration) -> Result<(), Unhealthy> {
        match self.node.runtime.exec_sync(&self.id, command, timeout).await {
            Ok(output) if output.exit_code == 0 => Ok(()),
            Ok(output) => {
                let text = [output.stdout, output.stderr].concat();
                Err(Unhealthy { text: String::from_utf8_lossy(&text).into_owned(), counts: true })
            }
            Err(runtime::Error::Timeout(after)) => {
                let seconds = after.as_secs().max(1);
                let text = format!("command timed out: {:?} timed out after {seconds}s", command.join(" "));
                Err(Unhealthy { text, counts: true })
            }
            Err(error) => Err(Unhealthy { text: error.to_string(), counts: false }),
        }
    }
}
