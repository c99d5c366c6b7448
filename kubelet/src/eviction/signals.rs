//! What there is of each signal, and what is left: read off the machine. A node that counts only a part of its machine has only
//! what its pods leave of that part, and never more than the machine has left.

use std::collections::BTreeMap;
use std::path::Path;

use super::thresholds::Signal;

/// How it stands with one signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Left.
    pub available: i64,
    /// In all.
    pub capacity: i64,
}

/// What was observed; signals that this machine does not have are missing.
pub type Observations = BTreeMap<Signal, Observation>;

/// Looks at the machine. `memory`: bytes that count as the node's; `used`: bytes that its pods use, where the node is only a
/// part of the machine.
pub fn observe(root: &Path, memory: u64, used: Option<u64>) -> Observations {
    let mut all = Observations::new();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    if let Some(observed) = memory_left(&meminfo, memory, used) {
        all.insert(Signal::Memory, observed);
    }
    if let Ok(disk) = rustix::fs::statvfs(root) {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let bytes = |blocks: u64| number(blocks.saturating_mul(disk.f_frsize));
        let space = Observation { available: bytes(disk.f_bavail), capacity: bytes(disk.f_blocks) };
        let inodes = Observation { available: number(disk.f_favail), capacity: number(disk.f_files) };
        // Writable layers lie beside everything else: the file system of images is the node's.
        for (signal, observed) in [
            (Signal::Nodefs, space),
            (Signal::Imagefs, space),
            (Signal::NodefsInodes, inodes),
            (Signal::ImagefsInodes, inodes),
        ] {
            // Some file systems do not count inodes.
            if observed.capacity > 0 {
                all.insert(signal, observed);
            }
        }
    }
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let most = [read("/proc/sys/kernel/pid_max"), read("/proc/sys/kernel/threads-max")];
    if let Some(observed) = pids_left(&most, &read("/proc/loadavg")) {
        all.insert(Signal::Pid, observed);
    }
    all
}

fn memory_left(meminfo: &str, node: u64, used: Option<u64>) -> Option<Observation> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let machine = line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024;
    let left = used.map_or(machine, |used| node.saturating_sub(used).min(machine)).min(node);
    Some(Observation { available: i64::try_from(left).ok()?, capacity: i64::try_from(node).ok()? })
}

/// The fourth field of loadavg is `running/all`.
fn pids_left(most: &[String], loadavg: &str) -> Option<Observation> {
    let capacity = most.iter().filter_map(|text| text.trim().parse::<i64>().ok()).min()?;
    let all: i64 = loadavg.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(Observation { available: (capacity - all).max(0), capacity })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_machine_and_node_have_left() {
        let info = "MemTotal:        8000 kB\nMemFree:  1 kB\nMemAvailable:    4000 kB\n";
        let kib = |amount: u64| amount * 1024;
        let table = [
            // The whole machine.
            (8000, None, 4000),
            // A part of it, of which pods use some.
            (2000, Some(500), 1500),
            (2000, Some(3000), 0),
            // The machine has less than the part should.
            (8000, Some(100), 4000),
            (2000, None, 2000),
        ];
        for (node, used, left) in table {
            let observed = memory_left(info, kib(node), used.map(kib)).unwrap();
            assert_eq!(
                observed,
                Observation { available: left * 1024, capacity: (node * 1024) as i64 },
                "{node} {used:?}"
            );
        }
        assert_eq!(memory_left("", 1, None), None);
    }

    #[test]
    fn process_numbers_are_limited_by_the_smaller_of_two() {
        let most = ["32768\n".to_string(), "1000\n".to_string()];
        assert_eq!(pids_left(&most, "0.1 0.2 0.3 2/400 99\n"), Some(Observation { available: 600, capacity: 1000 }));
        assert_eq!(pids_left(&most, "0.1 0.2 0.3 2/4000 99\n"), Some(Observation { available: 0, capacity: 1000 }));
        assert_eq!(pids_left(&[], ""), None);
    }

    #[test]
    fn this_machine_has_memory_disk_and_process_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let all = observe(dir.path(), 1 << 40, None);
        for signal in [Signal::Memory, Signal::Nodefs, Signal::Pid] {
            let observed = all.get(&signal).unwrap_or_else(|| panic!("{}", signal.name()));
            assert!(
                observed.available > 0 && observed.available <= observed.capacity,
                "{}: {observed:?}",
                signal.name()
            );
        }
    }
}
