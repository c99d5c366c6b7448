//! Who owns whom, by UID; and which objects have to be looked at after an event. Pure (kube-controller-manager,
//! garbagecollector/graph_builder.go).
//!
//! Worked example: ReplicaSet `r` arrives with an owner reference to Deployment `d`, which nobody has seen yet. `d` gets a
//! *virtual* node with `r` as its dependent, and is looked up. If the server knows it, its own event will make the node
//! *observed*; if not, the node becomes *unfound* and `r` is looked at. When `d` is deleted its node stays as *gone* for
//! as long as `r` refers to it, so that a dependent that arrives late is looked at too; then it is dropped.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A UID; shared by all who refer to it.
pub(super) type Uid = Arc<str>;

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) api_version: Arc<str>,
    pub(super) kind: Arc<str>,
    /// Of an owner that is only known from a reference: its dependent's, which holds unless it is cluster-scoped.
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
}

/// One owner reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: Uid,
    pub(super) api_version: Arc<str>,
    pub(super) kind: Arc<str>,
    pub(super) name: Box<str>,
    /// The owner may not go while this dependent is there.
    pub(super) blocking: bool,
}

/// An object as an event shows it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) uid: Uid,
    pub(super) identity: Identity,
    pub(super) owners: Vec<Owner>,
    /// Being deleted.
    pub(super) going: bool,
    /// Has the finalizer `orphan`.
    pub(super) orphan: bool,
    /// Has the finalizer `foregroundDeletion`.
    pub(super) foreground: bool,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Work {
    /// Whether this object has to go, or may at last.
    Delete(Uid),
    /// This object leaves orphans behind.
    Orphan(Uid),
}

/// What is known of an object's existence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Only from references to it.
    Virtual,
    /// From the server.
    Observed,
    /// A reference led nowhere; another one may name it rightly.
    Unfound,
    /// It was there and was deleted.
    Gone,
}

#[derive(Debug)]
struct Node {
    identity: Identity,
    known: Known,
    owners: Vec<Owner>,
    dependents: HashSet<Uid>,
    going: bool,
    orphaning: bool,
    /// Going, but not before its dependents.
    foreground: bool,
}

/// What a worker needs to know about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) identity: Identity,
    pub(super) known: Known,
    pub(super) going: bool,
    pub(super) foreground: bool,
    pub(super) has_dependents: bool,
    /// A dependent waits for its own dependents: perhaps a circle.
    pub(super) dependent_waits: bool,
}

/// The graph.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    /// Kinds and versions, once each.
    names: HashSet<Arc<str>>,
}

impl Graph {
    /// `text`, shared with all equal ones.
    pub(super) fn name(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.names.get(text) {
            return known.clone();
        }
        let new: Arc<str> = text.into();
        self.names.insert(new.clone());
        new
    }

    /// The UID as the graph has it, so that it is stored once.
    pub(super) fn uid(&self, text: &str) -> Uid {
        self.nodes.get_key_value(text).map_or_else(|| text.into(), |(uid, _)| uid.clone())
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The object exists and looks like this.
    pub(super) fn present(&mut self, seen: Seen) -> Vec<Work> {
        let mut work = Vec::new();
        let before = match self.nodes.get_mut(&seen.uid) {
            Some(node) => {
                let before = std::mem::replace(&mut node.owners, seen.owners.clone());
                // A reference that named it wrongly has to be looked at: it may be a dangling one.
                if node.known != Known::Observed && node.identity != seen.identity {
                    work.extend(node.dependents.iter().cloned().map(Work::Delete));
                }
                node.identity = seen.identity.clone();
                node.known = Known::Observed;
                before
            }
            None => {
                self.nodes.insert(seen.uid.clone(), Node::new(&seen));
                Vec::new()
            }
        };
        self.relink(&seen, &before, &mut work);
        self.transition(&seen, &mut work);
        work
    }

    /// Connects the object with its new owners, disconnects it from those it has no more.
    fn relink(&mut self, seen: &Seen, before: &[Owner], work: &mut Vec<Work>) {
        for old in before {
            let now = seen.owners.iter().find(|owner| owner.uid == old.uid);
            if now.is_none() {
                self.unlink(&old.uid, &seen.uid);
            }
            let unblocked = old.blocking && now.is_none_or(|owner| !owner.blocking);
            if unblocked && self.nodes.get(&old.uid).is_some_and(|owner| owner.foreground) {
                work.push(Work::Delete(old.uid.clone()));
            }
        }
        for owner in seen.owners.iter().filter(|owner| !before.iter().any(|old| old.uid == owner.uid)) {
            let namespace = &seen.identity.namespace;
            match self.nodes.get_mut(&owner.uid) {
                Some(node) => {
                    node.dependents.insert(seen.uid.clone());
                    let misnamed = node.known == Known::Observed && !node.is_named(owner, namespace);
                    if misnamed || node.foreground || matches!(node.known, Known::Gone | Known::Unfound) {
                        work.push(Work::Delete(seen.uid.clone()));
                    }
                }
                None => {
                    self.nodes.insert(owner.uid.clone(), Node::only_referred_to(owner, namespace, &seen.uid));
                    work.push(Work::Delete(owner.uid.clone()));
                }
            }
        }
    }

    /// What begins with this state: waiting for dependents, or letting them go.
    fn transition(&mut self, seen: &Seen, work: &mut Vec<Work>) {
        let Some(node) = self.nodes.get_mut(&seen.uid) else { return };
        node.going = seen.going;
        let (orphaning, foreground) = (seen.going && seen.orphan, seen.going && seen.foreground);
        if orphaning && !node.orphaning {
            work.push(Work::Orphan(seen.uid.clone()));
        } else if foreground && !node.foreground {
            work.extend(node.dependents.iter().cloned().map(Work::Delete));
            work.push(Work::Delete(seen.uid.clone()));
        }
        node.orphaning = orphaning;
        node.foreground = foreground;
    }

    /// The object was deleted.
    pub(super) fn gone(&mut self, uid: &str) -> Vec<Work> {
        let Some((uid, _)) = self.nodes.get_key_value(uid) else { return Vec::new() };
        let uid = uid.clone();
        self.lost(&uid, Known::Gone)
    }

    /// A look-up of an owner that is only known from a reference found nothing.
    pub(super) fn unfound(&mut self, uid: &Uid) -> Vec<Work> {
        match self.nodes.get(uid) {
            Some(node) if node.known == Known::Virtual => self.lost(uid, Known::Unfound),
            _ => Vec::new(),
        }
    }

    fn lost(&mut self, uid: &Uid, known: Known) -> Vec<Work> {
        let Some(node) = self.nodes.get_mut(uid) else { return Vec::new() };
        node.known = known;
        (node.going, node.foreground, node.orphaning) = (false, false, false);
        let owners = std::mem::take(&mut node.owners);
        let mut work: Vec<Work> = node.dependents.iter().cloned().map(Work::Delete).collect();
        if node.dependents.is_empty() {
            self.nodes.remove(uid);
        }
        for owner in owners {
            self.unlink(&owner.uid, uid);
            if self.nodes.get(&owner.uid).is_some_and(|node| node.foreground) {
                work.push(Work::Delete(owner.uid));
            }
        }
        work
    }

    fn unlink(&mut self, owner: &Uid, dependent: &Uid) {
        let Some(node) = self.nodes.get_mut(owner) else { return };
        node.dependents.remove(dependent);
        if node.dependents.is_empty() && node.known != Known::Observed {
            self.nodes.remove(owner);
        }
    }

    /// A list of all objects of a kind has arrived: what is not in `kept` is gone.
    pub(super) fn listed(&mut self, api_version: &str, kind: &str, kept: &HashSet<Uid>) -> Vec<Work> {
        let of_kind = |node: &Node| *node.identity.api_version == *api_version && *node.identity.kind == *kind;
        let gone: Vec<Uid> = self
            .nodes
            .iter()
            .filter(|(uid, node)| node.known == Known::Observed && of_kind(node) && !kept.contains(*uid))
            .map(|(uid, _)| uid.clone())
            .collect();
        gone.iter().flat_map(|uid| self.lost(uid, Known::Gone)).collect()
    }

    pub(super) fn item(&self, uid: &str) -> Option<Item> {
        let node = self.nodes.get(uid)?;
        let waits = |uid: &Uid| self.nodes.get(uid).is_some_and(|dependent| dependent.foreground);
        Some(Item {
            identity: node.identity.clone(),
            known: node.known,
            going: node.going,
            foreground: node.foreground,
            has_dependents: !node.dependents.is_empty(),
            dependent_waits: node.dependents.iter().any(waits),
        })
    }

    /// The dependents.
    pub(super) fn dependents(&self, uid: &str) -> Vec<(Uid, Identity)> {
        let dependents = self.nodes.get(uid).map(|node| &node.dependents).into_iter().flatten();
        let known = dependents.filter_map(|uid| self.nodes.get_key_value(uid));
        known.map(|(uid, node)| (uid.clone(), node.identity.clone())).collect()
    }

    /// The dependents that keep their owner from going, and whether each waits for its own.
    pub(super) fn blocking(&self, uid: &str) -> Vec<(Uid, bool)> {
        let dependents = self.nodes.get(uid).map(|node| &node.dependents).into_iter().flatten();
        dependents
            .filter_map(|dependent| {
                let node = self.nodes.get(dependent)?;
                let blocks = node.owners.iter().any(|owner| *owner.uid == *uid && owner.blocking);
                blocks.then(|| (dependent.clone(), node.foreground))
            })
            .collect()
    }

    /// Whether this very object was there and has been deleted.
    pub(super) fn is_gone(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(|node| node.known == Known::Gone)
    }
}

impl Node {
    fn new(seen: &Seen) -> Self {
        Self {
            identity: seen.identity.clone(),
            known: Known::Observed,
            owners: seen.owners.clone(),
            dependents: HashSet::new(),
            going: false,
            orphaning: false,
            foreground: false,
        }
    }

    fn only_referred_to(owner: &Owner, namespace: &str, dependent: &Uid) -> Self {
        Self {
            identity: Identity {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
                namespace: namespace.into(),
                name: owner.name.clone(),
            },
            known: Known::Virtual,
            owners: Vec::new(),
            dependents: HashSet::from([dependent.clone()]),
            going: false,
            orphaning: false,
            foreground: false,
        }
    }

    /// Whether `owner` in an object of `namespace` names this node (the group's version may differ).
    fn is_named(&self, owner: &Owner, namespace: &str) -> bool {
        let group = |api_version: &str| api_version.split_once('/').map_or(String::new(), |(group, _)| group.into());
        let own = &self.identity;
        own.kind == owner.kind
            && own.name == owner.name
            && (own.namespace.is_empty() || *own.namespace == *namespace)
            && group(&own.api_version) == group(&owner.api_version)
    }
}

#[cfg(test)]
#[path = "graph_tests.rs"]
mod tests;
