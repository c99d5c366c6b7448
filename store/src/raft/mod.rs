//! Raft-lite: how members agree on one log. A pure state machine in the manner of etcd's raft (etcd-io/raft): no I/O, no
//! clock, no threads, no randomness but that of a seed. Messages, ticks and proposals go in; a [`Ready`] comes out and says
//! what must be made durable, sent and applied.
//!
//! | file | what it is |
//! |---|---|
//! | `mod` | what goes in and out |
//! | `core` | what a member remembers; ticks, messages, [`Ready`] |
//! | `election` | who campaigns when, who votes for whom |
//! | `follower` | the log made the leader's; snapshots |
//! | `leader` | proposals, replication, commitment, transfer, membership changes |
//! | `progress` | what a leader knows of one other member |
//! | `membership` | who votes, and what a quorum is |
//! | `reads` | linearizable reads, many in a round |
//! | `status` | what a member tells about itself |
//!
//! # What a driver does
//! ```text
//! loop {
//!     raft.tick(&log) | raft.step(&log, message) | raft.propose(requests) | raft.read_index(context) | …    any number
//!     let ready = raft.ready(&log);
//!     // 1. The log shows ready.persist's entries at once (in memory), before raft is called again.
//!     // 2. ready.messages go out; all of them may: what may not be said before it is durable is held back inside.
//!     // 3. ready.persist is written and synced, in the order of the numbers, here or by another thread; then
//!     raft.persisted(&log, number);
//!     // 4. Entries up to ready.apply_to are applied in order; for a membership change raft.apply_membership(&change);
//!     //    then raft.applied(index).
//!     // 5. ready.reads may be answered once what they name is applied. ready.snapshots: members to send one to.
//! }
//! ```
//! Worked example, three members, 1 leads in term 2 and its log ends at 7; a client's request arrives:
//! ```text
//! 1  propose([x]) → 8           ready: persist #5 [entry 8], messages [Append 8 → 2, Append 8 → 3]
//! 2  step(Append 8)             ready: persist #9 [entry 8]
//! 2  persisted(#9)              ready: messages [AppendReply 8 → 1]
//! 1  step(AppendReply 8)        ready: nothing             8 is durable in one log of three
//! 1  persisted(#5)              ready: messages [quiet Append, commit 8 → 2, 3], apply_to 8       in two
//! ```
//! Had 3 answered before that, 8 would be committed, and the others told; but a leader applies only what its own log has.

mod core;
mod election;
mod follower;
mod leader;
mod membership;
mod progress;
mod reads;
#[cfg(test)]
mod sim;
mod status;
#[cfg(test)]
mod tests;

pub use proto::log::membership_change::Kind as ChangeKind;
pub use proto::log::{Entry, EntryKind, HardState, Membership, MembershipChange};
pub use proto::raft::message::Body;
pub use proto::raft::{Message, Snapshot};

pub use self::core::Raft;
pub use membership::{changed, foundation};
pub use progress::State;
pub use status::{PeerStatus, Status};

/// No term or index is ever larger: counting up from them does not overflow.
pub(crate) const MOST: u64 = 1 << 62;

/// How a member behaves. Ticks are the driver's unit of time.
#[derive(Debug, Clone)]
pub struct Config {
    /// This member; never 0.
    pub id: u64,
    /// Ticks without a leader after which a member campaigns: a random number from here to twice as many.
    pub election_ticks: u32,
    /// Ticks between heartbeats; fewer than `election_ticks`.
    pub heartbeat_ticks: u32,
    /// An append is not added to beyond so many bytes of requests.
    pub max_append_bytes: usize,
    /// Appends on their way to one member.
    pub max_inflight: usize,
    /// Bytes of requests on their way to one member.
    pub max_inflight_bytes: usize,
    /// Must differ from start to start of a member: election timeouts and the name of this life come out of it.
    pub seed: u64,
}

impl Config {
    /// etcd's timing (a tick of 100 ms: elections after 1-2 s, heartbeats each 100 ms) and bounds that suit requests of
    /// up to 1.5 MiB.
    pub fn new(id: u64, seed: u64) -> Self {
        Self {
            id,
            election_ticks: 10,
            heartbeat_ticks: 1,
            max_append_bytes: 1 << 20,
            max_inflight: 256,
            max_inflight_bytes: 8 << 20,
            seed,
        }
    }
}

/// What raft reads of the log: everything that has been handed out by [`Ready::persist`], whether durable yet or not.
pub trait LogView {
    /// The first entry that is there; the one before it is a snapshot's. 1 for a log that begins at the beginning.
    fn first_index(&self) -> u64;

    /// The last entry; `first_index() - 1` if there is none.
    fn last_index(&self) -> u64;

    /// The term of an entry from `first_index() - 1` to `last_index()`; `None` outside. Asked often: keep where each term
    /// begins in memory.
    fn term(&self, index: u64) -> Option<u64>;

    /// Entries from `from` to before `to`, as many as fit into `max_bytes`, at least one. Empty: not now; they
    /// are asked for again with the next [`Raft::ready`], and a candidate that cannot look at them stands later.
    fn entries(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Entry>;
}

/// What there is to do.
#[derive(Debug, Default)]
pub struct Ready {
    /// To be written and synced.
    pub persist: Option<Persist>,
    /// To be sent, in any order; what is lost is made up for.
    pub messages: Vec<Message>,
    /// Set when it has grown: committed and durable here up to this index.
    pub apply_to: Option<u64>,
    /// Reads that have been confirmed.
    pub reads: Vec<Read>,
    /// Members that need a snapshot, because the log no longer holds what they lack. Each is answered by
    /// `snapshot_sent` or `snapshot_failed`.
    pub snapshots: Vec<u64>,
    /// Set when it has changed. On a change, ask for unconfirmed reads again.
    pub standing: Option<Standing>,
}

/// What must be durable before `persisted(number)` may be called. Written in the order of the numbers: snapshot, then the
/// hard state and the entries in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Persist {
    /// Counts up by one.
    pub number: u64,
    /// Replaces the whole log and state (the state has arrived beside it): the log now begins behind it.
    pub snapshot: Option<Snapshot>,
    /// As of now. Its commit index is not worth a sync of its own, so it comes only with something else.
    pub hard_state: HardState,
    /// To be appended. The first one's index may be one that the log already holds: it and all after it are replaced.
    pub entries: Vec<Entry>,
}

/// A read that sees every write acknowledged before it was asked for, if it is answered from a state that has applied
/// `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// What `read_index` was given.
    pub context: u64,
    /// What must have been applied.
    pub index: u64,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Follows a leader, or waits for one. Learners are always this.
    #[default]
    Follower,
    /// Asks whether it would be voted for.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}

/// Who leads, as far as a member knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// What this member is.
    pub role: Role,
    /// The leader; 0: not known.
    pub leader: u64,
    /// The term.
    pub term: u64,
}

/// Why something cannot be done now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only the leader can; 0: not known who it is.
    #[error("not the leader")]
    NotLeader {
        /// The leader, as far as known.
        leader: u64,
    },
    /// The leadership is being handed over.
    #[error("the leadership is being transferred to member {to:x}")]
    Transferring {
        /// To whom.
        to: u64,
    },
    /// A change of the membership is, or may be, under way.
    #[error("a membership change is under way")]
    ChangePending,
    /// The leader has not committed an entry of its own term yet.
    #[error("the leader has just been elected")]
    NotYet,
    /// The change does not fit the membership.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The member cannot lead.
    #[error("member {id:x} is not a voter that could lead")]
    NotVoter {
        /// The member.
        id: u64,
    },
}

/// Why a change does not fit a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The member to add is there.
    #[error("the member exists")]
    Exists,
    /// The member to promote or remove is not there.
    #[error("the member does not exist")]
    Missing,
    /// The member to promote is a voter.
    #[error("the member is not a learner")]
    NotLearner,
    /// Nobody could vote any more.
    #[error("the last voter cannot be removed")]
    LastVoter,
    /// The change has no meaning (0 as a member, an unknown kind).
    #[error("the change is malformed")]
    Malformed,
}

/// A peer said something that no correct peer says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Two members hold different committed entries: the data of one of them is not to be trusted.
    #[error("the leader's entry {index} differs from the one that is committed here")]
    Committed {
        /// The entry.
        index: u64,
    },
    /// The message contradicts itself; it was ignored.
    #[error("malformed message: {0}")]
    Malformed(&'static str),
}

/// Faults that tests plant, to see that they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A vote is not made durable.
    ForgetVote,
    /// An entry counts as committed once the leader has it.
    CommitWithoutQuorum,
    /// Entries of older terms are committed by counting.
    CountOldTerms,
    /// What depends on the disk is said before it is durable.
    AckBeforePersist,
    /// Reads are confirmed without asking a quorum.
    ReadWithoutQuorum,
    /// What is durable here is applied, whether committed or not.
    ApplyBeforeCommit,
}
