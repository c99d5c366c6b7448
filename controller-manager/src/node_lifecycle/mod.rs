//! Notices nodes that fall silent: marks them and their pods, and taints nodes as their conditions demand
//! (kube-controller-manager, nodelifecycle). One timer per node, at the end of its grace period; no polling. Driving pods
//! off tainted nodes is [`crate::taint_eviction`]'s.

mod plan;
mod pulse;
mod zones;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, Error, Key, ListOptions, Object, Patch};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::{Setup, pods};
use plan::Eviction;
use pulse::{Grace, Pulse};
use zones::{Census, Rates, Turn, Turns, zone_of};

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = NodeLifecycle {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        recorder: setup.recorder("node-controller"),
        nodes: setup.caches.of(),
        leases: setup.caches.selected("kube-node-lease", ListOptions::default()),
        pods: setup.caches.of(),
        grace: Grace {
            running: setup.options.node_monitor_grace_period,
            starting: setup.options.node_startup_grace_period,
        },
        pulses: Mutex::default(),
        rates: Rates {
            normal: setup.options.node_eviction_rate,
            reduced: setup.options.secondary_node_eviction_rate,
            large: setup.options.large_cluster_size_threshold,
            unhealthy: setup.options.unhealthy_zone_threshold,
        },
        turns: Mutex::default(),
    };
    controller.pods.add_index("node", pods::index_by_node);
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

struct NodeLifecycle {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    nodes: Cache<Node>,
    leases: Cache<Lease>,
    pods: Cache<Pod>,
    grace: Grace,
    /// By name of the node.
    pulses: Mutex<HashMap<String, Pulse>>,
    rates: Rates,
    turns: Mutex<Turns>,
}

impl Reconciler for NodeLifecycle {
    fn name(&self) -> &'static str {
        "node-lifecycle"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let nodes = self.nodes.clone();
        vec![
            Trigger::of(&self.nodes, move |old, new| {
                let own = new.or(old).map(Object::key);
                // How its zone does decides about the others' taints, and those who wait behind it move up.
                let facts = |node: &Node| (plan::is_ready(node), zone_of(node));
                let turned = old.map(facts) != new.map(facts);
                let others = nodes.list().into_iter().filter(|node| turned && !plan::is_ready(node));
                own.into_iter().chain(others.map(|node| node.key())).collect()
            }),
            Trigger::of(&self.leases, |_, new| new.map(|lease| Key::new("", lease.key().name)).into_iter().collect()),
            Trigger::only_wait(&self.pods),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(node) = self.nodes.get(key) else {
            if self.pulses.lock().remove(&key.name).is_some() {
                self.tell_about(&key.name, "RemovingNode", "Removing Node {} from Controller");
            }
            return Ok(Action::Done);
        };
        let (now, deadline, owes_marks) = self.feel(&node);
        let silent = now >= deadline;
        if silent && self.mark_silent(&node, pass).await? {
            // The change brings us back.
            return Ok(Action::Done);
        }
        let wait = self.taint(&node, pass).await?;
        if owes_marks {
            self.mark_pods(&node).await?;
            if let Some(pulse) = self.pulses.lock().get_mut(&key.name) {
                pulse.owes_marks = false;
            }
        }
        let due = (!silent).then(|| deadline - now);
        Ok(wait.into_iter().chain(due).min().map_or(Action::Done, Action::After))
    }
}

impl NodeLifecycle {
    /// Takes note of the node's signs of life: now, when they have been missing too long, and whether its pods are
    /// still to be marked.
    fn feel(&self, node: &Node) -> (Instant, Instant, bool) {
        let now = Instant::now();
        let name = node.key().name;
        let lease = self.leases.get(&Key::new("kube-node-lease", &name));
        let renewed = lease.and_then(|lease| Some(lease.spec.as_ref()?.renew_time.as_ref()?.0));
        let mut pulses = self.pulses.lock();
        let pulse = pulses.entry(name.clone()).or_insert_with(|| {
            self.tell_about(&name, "RegisteredNode", "Registered Node {} in Controller");
            Pulse::first(now)
        });
        pulse.observe(renewed, plan::reported(node), now);
        pulse.turn(plan::status(node, "Ready"));
        (now, pulse.deadline(self.grace), pulse.owes_marks)
    }

    /// An event about a node; upstream refers to nodes by their name in place of the UID.
    fn tell_about(&self, node: &str, reason: &str, what: &str) {
        let object = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Node".into()),
            name: Some(node.into()),
            uid: self.nodes.get(&Key::new("", node)).map(|node| node.uid().to_string()),
            ..ObjectReference::default()
        };
        self.recorder.event(&object, Type::Normal, reason, format!("Node {node} event: {}", what.replace("{}", node)));
    }

    /// Returns whether something had to change.
    async fn mark_silent(&self, node: &Node, pass: &Pass) -> Result<bool, Error> {
        let conditions = plan::silenced(node, self.clock.now());
        if conditions.is_empty() {
            return Ok(false);
        }
        let patch = json!({
            "metadata": {"uid": node.uid(), "resourceVersion": node.metadata.resource_version},
            "status": {"conditions": conditions},
        });
        let name = node.key().name;
        tracing::info!(node = name, "no sign of life");
        let written = self.client.patch_status::<Node>("", &name, &Patch::Strategic(patch)).await?;
        pass.wrote(&self.nodes, &written);
        Ok(true)
    }

    /// Taints the node as it must be; says when its turn to lose its pods comes, if it waits for that.
    async fn taint(&self, node: &Node, pass: &Pass) -> Result<Option<Duration>, Error> {
        let (eviction, wait) = self.eviction(node);
        let Some(taints) = plan::taints(node, eviction, self.clock.now()) else { return Ok(wait) };
        let patch = json!({
            "metadata": {"uid": node.uid(), "resourceVersion": node.metadata.resource_version},
            "spec": {"taints": if taints.is_empty() { json!(null) } else { json!(taints) }},
        });
        let written = self.client.patch::<Node>("", &node.key().name, &Patch::Merge(patch)).await?;
        pass.wrote(&self.nodes, &written);
        Ok(wait)
    }

    fn eviction(&self, node: &Node) -> (Eviction, Option<Duration>) {
        if plan::is_ready(node) {
            // Most nodes, at each renewal of their leases: how the others do makes no difference to them.
            return (Eviction::Waits, None);
        }
        let now = Instant::now();
        let owes = plan::owes_eviction(node);
        // How a zone does changes without any node's condition, too: with overdue nodes that are heard of after all.
        let again = owes.then_some(self.grace.running);
        let census = {
            // Nodes that fall silent together count together, also those that are not marked yet.
            let pulses = self.pulses.lock();
            let is_overdue = |name: &str| pulses.get(name).is_some_and(|pulse| pulse.deadline(self.grace) <= now);
            let is_ready = |node: &Node| plan::is_ready(node) && !is_overdue(&node.key().name);
            Census::of(self.nodes.list().iter().map(|node| &**node), is_ready)
        };
        if census.is_cut_off() {
            return (Eviction::Ends, again);
        }
        if !owes {
            return (Eviction::Waits, None);
        }
        let (zone, name) = (zone_of(node), node.key().name);
        let waits = |name: &str| {
            let node = self.nodes.get(&Key::new("", name));
            node.is_some_and(|node| plan::owes_eviction(&node) && zone_of(&node) == zone)
        };
        let rate = census.rate(&zone, &self.rates);
        match self.turns.lock().ask((&zone, &name), rate, waits, now) {
            Turn::Now => (Eviction::Begins, None),
            Turn::After(wait) => (Eviction::Waits, Some(wait)),
            Turn::Never => (Eviction::Waits, again),
        }
    }

    /// Pods of a node that is not ready get no more traffic.
    async fn mark_pods(&self, node: &Node) -> Result<(), Error> {
        let name = node.key().name;
        let message = format!("Node {name} status is now: NodeNotReady");
        self.recorder.about(node, Type::Normal, "NodeNotReady", message);
        let ready = self.pods.by("node", &name).into_iter().filter(|pod| pods::is_ready(pod));
        let marks = ready.map(|pod| async move {
            self.recorder.about(&*pod, Type::Warning, "NodeNotReady", "Node is not ready");
            let patch = json!({
                "metadata": {"uid": pod.uid()},
                "status": {"conditions": [
                    {"type": "Ready", "status": "False", "lastTransitionTime": Time(self.clock.now())}
                ]},
            });
            let key = pod.key();
            match self.client.patch_status::<Pod>(&key.namespace, &key.name, &Patch::Strategic(patch)).await {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
                _ => Ok(()),
            }
        });
        join_all(marks).await.into_iter().collect()
    }
}
