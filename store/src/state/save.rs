//! The state as a snapshot holds it: where one can be taken, what is in it, and how it is loaded again.

use std::sync::Arc;

use bytes::Bytes;
use proto::log::SnapshotHead;

use super::{Change, State, Versions};
use crate::kv::{KeyValue, Revision};

impl State {
    /// The newest point that a snapshot can be taken of: the entry that made the compact revision. `None` if there is none.
    pub(crate) fn snapshot_point(&self) -> Option<SnapshotHead> {
        let index = self.entry_of(self.compacted)?;
        let before = self.compactions.iter().rev().find(|(entry, _)| *entry <= index);
        let compacted = before.map_or(0, |(_, compacted)| *compacted);
        Some(SnapshotHead { index, term: 0, revision: self.compacted, compacted })
    }

    /// The entry that made a revision, while the history has it.
    fn entry_of(&self, revision: Revision) -> Option<u64> {
        let behind = self.history.partition_point(|change| change.item.mod_revision <= revision);
        let change = self.history.get(behind.checked_sub(1)?)?;
        (change.item.mod_revision == revision).then_some(change.entry)
    }

    /// Forgets the compactions that no later snapshot can ask for.
    pub(super) fn forget_compactions(&mut self) {
        let Some(index) = self.entry_of(self.compacted) else { return };
        while self.compactions.get(1).is_some_and(|(entry, _)| *entry <= index) {
            self.compactions.pop_front();
        }
    }

    /// Keeps what a read at `revision` sees from being swept, until [`State::unpin`].
    pub(crate) fn pin(&mut self, revision: Revision) {
        self.pin = Some(revision);
    }

    /// Ends [`State::pin`].
    pub(crate) fn unpin(&mut self) {
        self.pin = None;
    }

    /// Adds what a snapshot at `revision` holds to `items`, from behind the key `resume` on, looking at up to `budget`
    /// keys. Returns where to go on; `None` at the end.
    pub(crate) fn items_at(
        &self,
        revision: Revision,
        resume: Option<&Bytes>,
        budget: usize,
        items: &mut Vec<Arc<KeyValue>>,
    ) -> Option<Bytes> {
        let low = resume.map_or(std::ops::Bound::Unbounded, |key| std::ops::Bound::Excluded(&**key));
        let keys = self.index.range::<[u8], _>((low, std::ops::Bound::Unbounded));
        let mut last = None;
        for (key, versions) in keys.take(budget) {
            last = Some(key);
            let newest = versions.all().iter().rev().find(|item| item.mod_revision <= revision);
            // A watch may begin at this revision, so what it deleted belongs to it.
            items.extend(newest.filter(|item| item.version > 0 || item.mod_revision == revision).cloned());
        }
        last.cloned()
    }

    /// An empty state at the point of a snapshot.
    pub(crate) fn begin_load(head: &SnapshotHead) -> Self {
        Self {
            revision: head.revision,
            compacted: head.compacted,
            swept: head.compacted,
            compactions: [(head.index, head.compacted)].into(),
            ..Self::default()
        }
    }

    /// Adds an item of the snapshot that entry `index` is the last of. Items come in key order, once each.
    pub(crate) fn load(&mut self, index: u64, kv: KeyValue) {
        if kv.version > 0 {
            self.live_bytes += (kv.key.len() + kv.value.len()) as u64;
        }
        let item = Arc::new(kv);
        if item.mod_revision == self.revision {
            self.history.push_back(Change { item: Arc::clone(&item), prev: None, entry: index });
        }
        self.index.insert(item.key.clone(), Versions::One(item));
    }
}
