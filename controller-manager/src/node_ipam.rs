//! Gives every node its part of the pods' address range (kube-controller-manager, nodeipam, RangeAllocator). The parts
//! that nodes have are the record: nothing else is kept.

use std::collections::{BTreeMap, BTreeSet};
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
        underway: Mutex::default(),
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

/// First address and length of an IPv4 range; what lies beyond the length does not count (net.ParseCIDR).
fn parse(range: &str) -> Option<(u32, u8)> {
    let (base, bits) = range.split_once('/')?;
    let (base, bits): (Ipv4Addr, u8) = (base.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 32)?);
    Some((u32::from(base) & mask(bits), bits))
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

impl Parts {
    fn new(range: &str, part_bits: u8) -> anyhow::Result<Self> {
        let (base, bits) = parse(range).with_context(|| format!("invalid CIDR address: {range}"))?;
        ensure!(bits <= part_bits && part_bits <= 30, "a /{part_bits} for each node does not fit into {range}");
        ensure!(part_bits - bits <= 16, "{range} has too many parts of /{part_bits}: at most 65536");
        Ok(Self { base, bits: part_bits, count: 1 << (part_bits - bits) })
    }

    /// The first part that has no address in common with a range that is `taken`, which may be of another length: the parts
    /// of nodes outlive a change of the flags.
    fn free(&self, taken: &BTreeSet<String>) -> Option<String> {
        let taken: Vec<(u32, u8)> = taken.iter().filter_map(|range| parse(range)).collect();
        let is_free = |base: &u32| taken.iter().all(|(other, bits)| (*base ^ *other) & mask(self.bits.min(*bits)) != 0);
        let mut bases = (0..self.count).map(|number| self.base + (number << (32 - u32::from(self.bits))));
        bases.find(is_free).map(|base| format!("{}/{}", Ipv4Addr::from(base), self.bits))
    }
}

/// A part on its way to a node.
struct Given {
    part: String,
    /// The node is known to have it; otherwise it may have it or not, or come to have it yet.
    written: bool,
}

/// The parts given to nodes of which the cache may not have heard, by name of the node. A part is here before anything is
/// written: where the answer to a write is lost, nobody else may get it.
#[derive(Default)]
struct Underway(BTreeMap<String, Given>);

impl Underway {
    /// The part for a node, the same one each time it is asked for; `taken` are those that nodes are seen to have.
    fn part(&mut self, node: &str, mut taken: BTreeSet<String>, parts: &Parts) -> Option<String> {
        if let Some(given) = self.0.get(node) {
            return Some(given.part.clone());
        }
        taken.extend(self.0.values().map(|given| given.part.clone()));
        let part = parts.free(&taken)?;
        self.0.insert(node.to_string(), Given { part: part.clone(), written: false });
        Some(part)
    }

    fn is_written(&self, node: &str) -> bool {
        self.0.get(node).is_some_and(|given| given.written)
    }

    fn written(&mut self, node: &str) {
        if let Some(given) = self.0.get_mut(node) {
            given.written = true;
        }
    }
}

struct NodeIpam {
    client: Client,
    recorder: Recorder,
    nodes: Cache<Node>,
    parts: Parts,
    underway: Mutex<Underway>,
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
        let mut underway = self.underway.lock().await;
        let waits = |node: &str| self.nodes.get(&Key::new("", node)).is_some_and(|node| pod_range(&node).is_none());
        underway.0.retain(|node, _| waits(node));
        let waiting = self.nodes.get(key).filter(|node| pod_range(node).is_none());
        let waiting = waiting.or_else(|| {
            let unserved =
                |node: &std::sync::Arc<Node>| pod_range(node).is_none() && !underway.is_written(&node.key().name);
            self.nodes.list().into_iter().find(unserved)
        });
        let Some(node) = waiting else { return Ok(Action::Done) };
        let (name, taken) = (node.key().name, self.nodes.list().iter().filter_map(|node| pod_range(node)).collect());
        let Some(part) = underway.part(&name, taken, &self.parts) else {
            self.recorder.about(&*node, Type::Normal, "CIDRNotAvailable", "Node status is now: CIDRNotAvailable");
            tracing::warn!(node = %node.key(), "no pod range left");
            return Ok(Action::Done);
        };
        let patch = json!({
            "metadata": {"uid": node.uid(), "resourceVersion": node.metadata.resource_version},
            "spec": {"podCIDR": part, "podCIDRs": [part]},
        });
        let written = self.client.patch::<Node>("", &name, &Patch::Merge(patch)).await?;
        underway.written(&name);
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
    fn a_part_whose_writing_nobody_knows_of_goes_to_nobody_else() {
        let parts = Parts::new("10.64.0.0/23", 24).unwrap();
        let seen = |parts: &[&str]| parts.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut underway = Underway::default();
        let first = Some("10.64.0.0/24".to_string());
        assert_eq!(underway.part("a", seen(&[]), &parts), first);
        // No answer came: it may have been written or not, and is asked for again.
        assert!(!underway.is_written("a"));
        assert_eq!(underway.part("b", seen(&[]), &parts).as_deref(), Some("10.64.1.0/24"));
        assert_eq!(underway.part("a", seen(&[]), &parts), first);
        assert_eq!(underway.part("c", seen(&[]), &parts), None);
        underway.written("b");
        assert!(underway.is_written("b") && !underway.is_written("a") && !underway.is_written("c"));
        // The cache has seen one of them, the other one's node is gone.
        underway.0.clear();
        assert_eq!(underway.part("c", seen(&["10.64.1.0/24"]), &parts), first);
    }

    #[test]
    fn ranges_that_make_no_sense_are_refused() {
        for (range, bits) in [("10.0.0.0", 24), ("x/8", 24), ("10.0.0.0/25", 24), ("10.0.0.0/4", 24)] {
            assert!(Parts::new(range, bits).is_err(), "{range} /{bits}");
        }
    }

    #[test]
    fn ranges_are_read_with_their_base_cut_to_their_length() {
        let table = [
            ("10.64.3.7/22", Some("10.64.0.0/22")),
            ("10.64.0.0/32", Some("10.64.0.0/32")),
            ("255.255.255.255/0", Some("0.0.0.0/0")),
            ("10.64.0.0/33", None),
            ("10.64.0.0/-1", None),
            ("10.64.0/8", None),
            ("fd00::/64", None),
            ("", None),
            ("/8", None),
        ];
        for (text, expected) in table {
            let read = parse(text).map(|(base, bits)| format!("{}/{bits}", Ipv4Addr::from(base)));
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn ranges_of_any_length_are_kept_clear_of() {
        let table: [(u8, &[&str], Option<&str>); 9] = [
            (24, &[], Some("10.64.0.0/24")),
            // A larger one that was given before the flag changed, and a smaller one.
            (25, &["10.64.0.0/24"], Some("10.64.1.0/25")),
            (23, &["10.64.1.0/24"], Some("10.64.2.0/23")),
            (24, &["10.64.0.128/25", "10.64.1.7/32"], Some("10.64.2.0/24")),
            (24, &["10.0.0.0/8"], None),
            (24, &["0.0.0.0/0"], None),
            // What lies elsewhere, or is no range of ours to read, takes nothing.
            (24, &["10.65.0.0/16", "fd00::/64", "nonsense"], Some("10.64.0.0/24")),
            (22, &[], Some("10.64.0.0/22")),
            (22, &["10.64.3.255/32"], None),
        ];
        for (bits, taken, expected) in table {
            let parts = Parts::new("10.64.0.0/22", bits).unwrap();
            let taken = taken.iter().map(ToString::to_string).collect();
            assert_eq!(parts.free(&taken).as_deref(), expected, "/{bits} beside {taken:?}");
        }
    }

    #[test]
    fn the_last_part_of_the_last_range_is_a_part_too() {
        let parts = Parts::new("255.255.255.0/24", 25).unwrap();
        let first = BTreeSet::from(["255.255.255.0/25".to_string()]);
        assert_eq!(parts.free(&first).as_deref(), Some("255.255.255.128/25"));
        assert_eq!(Parts::new("10.0.0.0/8", 24).unwrap().count, 65_536);
    }
}
