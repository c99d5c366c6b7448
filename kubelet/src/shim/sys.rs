//! The only unsafe code of this crate: system calls that change the calling process in ways Rust's types cannot follow.
//!
//! Relies on its callers being single-threaded for [`fork`] (the shim is), and keeps each wrapper as small as the call itself.
#![allow(unsafe_code)]

use std::io;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Which side of a fork one is on.
#[derive(Debug)]
pub enum Forked {
    /// The new process.
    Child,
    /// The old one, with the new one's PID.
    Parent(Pid),
}

/// Forks. Call it only while this process has a single thread: the child then may do whatever the parent could, allocate
/// included. Refused otherwise, because another thread could hold a lock that the child would wait for without end.
pub fn fork() -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other("fork from a process with several threads"));
    }
    // SAFETY: there is one thread (checked above), so that no lock can be held by a thread which the child lacks.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(match Pid::from_raw(pid) {
        Some(pid) => Forked::Parent(pid),
        None => Forked::Child,
    })
}

/// Gives the calling thread namespaces of its own.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    if flags.contains(UnshareFlags::FILES) {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    // SAFETY: the file descriptor table stays shared (checked above); that is the only thing which makes unshare unsafe.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
