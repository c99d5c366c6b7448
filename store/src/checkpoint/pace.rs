//! How fast a checkpoint is written: as fast as it can where nobody writes to the store meanwhile; else in small portions, with rests
//! between them, so that who writes finds the processor and the disk free for most of the time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::kv::Revision;
use crate::shared::Core;

/// How many times as long as a portion took is left to others. Measured with three members on two processors that are all busy: the
/// slowest hundredth of 64 clients' writes waited 3.3 times as long as undisturbed without rests.
const REST: u32 = 3;
/// No rest is longer: the process may have been stopped within a portion.
const LONGEST: Duration = Duration::from_millis(100);

/// See the module's header.
pub(super) struct Pace<'a> {
    core: &'a Core,
    /// Since when the portion is under way, and the store's revision then.
    begun: Cell<(Instant, Revision)>,
}

impl<'a> Pace<'a> {
    /// A portion begins.
    pub(super) fn new(core: &'a Core) -> Self {
        Self { core, begun: Cell::new((Instant::now(), core.published())) }
    }

    /// A portion has ended: rests if somebody has written meanwhile, and begins the next one.
    pub(super) fn rest(&self) {
        std::thread::sleep(self.due(Instant::now()));
        self.begun.set((Instant::now(), self.core.published()));
    }

    /// How long to rest if the portion ends now.
    fn due(&self, now: Instant) -> Duration {
        let (begun, before) = self.begun.get();
        if self.core.published() == before { Duration::ZERO } else { ((now - begun) * REST).min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn rests_only_where_somebody_writes_and_never_for_long() {
        let millis = Duration::from_millis;
        let core = Core::new(crate::state::State::default(), millis(5), base::SystemClock::shared());
        let pace = Pace::new(&core);
        let later = |time| pace.begun.get().0 + time;
        assert_eq!(pace.due(later(millis(2))), millis(0));
        core.published.fetch_add(1, Ordering::AcqRel);
        assert_eq!(pace.due(later(millis(2))), millis(6));
        assert_eq!(pace.due(later(Duration::from_secs(3600))), millis(100));
        pace.rest();
        assert_eq!(pace.due(later(millis(2))), millis(0), "nobody has written since");
    }
}
