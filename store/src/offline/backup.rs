//! A backup's file: the bytes of a snapshot, zeros up to a multiple of 512, and the SHA-256 of all that (see `store::backup`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::ToolError;
use crate::disk::RealDisk;
use crate::log::frame::FileKind;
use crate::snapshot;
use crate::state::State;

/// Bytes of the checksum.
pub(super) const TAIL: u64 = 32;
/// The length without the checksum is a multiple of this.
const BLOCK: u64 = 512;
/// Where, and with what, etcd's database files begin.
const BOLT_MAGIC: (usize, [u8; 4]) = (16, 0xED0C_DAED_u32.to_le_bytes());

/// A backup, checked and loaded.
pub(super) struct Backup {
    pub(super) state: State,
    /// Of the whole file.
    pub(super) digest: [u8; 32],
    /// Bytes of the file without its checksum.
    pub(super) size: u64,
}

/// Checks a file and loads it.
pub(super) fn load(path: &Path, skip_hash_check: bool) -> Result<Backup, ToolError> {
    let checked = check(path, skip_hash_check)?;
    match checked.kind {
        Kind::Store => {}
        Kind::Etcd => {
            return Err(ToolError::damaged(
                path,
                "this is a snapshot of an etcd: mkube store import --from-file takes it",
            ));
        }
        Kind::Other => return Err(ToolError::damaged(path, "not a snapshot of this store")),
    }
    let (state, _) = snapshot::read_file(&RealDisk, path).map_err(|error| ToolError::reading(path, error))?;
    Ok(Backup { state, digest: checked.digest, size: checked.size })
}

/// What a file begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Store,
    Etcd,
    Other,
}

/// A file that is what was once written.
pub(super) struct Checked {
    pub(super) kind: Kind,
    pub(super) digest: [u8; 32],
    pub(super) size: u64,
}

/// Checks that a file's checksum is right.
pub(super) fn check(path: &Path, skip_hash_check: bool) -> Result<Checked, ToolError> {
    let mut file = File::open(path).map_err(|error| ToolError::io(path, "open", error))?;
    let length = file.metadata().map_err(|error| ToolError::io(path, "get the size", error))?.len();
    if length == 0 {
        return Err(ToolError::damaged(path, "the file is empty"));
    }
    let tailed = length % BLOCK == TAIL;
    if !tailed && !skip_hash_check {
        return Err(ToolError::damaged(path, "snapshot missing hash but --skip-hash-check=false (perhaps cut short)"));
    }
    let size = if tailed { length - TAIL } else { length };
    let digested = digest(&mut file, size).map_err(|error| ToolError::io(path, "read", error))?;
    if tailed && !skip_hash_check {
        let mut expected = [0; TAIL as usize];
        file.read_exact(&mut expected).map_err(|error| ToolError::io(path, "read", error))?;
        if expected != digested.0 {
            let text = format!("expected sha256 {}, got {}: damaged", hex(&expected), hex(&digested.0));
            return Err(ToolError::damaged(path, text));
        }
    }
    Ok(Checked { kind: kind(&digested.1), digest: digested.0, size })
}

/// The checksum of a file's first `size` bytes, and what they begin with. The file is then read up to there.
fn digest(file: &mut File, size: u64) -> io::Result<([u8; 32], Vec<u8>)> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Sha256::new();
    let mut begin = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if begin.is_empty() {
            begin = buffer[..read.min(64)].to_vec();
        }
        hasher.update(&buffer[..read]);
        left -= read as u64;
    }
    Ok((hasher.finalize().into(), begin))
}

fn kind(begin: &[u8]) -> Kind {
    let (at, magic) = BOLT_MAGIC;
    if begin.starts_with(FileKind::Snapshot.magic()) {
        Kind::Store
    } else if begin.get(at..at + magic.len()) == Some(&magic) {
        Kind::Etcd
    } else {
        Kind::Other
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
