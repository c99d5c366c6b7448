//! The task of one pod: waits for news, observes the runtime, plans, acts, reports; until nothing of the pod is left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::mailbox::{Eviction, Mailbox};
use super::messages;
use super::operations::{Done, operate};
use super::plan::{self, Action, Plan};
use super::report::Report;
use super::supplies::Supplies;
use crate::backoff::Backoff;
use crate::cluster::{Interest, Severity};
use crate::known::memory::{Memory, Probed, Rejection, Retry, Step, Termination, Waiting};
use crate::known::observed::Observed;
use crate::node::Node;
use crate::objects;
use crate::pod::{self, field_path};
use crate::probes::{ProbeKind, prober};
use crate::runtime;
use crate::status::{self, View};

/// What others may see of a pod, and wait for: the object with the status as the kubelet has it.
pub type Published = Arc<watch::Sender<Arc<Pod>>>;

/// One pod.
pub struct Worker {
    pub(super) node: Arc<Node>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) pod: Arc<Pod>,
    /// The API object of a static pod.
    pub(super) mirror: Option<Arc<Pod>>,
    published: Published,
    pub(super) memory: Memory,
    pub(super) interest: Arc<dyn Interest>,
    pub(super) supplies: Supplies,
    /// The volumes are made, but what they show has changed.
    pub(super) stale: bool,
    pub(super) supplying: bool,
    pub(super) retries: Backoff,
    pub(super) operations: JoinSet<Done>,
    pub(super) stops: BTreeMap<String, AbortHandle>,
    pub(super) probers: prober::Probers,
    pub(super) waiting: BTreeMap<String, Waiting>,
    pub(super) messages: messages::Messages,
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
        memory.rejected = status::rejection(pod::status(&pod));
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

    /// The pod is not taken on: it fails before anything of it was made.
    pub fn reject(&mut self, rejection: Rejection) {
        self.node.cluster.event(&self.pod, None, Severity::Warning, &rejection.reason, &rejection.message);
        self.memory.finished = true;
        self.memory.rejected = Some(rejection);
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
        if let Some(eviction) = news.eviction {
            self.evicted(eviction);
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
    pub(super) fn updated(&mut self, pod: Arc<Pod>) {
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

    /// The pod is to end but its object stays, and says why (eviction_manager.go, evictPod).
    fn evicted(&mut self, eviction: Eviction) {
        if self.memory.finished || self.memory.termination.is_some() {
            return;
        }
        let Eviction { message, grace_seconds } = eviction;
        self.node.cluster.event(&self.pod, None, Severity::Warning, status::EVICTED, &message);
        let (since, reason) = (self.node.now(), status::EVICTED.into());
        self.memory.termination = Some(Termination { since, grace_seconds, deletion: false, reason, message });
    }

    /// The pod is to be deleted; a later call can only shorten the grace period.
    pub(super) fn terminate(&mut self, grace_seconds: i64) {
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
                tracing::warn!(error = %runtime::describe(&error), pod = %pod::full_name(&self.pod), "runtime does not answer");
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
        let sandboxes = self.node.runtime.sandboxes_of(pod::uid(&self.pod)).await?;
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
        self.published.send_replace(Arc::new(shown));
        self.report.set(status);
    }

    fn write(&mut self, now: Timestamp) -> Option<Timestamp> {
        let object = self.object().cloned();
        match self.report.next(object.as_ref(), now) {
            Err(wake) => wake,
            Ok(write) => {
                tracing::debug!(pod = pod::name(&self.pod), patch = %write.patch, "writing status");
                let node = self.node.clone();
                operate(&mut self.operations, async move {
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
