//! The objects of one kind at a revision, and the recent changes.
//!
//! The map is copy-on-write: a reader takes a snapshot in constant time and works on it without a lock. Order of publication, on
//! which bookmarks and fresh reads rest: first the map and the rings, then the revision. Whoever has read the revision
//! finds everything up to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::Status;
use api::kinds::KindRef;
use bytes::Bytes;
use imbl::{OrdMap, OrdSet};
use parking_lot::RwLock;
use store::{Kv, Revision, prefix_end};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::entry::{Entry, Shape};
use super::errors;
use super::event::Event;
use super::metrics::Metrics;
use super::query::Freshness;
use super::topic::{Scope, Topic, Topics};

/// Objects by key, in key order. The keys are the store's own.
pub(super) type Objects = OrdMap<Bytes, Arc<Entry>>;

/// Which objects have which value of the indexed field: (value, key). Empty where the kind has none.
pub(super) type ByValue = OrdSet<(Box<str>, Bytes)>;

/// What all caches share.
pub(super) struct Shared {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) options: Options,
    pub(super) stop: CancellationToken,
    /// Lists before this revision are refused.
    pub(super) compacted: AtomicU64,
}

/// The objects as of one revision.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) objects: Objects,
    pub(super) by_value: ByValue,
    /// Right for every revision from the last change...
    pub(super) changed: Revision,
    /// ...to this one.
    pub(super) revision: Revision,
}

struct Inner {
    now: Snapshot,
    topics: Topics,
    /// Snapshots that paged lists go on with; the newest last.
    pins: VecDeque<Snapshot>,
}

/// The cache of one kind.
pub(super) struct Cache {
    pub(super) kind: KindRef,
    pub(super) shape: Shape,
    pub(super) prefix: Bytes,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    inner: RwLock<Inner>,
    /// Everything up to this revision is in `inner`; 0 until the first list is there.
    head: watch::Sender<Revision>,
    /// The newest revision that was acknowledged to a writer of this kind.
    written: AtomicU64,
    /// Somebody waits for a newer revision: see whether there is one.
    pub(super) poke: Notify,
}

/// How many snapshots paged lists may hold. Each holds the map nodes that changed since, a few KiB per change; who pages
/// through an older one reads the store.
const PINS: usize = 8;

/// While somebody waits for a revision that has not happened, the store is asked again so often, as upstream does.
const ASK_AGAIN: Duration = Duration::from_millis(100);

impl Cache {
    pub(super) fn new(kind: KindRef, shared: Arc<Shared>) -> Self {
        let shape = Shape::of(kind);
        let inner = Inner {
            now: Snapshot { objects: Objects::new(), by_value: ByValue::new(), changed: 0, revision: 0 },
            topics: Topics::new(0, shape.table.index, shared.options.window),
            pins: VecDeque::new(),
        };
        Self {
            kind,
            shape,
            prefix: kind.storage_prefix().into(),
            metrics: Metrics::of(kind),
            shared,
            inner: RwLock::new(inner),
            head: watch::Sender::new(0),
            written: AtomicU64::new(0),
            poke: Notify::new(),
        }
    }

    /// The revision up to which the cache knows everything; 0 if it is not there yet.
    pub(super) fn revision(&self) -> Revision {
        *self.head.borrow()
    }

    /// A write of this kind was acknowledged: reads from now on must see it.
    pub(super) fn wrote(&self, revision: Revision) {
        self.written.fetch_max(revision, Ordering::AcqRel);
    }

    /// Waits until the cache has seen every write of this kind that was acknowledged before, by this server or another one.
    pub(super) async fn own_writes(&self) -> Result<(), Status> {
        self.fresh(if self.shared.kv.is_private() { Freshness::Own } else { Freshness::Latest }).await
    }

    /// Waits until the cache is as recent as the store was at the call.
    pub(super) async fn present(&self) -> Result<(), Status> {
        let revision = self.shared.kv.revision().await.map_err(errors::from_store)?;
        self.reach(revision).await
    }

    /// Waits until the cache is fresh enough to list from or to begin a watch.
    pub(super) async fn fresh(&self, freshness: Freshness) -> Result<(), Status> {
        match freshness {
            Freshness::Any => self.reach(0).await,
            Freshness::Own => self.reach(self.written.load(Ordering::Acquire)).await,
            Freshness::AtLeast(revision) | Freshness::Exact(revision) => self.reach(revision).await,
            Freshness::Latest => self.present().await,
        }
    }

    /// Waits until the cache has seen `revision`, and in any case until it is there.
    async fn reach(&self, revision: Revision) -> Result<(), Status> {
        let target = revision.max(1);
        if self.revision() >= target {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + self.shared.options.patience;
        let mut head = self.head.subscribe();
        loop {
            self.poke.notify_one();
            let seen = tokio::time::timeout(ASK_AGAIN, head.wait_for(|head| *head >= target)).await.is_ok();
            if seen {
                return Ok(());
            } else if self.shared.stop.is_cancelled() {
                return Err(errors::stopping());
            } else if tokio::time::Instant::now() >= deadline {
                let current = self.revision();
                return Err(if current == 0 { errors::initializing() } else { errors::too_large(target, current) });
            }
        }
    }

    /// The key of an object, as `Kind::key` makes it, in one allocation.
    pub(super) fn key(&self, namespace: &str, name: &str) -> Bytes {
        let mut key = Vec::with_capacity(self.prefix.len() + namespace.len() + 1 + name.len());
        key.extend_from_slice(&self.prefix);
        if self.kind.namespaced {
            key.extend_from_slice(namespace.as_bytes());
            key.push(b'/');
        }
        key.extend_from_slice(name.as_bytes());
        key.into()
    }

    /// One object as of now.
    pub(super) fn get(&self, key: &[u8]) -> Option<Arc<Entry>> {
        self.inner.read().now.objects.get(key).cloned()
    }

    /// The objects as of now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.inner.read().now.clone()
    }

    /// The objects as of `revision`, if they are remembered.
    pub(super) fn snapshot_at(&self, revision: Revision) -> Option<Snapshot> {
        let inner = self.inner.read();
        let covers = |snapshot: &&Snapshot| (snapshot.changed..=snapshot.revision).contains(&revision);
        std::iter::once(&inner.now).chain(inner.pins.iter().rev()).find(covers).cloned()
    }

    /// Remembers a snapshot for the next pages of a list.
    pub(super) fn pin(&self, snapshot: Snapshot) {
        let mut inner = self.inner.write();
        if inner.pins.iter().any(|pin| pin.changed == snapshot.changed && pin.revision >= snapshot.revision) {
            return;
        }
        if inner.pins.len() == PINS {
            inner.pins.pop_front();
        }
        inner.pins.push_back(snapshot);
    }

    /// Forgets what lies before `compacted`, and events that have grown too old.
    pub(super) fn trim(&self, compacted: Revision) {
        let mut inner = self.inner.write();
        inner.pins.retain(|pin| pin.revision >= compacted);
        inner.topics.trim();
    }

    /// The first state, or the next one after a gap.
    pub(super) fn install(&self, objects: Objects, revision: Revision) {
        self.metrics.objects(objects.len());
        let values = objects.iter().filter_map(|(key, entry)| self.value(key, entry));
        let by_value = values.collect();
        let mut inner = self.inner.write();
        inner.now = Snapshot { objects, by_value, changed: revision, revision };
        inner.topics.reset(revision);
        drop(inner);
        self.head.send_replace(revision);
        self.metrics.initialized();
    }

    /// What one revision did to this kind: (key, new entry or none if deleted).
    pub(super) fn apply(&self, revision: Revision, changes: Vec<(Bytes, Option<Arc<Entry>>)>) {
        let received = changes.len();
        let mut inner = self.inner.write();
        for (key, now) in changes {
            let before = match &now {
                Some(entry) => inner.now.objects.insert(key.clone(), entry.clone()),
                None => inner.now.objects.remove(&key),
            };
            self.reindex(&mut inner.now.by_value, &key, before.as_deref(), now.as_deref());
            if before.is_some() || now.is_some() {
                inner.topics.publish(&Arc::new(Event::new(revision, before, now)));
            }
        }
        (inner.now.changed, inner.now.revision) = (revision, revision);
        let objects = inner.now.objects.len();
        drop(inner);
        self.head.send_replace(revision);
        self.metrics.received(received, objects);
    }

    /// An object's place in the index, if its kind has one.
    fn value(&self, key: &Bytes, entry: &Entry) -> Option<(Box<str>, Bytes)> {
        Some((entry.row(self.shape.table.index?).into(), key.clone()))
    }

    fn reindex(&self, by_value: &mut ByValue, key: &Bytes, before: Option<&Entry>, now: Option<&Entry>) {
        let place = |entry: Option<&Entry>| entry.and_then(|entry| self.value(key, entry));
        let (before, now) = (place(before), place(now));
        if before == now {
            return;
        }
        if let Some(before) = before {
            by_value.remove(&before);
        }
        if let Some(now) = now {
            by_value.insert(now);
        }
    }

    /// Nothing happened to this kind up to `revision`.
    pub(super) fn progress(&self, revision: Revision) {
        if self.revision() >= revision {
            return;
        }
        let mut inner = self.inner.write();
        inner.now.revision = inner.now.revision.max(revision);
        drop(inner);
        self.head.send_if_modified(|head| std::mem::replace(head, revision.max(*head)) < revision);
    }

    /// Begins to watch a scope, with the state from which the changes go on.
    pub(super) fn join(self: &Arc<Self>, scope: Scope) -> (Snapshot, Subscription) {
        let mut inner = self.inner.write();
        let now = inner.now.clone();
        let topic = inner.topics.join(scope, now.revision);
        let all = inner.topics.all.clone();
        (now, Subscription { cache: self.clone(), topic, all })
    }

    /// How many watchers, remembered events, narrow topics.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        self.inner.read().topics.sizes()
    }

    /// First key, and first key after all, of a namespace or of the kind.
    pub(super) fn range(&self, namespace: Option<&str>) -> (Bytes, Bytes) {
        let start: Bytes = match namespace.filter(|namespace| self.kind.namespaced && !namespace.is_empty()) {
            Some(namespace) => format!("{}{namespace}/", self.kind.storage_prefix()).into(),
            None => self.prefix.clone(),
        };
        // A prefix that ends in '/' has an end.
        let end = prefix_end(&start).unwrap_or_default();
        (start, end)
    }
}

/// A watcher's place in its topic, given back when it is dropped.
pub(super) struct Subscription {
    pub(super) cache: Arc<Cache>,
    pub(super) topic: Arc<Topic>,
    /// The topic of the whole kind, with the longest memory.
    pub(super) all: Arc<Topic>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cache.inner.write().topics.leave(&self.topic);
    }
}
