//! What the writer tells the watches: one mark each, the first revision since the reader last looked that touches its
//! keys. A reader of many watches hears of all of them through one bell. How readers use them: see `watch`.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::kv::Revision;
use crate::span::Span;
use crate::state::Change;

/// The watches of a store.
#[derive(Default)]
pub(crate) struct Hub {
    watches: Mutex<Watches>,
}

#[derive(Default)]
struct Watches {
    last_id: u64,
    all: HashMap<u64, Arc<Mark>>,
}

/// What the writer knows of a watch.
pub(crate) struct Mark {
    /// Its number among the store's watches.
    pub(crate) id: u64,
    pub(crate) span: Span,
    /// First revision that the reader has not looked at and that touches the span; 0: none.
    unread: AtomicU64,
    bell: Arc<Bell>,
}

/// Wakes a reader, and says which of its watches were marked.
#[derive(Default)]
pub(crate) struct Bell {
    wake: Notify,
    marked: Mutex<Vec<u64>>,
}

impl Hub {
    /// Whether anybody watches.
    pub(crate) fn is_empty(&self) -> bool {
        self.watches.lock().all.is_empty()
    }

    /// How many watch.
    pub(crate) fn len(&self) -> usize {
        self.watches.lock().all.len()
    }

    /// Marks and wakes the watches that the changes touch.
    pub(crate) fn mark<'a>(&self, changes: impl Iterator<Item = &'a Change> + Clone) {
        for mark in self.watches.lock().all.values() {
            if mark.unread() != 0 {
                continue;
            }
            if let Some(change) = changes.clone().find(|change| mark.span.contains(&change.item.key)) {
                mark.set(change.item.mod_revision);
            }
        }
    }

    /// Wakes all watches, so that they see that the store is closed.
    pub(crate) fn wake_all(&self) {
        self.watches.lock().all.values().for_each(|mark| mark.bell.ring(mark.id));
    }

    /// Marks all watches: any of them may have missed something from `revision` on.
    pub(crate) fn mark_all(&self, revision: Revision) {
        self.watches.lock().all.values().for_each(|mark| mark.set(revision));
    }

    /// Adds a watch of the span; what is applied from now on will be marked.
    pub(crate) fn add(&self, span: Span, bell: Arc<Bell>) -> Arc<Mark> {
        let mut watches = self.watches.lock();
        watches.last_id += 1;
        let mark = Arc::new(Mark { id: watches.last_id, span, unread: AtomicU64::new(0), bell });
        watches.all.insert(mark.id, Arc::clone(&mark));
        mark
    }

    /// Forgets a watch.
    pub(crate) fn remove(&self, id: u64) {
        self.watches.lock().all.remove(&id);
    }
}

impl Mark {
    /// The first unread revision, 0 if there is none.
    pub(crate) fn unread(&self) -> Revision {
        self.unread.load(Ordering::Acquire)
    }

    /// Takes the mark away: the first unread revision, 0 if there is none.
    pub(crate) fn take(&self) -> Revision {
        self.unread.swap(0, Ordering::AcqRel)
    }

    fn set(&self, revision: Revision) {
        if self.unread.compare_exchange(0, revision, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.bell.ring(self.id);
        }
    }
}

impl Bell {
    fn ring(&self, id: u64) {
        let mut marked = self.marked.lock();
        marked.push(id);
        // Once until the reader looks: whoever was first has woken it, or is about to.
        let first = marked.len() == 1;
        drop(marked);
        if first {
            self.wake.notify_one();
        }
    }

    /// The watches that were marked since the last look (one more than once, perhaps).
    pub(crate) fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.marked.lock())
    }

    /// Waits until it rings; at once if it has rung since the last wait.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }
}
