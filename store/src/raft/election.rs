//! Elections: who campaigns when, who votes for whom. Raft, sections 3.4, 3.6.1 and 9.6 of Ongaro's thesis.
//!
//! Worked example, three members, 1 is cut off and returns:
//! ```text
//! 1   no heartbeat for a timeout: asks 2 and 3 whether they would vote for it in term 3 (pre-vote); no answer; asks again
//! 1   is back, asks again:        2 and 3 hear a leader: they do not even answer; nobody's term has changed
//! 1   hears the leader:           follows
//! ```

use proto::raft::{VoteReply, VoteRequest};

use super::membership::{FOUNDING_TERM, quorum};
use super::progress::Progress;
use super::{Body, EntryKind, LogView, Message, Raft, Role};

/// Ticks after which the first founder asks again for the first votes of all.
const FIRST_VOTE: u32 = 10;

impl Raft {
    /// Campaigns, if this member can lead: it is a voter and has applied every membership change that it knows to be
    /// committed (an older membership's quorum might not meet the newest one's).
    pub fn campaign(&mut self, log: &dyn LogView) {
        if self.may_campaign(log) {
            self.ask();
        }
    }

    pub(super) fn may_campaign(&self, log: &dyn LogView) -> bool {
        self.role != Role::Leader
            && self.membership.voters.contains(&self.config.id)
            && !self.installing()
            && !self.unapplied_change(log)
    }

    fn unapplied_change(&self, log: &dyn LogView) -> bool {
        let mut next = self.applied + 1;
        while next <= self.commit {
            let entries = self.entries_from(log, next, self.config.max_append_bytes);
            let committed = entries.iter().take_while(|entry| entry.index <= self.commit);
            // Entries that cannot be looked at now might be changes.
            if entries.is_empty() || committed.into_iter().any(|entry| entry.kind() == EntryKind::Membership) {
                return true;
            }
            next += entries.len() as u64;
        }
        false
    }

    /// Asks for promises.
    pub(super) fn ask(&mut self) {
        self.role = Role::PreCandidate;
        self.leader = 0;
        self.reads.forget();
        self.new_timeout();
        self.votes.clear();
        self.request_votes(self.term + 1, true, false);
        // A promise to oneself binds nobody: no need to wait for the disk.
        self.count_vote(self.config.id, true);
    }

    /// Asks for votes.
    fn stand(&mut self, transfer: bool) {
        self.become_follower(self.term + 1, 0);
        self.role = Role::Candidate;
        self.vote = self.config.id;
        self.unsaved = true;
        // Held, the own vote as well as the requests: a candidate that forgets its term or the end of its log would
        // otherwise win with answers that were given to its former self.
        self.request_votes(self.term, false, transfer);
        self.hold(self.config.id, Body::VoteReply(VoteReply { granted: true, pre: false }));
    }

    fn request_votes(&mut self, term: u64, pre: bool, transfer: bool) {
        let request = VoteRequest { last_index: self.last_index, last_term: self.last_term, pre, transfer };
        let from = self.config.id;
        for to in self.membership.voters.iter().copied().filter(|to| *to != from) {
            let message = Message { from, to, term, body: Some(Body::VoteRequest(request)) };
            if pre { self.messages.push(message) } else { self.held.push(message) }
        }
    }

    pub(super) fn take_vote_request(&mut self, from: u64, term: u64, request: VoteRequest) {
        // A learner votes too if it is asked: it may have been promoted without knowing yet, and be needed for the quorum.
        let free = self.vote == from || (self.vote == 0 && self.leader == 0) || (request.pre && term > self.term);
        let up_to_date = (request.last_term, request.last_index) >= (self.last_term, self.last_index);
        if !free || !up_to_date {
            return self.answer_vote(from, self.term, request.pre, false);
        }
        if !request.pre {
            self.elapsed = 0;
            self.unsaved |= self.vote != from;
            self.vote = from;
        }
        self.answer_vote(from, term, request.pre, true);
    }

    pub(super) fn answer_vote(&mut self, to: u64, term: u64, pre: bool, granted: bool) {
        let body = Body::VoteReply(VoteReply { granted, pre });
        self.held.push(Message { from: self.config.id, to, term, body: Some(body) });
    }

    pub(super) fn take_vote_reply(&mut self, from: u64, reply: VoteReply) {
        let asked = if reply.pre { Role::PreCandidate } else { Role::Candidate };
        if self.role == asked {
            self.count_vote(from, reply.granted);
        }
    }

    fn count_vote(&mut self, from: u64, granted: bool) {
        self.votes.entry(from).or_insert(granted);
        let voters = &self.membership.voters;
        let count = |wanted| voters.iter().filter(|id| self.votes.get(id) == Some(&wanted)).count();
        let needed = quorum(voters.len());
        if count(true) >= needed {
            match self.role {
                Role::PreCandidate => self.stand(false),
                _ => self.become_leader(),
            }
        } else if voters.len() - count(false) < needed {
            self.become_follower(self.term, 0);
        }
    }

    pub(super) fn take_timeout_now(&mut self, log: &dyn LogView, from: u64) {
        if self.role == Role::Follower && from == self.leader && self.may_campaign(log) {
            self.stand(true);
        }
    }

    /// Whether a leader has been heard within the shortest election timeout.
    pub(super) fn hears_leader(&self) -> bool {
        self.leader != 0 && self.elapsed < self.config.election_ticks
    }

    pub(super) fn hear_leader(&mut self, from: u64) {
        if self.role != Role::Follower || self.leader != from {
            self.become_follower(self.term, from);
        }
        self.elapsed = 0;
    }

    /// Follows `leader` (0: nobody yet) in `term`.
    pub(super) fn become_follower(&mut self, term: u64, leader: u64) {
        if term != self.term {
            (self.term, self.vote, self.unsaved) = (term, 0, true);
        }
        self.role = Role::Follower;
        self.leader = leader;
        self.elapsed = 0;
        self.new_timeout();
        self.votes.clear();
        self.peers.clear();
        self.transferee = 0;
        self.reads.forget();
    }

    fn become_leader(&mut self) {
        self.role = Role::Leader;
        self.leader = self.config.id;
        self.elapsed = 0;
        self.heartbeat_elapsed = 0;
        self.votes.clear();
        let next = self.last_index + 1;
        let others = super::membership::members(&self.membership).filter(|id| *id != self.config.id);
        self.peers = others.map(|id| (id, Progress::new(next, false))).collect();
        self.first_own = next;
        // There may be a change among the entries before.
        self.change_gate = self.last_index;
        // And that may be its own removal, behind which it must append nothing (see `may_propose`): of two voters it waits
        // until it knows.
        let unknown = self.commit < self.last_index && self.membership.voters.len() == 2;
        self.removal = if unknown { next } else { 0 };
        self.append_own(EntryKind::Empty, [bytes::Bytes::new()]);
    }

    fn new_timeout(&mut self) {
        let ticks = self.config.election_ticks;
        self.timeout = ticks + self.random.below(u64::from(ticks)) as u32;
        // Before anybody has stood nobody can be deposed: the first founder asks at each tick, so that a new cluster has
        // its leader as soon as a quorum of it runs. What it asks may be lost while they start: it does not wait long, then.
        let first = self.leader == 0 && self.membership.voters.iter().min() == Some(&self.config.id);
        if first && self.term == FOUNDING_TERM {
            self.timeout = 1;
        } else if first && self.last_term == FOUNDING_TERM {
            self.timeout = self.timeout.min(FIRST_VOTE);
        }
    }
}
