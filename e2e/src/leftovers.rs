//! What a cluster that went down must not leave behind: processes, network namespaces, devices, mounts, cgroups.

use std::fs;
use std::path::{Path, PathBuf};

/// Everything that is left of cluster `id` in `dir`, one line each; empty when all is gone.
pub fn of(id: &str, dir: &Path) -> Vec<String> {
    let prefix = format!("mkube-{id}");
    let mut found = processes(dir);
    found.extend(children("/run/netns", &prefix).into_iter().map(|path| format!("network namespace {path}")));
    found.extend(children("/sys/class/net", &prefix).into_iter().map(|path| format!("device {path}")));
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    found.extend(mounts(&table, dir, &prefix).into_iter().map(|mount| format!("mount {mount}")));
    found.extend(cgroups(&prefix).into_iter().map(|path| format!("cgroup {path}")));
    found
}

/// Processes that name the directory on their command line, other than zombies.
fn processes(dir: &Path) -> Vec<String> {
    let wanted = dir.display().to_string();
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()) && *pid != own)
        .filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&wanted).then(|| format!("process {pid}: {line}"))
        })
        .collect()
}

fn children(dir: &str, prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

fn mounts(table: &str, dir: &Path, prefix: &str) -> Vec<String> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(1)).map(|point| point.replace("\\040", " "));
    points.filter(|point| Path::new(point).starts_with(dir) || point.contains(prefix)).collect()
}

/// Cgroups of the cluster's nodes: below the root (v2), or below each hierarchy (v1).
fn cgroups(prefix: &str) -> Vec<String> {
    let root = PathBuf::from("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(&root).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = std::iter::once(root).chain(hierarchies.filter(|path| path.is_dir()));
    let mut found = Vec::new();
    for hierarchy in all {
        let dir = hierarchy.display().to_string();
        found.extend(children(&dir, prefix).into_iter().map(|name| format!("{dir}/{name}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_cluster_are_told_from_others() {
        let table =
            "a /d/x/pods/1 overlay rw 0 0\nb /d/xy tmpfs rw 0 0\nc /run/netns/mkube-0a0b0c-master nsfs rw 0 0\n";
        assert_eq!(mounts(table, Path::new("/d/x"), "mkube-0a0b0c"), ["/d/x/pods/1", "/run/netns/mkube-0a0b0c-master"]);
    }

    #[test]
    fn a_process_that_works_in_the_directory_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = std::process::Command::new("sh");
        // Waits for a line that never comes, as its standard input stays open.
        command.args(["-c", "read line"]).arg(dir.path()).stdin(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        // The new process shows its command line from exec on.
        while processes(dir.path()).is_empty() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        let found = processes(dir.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(of("ffffffff", dir.path()).is_empty());
    }
}
