//! The command line of the tools. etcd: etcdutl/etcdutl/snapshot_command.go.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::ToolError;
use super::found::Target;
use crate::cluster::Cluster;
use crate::tls::TlsFiles;

/// What there is to do with a store's data beside serving them.
#[derive(Debug, Clone, Subcommand)]
pub enum Tool {
    /// Backups as files.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// Make a data directory of the keys and leases of an etcd.
    Import(Import),
}

/// Backups as files.
#[derive(Debug, Clone, Subcommand)]
pub enum Snapshot {
    /// Save a backup of a running store (or etcd) to a file.
    Save(Save),
    /// Make a data directory of a new cluster out of a backup.
    Restore(Restore),
    /// Check a backup and print what is in it.
    Status(Status),
}

/// Where a running store is.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// URLs of it; the first that answers is asked.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:2379")]
    pub endpoints: Vec<String>,
    /// Authorities of its certificate.
    #[arg(long)]
    pub cacert: Option<PathBuf>,
    /// Client certificate.
    #[arg(long)]
    pub cert: Option<PathBuf>,
    /// Key of the client certificate.
    #[arg(long)]
    pub key: Option<PathBuf>,
}

impl Source {
    pub(super) fn tls(&self) -> TlsFiles {
        TlsFiles { ca: self.cacert.clone(), cert: self.cert.clone(), key: self.key.clone() }
    }
}

/// Who founds the new cluster, and which of them the data directory is for.
#[derive(Debug, Clone, Args)]
pub struct Founders {
    /// Name of the member whose data directory is made.
    #[arg(long, default_value = "default")]
    pub name: String,
    /// Directory to make; absent or empty [default: NAME.etcd].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// The members of the new cluster, as NAME=URL,… [default: this one].
    #[arg(long)]
    pub initial_cluster: Option<String>,
    /// Part of what the new cluster's ID is made of.
    #[arg(long, default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// URLs under which other members reach this one.
    #[arg(long, value_delimiter = ',', default_value = "http://localhost:2380")]
    pub initial_advertise_peer_urls: Vec<String>,
}

impl Founders {
    /// The directory to make, and for whom.
    pub(super) fn target(&self) -> Result<Target, ToolError> {
        let own = || self.initial_advertise_peer_urls.iter().map(|url| (self.name.clone(), url.clone())).collect();
        let initial = match self.initial_cluster.as_deref() {
            None | Some("") => own(),
            Some(text) => Cluster::parse_initial(text).map_err(ToolError::Usage)?,
        };
        let mut listed: Vec<&String> =
            initial.iter().filter(|(name, _)| *name == self.name).map(|(_, url)| url).collect();
        if listed.is_empty() {
            return Err(ToolError::Usage(format!("couldn't find local name {:?} in the initial cluster", self.name)));
        }
        let mut advertised: Vec<&String> = self.initial_advertise_peer_urls.iter().collect();
        listed.sort_unstable();
        advertised.sort_unstable();
        if listed != advertised {
            return Err(ToolError::Usage(format!(
                "--initial-cluster has {listed:?} for {:?}, --initial-advertise-peer-urls has {advertised:?}",
                self.name
            )));
        }
        let cluster = Cluster { initial, token: self.initial_cluster_token.clone(), ..Cluster::new(&self.name, "") };
        let dir = self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into());
        Target::new(dir, cluster)
    }
}

/// `snapshot save`.
#[derive(Debug, Clone, Args)]
pub struct Save {
    /// File to write.
    pub file: PathBuf,
    #[command(flatten)]
    pub(super) source: Source,
}

/// `snapshot restore`.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    #[command(flatten)]
    pub(super) founders: Founders,
    /// How much to add to the revision, so that clients of the old cluster do not see it go back.
    #[arg(long, default_value_t = 0)]
    pub bump_revision: u64,
    /// Make the new revision the compact revision, so that watches of the old cluster begin anew (goes with --bump-revision).
    #[arg(long)]
    pub mark_compacted: bool,
    /// Use a file without, or with a wrong, checksum at its end.
    #[arg(long)]
    pub skip_hash_check: bool,
}

impl Restore {
    /// How much to add to the revision.
    pub(super) fn bump(&self) -> Result<Option<u64>, ToolError> {
        match (self.bump_revision, self.mark_compacted) {
            (0, false) => Ok(None),
            (bump, true) if bump > 0 => Ok(Some(bump)),
            _ => Err(ToolError::Usage("--mark-compacted required if --revision-bump > 0".into())),
        }
    }
}

/// How [`Snapshot::Status`] prints.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Format {
    /// Values with commas between.
    Simple,
    /// One object.
    Json,
    /// A frame of lines.
    Table,
    /// A line each.
    Fields,
}

/// `snapshot status`.
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// The backup.
    pub file: PathBuf,
    /// How to print.
    #[arg(short, long, value_enum, default_value = "simple")]
    pub write_out: Format,
}

/// `import`.
#[derive(Debug, Clone, Args)]
pub struct Import {
    #[command(flatten)]
    pub(super) source: Source,
    /// Instead of a running etcd: a file that `etcdctl snapshot save` wrote of one.
    #[arg(long, conflicts_with_all = ["endpoints", "cacert", "cert", "key"])]
    pub from_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) founders: Founders,
    /// Go on although the HashKV of what arrived is another than the etcd's, or the file's checksum is wrong.
    #[arg(long)]
    pub skip_hash_check: bool,
}
