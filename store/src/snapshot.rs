//! The state as one stream of bytes: what a checkpoint holds, what is sent to a member that is far behind, what a backup is.
//!
//! A snapshot is the state right after its entry, history above the compact revision included: its leases, every key at the
//! compact revision, every change since. The entries behind it, applied again, give the same state as to one that never
//! stopped. It is read out in portions, while the store works on; [`State::begin_save`] keeps what is still to be read from
//! being swept. Its bytes are the log's frames: the first holds the head, each further one some items, the last one nothing.

use std::io;
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use proto::log::{Item, SnapshotHead};

use crate::disk::{Disk, ReadAt};
use crate::log::frame::{FileHeader, FileKind, FrameBuilder, file_header};
use crate::log::reader::{Found, Reader};
use crate::options::OpenError;
use crate::shared::{Core, Fault};
use crate::state::{Budget, SavePoint, State};

/// Keys read while the state is locked.
const PORTION: usize = 512;
/// And about so many bytes of them.
const PORTION_BYTES: usize = 256 << 10;

struct Loading {
    state: State,
    head: SnapshotHead,
}

/// Loads the snapshot at entry `index` from a file.
pub(crate) fn load_file(disk: &dyn Disk, path: &Path, index: u64) -> Result<(State, SnapshotHead), OpenError> {
    let file = disk.open(path).map_err(|error| OpenError::io(path, "open", error))?;
    load(path, &*file, index)
}

/// The same out of an open file.
pub(crate) fn load(path: &Path, file: &dyn ReadAt, index: u64) -> Result<(State, SnapshotHead), OpenError> {
    let (state, head) = read(path, file)?;
    if head.index != index {
        let what = format!("the snapshot is of entry {}, not {index}", head.index);
        return Err(OpenError::Damaged { path: path.to_owned(), offset: 0, first: index, last: None, what });
    }
    Ok((state, head))
}

/// Loads whichever snapshot is in a file; what follows its end does not count.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> Result<(State, SnapshotHead), OpenError> {
    let file = disk.open(path).map_err(|error| OpenError::io(path, "open", error))?;
    read(path, &*file)
}

/// The same out of an open file, or what passes for one.
pub(crate) fn read(path: &Path, file: &dyn ReadAt) -> Result<(State, SnapshotHead), OpenError> {
    let mut reader = Reader::open(FileKind::Snapshot, path, file)?;
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

/// Writes the state that `head` (of [`State::begin_save`]) describes to a file, durably but for its name.
pub(crate) fn write(core: &Core, disk: &dyn Disk, path: &Path, head: &SnapshotHead) -> io::Result<()> {
    let mut file = disk.create(path)?;
    let mut at = 0;
    encode(core, head, &mut |bytes| {
        file.write_at(at, bytes)?;
        at += bytes.len() as u64;
        Ok(())
    })?;
    file.sync()
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
        let mut items;
        {
            let state = core.state.read();
            if !state.is_saving(head) {
                return Err(io::Error::other("the state was replaced by another member's"));
            }
            (items, from) = state.save(head, from, Budget { keys: PORTION, bytes: PORTION_BYTES });
        }
        if core.planted(Fault::SkipTombstones) {
            items.retain(|item| item.version > 0);
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

#[cfg(test)]
mod tests;
