//! A snapshot as it comes from another member: its parts are written to a file, which is loaded while it grows, so that the work is
//! spread over the time that the sender takes, and what is to be synced does not gather.

use std::cell::RefCell;
use std::io;

use proto::log::SnapshotHead;
use proto::peer::SnapshotPart;
use tokio::sync::mpsc;

use crate::disk::{Disk, DiskFile, ReadAt};
use crate::member::Temporary;
use crate::snapshot;
use crate::state::State;

/// Bytes that are synced at a time.
const STEP: u64 = 4 << 20;

/// Writes the parts to a file and loads it. The file is gone if that fails.
pub(super) fn receive(
    disk: &dyn Disk,
    to: Temporary,
    index: u64,
    parts: mpsc::Receiver<SnapshotPart>,
) -> Result<(Temporary, State, SnapshotHead), String> {
    let file = disk.create(to.path()).map_err(|error| error.to_string())?;
    let arriving = Arriving(RefCell::new(Inner { parts, file, size: 0, synced: 0, complete: false, ended: false }));
    let loaded = snapshot::load(to.path(), &arriving, index);
    let mut inner = arriving.0.into_inner();
    if loaded.is_ok() {
        while inner.more().map_err(|error| error.to_string())? {}
    }
    // Without its end it is called damaged, which it is not.
    if inner.ended && !inner.complete {
        return Err("the snapshot did not arrive as a whole".into());
    }
    let (state, head) = loaded.map_err(|error| error.to_string())?;
    inner.file.sync().map_err(|error| error.to_string())?;
    Ok((to, state, head))
}

/// The file, to be read by one thread: to ask for its size is to wait until it has grown, or is complete.
struct Arriving(RefCell<Inner>);

struct Inner {
    parts: mpsc::Receiver<SnapshotPart>,
    file: Box<dyn DiskFile>,
    size: u64,
    /// Bytes that were there when it was last synced.
    synced: u64,
    /// Its size is what the sender says that it is.
    complete: bool,
    /// No more parts come.
    ended: bool,
}

impl Inner {
    /// Waits for the next part. False: there is none.
    fn more(&mut self) -> io::Result<bool> {
        let Some(part) = self.parts.blocking_recv() else {
            self.ended = true;
            return Ok(false);
        };
        self.file.write_at(self.size, &part.data)?;
        self.size += part.data.len() as u64;
        self.complete |= part.size == self.size && part.size > 0;
        if self.size >= self.synced + STEP {
            self.file.sync()?;
            self.synced = self.size;
        }
        Ok(true)
    }
}

impl ReadAt for Arriving {
    fn size(&self) -> io::Result<u64> {
        let mut inner = self.0.borrow_mut();
        let before = inner.size;
        while inner.size == before && inner.more()? {}
        Ok(inner.size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow().file.read_at(offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::disk::MemoryDisk;

    #[test]
    fn what_does_not_arrive_as_a_whole_takes_no_room() {
        let part =
            |data: &'static [u8], size| SnapshotPart { data: Bytes::from_static(data), size, ..Default::default() };
        let table = [
            ("the disk is full", 10, vec![part(b"twelve bytes", 12)]),
            ("the sender has gone", 1000, vec![part(b"twelve", 0)]),
            ("it is no snapshot", 1000, vec![part(b"twelve bytes", 12)]),
        ];
        for (what, room, parts) in table {
            let (memory, dir) = (MemoryDisk::new(), Path::new("/store"));
            memory.fill_after(room);
            let disk: Arc<dyn Disk> = Arc::new(memory.clone());
            let (sender, receiver) = mpsc::channel(parts.len());
            parts.into_iter().for_each(|part| sender.try_send(part).unwrap());
            drop(sender);
            let file = Temporary::new(Arc::clone(&disk), dir.join("received.tmp"));
            assert!(receive(&*disk, file, 7, receiver).is_err(), "{what}");
            assert_eq!(memory.list(dir).unwrap(), Vec::<String>::new(), "{what}");
        }
    }
}
