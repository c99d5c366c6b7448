//! How much a store may hold if nobody says.

/// etcd's default, and never more than two fifths of the memory that the process may use.
pub(crate) fn default_quota() -> u64 {
    const DEFAULT: u64 = 2 << 30;
    memory_limit().map_or(DEFAULT, |limit| DEFAULT.min(limit / 5 * 2))
}

/// What the process's cgroup may use: the least limit on the way to the root. `None` without one.
fn memory_limit() -> Option<u64> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/').to_string();
    let root = std::path::Path::new("/sys/fs/cgroup");
    let limits = root.join(path);
    let ways = limits.ancestors().take_while(|dir| dir.starts_with(root));
    ways.filter_map(|dir| std::fs::read_to_string(dir.join("memory.max")).ok()?.trim().parse().ok()).min()
}
