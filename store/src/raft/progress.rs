//! What a leader knows of one other member's log, and how much it may send there.
//!
//! Worked example; the leader's log ends at 20, the member's log has 12 of the same entries and 3 others:
//! ```text
//! probe      matched 0, next 21    append after 20 ──►  rejected, hint 15     one append at a time; next 13 by the terms
//! probe      matched 0, next 13    append after 12 ──►  accepted up to 20
//! replicate  matched 20, next 21   appends 21, 22-24, … without waiting, up to the bounds; replies free them in order
//! snapshot   the log begins at 30, next 25: nothing is sent until the member has a snapshot
//! ```

use std::collections::VecDeque;

/// See the module's header.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    pub(super) state: State,
    /// The member's log is known to be the leader's, durably, up to here.
    pub(super) matched: u64,
    /// The next entry to send; `matched < next`.
    pub(super) next: u64,
    /// The member was told this commit index by an append.
    pub(super) told: u64,
    /// Probe: one append is on its way (or was lost: a heartbeat's answer clears this).
    pub(super) waiting: bool,
    /// Replicate: something may have been lost; send an append even if it is empty, and it will be told.
    pub(super) poke: bool,
    /// Has answered since the leader last counted.
    pub(super) active: bool,
    /// Had answered before that, since the count before.
    pub(super) was_active: bool,
    /// The last round of reads that the member answered.
    pub(super) round: u64,
    /// Appends that have not been answered: last index, bytes.
    inflight: VecDeque<(u64, usize)>,
    inflight_bytes: usize,
}

/// How a leader sends to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Looks for where the logs meet.
    Probe,
    /// Sends ahead of the answers.
    Replicate,
    /// Waits until the member has a snapshot.
    Snapshot,
}

impl Progress {
    /// Of a member of which only the leader's own log is known; `active`: counts as one that has just answered.
    pub(super) fn new(next: u64, active: bool) -> Self {
        Self {
            state: State::Probe,
            matched: 0,
            next,
            told: 0,
            waiting: false,
            poke: false,
            active,
            was_active: false,
            round: 0,
            inflight: VecDeque::new(),
            inflight_bytes: 0,
        }
    }

    /// Enters a state. `next` is from where the state goes on.
    pub(super) fn enter(&mut self, state: State, next: u64) {
        self.state = state;
        self.next = next.max(self.matched + 1);
        self.told = self.told.min(self.next - 1);
        (self.waiting, self.poke) = (false, false);
        self.inflight.clear();
        self.inflight_bytes = 0;
    }

    /// Whether as much is on its way as may be.
    pub(super) fn full(&self, max: usize, max_bytes: usize) -> bool {
        self.inflight.len() >= max || self.inflight_bytes >= max_bytes
    }

    /// An append with entries up to `last` was sent.
    pub(super) fn sent(&mut self, last: u64, bytes: usize) {
        self.inflight.push_back((last, bytes));
        self.inflight_bytes += bytes;
        self.next = last + 1;
    }

    /// The member's log is the leader's up to `index`, where the leader's log begins at `first`. Whether that is news.
    pub(super) fn accepted(&mut self, index: u64, first: u64) -> bool {
        // An old answer; equal is news to a probe that was sent to find out.
        if index < self.matched || (index == self.matched && self.state != State::Probe) {
            return false;
        }
        self.matched = index;
        self.next = self.next.max(index + 1);
        match self.state {
            State::Probe => self.enter(State::Replicate, index + 1),
            // Whatever snapshot it got, or from whom: the log goes on from there.
            State::Snapshot if index + 1 >= first => self.enter(State::Replicate, index + 1),
            State::Snapshot => {}
            State::Replicate => {
                while self.inflight.front().is_some_and(|(last, _)| *last <= index) {
                    self.inflight_bytes -= self.inflight.pop_front().map_or(0, |(_, bytes)| bytes);
                }
            }
        }
        true
    }

    /// The append after `prev` did not fit; the logs may meet at `hint`.
    pub(super) fn rejected(&mut self, prev: u64, hint: u64) {
        match self.state {
            State::Replicate if prev > self.matched => self.enter(State::Probe, self.matched + 1),
            // Any other is the answer to an older probe.
            State::Probe if prev + 1 == self.next => self.enter(State::Probe, prev.min(hint + 1)),
            _ => {}
        }
    }
}
