//! Asks the scheduler to give the log's thread its turn soon. The thread works for some 20 µs, then waits for the disk for
//! 100 µs; on a busy machine it would then wait for the rest of a neighbour's slice, 3-4 ms, before it can answer. A
//! short slice of its own makes its turn come first without giving it more time altogether (Linux ≥ 6.12, EEVDF:
//! `sched_setattr(2)`, sched_runtime with SCHED_OTHER; kernels before that take the call and ignore the value).
#![allow(unsafe_code)]

use std::io;

/// 0.1 ms: the shortest that the kernel takes.
const SLICE_NANOS: u64 = 100_000;

/// `struct sched_attr` in its first version (include/uapi/linux/sched/types.h); libc has no binding for all targets.
#[repr(C)]
#[derive(Default)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Shortens the slice of the calling thread, leaving its policy and niceness as they are.
///
/// # Errors
/// What the kernel says; the thread then goes on as before.
pub(crate) fn shorten() -> io::Result<()> {
    let mut attr = SchedAttr::default();
    let size = std::mem::size_of::<SchedAttr>() as libc::c_uint;
    let (this_thread, no_flags): (libc::pid_t, libc::c_uint) = (0, 0);
    // SAFETY: sched_getattr writes at most `size` bytes to a live SchedAttr of that size.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, this_thread, &raw mut attr, size, no_flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if attr.policy != libc::SCHED_OTHER as u32 {
        // Somebody chose a policy for the whole process: theirs.
        return Ok(());
    }
    attr.size = size;
    attr.runtime = SLICE_NANOS;
    // SAFETY: sched_setattr reads `attr.size` bytes of a live SchedAttr of that size.
    if unsafe { libc::syscall(libc::SYS_sched_setattr, this_thread, &raw const attr, no_flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_takes_it() {
        // In a thread of its own: the test runner's threads keep their slices.
        let result = std::thread::spawn(super::shorten).join().unwrap();
        if let Err(error) = result {
            eprintln!("SKIPPED: this kernel (or its sandbox) refuses sched_setattr: {error}");
        }
    }
}
