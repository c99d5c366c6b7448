//! Assigns pods to nodes.
//!
//! Observe → plan → act: changes of pods and nodes keep [`state::Cluster`] and [`queue::Queue`] up to date →
//! [`schedule::schedule`], pure, picks a node through the [`plugins`] → the pod is assumed there and bound in the
//! background. One task does all of it; only the bindings run beside.

mod bind;
pub mod framework;
pub mod plugins;
pub mod queue;
pub mod schedule;
pub mod state;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use prometheus::{Histogram, IntCounterVec, register_histogram, register_int_counter_vec};
use tokio::sync::mpsc;
use tokio::time::Instant;

use base::Context;
use client::component::{self, Component};
use client::events::Recorder;
use client::{Cache, Caches, Change, Client, Key, ListOptions, Object};

use bind::{Binder, Outcome};
use queue::Queue;
use state::ClusterEvent;
use state::{Cluster, PodFacts};

/// Flags, named as upstream's kube-scheduler names them.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What it shares with other components.
    #[command(flatten)]
    pub component: component::Flags,
    /// Pods that name this scheduler are ours.
    #[arg(long, default_value = "default-scheduler")]
    pub scheduler_name: String,
}

const COMPONENT: Component = Component { name: "mkube-scheduler", lease: "kube-scheduler", health_port: 10259 };

/// Runs the scheduler until `context` stops.
///
/// # Errors
/// When it cannot start, or lost its lease.
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    let name = options.scheduler_name;
    component::run(COMPONENT, &options.component, &context, |client, context| async move {
        serve(client, name, context).await;
        Ok(())
    })
    .await
}

/// Schedules the pods that name the scheduler `name`, until `context` stops.
pub async fn serve(client: Client, name: String, context: Context) {
    Scheduler::new(client, context, name).run().await;
}

struct Metrics {
    attempts: IntCounterVec,
    latency: Histogram,
}

impl Metrics {
    fn new() -> Option<Self> {
        Some(Self {
            attempts: register_int_counter_vec!(
                "scheduler_schedule_attempts_total",
                "Attempts to schedule pods, by the result.",
                &["result"]
            )
            .ok()?,
            latency: register_histogram!(
                "scheduler_scheduling_algorithm_duration_seconds",
                "Time to decide for one pod."
            )
            .ok()?,
        })
    }
}

struct Scheduler {
    name: String,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    cluster: Cluster,
    queue: Queue,
    binder: Binder,
    outcomes: mpsc::Receiver<Outcome>,
    metrics: Option<Metrics>,
}

impl Scheduler {
    fn new(client: Client, context: Context, name: String) -> Self {
        let caches = Caches::new(client.clone(), context.clone());
        // What has ended takes no room.
        let alive = ListOptions::fields("status.phase!=Succeeded,status.phase!=Failed");
        let recorder = Recorder::new(&context, client.clone(), &name, "");
        let (binder, outcomes) = Binder::new(context, client, recorder);
        Self {
            name,
            pods: caches.selected("", alive),
            nodes: caches.of(),
            cluster: Cluster::default(),
            queue: Queue::default(),
            binder,
            outcomes,
            metrics: Metrics::new(),
        }
    }

    async fn run(mut self) {
        let mut pods = self.pods.subscribe(1024);
        let mut nodes = self.nodes.subscribe(1024);
        tokio::join!(self.pods.synced(), self.nodes.synced());
        loop {
            let ready = self.binder.has_room() && self.queue.is_ready(Instant::now());
            let due = self.queue.next_due();
            // News first: a decision should rest on all that is known.
            tokio::select! {
                biased;
                change = nodes.recv() => match change {
                    Some(change) => self.node_changed(&change),
                    None => return,
                },
                change = pods.recv() => match change {
                    Some(change) => self.pod_changed(&change),
                    None => return,
                },
                Some(outcome) = self.outcomes.recv() => self.bound(outcome),
                () = std::future::ready(()), if ready => {
                    if let Some(key) = self.queue.pop(Instant::now()) {
                        self.try_one(key);
                    }
                }
                () = sleep_until(due), if !ready => {}
            }
        }
    }

    fn pod_changed(&mut self, change: &Change<Pod>) {
        let Some(pod) = change.new() else {
            if let Some(old) = change.old() {
                self.pod_gone(&old.key());
            }
            return;
        };
        let key = pod.key();
        let spec = pod.spec.as_ref();
        let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        if !node.is_empty() {
            self.queue.remove(&key);
            self.cluster.place(key, pod.uid(), node, Arc::new(PodFacts::of(pod)));
        } else if self.is_ours(pod) {
            self.queue.add(key, spec.and_then(|spec| spec.priority).unwrap_or(0));
        } else {
            self.queue.remove(&key);
        }
    }

    fn is_ours(&self, pod: &Pod) -> bool {
        let Some(spec) = &pod.spec else { return false };
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let ours = spec.scheduler_name.as_deref().unwrap_or("default-scheduler") == self.name;
        ours && !gated && pod.metadata.deletion_timestamp.is_none()
    }

    fn pod_gone(&mut self, key: &Key) {
        self.queue.remove(key);
        if self.cluster.forget(key) {
            self.queue.happened(ClusterEvent::PodGone);
        }
    }

    fn node_changed(&mut self, change: &Change<Node>) {
        match change.new() {
            Some(node) => {
                for event in self.cluster.set_node(node) {
                    self.queue.happened(event);
                }
            }
            None => self.cluster.remove_node(&change.old().map(|node| node.key().name).unwrap_or_default()),
        }
    }

    fn try_one(&mut self, key: Key) {
        let Some(pod) = self.pods.get(&key).filter(|pod| self.is_ours(pod)) else {
            self.queue.remove(&key);
            return;
        };
        let facts = Arc::new(PodFacts::of(&pod));
        let begun = Instant::now();
        let pick = |count| rand::random_range(0..count);
        let decision = schedule::schedule(&facts, self.cluster.nodes(), plugins::PLUGINS, pick).map(String::from);
        self.measure(begun, decision.is_ok());
        match decision {
            Ok(node) => {
                self.cluster.place(key, pod.uid(), &node, facts);
                self.binder.bind(pod, node);
            }
            Err(refused) => {
                self.binder.report_no_fit(pod, refused.message());
                self.queue.park(&key, refused.wakes_on, Instant::now());
            }
        }
    }

    fn measure(&self, begun: Instant, found: bool) {
        if let Some(metrics) = &self.metrics {
            metrics.latency.observe(begun.elapsed().as_secs_f64());
            metrics.attempts.with_label_values(&[if found { "scheduled" } else { "unschedulable" }]).inc();
        }
    }

    /// A binding has been tried.
    fn bound(&mut self, outcome: Outcome) {
        self.binder.finished();
        if outcome.done {
            // The pod's own event says the same; until it comes the assumption stands.
            return;
        }
        self.cluster.forget(&outcome.key);
        self.queue.happened(ClusterEvent::PodGone);
        self.queue.park(&outcome.key, [ClusterEvent::PodGone].into(), Instant::now());
        // A failed binding is tried again after its back-off, whatever happens.
        self.queue.happened(ClusterEvent::PodGone);
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
