//! What a member tells about itself, for metrics and for etcd's Status.

use super::progress::State;
use super::{Raft, Role};

/// See the module's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: u64,
    /// Its term.
    pub term: u64,
    /// What it is.
    pub role: Role,
    /// Who leads; 0: not known.
    pub leader: u64,
    /// Known to be committed.
    pub commit: u64,
    /// Contained in the state.
    pub applied: u64,
    /// The log's end.
    pub last_index: u64,
    /// Durable here up to this entry.
    pub persisted: u64,
    /// To whom the leadership is being handed; 0: to nobody.
    pub transferee: u64,
    /// On a leader: the other members.
    pub peers: Vec<PeerStatus>,
}

/// What a leader knows of another member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerStatus {
    /// The member.
    pub id: u64,
    /// How it is sent to.
    pub state: State,
    /// Its log is the leader's up to here.
    pub matched: u64,
    /// What it is sent next.
    pub next: u64,
    /// Has answered since the leader last counted its quorum, or between that and the time before.
    pub active: bool,
}

impl Raft {
    /// As of now.
    pub fn status(&self) -> Status {
        let peers = self.peers.iter().map(|(id, peer)| PeerStatus {
            id: *id,
            state: peer.state,
            matched: peer.matched,
            next: peer.next,
            active: peer.active || peer.was_active,
        });
        Status {
            id: self.config.id,
            term: self.term,
            role: self.role,
            leader: self.leader,
            commit: self.commit,
            applied: self.applied,
            last_index: self.last_index,
            persisted: self.persisted,
            transferee: self.transferee,
            peers: peers.collect(),
        }
    }
}
