//! The state on disk, off the path that acknowledges: why the log does not grow for ever.
//!
//! A checkpoint is the state right after one entry, history above the compact revision included, as the stream that
//! `snapshot` defines. Where there is a real file system it is a new, complete sled database (`blocks`), written once, closed,
//! made durable, described by a MANIFEST with a digest of each file (`manifest`) and renamed into place. It is never written to
//! again, and is read from a verified copy, because sled changes its files when they are merely opened. A simulated disk
//! holds the stream as a file, and so does a member that another one sent it to.
//!
//! Two generations are kept, and the log behind the older one. Worked example, entries 1-1900:
//! ```text
//! checkpoint-…850    the state right after entry 850
//! checkpoint-…1700   the state right after entry 1700
//! log-…800           entries from 800 on: with 850 they give the same state
//! ```
//! If 1700 is damaged, a start falls back to 850 and reads more of the log. If the log does not reach it, the start is refused.
//!
//! What must be kept: what is loaded is what was written, or it is not loaded; nothing of the log goes before two generations
//! without it are durable, but where another member's snapshot replaced both log and state.

mod blocks;
mod manifest;
mod pace;

use std::io;
use std::path::{Path, PathBuf};

use base::panics::catch;
use proto::log::SnapshotHead;

use crate::disk::Disk;
use crate::options::OpenError;
use crate::shared::Core;
use crate::snapshot;
use crate::state::State;
use pace::Pace;

/// Complete checkpoints that are kept.
const GENERATIONS: usize = 2;

/// What is said of a checkpoint whose reader has panicked.
pub(crate) const PANICKED: &str = "its reader panicked";

/// A checkpoint in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Generation {
    /// The state right after this entry.
    index: u64,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// The stream as a file.
    File,
    /// The stream in a sled database.
    Database,
}

impl Form {
    fn prefix(self) -> &'static str {
        match self {
            Self::File => "snapshot-",
            Self::Database => "checkpoint-",
        }
    }
}

impl Generation {
    fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{}{:020}", self.form.prefix(), self.index))
    }
}

/// What a start begins with.
pub(crate) struct Loaded {
    /// The newest state that can be read; an empty one if there is none.
    pub(crate) state: State,
    /// What entry it stands for; zeros if there is none.
    pub(crate) head: SnapshotHead,
    /// Why newer ones cannot be read: only the log can make up for them.
    pub(crate) damage: Vec<OpenError>,
}

/// Loads the newest checkpoint that can be read. Removes nothing.
///
/// # Errors
/// When one is of a newer format, or nothing can be read although there was something.
pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Loaded, OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))?;
    let mut damage = Vec::new();
    for generation in generations(&names).into_iter().rev() {
        match load_one(disk, dir, generation) {
            Ok((state, head)) => return Ok(Loaded { state, head, damage }),
            Err(error) if makes_good(&error) => {
                tracing::error!(%error, "a checkpoint of the store cannot be read: falling back to the one before it");
                damage.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    if !names.iter().any(|name| name.starts_with("log-"))
        && let Some(error) = damage.pop()
    {
        return Err(error);
    }
    Ok(Loaded { state: State::default(), head: SnapshotHead::default(), damage })
}

/// Whether the generation before, and the log behind it, make up for a checkpoint that cannot be read so: it is damaged, or a
/// sector of its cannot be read. Not for one that only finds no room to be read in, or is of a later program.
fn makes_good(error: &OpenError) -> bool {
    match error {
        OpenError::Damaged { .. } => true,
        OpenError::Io { source, .. } => !crate::log::is_full(source),
        _ => false,
    }
}

fn load_one(disk: &dyn Disk, dir: &Path, generation: Generation) -> Result<(State, SnapshotHead), OpenError> {
    let Generation { index, form } = generation;
    let path = generation.path(dir);
    let work = || match (form, disk.native(&path)) {
        (Form::Database, Some(path)) => blocks::read(path, index),
        (Form::Database, None) => Err(damaged(&path, index, "this disk cannot hold a database".into())),
        (Form::File, _) => snapshot::load_file(disk, &path, index),
    };
    // There may be another one, or the log: no reason not to start.
    catch(work).unwrap_or_else(|panic| Err(damaged(&path, index, format!("{PANICKED}: {panic}"))))
}

/// Removes what a start that has succeeded with the checkpoint at `index` does not need: damaged ones, whose entries the log
/// has given, and more than are kept.
pub(crate) fn settle(disk: &dyn Disk, dir: &Path, index: u64) -> Result<(), OpenError> {
    let names = disk.list(dir).map_err(|error| OpenError::io(dir, "list", error))?;
    let all = generations(&names);
    let usable = all.iter().filter(|generation| generation.index <= index).count();
    let surplus = usable.saturating_sub(GENERATIONS);
    for generation in all[..surplus].iter().chain(&all[usable..]) {
        let path = generation.path(dir);
        disk.remove(&path).map_err(|error| OpenError::io(&path, "remove", error))?;
    }
    Ok(())
}

/// Writes the state that `head` (of [`State::begin_save`]) describes, durably. Returns up to which entry the log can go.
///
/// # Errors
/// Any I/O error; then everything is as before.
pub(crate) fn write(core: &Core, disk: &dyn Disk, dir: &Path, head: &SnapshotHead) -> io::Result<u64> {
    let form = if disk.native(dir).is_some() { Form::Database } else { Form::File };
    let path = Generation { index: head.index, form }.path(dir);
    let temporary = path.with_extension("tmp");
    let work = || match disk.native(&temporary) {
        Some(temporary) => {
            let pace = Pace::new(core);
            blocks::write(temporary, head.index, &|| pace.rest(), &mut |sink| snapshot::encode(core, head, sink))
        }
        None => snapshot::write(core, disk, &temporary, head),
    };
    let panicked = |panic| Err(io::Error::other(format!("the checkpoint's writer panicked: {panic}")));
    if let Err(error) = catch(work).unwrap_or_else(panicked) {
        // Room for the log. What cannot be removed now is by the next start.
        let _ = disk.remove(&temporary);
        return Err(error);
    }
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    let mut all = generations(&disk.list(dir)?);
    while all.len() > GENERATIONS {
        disk.remove(&all.remove(0).path(dir))?;
    }
    Ok(if all.len() == GENERATIONS { all[0].index } else { 0 })
}

/// Makes a complete and durable file of another member the only checkpoint, at entry `index`: the log goes on behind it.
pub(crate) fn adopt(disk: &dyn Disk, dir: &Path, path: &Path, index: u64) -> io::Result<()> {
    let adopted = Generation { index, form: Form::File };
    disk.rename(path, &adopted.path(dir))?;
    disk.sync_dir(dir)?;
    for other in generations(&disk.list(dir)?).into_iter().filter(|other| *other != adopted) {
        match disk.remove(&other.path(dir)) {
            // By whoever has just written a checkpoint.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

/// The checkpoints among these names, oldest first.
fn generations(names: &[String]) -> Vec<Generation> {
    let read = |name: &String| {
        [Form::File, Form::Database].into_iter().find_map(|form| {
            let index = name.strip_prefix(form.prefix())?.parse().ok()?;
            Some(Generation { index, form })
        })
    };
    let mut all: Vec<Generation> = names.iter().filter_map(read).collect();
    all.sort_unstable();
    all
}

/// A checkpoint at `index` that cannot be read.
fn damaged(path: &Path, index: u64, what: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), offset: 0, first: 1, last: Some(index), what }
}

#[cfg(test)]
mod tests;
