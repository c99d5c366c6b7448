//! The state machine: what a member remembers, what comes in, what goes out. What it decides is in `election`, `follower`,
//! `leader` and `reads`.
//!
//! The core keeps no log. It knows the last entry's index and term, holds the entries that came since the last [`Ready`],
//! and reads the rest through [`LogView`]. What is not durable yet is a queue of flights. Worked example of a follower
//! whose disk is slow:
//! ```text
//! step(append 4 5)          pending [4 5]                       held [reply 5]
//! ready → persist #7        flights #7{last 5, reply 5}         persisted 3
//! step(append 5' 6)         pending [5' 6]   #7{last 4, …}      what #7 wrote of 5 counts no more
//! ready → persist #8        flights #7, #8{last 6, reply 6}
//! persisted(#7)             persisted 4, reply 5 is released    (of the old leader's term: it will be ignored)
//! persisted(#8)             persisted 6, reply 6 is released
//! ```

use std::collections::{BTreeMap, VecDeque};

use super::progress::Progress;
use super::reads::Reads;
use super::{
    Body, Config, Entry, Fault, HardState, LogView, MOST, Membership, Message, Persist, Ready, Role, Snapshot,
    Standing, Violation,
};
use crate::random::SplitMix;

/// One member. See the module's header; how to drive it stands in the header of `raft`.
#[derive(Debug)]
pub struct Raft {
    pub(super) config: Config,
    pub(super) random: SplitMix,

    // What must not be forgotten.
    pub(super) term: u64,
    pub(super) vote: u64,
    pub(super) commit: u64,
    /// `term` or `vote` have changed since the last ready.
    pub(super) unsaved: bool,

    // The log's end, and what is not durable of it.
    pub(super) last_index: u64,
    pub(super) last_term: u64,
    pub(super) pending: Vec<Entry>,
    pub(super) pending_snapshot: Option<Snapshot>,
    pub(super) persisted: u64,
    flights: VecDeque<Flight>,
    number: u64,
    /// What may be said once everything up to now is durable. To oneself: a candidate's own vote.
    pub(super) held: Vec<Message>,

    pub(super) applied: u64,
    /// The last `apply_to`.
    pub(super) offered: u64,
    pub(super) membership: Membership,

    pub(super) role: Role,
    pub(super) leader: u64,
    told_standing: Standing,
    /// Ticks since a leader was heard; on a leader, since it counted its quorum.
    pub(super) elapsed: u32,
    pub(super) timeout: u32,
    pub(super) votes: BTreeMap<u64, bool>,

    // What a leader knows.
    pub(super) peers: BTreeMap<u64, Progress>,
    pub(super) heartbeat_elapsed: u32,
    pub(super) heartbeat_due: bool,
    /// The leader's first entry: this and all later ones are of its term.
    pub(super) first_own: u64,
    /// No membership change is proposed before this entry is applied.
    pub(super) change_gate: u64,
    /// A leader's own removal, if it has proposed it.
    pub(super) removal: u64,
    /// To whom the leadership is being handed; 0: to nobody.
    pub(super) transferee: u64,
    pub(super) told_transferee: bool,
    pub(super) reads: Reads,

    pub(super) messages: Vec<Message>,
    /// Values of voters, to find what a quorum has reached.
    pub(super) scratch: Vec<u64>,
    #[cfg(test)]
    pub(crate) fault: Option<Fault>,
    /// How often entries were replaced.
    #[cfg(test)]
    pub(crate) truncations: u64,
}

/// What was handed out to be made durable.
#[derive(Debug)]
struct Flight {
    number: u64,
    /// The log's end once this is durable, as far as it has not been replaced since.
    last: u64,
    installs: bool,
    held: Vec<Message>,
}

impl Raft {
    /// A member as it comes back from its disk: what the last durable frame said, and the membership as of `applied`, the
    /// last entry that its state contains. A founder starts with what [`foundation`](super::foundation) says in its log, a member that joins
    /// with nothing.
    pub fn new(config: Config, hard_state: HardState, membership: Membership, applied: u64, log: &dyn LogView) -> Self {
        let last_index = log.last_index();
        let mut random = SplitMix(config.seed ^ config.id.rotate_left(32));
        let life = random.next();
        let mut raft = Self {
            random,
            term: hard_state.term,
            vote: hard_state.vote,
            // What a snapshot contains was committed, whatever the last frame knew.
            commit: hard_state.commit.min(last_index).max(applied),
            unsaved: false,
            last_index,
            last_term: log.term(last_index).unwrap_or(0),
            pending: Vec::new(),
            pending_snapshot: None,
            persisted: last_index,
            flights: VecDeque::new(),
            number: 0,
            held: Vec::new(),
            applied,
            offered: applied,
            membership,
            role: Role::Follower,
            leader: 0,
            told_standing: Standing::default(),
            elapsed: 0,
            timeout: 0,
            votes: BTreeMap::new(),
            peers: BTreeMap::new(),
            heartbeat_elapsed: 0,
            heartbeat_due: false,
            first_own: 0,
            change_gate: 0,
            removal: 0,
            transferee: 0,
            told_transferee: false,
            reads: Reads::new(life),
            messages: Vec::new(),
            scratch: Vec::new(),
            #[cfg(test)]
            fault: None,
            #[cfg(test)]
            truncations: 0,
            config,
        };
        raft.become_follower(hard_state.term, 0);
        raft
    }

    /// One tick of the driver's clock has passed.
    pub fn tick(&mut self, log: &dyn LogView) {
        self.elapsed += 1;
        if self.role == Role::Leader {
            self.tick_leader();
        } else if self.elapsed >= self.timeout {
            self.elapsed = 0;
            if self.may_campaign(log) {
                self.ask();
            } else {
                // Whoever led is silent. Others may need this vote, even if this member does not know yet that it has one.
                self.become_follower(self.term, 0);
            }
        }
    }

    /// Takes a message that has arrived.
    ///
    /// # Errors
    /// If no correct peer says so. Nothing has changed then, but perhaps the term.
    pub fn step(&mut self, log: &dyn LogView, message: Message) -> Result<(), Violation> {
        let Message { from, to, term, body } = message;
        let Some(body) = body else { return Err(Violation::Malformed("no body")) };
        if to != self.config.id || from == 0 {
            return Err(Violation::Malformed("not for this member, or from nobody"));
        }
        let timeless = matches!(body, Body::ReadRequest(_) | Body::ReadReply(_));
        if term > MOST || (term == 0) != timeless {
            return Err(Violation::Malformed("a term that cannot be"));
        }
        match body {
            // Neither leads nor follows by these: they belong to no term.
            Body::ReadRequest(request) => self.take_read_request(from, request),
            Body::ReadReply(reply) => self.reads.take_reply(reply),
            body if term > self.term && !self.catch_up(from, term, &body) => {}
            body if term < self.term => self.answer_the_past(from, &body),
            body => return self.take(log, from, term, body),
        }
        Ok(())
    }

    /// A message of a later term: follows it there, if the message is a reason to. Whether to go on with the message.
    fn catch_up(&mut self, from: u64, term: u64, body: &Body) -> bool {
        match body {
            // Who hears a leader does not help to depose it, or a member that was cut off would do so when it returns.
            Body::VoteRequest(request) if !request.transfer && self.hears_leader() => return false,
            // Asking and promising changes nothing.
            Body::VoteRequest(request) if request.pre => {}
            Body::VoteReply(reply) if reply.pre && reply.granted => {}
            Body::Append(_) | Body::Heartbeat(_) | Body::Snapshot(_) => self.become_follower(term, from),
            _ => self.become_follower(term, 0),
        }
        true
    }

    /// Whoever believes to lead, or asks about campaigning, in an older term must learn of the newer one.
    fn answer_the_past(&mut self, from: u64, body: &Body) {
        match body {
            Body::Append(_) | Body::Heartbeat(_) | Body::Snapshot(_) => self.reject(from, 0, 0, 0),
            Body::VoteRequest(request) if request.pre => self.answer_vote(from, self.term, true, false),
            _ => {}
        }
    }

    /// A message of the own term (a pre-vote and the promise of one: of the next).
    fn take(&mut self, log: &dyn LogView, from: u64, term: u64, body: Body) -> Result<(), Violation> {
        match body {
            Body::VoteRequest(request) => self.take_vote_request(from, term, request),
            Body::VoteReply(reply) => self.take_vote_reply(from, reply),
            Body::Append(_) | Body::Heartbeat(_) | Body::Snapshot(_) if self.role == Role::Leader => {
                return Err(Violation::Malformed("another leader in the same term"));
            }
            Body::Append(append) => {
                self.hear_leader(from);
                return self.take_append(log, from, append);
            }
            Body::Heartbeat(heartbeat) => {
                self.hear_leader(from);
                self.take_heartbeat(from, heartbeat);
            }
            Body::Snapshot(snapshot) => {
                self.hear_leader(from);
                self.take_snapshot(log, from, snapshot);
            }
            Body::AppendReply(reply) => return self.take_append_reply(log, from, reply),
            Body::HeartbeatReply(reply) => self.take_heartbeat_reply(from, reply.round),
            Body::TimeoutNow(_) => self.take_timeout_now(log, from),
            Body::ReadRequest(_) | Body::ReadReply(_) => {}
        }
        Ok(())
    }

    /// What there is to do since the last call. Appends are made here and not before, so that whatever came in between two
    /// calls travels together.
    pub fn ready(&mut self, log: &dyn LogView) -> Ready {
        let mut ready = Ready::default();
        if self.role == Role::Leader {
            self.lead(log, &mut ready);
        } else {
            self.forward_reads();
        }
        ready.reads = self.reads.take_confirmed();
        let hasty = self.planted(Fault::AckBeforePersist);
        ready.persist = self.hand_out();
        let held = std::mem::take(&mut self.held);
        match self.flights.back_mut().filter(|_| !hasty) {
            Some(flight) => flight.held.extend(held),
            None => self.release(log, held),
        }
        ready.messages = std::mem::take(&mut self.messages);
        let hasty = self.planted(Fault::ApplyBeforeCommit);
        let apply_to = if hasty { self.persisted } else { self.commit.min(self.persisted) };
        if apply_to > self.offered {
            self.offered = apply_to;
            ready.apply_to = Some(apply_to);
        }
        let standing = self.standing();
        if standing != self.told_standing {
            self.told_standing = standing;
            ready.standing = Some(standing);
        }
        ready
    }

    fn hand_out(&mut self) -> Option<Persist> {
        if !self.unsaved && self.pending.is_empty() && self.pending_snapshot.is_none() {
            return None;
        }
        self.unsaved = false;
        self.number += 1;
        let snapshot = self.pending_snapshot.take();
        let entries = std::mem::take(&mut self.pending);
        let (number, last, installs) = (self.number, self.last_index, snapshot.is_some());
        self.flights.push_back(Flight { number, last, installs, held: Vec::new() });
        let vote = if self.planted(Fault::ForgetVote) { 0 } else { self.vote };
        Some(Persist {
            number,
            snapshot,
            hard_state: HardState { term: self.term, vote, commit: self.commit },
            entries,
        })
    }

    /// Everything up to this [`Persist::number`] is durable.
    pub fn persisted(&mut self, log: &dyn LogView, number: u64) {
        while self.flights.front().is_some_and(|flight| flight.number <= number) {
            let Some(flight) = self.flights.pop_front() else { return };
            self.persisted = self.persisted.max(flight.last);
            self.release(log, flight.held);
        }
    }

    /// Says what was held back.
    fn release(&mut self, log: &dyn LogView, held: Vec<Message>) {
        for message in held {
            if message.to == self.config.id {
                // An own vote; cannot be malformed.
                let _ = self.step(log, message);
            } else {
                self.messages.push(message);
            }
        }
    }

    /// The state contains everything up to this entry.
    pub fn applied(&mut self, index: u64) {
        self.applied = self.applied.max(index);
    }

    /// Appends entries, the first of which may replace one.
    pub(super) fn append(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries = entries.into_iter().peekable();
        let Some(first) = entries.peek().map(|entry| entry.index) else { return };
        if first <= self.last_index {
            #[cfg(test)]
            {
                self.truncations += 1;
            }
            self.forget_from(first);
        }
        self.pending.extend(entries);
        if let Some(last) = self.pending.last() {
            (self.last_index, self.last_term) = (last.index, last.term);
        }
    }

    /// The entries from `first` on are no longer the log's.
    pub(super) fn forget_from(&mut self, first: u64) {
        self.pending.retain(|entry| entry.index < first);
        self.persisted = self.persisted.min(first - 1);
        for flight in &mut self.flights {
            flight.last = flight.last.min(first - 1);
        }
    }

    /// The term of an entry; `None` if it is not there (any more).
    pub(super) fn term_at(&self, log: &dyn LogView, index: u64) -> Option<u64> {
        if index == self.last_index {
            return Some(self.last_term);
        }
        if index > self.last_index {
            return None;
        }
        if let Some(first) = self.pending.first().map(|entry| entry.index)
            && index >= first
        {
            return self.pending.get((index - first) as usize).map(|entry| entry.term);
        }
        match &self.pending_snapshot {
            Some(snapshot) if index == snapshot.index => Some(snapshot.term),
            Some(_) => None,
            None => log.term(index),
        }
    }

    /// Entries from `from` on, in `max_bytes`, at least one; empty if there are none, or not now.
    pub(super) fn entries_from(&self, log: &dyn LogView, from: u64, max_bytes: usize) -> Vec<Entry> {
        let pending = self.pending.first().map_or(self.last_index + 1, |entry| entry.index);
        let mut entries = if from < pending { log.entries(from, pending, max_bytes) } else { Vec::new() };
        let next = from + entries.len() as u64;
        let mut bytes: usize = entries.iter().map(|entry| entry.request.len()).sum();
        if next >= pending {
            for entry in self.pending.iter().skip((next - pending) as usize) {
                bytes += entry.request.len();
                if bytes > max_bytes && !entries.is_empty() {
                    break;
                }
                entries.push(entry.clone());
            }
        }
        entries
    }

    /// Says something now.
    pub(super) fn send(&mut self, to: u64, body: Body) {
        self.messages.push(Message { from: self.config.id, to, term: self.term, body: Some(body) });
    }

    /// Says something once everything up to now is durable.
    pub(super) fn hold(&mut self, to: u64, body: Body) {
        self.held.push(Message { from: self.config.id, to, term: self.term, body: Some(body) });
    }

    /// Who leads.
    pub fn standing(&self) -> Standing {
        Standing { role: self.role, leader: self.leader, term: self.term }
    }

    /// Who takes part, as of what is applied.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The entry of the snapshot that the next [`Ready`] asks for, if it does.
    pub fn wants_snapshot(&self) -> Option<u64> {
        self.pending_snapshot.as_ref().map(|snapshot| snapshot.index)
    }

    /// Whether a snapshot is on its way into the log.
    pub(super) fn installing(&self) -> bool {
        self.pending_snapshot.is_some() || self.flights.iter().any(|flight| flight.installs)
    }

    /// Tests plant faults to see that they are found.
    #[cfg_attr(not(test), expect(clippy::unused_self))]
    pub(super) fn planted(&self, fault: Fault) -> bool {
        #[cfg(test)]
        return self.fault == Some(fault);
        #[cfg(not(test))]
        {
            let _ = fault;
            false
        }
    }
}
