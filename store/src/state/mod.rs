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

mod apply;
mod read;
mod save;
mod sweep;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::kv::{Error, KeyValue, Revision};
pub(crate) use apply::Outcome;

/// See the module's header.
pub(crate) struct State {
    index: BTreeMap<Bytes, Versions>,
    history: VecDeque<Change>,
    revision: Revision,
    compacted: Revision,
    /// Compactions up to here have been carried out.
    swept: Revision,
    /// Compactions must not be carried out beyond this while a snapshot at it is being written.
    pin: Option<Revision>,
    /// Bytes of the keys and values that live now.
    live_bytes: u64,
    /// (entry, compacted) of the compactions since, and one before, the entry that made revision `compacted`.
    compactions: VecDeque<(u64, Revision)>,
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
    /// The log entry that did it.
    pub(crate) entry: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            index: BTreeMap::new(),
            history: VecDeque::new(),
            revision: 1,
            compacted: 0,
            swept: 0,
            pin: None,
            live_bytes: 0,
            compactions: VecDeque::new(),
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
