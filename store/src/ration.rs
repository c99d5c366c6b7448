//! How fast a member that is far behind is brought up, by entries that only the files of the log hold or by a snapshot, and a client is
//! sent a backup: in rations with rests between them while somebody writes, as what is sent costs processors, disks and network, which
//! he then waits for; but at least twice of what is written during the rests, or the member would never be there. Where nobody writes
//! each ration is twice the last one, which soon is as good as no bounds.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::shared::Core;

/// Bytes of the smallest ration. Measured with one member and empty ones that join it, on two processors that are all busy: the
/// slowest hundredth of 64 clients' writes waited 4.5 times as long as undisturbed without rests, 1.7 to 2.4 times with rests of 10 ms,
/// 1.5 to 2.2 times with these.
const PORTION: u64 = 256 << 10;
/// Between two rations.
pub(crate) const REST: Duration = Duration::from_millis(15);
/// Bytes of the largest ration.
const MOST: u64 = 64 << 20;
/// After so many rests in which nobody wrote, nobody does: on a slow disk a group of writers waits longer than one.
const QUIET: u32 = 7;

/// See the module's header. `written` are, each time, the bytes that were written to the log since the start.
#[derive(Debug)]
pub(crate) struct Ration {
    size: u64,
    /// Bytes of it that may still go.
    left: u64,
    /// What was written when something of it went last.
    written: u64,
    /// Rests of late in which nobody wrote.
    quiet: u32,
    portion: u64,
}

impl Ration {
    /// The first one.
    pub(crate) fn new() -> Self {
        Self { size: PORTION, left: PORTION, written: 0, quiet: 0, portion: PORTION }
    }

    /// Bytes that may go now; 0: after a rest, and [`Ration::renew`].
    pub(crate) fn left(&mut self, written: u64) -> u64 {
        self.notice(written);
        self.left
    }

    /// What could go while nobody wrote is no credit once somebody does.
    fn notice(&mut self, written: u64) {
        if self.quiet >= QUIET && written != self.written {
            self.quiet = 0;
            self.left = self.left.min(self.portion);
        }
    }

    /// So many bytes go.
    pub(crate) fn spend(&mut self, bytes: u64, written: u64) {
        self.notice(written);
        self.left = self.left.saturating_sub(bytes);
        self.written = written;
    }

    /// So many bytes go, from a thread that may rest; it does not where everybody waits for members that are far behind.
    pub(crate) fn spend_and_rest(&mut self, bytes: u64, core: &Core) {
        self.spend(bytes, core.written.load(Ordering::Relaxed));
        if core.hurry.load(Ordering::Relaxed) {
            self.left = self.portion;
        } else if self.left == 0 {
            std::thread::sleep(REST);
            self.renew(core.written.load(Ordering::Relaxed), 1);
        }
    }

    /// The next ration, after the rest, for `members` that may all be far behind.
    pub(crate) fn renew(&mut self, written: u64, members: usize) {
        let meanwhile = written.saturating_sub(self.written);
        self.quiet = if meanwhile == 0 { self.quiet + 1 } else { 0 };
        let size = if self.quiet < QUIET { meanwhile.saturating_mul(2 * members as u64) } else { 2 * self.size };
        self.size = size.clamp(self.portion, MOST);
        self.left = self.size;
    }

    /// For simulations of little data.
    #[cfg(test)]
    pub(crate) fn of(portion: u64) -> Self {
        Self { size: portion, left: portion, portion, ..Self::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_where_somebody_writes_but_outruns_him() {
        let mut ration = Ration::of(100);
        ration.spend(30, 5000);
        assert_eq!(ration.left(5000), 70);
        ration.spend(1000, 9000);
        assert_eq!(ration.left(9000), 0);
        // (bytes written while it rested, members, the next ration)
        let quiet = [(0, 1, 100); QUIET as usize - 1];
        let table = [(1, 1, 100)].into_iter().chain(quiet).chain([
            (0, 1, 200),
            (0, 1, 400),
            (50, 1, 100),
            (60, 1, 120),
            (0, 1, 100),
            (60, 4, 480),
            (1, 4, 100),
            (1 << 30, 1, MOST),
        ]);
        for (meanwhile, members, next) in table {
            ration.spend(u64::MAX, 9000);
            ration.renew(9000 + meanwhile, members);
            assert_eq!(ration.left, next, "{meanwhile} bytes, {members} members");
        }
    }

    #[test]
    fn is_small_again_once_somebody_writes() {
        let mut ration = Ration::of(100);
        for _ in 0..QUIET + 3 {
            ration.spend(u64::MAX, 9000);
            ration.renew(9000, 1);
        }
        assert_eq!(ration.left(9000), 1600);
        ration.spend(700, 9000);
        assert_eq!(ration.left(9000), 900);
        assert_eq!(ration.left(9001), 100);
        ration.spend(60, 9001);
        assert_eq!((ration.left(9001), ration.left(9500)), (40, 40), "of the same ration");
    }
}
