//! A state as the beginning of another cluster: what is the old one's goes, what is the keys' stays.

use proto::log::Members as Listed;

use super::hash::HashKv;
use super::{Alarms, At, Members, State};
use crate::kv::Revision;

impl State {
    /// Ends a load (see [`State::load`]) of which the revision was not known before.
    pub(crate) fn end_import(&mut self, revision: Revision) {
        self.revision = revision;
        self.end_load();
    }

    /// Makes `revision`, which is not before the present one, the revision and the compact revision: history goes.
    pub(crate) fn move_on(&mut self, revision: Revision) {
        (self.revision, self.compacted) = (revision, revision);
        while self.sweep(usize::MAX) {}
    }

    /// Becomes the state right after the entry at `at` in a cluster of these members.
    pub(crate) fn refound(&mut self, at: At, members: Listed) {
        self.applied = at;
        self.members = Members::from_log(members);
        // They speak of members of the old one.
        self.alarms = Alarms::default();
    }

    /// How many keys live now.
    pub(crate) fn live_keys(&self) -> u64 {
        self.index.values().filter(|versions| versions.at(Revision::MAX).is_some()).count() as u64
    }

    /// HashKV of now, at once: for a state that nobody else uses.
    pub(crate) fn hash_now(&self) -> HashKv {
        let mut scan = self.begin_hash_now();
        // Fails only when a compaction comes between.
        let _ = self.advance_hash(&mut scan, usize::MAX);
        scan.finish()
    }
}
