//! Gives every node its part of the pods' address range (kube-controller-manager, nodeipam, RangeAllocator). The parts
//! that nodes have are the record: nothing else is kept.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::{Context as _, ensure};
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::events::{Recorder, Type};
use client::{Cache, Caches, Client, Error, Key, Object, Patch};
use k8s_openapi::api::core::v1::Node;
use serde_json::json;
use tokio::sync::Mutex;

use crate::Setup;

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let Some(range) = &setup.options.cluster_cidr else { return Ok(()) };
    let parts = Parts::new(range, setup.options.node_cidr_mask_size)?;
    let controller = NodeIpam {
        client: setup.client.clone(),
        recorder: setup.recorder("cidrAllocator"),
        nodes: setup.caches.of(),
        parts,
        given: Mutex::default(),
    };
    controller::run(&setup.context, &setup.caches, controller, 4);
    Ok(())
}

/// A range cut into equal parts.
struct Parts {
    base: u32,
    bits: u8,
    count: u32,
}

impl Parts {
    fn new(range: &str, part_bits: u8) -> anyhow::Result<Self> {
        let (base, bits) = range.split_once('/').with_context(|| format!("invalid CIDR address: {range}"))?;
        let base: Ipv4Addr = base.parse().with_context(|| format!("invalid CIDR address: {range}"))?;
        let bits: u8 = bits.parse().with_context(|| format!("invalid CIDR address: {range}"))?;
        ensure!(bits <= part_bits && part_bits <= 30, "a /{part_bits} for each node does not fit into {range}");
        ensure!(part_bits - bits <= 16, "{range} has too many parts of /{part_bits}: at most 65536");
        Ok(Self { base: u32::from(base), bits: part_bits, count: 1 << (part_bits - bits) })
    }

    /// The first part that is not in `taken`.
    fn free(&self, taken: &BTreeSet<String>) -> Option<String> {
        let part = |number: u32| {
            let base = Ipv4Addr::from(self.base + (number << (32 - u32::from(self.bits))));
            format!("{base}/{}", self.bits)
        };
        (0..self.count).map(part).find(|part| !taken.contains(part))
    }
}

struct NodeIpam {
    client: Client,
    recorder: Recorder,
    nodes: Cache<Node>,
    parts: Parts,
    /// Parts given to nodes whose update the cache may not have seen: (node, part).
    given: Mutex<Vec<(String, String)>>,
}

impl Reconciler for NodeIpam {
    fn name(&self) -> &'static str {
        "node-ipam"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        vec![Trigger::of(&self.nodes, |old, new| {
            // A node that went made a part free: somebody may wait for it.
            let waiting = new.filter(|node| pod_range(node).is_none());
            waiting.or(old.filter(|_| new.is_none())).map(Object::key).into_iter().collect()
        })]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let mut given = self.given.lock().await;
        given.retain(|(node, _)| self.nodes.get(&Key::new("", node)).is_some_and(|node| pod_range(&node).is_none()));
        let waiting = self.nodes.get(key).filter(|node| pod_range(node).is_none());
        let waiting = waiting.or_else(|| {
            let unserved = |node: &std::sync::Arc<Node>| {
                pod_range(node).is_none() && !given.iter().any(|(name, _)| *name == node.key().name)
            };
            self.nodes.list().into_iter().find(unserved)
        });
        let Some(node) = waiting else { return Ok(Action::Done) };
        let mut taken: BTreeSet<String> = self.nodes.list().iter().filter_map(|node| pod_range(node)).collect();
        taken.extend(given.iter().map(|(_, part)| part.clone()));
        let Some(part) = self.parts.free(&taken) else {
            self.recorder.about(&*node, Type::Normal, "CIDRNotAvailable", "Node status is now: CIDRNotAvailable");
            tracing::warn!(node = %node.key(), "no pod range left");
            return Ok(Action::Done);
        };
        let name = node.key().name;
        let patch = json!({
            "metadata": {"uid": node.uid(), "resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": part, "podCIDRs": [part]},
        });
        let written = self.client.patch::<Node>("", &name, &Patch::Merge(patch)).await?;
        given.push((name, part));
        pass.wrote(&self.nodes, &written);
        Ok(Action::Done)
    }
}

fn pod_range(node: &Node) -> Option<String> {
    node.spec.as_ref()?.pod_cidr.clone().filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_part_is_given() {
        let parts = Parts::new("10.64.0.0/22", 24).unwrap();
        let taken = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        assert_eq!(parts.free(&taken(&[])).as_deref(), Some("10.64.0.0/24"));
        assert_eq!(parts.free(&taken(&["10.64.0.0/24", "10.64.2.0/24"])).as_deref(), Some("10.64.1.0/24"));
        let all = ["10.64.0.0/24", "10.64.1.0/24", "10.64.2.0/24", "10.64.3.0/24"];
        assert_eq!(parts.free(&taken(&all)), None);
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for (range, bits) in [("10.0.0.0", 24), ("x/8", 24), ("10.0.0.0/25", 24), ("10.0.0.0/4", 24)] {
            assert!(Parts::new(range, bits).is_err(), "{range} /{bits}");
        }
    }
}
