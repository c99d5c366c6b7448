//! A stream of bytes in a sled database: cut into blocks, numbered, each a value under its number. Only this file knows sled.
//!
//! sled 0.34 and what is done about it: a flush is no durability (#1452), so the files are synced here once the database is
//! closed; killed, it may be damaged (#1533, #1166), so what was not finished is thrown away; opened, it changes its files, so
//! only copies are; large values go to files of their own and stay in memory beyond the cache, so blocks are small.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base::panics::{catch, catch_with};
use proto::log::{Manifest, SnapshotHead};
use rustix::fs::{FlockOperation, flock};

use super::{damaged, manifest};
use crate::disk::ReadAt;
use crate::options::OpenError;
use crate::random::random;
use crate::snapshot;
use crate::state::State;

/// Bytes of a block: measured over 256 MiB, larger ones took up to four times the memory and space, smaller ones twice the CPU.
const BLOCK: usize = 4096;
/// sled's cache. No page is read twice, so most of the 64 MiB that it may have would be of no use.
const CACHE: u64 = 16 << 20;
/// How long sled may take to let go of its files.
const CLOSING: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);

/// Takes the next bytes of a stream.
pub(super) type Sink<'a> = dyn FnMut(&[u8]) -> io::Result<()> + 'a;

fn open(path: &Path) -> sled::Result<sled::Db> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
    config.mode(sled::Mode::HighThroughput).open()
}

/// sled asserts what it should report.
fn reported<T>(caught: Result<sled::Result<T>, String>) -> io::Result<T> {
    caught.map_err(|panic| io::Error::other(format!("it panicked: {panic}")))?.map_err(Into::into)
}

/// Makes the directory `dir` of what `produce` gives: complete and durable when this returns, but for its name. Calls `rest` after
/// every portion of the work.
pub(super) fn write(
    dir: &Path,
    index: u64,
    rest: &dyn Fn(),
    produce: &mut dyn FnMut(&mut Sink<'_>) -> io::Result<()>,
) -> io::Result<()> {
    // Left over from an attempt of which not even the traces could be removed.
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    DirBuilder::new().mode(0o700).create(dir)?;
    let data = manifest::data(dir);
    let database = open(&data)?;
    let mut cutter = Cutter { database: &database, block: Vec::with_capacity(BLOCK), number: 0, bytes: 0 };
    produce(&mut |bytes| {
        cutter.take(bytes)?;
        rest();
        Ok(())
    })?;
    cutter.finish()?;
    let bytes = cutter.bytes;
    database.flush()?;
    drop(database);
    wait_closed(&data.join("db"))?;
    manifest::seal(dir, index, bytes, rest)
}

/// sled's threads may hold its files a little longer than its owner does: until then they may change.
fn wait_closed(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let deadline = Instant::now() + CLOSING;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the checkpoint's database is not closed"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

struct Cutter<'a> {
    database: &'a sled::Db,
    block: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl Cutter<'_> {
    fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let (part, rest) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(part);
            bytes = rest;
            if self.block.len() == BLOCK {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Ends the block.
    fn finish(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.database.insert(self.number.to_be_bytes(), self.block.as_slice())?;
            self.number += 1;
            self.block.clear();
        }
        Ok(())
    }
}

/// Loads the checkpoint at entry `index` out of a verified copy of its directory.
///
/// A full disk must not keep a store from starting, since reads, deletions and compactions are what makes room again. So a
/// copy that finds no room beside the checkpoint is made elsewhere, also where it is sled that needs the room, to open it.
pub(super) fn read(dir: &Path, index: u64) -> Result<(State, SnapshotHead), OpenError> {
    let manifest = manifest::read(dir, index)?;
    let beside = dir.with_file_name("loading.tmp");
    // Nobody else's, since the store's directory is locked: left over.
    let _ = fs::remove_dir_all(&beside);
    match read_copy(&manifest, dir, beside) {
        Err(OpenError::Io { source, .. }) if crate::log::is_full(&source) => {
            let elsewhere = elsewhere();
            tracing::warn!(dir = %elsewhere.display(), "no room beside the store's checkpoint: reading it elsewhere");
            read_copy(&manifest, dir, elsewhere)
        }
        read => read,
    }
}

/// A directory that nobody can have made before.
fn elsewhere() -> PathBuf {
    std::env::temp_dir().join(format!("mkube-store-{:016x}{:016x}", random(), random()))
}

fn read_copy(manifest: &Manifest, dir: &Path, to: PathBuf) -> Result<(State, SnapshotHead), OpenError> {
    let index = manifest.index;
    let copy = Copy::create(&to).map_err(|error| OpenError::io(&to, "create", error))?;
    manifest::copy(manifest, dir, &copy.0)?;
    // It is what was written: whatever is wrong from here on was so when it was written.
    let unreadable = |error: io::Error| match crate::log::is_full(&error) {
        true => OpenError::io(&copy.0, "open", error),
        false => damaged(dir, index, format!("its database cannot be read: {error}")),
    };
    // It scans what it opens on threads of its own.
    let database = reported(catch_with("sled-io-", || open(&copy.0))).map_err(unreadable)?;
    let loaded = snapshot::read(dir, &Blocks { database, bytes: manifest.bytes });
    let loaded = loaded.map_err(|error| match error {
        OpenError::Io { source, .. } => unreadable(source),
        error => error,
    })?;
    if loaded.1.index != index {
        return Err(damaged(dir, index, format!("it holds the state at entry {}", loaded.1.index)));
    }
    Ok(loaded)
}

/// A directory that goes with its owner, and that nobody else can look into.
struct Copy(PathBuf);

impl Copy {
    /// Fails if there is anything at this path.
    fn create(path: &Path) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Otherwise the next start does it, but for one elsewhere.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The stream, to be read.
struct Blocks {
    database: sled::Db,
    bytes: u64,
}

impl ReadAt for Blocks {
    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.bytes {
            return Ok(0);
        }
        let (number, within) = (offset / BLOCK as u64, (offset % BLOCK as u64) as usize);
        let block = reported(catch(|| self.database.get(number.to_be_bytes())))?;
        let missing = || io::Error::other(format!("block {number} of the checkpoint is missing"));
        let block = block.ok_or_else(missing)?;
        let part = block.get(within..).filter(|part| !part.is_empty()).ok_or_else(missing)?;
        let length = part.len().min(buffer.len());
        buffer[..length].copy_from_slice(&part[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_copy_is_made_where_nobody_was_before() {
        assert_ne!(elsewhere(), elsewhere());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        let copy = Copy::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(Copy::create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert!(path.exists(), "what somebody else made is not removed");
        drop(copy);
        assert!(!path.exists());
        // As who shares the directory may prepare it.
        symlink(dir.path().join("target"), &path).unwrap();
        assert!(Copy::create(&path).is_err());
    }

    #[test]
    fn a_block_that_is_missing_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        DirBuilder::new().create(&path).unwrap();
        let data = manifest::data(&path);
        let database = open(&data).unwrap();
        drop(database);
        wait_closed(&data.join("db")).unwrap();
        manifest::seal(&path, 7, 3 * BLOCK as u64, &|| {}).unwrap();
        let found = read(&path, 7).err().unwrap();
        assert!(matches!(&found, OpenError::Damaged { last: Some(7), .. }), "{found:?}");
        assert!(!dir.path().join("loading.tmp").exists());
    }
}
