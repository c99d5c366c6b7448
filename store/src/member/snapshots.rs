//! Snapshots: when a checkpoint is written and the own log trimmed, how one is sent to a member that is too far behind, and how one
//! that another member sent is put in place of log and state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proto::log::{HardState, SnapshotHead};

use super::{Fatal, Member, Port};
use crate::checkpoint;
use crate::disk::Disk;
use crate::kv::Error;
use crate::raft::{Body, Message, Role, Snapshot};
use crate::state::State;

/// A file under a temporary name, which goes with its owner unless it has been given another name by then: on a full disk
/// nothing else would ever make that room again.
pub(crate) struct Temporary {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Temporary {
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf) -> Self {
        Self { disk, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails if it has another name. What cannot be removed now is by the next start.
        let _ = self.disk.remove(&self.path);
    }
}

/// A snapshot of another member, received as a whole and loaded.
pub(crate) struct Arrived {
    /// Its file in the directory, durable.
    pub(crate) file: Temporary,
    pub(crate) head: SnapshotHead,
    pub(crate) state: State,
    /// What raft is told of it.
    pub(crate) message: Message,
}

impl<T> Member<T> {
    /// Begins to write a checkpoint once the log behind the newest one is longer than the state.
    pub(super) fn consider_saving(&mut self, port: &mut impl Port<Ticket = T>) {
        if self.saving {
            return;
        }
        let grown = self.grown();
        if grown < self.trim_bytes.max(self.retry_bytes) || grown < self.core.state.read().resident() {
            return;
        }
        self.saving = true;
        let head = self.core.state.write().begin_save();
        port.save(head);
    }

    /// Bytes of the log that a checkpoint of now would make superfluous, beyond the newest one.
    fn grown(&self) -> u64 {
        self.log.superfluous(self.applied).saturating_sub(self.log.superfluous(self.saved))
    }

    /// A checkpoint of entry `index` is durable, and the log up to the entry in `result` can go; or it has failed: the log is
    /// kept, and the next attempt is made when it has grown by another quarter.
    pub(super) fn saved(&mut self, index: u64, result: std::io::Result<u64>) {
        self.saving = false;
        let upto = match result {
            Ok(upto) => upto,
            // Another member's snapshot has taken its place.
            Err(_) if index <= self.saved => return,
            Err(error) => {
                tracing::error!(%error, index, "cannot write a checkpoint of the store: its log is kept");
                self.retry_bytes = self.grown() + self.trim_bytes / 4;
                *self.core.checkpoint_failure.lock() = Some(error.to_string());
                return;
            }
        };
        (self.saved, self.retry_bytes) = (self.saved.max(index), 0);
        *self.core.checkpoint_failure.lock() = None;
        // Members that are a little behind shall not need a snapshot.
        let status = self.raft.status();
        let behind = status.peers.iter().filter(|peer| peer.active && peer.matched > 0).map(|peer| peer.matched).min();
        let upto = if status.role == Role::Leader { behind.map_or(upto, |matched| matched.min(upto)) } else { upto };
        match self.log.trim(upto) {
            Ok(()) => tracing::info!(index, log_from = upto + 1, "wrote a checkpoint of the store"),
            Err(error) => tracing::warn!(%error, index, "cannot trim the store's log"),
        }
    }

    pub(super) fn begin_sending(&mut self, to: u64, port: &mut impl Port<Ticket = T>) {
        let head = self.core.state.write().begin_save();
        let snapshot =
            Snapshot { index: head.index, term: head.term, membership: Some(self.raft.membership().clone()) };
        let term = self.raft.standing().term;
        let message = Message { from: self.id, to, term, body: Some(Body::Snapshot(snapshot)) };
        tracing::info!(to = format!("{to:x}"), index = head.index, "sending a snapshot to a member that is behind");
        port.send_snapshot(to, head, message);
    }

    pub(super) fn sent(&mut self, to: u64, term: u64, index: u64, ok: bool) {
        // Of another leadership: in this one another snapshot may be on its way there.
        if term != self.raft.standing().term {
            return;
        }
        if ok {
            self.raft.snapshot_sent(to, index);
        } else {
            self.raft.snapshot_failed(to);
        }
    }

    /// Keeps what has arrived if raft wants it, and so does not want any that came before. Two senders may take each other
    /// for silent, and their snapshots come between two calls of [`Member::advance`].
    pub(super) fn arrive(&mut self, arrived: Box<Arrived>) -> Result<(), Fatal> {
        if self.unwritten.is_some() {
            return Ok(());
        }
        let before = self.raft.wants_snapshot();
        self.step_raft(arrived.message.clone())?;
        let wants = self.raft.wants_snapshot();
        if wants != before && wants == Some(arrived.head.index) {
            self.arrived = Some(arrived);
        }
        Ok(())
    }

    /// Puts the snapshot that has arrived in the place of log and state.
    pub(super) fn install(
        &mut self,
        snapshot: &Snapshot,
        hard: HardState,
        port: &mut impl Port<Ticket = T>,
    ) -> Result<(), Fatal> {
        let arrived = self.arrived.take().filter(|arrived| arrived.head.index == snapshot.index);
        let Some(arrived) = arrived else {
            return Err(Fatal::Broken(format!("the snapshot at {} has not arrived", snapshot.index)));
        };
        let Arrived { file, head, state, .. } = *arrived;
        let made = self.log.prepare_restart(snapshot.index, snapshot.term, hard).map_err(Fatal::Log)?;
        let (disk, dir) = self.log.place();
        checkpoint::adopt(&*disk, &dir, file.path(), head.index).map_err(Fatal::Install)?;
        self.log.restart(made).map_err(Fatal::Install)?;
        let revision = state.revision();
        let old = {
            let mut now = self.core.state.write();
            let old = std::mem::replace(&mut *now, state);
            // Whether a watch still finds what it needs in the new history is for the watch to see.
            self.core.hub.mark_all(old.revision() + 1);
            self.core.published.store(revision, Ordering::Release);
            old
        };
        drop(old);
        (self.applied, self.saved) = (snapshot.index, snapshot.index);
        self.raft.applied(snapshot.index);
        for ticket in self.waiting.passed(snapshot.index) {
            port.answer(ticket, Err(Error::TimedOut));
        }
        self.decided(snapshot.term, port);
        self.note_membership();
        port.members_changed(self.core.state.read().members());
        tracing::info!(index = snapshot.index, revision, "took the state from another member's snapshot");
        Ok(())
    }
}
