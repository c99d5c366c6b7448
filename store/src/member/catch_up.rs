//! What a leader sends of its log to members that are far behind: what the newest entries in memory do not reach is read from the
//! files, in rations. Not where there is no quorum without them: then everybody waits for them.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use super::Member;
use crate::log::{Log, weight};
use crate::raft::{Entry, LogView};
use crate::ration::Ration;

/// See the module's header.
pub(super) struct CatchUp {
    ration: RefCell<Ration>,
    /// Somebody waits for the next ration.
    waiting: Cell<bool>,
}

impl CatchUp {
    pub(super) fn new() -> Self {
        Self { ration: RefCell::new(Ration::new()), waiting: Cell::new(false) }
    }
}

impl<T> Member<T> {
    /// Whether those who are far behind are sent no more before a rest, and [`Member::send_more`].
    pub(crate) fn rests(&self) -> bool {
        self.catch_up.waiting.get()
    }

    /// Has the next [`Member::advance`] send more to those who are far behind.
    pub(crate) fn send_more(&mut self) {
        let membership = self.raft.membership();
        let others = (membership.voters.len() + membership.learners.len()).saturating_sub(1);
        self.catch_up.ration.get_mut().renew(self.core.written.load(Ordering::Relaxed), others);
        self.catch_up.waiting.set(false);
    }

    /// For simulations of little data: the smallest ration, and what stays in memory.
    #[cfg(test)]
    pub(crate) fn ration(&mut self, bytes: u64) {
        self.keep = bytes;
        self.catch_up.ration = RefCell::new(Ration::of(bytes));
    }
}

/// The log as a leader sends it.
pub(super) struct Rationed<'a> {
    pub(super) log: &'a Log,
    pub(super) catch_up: &'a CatchUp,
    /// Bytes that were written to it since the start.
    pub(super) written: u64,
    /// There is no quorum without those who are far behind.
    pub(super) needed: bool,
}

impl LogView for Rationed<'_> {
    fn first_index(&self) -> u64 {
        self.log.first_index()
    }

    fn last_index(&self) -> u64 {
        LogView::last_index(self.log)
    }

    fn term(&self, index: u64) -> Option<u64> {
        self.log.term_of(index)
    }

    fn entries(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Entry> {
        let max_bytes = max_bytes as u64;
        if self.needed || from >= self.log.in_memory_from() || from < self.log.first_index() {
            return self.log.entries_or_note(from, to, max_bytes);
        }
        let mut ration = self.catch_up.ration.borrow_mut();
        let left = ration.left(self.written);
        if left == 0 {
            self.catch_up.waiting.set(true);
            return Vec::new();
        }
        let entries = self.log.entries_or_note(from, to, max_bytes.min(left));
        let more = entries.last().is_some_and(|last| last.index + 1 < to);
        // A rest of it for a few entries is not worth a read.
        let spent = match more && left < max_bytes {
            true => left,
            false => entries.iter().map(weight).sum(),
        };
        ration.spend(spent, self.written);
        entries
    }
}
