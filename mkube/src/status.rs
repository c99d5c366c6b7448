//! `mkube status`: what runs, and whether it is ready.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use client::{Client, Config, ListOptions};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};

use crate::layout::{Cluster, Layout};
use crate::up::units;

/// Flags of `mkube status`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Directory of the cluster.
    #[arg(long, default_value = ".mkube")]
    pub data_dir: PathBuf,
}

/// Runs `mkube status`.
///
/// # Errors
/// When there is no cluster, or it is not healthy: the exit code says so.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data_dir)?;
    let Some(cluster) = layout.cluster()? else {
        bail!("there is no cluster in {}", layout.root().display());
    };
    println!("cluster     {} in {}", cluster.id, layout.root().display());
    let supervisor = match layout.try_lock()? {
        Ok(_) => bail!("the cluster is down (mkube up --data-dir {} starts it)", layout.root().display()),
        Err(pid) => pid,
    };
    println!("supervisor  pid {supervisor}");
    let running = processes(&layout, &cluster)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ready =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(10), ask(&layout, cluster.servers)).await });
    match ready {
        Ok(result) => result?,
        Err(_) => bail!("the API server does not answer"),
    }
    if !running {
        bail!("not all components are running (see {})", layout.root().join("logs").display());
    }
    Ok(())
}

fn processes(layout: &Layout, cluster: &Cluster) -> anyhow::Result<bool> {
    let mut all = true;
    for unit in units::plan(layout, cluster).map_err(anyhow::Error::msg)? {
        let pid = std::fs::read_to_string(layout.pid(&unit.name)).ok().filter(|pid| alive(pid));
        all &= pid.is_some();
        let state = pid.as_deref().map_or_else(|| "not running".to_string(), memory);
        println!("{:<22} {state}", unit.name);
    }
    Ok(all)
}

fn alive(pid: &str) -> bool {
    std::path::Path::new("/proc").join(pid.trim()).exists()
}

fn memory(pid: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let pss = text.lines().find_map(|line| line.strip_prefix("Pss:")).and_then(|rest| rest.split_whitespace().next());
    let kib: u64 = pss.and_then(|kib| kib.parse().ok()).unwrap_or(0);
    format!("pid {pid}, {:.1} MiB", kib as f64 / 1024.0)
}

async fn ask(layout: &Layout, servers: u8) -> anyhow::Result<()> {
    let client = Client::new(&Config::from_kubeconfig(&layout.kubeconfig())?.named("mkube"))?;
    let nodes = client.list::<Node>("", &ListOptions::default()).await?;
    let pods = client.list::<Pod>("", &ListOptions::default()).await?;
    let ready = nodes.items.iter().filter(|node| crate::up::node_is_ready(node)).count();
    let running = |pod: &&Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    println!("nodes       {ready} of {} ready", nodes.items.len());
    let leases = [("scheduler", "kube-scheduler"), ("controllers", "kube-controller-manager")];
    for (name, lease) in leases.into_iter().filter(|_| servers > 1) {
        let lease = client.get::<Lease>("kube-system", lease).await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        println!("{name:<11} led by {}", holder.as_deref().unwrap_or("nobody"));
    }
    println!("pods        {} of {} running", pods.items.iter().filter(running).count(), pods.items.len());
    Ok(())
}
