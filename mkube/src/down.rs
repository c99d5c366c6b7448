//! `mkube down`: ends a cluster and removes everything it left outside its directory; the objects stay in it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::layout::{Cluster, Layout, Lock};
use crate::up::network;

/// Flags of `mkube down`.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Directory of the cluster.
    #[arg(long, default_value = ".mkube")]
    pub data_dir: PathBuf,
}

/// How long the running cluster may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `mkube down`.
///
/// # Errors
/// When there is no cluster, it does not end, or something cannot be removed.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let layout = Layout::new(&options.data_dir)?;
    let Some(cluster) = layout.cluster()? else {
        bail!("there is no cluster in {}", layout.root().display());
    };
    let lock = stop(&layout)?;
    remove_remains(&layout, &cluster)?;
    drop(lock);
    println!("cluster {} is down; its objects are kept in {}", cluster.id, layout.root().display());
    Ok(())
}

/// Ends the supervisor, if there is one, and takes its lock.
fn stop(layout: &Layout) -> anyhow::Result<Lock> {
    let deadline = Instant::now() + PATIENCE;
    let mut asked = false;
    loop {
        let pid = match layout.try_lock()? {
            Ok(lock) => return Ok(lock),
            Err(pid) => pid,
        };
        if !asked && let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).with_context(|| format!("stopping process {pid:?}"))?;
            asked = true;
        }
        if Instant::now() > deadline {
            bail!("process {pid} does not end");
        }
        // The kernel offers no wait for a lock with a deadline.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes what a cluster has outside its directory: pods, mounts, cgroups, namespaces, devices, rules, PID files.
///
/// # Errors
/// The first thing that could not be removed, after everything has been tried.
pub fn remove_remains(layout: &Layout, cluster: &Cluster) -> anyhow::Result<()> {
    let mut results = Vec::new();
    for node in cluster.node_names() {
        results.push(remove_pods(layout, cluster, &node).with_context(|| format!("pods of {node}")));
    }
    results.push(network::remove(cluster));
    for entry in std::fs::read_dir(layout.root().join("run")).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
    results.into_iter().collect()
}

fn remove_pods(layout: &Layout, cluster: &Cluster, node: &str) -> anyhow::Result<()> {
    let root = layout.node(node);
    if !root.exists() {
        return Ok(());
    }
    kubelet::cleanup(&root, &cluster.cgroup(node))
}
