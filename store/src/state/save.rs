//! The state as a snapshot holds it: what is in it, in which order, and how it is loaded again.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use proto::log::{Item, SnapshotHead};

use super::{At, Change, Members, State};
use crate::kv::{KeyValue, Revision};

/// Where a snapshot being written goes on.
#[derive(Debug, Clone, Default)]
pub(crate) enum SavePoint {
    /// At the first key.
    #[default]
    Begin,
    /// Behind a key of the base.
    Key(Bytes),
    /// At a revision of the history.
    Change(Revision),
    /// Nowhere: it is complete.
    End,
}

/// How much of the state is saved at a time: the portions are what a snapshot takes of the memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Keys that are looked at.
    pub(crate) keys: usize,
    /// Bytes of keys and values; the last item, or the last revision's items, may go beyond.
    pub(crate) bytes: usize,
}

impl State {
    /// What a snapshot of this moment is of. Until [`State::end_save`], what it needs is kept from being swept.
    pub(crate) fn begin_save(&mut self) -> SnapshotHead {
        self.pins.push((self.compacted, self.applied.index));
        SnapshotHead {
            index: self.applied.index,
            term: self.applied.term,
            revision: self.revision,
            compacted: self.compacted,
            leases: self.leases.iter().collect(),
            alarms: self.alarms.all(),
            members: Some(self.members.to_log()),
        }
    }

    /// Ends [`State::begin_save`], which gave `head`.
    pub(crate) fn end_save(&mut self, head: &SnapshotHead) {
        if let Some(at) = self.pins.iter().position(|pin| *pin == (head.compacted, head.index)) {
            self.pins.swap_remove(at);
        }
    }

    /// Whether this is the state that [`State::begin_save`] gave `head` of: another member's snapshot may have replaced it.
    pub(crate) fn is_saving(&self, head: &SnapshotHead) -> bool {
        self.pins.contains(&(head.compacted, head.index))
    }

    /// The next items of the snapshot that `head` began, about as many as the budget says (perhaps none), and where to go on.
    pub(crate) fn save(&self, head: &SnapshotHead, from: SavePoint, budget: Budget) -> (Vec<Item>, SavePoint) {
        match from {
            SavePoint::Begin => self.save_base(head, Bound::Unbounded, budget),
            SavePoint::Key(key) => self.save_base(head, Bound::Excluded(&*key), budget),
            SavePoint::Change(revision) => self.save_changes(head, revision, budget),
            SavePoint::End => (Vec::new(), SavePoint::End),
        }
    }

    /// Every key as a read at the compact revision sees it. A watch may begin there, so what that revision itself deleted
    /// belongs to it.
    fn save_base(&self, head: &SnapshotHead, low: Bound<&[u8]>, budget: Budget) -> (Vec<Item>, SavePoint) {
        let mut items = Vec::new();
        let (mut last, mut bytes) = (None, 0);
        for (key, versions) in self.index.range::<[u8], _>((low, Bound::Unbounded)).take(budget.keys) {
            if bytes >= budget.bytes {
                break;
            }
            last = Some(key);
            let newest = versions.all().iter().rev().find(|item| item.mod_revision <= head.compacted);
            let belongs = newest.filter(|item| item.version > 0 || item.mod_revision == head.compacted);
            bytes += belongs.map_or(0, |item| item.key.len() + item.value.len());
            items.extend(belongs.map(|item| self.item(item)));
        }
        (items, last.map_or(SavePoint::Change(head.compacted + 1), |key| SavePoint::Key(key.clone())))
    }

    fn save_changes(&self, head: &SnapshotHead, from: Revision, budget: Budget) -> (Vec<Item>, SavePoint) {
        let mut items: Vec<Item> = Vec::new();
        let mut bytes = 0;
        for change in self.changes(from) {
            let revision = change.item.mod_revision;
            if revision > head.revision {
                break;
            }
            // Only between revisions: the place to go on is one.
            let enough = items.len() >= budget.keys || bytes >= budget.bytes;
            if enough && items.last().is_some_and(|item| item.mod_revision != revision) {
                return (items, SavePoint::Change(revision));
            }
            bytes += change.item.key.len() + change.item.value.len();
            items.push(self.item(&change.item));
        }
        (items, SavePoint::End)
    }

    fn item(&self, kv: &KeyValue) -> Item {
        Item {
            key: kv.key.clone(),
            value: kv.value.clone(),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            lease: kv.lease,
            sub: self.sub(kv),
        }
    }

    /// The state that a snapshot begins with.
    pub(crate) fn begin_load(head: &SnapshotHead) -> Self {
        let mut state = Self {
            revision: head.revision,
            compacted: head.compacted,
            swept: head.compacted,
            applied: At { index: head.index, term: head.term },
            members: Members::from_log(head.members.clone().unwrap_or_default()),
            ..Self::default()
        };
        head.leases.iter().for_each(|grant| state.leases.add(*grant));
        for alarm in &head.alarms {
            state.alarms.change(*alarm);
        }
        state
    }

    /// Adds an item, in the order in which [`State::save`] gave them.
    pub(crate) fn load(&mut self, item: Item) {
        let kv = KeyValue {
            key: item.key,
            value: item.value,
            create_revision: item.create_revision,
            mod_revision: item.mod_revision,
            version: item.version,
            lease: item.lease,
        };
        if kv.mod_revision > self.compacted {
            self.record(kv, item.sub);
            return;
        }
        let kv = Arc::new(kv);
        if kv.version > 0 {
            self.live_bytes += (kv.key.len() + kv.value.len()) as u64;
            self.leases.attach(kv.lease, &kv.key);
        }
        self.push(&kv, item.sub);
        if kv.mod_revision == self.compacted {
            self.history.push_back(Change { item: kv, prev: None });
        }
    }

    /// Ends a load: puts what the compact revision did into the order in which it did it (it came in key order).
    pub(crate) fn end_load(&mut self) {
        let count = self.history.partition_point(|change| change.item.mod_revision <= self.compacted);
        let mut first: Vec<Change> = self.history.drain(..count).collect();
        first.sort_by_key(|change| self.sub(&change.item));
        first.into_iter().rev().for_each(|change| self.history.push_front(change));
    }
}
