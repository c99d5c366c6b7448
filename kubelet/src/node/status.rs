//! Registers the node and keeps its status true: written when something changed or somebody else changed it, and every
//! five minutes as a sign of life (the lease is the real one).

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Context};
use client::cache::Cache;
use client::events::{Recorder, Type};
use client::rest::Patch;
use client::{Client, Key};
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use serde_json::json;
use tokio::sync::{Notify, watch};

use super::object::{Description, Health, NETWORK_NOT_READY, differs};
use crate::eviction::plan::Pressure;

/// How often the status is written though nothing changed (nodeStatusReportFrequency).
const REPORT: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(7);

/// Tells the runtime which addresses pods get; the error is for people.
pub type SetPodCidr = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// What the task needs.
pub struct Reporter {
    /// The API server.
    pub client: Client,
    /// The node's own object.
    pub cache: Cache<Node>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the node is.
    pub description: Arc<Description>,
    /// Told of the pod CIDR; `None` = the runtime needs none.
    pub set_pod_cidr: Option<SetPodCidr>,
    /// Called when the pod network has become ready.
    pub network_ready: Box<dyn Fn() + Send + Sync>,
    /// What the node lacks.
    pub pressures: Arc<watch::Sender<Vec<Pressure>>>,
    /// Becomes true once the node is registered.
    pub registered: watch::Sender<bool>,
    /// Events.
    pub recorder: Recorder,
    /// How often the status is looked at when it could not be written.
    pub frequency: Duration,
}

/// What events about the node refer to: its name stands for its UID, as upstream does it.
pub fn reference(name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some("Node".into()),
        name: Some(name.into()),
        uid: Some(name.into()),
        ..ObjectReference::default()
    }
}

impl Reporter {
    /// Runs until the context stops.
    pub async fn run(self, context: Context) {
        let mut pressures = self.pressures.subscribe();
        let health = |cidr: Option<&str>| {
            let networked = self.set_pod_cidr.is_none() || cidr.is_some();
            let problems = if networked { Vec::new() } else { vec![NETWORK_NOT_READY.into()] };
            Health { problems, pressures: self.pressures.borrow().clone() }
        };
        self.register(&health(None)).await;
        self.registered.send_replace(true);
        let changed = Arc::new(Notify::new());
        let notify = changed.clone();
        self.cache.observe(move |_| notify.notify_one());
        self.cache.synced().await;
        let mut cidr: Option<String> = None;
        let mut ready = false;
        let mut reported = None;
        let key = Key::new("", &self.description.name);
        while !context.is_stopped() {
            let mut again = REPORT;
            if let Some(node) = self.cache.get(&key) {
                self.network(&node, &mut cidr);
                let health = health(cidr.as_deref());
                match self.report(&node, &health, &mut reported).await {
                    Ok(rest) => again = rest,
                    Err(error) => {
                        tracing::warn!(error = %error.chain(), "node status not written");
                        again = self.frequency;
                    }
                }
                if health.problems.is_empty() && !ready {
                    ready = true;
                    let event = (Type::Normal, "NodeReady", format!("Node {} status is now: NodeReady", key.name));
                    self.recorder.event(&reference(&key.name), event.0, event.1, event.2);
                    (self.network_ready)();
                }
            }
            tokio::select! {
                () = tokio::time::sleep(again) => {}
                () = changed.notified() => {}
                Ok(()) = pressures.changed() => {}
            }
        }
    }

    fn network(&self, node: &Node, known: &mut Option<String>) {
        let assigned = node.spec.as_ref().and_then(|s| s.pod_cidr.clone()).filter(|c| !c.is_empty());
        let (Some(set), Some(cidr)) = (&self.set_pod_cidr, assigned) else { return };
        if known.as_ref() == Some(&cidr) {
            return;
        }
        match set(&cidr) {
            Ok(()) => *known = Some(cidr),
            Err(error) => tracing::error!(error, cidr, "the node's podCIDR cannot be used"),
        }
    }

    /// Writes the status if it is due; returns when it is next.
    async fn report(
        &self,
        node: &Node,
        health: &Health,
        reported: &mut Option<tokio::time::Instant>,
    ) -> client::Result<Duration> {
        let api = node.status.clone().unwrap_or_default();
        let before = api.conditions.as_deref().unwrap_or_default();
        let wanted = self.description.status(health, before, self.clock.now());
        let rest = reported.map_or(Duration::ZERO, |at| REPORT.saturating_sub(at.elapsed()));
        let labels = self.description.all_labels();
        let has = node.metadata.labels.clone().unwrap_or_default();
        if labels.iter().any(|(k, v)| has.get(k) != Some(v)) && reported.is_none() {
            let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
            self.client.patch::<Node>("", &self.description.name, &patch).await?;
        }
        if !differs(&api, &wanted) && !rest.is_zero() {
            return Ok(rest);
        }
        let patch = Patch::Strategic(json!({"metadata": {"uid": node.metadata.uid}, "status": wanted}));
        let after = self.client.patch_status::<Node>("", &self.description.name, &patch).await?;
        // The cache must have it before the status is judged again, or it would be written twice.
        let revision = client::Object::revision(&after);
        self.cache.wait_for(revision, Duration::from_secs(5)).await;
        *reported = Some(tokio::time::Instant::now());
        Ok(REPORT)
    }

    async fn register(&self, health: &Health) {
        let mut wait = FIRST_WAIT;
        let name = &self.description.name;
        self.recorder.event(&reference(name), Type::Normal, "Starting", "Starting kubelet.");
        loop {
            let node = self.description.node(health, self.clock.now());
            match self.client.create::<Node>("", &node).await {
                Ok(_) => return tracing::info!(node = name, "registered node"),
                Err(error) if error.is_already_exists() => {
                    return tracing::info!(node = name, "node was registered before");
                }
                Err(error) => tracing::warn!(error = %error.chain(), "node not registered yet"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}
