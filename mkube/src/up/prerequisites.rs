//! What a machine must have before a cluster can start; what is missing and can be installed, is, with a line that says so.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Programs that the nodes' data plane runs, and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[("nft", "nftables"), ("conntrack", "conntrack")];

/// Checks, and installs what is missing where the machine has apt.
///
/// # Errors
/// With a sentence that says what to do.
pub fn check() -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "mkube up makes network namespaces, mounts and cgroups: it needs root (try: sudo mkube up)"
    );
    let missing: Vec<&str> = PROGRAMS.iter().filter(|(name, _)| !on_path(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !on_path("apt-get") {
        bail!("not found: {packages}; install with your system's package manager");
    }
    println!("installing what is missing on this machine: apt-get install {packages}");
    for arguments in
        [vec!["update", "-q"], [&["install", "-y", "-q", "--no-install-recommends"], &missing[..]].concat()]
    {
        let status = Command::new("apt-get")
            .args(&arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .context("running apt-get")?;
        ensure!(status.success(), "apt-get {} failed: install {packages} by hand", arguments.join(" "));
    }
    Ok(())
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Root's programs, for those whose PATH is a user's.
    let usual = ["/usr/sbin", "/sbin"].map(Path::new).map(Path::to_path_buf);
    std::env::split_paths(&path).chain(usual).any(|dir| dir.join(program).is_file())
}
