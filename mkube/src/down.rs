//! `mkube down`: ends a cluster and removes everything it left outside its directory; the objects stay in it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::mount::UnmountFlags;
use rustix::process::{Pid, Signal, kill_process};

use crate::layout::{Cluster, Layout, Lock};
use crate::topology;

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
        results.push(remove_pods(layout, &node).with_context(|| format!("pods of {node}")));
    }
    results.push(topology::remove(cluster));
    for entry in std::fs::read_dir(layout.root().join("run")).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(entry.path());
    }
    results.into_iter().collect()
}

fn remove_pods(layout: &Layout, node: &str) -> anyhow::Result<()> {
    let root = layout.node(node);
    if !root.exists() {
        return Ok(());
    }
    let left = kubelet::process::cleanup(&root.join("runtime"))?;
    if !left.is_empty() {
        bail!("cannot remove {}", left.join(", "));
    }
    for mount in mounts_below(&std::fs::read_to_string("/proc/self/mounts").context("mounts")?, &root) {
        rustix::mount::unmount(&mount, UnmountFlags::DETACH)
            .with_context(|| format!("unmounting {}", mount.display()))?;
    }
    // Volumes of pods belong to this life of the node; what is to last is in the store.
    match std::fs::remove_dir_all(root.join("pods")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).context("removing pods"),
        _ => Ok(()),
    }
}

/// Mount points below `root`, deepest first.
fn mounts_below(table: &str, root: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(|point| point.replace("\\040", " "));
    let mut below: Vec<PathBuf> = points.map(PathBuf::from).filter(|point| point.starts_with(root)).collect();
    below.sort_by_key(|point| std::cmp::Reverse(point.components().count()));
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_deepest_first() {
        let table = "tmpfs /d/nodes/n/pods/u/volumes tmpfs rw 0 0\nx / x rw 0 0\nx /d/nodes/n/pods/u/volumes/a\\040b x rw 0 0\n";
        let found = mounts_below(table, Path::new("/d/nodes/n"));
        assert_eq!(found, ["/d/nodes/n/pods/u/volumes/a b", "/d/nodes/n/pods/u/volumes"].map(PathBuf::from));
    }
}
