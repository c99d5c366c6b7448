//! The newest entries in memory: those that are not applied yet, and some more for followers that are a little behind.

use std::collections::VecDeque;

use proto::log::Entry;

/// Entries without a gap, up to the log's last.
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    /// Index of the first one here, or of the log's next entry if there is none.
    first: u64,
    bytes: u64,
}

/// What an entry counts for: its request, and about what it takes itself.
pub(crate) fn weight(entry: &Entry) -> u64 {
    entry.request.len() as u64 + 64
}

impl Tail {
    /// Of a log whose next entry is `next`.
    pub(super) fn new(next: u64) -> Self {
        Self { entries: VecDeque::new(), first: next, bytes: 0 }
    }

    /// Adds entries that follow one another; those from the first one's index on are replaced.
    pub(super) fn add(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first().map(|entry| entry.index) else { return };
        while self.first + self.entries.len() as u64 > first {
            let Some(gone) = self.entries.pop_back() else {
                self.first = first;
                break;
            };
            self.bytes -= weight(&gone);
        }
        if self.entries.is_empty() {
            self.first = first;
        }
        self.bytes += entries.iter().map(weight).sum::<u64>();
        self.entries.extend(entries);
    }

    /// Takes the oldest entries out, to before `to`: at least one if there is one, and not beyond about `most_bytes`.
    pub(super) fn take(&mut self, to: u64, most_bytes: u64) -> Vec<Entry> {
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let fits = entry.index < to && (bytes == 0 || bytes + weight(entry) <= most_bytes);
            bytes += weight(entry);
            fits
        };
        let count = self.entries.iter().take_while(fits).count();
        let taken: Vec<Entry> = self.entries.drain(..count).collect();
        self.bytes -= taken.iter().map(weight).sum::<u64>();
        self.first += count as u64;
        taken
    }

    /// Lets go of the oldest entries, none beyond `applied`, until at most `keep` bytes are left.
    pub(super) fn release(&mut self, applied: u64, keep: u64) {
        while self.bytes > keep && self.first <= applied {
            let Some(gone) = self.entries.pop_front() else { break };
            self.bytes -= weight(&gone);
            self.first += 1;
        }
        if self.entries.is_empty() && self.entries.capacity() > 4096 {
            self.entries = VecDeque::new();
        }
    }

    /// The first index here.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The entries from `from` on.
    pub(super) fn since(&self, from: u64) -> impl Iterator<Item = &Entry> {
        self.entries.range((from.saturating_sub(self.first) as usize).min(self.entries.len())..)
    }
}
