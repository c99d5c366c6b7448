//! Assigns pods to nodes.
//!
//! Observe → plan → act: changes of pods and nodes keep [`machine::Machine`] up to date, which is [`state::Cluster`] and
//! [`queue::Queue`] → [`schedule::schedule`], pure, picks a node through the [`plugins`] → the pod is assumed there and bound
//! in the background. One task does all of it; only what is written runs beside.

mod bind;
pub mod framework;
pub mod machine;
pub mod plugins;
pub mod queue;
pub mod schedule;
pub mod state;

use k8s_openapi::api::core::v1::{Node, Pod};
use prometheus::{Histogram, IntCounterVec, register_histogram, register_int_counter_vec};
use tokio::sync::mpsc;
use tokio::time::Instant;

use base::Context;
use client::component::{self, Component};
use client::events::Recorder;
use client::{Cache, Caches, Client, ListOptions};

use bind::{Binder, Outcome};
use machine::{Decision, Machine};

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
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    machine: Machine,
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
            pods: caches.selected("", alive),
            nodes: caches.of(),
            machine: Machine::new(name),
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
            // Without room nobody is due: waiting for who is already would be no waiting.
            let room = self.binder.has_room();
            let ready = room && self.machine.is_ready(Instant::now());
            let due = self.machine.next_due().filter(|_| room);
            // News first: a decision should rest on all that is known.
            tokio::select! {
                biased;
                change = nodes.recv() => match change {
                    Some(change) => self.machine.node_changed(&change),
                    None => return,
                },
                change = pods.recv() => match change {
                    Some(change) => self.machine.pod_changed(&change),
                    None => return,
                },
                Some(Outcome { key, uid, end }) = self.outcomes.recv() => {
                    self.binder.finished();
                    self.machine.ended(&key, &uid, end, Instant::now());
                }
                () = std::future::ready(()), if ready => self.decide(),
                () = sleep_until(due), if !ready => {}
            }
        }
    }

    fn decide(&mut self) {
        let begun = Instant::now();
        let pick = |count| rand::random_range(0..count);
        let Some(decision) = self.machine.decide(begun, |key| self.pods.get(key), pick) else { return };
        if let Some(metrics) = &self.metrics {
            let result = if matches!(decision, Decision::Bind(..)) { "scheduled" } else { "unschedulable" };
            metrics.latency.observe(begun.elapsed().as_secs_f64());
            metrics.attempts.with_label_values(&[result]).inc();
        }
        self.binder.act(decision);
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
