//! The task of eviction: looks at the machine every ten seconds, and at once when a pod has ended for it, as upstream does
//! (evictionMonitoringPeriod); what it finds are the node's conditions, and at most one pod at a time that is made to end. Reads a handful of small files when all is well;
//! only a node that lacks something is worth asking who takes it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use client::events::{Recorder, Type};
use k8s_openapi::api::core::v1::Pod;

use super::mailbox::Eviction;
use super::manager::Manager;
use crate::eviction::plan::{self, Memory, Pressure, Reclaim};
use crate::eviction::rank::{self, Candidate, Share};
use crate::eviction::signals;
use crate::eviction::thresholds::{Settings, Signal};
use crate::node::Node;
use crate::node::status::reference;
use crate::pod;
use crate::resources;
use crate::runtime::Stats;

const PERIOD: Duration = Duration::from_secs(10);
/// How long a pod that was made to end may take before the next one is (podCleanupTimeout).
const CLEANUP: Duration = Duration::from_secs(30);
/// Grace of a pod that a hard threshold ends (immediateEvictionGracePeriodSeconds).
const IMMEDIATE: i64 = 1;

/// What the task works with.
pub struct Monitor {
    /// The pods of the node.
    pub manager: Manager,
    /// Flags.
    pub settings: Settings,
    /// Events about the node.
    pub recorder: Recorder,
}

impl Monitor {
    /// Runs until dropped.
    pub async fn run(self) {
        let monitor = &self;
        again_and_again(Memory::default(), |mut memory| async move { (monitor.look(&mut memory).await, memory) }).await;
    }

    /// Whether a pod was made to end.
    async fn look(&self, memory: &mut Memory) -> bool {
        let (settings, node) = (&self.settings, self.manager.node());
        let used = if settings.shared { Some(self.memory_used().await) } else { None };
        let observed = signals::observe(node.paths.root(), node.memory, used);
        let plan = plan::plan(&settings.thresholds, &observed, memory, settings.transition, node.now());
        self.announce(&plan.pressures);
        let Some(reclaim) = plan.reclaim else { return false };
        let resource = rank::resource(reclaim.threshold.signal);
        self.tell(Type::Warning, "EvictionThresholdMet", format!("Attempting to reclaim {resource}"));
        let Some(uid) = self.evict(&reclaim).await else {
            tracing::warn!(resource, "the node lacks it, and no pod may be made to end for it");
            return false;
        };
        // One pod after the other: what the first gives back may be enough.
        let _ = tokio::time::timeout(CLEANUP, self.manager.until_over(&uid)).await;
        true
    }

    /// Publishes the conditions; what begins and ends is an event about the node.
    fn announce(&self, now: &[Pressure]) {
        let before = self.manager.pressures().borrow().clone();
        if before == now {
            return;
        }
        for pressure in [Pressure::Memory, Pressure::Disk, Pressure::Pid] {
            let reason = match (pressure, before.contains(&pressure), now.contains(&pressure)) {
                (Pressure::Memory, false, true) => "NodeHasInsufficientMemory",
                (Pressure::Memory, true, false) => "NodeHasSufficientMemory",
                (Pressure::Disk, false, true) => "NodeHasDiskPressure",
                (Pressure::Disk, true, false) => "NodeHasNoDiskPressure",
                (Pressure::Pid, false, true) => "NodeHasInsufficientPID",
                (Pressure::Pid, true, false) => "NodeHasSufficientPID",
                _ => continue,
            };
            let name = &self.manager.node().name;
            self.tell(Type::Normal, reason, format!("Node {name} status is now: {reason}"));
        }
        self.manager.pressures().send_replace(now.to_vec());
    }

    fn tell(&self, kind: Type, reason: &str, message: String) {
        self.recorder.event(&reference(&self.manager.node().name), kind, reason, message);
    }

    /// Makes the pod end that is to go first; gives its UID.
    async fn evict(&self, reclaim: &Reclaim) -> Option<String> {
        let signal = reclaim.threshold.signal;
        let mut candidates = Vec::new();
        for pod in self.manager.pods().iter().filter(|pod| may_go(pod)) {
            candidates.push(self.candidate(pod, signal).await);
        }
        rank::rank(signal, &mut candidates);
        let first = candidates.first()?;
        let pods = self.manager.pods();
        let pod = pods.iter().find(|pod| pod::uid(pod) == first.uid)?;
        let grace_seconds = match reclaim.threshold.soft {
            true => self.settings.soft_grace.min(pod::grace_seconds(pod)),
            false => IMMEDIATE,
        };
        let message = rank::message(reclaim, first);
        tracing::warn!(pod = %pod::full_name(pod), message, "making a pod end");
        self.manager.evict(&first.uid, Eviction { message, grace_seconds });
        Some(first.uid.clone())
    }

    async fn memory_used(&self) -> u64 {
        let mut sum = 0;
        for pod in self.manager.pods() {
            for (_, stats) in self.stats(&pod).await {
                sum += stats.memory_working_set;
            }
        }
        sum
    }

    /// Name and use of each container that runs.
    async fn stats(&self, pod: &Pod) -> Vec<(String, Stats)> {
        let node = self.manager.node();
        let mut all = Vec::new();
        for id in running(pod) {
            if let Ok(stats) = node.runtime.stats(&id.1).await {
                all.push((id.0, stats));
            }
        }
        all
    }

    async fn candidate(&self, pod: &Arc<Pod>, signal: Signal) -> Candidate {
        let (uid, priority) = (pod::uid(pod).to_string(), pod::spec(pod).priority.unwrap_or(0));
        let number = |amount: u64| i64::try_from(amount).unwrap_or(i64::MAX);
        let resource = if signal == Signal::Memory { "memory" } else { "ephemeral-storage" };
        let requested = |name: &str| requested(pod, name, resource);
        let mut shares = Vec::new();
        let mut beside = 0;
        match signal {
            Signal::Memory => {
                for (container, stats) in self.stats(pod).await {
                    let (used, requested) = (number(stats.memory_working_set), requested(&container));
                    shares.push(Share { container, used, requested });
                }
            }
            Signal::Pid => {
                for (container, stats) in self.stats(pod).await {
                    shares.push(Share { container, used: number(stats.processes), requested: 0 });
                }
            }
            _ => {
                let inodes = matches!(signal, Signal::NodefsInodes | Signal::ImagefsInodes);
                for (container, id) in running(pod) {
                    let places = places(self.manager.node(), pod, &container, &id);
                    let used = number(size(places, inodes).await);
                    let requested = if inodes { 0 } else { requested(&container) };
                    shares.push(Share { container, used, requested });
                }
                let volumes = self.manager.node().paths.pod(pod::uid(pod)).join("volumes");
                beside = number(size(vec![volumes], inodes).await);
            }
        }
        Candidate { uid, priority, shares, beside }
    }
}

/// Looks until dropped: every period, and at once after a look that made a pod end, which may not have been enough. What a
/// look remembers goes on to the next.
async fn again_and_again<M, F: Future<Output = (bool, M)>>(mut memory: M, look: impl Fn(M) -> F) {
    loop {
        let (ended, remembered) = look(memory).await;
        memory = remembered;
        if !ended {
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// Whether a pod may be made to end: it has not ended, is not on its way, and the cluster can do without it
/// (kubelettypes.IsCriticalPod).
fn may_go(pod: &Pod) -> bool {
    let over = pod.metadata.deletion_timestamp.is_some() || pod::is_terminal(pod::status(pod));
    !over && !resources::is_critical(pod)
}

fn requested(pod: &Pod, container: &str, resource: &str) -> i64 {
    let Some((_, container)) = pod::container(pod, container) else { return 0 };
    let milli = resources::container_milli(container, "requests", resource, &resources::Quantities::new());
    milli.and_then(|milli| i64::try_from(milli / 1000).ok()).unwrap_or(0)
}

/// Name and ID of each container that the status shows as running.
fn running(pod: &Pod) -> Vec<(String, String)> {
    let status = pod::status(pod);
    let all = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let running = all.filter(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()));
    let id = |text: &str| text.split_once("://").map(|(_, id)| id.to_string());
    running.filter_map(|c| Some((c.name.clone(), id(c.container_id.as_deref()?)?))).collect()
}

/// Where a container's writable layer and its logs are.
fn places(node: &Node, pod: &Pod, container: &str, id: &str) -> Vec<PathBuf> {
    let logs = node.paths.log(pod, container, 0).parent().map(Path::to_path_buf);
    node.runtime.layer(id).into_iter().chain(logs).collect()
}

/// Bytes on disk (or inodes) below these directories, each hard-linked file once, without following mounts.
async fn size(directories: Vec<PathBuf>, inodes: bool) -> u64 {
    let count = move || directories.iter().map(|directory| walk(directory, inodes, &mut BTreeSet::new())).sum();
    tokio::task::spawn_blocking(count).await.unwrap_or(0)
}

fn walk(path: &Path, inodes: bool, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(top) = std::fs::symlink_metadata(path) else { return 0 };
    let (mut sum, mut todo) = (0, vec![path.to_path_buf()]);
    while let Some(path) = todo.pop() {
        let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
        if found.dev() != top.dev() || !seen.insert((found.dev(), found.ino())) {
            continue;
        }
        sum += if inodes { 1 } else { found.blocks() * 512 };
        if found.is_dir() {
            todo.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(object: Value) -> Pod {
        serde_json::from_value(object).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_pod_goes_as_soon_as_the_last_one_has_gone() {
        let (begun, looks) = (tokio::time::Instant::now(), parking_lot::Mutex::new(Vec::new()));
        // Two pods end, three seconds each; then there is enough.
        let look = |count: usize| {
            looks.lock().push(begun.elapsed().as_secs());
            async move {
                if count < 2 {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
                (count < 2, count + 1)
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(30), again_and_again(0, look)).await;
        assert_eq!(*looks.lock(), [0, 3, 6, 16, 26]);
    }

    #[test]
    fn pods_that_the_cluster_needs_or_that_are_over_stay() {
        let table = [
            (json!({"spec": {"containers": []}}), true),
            (json!({"spec": {"containers": [], "priority": 1_999_999_999}}), true),
            (json!({"spec": {"containers": [], "priority": 2_000_000_000}}), false),
            (json!({"metadata": {"annotations": {"kubernetes.io/config.source": "file"}}}), false),
            (json!({"status": {"phase": "Failed"}}), false),
            (json!({"status": {"phase": "Running"}}), true),
            (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false),
        ];
        for (object, goes) in table {
            assert_eq!(may_go(&pod(object.clone())), goes, "{object}");
        }
    }

    #[test]
    fn requests_and_running_containers_are_read_off_the_pod() {
        let pod = pod(json!({
            "spec": {"containers": [
                {"name": "a", "resources": {"requests": {"memory": "1Mi"}}},
                {"name": "b", "resources": {"limits": {"memory": "2Mi"}}}, {"name": "c"}]},
            "status": {"containerStatuses": [
                {"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "containerID": "process://1", "state": {"running": {}}},
                {"name": "b", "image": "", "imageID": "", "ready": true, "restartCount": 0, "containerID": "process://2", "state": {"terminated": {"exitCode": 0}}},
                {"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]},
        }));
        let asked: Vec<i64> = ["a", "b", "c", "none"].iter().map(|name| requested(&pod, name, "memory")).collect();
        assert_eq!(asked, [1 << 20, 2 << 20, 0, 0]);
        assert_eq!(running(&pod), [("a".to_string(), "1".to_string())]);
    }

    #[test]
    fn sizes_count_blocks_once_and_inodes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deep/er/file");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, vec![1; 100_000]).unwrap();
        let bytes = walk(dir.path(), false, &mut BTreeSet::new());
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        std::fs::hard_link(&file, dir.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("out")).unwrap();
        let linked = walk(dir.path(), false, &mut BTreeSet::new());
        assert!(linked < bytes + 50_000, "a hard link takes nothing: {linked}");
        assert_eq!(walk(dir.path(), true, &mut BTreeSet::new()), 5, "three directories, a file, a link");
        assert_eq!(walk(&dir.path().join("none"), false, &mut BTreeSet::new()), 0);
    }
}
