//! How long to wait before the next attempt: doubled each time up to a cap, and spread so that many clients do not come back
//! at the same moment.

use std::time::Duration;

/// The pauses of one thing that is tried again and again.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
}

const FIRST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_secs(2);

impl Default for Pauses {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pauses {
    /// The next pause: between half of it and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(LONGEST);
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It went well: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_cap_and_begin_anew() {
        let mut pauses = Pauses::default();
        for round in 0..20 {
            let full = (FIRST * 2u32.pow(round.min(10))).min(LONGEST);
            let pause = pauses.next();
            assert!(pause >= full / 2 && pause <= full, "{round}: {pause:?} of {full:?}");
        }
        pauses.reset();
        assert!(pauses.next() <= FIRST);
    }
}
