//! The kubelet's flags, named as upstream's where it has them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use api::duration::parse_flag;
use k8s_openapi::api::core::v1::Taint;

use crate::eviction::thresholds::{self, Settings};

/// Flags.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// How to reach the API server; without it only static pods run.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the node; the host name if not given.
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// Directory with manifests of static pods.
    #[arg(long)]
    pub pod_manifest_path: Option<PathBuf>,
    /// Where volumes and logs are kept.
    #[arg(long, default_value = "/var/lib/mkubelet")]
    pub root_dir: PathBuf,
    /// Address of the node.
    #[arg(long, value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Address that the server listens on.
    #[arg(long, default_value = "0.0.0.0")]
    pub address: IpAddr,
    /// Port that the server listens on; 0 = any free one.
    #[arg(long, default_value_t = 10250)]
    pub port: u16,
    /// Authority whose client certificates the server accepts.
    #[arg(long)]
    pub client_ca_file: Option<PathBuf>,
    /// Certificate of the server.
    #[arg(long)]
    pub tls_cert_file: Option<PathBuf>,
    /// Private key of the server.
    #[arg(long)]
    pub tls_private_key_file: Option<PathBuf>,
    /// Most pods on this node.
    #[arg(long, default_value_t = 110)]
    pub max_pods: u32,
    /// What runs containers.
    #[arg(long, default_value = "process")]
    pub container_runtime: String,
    /// Labels of the node: key=value,…
    #[arg(long, value_delimiter = ',', value_parser = parse_label)]
    pub node_labels: Vec<(String, String)>,
    /// Taints that the node registers with: key=value:effect,…
    #[arg(long, value_delimiter = ',', value_parser = parse_taint)]
    pub register_with_taints: Vec<Taint>,
    /// Addresses of the cluster's DNS server.
    #[arg(long, value_delimiter = ',')]
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster.
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// How often a node status that could not be written is tried again.
    #[arg(long, default_value = "10s", value_parser = parse_flag)]
    pub node_status_update_frequency: Duration,
    /// CPUs of this node, e.g. 1500m; the machine's if not given.
    #[arg(long)]
    pub node_cpu: Option<String>,
    /// Memory of this node, e.g. 2Gi; the machine's if not given.
    #[arg(long)]
    pub node_memory: Option<String>,
    /// The machine counts as so many nodes: each has an equal part of it.
    #[arg(long, default_value_t = 1)]
    pub capacity_divide: u64,
    /// Addresses of pods, only used without --kubeconfig; otherwise the node object says.
    #[arg(long)]
    pub pod_cidr: Option<String>,
    /// Name of the control group that holds this kubelet's pods; nobody else on the machine may use it.
    #[arg(long)]
    pub cgroup_root: Option<String>,
    /// Below which pods are made to end at once: signal<amount,…; empty: none.
    #[arg(long, default_value = thresholds::HARD, overrides_with = "eviction_hard")]
    pub eviction_hard: String,
    /// Below which pods are made to end after a grace period.
    #[arg(long, default_value = "")]
    pub eviction_soft: String,
    /// The grace periods: signal=duration,…
    #[arg(long, default_value = "")]
    pub eviction_soft_grace_period: String,
    /// By how much more than the threshold is reclaimed: signal=amount,…
    #[arg(long, default_value = "")]
    pub eviction_minimum_reclaim: String,
    /// Most seconds that a pod ended by a soft threshold gets.
    #[arg(long, default_value_t = 0)]
    pub eviction_max_pod_grace_period: i64,
    /// How long a pressure condition outlasts its cause.
    #[arg(long, default_value = "5m0s", value_parser = parse_flag)]
    pub eviction_pressure_transition_period: Duration,
    /// Directories that containers of the process runtime see empty, beside the root directory.
    #[arg(long, value_delimiter = ',')]
    pub hide: Vec<PathBuf>,
}

impl Options {
    /// Labels as a map.
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.node_labels.iter().cloned().collect()
    }

    /// What the flags of eviction say together.
    ///
    /// # Errors
    /// In upstream's words.
    pub fn eviction(&self) -> Result<Settings, String> {
        let (hard, soft) = (&self.eviction_hard, &self.eviction_soft);
        let thresholds =
            thresholds::parse(hard, soft, &self.eviction_soft_grace_period, &self.eviction_minimum_reclaim)?;
        Ok(Settings {
            thresholds,
            transition: self.eviction_pressure_transition_period,
            soft_grace: self.eviction_max_pod_grace_period,
            shared: self.capacity_divide > 1 || self.node_memory.is_some(),
        })
    }
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err("a label needs a key".into()) } else { Ok((key.into(), value.into())) }
}

/// `key=value:effect` or `key:effect`.
fn parse_taint(text: &str) -> Result<Taint, String> {
    let invalid = || format!("invalid taint spec: {text}");
    let (left, effect) = text.rsplit_once(':').ok_or_else(invalid)?;
    if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(format!("invalid taint spec: {text}, unsupported taint effect"));
    }
    let (key, value) = left.split_once('=').map_or((left, None), |(k, v)| (k, Some(v.to_string())));
    if key.is_empty() {
        return Err(invalid());
    }
    Ok(Taint { key: key.into(), value, effect: effect.into(), time_added: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn eviction_has_upstreams_flags_and_the_last_word_counts() {
        let parse = |flags: &[&str]| <Cli as clap::Parser>::parse_from(["test"].iter().chain(flags)).options;
        let settings = parse(&[]).eviction().unwrap();
        assert_eq!((settings.thresholds.len(), settings.transition.as_secs(), settings.shared), (5, 300, false));
        let settings =
            parse(&["--eviction-hard=memory.available<1Gi", "--eviction-hard=", "--capacity-divide=3"]).eviction();
        let settings = settings.unwrap();
        assert!(settings.thresholds.is_empty() && settings.shared);
        assert!(parse(&["--eviction-soft=memory.available<1Gi"]).eviction().is_err());
    }

    #[test]
    fn flags_parse() {
        assert_eq!(parse_label("a=b"), Ok(("a".into(), "b".into())));
        let taint = parse_taint("k=v:NoSchedule").unwrap();
        assert_eq!((taint.key.as_str(), taint.value.as_deref(), taint.effect.as_str()), ("k", Some("v"), "NoSchedule"));
        assert_eq!(parse_taint("k:NoExecute").unwrap().value, None);
        assert!(parse_taint("k=v").is_err() && parse_taint("k:Never").is_err() && parse_taint(":NoExecute").is_err());
    }
}
