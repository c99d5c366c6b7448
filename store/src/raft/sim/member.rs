//! A simulated member: its disk, what it has in memory, and the driver between them.

use std::collections::VecDeque;

use prost::Message as _;

use crate::raft::tests::net::MemLog;
use crate::raft::{
    Config, Entry, EntryKind, Fault, HardState, LogView, Membership, MembershipChange, Message, Persist, Raft, Read,
    Role, Snapshot, changed,
};

/// What survives a crash.
#[derive(Debug, Clone, Default)]
pub(super) struct Durable {
    pub(super) hard_state: HardState,
    pub(super) log: MemLog,
    /// The state that a start begins with.
    pub(super) checkpoint: Snapshot,
}

impl Durable {
    fn write(&mut self, persist: &Persist) {
        self.hard_state = persist.hard_state;
        self.log.write(persist.snapshot.as_ref(), &persist.entries);
        if let Some(snapshot) = &persist.snapshot {
            self.checkpoint = snapshot.clone();
        }
    }
}

/// A member that runs.
pub(super) struct Life {
    pub(super) raft: Raft,
    /// With what is not durable yet.
    pub(super) log: MemLog,
    /// The state: that of which entry, and the members as of then.
    pub(super) state: Snapshot,
    /// Given to the disk, not durable.
    pub(super) writes: VecDeque<Persist>,
    /// A write is being synced.
    pub(super) syncing: bool,
    apply_to: u64,
    /// Confirmed, not yet applied.
    pub(super) reads: Vec<Read>,
}

/// See the module's header.
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) disk: Durable,
    /// Counts starts: what was under way for a former life is lost.
    pub(super) lives: u64,
    pub(super) life: Option<Life>,
    /// How slow the disk is: most time of a sync.
    pub(super) sync_time: u64,
    /// How long its ticks are, in thousandths of what they should be.
    pub(super) drift: u64,
    /// Bounds its appends: small ones make what is sent together arrive apart.
    append_bytes: usize,
}

/// What a member has done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) messages: Vec<Message>,
    /// In order.
    pub(super) applied: Vec<Entry>,
    /// May be answered.
    pub(super) reads: Vec<Read>,
    /// Members that need a snapshot.
    pub(super) snapshots: Vec<u64>,
    /// Leads since just now, in this term.
    pub(super) elected: Option<u64>,
    /// Entries were replaced.
    pub(super) truncated: bool,
}

impl Member {
    pub(super) fn new(id: u64, disk: Durable, append_bytes: usize) -> Self {
        Self { id, disk, lives: 0, life: None, sync_time: 4, drift: 1000, append_bytes }
    }

    pub(super) fn start(&mut self, seed: u64, fault: Option<Fault>) {
        self.lives += 1;
        let (log, state) = (self.disk.log.clone(), self.disk.checkpoint.clone());
        let config = Config {
            max_append_bytes: self.append_bytes,
            max_inflight: 4,
            max_inflight_bytes: 200,
            ..Config::new(self.id, seed)
        };
        let membership = state.membership.clone().unwrap_or_default();
        let mut raft = Raft::new(config, self.disk.hard_state, membership, state.index, &log);
        raft.fault = fault;
        let apply_to = state.index;
        let (writes, reads) = (VecDeque::new(), Vec::new());
        self.life = Some(Life { raft, log, state, writes, syncing: false, apply_to, reads });
    }

    /// Of what was not durable, the first `kept` writes survive.
    pub(super) fn crash(&mut self, kept: usize) {
        if let Some(life) = self.life.take() {
            life.writes.iter().take(kept).for_each(|write| self.disk.write(write));
        }
    }

    /// The oldest write has become durable; the state is what a snapshot in it says.
    pub(super) fn synced(&mut self) -> Option<Snapshot> {
        let life = self.life.as_mut()?;
        life.syncing = false;
        let write = life.writes.pop_front()?;
        self.disk.write(&write);
        if let Some(snapshot) = &write.snapshot {
            life.state = snapshot.clone();
            life.apply_to = life.apply_to.max(snapshot.index);
            life.raft.applied(snapshot.index);
        }
        life.raft.persisted(&life.log, write.number);
        write.snapshot
    }

    /// Makes the state the one that a start begins with, and forgets the log up to `keep` entries before.
    pub(super) fn checkpoint(&mut self, keep: u64) {
        let Some(life) = self.life.as_mut() else { return };
        if life.state.index <= self.disk.checkpoint.index || life.writes.iter().any(|write| write.snapshot.is_some()) {
            return;
        }
        self.disk.checkpoint = life.state.clone();
        let upto = life.state.index.saturating_sub(keep);
        if upto >= life.log.first_index() && upto >= self.disk.log.first_index() {
            life.log.compact(upto);
            self.disk.log.compact(upto);
        }
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.life.as_ref().map(|life| life.raft.role)
    }
}

impl Life {
    /// Does what raft says there is to do, but for the disk.
    pub(super) fn pump(&mut self) -> Result<Done, String> {
        let ready = self.raft.ready(&self.log);
        let mut done = Done { messages: ready.messages, snapshots: ready.snapshots, ..Done::default() };
        if let Some(persist) = ready.persist {
            done.truncated = persist.entries.first().is_some_and(|entry| entry.index <= self.log.last_index());
            self.log.write(persist.snapshot.as_ref(), &persist.entries);
            self.writes.push_back(persist);
        }
        self.apply_to = self.apply_to.max(ready.apply_to.unwrap_or(0));
        // What a snapshot replaces comes with it.
        let installing = self.writes.iter().any(|write| write.snapshot.is_some());
        while !installing && self.state.index < self.apply_to {
            let index = self.state.index + 1;
            let Some(entry) = self.log.get(index).cloned() else {
                return Err(format!("member {} cannot read entry {index} to apply it", self.raft.config.id));
            };
            self.apply(&entry)?;
            done.applied.push(entry);
        }
        self.reads.extend(ready.reads);
        let at = self.state.index;
        done.reads = self.reads.extract_if(.., |read| read.index <= at).collect();
        done.elected = ready.standing.filter(|standing| standing.role == Role::Leader).map(|standing| standing.term);
        Ok(done)
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        (self.state.index, self.state.term) = (entry.index, entry.term);
        if entry.kind() == EntryKind::Membership {
            let change = MembershipChange::decode(entry.request.clone()).map_err(|error| error.to_string())?;
            let before: Membership = self.state.membership.clone().unwrap_or_default();
            // Each member must come to the same decision.
            let after = changed(&before, &change);
            if self.raft.apply_membership(&change).cloned() != after {
                return Err(format!("a change was applied in two ways: {change:?} to {before:?}"));
            }
            self.state.membership = Some(after.unwrap_or(before));
        }
        self.raft.applied(entry.index);
        Ok(())
    }
}
