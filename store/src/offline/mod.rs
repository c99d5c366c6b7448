//! `mkube store snapshot` and `mkube store import`: backups as files, and new clusters out of them, beside the running store.
//!
//! | file | what it is |
//! |---|---|
//! | `flags` | the command line, with etcdutl's names |
//! | `backup` | a backup's file: its checksum, its state |
//! | `save` | a backup of a running store as a file |
//! | `status` | what is in one, printed as etcdutl does |
//! | `found` | a data directory of a new cluster that begins with a given state |
//! | `import` | the state of an etcd; `bolt`: its database file |
//!
//! What must be kept: a damaged file is never made a cluster of (`--skip-hash-check` goes without the checksum at its end only); a
//! directory that holds anything is never written to; what fails leaves nothing behind. A new cluster has IDs of its own, which no member of the old one accepts.
//!
//! etcd: etcdutl/snapshot/v3_snapshot.go.

mod backup;
pub(crate) mod bolt;
mod flags;
mod found;
mod import;
mod save;
mod status;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

pub use flags::Tool;
use flags::{Restore, Snapshot};

use crate::options::OpenError;
use crate::state::State;

/// Why a tool has not done what it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments cannot be what is meant.
    #[error("{0}")]
    Usage(String),
    /// A file cannot be read or written.
    #[error("{}: cannot {action}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what was once written, or never was what it is taken for.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The new data directory cannot be written.
    #[error("cannot make a data directory in {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A running store does not answer as it should.
    #[error("{endpoint}: {what}")]
    Remote {
        /// Which.
        endpoint: String,
        /// What it said.
        what: String,
    },
}

impl ToolError {
    fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// The store's readers speak of a store that does not start; here it is a file that is not used.
    fn reading(path: &Path, error: OpenError) -> Self {
        match error {
            OpenError::Damaged { offset, what, .. } => Self::damaged(path, format!("damaged at byte {offset}: {what}")),
            OpenError::Io { action, source, .. } => Self::io(path, action, source),
            other => Self::damaged(path, other.to_string()),
        }
    }
}

/// For fuzzing: reads a file as a backup of this store, then as a snapshot of an etcd; the state that is found.
pub(crate) fn read_any(path: &Path, skip_hash_check: bool) -> Result<State, ToolError> {
    match backup::check(path, skip_hash_check)?.kind {
        backup::Kind::Etcd => import::read(path, skip_hash_check).map(|imported| imported.state),
        _ => backup::load(path, skip_hash_check).map(|backup| backup.state),
    }
}

/// Runs a tool and returns what it prints.
///
/// # Errors
/// When it cannot do what it was told to; then nothing was changed.
pub async fn run(tool: Tool) -> Result<String, ToolError> {
    match tool {
        Tool::Snapshot(Snapshot::Save(flags)) => save::save(&flags).await,
        Tool::Snapshot(Snapshot::Status(flags)) => status::status(&flags),
        Tool::Snapshot(Snapshot::Restore(flags)) => restore(&flags),
        Tool::Import(flags) => import::import(&flags).await,
    }
}

fn restore(flags: &Restore) -> Result<String, ToolError> {
    let bump = flags.bump()?;
    let target = flags.founders.target()?;
    let backup = backup::load(&flags.file, flags.skip_hash_check)?;
    let mut state = backup.state;
    let (old, keys) = (state.revision(), state.live_keys());
    if let Some(bump) = bump {
        let revision = old.checked_add(bump).filter(|revision| i64::try_from(*revision).is_ok());
        let revision = revision.ok_or_else(|| ToolError::Usage(format!("--bump-revision {bump} is too much")))?;
        state.move_on(revision);
    }
    let revision = state.revision();
    let made = target.found(state, &backup.digest)?;
    Ok(format!("Restored {keys} keys at revision {revision} (saved at {old}) into {made}\n"))
}
