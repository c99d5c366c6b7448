//! An allocator that counts what is in use, and gives out no more than a limit: a reader that wants more than its input can be
//! worth is found out. What it was reading is said by [`about`], because a program without memory cannot say much.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most bytes in use at once.
const LIMIT: usize = 512 << 20;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static ITERATION: AtomicU64 = AtomicU64::new(0);

/// See the module's header.
pub(crate) struct Limit;

/// Notes what is being done, for the last word.
pub(crate) fn about(seed: u64, iteration: u64) {
    SEED.store(seed, Ordering::Relaxed);
    ITERATION.store(iteration, Ordering::Relaxed);
}

/// The most that was in use since this was asked last, in bytes.
pub(crate) fn peak() -> usize {
    PEAK.swap(USED.load(Ordering::Relaxed), Ordering::Relaxed)
}

fn take(bytes: usize) -> bool {
    let used = USED.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(used, Ordering::Relaxed);
    if used <= LIMIT {
        return true;
    }
    USED.fetch_sub(bytes, Ordering::Relaxed);
    // Without allocating.
    let mut line = [0; 128];
    let mut rest = &mut line[..];
    let (seed, iteration) = (SEED.load(Ordering::Relaxed), ITERATION.load(Ordering::Relaxed));
    let _ = writeln!(rest, "TOO MUCH MEMORY: {bytes} bytes more, seed {seed}, iteration {iteration}");
    let left = rest.len();
    let _ = std::io::stderr().write_all(&line[..line.len() - left]);
    false
}

fn give_back(bytes: usize) {
    USED.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call is handed on to the system's allocator as it came, or answered with null, which means that there is no
// memory; the counters do not touch what is allocated.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Limit {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give_back(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !take(size) {
            return std::ptr::null_mut();
        }
        give_back(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
