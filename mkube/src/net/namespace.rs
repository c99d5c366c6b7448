//! Named network namespaces: made, entered, removed. They are bound to files in /run/netns, so that `ip netns exec` finds
//! them, and live until they are removed, whoever dies.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::mount::UnmountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

const DIR: &str = "/run/netns";

/// Where the namespace `name` is bound.
pub fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Whether the namespace exists: a file alone (after a reboot, or a crash half-way) is none.
pub fn exists(name: &str) -> bool {
    let Ok(mounts) = fs::read_to_string("/proc/self/mounts") else { return false };
    let wanted = path(name);
    mounts.lines().any(|line| line.split(' ').nth(1).is_some_and(|point| Path::new(point) == wanted))
}

/// Makes a namespace with its loopback device up and forwarding on.
///
/// # Errors
/// Without root, or when the name is taken.
pub fn create(name: &str) -> anyhow::Result<()> {
    fs::create_dir_all(DIR).with_context(|| format!("making {DIR}"))?;
    let file = path(name);
    File::create(&file).with_context(|| format!("making {}", file.display()))?;
    let bound = file.clone();
    on_thread(move || {
        enter_new()?;
        rustix::mount::mount_bind("/proc/thread-self/ns/net", &bound)?;
        // Packets from the host to a pod come back another way than they went: see `topology`.
        for (setting, value) in [("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0")] {
            fs::write(format!("/proc/sys/net/ipv4/{setting}"), value)?;
        }
        Ok(())
    })
    .with_context(|| format!("making network namespace {name}"))?;
    super::in_namespace(name, |handle| async move { super::link_up(&handle, "lo").await })
}

/// Removes a namespace and every device in it. One that does not exist is no error.
///
/// # Errors
/// When the file system refuses.
pub fn remove(name: &str) -> io::Result<()> {
    let file = path(name);
    while exists(name) {
        rustix::mount::unmount(&file, UnmountFlags::DETACH)?;
    }
    match fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Names of all namespaces that start with `prefix`.
pub fn named(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(DIR).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(prefix)).collect()
}

/// Moves the calling thread into the namespace bound to `path`.
///
/// # Errors
/// When there is none, or without root.
pub fn enter(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}

/// Runs `work` on a thread of its own, whose namespace ends with it.
pub fn on_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    std::thread::spawn(work).join().map_err(|_| io::Error::other("thread panicked"))?
}

#[allow(unsafe_code)]
fn enter_new() -> io::Result<()> {
    // SAFETY: `unshare` is unsafe for what threads share (file descriptors, memory); a new network namespace shares
    // nothing, and only this short-lived thread moves into it.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    Ok(())
}
