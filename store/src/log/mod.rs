//! The raft log on disk: numbered entries in segment files, appended in groups, read back at start.
//!
//! Files of a store directory:
//! ```text
//! LOCK                            held while a store is open
//! snapshot-00000000000000004711   the state right after entry 4711 (at most one; see `snapshot`)
//! log-00000000000000004100        entries from 4100 on: kept, because it holds 4712
//! log-00000000000000009000        entries from 9000 on: the one that is appended to
//! *.tmp                           files that were being made when the process died: removed at start
//! ```
//! What must be kept: an entry is acknowledged only after [`Log::append`] returned; entries of one frame survive
//! together or not at all; no gap in the indices ever goes unnoticed.

pub(crate) mod frame;
pub(crate) mod reader;
mod recover;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use proto::log::{Entry, EntryKind};

use crate::disk::{Disk, DiskFile};
use frame::{FileKind, FrameBuilder, HEADER, file_header};
pub(crate) use recover::open;

/// The open log.
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    /// Term of the entries that this process appends.
    term: u64,
    /// Index of the next entry.
    next: u64,
    /// Header crc of the last frame.
    chain: u32,
    current: Segment,
    file: Box<dyn DiskFile>,
    /// Segments before the current one, oldest first.
    sealed: Vec<Segment>,
    frame: FrameBuilder,
}

/// One file of the log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    path: PathBuf,
    /// Index of its first entry.
    first: u64,
    bytes: u64,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    /// Nothing was written; the log goes on.
    #[error("cannot write to the log")]
    Refused(#[source] io::Error),
    /// Whether something is on disk is unknown; the log must not go on.
    #[error("the log's durability is unknown")]
    Unknown(#[source] io::Error),
}

impl Log {
    /// Index of the next entry.
    pub(crate) fn next_index(&self) -> u64 {
        self.next
    }

    /// The term of new entries.
    pub(crate) fn term(&self) -> u64 {
        self.term
    }

    /// Writes requests as the next entries, in one frame, and makes them durable. Returns the first one's index.
    pub(crate) fn append<'a>(&mut self, requests: impl Iterator<Item = &'a Bytes>) -> Result<u64, AppendError> {
        if self.current.bytes >= self.segment_bytes {
            self.rotate()?;
        }
        let first = self.next;
        self.frame.begin(first);
        let mut index = first;
        for request in requests {
            self.frame.push(&Entry {
                term: self.term,
                index,
                request: request.clone(),
                kind: EntryKind::Request.into(),
            });
            index += 1;
        }
        let (bytes, chain) = self.frame.finish(self.chain);
        let at = self.current.bytes;
        if let Err(error) = self.file.write_at(at, bytes) {
            // A part may stand in the file: take it away, or the next frame would begin behind rubbish.
            return Err(match self.file.set_size(at) {
                Ok(()) => AppendError::Refused(error),
                Err(error) => AppendError::Unknown(error),
            });
        }
        // Never retried: after a failed sync the kernel may call the lost pages clean.
        self.file.sync().map_err(AppendError::Unknown)?;
        self.current.bytes = at + bytes.len() as u64;
        self.chain = chain;
        self.next = index;
        Ok(first)
    }

    fn rotate(&mut self) -> Result<(), AppendError> {
        let (file, segment) = create_segment(&*self.disk, &self.dir, self.next, self.chain).map_err(|error| {
            // What a full disk says before anything was synced can be tried again; a failed sync cannot.
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => AppendError::Refused(error),
                _ => AppendError::Unknown(error),
            }
        })?;
        self.file = file;
        self.sealed.push(std::mem::replace(&mut self.current, segment));
        Ok(())
    }

    /// How many bytes the segments hold that a snapshot at `index` makes superfluous.
    pub(crate) fn superfluous(&self, index: u64) -> u64 {
        let ends = self.sealed.iter().skip(1).map(|segment| segment.first).chain([self.current.first]);
        self.sealed.iter().zip(ends).filter(|(_, end)| *end <= index + 1).map(|(segment, _)| segment.bytes).sum()
    }

    /// Removes the segments that a durable snapshot at `index` makes superfluous.
    pub(crate) fn trim(&mut self, index: u64) -> io::Result<()> {
        while let Some(oldest) = self.sealed.first() {
            let end = self.sealed.get(1).unwrap_or(&self.current).first;
            if end > index + 1 {
                break;
            }
            self.disk.remove(&oldest.path)?;
            self.sealed.remove(0);
        }
        self.disk.sync_dir(&self.dir)
    }
}

/// The path of the segment that begins with `first`.
fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("log-{first:020}"))
}

/// Makes a segment under another name first, so that one that is seen is complete.
fn create_segment(disk: &dyn Disk, dir: &Path, first: u64, chain: u32) -> io::Result<(Box<dyn DiskFile>, Segment)> {
    let path = segment_path(dir, first);
    let temporary = path.with_extension("tmp");
    let mut file = disk.create(&temporary)?;
    file.write_at(0, &file_header(FileKind::Log, first, chain))?;
    file.sync()?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    Ok((file, Segment { path, first, bytes: HEADER as u64 }))
}

#[cfg(test)]
mod tests;
