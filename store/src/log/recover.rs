//! Opens the log: finds its segments, reads every entry back in order, cuts a torn end, refuses damage.
//!
//! What is refused, and how it is told from what a loss of power leaves:
//! - a bad frame that is not the last of the last file, or not torn (see `frame`);
//! - a frame, or a file, that does not follow the one before it (`chain`), or that leaves a gap in the indices;
//! - terms and indices from which raft could not count on;
//! - a frame that replaces what an earlier hard state says is committed, and a log that ends before that;
//! - a file whose number is missing, unless a snapshot covers what it held.
//!
//! A *fresh* file that begins behind the snapshot's entry is one that was made for a snapshot which then never became
//! durable: it is removed. One that begins at that entry makes everything before it superfluous.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proto::log::{Entry, HardState, Identity, SegmentHead};

use super::frame::{FileHeader, FileKind, FrameHeader};
use super::index::{Index, Place};
use super::reader::{Found, Reader};
use super::tail::Tail;
use super::{AppendError, Log, Segment, make_segment, segment_path};
use crate::disk::{Disk, ReadAt};
use crate::options::{OpenError, Options};
use crate::raft::MOST;

/// Memory for entries while the log is read.
const KEEP: u64 = 1 << 20;

/// The log as it was found.
pub(crate) struct Recovered {
    pub(crate) log: Log,
    /// The last entry that was given to `apply`, or that the snapshot holds.
    pub(crate) applied: u64,
}

/// Opens the log behind a snapshot that holds everything up to the entry `done` of term `term` (0: no snapshot), giving
/// each later committed entry to `apply` in order; what `apply` cannot take is damage. Without a snapshot and a log, makes
/// one for `new`.
pub(crate) fn open(
    options: &Options,
    (done, term): (u64, u64),
    new: Identity,
    apply: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<Recovered, OpenError> {
    let (disk, dir) = (&options.disk, options.dir.as_path());
    let found = segments(&**disk, dir, done)?;
    let Some((last, sealed)) = found.split_last() else {
        if done > 0 {
            return Err(missing(dir, done + 1, None));
        }
        let log = create(options, new)?;
        return Ok(Recovered { log, applied: 0 });
    };
    let first = found[0].first;
    let mut recovery = Recovery {
        index: Index::new(first, 0),
        tail: Tail::new(first),
        chain: None,
        head: SegmentHead::default(),
        number: 0,
        hard: HardState::default(),
        applied: done,
        apply,
    };
    let mut kept = Vec::new();
    for (at, header) in sealed.iter().enumerate() {
        let path = path_of(dir, header);
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
        let (end, torn) = recovery.read_segment(&path, &*file, header)?;
        if torn {
            // Only the last segment can have been cut short by a loss of power.
            let (first, last) = (recovery.index.next(), found[at + 1].first.saturating_sub(1));
            return Err(damaged(&path, end, first, Some(last).filter(|last| *last >= first), "entries are missing"));
        }
        kept.push(Segment { number: header.number, first: header.first, bytes: end });
    }
    let path = path_of(dir, last);
    let mut file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
    let (end, torn) = recovery.read_segment(&path, &*file, last)?;
    if recovery.index.next() <= done.max(recovery.hard.commit) {
        return Err(missing(dir, recovery.index.next(), Some(done.max(recovery.hard.commit))));
    }
    if recovery.index.term(done).is_some_and(|found| found != term) {
        return Err(damaged(&path, 0, done, Some(done), "the snapshot is of another history than the log"));
    }
    let largest = recovery.hard.term.max(recovery.index.last_term()).max(recovery.index.next());
    if largest > MOST {
        return Err(damaged(&path, 0, recovery.index.next(), None, "a term or an entry's number that was never given"));
    }
    if torn {
        tracing::warn!(path = %path.display(), offset = end, "cutting a torn write from the log's end");
    }
    // Even without a tear the end may so far stand in the page cache only: nothing of it is shown before it is durable.
    file.set_size(end).map_err(|error| OpenError::io(&path, "cut", error))?;
    file.sync().map_err(|error| OpenError::io(&path, "sync", error))?;
    let Recovery { index, tail, chain, head, hard, applied, .. } = recovery;
    let log = Log {
        disk: Arc::clone(disk),
        dir: dir.to_owned(),
        segment_bytes: options.segment_bytes,
        identity: head.identity.unwrap_or_default(),
        hard,
        index,
        tail,
        chain: chain.unwrap_or_default(),
        current: Segment { number: last.number, first: last.first, bytes: end },
        file,
        reserved: end,
        zeroed: end,
        sealed: kept,
        frame: super::FrameBuilder::default(),
        read_failure: Cell::default(),
        sync_time: None,
    };
    Ok(Recovered { log, applied })
}

fn create(options: &Options, identity: Identity) -> Result<Log, OpenError> {
    let (disk, dir) = (&options.disk, options.dir.as_path());
    let header = FileHeader { number: 1, fresh: true, first: 1, chain: 0 };
    let head = SegmentHead { identity: Some(identity), hard: Some(HardState::default()), base_term: 0 };
    let made = make_segment(&**disk, dir, header, &head, options.segment_bytes).map_err(|error| match error {
        AppendError::Refused(error) | AppendError::Unknown(error) => OpenError::io(dir, "create the log", error),
    })?;
    Ok(Log {
        disk: Arc::clone(disk),
        dir: dir.to_owned(),
        segment_bytes: options.segment_bytes,
        identity,
        hard: made.hard,
        index: Index::new(1, 0),
        tail: Tail::new(1),
        chain: made.chain,
        current: made.segment,
        file: made.file,
        reserved: made.reserved,
        zeroed: 0,
        sealed: Vec::new(),
        frame: super::FrameBuilder::default(),
        read_failure: Cell::default(),
        sync_time: None,
    })
}

/// The headers of the segments that are needed behind a snapshot at `done`, in order. Removes the others (a trim or the
/// installation of a snapshot that was interrupted).
fn segments(disk: &dyn Disk, dir: &Path, done: u64) -> Result<Vec<FileHeader>, OpenError> {
    let mut names: Vec<_> = disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))?;
    names.retain(|name| name.starts_with("log-"));
    names.sort_unstable();
    let mut headers = Vec::new();
    for name in names {
        let path = dir.join(name);
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
        let (_, header) = Reader::with_header(FileKind::Log, &path, &*file)?;
        if path != path_of(dir, &header) {
            return Err(damaged(&path, 0, header.first, None, "the file is not the one that its name says"));
        }
        headers.push(header);
    }
    let mut needless = Vec::new();
    while headers.last().is_some_and(|last| last.fresh && last.first > done + 1) {
        needless.extend(headers.pop());
    }
    let start = headers.iter().rposition(|header| header.first <= done + 1);
    match (start, headers.first()) {
        (Some(start), _) => needless.extend(headers.drain(..start)),
        (None, Some(first)) => return Err(missing(dir, done + 1, Some(first.first - 1))),
        (None, None) if needless.is_empty() => {}
        (None, None) => return Err(missing(dir, done + 1, None)),
    }
    for pair in headers.windows(2) {
        if pair[1].number != pair[0].number + 1 {
            let last = pair[1].first.saturating_sub(1);
            return Err(missing(dir, missing_from(disk, dir, &pair[0])?, Some(last)));
        }
    }
    for header in needless {
        let path = path_of(dir, &header);
        disk.remove(&path).map_err(|error| OpenError::io(&path, "remove", error))?;
    }
    Ok(headers)
}

/// The first entry that does not stand in a segment.
fn missing_from(disk: &dyn Disk, dir: &Path, header: &FileHeader) -> Result<u64, OpenError> {
    let path = path_of(dir, header);
    let file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
    let mut reader = Reader::open(FileKind::Log, &path, &*file)?;
    while let Found::Frame(..) = reader.next()? {}
    Ok(reader.expected)
}

/// How far recovery has come.
struct Recovery<'a> {
    index: Index,
    tail: Tail,
    /// Header crc of the last frame; `None` before the first segment.
    chain: Option<u32>,
    /// Of the segment that is read, or was read last.
    head: SegmentHead,
    number: u32,
    hard: HardState,
    /// Entries up to here are in the snapshot, or were given to `apply`.
    applied: u64,
    apply: &'a mut dyn FnMut(Entry) -> Result<(), String>,
}

impl Recovery<'_> {
    /// Reads one segment. Returns where its good part ends and whether a torn frame follows.
    fn read_segment(&mut self, path: &Path, file: &dyn ReadAt, header: &FileHeader) -> Result<(u64, bool), OpenError> {
        let mut reader = Reader::open(FileKind::Log, path, file)?;
        if self.index.next() != header.first || self.chain.is_some_and(|before| before != header.chain) {
            let what = "the file does not follow the one before it";
            return Err(reader.damaged(what.into(), None));
        }
        self.read_head(&mut reader)?;
        self.number = header.number;
        loop {
            let at = reader.at;
            match reader.next()? {
                Found::End { torn } => {
                    self.chain = Some(reader.chain);
                    return Ok((reader.at, torn));
                }
                Found::Frame(header, payload) => self.take(path, at, &header, payload)?,
            }
        }
    }

    fn read_head(&mut self, reader: &mut Reader<'_>) -> Result<(), OpenError> {
        let head = match reader.next()? {
            Found::Frame(header, mut payload) if header.count == 0 => {
                <SegmentHead as prost::Message>::decode_length_delimited(&mut payload).ok()
            }
            _ => None,
        };
        let Some(head) = head.filter(|head| head.identity.is_some() && head.hard.is_some()) else {
            return Err(reader.damaged("the file does not say whose it is".into(), None));
        };
        let first_file = self.chain.is_none();
        if first_file {
            self.index = Index::new(self.index.next(), head.base_term);
            self.hard = head.hard.unwrap_or_default();
        } else if head.identity != self.head.identity {
            return Err(reader.damaged("the file belongs to another log".into(), None));
        }
        self.head = head;
        Ok(())
    }

    /// Takes the entries and the hard state of a frame, and applies what that commits.
    fn take(&mut self, path: &Path, at: u64, header: &FrameHeader, mut payload: Bytes) -> Result<(), OpenError> {
        let bad = |index, what: &str| damaged(path, at, index, None, what);
        if header.count > 0 && header.first <= self.hard.commit {
            return Err(bad(header.first, "committed entries are replaced"));
        }
        let before = header.first.checked_sub(1).and_then(|before| self.index.term(before)).unwrap_or(0);
        let mut term = before;
        let mut entries = Vec::with_capacity(header.count.min(4096) as usize);
        for index in (header.first..).take(header.count as usize) {
            let entry: Entry = prost::Message::decode_length_delimited(&mut payload)
                .map_err(|error| bad(index, &error.to_string()))?;
            if entry.index != index || entry.term < term {
                return Err(bad(index, "an entry's index or term does not follow"));
            }
            term = entry.term;
            // Copied out of its group, so that one surviving key does not hold the group's memory.
            entries.push(Entry { request: Bytes::copy_from_slice(&entry.request), ..entry });
        }
        if !entries.is_empty() {
            let place = Place { segment: self.number, offset: at };
            self.index.add(header.first, entries.iter().map(|entry| entry.term), place);
            self.tail.add(entries);
        }
        if !payload.is_empty() {
            let hard = <HardState as prost::Message>::decode_length_delimited(&mut payload);
            self.hard = hard.map_err(|error| bad(self.index.next(), &error.to_string()))?;
        }
        let from = self.applied + 1;
        for entry in self.tail.since(from).take_while(|entry| entry.index <= self.hard.commit) {
            let index = entry.index;
            (self.apply)(entry.clone()).map_err(|what| bad(index, &what))?;
            self.applied = index;
        }
        self.tail.release(self.applied, KEEP);
        Ok(())
    }
}

fn path_of(dir: &Path, header: &FileHeader) -> std::path::PathBuf {
    segment_path(dir, &Segment { number: header.number, first: header.first, bytes: 0 })
}

fn damaged(path: &Path, offset: u64, first: u64, last: Option<u64>, what: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset, first, last, what: what.to_owned() }
}

fn missing(dir: &Path, first: u64, last: Option<u64>) -> OpenError {
    damaged(dir, 0, first, last, "a log file is missing")
}
