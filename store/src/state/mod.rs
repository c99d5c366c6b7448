//! The replicated state: all keys with their history, as a deterministic function of the log's entries. No clock, no
//! randomness, no I/O: applied twice, the same entries give the same state and the same answers.
//!
//! Two views of the same versions (each a shared `Arc<KeyValue>`; a version number of 0 marks a deletion):
//! ```text
//! index    a -> [1@2, 2@4]          versions by key, oldest first: n@r is the n-th version, written by revision r
//!          b -> [1@3, 0@5]          deleted by revision 5
//! history  (a 1@2) (b 1@3) (a 2@4, before: 1@2) (b 0@5, before: 1@3)       changes by revision, for watches
//! ```
//! Compaction at 4 takes effect at once for readers (`compacted`) and is then carried out in small portions (`sweep`):
//! ```text
//! index    a -> [2@4]               the newest version at or before 4 stays
//!          b -> [1@3, 0@5]          1@3 is what a read at 4 sees; 0@5 is later
//! history  (a 2@4) (b 0@5, before: 1@3)                        a watch may begin at 4, so what 4 did stays
//! ```
//! A compaction at 6 then removes `b` altogether.

mod alarm;
mod apply;
mod hash;
mod lease;
mod members;
mod read;
mod refound;
mod save;
mod sweep;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::kv::{Error, KeyValue, Revision};
use crate::span::Span;
pub(crate) use alarm::Alarms;
pub(crate) use apply::{Outcome, puts};
pub use hash::HashKv;
pub(crate) use lease::Leases;
pub(crate) use members::Members;
pub(crate) use save::{Budget, SavePoint};

/// What one version of a key takes beyond its bytes: its place in the index and in the history (an
/// estimate: a steady figure matters more than an exact one, because operators set quotas by it).
const VERSION_COST: u64 = 256;

/// A place in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) index: u64,
    pub(crate) term: u64,
}

/// See the module's header.
pub(crate) struct State {
    index: BTreeMap<Bytes, Versions>,
    history: VecDeque<Change>,
    revision: Revision,
    compacted: Revision,
    /// Compactions up to here have been carried out.
    swept: Revision,
    /// Snapshots being written or sent: compactions must not be carried out beyond these revisions. With their entries.
    pins: Vec<(Revision, u64)>,
    /// Bytes of the keys and values that live now.
    live_bytes: u64,
    /// What all versions together take; see [`VERSION_COST`].
    resident: u64,
    /// The number of a change within its revision, where it is not 0: only of transactions with several writes. By whether it
    /// deletes, too: one revision may put a key and then delete it.
    subs: BTreeMap<(Revision, Bytes, bool), u32>,
    leases: Leases,
    alarms: Alarms,
    members: Members,
    /// The last entry.
    applied: At,
}

/// The versions of one key, oldest first. Most keys have one.
enum Versions {
    One(Arc<KeyValue>),
    Many(Vec<Arc<KeyValue>>),
}

/// What one entry did to one key.
pub(crate) struct Change {
    pub(crate) item: Arc<KeyValue>,
    pub(crate) prev: Option<Arc<KeyValue>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            index: BTreeMap::new(),
            history: VecDeque::new(),
            revision: 1,
            compacted: 0,
            swept: 0,
            pins: Vec::new(),
            live_bytes: 0,
            resident: 0,
            subs: BTreeMap::new(),
            leases: Leases::default(),
            alarms: Alarms::default(),
            members: Members::default(),
            applied: At::default(),
        }
    }
}

impl State {
    /// The revision of the last change.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read.
    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// Bytes of the keys and values that live now.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Bytes that keys and values take with their history.
    pub(crate) fn resident(&self) -> u64 {
        self.resident
    }

    /// The last entry that was applied.
    pub(crate) fn applied(&self) -> At {
        self.applied
    }

    /// Compactions up to here have been carried out.
    pub(crate) fn swept(&self) -> Revision {
        self.swept
    }

    /// How many keys there are, deleted ones that are remembered among them.
    pub(crate) fn keys(&self) -> usize {
        self.index.len()
    }

    /// How many changes are remembered, of which a compaction may make some superfluous.
    pub(crate) fn remembered(&self) -> usize {
        self.history.len()
    }

    /// The leases.
    pub(crate) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// The alarms that are on.
    pub(crate) fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// The revision that a request for `revision` (0: now) reads, if it can be read.
    pub(crate) fn readable(&self, revision: Revision) -> Result<Revision, Error> {
        match revision {
            0 => Ok(self.revision),
            future if future > self.revision => Err(Error::Future(self.revision)),
            gone if gone < self.compacted => Err(Error::Compacted(self.compacted)),
            revision => Ok(revision),
        }
    }

    /// The key as it is now, unless it is deleted.
    fn current(&self, key: &[u8]) -> Option<&Arc<KeyValue>> {
        self.index.get(key)?.at(Revision::MAX)
    }

    /// The keys of a span as they are now.
    fn live<'a>(&'a self, span: &'a Span) -> impl Iterator<Item = &'a Arc<KeyValue>> {
        let keys = span.bounds(None).map(|bounds| self.index.range::<[u8], _>(bounds));
        keys.into_iter().flatten().filter_map(|(_, versions)| versions.at(Revision::MAX))
    }

    /// Adds a version to the index; says what the key was before, unless it was not there.
    fn push(&mut self, item: &Arc<KeyValue>, sub: u32) -> Option<Arc<KeyValue>> {
        self.resident += cost(item);
        if sub > 0 {
            self.subs.insert(sub_key(item), sub);
        }
        if let Some(versions) = self.index.get_mut(&item.key) {
            let prev = versions.at(Revision::MAX).cloned();
            versions.push(Arc::clone(item));
            return prev;
        }
        self.index.insert(own(&item.key), Versions::One(Arc::clone(item)));
        None
    }

    /// A version has left the index.
    fn dropped(&mut self, item: &KeyValue) {
        self.resident -= cost(item);
        if !self.subs.is_empty() {
            self.subs.remove(&sub_key(item));
        }
    }

    /// The number of a change within its revision.
    fn sub(&self, item: &KeyValue) -> u32 {
        if self.subs.is_empty() {
            return 0;
        }
        self.subs.get(&sub_key(item)).copied().unwrap_or(0)
    }
}

/// A key for longer than its version lives. What is decoded is a slice of its request, and would keep all of that in memory.
fn own(key: &Bytes) -> Bytes {
    Bytes::copy_from_slice(key)
}

fn sub_key(item: &KeyValue) -> (Revision, Bytes, bool) {
    (item.mod_revision, item.key.clone(), item.version == 0)
}

fn cost(item: &KeyValue) -> u64 {
    (item.key.len() + item.value.len()) as u64 + VERSION_COST
}

impl Versions {
    fn all(&self) -> &[Arc<KeyValue>] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Many(items) => items,
        }
    }

    /// What a read at `revision` sees.
    fn at(&self, revision: Revision) -> Option<&Arc<KeyValue>> {
        self.all().iter().rev().find(|item| item.mod_revision <= revision).filter(|item| item.version > 0)
    }

    fn push(&mut self, item: Arc<KeyValue>) {
        match self {
            Self::Many(items) => items.push(item),
            Self::One(first) => *self = Self::Many(vec![Arc::clone(first), item]),
        }
    }
}

#[cfg(test)]
mod tests;
