//! The only unsafe code of this crate: system calls that change the calling process in ways Rust's types cannot follow.
//!
//! Relies on its callers being single-threaded for [`fork`] (the shim is), and keeps each wrapper as small as the call itself.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
///
/// With `cgroup`, a directory of cgroup version 2, the child begins in that group: moving it there afterwards would wait for an RCU
/// grace period, 10 to 20 ms. Where the kernel refuses, the child begins where the parent is.
pub fn fork(cgroup: Option<BorrowedFd<'_>>) -> io::Result<Forked> {
    if std::fs::read_dir("/proc/self/task")?.count() > 1 {
        return Err(io::Error::other("fork from a process with several threads"));
    }
    let side = |pid: i64| match i32::try_from(pid).ok().and_then(Pid::from_raw) {
        Some(pid) => Forked::Parent(pid),
        None => Forked::Child,
    };
    if let Some(cgroup) = cgroup {
        let arguments = CloneArguments {
            flags: CLONE_INTO_CGROUP,
            exit_signal: libc::SIGCHLD as u64,
            cgroup: cgroup.as_raw_fd() as u64,
            ..CloneArguments::default()
        };
        // SAFETY: as for fork below; the arguments are valid for as long as the call takes, and without CLONE_VM and a stack the call
        // returns twice just as fork does.
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) };
        if pid >= 0 {
            return Ok(side(pid));
        }
    }
    // SAFETY: there is one thread (checked above), so that no lock can be held by a thread which the child lacks.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(side(i64::from(pid)))
}

/// Gives every signal back its default action. Ignored ones stay ignored over exec: a cluster that a script started in the
/// background would have pods that no Control-C interrupts.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: sets no handler; of the signals that cannot be changed the kernel refuses the call.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// The crate libc has it in a type that is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// The kernel's `struct clone_args` (include/uapi/linux/sched.h), version 2.
#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Gives the calling thread namespaces of its own.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    if flags.contains(UnshareFlags::FILES) {
        return Err(io::Error::from(io::ErrorKind::Unsupported));
    }
    // SAFETY: the file descriptor table stays shared (checked above); that is the only thing which makes unshare unsafe.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_to_fork_beside_other_threads() {
        // The test harness has a main thread beside this one.
        assert!(fork(None).is_err());
    }

    #[test]
    fn refuses_to_part_with_the_descriptor_table() {
        assert!(unshare(UnshareFlags::FILES).is_err());
    }
}
