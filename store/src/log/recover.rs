//! Opens the log: finds its segments, reads every entry back in order, cuts a torn end, refuses damage.

use std::path::Path;
use std::sync::Arc;

use proto::log::Entry;

use super::frame::{FileKind, HEADER};
use super::reader::{Found, Reader};
use super::{Log, Segment, create_segment, segment_path};
use crate::disk::{Disk, DiskFile};
use crate::options::{OpenError, Options};

/// Opens the log behind a snapshot that holds everything up to the entry `done` of term `term` (0: no snapshot), giving
/// each later entry to `apply` in order. What `apply` cannot take is damage.
pub(crate) fn open(
    options: &Options,
    (done, term): (u64, u64),
    apply: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<Log, OpenError> {
    let (disk, dir) = (&options.disk, options.dir.as_path());
    let firsts = segments(&**disk, dir, done)?;
    let Some((last, sealed)) = firsts.split_last() else {
        if done > 0 {
            return Err(missing(dir, done + 1, None));
        }
        let created = create_segment(&**disk, dir, 1, 0);
        let (file, segment) = created.map_err(|error| OpenError::io(dir, "create the log", error))?;
        return Ok(new_log(options, file, segment));
    };
    if firsts[0] > done + 1 {
        return Err(missing(dir, done + 1, Some(firsts[0] - 1)));
    }
    let mut position = Position { expected: firsts[0], chain: None, term: 0, done };
    let mut kept = Vec::new();
    for (at, first) in sealed.iter().enumerate() {
        let path = segment_path(dir, *first);
        let file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
        let (end, torn) = read_segment(&path, &*file, *first, &mut position, apply)?;
        let next = firsts[at + 1];
        if torn || position.expected != next {
            // Only the last segment can have been cut short by a loss of power.
            return Err(damaged(&path, end, position.expected, Some(next.saturating_sub(1)), "entries are missing"));
        }
        kept.push(Segment { path, first: *first, bytes: end });
    }
    let path = segment_path(dir, *last);
    let mut file = disk.open(&path).map_err(|error| OpenError::io(&path, "open", error))?;
    let (end, torn) = read_segment(&path, &*file, *last, &mut position, apply)?;
    if position.expected <= done {
        return Err(missing(dir, position.expected, None));
    }
    if torn {
        tracing::warn!(path = %path.display(), offset = end, "cutting a torn write from the log's end");
    }
    // Even without a tear the end may so far stand in the page cache only: nothing of it is shown before it is durable.
    file.set_size(end).map_err(|error| OpenError::io(&path, "cut", error))?;
    file.sync().map_err(|error| OpenError::io(&path, "sync", error))?;
    let mut log = new_log(options, file, Segment { path, first: *last, bytes: end });
    log.sealed = kept;
    log.next = position.expected;
    log.chain = position.chain.unwrap_or_default();
    // Each start is an election that the one member wins.
    log.term = position.term.max(term) + 1;
    Ok(log)
}

fn new_log(options: &Options, file: Box<dyn DiskFile>, current: Segment) -> Log {
    Log {
        disk: Arc::clone(&options.disk),
        dir: options.dir.clone(),
        segment_bytes: options.segment_bytes,
        term: 1,
        next: current.first,
        chain: 0,
        current,
        file,
        sealed: Vec::new(),
        frame: super::FrameBuilder::default(),
    }
}

/// The first indices of the segments that are needed behind a snapshot at `done`, in order. Removes the others (a trim
/// that was interrupted).
fn segments(disk: &dyn Disk, dir: &Path, done: u64) -> Result<Vec<u64>, OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix("log-"));
    let mut firsts: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    firsts.sort_unstable();
    let needless = firsts.windows(2).take_while(|pair| pair[1] <= done + 1).count();
    for first in firsts.drain(..needless) {
        let path = segment_path(dir, first);
        disk.remove(&path).map_err(|error| OpenError::io(&path, "remove", error))?;
    }
    Ok(firsts)
}

/// How far recovery has come.
struct Position {
    expected: u64,
    /// Header crc of the last frame; `None` before the first segment.
    chain: Option<u32>,
    term: u64,
    /// Entries up to here are in the snapshot: checked, but not applied.
    done: u64,
}

/// Reads one segment. Returns where its good part ends and whether a torn frame follows.
fn read_segment(
    path: &Path,
    file: &dyn DiskFile,
    first: u64,
    position: &mut Position,
    apply: &mut dyn FnMut(Entry) -> Result<(), String>,
) -> Result<(u64, bool), OpenError> {
    let mut reader = Reader::open(FileKind::Log, path, file)?;
    let chain = reader.chain;
    if reader.expected != first || position.expected != first || position.chain.is_some_and(|before| before != chain) {
        let what = "the file does not follow the one before it";
        return Err(damaged(path, HEADER as u64, position.expected.min(first), None, what));
    }
    loop {
        let before = reader.at;
        match reader.next()? {
            Found::End { torn } => {
                position.chain = Some(reader.chain);
                return Ok((reader.at, torn));
            }
            Found::Frame(header, mut payload) => {
                let bad = |index, what: &str| damaged(path, before, index, None, what);
                for _ in 0..header.count {
                    let index = position.expected;
                    let entry: Entry = prost::Message::decode_length_delimited(&mut payload)
                        .map_err(|error| bad(index, &error.to_string()))?;
                    if entry.index != index || entry.term < position.term {
                        return Err(bad(index, "an entry's index or term does not follow"));
                    }
                    position.term = entry.term;
                    position.expected += 1;
                    if index > position.done {
                        apply(entry).map_err(|what| bad(index, &what))?;
                    }
                }
            }
        }
    }
}

fn damaged(path: &Path, offset: u64, first: u64, last: Option<u64>, what: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset, first, last, what: what.to_owned() }
}

fn missing(dir: &Path, first: u64, last: Option<u64>) -> OpenError {
    damaged(dir, 0, first, last, "a log file is missing")
}
