//! The task of one pod: waits for news, observes the runtime, plans, acts, reports; until nothing of the pod is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::RwLock;
use tokio::task::{AbortHandle, JoinSet};

use super::launch::{Launch, field_path};
use super::mailbox::Mailbox;
use super::memory::{Memory, Probed, Retry, Step, Termination};
use super::observed::Observed;
use super::operations::{self, Done};
use super::plan::{self, Action, Plan, Waiting};
use super::report::Report;
use super::supplies::{self, Supplies};
use super::{Node, messages};
use crate::backoff::Backoff;
use crate::cluster::{Interest, Severity, WriteError};
use crate::objects;
use crate::pod;
use crate::probes::{ProbeKind, prober};
use crate::runtime::{self, ContainerState};
use crate::status::{self, View};

/// What others may see of a pod: the object with the status as the kubelet has it.
pub type Published = Arc<RwLock<Arc<Pod>>>;

/// One pod.
pub struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) pod: Arc<Pod>,
    /// The API object of a static pod.
    mirror: Option<Arc<Pod>>,
    published: Published,
    pub(super) memory: Memory,
    interest: Arc<dyn Interest>,
    supplies: Supplies,
    /// The volumes are made, but what they show has changed.
    stale: bool,
    supplying: bool,
    retries: Backoff,
    operations: JoinSet<Done>,
    stops: BTreeMap<String, AbortHandle>,
    probers: prober::Probers,
    waiting: BTreeMap<String, Waiting>,
    messages: messages::Messages,
    pub(super) report: Report,
    /// The pod is gone from its source.
    pub(super) gone: bool,
}

/// Whether to go on.
enum Turn {
    Again,
    Wait(Option<Timestamp>),
    Over,
}

impl Worker {
    /// A worker for `pod`.
    pub fn new(node: Arc<Node>, pod: Arc<Pod>, mailbox: Arc<Mailbox>, published: Published) -> Self {
        let start = pod::status(&pod).start_time.as_ref().map_or_else(|| node.now(), |t| t.0);
        let mut memory = Memory::new(status::conditions::whole_second(start));
        memory.finished = pod::is_terminal(pod::status(&pod));
        recall(&mut memory, pod::status(&pod));
        let told = mailbox.clone();
        let changed = Arc::new(move || told.tell(|news| news.objects_changed = true));
        let interest = node.cluster.follow(pod::namespace(&pod), objects::references(&pod), changed);
        let mut worker = Self {
            node,
            mailbox,
            mirror: None,
            published,
            memory,
            interest: interest.into(),
            supplies: Supplies::default(),
            stale: false,
            supplying: false,
            retries: Backoff::new(Duration::from_millis(500), Duration::from_secs(122)),
            operations: JoinSet::new(),
            stops: BTreeMap::new(),
            probers: prober::Probers::default(),
            waiting: BTreeMap::new(),
            messages: messages::Messages::default(),
            report: Report::default(),
            gone: false,
            pod: pod.clone(),
        };
        worker.updated(pod);
        worker
    }

    /// Runs until nothing of the pod is left.
    pub async fn run(mut self) {
        loop {
            self.read_news();
            while let Some(done) = self.operations.try_join_next() {
                self.done(done);
            }
            match self.turn().await {
                Turn::Again => {}
                Turn::Over => break,
                Turn::Wait(wake) => self.wait(wake).await,
            }
        }
        self.finish().await;
    }

    async fn wait(&mut self, wake: Option<Timestamp>) {
        let delay = wake.map(|wake| Duration::try_from(wake.duration_since(self.node.now())).unwrap_or_default());
        // A millisecond more: the wall clock must have passed the deadline.
        let sleep = tokio::time::sleep(delay.unwrap_or_default() + Duration::from_millis(1));
        tokio::select! {
            () = self.mailbox.notified() => {}
            () = sleep, if delay.is_some() => {}
            Some(done) = self.operations.join_next() => self.done(done),
        }
    }

    fn read_news(&mut self) {
        let news = self.mailbox.take();
        if let Some(pod) = news.pod {
            self.updated(pod);
        }
        if let Some(mirror) = news.mirror {
            let uid = |m: &Option<Arc<Pod>>| m.as_ref().map(|m| pod::uid(m).to_string());
            if uid(&mirror) != uid(&self.mirror) {
                self.report.start_over();
            }
            if let (None, Some(first)) = (&self.mirror, &mirror) {
                // A restarted kubelet goes on from what it once wrote there.
                let written = pod::status(first);
                recall(&mut self.memory, written);
                if let Some(start) = &written.start_time {
                    self.memory.start_time = start.0;
                    self.report.rebase();
                }
            }
            self.mirror = mirror;
        }
        if news.gone && !self.gone {
            self.gone = true;
            self.terminate(pod::grace_seconds(&self.pod));
        }
        if news.objects_changed || news.retry {
            self.stale |= news.objects_changed;
            self.retry_now();
        }
        self.memory.image_ids.extend(news.images);
        for ((id, kind), result) in news.probes {
            let probed = self.memory.probed.entry(id).or_default();
            match kind {
                ProbeKind::Startup => probed.startup = Some(result),
                ProbeKind::Liveness => probed.liveness = Some(result),
                ProbeKind::Readiness => probed.readiness = Some(result),
            }
        }
    }

    fn retry_now(&mut self) {
        let now = self.node.now();
        for step in [&mut self.memory.volumes, &mut self.memory.sandbox] {
            if matches!(step, Step::Failed { .. }) {
                *step = Step::Todo;
            }
        }
        for failure in self.memory.failures.values_mut() {
            if matches!(failure.retry, Retry::At(_)) {
                failure.retry = Retry::At(now);
            }
        }
    }

    /// Takes a newer version of the pod.
    fn updated(&mut self, pod: Arc<Pod>) {
        let version = |p: &Pod| p.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
        if version(&pod) < version(&self.pod) {
            return;
        }
        let labels = |p: &Pod| (p.metadata.labels.clone(), p.metadata.annotations.clone());
        self.stale |= labels(&pod) != labels(&self.pod);
        self.pod = pod;
        if self.pod.metadata.deletion_timestamp.is_some() {
            let grace = self.pod.metadata.deletion_grace_period_seconds;
            self.terminate(grace.unwrap_or_else(|| pod::grace_seconds(&self.pod)));
        }
    }

    /// The pod is to be deleted; a later call can only shorten the grace period.
    fn terminate(&mut self, grace_seconds: i64) {
        let now = self.node.now();
        let termination = self.memory.termination.get_or_insert_with(|| Termination {
            since: now,
            grace_seconds,
            deletion: true,
            reason: String::new(),
            message: String::new(),
        });
        termination.deletion = true;
        termination.grace_seconds = termination.grace_seconds.min(grace_seconds);
    }

    /// What the API has of the pod: itself, or for a static pod its mirror.
    pub(super) fn object(&self) -> Option<&Arc<Pod>> {
        if pod::is_static(&self.pod) { self.mirror.as_ref() } else { Some(&self.pod) }
    }

    async fn turn(&mut self) -> Turn {
        let seen = match self.observe().await {
            Ok(seen) => seen,
            Err(error) => {
                tracing::warn!(error = %super::launch::describe(&error), pod = %pod::full_name(&self.pod), "runtime does not answer");
                return Turn::Wait(self.node.now().saturating_add(Duration::from_secs(1)).ok());
            }
        };
        let now = self.node.now();
        let plan = plan::plan(&self.pod, &seen, &self.memory, now);
        let mut wake = plan.wake;
        let mut changed = false;
        self.announce(&plan);
        for action in plan.actions {
            match action {
                Action::Finished if self.memory.termination.as_ref().is_some_and(|t| t.deletion) => {
                    self.report_now(&seen);
                    return Turn::Over;
                }
                action => changed |= self.act(action, &seen),
            }
        }
        if changed {
            return Turn::Again;
        }
        self.probe(&seen);
        self.collect_garbage(&seen);
        self.report_now(&seen);
        for due in [self.refresh_volumes(now), self.write(now)].into_iter().flatten() {
            wake = Some(wake.map_or(due, |wake| wake.min(due)));
        }
        Turn::Wait(wake)
    }

    async fn observe(&mut self) -> runtime::Result<Observed> {
        let uid = pod::uid(&self.pod);
        let mut sandboxes = self.node.runtime.sandboxes().await?;
        sandboxes.retain(|s| s.uid == uid);
        let mut containers = Vec::new();
        for sandbox in &sandboxes {
            match self.node.runtime.containers(&sandbox.id).await {
                Ok(of_sandbox) => containers.extend(of_sandbox),
                Err(runtime::Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.messages.fill(&self.node.paths, &self.pod, &mut containers);
        let of = self.object().cloned().unwrap_or_else(|| self.pod.clone());
        Ok(Observed::new(&of, sandboxes, containers))
    }

    /// Events for containers that have begun to wait.
    fn announce(&mut self, plan: &Plan) {
        for (name, waiting) in plan.waiting.iter().filter(|(name, _)| !self.waiting.contains_key(*name)) {
            let Some((role, spec)) = pod::container(&self.pod, name) else { continue };
            let field = field_path(role, name);
            let tell = |severity, reason: &str, message: &str| {
                self.node.cluster.event(&self.pod, Some(&field), severity, reason, message);
            };
            if waiting.reason == "ImagePullBackOff" {
                tell(Severity::Normal, "BackOff", &format!("Back-off pulling image \"{}\"", pod::image(spec)));
                tell(Severity::Warning, "Failed", "Error: ImagePullBackOff");
            } else {
                let pod = pod::full_name(&self.pod);
                let message = format!("Back-off restarting failed container {name} in pod {pod}");
                tell(Severity::Warning, "BackOff", &message);
            }
        }
        self.waiting = plan.waiting.clone();
    }

    /// Begins an action. Returns whether the plan is to be made anew at once.
    fn act(&mut self, action: Action, seen: &Observed) -> bool {
        let (node, pod) = (self.node.clone(), self.pod.clone());
        tracing::debug!(pod = pod::name(&pod), ?action, "acting");
        match action {
            Action::PrepareVolumes => self.supply(),
            Action::RunSandbox { attempt } => {
                self.memory.sandbox = Step::Busy;
                self.operations.spawn(operations::run_sandbox(node, pod, attempt));
            }
            Action::StopSandbox { id } => {
                self.memory.sandboxes_stopping.insert(id.clone(), Step::Busy);
                self.operations.spawn(operations::stop_sandbox(node, pod, id));
            }
            Action::Start { container, attempt, after } => self.launch(&container, attempt, after, seen),
            Action::Stop { id, container, grace, message } => {
                let killed_by = self.node.now().saturating_add(grace).unwrap_or(Timestamp::MAX);
                // Asked again with less time: the hook has had its turn.
                let first = self.memory.stopping.insert(id.clone(), killed_by).is_none();
                let stop = operations::stop(node, pod, id.clone(), container, grace, first, message);
                if let Some(slower) = self.stops.insert(id, self.operations.spawn(stop)) {
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
            if let Err(error) = crate::volumes::setup::teardown(&paths, &uid) {
                tracing::warn!(%error, uid, "volumes cannot be removed");
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
        self.operations.spawn(async move { Done::Supplied(supplies::provide(&node, &pod, &interest, before).await) });
    }

    /// Brings made volumes up to date when what they show has changed or a token gets old.
    fn refresh_volumes(&mut self, now: Timestamp) -> Option<Timestamp> {
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
        self.operations.spawn(async move { Done::Launched { container, image, result: launch.run().await } });
    }

    /// Takes the result of an operation; one that was aborted has none.
    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
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
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, pod = %pod::full_name(&self.pod), "an operation panicked"),
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

    fn probe(&mut self, seen: &Observed) {
        let mut wanted = Vec::new();
        let ips = seen.sandbox().map(|s| s.ips.clone()).unwrap_or_default();
        let ip = if pod::host_network(&self.pod) { self.node.ips.first() } else { ips.first() }.copied();
        for (role, spec) in pod::all_containers(&self.pod) {
            let Some(current) = seen.current(&spec.name).filter(|c| c.state == ContainerState::Running) else {
                continue;
            };
            let probed = self.memory.probes(&current.id);
            let passed_startup = spec.startup_probe.is_none() || probed.startup == Some(true);
            // While a pod ends, only readiness is still of interest.
            let ending = self.memory.termination.is_some() || self.memory.stopping.contains_key(&current.id);
            for (kind, due, result) in [
                (ProbeKind::Startup, !ending && probed.startup.is_none(), None),
                (ProbeKind::Liveness, !ending && passed_startup && probed.liveness != Some(false), Some(true)),
                (ProbeKind::Readiness, passed_startup, probed.readiness),
            ] {
                if due && prober::spec(spec, kind).is_some() && role != pod::Role::Init {
                    wanted.push(prober::Task {
                        node: self.node.clone(),
                        pod: self.pod.clone(),
                        role,
                        container: spec.clone(),
                        id: current.id.clone(),
                        started_at: current.started_at.unwrap_or(current.created_at),
                        kind,
                        result,
                        ip,
                    });
                }
            }
        }
        self.probers.reconcile(wanted, &self.mailbox);
        self.memory.probed.retain(|id, _| seen.containers.iter().any(|c| c.id == *id) || seen.containers.is_empty());
    }

    /// Removes ended containers but the newest two of each name (the last one is there for `logs --previous`), and
    /// sandboxes that nothing kept was in.
    fn collect_garbage(&mut self, seen: &Observed) {
        let mut kept = Vec::new();
        for (_, spec) in pod::all_containers(&self.pod) {
            kept.extend(seen.of(&spec.name).take(2).map(|c| c.sandbox.clone()));
            let old =
                seen.of(&spec.name).skip(2).filter(|c| c.state == ContainerState::Exited && !c.sandbox.is_empty());
            for container in old.cloned().collect::<Vec<_>>() {
                let node = self.node.clone();
                let log = node.paths.log(&self.pod, &container.name, container.attempt);
                let message = node.paths.termination_log(pod::uid(&self.pod), &container.name, container.attempt);
                self.operations.spawn(async move {
                    if node.runtime.remove_container(&container.id).await.is_ok() {
                        let _ = tokio::fs::remove_file(log).await;
                        let _ = tokio::fs::remove_file(message).await;
                    }
                    Done::Nothing
                });
            }
        }
        for sandbox in seen.sandboxes.iter().skip(1).filter(|s| !s.ready && !kept.contains(&s.id)) {
            let (node, id) = (self.node.clone(), sandbox.id.clone());
            self.operations.spawn(async move {
                let _ = node.runtime.remove_sandbox(&id).await;
                Done::Nothing
            });
        }
    }

    fn report_now(&mut self, seen: &Observed) {
        let previous = self.report.previous(self.object().map(|o| &**o));
        let runtime = self.node.runtime_name();
        let status = status::generate(&View {
            pod: &self.pod,
            seen,
            memory: &self.memory,
            waiting: &self.waiting,
            previous: &previous,
            host_ips: &self.node.ips,
            runtime: &runtime,
            now: self.node.now(),
        });
        if pod::is_terminal(&status) && !self.memory.finished && seen.ready_sandbox().is_none() {
            self.memory.finished = true;
        }
        let mut shown = (*self.pod).clone();
        shown.status = Some(status.clone());
        *self.published.write() = Arc::new(shown);
        self.report.set(status);
    }

    fn write(&mut self, now: Timestamp) -> Option<Timestamp> {
        let object = self.object().cloned();
        match self.report.next(object.as_ref(), now) {
            Err(wake) => wake,
            Ok(write) => {
                tracing::debug!(pod = pod::name(&self.pod), patch = %write.patch, "writing status");
                let node = self.node.clone();
                self.operations.spawn(async move {
                    Done::Written(node.cluster.patch_status(&write.namespace, &write.name, write.patch).await)
                });
                None
            }
        }
    }
}

/// What a restarted kubelet takes over from the status it once wrote: containers that were ready stay so until their
/// probe says otherwise, and images keep their references.
fn recall(memory: &mut Memory, status: &PodStatus) {
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    for container in all {
        if !container.image_id.is_empty() {
            memory.image_ids.insert(container.image.clone(), container.image_id.clone());
        }
        let Some((_, id)) = container.container_id.as_deref().and_then(|id| id.split_once("://")) else { continue };
        if container.state.as_ref().is_some_and(|s| s.running.is_some()) {
            let startup = container.started.filter(|started| *started);
            let readiness = startup.map(|_| container.ready);
            memory.probed.entry(id.to_string()).or_insert(Probed { startup, liveness: None, readiness });
        }
    }
}

impl Worker {
    /// Ends what runs beside the worker, and waits for it.
    pub(super) async fn stop_operations(&mut self) {
        self.probers = prober::Probers::default();
        // A write under way is waited for, so that it cannot follow the last one.
        if self.report.is_writing() {
            while let Some(done) = self.operations.join_next().await {
                self.done(done);
                if !self.report.is_writing() {
                    break;
                }
            }
        }
        self.operations.shutdown().await;
    }
}
