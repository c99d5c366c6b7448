//! Drives pods off nodes with taints of effect NoExecute, each after the time that its tolerations allow
//! (kube-controller-manager, tainteviction). The time runs from when this process noticed the taints, as upstream's does:
//! a cluster that was asleep does not lose its pods when it wakes.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;

use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, Error, Key, Object};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Setup, pods, writes};

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = TaintEviction {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        recorder: setup.recorder("taint-eviction-controller"),
        nodes: setup.caches.of(),
        pods: setup.caches.of(),
        condemned: Mutex::default(),
    };
    controller.pods.add_index("node", pods::index_by_node);
    controller::run(&setup.context, &setup.caches, controller, 8);
    Ok(())
}

struct TaintEviction {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    /// Pods that have to go, by UID, since when; the key tells which to forget.
    condemned: Mutex<HashMap<Key, (String, Instant)>>,
}

impl Reconciler for TaintEviction {
    fn name(&self) -> &'static str {
        "taint-eviction"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let pods = self.pods.clone();
        vec![
            Trigger::of(&self.pods, |old, new| {
                let changed = plan::concerns(old, new);
                new.or(old).filter(|_| changed).map(Object::key).into_iter().collect()
            }),
            Trigger::of(&self.nodes, move |old, new| {
                let Some(node) = new.filter(|_| plan::turned(old, new)) else { return Vec::new() };
                pods.by("node", &node.key().name).iter().map(|pod| pod.key()).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let pod = self.pods.get(key).filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let Some(pod) = pod else {
            self.condemned.lock().remove(key);
            return Ok(Action::Done);
        };
        let node = self.nodes.get(&Key::new("", pods::node_name(&pod)));
        let taints = node.as_ref().map(|node| plan::driving(node)).unwrap_or_default();
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let Some(stay) = plan::stay(&taints, tolerations) else {
            if self.condemned.lock().remove(key).is_some() {
                let message = format!("Cancelling deletion of Pod {key}");
                self.recorder.about(&*pod, Type::Normal, "TaintManagerEviction", message);
            }
            return Ok(Action::Done);
        };
        let now = Instant::now();
        // A patience beyond the end of time does not end.
        let Some(end) = self.since(key, pod.uid(), now).checked_add(stay) else { return Ok(Action::Done) };
        if now < end {
            return Ok(Action::After(end - now));
        }
        let message = format!("Marking for deletion Pod {key}");
        self.recorder.about(&*pod, Type::Normal, "TaintManagerEviction", message);
        self.evict(&pod, pass).await?;
        Ok(Action::Done)
    }
}

impl TaintEviction {
    /// Since when this pod has to go.
    fn since(&self, key: &Key, uid: &str, now: Instant) -> Instant {
        let mut condemned = self.condemned.lock();
        let entry = condemned.entry(key.clone()).or_insert_with(|| (uid.to_string(), now));
        if entry.0 != uid {
            *entry = (uid.to_string(), now);
        }
        entry.1
    }

    async fn evict(&self, pod: &Pod, pass: &Pass) -> Result<(), Error> {
        let why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
        pods::mark_disrupted(&self.client, pod, why, false, self.clock.now()).await?;
        writes::delete(&self.client, pod, None, &self.pods, pass).await
    }
}
