//! Control groups of pods and containers, version 1 and 2 and the mix of both: limits, OOM kills, use, removal.
//!
//! A [`Group`] is a list of directories, one per hierarchy; it is found once by the kubelet and stored with the sandbox, so that the
//! shim need not search. Keeps: a missing controller means running without that limit, never not running.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::runtime::{Resources, Stats};

/// What a hierarchy can do for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Version 1: shares and quota.
    Cpu,
    /// Version 1: accounting.
    CpuAcct,
    /// Version 1: shares, quota and accounting on one mount.
    CpuAndAcct,
    /// Version 1: memory limit, use, OOM kills.
    Memory,
    /// Version 2, with the controllers that version 1 does not hold.
    Unified,
}

/// A control group: the same path in each hierarchy that is of use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Mount point of each hierarchy.
    pub hierarchies: Vec<(Kind, PathBuf)>,
    /// Below each mount point, relative.
    pub path: PathBuf,
}

/// The controllers we set limits with.
const CONTROLLERS: [&str; 2] = ["cpu", "memory"];

impl Group {
    /// The group `name` at the top of every useful hierarchy of this machine. Nothing is made yet.
    pub fn root(name: &str) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut hierarchies = hierarchies(&mounts);
        hierarchies.retain(|(kind, mount)| {
            *kind != Kind::Unified || {
                let offered = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
                CONTROLLERS.iter().any(|wanted| offered.split_ascii_whitespace().any(|name| name == *wanted))
            }
        });
        Self { hierarchies, path: relative(name) }
    }

    /// A group below this one.
    pub fn child(&self, name: &str) -> Self {
        Self { hierarchies: self.hierarchies.clone(), path: self.path.join(relative(name)) }
    }

    /// Its directories.
    pub fn directories(&self) -> impl Iterator<Item = (Kind, PathBuf)> + '_ {
        self.hierarchies.iter().map(|(kind, mount)| (*kind, mount.join(&self.path)))
    }

    /// Makes it and sets its limits. Returns what could not be had, for a warning.
    pub fn create(&self, limits: &Resources) -> Vec<String> {
        let mut missing = Vec::new();
        for (kind, mount) in &self.hierarchies {
            let directory = mount.join(&self.path);
            if let Err(error) = make(*kind, mount, &self.path) {
                missing.push(format!("{}: {error}", directory.display()));
                continue;
            }
            for (file, value) in settings(*kind, limits) {
                if let Err(error) = std::fs::write(directory.join(file), &value) {
                    missing.push(format!("{}/{file} = {value}: {error}", directory.display()));
                }
            }
        }
        missing
    }

    /// Its directory of version 2, for a child to be born in (see [`crate::sys::fork`]).
    pub fn birthplace(&self) -> Option<OwnedFd> {
        let (_, directory) = self.directories().find(|(kind, _)| *kind == Kind::Unified)?;
        rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// Moves the calling process, which has one thread, into it. Hierarchies that could not be had are left out.
    ///
    /// In version 1 by way of `tasks`: a thread that moves itself needs no lock, while `cgroup.procs` waits for an RCU grace period, 10
    /// to 20 ms (kernel/cgroup/cgroup.c, `cgroup_procs_write_start`).
    pub fn enter(&self) {
        for (kind, directory) in self.directories() {
            if kind == Kind::Unified {
                let current = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
                let here = current.lines().find_map(|line| line.strip_prefix("0::/"));
                if here == self.path.to_str() {
                    continue;
                }
            } else if std::fs::write(directory.join("tasks"), "0").is_ok() {
                continue;
            }
            let _ = std::fs::write(directory.join("cgroup.procs"), "0");
        }
    }

    /// Whether the kernel killed a process in it for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.directories().any(|(kind, directory)| {
            let file = match kind {
                Kind::Memory => "memory.oom_control",
                Kind::Unified => "memory.events",
                _ => return false,
            };
            std::fs::read_to_string(directory.join(file)).is_ok_and(|text| value(&text, "oom_kill").unwrap_or(0) > 0)
        })
    }

    /// What it uses.
    pub fn stats(&self) -> Stats {
        let processes = u64::try_from(self.processes().len()).unwrap_or(u64::MAX);
        let mut stats = Stats { processes, ..Stats::default() };
        for (kind, directory) in self.directories() {
            let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap_or_default();
            let number = |file: &str| read(file).trim().parse::<u64>().unwrap_or(0);
            match kind {
                Kind::CpuAcct | Kind::CpuAndAcct => stats.cpu_nanos = number("cpuacct.usage"),
                Kind::Memory => {
                    let inactive = value(&read("memory.stat"), "total_inactive_file").unwrap_or(0);
                    stats.memory_working_set = number("memory.usage_in_bytes").saturating_sub(inactive);
                }
                Kind::Unified => {
                    if let Some(micros) = value(&read("cpu.stat"), "usage_usec") {
                        stats.cpu_nanos = micros.saturating_mul(1000);
                    }
                    let inactive = value(&read("memory.stat"), "inactive_file").unwrap_or(0);
                    stats.memory_working_set =
                        stats.memory_working_set.max(number("memory.current").saturating_sub(inactive));
                }
                Kind::Cpu => {}
            }
        }
        stats
    }

    /// The processes in it and below it.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for (_, directory) in self.directories() {
            walk(&directory, &mut |group| {
                let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                found.extend(text.lines().filter_map(|line| line.trim().parse::<u32>().ok()));
            });
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Removes it if nothing is in it or below it any more.
    pub fn remove_if_empty(&self) {
        for (_, directory) in self.directories() {
            let _ = std::fs::remove_dir(directory);
        }
    }

    /// Removes it with all that is below it. Processes in it must have ended; the kernel lets go of a dead one a moment later,
    /// so a busy directory is tried again for a while.
    pub fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for (_, directory) in self.directories() {
            let mut groups = Vec::new();
            walk(&directory, &mut |group| groups.push(group.to_owned()));
            for group in groups {
                if let Err(error) = remove_directory(&group) {
                    result = Err(io::Error::new(error.kind(), format!("{}: {error}", group.display())));
                }
            }
        }
        result
    }
}

/// A path that stays below where it is joined.
fn relative(name: &str) -> PathBuf {
    Path::new(name).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect()
}

/// Visits `directory` and all below it, the deepest first.
fn walk(directory: &Path, visit: &mut dyn FnMut(&Path)) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
    visit(directory);
}

fn remove_directory(group: &Path) -> io::Result<()> {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let mut pause = Duration::from_millis(1);
    loop {
        match std::fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // There is nothing to wait on: version 1 has no event for an empty group.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && std::time::Instant::now() < deadline => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            other => return other,
        }
    }
}

/// Makes the directories down to `path`; in version 2 every level must pass its controllers on to the next.
fn make(kind: Kind, mount: &Path, path: &Path) -> io::Result<()> {
    if kind != Kind::Unified {
        return std::fs::create_dir_all(mount.join(path));
    }
    let mut directory = mount.to_owned();
    for part in path.components() {
        for controller in CONTROLLERS {
            // A level that has processes of its own refuses (EBUSY); then there are no limits below it, which `create` reports
            // when it sets them.
            let _ = std::fs::write(directory.join("cgroup.subtree_control"), format!("+{controller}"));
        }
        directory.push(part);
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

/// Which files of a hierarchy say these limits.
fn settings(kind: Kind, limits: &Resources) -> Vec<(&'static str, String)> {
    let mut settings = Vec::new();
    match kind {
        Kind::Cpu | Kind::CpuAndAcct => {
            if let Some(shares) = limits.cpu_shares {
                settings.push(("cpu.shares", shares.clamp(2, 262_144).to_string()));
            }
            if let Some(quota) = limits.cpu_quota {
                settings.push(("cpu.cfs_period_us", "100000".to_owned()));
                settings.push(("cpu.cfs_quota_us", quota.max(1000).to_string()));
            }
        }
        Kind::Memory => {
            if let Some(bytes) = limits.memory_limit {
                settings.push(("memory.limit_in_bytes", bytes.to_string()));
            }
        }
        Kind::Unified => {
            if let Some(shares) = limits.cpu_shares {
                settings.push(("cpu.weight", weight(shares).to_string()));
            }
            if let Some(quota) = limits.cpu_quota {
                settings.push(("cpu.max", format!("{} 100000", quota.max(1000))));
            }
            if let Some(bytes) = limits.memory_limit {
                settings.push(("memory.max", bytes.to_string()));
            }
        }
        Kind::CpuAcct => {}
    }
    settings
}

/// cpu.shares [2, 262144] as cpu.weight [1, 10000], the line of KEP-2254.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// The number after `key` in a file of `key number` lines.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The hierarchies in a mountinfo file that are of use: each once.
fn hierarchies(mountinfo: &str) -> Vec<(Kind, PathBuf)> {
    let mut found: Vec<(Kind, PathBuf)> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(mount) = left.split(' ').nth(4) else { continue };
        let mut right = right.split(' ');
        let filesystem = right.next().unwrap_or_default();
        let options = right.nth(1).unwrap_or_default();
        let has = |name: &str| options.split(',').any(|option| option == name);
        let kind = match filesystem {
            "cgroup2" => Kind::Unified,
            "cgroup" if has("cpu") && has("cpuacct") => Kind::CpuAndAcct,
            "cgroup" if has("cpu") => Kind::Cpu,
            "cgroup" if has("cpuacct") => Kind::CpuAcct,
            "cgroup" if has("memory") => Kind::Memory,
            _ => continue,
        };
        if !found.iter().any(|(known, _)| *known == kind) {
            found.push((kind, PathBuf::from(mount)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hierarchies_of_both_versions() {
        let hybrid = "30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            31 24 0:27 / /sys/fs/cgroup/cpuacct rw shared:9 - cgroup cgroup rw,cpuacct\n\
            32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            33 24 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
            34 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            35 24 0:30 / /elsewhere rw - cgroup2 cgroup2 rw\n";
        let kinds: Vec<_> = hierarchies(hybrid).into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Cpu, Kind::CpuAcct, Kind::Memory, Kind::Unified]);
        let together = "30 24 0:26 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct";
        assert_eq!(hierarchies(together), [(Kind::CpuAndAcct, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"))]);
        assert!(hierarchies("nonsense\n\n").is_empty());
    }

    #[test]
    fn limits_in_both_languages() {
        let limits = Resources {
            cpu_shares: Some(102),
            cpu_quota: Some(50_000),
            memory_limit: Some(1 << 20),
            oom_score_adj: None,
        };
        let text = |kind| settings(kind, &limits).iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        assert_eq!(text(Kind::Cpu), "cpu.shares=102 cpu.cfs_period_us=100000 cpu.cfs_quota_us=50000");
        assert_eq!(text(Kind::Memory), "memory.limit_in_bytes=1048576");
        assert_eq!(text(Kind::Unified), "cpu.weight=4 cpu.max=50000 100000 memory.max=1048576");
        assert!(settings(Kind::Unified, &Resources::default()).is_empty());
    }

    #[test]
    fn weights_span_the_range() {
        for (shares, expected) in [(0, 1), (2, 1), (1024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn values_are_matched_by_whole_key() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(value(text, "oom_kill"), Some(3));
        assert_eq!(value(text, "oom"), None);
    }

    #[test]
    fn groups_do_not_climb() {
        let group = Group { hierarchies: vec![(Kind::Memory, "/m".into())], path: relative("/a/../b") };
        assert_eq!(group.child("../../etc").directories().next().unwrap().1, PathBuf::from("/m/a/b/etc"));
    }
}
