//! What a store is opened with, and why it may refuse.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, SystemClock};

use crate::cluster::Cluster;
use crate::disk::{Disk, MemoryDisk, RealDisk};
use crate::tls::FileError;

/// How a store is opened. [`Options::new`] gives etcd's defaults where etcd has the option, but for the
/// quota on a small machine and for `progress_interval`: API servers want that every 5 s.
#[derive(Clone)]
pub struct Options {
    /// Directory of its files.
    pub dir: PathBuf,
    /// Where that directory is.
    pub disk: Arc<dyn Disk>,
    /// Largest request, encoded (etcd's `--max-request-bytes`).
    pub max_request_bytes: usize,
    /// Most compares, and most steps in a branch, of a transaction (etcd's `--max-txn-ops`).
    pub max_txn_ops: usize,
    /// The cluster that this store is a member of; `None`: it is alone, and nobody can reach it.
    pub cluster: Option<Cluster>,
    /// Bytes that keys and values may take with their history (etcd's `--quota-backend-bytes`; 0: the default, 2 GiB or two
    /// fifths of the memory that the process may use, whichever is less).
    pub quota_bytes: u64,
    /// A log file is closed, and the next one begun, at this size.
    pub segment_bytes: u64,
    /// A checkpoint is written once the log behind the last one is longer than this, and than the state.
    pub trim_bytes: u64,
    /// How often an idle watch that asked for progress is told.
    pub progress_interval: Duration,
    /// What leases go by.
    pub clock: Arc<dyn Clock>,
    /// Whether the log's thread asks the scheduler to be served before others (see `turn.rs`).
    pub prompt: bool,
    /// Called when a log write's durability is unknown: must not return to the store's user. The default aborts the
    /// process; a test looks on. The store answers nothing more afterwards.
    pub fatal: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Options {
    /// The defaults, on the real disk.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            disk: Arc::new(RealDisk),
            max_request_bytes: 3 << 19,
            max_txn_ops: 128,
            cluster: None,
            quota_bytes: 0,
            segment_bytes: 64 << 20,
            trim_bytes: 256 << 20,
            progress_interval: Duration::from_secs(5),
            clock: SystemClock::shared(),
            prompt: true,
            fatal: Arc::new(|_| std::process::abort()),
        }
    }

    /// The defaults, on a new disk in memory: gone with the last store that uses it.
    pub fn in_memory() -> Self {
        Self { disk: Arc::new(MemoryDisk::new()), prompt: false, ..Self::new("/store") }
    }
}

/// Why a store was not opened. Nothing was changed on disk, except that a torn tail may have been cut.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process (or another store of this one) has it open.
    #[error("store directory {} is in use by another process (its LOCK file is held)", .0.display())]
    Locked(PathBuf),
    /// A file could not be read or written.
    #[error("store file {}: cannot {action}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Entries that were acknowledged are not what was written.
    #[error(
        "store log {} is damaged at byte {offset} ({what}): {} cannot be read. \
         Not started, because acknowledged writes would be lost; restore a backup of the directory",
        path.display(), lost_text(*first, *last)
    )]
    Damaged {
        /// In which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// First log index that cannot be read.
        first: u64,
        /// Last one, if what follows can be read.
        last: Option<u64>,
        /// What is wrong.
        what: String,
    },
    /// A later version of this program wrote the data.
    #[error("store file {} has format version {version}, which this program does not read: use the later program", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format version.
        version: u32,
    },
    /// The member cannot be what it is told to be.
    #[error("cannot take part in the cluster: {0}")]
    Cluster(String),
    /// Other members could not reach this one.
    #[error("cannot be reached by other members")]
    Peers(#[from] TlsError),
}

/// Why nobody can listen for other members.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The address is not one that this machine can listen on.
    #[error("cannot listen on {url}")]
    Listen {
        /// Where.
        url: String,
        /// Why.
        source: io::Error,
    },
    /// TLS without all three files.
    #[error("https between members needs a certificate, its key and an authority")]
    Incomplete,
    /// A certificate, key or authority cannot be used.
    #[error(transparent)]
    Files(#[from] FileError),
}

fn lost_text(first: u64, last: Option<u64>) -> String {
    match last {
        Some(last) if last == first => format!("log index {first}"),
        Some(last) => format!("log indices {first} to {last}"),
        None => format!("log indices from {first} on"),
    }
}

impl OpenError {
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), action, source }
    }
}
