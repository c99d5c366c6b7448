//! The one thread that changes things: it takes what has been proposed since it last looked, writes it to the log as one
//! group, makes it durable by one sync, applies it, tells the watches, and answers.
//!
//! A group is whatever has piled up during the sync before, so the groups grow with the load: with one client each write
//! pays a sync of its own, with 512 clients some hundred share one.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;
use proto::log::{Entry, EntryKind, HardState};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::disk::Disk;
use crate::kv::Error;
use crate::log::{AppendError, Log};
use crate::request;
use crate::shared::{Core, stopped};
use crate::snapshot;
use crate::state::{At, Outcome};

/// Most requests in a group.
const GROUP: usize = 1024;
/// A group is not added to beyond so many bytes.
const GROUP_BYTES: usize = 4 << 20;
/// Requests applied while the state is locked.
const PORTION: usize = 32;
/// Changes that a compaction removes between two groups.
const SWEEP: usize = 512;

/// What the writer is told.
pub(crate) enum Message {
    /// Log and apply a request.
    Propose(Proposal),
    /// A snapshot at this entry is durable, or has failed.
    Snapshot(u64, io::Result<()>),
    /// Finish, and let go of the directory.
    Close,
}

/// A request on its way.
pub(crate) struct Proposal {
    pub(crate) request: Bytes,
    pub(crate) reply: oneshot::Sender<Result<Outcome, Error>>,
    /// Its share of the memory that waiting requests may take.
    pub(crate) _share: OwnedSemaphorePermit,
}

/// The writer; [`Writer::run`] is its thread.
pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) log: Log,
    /// Each start is an election that the one member wins.
    pub(crate) term: u64,
    pub(crate) inbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) trim: Trim,
    pub(crate) fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

/// What it takes to keep the log short.
pub(crate) struct Trim {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    /// [`crate::Options::trim_bytes`].
    pub(crate) bytes: u64,
    /// Where the snapshot's thread reports. Weak: the writer must not keep its own inbox open.
    pub(crate) reports: mpsc::WeakUnboundedSender<Message>,
    /// The snapshot that is being written.
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Works until told to close, until the last sender is gone, or until the log fails.
    pub(crate) fn run(mut self) {
        self.work();
        self.core.close();
        // Emptied to the last message under way, not just dropped: one that is sent while the inbox is dropped would stay
        // in it, and its sender would wait for an answer for ever.
        self.inbox.close();
        while self.inbox.blocking_recv().is_some() {}
        if let Some(thread) = self.trim.thread.take() {
            let _ = thread.join();
        }
    }

    fn work(&mut self) {
        let mut waiting: VecDeque<Proposal> = VecDeque::new();
        let mut messages = Vec::new();
        let mut sweeping = true;
        let mut open = true;
        while open {
            if sweeping {
                while let Ok(message) = self.inbox.try_recv() {
                    messages.push(message);
                    if messages.len() == GROUP {
                        break;
                    }
                }
            } else if self.inbox.blocking_recv_many(&mut messages, GROUP) == 0 {
                break;
            }
            for message in messages.drain(..) {
                match message {
                    Message::Propose(proposal) => waiting.push_back(proposal),
                    Message::Snapshot(index, result) => self.trimmed(index, result),
                    Message::Close => open = false,
                }
            }
            while !waiting.is_empty() {
                let group = take_group(&mut waiting);
                if !self.write(group) {
                    return;
                }
            }
            sweeping = self.core.state.write().sweep(SWEEP);
            let swept = self.core.state.read().swept();
            self.core.swept.send_if_modified(|known| std::mem::replace(known, swept) != swept);
        }
    }

    /// Begins a snapshot if the log has grown long enough.
    fn consider_trim(&mut self) {
        let state = self.core.state.read();
        let (index, enough) = (state.applied().index, self.trim.bytes.max(4 * state.live_bytes()));
        drop(state);
        if self.trim.thread.is_some() || self.log.superfluous(index) < enough {
            return;
        }
        let Some(report) = self.trim.reports.upgrade() else { return };
        let head = self.core.state.write().begin_save();
        let (core, disk, dir) = (Arc::clone(&self.core), Arc::clone(&self.trim.disk), self.trim.dir.clone());
        let work = move || {
            let result = snapshot::write(&core, &*disk, &dir, &head);
            core.state.write().unpin();
            // Fails if the store has closed: then nobody trims.
            let _ = report.send(Message::Snapshot(head.index, result));
        };
        match std::thread::Builder::new().name("store-snapshot".into()).spawn(work) {
            Ok(thread) => self.trim.thread = Some(thread),
            Err(error) => {
                self.core.state.write().unpin();
                tracing::warn!(%error, "cannot start a thread to write a snapshot of the store");
            }
        }
    }

    /// Removes the log files that a finished snapshot covers. A failure costs space, nothing else: the next compaction
    /// tries again.
    fn trimmed(&mut self, index: u64, result: io::Result<()>) {
        self.trim.thread = None;
        match result.and_then(|()| self.log.trim(index)) {
            Ok(()) => tracing::info!(index, "trimmed the store's log behind a snapshot"),
            Err(error) => tracing::warn!(%error, index, "cannot trim the store's log"),
        }
    }

    /// Writes a group; `false` if the log must not go on.
    fn write(&mut self, group: Vec<Proposal>) -> bool {
        let first = self.log.next_index();
        let entry = |(index, proposal): (u64, &Proposal)| Entry {
            term: self.term,
            index,
            request: proposal.request.clone(),
            kind: EntryKind::Request.into(),
        };
        let entries: Vec<_> = (first..).zip(&group).map(entry).collect();
        // What was synced before is committed; the group itself is by the time that it is synced.
        let mark = HardState { term: self.term, vote: self.log.identity().member, commit: first - 1 };
        let bytes = group.iter().map(|proposal| proposal.request.len() as u64 + 64).sum();
        let room = self.log.make_room(bytes).map_err(AppendError::Refused);
        match room.and_then(|()| self.log.append(&entries, mark)) {
            Ok(()) => self.log.release(first + entries.len() as u64 - 1, 0),
            Err(AppendError::Refused(error)) => {
                tracing::error!(%error, "the store cannot write to its log");
                let refusal = match error.kind() {
                    std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error::NoSpace,
                    _ => Error::Unavailable(format!("cannot write to the log: {error}")),
                };
                group.into_iter().for_each(|proposal| drop(proposal.reply.send(Err(refusal.clone()))));
                return true;
            }
            Err(AppendError::Unknown(error)) => {
                let text = format!("the store's log failed, and what is durable is unknown: {error}");
                tracing::error!(%error, "the store's log failed, and what is durable is unknown");
                // Closed before anybody is told that his write was not answered.
                self.core.close();
                (self.fatal)(&text);
                return false;
            }
        }
        let before = self.core.state.read().revision();
        let mut outcomes = Vec::with_capacity(group.len());
        let mut index = first;
        for portion in group.chunks(PORTION) {
            let requests: Vec<_> = portion.iter().map(|proposal| request::decode(proposal.request.clone())).collect();
            let mut state = self.core.state.write();
            for request in requests {
                let at = At { index, term: self.term };
                outcomes.push(match request {
                    Ok(Some(request)) => state.apply(at, request),
                    Ok(None) => Err(stopped()),
                    Err(what) => Err(Error::Corrupt(what)),
                });
                index += 1;
            }
        }
        outcomes.iter().for_each(|outcome| self.core.heed(outcome));
        self.publish(before);
        let compacted = outcomes.iter().any(|outcome| matches!(outcome, Ok(Outcome::Compacted)));
        for (proposal, outcome) in group.into_iter().zip(outcomes) {
            // Nobody waits any more: the write is done all the same.
            let _ = proposal.reply.send(outcome);
        }
        if compacted {
            self.consider_trim();
        }
        true
    }

    /// Tells the watches what came after revision `before`.
    fn publish(&self, before: u64) {
        let state = self.core.state.read();
        if state.revision() > before {
            if !self.core.hub.is_empty() {
                self.core.hub.mark(state.changes(before + 1));
            }
            self.core.published.store(state.revision(), Ordering::Release);
        }
    }
}

fn take_group(waiting: &mut VecDeque<Proposal>) -> Vec<Proposal> {
    let mut bytes = 0;
    let count = waiting
        .iter()
        .take(GROUP)
        .take_while(|proposal| {
            let fits = bytes == 0 || bytes + proposal.request.len() <= GROUP_BYTES;
            bytes += proposal.request.len();
            fits
        })
        .count();
    waiting.drain(..count).collect()
}
