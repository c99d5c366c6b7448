//! The flags of the API server, named like upstream's kube-apiserver.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

/// Flags that choose the store: embedded in a directory, or elsewhere.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreOptions {
    /// Directory of the embedded store.
    #[arg(long, required_unless_present = "store_endpoints", conflicts_with = "store_endpoints")]
    pub store_dir: Option<PathBuf>,
    /// URLs of a store that speaks etcd's v3 API (mkube-store or etcd), instead of the embedded one.
    #[arg(long, alias = "etcd-servers", value_delimiter = ',', value_name = "URL")]
    pub store_endpoints: Vec<String>,
    /// Authorities that the store's certificate may come from (PEM).
    #[arg(long, alias = "etcd-cafile")]
    pub store_cafile: Option<PathBuf>,
    /// Client certificate for the store (PEM).
    #[arg(long, alias = "etcd-certfile")]
    pub store_certfile: Option<PathBuf>,
    /// Client key for the store (PEM).
    #[arg(long, alias = "etcd-keyfile")]
    pub store_keyfile: Option<PathBuf>,
    /// Prefix of all keys in a store that others use, too.
    #[arg(long, alias = "etcd-prefix", default_value = "/registry")]
    pub store_prefix: String,
    /// Reach the store out of this network namespace (a file such as /proc/1/ns/net).
    #[arg(long)]
    pub store_network_namespace: Option<PathBuf>,
    /// History older than this, and at most twice as old, is forgotten, e.g. 5m0s; 0 = never.
    #[arg(long, alias = "etcd-compaction-interval", default_value = "5m", value_parser = api::duration::parse_flag)]
    pub store_compaction_interval: Duration,
}

/// Flags.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "0.0.0.0")]
    pub bind_address: IpAddr,
    /// Port to listen on with TLS; 0 = any free one.
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,
    /// Address under which members of the cluster reach this server; by default the bind address if it is a concrete one,
    /// else that of the interface that leads out.
    #[arg(long)]
    pub advertise_address: Option<IpAddr>,
    /// Where the objects are.
    #[command(flatten)]
    pub store: StoreOptions,
    /// Certificate of the server (PEM, with intermediates).
    #[arg(long)]
    pub tls_cert_file: PathBuf,
    /// Private key of the server (PEM).
    #[arg(long)]
    pub tls_private_key_file: PathBuf,
    /// Authorities that client certificates may come from (PEM). Without it certificates say nothing.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// Keys that verify service account tokens (PEM, public or private); may be given several times.
    #[arg(long)]
    pub service_account_key_file: Vec<PathBuf>,
    /// Key that signs service account tokens (PEM, PKCS #8, ECDSA P-256).
    #[arg(long)]
    pub service_account_signing_key_file: PathBuf,
    /// Issuer of service account tokens.
    #[arg(long, default_value = "https://kubernetes.default.svc.cluster.local")]
    pub service_account_issuer: String,
    /// Audiences that tokens for this API have; by default the issuer.
    #[arg(long, value_delimiter = ',')]
    pub api_audiences: Vec<String>,
    /// Client certificate for kubelets (PEM).
    #[arg(long)]
    pub kubelet_client_certificate: Option<PathBuf>,
    /// Client key for kubelets (PEM).
    #[arg(long)]
    pub kubelet_client_key: Option<PathBuf>,
    /// Authorities that kubelets' certificates may come from (PEM); by default the client authorities.
    #[arg(long)]
    pub kubelet_certificate_authority: Option<PathBuf>,
    /// Range of the addresses of Services.
    #[arg(long, default_value = "10.96.0.0/16")]
    pub service_cluster_ip_range: String,
    /// Range of the node ports of Services.
    #[arg(long, default_value = "30000-32767")]
    pub service_node_port_range: String,
    /// Reading requests served at once; more get 429.
    #[arg(long, default_value_t = 400)]
    pub max_requests_inflight: usize,
    /// Changing requests served at once; more get 429.
    #[arg(long, default_value_t = 200)]
    pub max_mutating_requests_inflight: usize,
    /// Longest life of a request that is no watch or stream, in seconds.
    #[arg(long, default_value_t = 60)]
    pub request_timeout_seconds: u64,
    /// How long an event is kept after it was last written; 0: for ever.
    #[arg(long, default_value = "1h0m0s", value_parser = api::duration::parse_flag)]
    pub event_ttl: Duration,
    /// Connections served at once; further ones wait to be accepted.
    #[arg(long, default_value_t = 8192)]
    pub max_connections: usize,
}

impl Options {
    /// Range of the node ports.
    ///
    /// # Errors
    /// When the flag is no range.
    pub fn node_ports(&self) -> anyhow::Result<RangeInclusive<u16>> {
        let text = &self.service_node_port_range;
        let parsed = text.split_once('-').and_then(|(from, to)| Some(from.parse().ok()?..=to.parse().ok()?));
        let range = parsed.filter(|range: &RangeInclusive<u16>| !range.is_empty() && *range.start() > 0);
        range.with_context(|| format!("--service-node-port-range {text:?} is no range of ports"))
    }

    /// Audiences that a token for this API may have.
    pub fn audiences(&self) -> Vec<String> {
        if self.api_audiences.is_empty() {
            vec![self.service_account_issuer.clone()]
        } else {
            self.api_audiences.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        store: StoreOptions,
    }

    fn parse(flags: &[&str]) -> Result<StoreOptions, String> {
        let flags = std::iter::once("test").chain(flags.iter().copied());
        Flags::try_parse_from(flags).map(|flags| flags.store).map_err(|error| error.to_string())
    }

    #[test]
    fn one_store_is_chosen() {
        assert!(parse(&["--store-dir=/d"]).unwrap().store_endpoints.is_empty());
        let upstream = parse(&["--etcd-servers=http://a:2379,http://b:2379", "--etcd-prefix=/x"]).unwrap();
        assert_eq!((upstream.store_endpoints.len(), upstream.store_prefix.as_str()), (2, "/x"));
        assert!(parse(&[]).unwrap_err().contains("--store-dir"));
        assert!(
            parse(&["--store-dir=/d", "--store-endpoints=http://a:1"]).unwrap_err().contains("cannot be used with")
        );
    }
}
