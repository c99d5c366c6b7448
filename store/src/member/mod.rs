//! One member of the store: raft, its log and its state, as one deterministic machine. No threads, no clock, no runtime:
//! inputs come in (requests, messages, ticks), [`Member::advance`] does what follows from them, and what concerns others
//! goes out through a [`Port`]. So a simulator can run whole members over a disk in memory, by seed.
//!
//! ```text
//! input(propose | peer | tick | …)      any number: nothing is written yet
//! advance()
//!   raft.ready ── messages ──► port.send          a leader's appends go out before its own sync: they are in flight meanwhile
//!              ── persist ───► log.append         one frame, one sync, for everything that had gathered
//!              ── apply_to ──► state, watches     what is committed and durable here
//!              ── reads ─────► port.answer
//!   until there is nothing more to do
//! ```
//! A single member is a quorum of one: its group is written, synced, committed and applied in one call.
//!
//! What must be kept: nothing is answered before it is committed, durable here and applied; what is not known to have
//! failed is never answered as failed ([`Error::TimedOut`] says that nobody knows); a request is handed on once.

mod apply;
mod catch_up;
mod inputs;
mod snapshots;
#[cfg(test)]
mod tests;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proto::log::SnapshotHead;
use proto::peer::Parcel;

use crate::kv::{ClusterError, Error};
use crate::log::{AppendError, Log, weight};
use crate::raft::{ChangeError, Config, LogView, Membership, MembershipChange, Persist, Raft, Role, Standing};
use crate::random::SplitMix;
use crate::shared::Core;
use crate::state::{Members, Outcome};
pub(crate) use apply::replay;
use catch_up::{CatchUp, Rationed};
use inputs::Asked;
pub(crate) use snapshots::{Arrived, Temporary};
use waiting::Waiting;

/// Bytes of applied entries that stay in memory for followers that are a little behind.
const KEEP: u64 = 8 << 20;
/// Bytes of entries read from the log at a time, to be applied.
const APPLY_BYTES: u64 = 4 << 20;

/// What goes out of a member.
pub(crate) trait Port {
    /// Who waits for an answer.
    type Ticket;

    /// Sends to another member; may lose it.
    fn send(&mut self, to: u64, parcel: Parcel);

    /// What was sent until now must not be kept back any more: the member is about to wait for its disk, or for something to come in.
    fn flush(&mut self);

    /// Answers. Whoever waited may have gone.
    fn answer(&mut self, ticket: Self::Ticket, result: Result<Done, Error>);

    /// Sends the state that `head` began to a member, with the message for raft that follows it. To be answered by
    /// [`Input::Sent`], and `State::end_save` is called then.
    fn send_snapshot(&mut self, to: u64, head: SnapshotHead, message: crate::raft::Message);

    /// Writes the state that `head` began to the directory. To be answered by [`Input::Saved`].
    fn save(&mut self, head: SnapshotHead);

    /// The members, or their addresses, have changed.
    fn members_changed(&mut self, members: &Members);

    /// Another leader, or another role of this member.
    fn standing_changed(&mut self, standing: Standing);
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// The request was applied.
    Applied(Outcome),
    /// The state may be read: it contains everything that was acknowledged when the read was asked for.
    Readable,
    /// The membership change is effective.
    Changed,
}

/// What comes into a member.
pub(crate) enum Input<T> {
    /// A request for the log.
    Propose(Bytes, T),
    /// A linearizable read.
    Read(T),
    /// A membership change.
    Change(MembershipChange, T),
    /// The leadership is wanted elsewhere.
    Transfer(u64, T),
    /// From another member, which is who it says it is.
    Peer(u64, Parcel),
    /// A snapshot of another member, complete and checked.
    Arrived(Box<Arrived>),
    /// A snapshot up to this entry, which the leader of this term began to send, has been sent, or not.
    Sent { to: u64, term: u64, index: u64, ok: bool },
    /// The state as of this entry is durable in the directory, and up to which entry the log can go; or not.
    Saved(u64, std::io::Result<u64>),
    /// The connection to a member broke.
    Unreachable(u64),
    /// A tick of the clock: 100 ms unless configured otherwise.
    Tick,
}

/// The log failed, and what is durable is unknown: the process must not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    /// A sync failed, or a file could not be repaired after a failed write.
    #[error("the store's log failed, and what is durable is unknown")]
    Log(#[source] AppendError),
    /// Entries that are needed cannot be read back.
    #[error("the store's log cannot be read")]
    Read(#[source] crate::log::ReadError),
    /// A committed entry is not what this program can apply, or members contradict each other.
    #[error("the store cannot go on: {0}")]
    Broken(String),
    /// A snapshot of another member cannot be put in place.
    #[error("a snapshot cannot be put in place")]
    Install(#[source] std::io::Error),
}

/// How a member is set up.
pub(crate) struct Setup {
    /// Elections and bounds.
    pub(crate) raft: Config,
    /// See [`crate::Options::trim_bytes`].
    pub(crate) trim_bytes: u64,
    /// The entry of the newest checkpoint; 0: none.
    pub(crate) saved: u64,
}

/// See the module's header.
pub(crate) struct Member<T> {
    core: Arc<Core>,
    raft: Raft,
    log: Log,
    id: u64,
    applied: u64,
    waiting: Waiting<T>,
    /// Requests that came since the last [`Member::advance`], to be proposed together.
    group: VecDeque<Asked<T>>,
    reads: Vec<T>,
    /// What could not be written for want of room. Nothing else is done until it is.
    unwritten: Option<Persist>,
    /// What raft is about to ask for.
    arrived: Option<Box<Arrived>>,
    /// A snapshot is being written to the directory.
    saving: bool,
    /// The entry of the newest checkpoint.
    saved: u64,
    trim_bytes: u64,
    /// After a checkpoint that failed: how much more there must be of the log for another attempt.
    retry_bytes: u64,
    /// Who wants the leadership to be with whom, and since when.
    transfer: Option<(T, u64, u64)>,
    ticks: u64,
    standing: Standing,
    /// When this member was removed, and how many ticks later it may go.
    removed: Option<u64>,
    linger: u64,
    /// There was no room when it was last asked for.
    full: bool,
    /// The first and the last tick of a time in which entries for others could not be read.
    unread: Option<(u64, u64)>,
    catch_up: CatchUp,
    /// See [`KEEP`].
    keep: u64,
}

impl<T> Member<T> {
    /// A member as its directory has it: `applied` is the last entry that the state contains.
    pub(crate) fn new(core: Arc<Core>, log: Log, applied: u64, setup: Setup) -> Self {
        let membership = core.state.read().members().membership();
        let id = setup.raft.id;
        let hard = log.hard_state();
        let timeout = u64::from(setup.raft.election_ticks) * 2 + 50;
        // An election begins within two timeouts; the third is for the votes to travel.
        let linger = u64::from(setup.raft.election_ticks) * 3;
        let life = SplitMix(!setup.raft.seed).next();
        let raft = Raft::new(setup.raft, hard, membership, applied, &log);
        let member = Self {
            core,
            raft,
            log,
            id,
            applied,
            waiting: Waiting::new(timeout, life),
            group: VecDeque::new(),
            reads: Vec::new(),
            unwritten: None,
            arrived: None,
            saving: false,
            saved: setup.saved,
            trim_bytes: setup.trim_bytes,
            retry_bytes: 0,
            transfer: None,
            ticks: 0,
            standing: Standing::default(),
            removed: None,
            linger,
            full: false,
            unread: None,
            catch_up: CatchUp::new(),
            keep: KEEP,
        };
        member.note_membership();
        member
    }

    /// Campaigns at once, rather than after a timeout: for a single member.
    pub(crate) fn campaign(&mut self) {
        self.raft.campaign(&self.log);
    }

    /// Whether nobody else votes here.
    pub(crate) fn alone(&self) -> bool {
        self.raft.membership().voters == [self.id]
    }

    /// Whether anybody else is there at all.
    pub(crate) fn solitary(&self) -> bool {
        let Membership { voters, learners } = self.raft.membership();
        voters == &[self.id] && learners.is_empty()
    }

    /// Whether this member was removed from the cluster, and has nothing to do any more. Not at once: the other one of two
    /// voters may need its vote to find out (see `Raft::apply_membership`).
    pub(crate) fn was_removed(&self) -> bool {
        self.removed.is_some_and(|at| self.ticks >= at + self.linger)
    }

    /// Does everything that follows from the inputs so far.
    pub(crate) fn advance(&mut self, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        let result = self.work(port);
        port.flush();
        self.core.want_ticks(!self.solitary() || self.unwritten.is_some() || self.raft.standing().leader == 0);
        result
    }

    fn work(&mut self, port: &mut impl Port<Ticket = T>) -> Result<(), Fatal> {
        self.gather_reads();
        if let Some(persist) = self.unwritten.take()
            && !self.persist(persist, port)?
        {
            return Ok(());
        }
        self.propose_group(port);
        self.ask_for_reads();
        let needed = self.raft.lacks_quorum_at(self.log.in_memory_from() - 1);
        self.core.hurry.store(needed, Ordering::Relaxed);
        loop {
            let written = self.core.written.load(Ordering::Relaxed);
            let ready = self.raft.ready(&Rationed { log: &self.log, catch_up: &self.catch_up, written, needed });
            let idle = ready.persist.is_none() && ready.apply_to.is_none() && ready.messages.is_empty();
            for message in ready.messages {
                port.send(message.to, waiting::parcel(message));
            }
            for to in ready.snapshots {
                self.begin_sending(to, port);
            }
            if let Some(standing) = ready.standing {
                self.stand(standing, port);
            }
            port.flush();
            self.waiting.confirmed(ready.reads);
            let written = match ready.persist {
                Some(persist) => self.persist(persist, port)?,
                None => true,
            };
            // Durable already, whatever became of the rest; and it is named once.
            if let Some(to) = ready.apply_to {
                self.apply(to, port)?;
            }
            self.waiting.readable(self.applied).for_each(|ticket| port.answer(ticket, Ok(Done::Readable)));
            if !written {
                return Ok(());
            }
            if idle {
                break;
            }
        }
        self.consider_saving(port);
        Ok(())
    }

    /// Makes durable what raft asks for. `false`: there is no room now.
    fn persist(&mut self, mut persist: Persist, port: &mut impl Port<Ticket = T>) -> Result<bool, Fatal> {
        if let Some(snapshot) = &persist.snapshot {
            self.install(snapshot, persist.hard_state, port)?;
        }
        let bytes = persist.entries.iter().map(weight).sum();
        match self.log.append(&mut persist.entries, persist.hard_state) {
            Ok(()) => {
                self.core.written.fetch_add(bytes, Ordering::Relaxed);
                if let Some(took) = self.log.take_sync_time() {
                    self.core.metrics.wal_fsync.observe(took.as_secs_f64());
                }
                self.raft.persisted(&self.log, persist.number);
                Ok(true)
            }
            Err(AppendError::Refused(error)) => {
                if !std::mem::replace(&mut self.full, true) {
                    tracing::error!(%error, "the store cannot write to its log: what it has to say waits for room");
                }
                self.unwritten = Some(Persist { snapshot: None, ..persist });
                Ok(false)
            }
            Err(error) => Err(Fatal::Log(error)),
        }
    }

    /// For the simulation, which looks inside and plants faults.
    #[cfg(test)]
    pub(crate) fn raft(&mut self) -> &mut Raft {
        &mut self.raft
    }

    /// Takes note of who leads now.
    fn stand(&mut self, standing: Standing, port: &mut impl Port<Ticket = T>) {
        let before = std::mem::replace(&mut self.standing, standing);
        if before.role == Role::Leader && (standing.role != Role::Leader || standing.term != before.term) {
            self.core.follow();
        }
        if before.leader != standing.leader || before.term != standing.term {
            // Nobody will answer what the former leader was asked.
            self.waiting.ask_again();
        }
        if let Some((_, to, _)) = &self.transfer
            && *to == standing.leader
            && let Some((ticket, ..)) = self.transfer.take()
        {
            port.answer(ticket, Ok(Done::Changed));
        }
        self.core.standing.send_replace(standing);
        port.standing_changed(standing);
    }

    /// What this member may do alone, and what it serves, follows from who votes.
    fn note_membership(&self) {
        self.core.learner.store(self.raft.membership().learners.contains(&self.id), Ordering::Release);
        self.core.alone.store(self.alone(), Ordering::Release);
        self.core.solitary.store(self.solitary(), Ordering::Release);
        self.core.membership_changed.notify_waiters();
    }
}

/// Why a membership change had no effect, in etcd's words.
fn change_error(error: ChangeError) -> Error {
    Error::Cluster(match error {
        ChangeError::Exists => ClusterError::MemberExists,
        ChangeError::Missing | ChangeError::Malformed => ClusterError::NoMember,
        ChangeError::NotLearner => ClusterError::NotLearner,
        ChangeError::LastVoter => ClusterError::TooFewStarted,
    })
}

impl LogView for Log {
    fn first_index(&self) -> u64 {
        Log::first_index(self)
    }

    fn last_index(&self) -> u64 {
        self.next_index() - 1
    }

    fn term(&self, index: u64) -> Option<u64> {
        self.term_of(index)
    }

    fn entries(&self, from: u64, to: u64, max_bytes: usize) -> Vec<crate::raft::Entry> {
        self.entries_or_note(from, to, max_bytes as u64)
    }
}
