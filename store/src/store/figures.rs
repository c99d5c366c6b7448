//! What a server tells of its store beside the answers: who leads, what is held.

use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::Store;
use crate::kv::{Kv, Revision};

/// How long streams that require a leader go on without one.
const LEADERLESS: Duration = Duration::from_secs(3);

/// What a store holds, for operators.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// The oldest revision that can be read; 0 = never compacted.
    pub(crate) compacted: Revision,
    /// How many keys, deleted ones that are remembered among them.
    pub(crate) keys: u64,
    pub(crate) leases: u64,
    pub(crate) watches: u64,
}

impl Store {
    pub(crate) fn figures(&self) -> Figures {
        let state = self.core().state.read();
        Figures {
            compacted: state.compacted(),
            keys: state.keys() as u64,
            leases: state.leases().iter().count() as u64,
            watches: self.core().hub.len() as u64,
        }
    }

    /// Why the last checkpoint could not be written; `None` once one has been. Meanwhile the log is kept, and grows.
    pub fn checkpoint_failure(&self) -> Option<String> {
        self.core().checkpoint_failure.lock().clone()
    }

    /// What is counted and timed.
    pub(crate) fn counted(&self) -> Vec<MetricFamily> {
        self.core().metrics.gather()
    }

    /// raft's term.
    pub(crate) fn term(&self) -> u64 {
        self.core().standing.borrow().term
    }

    /// The leader's ID, if this member knows one.
    pub(crate) fn leader(&self) -> Option<u64> {
        Some(self.core().standing.borrow().leader).filter(|leader| *leader != 0)
    }

    /// Waits until this member has known no leader for longer than an election should take (etcd: three election timeouts,
    /// server/etcdserver/api/v3rpc/interceptor.go, monitorLeader), or the store has ended.
    pub(crate) async fn leader_lost(&self) {
        let mut standing = self.core().standing.subscribe();
        let mut ended = self.ended.clone();
        let lost = async {
            loop {
                if standing.wait_for(|standing| standing.leader == 0).await.is_err() {
                    return;
                }
                let back = standing.wait_for(|standing| standing.leader != 0);
                if tokio::time::timeout(LEADERLESS, back).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = lost => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    /// Whether the store answers.
    pub(crate) fn is_open(&self) -> bool {
        self.core().open().is_ok()
    }

    /// The revision that is applied and announced here.
    pub(crate) fn local(&self) -> Revision {
        self.local_revision()
    }

    /// How often idle watches are told their progress.
    pub(crate) fn progress_interval(&self) -> Duration {
        self.core().progress_interval
    }
}
