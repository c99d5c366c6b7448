//! What the machine is and has: read once at start.

use std::fs;
use std::path::Path;

/// Facts of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Thousandths of CPUs.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes of the file system that holds the kubelet's root directory.
    pub storage: u64,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// `/sys/class/dmi/id/product_uuid`, or the machine ID.
    pub system_uuid: String,
    /// Changes at each boot.
    pub boot_id: String,
    /// e.g. `6.1.0-18-amd64`.
    pub kernel: String,
    /// e.g. `Debian GNU/Linux 12 (bookworm)`.
    pub os_image: String,
    /// e.g. `amd64`.
    pub architecture: String,
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

fn os_image() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let pretty = release.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    pretty.map_or_else(|| "Linux".to_string(), |name| name.trim_matches('"').to_string())
}

fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    total.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Go's name of this architecture.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

impl Machine {
    /// Reads the facts; what cannot be read is empty.
    pub fn read(root: &Path) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let storage = rustix::fs::statvfs(root).map_or(0, |s| s.f_blocks * s.f_frsize);
        let uname = rustix::system::uname();
        let machine_id = line("/etc/machine-id");
        let uuid = line("/sys/class/dmi/id/product_uuid");
        Self {
            cpu_milli: cpus * 1000,
            memory: memory(),
            storage,
            system_uuid: if uuid.is_empty() { machine_id.clone() } else { uuid },
            machine_id,
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            kernel: uname.release().to_string_lossy().into_owned(),
            os_image: os_image(),
            architecture: architecture().into(),
        }
    }
}
