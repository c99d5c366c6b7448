//! The command line of `mkube-store`. Flags are named as etcd's (server/embed/config.go), so that what starts an etcd starts
//! this; a few are accepted that change nothing here, and say so.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use rustls::ServerConfig;

use super::run::ServeError;
use crate::cluster::Cluster;
use crate::compactor::Retention;
use crate::tls::{self, TlsFiles};

/// Milliseconds (etcd: server/embed/config.go, maxElectionMs).
const LONGEST_ELECTION: u64 = 50_000;

/// How the store runs.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Name of this member.
    #[arg(long, default_value = "default")]
    pub name: String,
    /// Directory of the data [default: NAME.etcd].
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// URLs to listen on for clients.
    #[arg(long, value_delimiter = ',', default_value = "http://localhost:2379")]
    pub listen_client_urls: Vec<String>,
    /// URLs under which clients reach this member.
    #[arg(long, value_delimiter = ',', default_value = "http://localhost:2379")]
    pub advertise_client_urls: Vec<String>,
    /// URLs to listen on for other members.
    #[arg(long, value_delimiter = ',', default_value = "http://localhost:2380")]
    pub listen_peer_urls: Vec<String>,
    /// URLs under which other members reach this one.
    #[arg(long, value_delimiter = ',', default_value = "http://localhost:2380")]
    pub initial_advertise_peer_urls: Vec<String>,
    /// The members at the first start, as NAME=URL,… [default: this one].
    #[arg(long)]
    pub initial_cluster: Option<String>,
    /// `new`, or `existing` for a member that was added to a running cluster.
    #[arg(long, default_value = "new", value_parser = ["new", "existing"])]
    pub initial_cluster_state: String,
    /// What tells clusters apart.
    #[arg(long, default_value = "etcd-cluster")]
    pub initial_cluster_token: String,
    /// Milliseconds between two signs of life of the leader.
    #[arg(long, default_value_t = 100)]
    pub heartbeat_interval: u64,
    /// Milliseconds without one after which another member stands for election.
    #[arg(long, default_value_t = 1000)]
    pub election_timeout: u64,
    /// Refuse changes of the members that would cost the quorum. This store always does.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "true")]
    pub strict_reconfig_check: bool,

    /// Certificate of the client URLs.
    #[arg(long)]
    pub cert_file: Option<PathBuf>,
    /// Its private key.
    #[arg(long)]
    pub key_file: Option<PathBuf>,
    /// Authority of the clients' certificates.
    #[arg(long)]
    pub trusted_ca_file: Option<PathBuf>,
    /// Accept only clients with a certificate.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub client_cert_auth: bool,
    /// Certificate of the peer URLs.
    #[arg(long)]
    pub peer_cert_file: Option<PathBuf>,
    /// Its private key.
    #[arg(long)]
    pub peer_key_file: Option<PathBuf>,
    /// Authority of the other members' certificates.
    #[arg(long)]
    pub peer_trusted_ca_file: Option<PathBuf>,
    /// Accept only members with a certificate. Over https this store always does.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub peer_client_cert_auth: bool,

    /// Bytes that the keys may take with their history; 0 = 2 GiB, or two fifths of the memory if that is less.
    #[arg(long, default_value_t = 0)]
    pub quota_backend_bytes: u64,
    /// Bytes that a request may take.
    #[arg(long, default_value_t = 1_572_864)]
    pub max_request_bytes: usize,
    /// Operations in a transaction.
    #[arg(long, default_value_t = 128)]
    pub max_txn_ops: usize,
    /// Requests at once on one connection.
    #[arg(long, default_value_t = u32::MAX)]
    pub max_concurrent_streams: u32,
    /// How often a quiet connection is probed.
    #[arg(long, default_value = "2h", value_parser = duration)]
    pub grpc_keepalive_interval: Duration,
    /// How long the answer may take.
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub grpc_keepalive_timeout: Duration,
    /// How often watches that want it are told their progress.
    #[arg(long, alias = "experimental-watch-progress-notify-interval", default_value = "10m", value_parser = duration)]
    pub watch_progress_notify_interval: Duration,
    /// `periodic` (keep a time) or `revision` (keep a number).
    #[arg(long, default_value = "periodic", value_parser = ["periodic", "revision"])]
    pub auto_compaction_mode: String,
    /// What history is kept: hours or a duration, or a number of revisions; 0 = all.
    #[arg(long, default_value = "0")]
    pub auto_compaction_retention: String,
    /// Compare this member with the others before it serves; it does not start if it differs.
    #[arg(long, action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false")]
    pub experimental_initial_corrupt_check: bool,
    /// How often the leader compares the members, and raises the alarm CORRUPT for those that differ from a quorum; 0 = never.
    #[arg(long, alias = "corrupt-check-time", default_value = "0", value_parser = duration)]
    pub experimental_corrupt_check_time: Duration,
    /// Entries after which a snapshot may be taken. Accepted for the sake of scripts: this store goes by the log's size.
    #[arg(long, default_value_t = 100_000)]
    pub snapshot_count: u64,
    /// Bytes after which a log file is closed and the next one begun.
    #[arg(long, default_value_t = 64 << 20, hide = true)]
    pub log_file_bytes: u64,
    /// Bytes of log after which a checkpoint is written.
    #[arg(long, default_value_t = 256 << 20, hide = true)]
    pub log_trim_bytes: u64,
}

impl Options {
    /// Where the data lie.
    pub fn directory(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into())
    }

    /// How clients are served by TLS. As in etcd, an authority means that they need certificates.
    pub(super) fn tls(&self) -> Result<ServerConfig, ServeError> {
        let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) else {
            return Err(ServeError::Flag("an https URL to listen on needs --cert-file and --key-file".into()));
        };
        if self.client_cert_auth && self.trusted_ca_file.is_none() {
            return Err(ServeError::Flag("--client-cert-auth needs --trusted-ca-file".into()));
        }
        Ok(tls::server(cert, key, self.trusted_ca_file.as_deref())?)
    }

    /// How other members' client URLs are reached.
    pub(super) fn to_members(&self) -> TlsFiles {
        TlsFiles { ca: self.trusted_ca_file.clone(), cert: self.cert_file.clone(), key: self.key_file.clone() }
    }

    /// etcd: server/embed/etcd.go, parseCompactionRetention.
    pub(super) fn retention(&self) -> Result<Option<Retention>, ServeError> {
        let text = self.auto_compaction_retention.as_str();
        let wrong = |what: &str| ServeError::Flag(format!("--auto-compaction-retention={text}: {what}"));
        if self.auto_compaction_mode == "revision" {
            let kept: u64 = text.parse().map_err(|_| wrong("not a number of revisions"))?;
            return Ok((kept > 0).then_some(Retention::Revisions(kept)));
        }
        let time = match text.parse::<u64>() {
            Ok(hours) => hours.checked_mul(3600).map(Duration::from_secs).ok_or_else(|| wrong("too long"))?,
            Err(_) => duration(text).map_err(|error| wrong(&error))?,
        };
        Ok((!time.is_zero()).then_some(Retention::Time(time)))
    }

    /// etcd: server/embed/config.go, Validate.
    fn check_timing(&self) -> Result<(), ServeError> {
        let (heartbeat, election) = (self.heartbeat_interval, self.election_timeout);
        let text = if heartbeat == 0 {
            format!("--heartbeat-interval must be >0 (set to {heartbeat}ms)")
        } else if election == 0 {
            format!("--election-timeout must be >0 (set to {election}ms)")
        } else if election < heartbeat.saturating_mul(5) {
            format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            )
        } else if election > LONGEST_ELECTION {
            format!("--election-timeout[{election}ms] is too long, and should be set less than {LONGEST_ELECTION}ms")
        } else {
            return Ok(());
        };
        Err(ServeError::Flag(text))
    }

    /// The cluster that the flags describe.
    ///
    /// # Errors
    /// When `--initial-cluster` cannot be read, or the times do not fit each other.
    pub(super) fn cluster(&self) -> Result<Cluster, ServeError> {
        self.check_timing()?;
        let own = || self.initial_advertise_peer_urls.iter().map(|url| (self.name.clone(), url.clone())).collect();
        let initial = match self.initial_cluster.as_deref() {
            None | Some("") => own(),
            Some(text) => Cluster::parse_initial(text).map_err(ServeError::Flag)?,
        };
        Ok(Cluster {
            name: self.name.clone(),
            initial,
            token: self.initial_cluster_token.clone(),
            existing: self.initial_cluster_state == "existing",
            listen_peer_urls: self.listen_peer_urls.clone(),
            advertise_peer_urls: self.initial_advertise_peer_urls.clone(),
            advertise_client_urls: self.advertise_client_urls.clone(),
            tls: TlsFiles {
                ca: self.peer_trusted_ca_file.clone(),
                cert: self.peer_cert_file.clone(),
                key: self.peer_key_file.clone(),
            },
            heartbeat: Duration::from_millis(self.heartbeat_interval),
            election: Duration::from_millis(self.election_timeout),
        })
    }
}

/// A duration as Go writes them: `1h30m`, `300ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a duration (1h30m, 10s, 300ms)");
    let mut rest = text;
    let mut total = Duration::ZERO;
    if rest == "0" {
        return Ok(total);
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let seconds = match &rest[..unit] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" => 0.000_001,
            "ns" => 0.000_000_001,
            _ => return Err(wrong()),
        };
        rest = &rest[unit..];
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(arguments: &[&str]) -> Options {
        Cli::try_parse_from([&["store"], arguments].concat()).unwrap().options
    }

    #[test]
    fn durations_are_gos() {
        let table = [("1h30m", 5400.0), ("300ms", 0.3), ("1.5s", 1.5), ("0", 0.0), ("2h", 7200.0)];
        for (text, seconds) in table {
            assert_eq!(duration(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in ["", "5", "h", "1x", "1h5", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn retention_is_read_as_etcd_reads_it() {
        let hour = Duration::from_secs(3600);
        let table: &[(&[&str], Option<Retention>)] = &[
            (&[], None),
            (&["--auto-compaction-retention=1"], Some(Retention::Time(hour))),
            (&["--auto-compaction-retention=90m"], Some(Retention::Time(hour * 3 / 2))),
            (
                &["--auto-compaction-mode=revision", "--auto-compaction-retention=1000"],
                Some(Retention::Revisions(1000)),
            ),
        ];
        for (arguments, expected) in table {
            assert_eq!(parse(arguments).retention().unwrap(), *expected, "{arguments:?}");
        }
        assert!(parse(&["--auto-compaction-mode=revision", "--auto-compaction-retention=1h"]).retention().is_err());
    }

    #[test]
    fn the_cluster_is_as_the_flags_say() {
        let alone = parse(&["--name=a", "--initial-advertise-peer-urls=http://a:1,http://b:1"]).cluster().unwrap();
        assert_eq!(alone.initial, ["http://a:1", "http://b:1"].map(|url| ("a".to_owned(), url.to_owned())));
        let three =
            parse(&["--initial-cluster=a=http://a:1,b=http://b:1,c=http://c:1", "--initial-cluster-state=existing"]);
        let three = three.cluster().unwrap();
        assert_eq!((three.initial.len(), three.existing), (3, true));
        assert!(parse(&["--initial-cluster=nonsense"]).cluster().is_err());
        assert!(parse(&["--client-cert-auth"]).client_cert_auth && parse(&[]).strict_reconfig_check);
    }
}
