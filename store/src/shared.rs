//! What the writer, the readers and the watches of one store share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use crate::kv::{Error, Revision};
use crate::marks::Hub;
use crate::state::State;

/// See the module's header. Locks are taken in the order state, then hub, and held for microseconds.
pub(crate) struct Core {
    /// Only the writer changes it.
    pub(crate) state: RwLock<State>,
    /// Who watches.
    pub(crate) hub: Hub,
    /// The last revision whose watches have been marked; what [`crate::Kv::local_revision`] says.
    pub(crate) published: AtomicU64,
    pub(crate) progress_interval: Duration,
    closed: AtomicBool,
}

impl Core {
    pub(crate) fn new(state: State, progress_interval: Duration) -> Self {
        let published = AtomicU64::new(state.revision());
        let closed = AtomicBool::new(false);
        Self { state: RwLock::new(state), hub: Hub::default(), published, progress_interval, closed }
    }

    /// The last revision that is applied and announced.
    pub(crate) fn published(&self) -> Revision {
        self.published.load(Ordering::Acquire)
    }

    /// Ends everything: reads and writes are refused, watches end.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.hub.wake_all();
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
