//! Linearizable reads without the log (ReadIndex; thesis, section 6.4): a leader that hears from a quorum that it still
//! leads may answer from its state, as of the commit index that it had when it began to ask.
//!
//! One round of heartbeats confirms whatever has gathered when it begins. Worked example on the leader:
//! ```text
//! read_index(a)                       round 5 begins, for [a], commit index 40; heartbeats carry 5
//! read_index(b), follower 2 asks c    wait
//! a quorum has answered 5             a may be read at 40; round 6 begins, for [b, 2's c], commit index 44
//! ```
//! No round begins before the leader has committed an entry of its term: its commit index may be older than what its
//! predecessor acknowledged. What is lost is not asked for again here: the driver does that, on a change of the leader and
//! after a time.

use proto::raft::{ReadReply, ReadRequest};

use super::{Body, Fault, Raft, Read, Refusal, Role};

/// Reads under way.
#[derive(Debug)]
pub(super) struct Reads {
    /// A name for this life of the member: an answer to a former one may be too old.
    life: u64,
    /// On a follower: not yet asked for. On a leader: for the next round.
    waiting: Vec<Asked>,
    /// For the round that is under way.
    asked: Vec<Asked>,
    round: u64,
    /// Commit index at the round's begin.
    index: u64,
    confirmed: Vec<Read>,
}

/// Who asked for what.
#[derive(Debug)]
struct Asked {
    /// 0: this member.
    by: u64,
    life: u64,
    contexts: Vec<u64>,
}

impl Reads {
    pub(super) fn new(life: u64) -> Self {
        Self { life, waiting: Vec::new(), asked: Vec::new(), round: 0, index: 0, confirmed: Vec::new() }
    }

    pub(super) fn round(&self) -> u64 {
        self.round
    }

    pub(super) fn take_confirmed(&mut self) -> Vec<Read> {
        std::mem::take(&mut self.confirmed)
    }

    /// The leader has changed: nobody will answer.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
        self.asked.clear();
    }

    pub(super) fn take_reply(&mut self, reply: ReadReply) {
        if reply.life == self.life {
            self.confirm(reply.contexts, reply.index);
        }
    }

    fn confirm(&mut self, contexts: Vec<u64>, index: u64) {
        self.confirmed.extend(contexts.into_iter().map(|context| Read { context, index }));
    }

    /// One more own read; they gather in one list.
    fn add(&mut self, context: u64) {
        match self.waiting.iter_mut().find(|asked| asked.by == 0) {
            Some(own) => own.contexts.push(context),
            None => self.waiting.push(Asked { by: 0, life: self.life, contexts: vec![context] }),
        }
    }
}

impl Raft {
    /// Asks for an index to read at; [`super::Ready::reads`] answers, or nobody does: ask again when the leader has
    /// changed, and after an election timeout. `context` is the caller's name for it, unique in this life of the member.
    ///
    /// # Errors
    /// If no leader is known.
    pub fn read_index(&mut self, context: u64) -> Result<(), Refusal> {
        if self.leader == 0 {
            return Err(Refusal::NotLeader { leader: 0 });
        }
        self.reads.add(context);
        Ok(())
    }

    pub(super) fn take_read_request(&mut self, from: u64, request: ReadRequest) {
        if self.role == Role::Leader {
            self.reads.waiting.push(Asked { by: from, life: request.life, contexts: request.contexts });
        }
    }

    /// On a follower: asks the leader.
    pub(super) fn forward_reads(&mut self) {
        for Asked { life, contexts, .. } in std::mem::take(&mut self.reads.waiting) {
            self.send_timeless(self.leader, Body::ReadRequest(ReadRequest { contexts, life }));
        }
    }

    /// On the leader: ends the round if a quorum has answered, and begins the next one.
    pub(super) fn advance_reads(&mut self) {
        self.confirm_reads();
        if self.reads.asked.is_empty() && !self.reads.waiting.is_empty() && self.commit >= self.first_own {
            self.reads.asked = std::mem::take(&mut self.reads.waiting);
            self.reads.index = self.commit;
            self.reads.round += 1;
            self.heartbeat_due = true;
            // One voter is a quorum.
            self.confirm_reads();
        }
    }

    fn confirm_reads(&mut self) {
        if self.reads.asked.is_empty() {
            return;
        }
        let round = self.reads.round;
        if self.reached(round, |peer| peer.round) < round && !self.planted(Fault::ReadWithoutQuorum) {
            return;
        }
        let index = self.reads.index;
        for Asked { by, life, contexts } in std::mem::take(&mut self.reads.asked) {
            match by {
                0 => self.reads.confirm(contexts, index),
                by => self.send_timeless(by, Body::ReadReply(ReadReply { contexts, life, index })),
            }
        }
    }

    fn send_timeless(&mut self, to: u64, body: Body) {
        self.messages.push(super::Message { from: self.config.id, to, term: 0, body: Some(body) });
    }
}
