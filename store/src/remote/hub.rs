//! What this process has seen of the store: the recent revisions, shared by all its watches, which are places in them.
//!
//! One feed publishes here (see [`super`]); each watch has a slot with the first revision that touches its keys and that it has
//! not looked at. Worked example, a watch of `/pods/` whose next revision is 11:
//! ```text
//! ring:   (9)  10 /nodes/a   11 /nodes/b   12 /pods/x   13 /nodes/a       since 9, head 13
//! slot:   unread 12: a look takes 12, unread 0, next 14
//! ```
//! Revisions up to `since` have left the ring: a watch with unread ones among them has to fetch history from the store. Order
//! that must be kept: slots first, then the head. Whoever has read the head finds everything up to it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::kv::{Event, Revision};
use crate::span::Span;

/// How much the hub remembers.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Revisions.
    pub revisions: usize,
    /// Bytes of keys and values in them.
    pub bytes: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { revisions: 8192, bytes: 8 << 20 }
    }
}

/// See the module's header.
pub(crate) struct Hub {
    inner: Mutex<Inner>,
    /// Everything up to here is in the ring or has passed through it.
    head: watch::Sender<Revision>,
    /// The newest revision that this process knows to have happened, seen or only acknowledged.
    known: AtomicU64,
    memory: Memory,
}

#[derive(Default)]
struct Inner {
    ring: VecDeque<Batch>,
    bytes: usize,
    /// The ring holds every revision after this one, up to the head.
    since: Revision,
    last_id: u64,
    slots: HashMap<u64, Slot>,
}

struct Batch {
    revision: Revision,
    events: Vec<Event>,
    bytes: usize,
}

struct Slot {
    span: Span,
    /// First revision that touches the span and has not been looked at; 0: none.
    unread: Revision,
    wake: Arc<Notify>,
}

/// What a look brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// These revisions, and perhaps more.
    Events(Vec<(Revision, Vec<Event>)>),
    /// Everything up to the head has been looked at.
    Nothing,
    /// What is unread has left the ring.
    Behind,
}

impl Hub {
    /// Knows nothing before `head`.
    pub(crate) fn new(memory: Memory, head: Revision) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner { since: head, ..Inner::default() }),
            head: watch::Sender::new(head),
            known: AtomicU64::new(head),
            memory,
        })
    }

    /// Everything up to here has been published.
    pub(crate) fn head(&self) -> Revision {
        *self.head.borrow()
    }

    /// To wait for the head to move.
    pub(crate) fn follow(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// The store has answered that it is at this revision.
    pub(crate) fn learn(&self, revision: Revision) {
        self.known.fetch_max(revision, Ordering::AcqRel);
    }

    /// The newest revision that is known to have happened.
    pub(crate) fn known(&self) -> Revision {
        self.known.load(Ordering::Acquire).max(self.head())
    }

    /// What one revision did.
    pub(crate) fn publish(&self, revision: Revision, events: Vec<Event>) {
        let mut inner = self.inner.lock();
        for slot in inner.slots.values_mut().filter(|slot| slot.unread == 0) {
            if events.iter().any(|event| slot.span.contains(&event.kv.key)) {
                slot.unread = revision;
                slot.wake.notify_one();
            }
        }
        let bytes = events.iter().map(size).sum();
        inner.bytes += bytes;
        inner.ring.push_back(Batch { revision, events, bytes });
        while inner.ring.len() > self.memory.revisions || inner.bytes > self.memory.bytes {
            let Some(oldest) = inner.ring.pop_front() else { break };
            inner.bytes -= oldest.bytes;
            inner.since = oldest.revision;
        }
        self.advance(revision);
    }

    /// Nothing more happened up to `revision`.
    pub(crate) fn advance(&self, revision: Revision) {
        self.head.send_if_modified(|head| std::mem::replace(head, revision.max(*head)) < revision);
    }

    /// What lies between the head and `revision` was missed: watches have to look for it in the store.
    pub(crate) fn skip_to(&self, revision: Revision) {
        let mut inner = self.inner.lock();
        let missed = self.head() + 1;
        inner.ring.clear();
        (inner.bytes, inner.since) = (0, revision);
        for slot in inner.slots.values_mut() {
            if slot.unread == 0 {
                slot.unread = missed;
            }
            slot.wake.notify_one();
        }
        self.advance(revision);
    }

    /// The store has forgotten what is before `compacted`.
    pub(crate) fn forget(&self, compacted: Revision) {
        let mut inner = self.inner.lock();
        while inner.ring.front().is_some_and(|batch| batch.revision < compacted) {
            let Some(oldest) = inner.ring.pop_front() else { break };
            inner.bytes -= oldest.bytes;
        }
        inner.since = inner.since.max(compacted.saturating_sub(1).min(self.head()));
    }

    /// Adds a watch of the span that has seen everything before `next`.
    pub(crate) fn add(self: &Arc<Self>, span: Span, next: Revision) -> Place {
        let wake = Arc::new(Notify::new());
        let mut inner = self.inner.lock();
        inner.last_id += 1;
        let id = inner.last_id;
        let unread = if next <= self.head() { next } else { 0 };
        inner.slots.insert(id, Slot { span, unread, wake: wake.clone() });
        drop(inner);
        Place { hub: Arc::clone(self), id, next, wake }
    }
}

fn size(event: &Event) -> usize {
    let prev = event.prev.as_ref().map_or(0, |prev| prev.key.len() + prev.value.len());
    event.kv.key.len() + event.kv.value.len() + prev
}

/// A watch's place in the hub; given back when it is dropped.
pub(crate) struct Place {
    hub: Arc<Hub>,
    id: u64,
    /// Revisions below this have been taken, or do not touch the span.
    next: Revision,
    wake: Arc<Notify>,
}

impl Place {
    /// Takes what is unread, at most `portion` revisions of it.
    pub(crate) fn look(&mut self, portion: usize) -> Look {
        let mut inner = self.hub.inner.lock();
        let inner = &mut *inner;
        let Some(slot) = inner.slots.get_mut(&self.id).filter(|slot| slot.unread != 0) else { return Look::Nothing };
        let from = slot.unread.max(self.next);
        if from <= inner.since {
            self.next = from;
            return Look::Behind;
        }
        let start = inner.ring.partition_point(|batch| batch.revision < from);
        let mut found = Vec::new();
        slot.unread = 0;
        for batch in inner.ring.range(start..) {
            if found.len() == portion {
                slot.unread = batch.revision;
                break;
            }
            let events = batch.events.iter().filter(|event| slot.span.contains(&event.kv.key));
            let events: Vec<Event> = events.cloned().collect();
            if !events.is_empty() {
                found.push((batch.revision, events));
            }
        }
        match found.last() {
            Some((last, _)) => {
                self.next = last + 1;
                Look::Events(found)
            }
            None => Look::Nothing,
        }
    }

    /// The first revision that has not been taken.
    pub(crate) fn next(&self) -> Revision {
        self.next
    }

    /// History up to, not with, this revision was taken elsewhere.
    pub(crate) fn resume(&mut self, next: Revision) {
        let mut inner = self.hub.inner.lock();
        self.next = self.next.max(next);
        let unread = if self.next <= self.hub.head() { self.next } else { 0 };
        if let Some(slot) = inner.slots.get_mut(&self.id) {
            slot.unread = unread;
        }
    }

    /// Waits until there may be something unread.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Everything before the head, and before [`Place::next`], has been taken.
    pub(crate) fn is_read(&self) -> bool {
        self.hub.inner.lock().slots.get(&self.id).is_none_or(|slot| slot.unread == 0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.inner.lock().slots.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::kv::{EventKind, KeyValue};

    fn event(key: &'static str, revision: Revision) -> Event {
        let kv = KeyValue {
            key: Bytes::from_static(key.as_bytes()),
            value: Bytes::new(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: 0,
        };
        Event { kind: EventKind::Put, kv, prev: None }
    }

    fn hub(revisions: usize) -> Arc<Hub> {
        Hub::new(Memory { revisions, bytes: usize::MAX }, 9)
    }

    fn key(key: &'static str) -> Span {
        Span::of(&Bytes::from_static(key.as_bytes()), None)
    }

    fn taken(place: &mut Place) -> Option<Vec<Revision>> {
        match place.look(64) {
            Look::Events(found) => Some(found.into_iter().map(|(revision, _)| revision).collect()),
            Look::Nothing => Some(Vec::new()),
            Look::Behind => None,
        }
    }

    #[test]
    fn a_watch_takes_what_touches_its_keys_once() {
        let hub = hub(100);
        let (mut pods, mut nodes) = (hub.add(key("pod"), 10), hub.add(key("node"), 12));
        for (revision, key) in [(10, "pod"), (11, "node"), (12, "node"), (13, "pod")] {
            hub.publish(revision, vec![event(key, revision)]);
        }
        assert_eq!(hub.head(), 13);
        assert_eq!(pods.look(1), Look::Events(vec![(10, vec![event("pod", 10)])]));
        assert!(!pods.is_read());
        assert_eq!(taken(&mut pods), Some(vec![13]));
        assert_eq!(taken(&mut pods), Some(vec![]));
        assert_eq!(taken(&mut nodes), Some(vec![12]), "not before the revision it asked for");
        let mut late = hub.add(key("pod"), 11);
        assert_eq!(taken(&mut late), Some(vec![13]));
    }

    #[test]
    fn what_has_left_the_ring_must_be_fetched() {
        let hub = hub(2);
        let (mut slow, mut quiet) = (hub.add(key("pod"), 10), hub.add(key("node"), 10));
        for revision in 10..=14 {
            hub.publish(revision, vec![event("pod", revision)]);
        }
        assert_eq!((taken(&mut slow), slow.next()), (None, 10));
        assert_eq!(taken(&mut quiet), Some(vec![]), "nothing of its keys is missing");
        slow.resume(14);
        assert_eq!(taken(&mut slow), Some(vec![14]));
        slow.resume(15);
        assert_eq!(taken(&mut slow), Some(vec![]));
    }

    #[test]
    fn after_a_gap_everybody_has_to_fetch() {
        let hub = hub(100);
        let mut quiet = hub.add(key("node"), 10);
        hub.publish(10, vec![event("pod", 10)]);
        assert_eq!(taken(&mut quiet), Some(vec![]));
        hub.skip_to(20);
        assert_eq!((hub.head(), taken(&mut quiet), quiet.next()), (20, None, 11));
    }

    #[test]
    fn what_is_compacted_is_not_told_from_memory() {
        let hub = hub(100);
        for revision in 10..=14 {
            hub.publish(revision, vec![event("pod", revision)]);
        }
        hub.forget(12);
        assert_eq!(taken(&mut hub.add(key("pod"), 11)), None);
        assert_eq!(taken(&mut hub.add(key("pod"), 12)), Some(vec![12, 13, 14]));
        hub.forget(100);
        assert_eq!(taken(&mut hub.add(key("pod"), 15)), Some(vec![]));
    }

    #[test]
    fn dropped_places_are_given_back() {
        let hub = hub(100);
        let place = hub.add(key("pod"), 10);
        assert_eq!(hub.inner.lock().slots.len(), 1);
        drop(place);
        assert_eq!(hub.inner.lock().slots.len(), 0);
        hub.learn(30);
        assert_eq!((hub.head(), hub.known()), (9, 30));
    }
}
