//! The worker's hands: begins the plan's actions, and takes what came of them.

use std::sync::Arc;

use base::panics::catch;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::launch::Launch;
use super::operations::{self, Done, operate};
use super::plan::Action;
use super::supplies::{self, Supplies};
use super::worker::Worker;
use crate::cluster::{Severity, WriteError};
use crate::known::memory::{Retry, Step, Termination};
use crate::known::observed::Observed;
use crate::pod;

impl Worker {
    /// Begins an action. Returns whether the plan is to be made anew at once.
    pub(super) fn act(&mut self, action: Action, seen: &Observed) -> bool {
        let (node, pod) = (self.node.clone(), self.pod.clone());
        tracing::debug!(pod = pod::name(&pod), ?action, "acting");
        match action {
            Action::PrepareVolumes => self.supply(),
            Action::RunSandbox { attempt } => {
                self.memory.sandbox = Step::Busy;
                operate(&mut self.operations, operations::run_sandbox(node, pod, attempt));
            }
            Action::StopSandbox { id } => {
                self.memory.sandboxes_stopping.insert(id.clone(), Step::Busy);
                operate(&mut self.operations, operations::stop_sandbox(node, pod, id));
            }
            Action::Start { container, attempt, after } => self.launch(&container, attempt, after, seen),
            Action::Stop { id, container, grace, message } => {
                let killed_by = self.node.now().saturating_add(grace).unwrap_or(Timestamp::MAX);
                // Asked again with less time: the hook has had its turn.
                let first = self.memory.stopping.insert(id.clone(), killed_by).is_none();
                let stop = operations::stop(node, pod, id.clone(), container, grace, first, message);
                if let Some(slower) = self.stops.insert(id, operate(&mut self.operations, stop)) {
                    slower.abort();
                }
            }
            Action::Terminate { reason, message } => {
                self.node.cluster.event(&self.pod, None, Severity::Normal, &reason, &message);
                let grace_seconds = pod::grace_seconds(&self.pod);
                let since = self.node.now();
                self.memory.termination = Some(Termination { since, grace_seconds, deletion: false, reason, message });
                return true;
            }
            Action::Finished => self.settle(),
        }
        false
    }

    /// The pod has run to its end but its object stays: its volumes are of no more use, its logs are.
    fn settle(&mut self) {
        let settled = self.memory.finished && self.memory.volumes == Step::Todo;
        if settled || self.supplying {
            return;
        }
        self.memory.finished = true;
        self.memory.volumes = Step::Todo;
        self.supplies = Supplies::default();
        let (paths, uid) = (self.node.paths.clone(), pod::uid(&self.pod).to_string());
        self.operations.spawn_blocking(move || {
            match catch(|| crate::volumes::setup::teardown(&paths, &uid)) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, uid, "volumes cannot be removed"),
                Err(panic) => return Done::Panicked(panic),
            }
            Done::Nothing
        });
    }

    fn supply(&mut self) {
        if self.memory.volumes != Step::Done {
            self.memory.volumes = Step::Busy;
        }
        (self.supplying, self.stale) = (true, false);
        let (node, pod, interest) = (self.node.clone(), self.pod.clone(), self.interest.clone());
        let before = self.supplies.clone();
        operate(&mut self.operations, async move {
            Done::Supplied(supplies::provide(&node, &pod, &interest, before).await)
        });
    }

    /// Brings made volumes up to date when what they show has changed or a token gets old.
    pub(super) fn refresh_volumes(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.memory.volumes != Step::Done || self.supplying || self.memory.termination.is_some() {
            return None;
        }
        let waits = self.retries.until_since_update("refresh", now);
        let renew = self.supplies.renew();
        if self.stale || renew.is_some_and(|at| at <= now) {
            if waits.is_some() {
                return waits;
            }
            self.supply();
            return None;
        }
        renew
    }

    fn launch(&mut self, name: &str, attempt: u32, after: Option<Timestamp>, seen: &Observed) {
        let (Some((role, spec)), Some(sandbox)) = (pod::container(&self.pod, name), seen.ready_sandbox()) else {
            return;
        };
        if let Some(after) = after {
            self.memory.crashes.next(name, after, self.node.now());
        }
        let launch = Launch {
            node: self.node.clone(),
            pod: self.pod.clone(),
            role,
            container: spec.clone(),
            attempt,
            sandbox: sandbox.clone(),
            volumes: self.supplies.volumes.clone(),
            interest: self.interest.clone(),
            mailbox: self.mailbox.clone(),
        };
        let (container, image) = (name.to_string(), pod::image(spec).to_string());
        self.memory.starting = Some(container.clone());
        operate(&mut self.operations, async move { Done::Launched { container, image, result: launch.run().await } });
    }

    /// Takes the result of an operation; one that was aborted has none.
    pub(super) fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = self.node.now();
        if let Ok(done) = &done {
            tracing::debug!(pod = pod::name(&self.pod), what = done.title(), "done");
        }
        match done {
            Ok(Done::Supplied(result)) => self.supplied(result, now),
            Ok(Done::Sandboxed(result)) => {
                self.memory.sandbox = match result {
                    Ok(_) => Step::Todo,
                    Err(_) => self.later("sandbox", now),
                };
            }
            Ok(Done::SandboxStopped(id, result)) => {
                let step = if result.is_ok() { Step::Done } else { self.later("stop", now) };
                self.memory.sandboxes_stopping.insert(id, step);
            }
            Ok(Done::Launched { container, image, result }) => {
                self.memory.starting = None;
                match result {
                    Ok(launched) => {
                        self.memory.failures.remove(&container);
                        self.memory.pulls.reset(&image);
                        self.memory.image_ids.insert(image, launched.image_id);
                    }
                    Err(failure) => {
                        if let Retry::Image(image) = &failure.retry {
                            self.memory.pulls.next(image, failure.at, now);
                        }
                        self.memory.failures.insert(container, failure);
                    }
                }
            }
            Ok(Done::Stopped(id)) => {
                self.memory.stopping.remove(&id);
                self.stops.remove(&id);
            }
            Ok(Done::Written(result)) => self.written(result, now),
            Ok(Done::Nothing) => {}
            Ok(Done::Panicked(panic)) => {
                tracing::error!(panic, pod = %pod::full_name(&self.pod), "an operation panicked");
            }
            // Aborted.
            Err(_) => {}
        }
    }

    fn later(&mut self, what: &str, now: Timestamp) -> Step {
        self.retries.next(what, now, now);
        Step::Failed { retry: self.retries.until_since_update(what, now).unwrap_or(now) }
    }

    fn supplied(&mut self, result: Result<Supplies, Vec<String>>, now: Timestamp) {
        self.supplying = false;
        let made = self.memory.volumes == Step::Done;
        match result {
            Ok(supplies) => {
                self.supplies = supplies;
                self.memory.volumes = Step::Done;
                self.retries.reset("volumes");
                self.retries.reset("refresh");
            }
            Err(messages) => {
                for message in &messages {
                    self.node.cluster.event(&self.pod, None, Severity::Warning, "FailedMount", message);
                }
                if made {
                    self.stale = true;
                    self.later("refresh", now);
                } else {
                    self.memory.volumes = self.later("volumes", now);
                }
            }
        }
    }

    fn written(&mut self, result: Result<Arc<Pod>, WriteError>, now: Timestamp) {
        match result {
            Ok(object) if pod::is_static(&self.pod) => {
                self.report.written();
                if self.mirror.as_ref().is_some_and(|m| m.metadata.uid == object.metadata.uid) {
                    self.mirror = Some(object);
                }
            }
            Ok(object) => {
                self.report.written();
                self.updated(object);
            }
            Err(WriteError::Gone) => self.report.written(),
            Err(WriteError::Retry(why)) => {
                tracing::debug!(why, pod = %pod::full_name(&self.pod), "status not written");
                self.report.failed(now);
            }
        }
    }
}
