//! A backup while the store works on: a snapshot as one stream, with a checksum at its end, as etcd's snapshot API has it.
//!
//! The bytes are those of a snapshot file, filled with zeros up to a multiple of 512, and then the SHA-256 of all that. (etcd's
//! tools take a file for checksummed when its length modulo 512 is 32.)

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use proto::log::SnapshotHead;
use sha2::{Digest, Sha256};

use super::Store;
use crate::ration::Ration;
use crate::shared::Core;
use crate::snapshot;

/// What the length is made a multiple of before the checksum.
const BLOCK: usize = 512;

/// A backup of the moment when it was begun. What it needs of the history is kept as long as it lives.
pub(crate) struct Backup {
    core: Arc<Core>,
    head: SnapshotHead,
}

impl Store {
    /// Begins a backup of now.
    pub(crate) fn backup(&self) -> Backup {
        let core = Arc::clone(self.core());
        let head = core.state.write().begin_save();
        Backup { core, head }
    }
}

impl Backup {
    /// Writes it, piece by piece; blocks.
    ///
    /// # Errors
    /// When the store is closed, or those of `sink`.
    pub(crate) fn write(&self, sink: &mut dyn FnMut(Bytes) -> io::Result<()>) -> io::Result<()> {
        let (mut digest, mut length) = (Sha256::new(), 0);
        let mut ration = Ration::new();
        snapshot::encode(&self.core, &self.head, &mut |bytes| {
            digest.update(bytes);
            length += bytes.len();
            sink(Bytes::copy_from_slice(bytes))?;
            ration.spend_and_rest(bytes.len() as u64, &self.core);
            Ok(())
        })?;
        let filling = vec![0; length.next_multiple_of(BLOCK) - length];
        digest.update(&filling);
        sink(filling.into())?;
        sink(Bytes::copy_from_slice(&digest.finalize()))
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.core.state.write().end_save(&self.head);
    }
}
