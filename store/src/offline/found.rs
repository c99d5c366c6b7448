//! A data directory of a new cluster that begins with a given state: the state as of entry 1, and a log that goes on behind it.
//!
//! Every founder makes its own directory; that they agree follows from what they are told alike: the names, URLs and token, and
//! the state's origin. The latter is why the IDs of cluster and members are new: a member that was left over from the old
//! cluster, or was restored from another backup, is refused by them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proto::log::{Identity, Members};

use super::ToolError;
use super::backup::hex;
use crate::checkpoint;
use crate::cluster::Cluster;
use crate::disk::RealDisk;
use crate::log;
use crate::random::random;
use crate::shared::Core;
use crate::state::{At, State};

/// The entry that the state stands for: the log begins behind it.
const FIRST: At = At { index: 1, term: 1 };

/// A directory that is being made; unless it is finished, nothing of it stays.
pub(super) struct Target {
    dir: PathBuf,
    cluster: Cluster,
    created: bool,
    done: bool,
}

/// A directory that was made.
pub(super) struct Made {
    dir: PathBuf,
    identity: Identity,
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Identity { cluster, member, .. } = self.identity;
        write!(f, "{}: member {member:x} of cluster {cluster:x}", self.dir.display())
    }
}

impl Target {
    /// Refuses a directory that holds anything.
    pub(super) fn new(dir: PathBuf, cluster: Cluster) -> Result<Self, ToolError> {
        let created = !dir.exists();
        let empty = created || std::fs::read_dir(&dir).is_ok_and(|mut names| names.next().is_none());
        if !empty {
            return Err(ToolError::Usage(format!(
                "data-dir {:?} not empty or could not be read",
                dir.display().to_string()
            )));
        }
        Ok(Self { dir, cluster, created, done: false })
    }

    /// The directory, which exists from now on.
    pub(super) fn dir(&self) -> Result<&Path, ToolError> {
        use crate::disk::Disk as _;
        RealDisk.create_dir(&self.dir).map_err(|error| ToolError::io(&self.dir, "create", error))?;
        Ok(&self.dir)
    }

    /// Makes the directory: a cluster that begins with `state`, which came out of what has the checksum `origin`.
    pub(super) fn found(mut self, mut state: State, origin: &[u8; 32]) -> Result<Made, ToolError> {
        self.dir()?;
        // What distinguishes this cluster from any other one of the same URLs.
        let seed = format!("{} {} {} {}", self.cluster.token, hex(origin), state.revision(), state.compacted());
        let (cluster, founders) = Cluster { token: seed, ..self.cluster.clone() }.founders();
        let me = founders.iter().find(|(_, member)| member.name == self.cluster.name).map(|(id, _)| *id);
        let member = me.ok_or_else(|| ToolError::Usage("the member is not in its own initial cluster".into()))?;
        let identity = Identity { cluster, member, nonce: random() };
        let members = founders.into_iter().map(|(_, member)| member).collect();
        state.refound(FIRST, Members { members, removed: Vec::new() });
        let core = Core::new(state, Duration::MAX, base::SystemClock::shared());
        let head = core.state.write().begin_save();
        let failed =
            |source: Box<dyn std::error::Error + Send + Sync>| ToolError::Directory { path: self.dir.clone(), source };
        log::found(Arc::new(RealDisk), &self.dir, identity, (FIRST.index, FIRST.term))
            .map_err(|error| failed(error.into()))?;
        // Last: without it the directory is refused.
        checkpoint::write(&core, &RealDisk, &self.dir, &head).map_err(|error| failed(error.into()))?;
        self.done = true;
        Ok(Made { dir: self.dir.clone(), identity })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // Best effort: it was empty, or absent. What stays is refused by the store and by the next attempt.
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        }
        if self.created {
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}
