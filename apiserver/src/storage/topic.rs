//! Who is told of what. A topic is a group of watchers with the same scope and a ring of the events in it, so that a change of one pod
//! wakes the watchers of its node and of its namespace and not those of a thousand other nodes.
//!
//! Nothing is sent to a watcher: it is woken and reads the ring at its own cursor. A slow one therefore costs no memory and
//! blocks nobody; when it has fallen behind its ring, it reads the ring of the whole kind, then the history of the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use store::Revision;
use tokio::sync::Notify;

use super::event::{Bounds, Event, Read, Ring};

/// What a group of watchers sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole kind.
    All,
    /// One namespace.
    Namespace(Box<str>),
    /// One key.
    Key(Bytes),
    /// Objects whose indexed field has, or had, this value.
    Value(Box<str>),
}

/// A group of watchers.
#[derive(Debug)]
pub(super) struct Topic {
    scope: Scope,
    ring: Mutex<Ring>,
    pub(super) wake: Notify,
    watchers: AtomicUsize,
}

impl Topic {
    fn new(scope: Scope, since: Revision) -> Arc<Self> {
        let (ring, wake) = (Mutex::new(Ring::new(since)), Notify::new());
        Arc::new(Self { scope, ring, wake, watchers: AtomicUsize::new(0) })
    }

    pub(super) fn read(&self, cursor: Revision, most: usize, batch: &mut Vec<Arc<Event>>) -> Read {
        self.ring.lock().read(cursor, most, batch)
    }

    /// Every event in scope after this revision can be read.
    pub(super) fn since(&self) -> Revision {
        self.ring.lock().since
    }

    fn watchers(&self) -> usize {
        self.watchers.load(Ordering::Relaxed)
    }

    fn push(&self, event: &Arc<Event>, bounds: &Bounds) {
        self.ring.lock().push(event.clone(), bounds);
        if self.watchers() > 0 {
            self.wake.notify_waiters();
        }
    }
}

/// The topics of one kind. Lives under the lock of the cache, so that a new topic misses nothing.
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) all: Arc<Topic>,
    namespaces: HashMap<Box<str>, Arc<Topic>>,
    keys: HashMap<Bytes, Arc<Topic>>,
    values: HashMap<Box<str>, Arc<Topic>>,
    /// The indexed row of the kind.
    index: Option<usize>,
    bounds: Bounds,
}

/// Events whose frames are kept for the watchers that have not read them yet.
const FRAMES: usize = 32;

/// A narrow topic remembers so many times fewer events than the whole kind.
const NARROW: usize = 8;

impl Topics {
    pub(super) fn new(since: Revision, index: Option<usize>, bounds: Bounds) -> Self {
        Self {
            all: Topic::new(Scope::All, since),
            namespaces: HashMap::new(),
            keys: HashMap::new(),
            values: HashMap::new(),
            index,
            bounds,
        }
    }

    /// Adds a watcher. Its topic has every event after `since`, the revision of the cache, or after an earlier one.
    pub(super) fn join(&mut self, scope: Scope, since: Revision) -> Arc<Topic> {
        let fresh = || Topic::new(scope.clone(), since);
        let topic = match &scope {
            Scope::All => &self.all,
            Scope::Namespace(namespace) => self.namespaces.entry(namespace.clone()).or_insert_with(fresh),
            Scope::Key(key) => self.keys.entry(key.clone()).or_insert_with(fresh),
            Scope::Value(value) => self.values.entry(value.clone()).or_insert_with(fresh),
        };
        topic.watchers.fetch_add(1, Ordering::Relaxed);
        topic.clone()
    }

    /// Takes a watcher out; a narrow topic goes with its last one.
    pub(super) fn leave(&mut self, topic: &Topic) {
        if topic.watchers.fetch_sub(1, Ordering::Relaxed) > 1 {
            return;
        }
        match &topic.scope {
            Scope::All => {}
            Scope::Namespace(namespace) => drop(self.namespaces.remove(namespace)),
            Scope::Key(key) => drop(self.keys.remove(key)),
            Scope::Value(value) => drop(self.values.remove(value)),
        }
    }

    fn narrow(&self, event: &Event) -> [Option<&Arc<Topic>>; 4] {
        let Some(entry) = event.entry() else { return [None; 4] };
        let value = |entry: Option<&Arc<super::Entry>>| {
            let entry = entry.filter(|_| !self.values.is_empty())?;
            self.values.get(entry.row(self.index?))
        };
        let (now, before) = (value(event.now.as_ref()), value(event.before.as_ref()));
        let same = matches!((now, before), (Some(now), Some(before)) if Arc::ptr_eq(now, before));
        let namespace = (!self.namespaces.is_empty()).then(|| self.namespaces.get(entry.namespace())).flatten();
        let key = (!self.keys.is_empty()).then(|| self.keys.get(entry.key())).flatten();
        [namespace, key, now, before.filter(|_| !same)]
    }

    /// Tells everybody concerned. The caller publishes the revision afterwards.
    pub(super) fn publish(&self, event: &Arc<Event>) {
        let narrow = self.narrow(event);
        let watchers = self.all.watchers() + narrow.iter().flatten().map(|topic| topic.watchers()).sum::<usize>();
        if watchers > 1 {
            event.share();
        }
        self.all.push(event, &self.bounds);
        if let Some(old) = self.all.ring.lock().back(FRAMES) {
            old.retire();
        }
        let bounds = Bounds { events: self.bounds.events / NARROW, bytes: self.bounds.bytes / NARROW, ..self.bounds };
        for topic in narrow.into_iter().flatten() {
            topic.push(event, &bounds);
        }
    }

    /// Forgets all events: there may be a gap before `since`. Watchers go on from the store's history, if it reaches back.
    pub(super) fn reset(&mut self, since: Revision) {
        for topic in self.every() {
            *topic.ring.lock() = Ring::new(since);
            topic.wake.notify_waiters();
        }
    }

    /// Drops what has grown too old.
    pub(super) fn trim(&self) {
        for topic in self.every() {
            topic.ring.lock().trim(&self.bounds);
        }
    }

    fn every(&self) -> impl Iterator<Item = &Arc<Topic>> {
        let narrow = self.namespaces.values().chain(self.keys.values()).chain(self.values.values());
        std::iter::once(&self.all).chain(narrow)
    }

    /// How many watchers there are, events remembered, narrow topics.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        let watchers = self.every().map(|topic| topic.watchers()).sum();
        (watchers, self.all.ring.lock().len(), self.every().count() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use api::kinds::KindRef;
    use serde_json::json;

    use super::super::entry::{Entry, Shape};
    use super::*;

    fn pods() -> KindRef {
        api::kinds::find("", "v1", "pods").unwrap().0
    }

    fn pod(path: &str, node: &str, revision: Revision) -> Option<Arc<Entry>> {
        let bytes = serde_json::to_vec(&json!({"metadata": {}, "spec": {"nodeName": node}})).unwrap();
        Some(Arc::new(
            Shape::of(pods())
                .build(
                    pods().key("", "").replace("//", "/").into_bytes().into_iter().chain(path.bytes()).collect(),
                    bytes.into(),
                    revision,
                )
                .unwrap(),
        ))
    }

    fn topics() -> Topics {
        let bounds = Bounds { events: 80, bytes: usize::MAX, age: Duration::from_secs(60) };
        Topics::new(1, Shape::of(pods()).table.index, bounds)
    }

    #[test]
    fn only_those_concerned_are_told() {
        let mut topics = topics();
        let key = Bytes::from("/registry/pods/a/x");
        let scopes = [
            Scope::All,
            Scope::Namespace("a".into()),
            Scope::Namespace("b".into()),
            Scope::Key(key),
            Scope::Value("n1".into()),
            Scope::Value("n2".into()),
        ];
        let joined = scopes.map(|scope| topics.join(scope, 1));
        let table = [
            // All, ns a, ns b, key a/x, node n1, node n2
            ((None, pod("a/x", "", 2)), [1, 1, 0, 1, 0, 0]),
            ((pod("a/x", "", 2), pod("a/x", "n1", 3)), [1, 1, 0, 1, 1, 0]),
            ((pod("a/x", "n1", 3), pod("a/x", "n1", 4)), [1, 1, 0, 1, 1, 0]),
            ((pod("a/x", "n1", 4), pod("a/x", "n2", 5)), [1, 1, 0, 1, 1, 1]),
            ((pod("b/y", "n2", 5), None), [1, 0, 1, 0, 0, 1]),
        ];
        for (index, ((before, now), want)) in table.into_iter().enumerate() {
            let revision = index as Revision + 2;
            topics.publish(&Arc::new(Event::new(revision, before, now)));
            let told = joined.each_ref().map(|topic| {
                let mut batch = Vec::new();
                topic.read(revision - 1, 9, &mut batch);
                batch.len()
            });
            assert_eq!(told, want, "{revision}");
        }
        assert_eq!(topics.sizes(), (6, 5, 5));
        for topic in &joined {
            topics.leave(topic);
        }
        assert_eq!(topics.sizes(), (0, 5, 0), "narrow topics go with their last watcher");
    }

    #[test]
    fn a_reset_leaves_everybody_behind() {
        let mut topics = topics();
        let topic = topics.join(Scope::Namespace("a".into()), 1);
        topics.publish(&Arc::new(Event::new(2, None, pod("a/x", "", 2))));
        topics.reset(9);
        assert_eq!((topic.read(2, 9, &mut Vec::new()), topic.since()), (Read::Behind, 9));
    }
}
