//! What the writer, the readers and the watches of one store share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base::Clock;
use parking_lot::{Mutex, RwLock};
use proto::log::LeaseRevoke;
use tokio::sync::{Notify, Semaphore, watch};

use crate::kv::{Error, Revision};
use crate::lessor::{Lessor, Renewal};
use crate::marks::Hub;
use crate::metrics::Metrics;
use crate::raft::Standing;
use crate::state::{HashKv, Outcome, State};

/// Keys that are hashed while the state is locked.
const HASHED: usize = 1024;

/// See the module's header. Locks are taken in the order state, then hub, and held for microseconds.
pub(crate) struct Core {
    /// Only the writer changes it.
    pub(crate) state: RwLock<State>,
    /// Who watches.
    pub(crate) hub: Hub,
    /// The last revision whose watches have been marked; what [`crate::Kv::local_revision`] says.
    pub(crate) published: AtomicU64,
    pub(crate) progress_interval: Duration,
    /// When leases expire, if this process leads. Locked last.
    pub(crate) lessor: Mutex<Lessor>,
    /// A lease was granted, or this process leads now.
    pub(crate) lease_changed: Notify,
    /// Leases are gone, or this process leads no longer.
    pub(crate) lease_ended: Notify,
    /// Compactions up to here have been carried out.
    pub(crate) swept: watch::Sender<Revision>,
    /// Who leads, as far as this member knows.
    pub(crate) standing: watch::Sender<Standing>,
    /// Whether this member alone votes.
    pub(crate) alone: AtomicBool,
    /// Whether it leads, and has applied an entry of its own term: all that was ever acknowledged came before that one.
    leads: AtomicBool,
    /// Whether there is no other member at all.
    pub(crate) solitary: AtomicBool,
    /// Whether this member only listens.
    pub(crate) learner: AtomicBool,
    /// Whether time matters: others are there, nobody leads, or something waits for room on the disk.
    pub(crate) wants_ticks: AtomicBool,
    /// Who takes part has changed, or whether time matters.
    pub(crate) membership_changed: Notify,
    /// Bytes of the entries that were written to the log since the start, each of its `log::weight`.
    pub(crate) written: AtomicU64,
    /// This member leads, and there is no quorum without members that are far behind.
    pub(crate) hurry: AtomicBool,
    /// Why the last checkpoint could not be written, until one can.
    pub(crate) checkpoint_failure: Mutex<Option<String>>,
    /// What is counted and timed.
    pub(crate) metrics: Metrics,
    /// For one checksum at a time: each holds on to every version that it has seen.
    hashing: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    closed: AtomicBool,
    #[cfg(test)]
    pub(crate) fault: std::sync::OnceLock<Fault>,
}

/// Faults that tests plant, to see that they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A watch is not told of a change.
    DropEvent,
    /// Progress is told to a watch that has not read all before it.
    EarlyProgress,
    /// A lease's expiry counts in any term, whoever leads by then.
    ExpireInAnyTerm,
    /// A snapshot, and so a checkpoint, does not say what was deleted.
    SkipTombstones,
}

impl Core {
    pub(crate) fn new(state: State, progress_interval: Duration, clock: Arc<dyn Clock>) -> Self {
        let published = AtomicU64::new(state.revision());
        Self {
            swept: watch::Sender::new(state.swept()),
            state: RwLock::new(state),
            hub: Hub::default(),
            published,
            progress_interval,
            lessor: Mutex::default(),
            lease_changed: Notify::new(),
            lease_ended: Notify::new(),
            standing: watch::Sender::new(Standing::default()),
            alone: AtomicBool::new(false),
            leads: AtomicBool::new(false),
            solitary: AtomicBool::new(false),
            learner: AtomicBool::new(false),
            wants_ticks: AtomicBool::new(true),
            membership_changed: Notify::new(),
            written: AtomicU64::new(0),
            hurry: AtomicBool::new(false),
            checkpoint_failure: Mutex::default(),
            metrics: Metrics::new(),
            hashing: Arc::new(Semaphore::new(1)),
            clock,
            closed: AtomicBool::new(false),
            #[cfg(test)]
            fault: std::sync::OnceLock::new(),
        }
    }

    /// The monotonic clock that leases go by.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Keeps a lease alive, if this process judges leases.
    pub(crate) fn renew(&self, lease: i64) -> Renewal {
        self.lessor.lock().renew(self.now(), lease)
    }

    /// What is to be proposed now because leases have expired: up to `most` revocations, which are void unless this process
    /// still leads in the same term when they reach the log.
    pub(crate) fn expired(&self, most: usize) -> Vec<LeaseRevoke> {
        let mut lessor = self.lessor.lock();
        let Some(term) = lessor.term() else { return Vec::new() };
        let expired_in_term = (!self.planted(Fault::ExpireInAnyTerm)).then_some(term);
        let ids = lessor.expired(self.now(), most);
        ids.into_iter().map(|id| LeaseRevoke { id, expired_in_term }).collect()
    }

    /// This process leads in `term`: from now on it judges leases, each with its full time again. The state must be that
    /// of the beginning of the term.
    pub(crate) fn lead(&self, term: u64) {
        self.leads.store(true, Ordering::Release);
        let state = self.state.read();
        self.lessor.lock().promote(self.now(), term, state.leases().iter());
        self.lease_changed.notify_one();
    }

    /// This process leads no longer: another one judges leases.
    pub(crate) fn follow(&self) {
        self.leads.store(false, Ordering::Release);
        self.lessor.lock().demote();
        self.lease_changed.notify_one();
        self.lease_ended.notify_waiters();
    }

    /// Whether everything that was ever acknowledged is in the state here, without asking anybody: this member alone votes,
    /// and leads. Until it has been elected again after a start, the last group of its log is not applied.
    pub(crate) fn knows_all(&self) -> bool {
        self.alone.load(Ordering::Acquire) && self.leads.load(Ordering::Acquire)
    }

    /// Whether time matters from now on.
    pub(crate) fn want_ticks(&self, wants: bool) {
        if self.wants_ticks.swap(wants, Ordering::AcqRel) != wants {
            self.membership_changed.notify_waiters();
        }
    }

    /// What an applied entry means for the leases' clockwork.
    pub(crate) fn heed(&self, outcome: &Outcome) {
        match outcome {
            Outcome::LeaseGranted { id, ttl } => {
                self.lessor.lock().granted(self.now(), *id, *ttl);
                self.lease_changed.notify_one();
            }
            Outcome::LeaseRevoked { id } => {
                self.lessor.lock().revoked(*id);
                self.lease_ended.notify_waiters();
            }
            _ => {}
        }
    }

    /// Whether there is no other member at all.
    pub(crate) fn solitary(&self) -> bool {
        self.solitary.load(Ordering::Acquire)
    }

    /// A checksum of all keys with their history up to a revision (0: the last one here): gathered in portions, and then
    /// taken by a thread that serves nobody meanwhile.
    pub(crate) async fn hash(&self, revision: Revision) -> Result<HashKv, Error> {
        let turn = Arc::clone(&self.hashing).acquire_owned().await.map_err(|_| stopped())?;
        'again: loop {
            let mut scan = self.state.read().begin_hash(revision)?;
            loop {
                self.open()?;
                let advanced = self.state.read().advance_hash(&mut scan, HASHED);
                match advanced {
                    Ok(true) => {
                        let work = move || {
                            let hash = scan.finish();
                            drop(turn);
                            hash
                        };
                        return base::panics::blocking(work).await.map_err(Error::Unavailable);
                    }
                    Ok(false) => tokio::task::yield_now().await,
                    // A compaction came between.
                    Err(_) => continue 'again,
                }
            }
        }
    }

    /// The last revision that is applied and announced.
    pub(crate) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    /// Ends everything: reads and writes are refused, watches end.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.hub.wake_all();
        self.lease_changed.notify_one();
        self.lease_ended.notify_waiters();
        self.membership_changed.notify_waiters();
        // Who waits for a compaction sees that there is none to come.
        self.swept.send_modify(|_| {});
    }

    /// Tests plant faults to see that they are found.
    #[cfg_attr(not(test), expect(clippy::unused_self))]
    pub(crate) fn planted(&self, fault: Fault) -> bool {
        #[cfg(test)]
        return self.fault.get() == Some(&fault);
        #[cfg(not(test))]
        {
            let _ = fault;
            false
        }
    }

    /// An error once the store is closed.
    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.closed.load(Ordering::Acquire) { Err(stopped()) } else { Ok(()) }
    }
}

/// What a closed store answers.
pub(crate) fn stopped() -> Error {
    Error::Unavailable("the store is stopped".into())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    /// The one thread for blocking work is taken: a checksum waits for it, and those who are served do not wait for the
    /// checksum.
    #[test]
    fn no_thread_that_serves_takes_a_checksum() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let core = Core::new(State::default(), Duration::from_secs(5), base::SystemClock::shared());
        runtime.block_on(async {
            let (free, taken) = std::sync::mpsc::channel::<()>();
            let held = tokio::task::spawn_blocking(move || taken.recv());
            let mut first = core.hash(0).boxed();
            let mut second = core.hash(0).boxed();
            for _ in 0..100 {
                assert!(futures::poll!(&mut first).is_pending());
                assert!(futures::poll!(&mut second).is_pending());
                tokio::task::yield_now().await;
            }
            // Given up, it still has its turn until its work is done.
            drop(first);
            assert_eq!(core.hashing.available_permits(), 0);
            free.send(()).unwrap();
            held.await.unwrap().unwrap();
            assert_eq!(second.await, core.hash(0).await);
        });
    }
}
