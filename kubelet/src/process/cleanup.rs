//! Removes everything a process runtime has left on a machine, without a kubelet: for `mkube down`, and after tests.
//!
//! Works from what is on disk: recorded processes (with their start time, so that nobody else's PID is hit), control groups, mounts below
//! the data directory. May be called again after it failed half-way.

use std::io;
use std::path::{Path, PathBuf};

use super::pods::Pod;
use super::{RUNTIME_FILE, SANDBOXES};
use crate::cgroup::Group;
use crate::shim::wire;

/// Ends all pods under a state directory and removes the directory. Blocking. Returns what could not be removed.
pub fn cleanup(root: &Path) -> io::Result<Vec<String>> {
    let root = match std::fs::canonicalize(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut left = Vec::new();
    for directory in subdirectories(&root.join(SANDBOXES)) {
        match Pod::load(&directory) {
            Ok(pod) => {
                end(&pod, &mut left);
                remove_interface(&pod, &mut left);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => left.push(format!("{}: {error}", directory.display())),
        }
    }
    if let Ok(group) = wire::read_json::<Group>(&root.join(RUNTIME_FILE)) {
        remove_group(&group, &mut left);
    }
    for mount in mounts_below(&std::fs::read_to_string("/proc/self/mountinfo")?, &root) {
        if let Err(error) = rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH) {
            left.push(format!("{}: {error}", mount.display()));
        }
    }
    if left.is_empty() {
        std::fs::remove_dir_all(&root)?;
    }
    Ok(left)
}

/// Ends one sandbox: its shim (and by that its containers), whatever else is in their control groups.
pub(super) fn end(pod: &Pod, left: &mut Vec<String>) {
    // A shim may have come up after the kubelet that started it died: then only its file knows it.
    let known = pod.shim.lock().clone();
    let recorded = wire::read_json::<wire::ProcessId>(&pod.directory.join(wire::SHIM_FILE)).ok();
    for shim in known.into_iter().chain(recorded) {
        shim.kill();
    }
    for (id, held) in pod.containers.lock().iter() {
        if let Some(process) = held.record.as_ref().and_then(|record| record.process.as_ref()) {
            process.kill();
        }
        remove_group(&pod.config.cgroup.child(id), left);
    }
    remove_group(&pod.config.shim_cgroup(), left);
    // The pod's next sandbox may be in it already.
    pod.config.cgroup.remove_if_empty();
}

/// With its last process a pod's network namespace goes, and the interface with it, but only some time later. Waiting for it takes 20 ms,
/// so this is for when it must be gone.
fn remove_interface(pod: &Pod, left: &mut Vec<String>) {
    if let Some(network) = &pod.config.network
        && let Err(error) = network.remove()
        && error.raw_os_error() != Some(libc::ENODEV)
        && error.kind() != io::ErrorKind::NotFound
    {
        left.push(format!("interface {}: {error}", network.interface));
    }
}

/// Kills what is in a control group and removes it.
pub(super) fn remove_group(group: &Group, left: &mut Vec<String>) {
    for pid in group.processes() {
        if let Some(process) = wire::ProcessId::of(pid) {
            process.kill();
        }
    }
    if let Err(error) = group.remove() {
        left.push(error.to_string());
    }
}

/// The directories in one; none if it is not there.
pub(super) fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// Mount points below a directory, the last mounted first.
fn mounts_below(mountinfo: &str, root: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape).map(PathBuf::from);
    let mut below: Vec<PathBuf> = points.filter(|point| point.starts_with(root) && point != root).collect();
    below.reverse();
    below
}

/// mountinfo writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_mounts_below_only() {
        let info = "1 0 8:1 / / rw - ext4 a rw\n\
            2 1 0:5 / /data/x rw - tmpfs t rw\n\
            3 2 0:6 / /data/x/a\\040b rw - tmpfs t rw\n\
            4 1 0:7 / /database rw - tmpfs t rw\n";
        let expected = [PathBuf::from("/data/x/a b"), PathBuf::from("/data/x")];
        assert_eq!(mounts_below(info, Path::new("/data")), expected);
    }
}
