//! Removes pods that nobody will ever finish: bound to a node that is gone or vouched to be off, deleted before they were
//! bound, ended and too many (kube-controller-manager, podgc). Upstream looks every 20 s; here the changes that make such
//! pods say so.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key, Object};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Setup, pods, writes};
use plan::Case;

/// How long a node must have been missing before its pods are removed (upstream's quarantineTime).
const QUARANTINE: Duration = Duration::from_secs(40);
/// The key of the work on all ended pods: no pod has an empty namespace.
const ENDED: &str = "ended";

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = PodGc {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        nodes: setup.caches.of(),
        pods: setup.caches.of(),
        threshold: setup.options.terminated_pod_gc_threshold,
        missing: Mutex::default(),
    };
    controller.pods.add_index("node", pods::index_by_node);
    controller.pods.add_index(ENDED, |pod: &Pod| plan::has_ended(pod).then(String::new).into_iter().collect());
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

struct PodGc {
    client: Client,
    clock: Arc<dyn Clock>,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    threshold: usize,
    /// Nodes that pods are bound to and that are not there, since when.
    missing: Mutex<HashMap<String, Instant>>,
}

impl Reconciler for PodGc {
    fn name(&self) -> &'static str {
        "pod-gc"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let pods = self.pods.clone();
        vec![
            Trigger::of(&self.pods, |old, new| {
                let pod = new.filter(|_| plan::concerns(old, new)).map(Object::key);
                let ended = new.is_some_and(plan::has_ended) && !old.is_some_and(plan::has_ended);
                pod.into_iter().chain(ended.then(|| Key::new("", ENDED))).collect()
            }),
            Trigger::of(&self.nodes, move |old, new| {
                // Also when it comes back: what is remembered of its absence is over.
                let turned = old.map(plan::is_out_of_service) != new.map(plan::is_out_of_service);
                let Some(node) = old.or(new).filter(|_| turned) else { return Vec::new() };
                pods.by("node", &node.key().name).iter().map(|pod| pod.key()).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        if key.namespace.is_empty() {
            for pod in plan::excess(self.pods.by(ENDED, ""), self.threshold) {
                self.remove(&pod, pass).await?;
            }
            return Ok(Action::Done);
        }
        let Some(pod) = self.pods.get(key) else { return Ok(Action::Done) };
        let node = self.nodes.get(&Key::new("", pods::node_name(&pod)));
        match plan::case(&pod, node.as_deref()) {
            Case::Fine => {
                self.missing.lock().remove(pods::node_name(&pod));
                Ok(Action::Done)
            }
            case @ (Case::NeverBound | Case::OutOfService) => {
                tracing::info!(pod = %key, ?case, "removing a pod that nobody will finish");
                pods::fail(&self.client, &pod).await?;
                self.remove(&pod, pass).await?;
                Ok(Action::Done)
            }
            Case::Orphaned => self.orphaned(&pod, pass).await,
        }
    }
}

impl PodGc {
    async fn orphaned(&self, pod: &Pod, pass: &Pass) -> Result<Action, Error> {
        let (now, node) = (Instant::now(), pods::node_name(pod));
        let end = {
            let mut missing = self.missing.lock();
            // What came back since, or lost its last pod, need not be remembered.
            missing.retain(|name, _| {
                name == node
                    || (self.nodes.get(&Key::new("", name)).is_none() && !self.pods.by("node", name).is_empty())
            });
            *missing.entry(node.to_string()).or_insert(now) + QUARANTINE
        };
        if now < end {
            return Ok(Action::After(end - now));
        }
        // The cache may be behind; what follows cannot be undone.
        match self.client.get::<Node>("", node).await {
            Ok(_) => return Ok(Action::After(QUARANTINE)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        tracing::info!(pod = %pod.key(), node, "removing a pod whose node is gone");
        pods::mark_disrupted(
            &self.client,
            pod,
            ("DeletionByPodGC", "PodGC: node no longer exists"),
            true,
            self.clock.now(),
        )
        .await?;
        self.remove(pod, pass).await?;
        Ok(Action::Done)
    }

    async fn remove(&self, pod: &Pod, pass: &Pass) -> Result<(), Error> {
        writes::delete(&self.client, pod, Some(0), &self.pods, pass).await
    }
}
