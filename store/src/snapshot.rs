//! Keeps the log from growing for ever: a file with the whole state as of one entry, after which the log files before that
//! entry can go.
//!
//! A snapshot is the state right after its entry, history above the compact revision included. Worked example, entries
//! 1-900, the state at entry 850 saved when the log had grown long enough:
//! ```text
//! snapshot-…850   the state right after entry 850: its leases, every key at the compact revision, every change since
//! log-…800        entries 800-900: kept, for 851-900
//! ```
//! A start loads the snapshot and applies 851-900 again: it arrives at the same state as one that never stopped.
//!
//! It is written by a thread of its own, in portions, while the store works on; [`State::begin_save`] keeps what it reads from
//! being swept. It counts only from the moment when it is complete, durable and renamed into place; only then log files
//! go. Its file has the log's frames: the first holds the head, each further one some items, the last one nothing.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;
use proto::log::{Item, SnapshotHead};

use crate::disk::Disk;
use crate::log::frame::{FileHeader, FileKind, FrameBuilder, file_header};
use crate::log::reader::{Found, Reader};
use crate::options::OpenError;
use crate::shared::Core;
use crate::state::{SavePoint, State};

/// Keys read while the state is locked.
const PORTION: usize = 512;
const PREFIX: &str = "snapshot-";

fn path_of(dir: &Path, index: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{index:020}"))
}

struct Loading {
    state: State,
    head: SnapshotHead,
}

/// Loads the newest snapshot: the state, and the entry and term that it stands for. Without one, an empty state and zeros.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<(State, SnapshotHead), OpenError> {
    let mut indices = list(disk, dir).map_err(|error| OpenError::io(dir, "list", error))?;
    let Some(index) = indices.pop() else { return Ok((State::default(), SnapshotHead::default())) };
    let loaded = load_file(disk, &path_of(dir, index), index)?;
    // Left over from a run that was stopped between renaming the new one and removing the old one.
    for older in indices {
        let path = path_of(dir, older);
        disk.remove(&path).map_err(|error| OpenError::io(&path, "remove", error))?;
    }
    Ok(loaded)
}

/// Loads the snapshot at entry `index` from a file.
pub(crate) fn load_file(disk: &dyn Disk, path: &Path, index: u64) -> Result<(State, SnapshotHead), OpenError> {
    let (state, head) = read_file(disk, path)?;
    if head.index != index {
        let what = format!("the snapshot is of entry {}, not {index}", head.index);
        return Err(OpenError::Damaged { path: path.to_owned(), offset: 0, first: index, last: None, what });
    }
    Ok((state, head))
}

/// Loads whichever snapshot is in a file; what follows its end does not count.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> Result<(State, SnapshotHead), OpenError> {
    let file = disk.open(path).map_err(|error| OpenError::io(path, "open", error))?;
    let mut reader = Reader::open(FileKind::Snapshot, path, &*file)?;
    let mut loading = None;
    loop {
        match reader.next()? {
            Found::End { .. } => return Err(reader.damaged("the snapshot is not complete".into(), None)),
            Found::Frame(header, _) if header.count == 0 => break,
            Found::Frame(header, mut payload) => take_frame(&mut loading, header.count, &mut payload)
                .map_err(|what| reader.damaged(format!("the snapshot cannot be decoded: {what}"), None))?,
        }
    }
    let Some(Loading { mut state, head }) = loading else {
        return Err(reader.damaged("the snapshot has no head".into(), None));
    };
    state.end_load();
    Ok((state, head))
}

fn take_frame(loading: &mut Option<Loading>, count: u32, payload: &mut Bytes) -> Result<(), String> {
    for _ in 0..count {
        let length = prost::decode_length_delimiter(&mut *payload).map_err(|error| error.to_string())?;
        if length > payload.len() {
            return Err("an item is cut short".into());
        }
        // Out of its frame, so that one surviving key does not hold the frame's memory.
        let bytes = Bytes::copy_from_slice(&payload.split_to(length));
        match loading {
            None => {
                let head = SnapshotHead::decode(bytes).map_err(|error| error.to_string())?;
                *loading = Some(Loading { state: State::begin_load(&head), head });
            }
            Some(loading) => {
                let item = Item::decode(bytes).map_err(|error| error.to_string())?;
                loading.state.load(item);
            }
        }
    }
    Ok(())
}

fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(dir)?;
    let numbers = names.iter().filter_map(|name| name.strip_prefix(PREFIX));
    let mut indices: Vec<u64> = numbers.filter_map(|number| number.parse().ok()).collect();
    indices.sort_unstable();
    Ok(indices)
}

/// Writes the state that `head` (of [`State::begin_save`]) describes, and makes it the store's snapshot.
pub(crate) fn write(core: &Core, disk: &dyn Disk, dir: &Path, head: &SnapshotHead) -> io::Result<()> {
    let path = path_of(dir, head.index).with_extension("tmp");
    let mut file = disk.create(&path)?;
    let mut at = 0;
    encode(core, head, &mut |bytes| {
        file.write_at(at, bytes)?;
        at += bytes.len() as u64;
        Ok(())
    })?;
    file.sync()?;
    adopt(disk, dir, &path, head.index)
}

/// Makes a complete and durable file the store's snapshot at entry `index`, in place of an older one.
pub(crate) fn adopt(disk: &dyn Disk, dir: &Path, path: &Path, index: u64) -> io::Result<()> {
    disk.rename(path, &path_of(dir, index))?;
    disk.sync_dir(dir)?;
    for older in list(disk, dir)?.into_iter().filter(|older| *older < index) {
        disk.remove(&path_of(dir, older))?;
    }
    Ok(())
}

/// The bytes of a snapshot's file, in order, in pieces. Fails when the store is closed meanwhile.
pub(crate) fn encode(
    core: &Core,
    head: &SnapshotHead,
    sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    sink(&file_header(FileKind::Snapshot, FileHeader::default()))?;
    let mut output = Output { sink, chain: 0, ordinal: 0, frame: FrameBuilder::default() };
    output.write(std::iter::once(head))?;
    let mut from = SavePoint::Begin;
    while !matches!(from, SavePoint::End) {
        core.open().map_err(io::Error::other)?;
        let items;
        {
            let state = core.state.read();
            if !state.is_saving(head) {
                return Err(io::Error::other("the state was replaced by another member's"));
            }
            (items, from) = state.save(head, from, PORTION);
        }
        // A portion may hold nothing but deleted keys; a frame of nothing is the end.
        if !items.is_empty() {
            output.write(items.iter())?;
        }
    }
    output.write(std::iter::empty::<&Item>())
}

struct Output<'a> {
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    chain: u32,
    /// Messages written so far: what the index is to a log's frames.
    ordinal: u64,
    frame: FrameBuilder,
}

impl Output<'_> {
    /// Writes messages as one frame.
    fn write<'a, M: Message + 'a>(&mut self, messages: impl Iterator<Item = &'a M>) -> io::Result<()> {
        self.frame.begin(self.ordinal);
        for message in messages {
            self.frame.push(message);
            self.ordinal += 1;
        }
        let (bytes, chain) = self.frame.finish(self.chain);
        (self.sink)(bytes)?;
        self.chain = chain;
        Ok(())
    }
}
