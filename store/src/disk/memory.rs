//! A disk in memory that can be made to fail the way disks do.
//!
//! Each file is two byte strings: what programs see, and what would survive a loss of power; between them a list of
//! what was done since the last sync. Worked example, file `f` synced with content `aaaa`, then:
//!
//! ```text
//! write_at(0, 1 KiB of b)      seen: bbbb…   durable: aaaa   pending: [write 0..1024]
//! crash(seed)                  sector 0 of the write may survive and sector 1 not; or neither; or both
//! ```
//! Names behave the same per directory: creations, renames and removals are a list until `sync_dir`; a crash keeps a
//! prefix of it (file systems journal names in order).

use std::any::Any;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::{Disk, DiskFile, ReadAt, SECTOR};
use crate::random::SplitMix;

/// See the module's header. Clones are the same disk, as the machine sees it that runs now: what was handed out before a
/// loss of power is dead after it.
#[derive(Default)]
pub struct MemoryDisk {
    inner: Arc<Mutex<Inner>>,
    /// Losses of power before this handle was made.
    life: u64,
}

impl Clone for MemoryDisk {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), life: self.inner.lock().life }
    }
}

#[derive(Default)]
struct Inner {
    nodes: Vec<Node>,
    seen: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    names: Vec<NameChange>,
    locked: HashSet<PathBuf>,
    /// Syncs that still succeed; `None` = all.
    good_syncs: Option<u64>,
    /// Bytes that can still be written; `None` = any number.
    space: Option<u64>,
    /// Operations until power is lost; `None` = it stays.
    steps: Option<u64>,
    /// Syncs succeed and do nothing.
    lies: bool,
    /// Bytes that were read so far.
    read: u64,
    /// Counts power losses: files opened before one are dead.
    life: u64,
}

#[derive(Default, Clone)]
struct Node {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Bytes that have their place on the disk, whatever is written.
    allocated: u64,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
}

enum NameChange {
    Link(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

struct MemoryFile {
    disk: MemoryDisk,
    node: usize,
}

struct Held {
    disk: MemoryDisk,
    path: PathBuf,
}

impl MemoryDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses power: what was not synced survives in parts that `seed` chooses. Open files and locks are dead afterwards.
    pub fn crash(&self, seed: u64) {
        let mut random = SplitMix(seed);
        let mut inner = self.inner.lock();
        inner.life += 1;
        inner.locked.clear();
        inner.good_syncs = None;
        inner.space = None;
        inner.steps = None;
        let kept = random.below(inner.names.len() as u64 + 1) as usize;
        let names = std::mem::take(&mut inner.names);
        let mut durable = std::mem::take(&mut inner.durable);
        names.iter().take(kept).for_each(|change| apply_name(&mut durable, change));
        inner.seen = durable.clone();
        inner.durable = durable;
        for node in &mut inner.nodes {
            for change in std::mem::take(&mut node.pending) {
                tear(&mut node.durable, &change, &mut random);
            }
            node.seen = node.durable.clone();
        }
    }

    /// All but the next `count` syncs of files fail, until the next crash.
    pub fn fail_syncs_after(&self, count: u64) {
        self.inner.lock().good_syncs = Some(count);
    }

    /// Power is lost in the middle of the `count`-th operation from now: it and all that follow fail, until
    /// [`MemoryDisk::crash`] says what survives.
    pub fn die_after(&self, count: u64) {
        self.inner.lock().steps = Some(count);
    }

    /// Whether nothing works any more.
    pub fn is_dead(&self) -> bool {
        self.inner.lock().steps == Some(0)
    }

    /// From now on syncs succeed without making anything durable: a planted fault.
    pub fn skip_syncs(&self) {
        self.inner.lock().lies = true;
    }

    /// Writes fail with "no space" once `bytes` more have been written, until the next crash or [`MemoryDisk::free_space`].
    pub fn fill_after(&self, bytes: u64) {
        self.inner.lock().space = Some(bytes);
    }

    /// Ends [`MemoryDisk::fill_after`].
    pub fn free_space(&self) {
        self.inner.lock().space = None;
    }

    /// Bytes that were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.inner.lock().read
    }

    /// The content of a file as programs see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let inner = self.inner.lock();
        inner.seen.get(path).map(|node| inner.nodes[*node].seen.clone())
    }

    /// Replaces the content of a file, durably: plants damage.
    pub fn plant(&self, path: &Path, content: Vec<u8>) {
        let mut inner = self.inner.lock();
        if let Some(node) = inner.seen.get(path).copied() {
            inner.nodes[node] = Node { seen: content.clone(), durable: content, pending: Vec::new(), allocated: 0 };
        }
    }

    /// A disk with the same files, all of them durable, that shares nothing with this one.
    pub fn copy(&self) -> Self {
        let inner = self.inner.lock();
        let mut other = Inner::default();
        for (path, node) in &inner.seen {
            let content = inner.nodes[*node].seen.clone();
            other.seen.insert(path.clone(), other.nodes.len());
            other.nodes.push(Node { seen: content.clone(), durable: content, pending: Vec::new(), allocated: 0 });
        }
        other.durable = other.seen.clone();
        Self { inner: Arc::new(Mutex::new(other)), life: 0 }
    }

    /// The disk, if it has not lost power since this handle was made.
    fn alive(&self) -> io::Result<MutexGuard<'_, Inner>> {
        let mut inner = self.inner.lock();
        if let Some(steps) = &mut inner.steps {
            *steps = steps.saturating_sub(1);
        }
        if inner.life == self.life && inner.steps != Some(0) {
            Ok(inner)
        } else {
            Err(io::Error::other("the disk lost power"))
        }
    }

    fn same(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), life: self.life }
    }

    fn file(&self, node: usize) -> Box<dyn DiskFile> {
        Box::new(MemoryFile { disk: self.same(), node })
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    match change {
        NameChange::Link(path, node) => {
            names.insert(path.clone(), *node);
        }
        NameChange::Rename(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
        NameChange::Remove(path) => {
            names.remove(path);
        }
    }
}

/// Applies a random part of a change that was not synced: each sector of a write survives or not; one of those that
/// extend the file may leave its place zero.
fn tear(durable: &mut Vec<u8>, change: &Change, random: &mut SplitMix) {
    match change {
        Change::Size(size) => {
            if random.below(2) == 0 {
                durable.resize(*size as usize, 0);
            }
        }
        Change::Write(offset, data) => {
            let mode = random.below(4);
            let mut at = *offset as usize;
            let mut rest = data.as_slice();
            while !rest.is_empty() {
                let step = (SECTOR - at % SECTOR).min(rest.len());
                // A quarter of the writes is lost as a whole, a quarter survives, half is torn.
                if mode == 1 || (mode >= 2 && random.below(2) == 0) {
                    put(durable, at, &rest[..step]);
                }
                (at, rest) = (at + step, &rest[step..]);
            }
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    if data.is_empty() {
        // No file grows by nothing.
        return;
    }
    if content.len() < at + data.len() {
        content.resize(at + data.len(), 0);
    }
    content[at..at + data.len()].copy_from_slice(data);
}

impl Disk for MemoryDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let inner = self.alive()?;
        let here = inner.seen.keys().filter(|path| path.parent() == Some(dir));
        Ok(here.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.alive()?;
        let node = inner.seen.get(path).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        drop(inner);
        Ok(self.file(node))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut inner = self.alive()?;
        let node = inner.nodes.len();
        inner.nodes.push(Node::default());
        inner.seen.insert(path.to_owned(), node);
        inner.names.push(NameChange::Link(path.to_owned(), node));
        drop(inner);
        Ok(self.file(node))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.alive()?;
        if !inner.seen.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Rename(from.to_owned(), to.to_owned());
        apply_name(&mut inner.seen, &change);
        inner.names.push(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.alive()?;
        if !inner.seen.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Remove(path.to_owned());
        apply_name(&mut inner.seen, &change);
        inner.names.push(change);
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut inner = self.alive()?;
        if inner.lies {
            return Ok(());
        }
        inner.durable = inner.seen.clone();
        inner.names.clear();
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send>>> {
        let mut inner = self.alive()?;
        let free = inner.locked.insert(path.to_owned());
        Ok(free.then(|| Box::new(Held { disk: self.same(), path: path.to_owned() }) as Box<dyn Any + Send>))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Ok(mut inner) = self.disk.alive() {
            inner.locked.remove(&self.path);
        }
    }
}

impl MemoryFile {
    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        work(&mut *self.disk.alive()?)
    }
}

impl ReadAt for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|inner| Ok(inner.nodes[self.node].seen.len() as u64))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|inner| {
            let content = &inner.nodes[self.node].seen;
            let from = content.len().min(offset as usize);
            let step = buffer.len().min(content.len() - from);
            buffer[..step].copy_from_slice(&content[from..from + step]);
            inner.read += step as u64;
            Ok(step)
        })
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|inner| {
            let allocated = inner.nodes[self.node].allocated;
            let free = allocated.saturating_sub(offset).min(data.len() as u64);
            let room = inner.space.map_or(u64::MAX, |space| space + free);
            let fits = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            inner.space = inner.space.map(|space| space - (fits as u64).saturating_sub(free));
            let node = &mut inner.nodes[self.node];
            put(&mut node.seen, offset as usize, &data[..fits]);
            node.pending.push(Change::Write(offset, data[..fits].to_vec()));
            if fits < data.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn allocate(&mut self, size: u64) -> io::Result<()> {
        self.with(|inner| {
            let node = &mut inner.nodes[self.node];
            let have = node.allocated.max(node.seen.len() as u64);
            let cost = size.saturating_sub(have);
            match &mut inner.space {
                Some(space) if *space < cost => return Err(io::ErrorKind::StorageFull.into()),
                Some(space) => *space -= cost,
                None => {}
            }
            node.allocated = have.max(size);
            Ok(())
        })
    }

    fn writes_in_place(&self) -> bool {
        true
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.with(|inner| {
            let node = &mut inner.nodes[self.node];
            node.seen.resize(size as usize, 0);
            node.allocated = node.allocated.min(size);
            node.pending.push(Change::Size(size));
            Ok(())
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|inner| {
            if let Some(left) = &mut inner.good_syncs {
                if *left == 0 {
                    return Err(io::Error::other("planted sync failure"));
                }
                *left -= 1;
            }
            if inner.lies {
                return Ok(());
            }
            let Node { durable, pending, .. } = &mut inner.nodes[self.node];
            for change in pending.drain(..) {
                match change {
                    Change::Write(offset, data) => put(durable, offset as usize, &data),
                    Change::Size(size) => durable.resize(size as usize, 0),
                }
            }
            Ok(())
        })
    }
}
