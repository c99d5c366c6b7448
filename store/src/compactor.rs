//! When to compact by itself: pure decisions, time is a parameter. etcd: server/etcdserver/api/v3compactor.

use std::collections::VecDeque;
use std::time::Duration;

use crate::kv::Revision;

/// What history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retention {
    /// So many revisions.
    Revisions(u64),
    /// What happened within this time.
    Time(Duration),
}

/// See the module's header.
pub(crate) struct Compactor {
    retention: Retention,
    /// (when, revision then), oldest first.
    samples: VecDeque<(Duration, Revision)>,
    done: Revision,
}

impl Compactor {
    pub(crate) fn new(retention: Retention) -> Self {
        Self { retention, samples: VecDeque::new(), done: 0 }
    }

    /// How long to wait between two questions.
    pub(crate) fn period(&self) -> Duration {
        match self.retention {
            Retention::Revisions(_) => Duration::from_secs(5 * 60),
            Retention::Time(time) => (time / 10).clamp(Duration::from_millis(100), Duration::from_secs(6 * 60)),
        }
    }

    /// The revision to compact at, if any, now that the store is at `revision`.
    pub(crate) fn due(&mut self, now: Duration, revision: Revision) -> Option<Revision> {
        let upto = match self.retention {
            Retention::Revisions(kept) => revision.saturating_sub(kept),
            Retention::Time(time) => {
                self.samples.push_back((now, revision));
                let old = |sample: &&(Duration, Revision)| sample.0 + time <= now;
                let upto = self.samples.iter().take_while(old).last().map_or(0, |(_, revision)| *revision);
                // The newest old one stays: at the next question it is what was then.
                while self.samples.get(1).is_some_and(|next| next.0 + time <= now) {
                    self.samples.pop_front();
                }
                upto
            }
        };
        if upto <= self.done {
            return None;
        }
        self.done = upto;
        Some(upto)
    }
}

#[cfg(test)]
mod tests;
