//! What the API server holds, remembered: one reflector per kind (and selector) in a process, shared by all who look.
//!
//! A cache follows the server: it lists once, then watches from there on. Its [`Cache::revision`] is the resource version
//! up to which it has seen everything; whoever wrote something waits for that number instead of guessing
//! ([`Cache::wait_for`]). Objects are shared (`Arc`), never copied.

mod contents;
mod reflector;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, watch};

use base::Context;

use crate::object::{Key, Object};
use crate::rest::{Client, ListOptions};
use contents::Contents;

/// Something that happened to an object.
#[derive(Debug, Clone)]
pub enum Change<K> {
    /// It appeared.
    Added(Arc<K>),
    /// It changed.
    Updated {
        /// Before.
        old: Arc<K>,
        /// After.
        new: Arc<K>,
    },
    /// It went: the last state known.
    Deleted(Arc<K>),
}

impl<K> Change<K> {
    /// The state before, if there was one.
    pub fn old(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(_) => None,
            Self::Updated { old, .. } | Self::Deleted(old) => Some(old),
        }
    }

    /// The state after, if there is one. (The pair of `old`, no constructor.)
    #[allow(clippy::new_ret_no_self)]
    pub fn new(&self) -> Option<&Arc<K>> {
        match self {
            Self::Added(new) | Self::Updated { new, .. } => Some(new),
            Self::Deleted(_) => None,
        }
    }
}

type Observer<K> = Box<dyn Fn(&Change<K>) + Send + Sync>;

/// The objects of one kind, kept up to date. Clones share everything.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    contents: RwLock<Contents<K>>,
    observers: RwLock<Vec<Observer<K>>>,
    subscribers: Mutex<Vec<mpsc::Sender<Change<K>>>>,
    /// `None` until the first list has arrived.
    revision: watch::Sender<Option<u64>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K: Object> Cache<K> {
    /// A cache that nothing fills: for tests of code that reads caches. See [`Cache::apply`].
    pub fn detached() -> Self {
        Self {
            shared: Arc::new(Shared {
                contents: RwLock::new(Contents::default()),
                observers: RwLock::new(Vec::new()),
                subscribers: Mutex::new(Vec::new()),
                revision: watch::Sender::new(None),
            }),
        }
    }

    /// Resolves once the first list has arrived.
    pub async fn synced(&self) {
        let mut revision = self.shared.revision.subscribe();
        let _ = revision.wait_for(Option::is_some).await;
    }

    /// Whether the first list has arrived.
    pub fn is_synced(&self) -> bool {
        self.shared.revision.borrow().is_some()
    }

    /// The resource version up to which everything has been seen; 0 before the first list.
    pub fn revision(&self) -> u64 {
        self.shared.revision.borrow().unwrap_or(0)
    }

    /// Waits until everything up to `revision` has been seen; `false` if that takes longer than `patience`.
    pub async fn wait_for(&self, revision: u64, patience: Duration) -> bool {
        let mut seen = self.shared.revision.subscribe();
        let reached = seen.wait_for(|seen| seen.is_some_and(|seen| seen >= revision));
        tokio::time::timeout(patience, reached).await.is_ok_and(|result| result.is_ok())
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.shared.contents.read().get(key)
    }

    /// All objects, by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.contents.read().list()
    }

    /// The objects of one namespace, by name.
    pub fn namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.shared.contents.read().namespace(namespace)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.contents.read().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an index: `values` names what an object is found under. Adding one of that name again changes nothing.
    pub fn add_index(&self, name: &'static str, values: fn(&K) -> Vec<String>) {
        self.shared.contents.write().add_index(name, values);
    }

    /// The objects that the index `name` holds under `value`; none if there is no such index.
    pub fn by(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        self.shared.contents.read().by(name, value)
    }

    /// Calls `observer` for every object there is, then for every change, in order. It runs on the reflector's task and
    /// must not block: typically it puts keys into a queue.
    pub fn observe(&self, observer: impl Fn(&Change<K>) + Send + Sync + 'static) {
        let mut observers = self.shared.observers.write();
        for object in self.list() {
            observer(&Change::Added(object));
        }
        observers.push(Box::new(observer));
    }

    /// All objects there are as [`Change::Added`], then every change, in order. The reader must keep up: the reflector
    /// waits when `capacity` changes are unread. Dropping the subscription ends it.
    pub fn subscribe(&self, capacity: usize) -> Subscription<K> {
        let (sender, receiver) = mpsc::channel(capacity);
        // Under the observers' lock, as in `observe`: no change happens between the list and the registration.
        let _still = self.shared.observers.write();
        let initial = self.list();
        self.shared.subscribers.lock().push(sender);
        Subscription { initial: initial.into_iter(), receiver }
    }

    /// Applies one change as if the server had sent it; what the reflector does, and what tests of readers do.
    pub async fn apply(&self, event: Applied<K>) {
        let (change, subscribers) = {
            let observers = self.shared.observers.read();
            let (change, revision) = self.shared.contents.write().apply(event);
            if let Some(change) = &change {
                observers.iter().for_each(|observer| observer(change));
            }
            if let Some(revision) = revision {
                self.shared.revision.send_modify(|seen| *seen = Some(seen.unwrap_or(0).max(revision)));
            }
            // Those of this moment: whoever subscribes later finds the change in its list.
            let subscribers = self.shared.subscribers.lock().clone();
            (change, subscribers)
        };
        if let Some(change) = change {
            self.tell(subscribers, change).await;
        }
    }

    /// Replaces everything by a list: what differs becomes changes.
    pub async fn replace(&self, objects: Vec<K>, revision: u64) {
        let gone = {
            let kept: std::collections::HashSet<Key> = objects.iter().map(Object::key).collect();
            let present = self.list();
            present.into_iter().filter(|object| !kept.contains(&object.key())).collect::<Vec<_>>()
        };
        for object in gone {
            self.apply(Applied::Gone(object.key())).await;
        }
        for object in objects {
            self.apply(Applied::Present(object)).await;
        }
        self.shared.revision.send_modify(|seen| *seen = Some(revision.max(seen.unwrap_or(0))));
    }

    async fn tell(&self, subscribers: Vec<mpsc::Sender<Change<K>>>, change: Change<K>) {
        let mut closed = false;
        for subscriber in subscribers {
            closed |= subscriber.send(change.clone()).await.is_err();
        }
        if closed {
            self.shared.subscribers.lock().retain(|subscriber| !subscriber.is_closed());
        }
    }
}

/// What [`Cache::apply`] takes.
#[derive(Debug)]
pub enum Applied<K> {
    /// The object stands like this (the cache ignores what is older than what it has). Part of a list.
    Present(K),
    /// The same, from a watch: everything up to its resource version has been seen.
    Changed(K),
    /// The object went; its last state carries the resource version of the deletion.
    Deleted(K),
    /// The object is not in the list any more.
    Gone(Key),
    /// Nothing happened up to this version.
    Bookmark(u64),
}

/// See [`Cache::subscribe`].
pub struct Subscription<K> {
    initial: std::vec::IntoIter<Arc<K>>,
    receiver: mpsc::Receiver<Change<K>>,
}

impl<K> Subscription<K> {
    /// The next change; `None` when the cache is gone.
    pub async fn recv(&mut self) -> Option<Change<K>> {
        match self.initial.next() {
            Some(object) => Some(Change::Added(object)),
            None => self.receiver.recv().await,
        }
    }
}

/// Kind, namespace and selection of a cache → the `Cache<K>` itself.
type Known = HashMap<(TypeId, String, ListOptions), Arc<dyn Any + Send + Sync>>;

/// The caches of a process. Clones share them.
#[derive(Clone)]
pub struct Caches {
    client: Client,
    context: Context,
    caches: Arc<Mutex<Known>>,
}

impl Caches {
    /// No caches yet; each starts when it is first asked for, and lives as long as `context`.
    pub fn new(client: Client, context: Context) -> Self {
        Self { client, context, caches: Arc::default() }
    }

    /// The client that fills them.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The cache of all objects of a kind.
    pub fn of<K: Object>(&self) -> Cache<K> {
        self.selected("", ListOptions::default())
    }

    /// The cache of the objects of a kind in one namespace (or all, if empty) that `options` selects.
    pub fn selected<K: Object>(&self, namespace: &str, options: ListOptions) -> Cache<K> {
        let key = (TypeId::of::<K>(), namespace.to_string(), options.clone());
        let mut caches = self.caches.lock();
        if let Some(cache) = caches.get(&key).and_then(|any| any.downcast_ref::<Cache<K>>()) {
            return cache.clone();
        }
        let cache = Cache::<K>::detached();
        caches.insert(key, Arc::new(cache.clone()));
        let follow = reflector::follow(self.client.clone(), namespace.to_string(), options, cache.clone());
        self.context.spawn("reflector", follow);
        cache
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn map(name: &str, revision: u64) -> ConfigMap {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.into());
        map.metadata.namespace = Some("default".into());
        map.metadata.uid = Some(format!("uid-{name}"));
        map.metadata.resource_version = Some(revision.to_string());
        map
    }

    fn told(change: &Change<ConfigMap>) -> String {
        let name = |map: &ConfigMap| map.metadata.name.clone().unwrap_or_default();
        match change {
            Change::Added(new) => format!("+{}", name(new)),
            Change::Updated { old, new } => format!("{}>{}", old.revision(), new.revision()),
            Change::Deleted(old) => format!("-{}", name(old)),
        }
    }

    #[tokio::test]
    async fn subscribers_see_what_is_there_then_every_change() {
        let cache = Cache::detached();
        cache.replace(vec![map("a", 1)], 2).await;
        assert!(cache.is_synced());
        let mut changes = cache.subscribe(16);
        cache.apply(Applied::Changed(map("a", 3))).await;
        cache.apply(Applied::Changed(map("b", 4))).await;
        cache.apply(Applied::Deleted(map("a", 5))).await;
        cache.replace(vec![map("c", 6)], 7).await;
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(told(&changes.recv().await.unwrap()));
        }
        assert_eq!(seen, ["+a", "1>3", "+b", "-a", "-b", "+c"]);
        assert_eq!(cache.revision(), 7);
    }

    #[tokio::test]
    async fn what_is_older_than_the_cache_changes_nothing() {
        let cache = Cache::detached();
        cache.replace(vec![map("a", 5)], 5).await;
        cache.apply(Applied::Changed(map("a", 3))).await;
        assert_eq!(cache.get(&Key::new("default", "a")).unwrap().revision(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn writers_wait_for_their_own_revision() {
        let cache = Cache::detached();
        cache.replace(vec![], 5).await;
        assert!(cache.wait_for(5, Duration::from_secs(1)).await);
        assert!(!cache.wait_for(6, Duration::from_secs(1)).await);
        let waiting = tokio::spawn({
            let cache: Cache<ConfigMap> = cache.clone();
            async move { cache.wait_for(9, Duration::from_secs(60)).await }
        });
        cache.apply(Applied::Bookmark(9)).await;
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn indexes_follow_the_objects() {
        let cache = Cache::detached();
        cache.add_index("by-key", |map: &ConfigMap| map.data.iter().flatten().map(|(key, _)| key.clone()).collect());
        let with = |name: &str, revision, key: &str| {
            let mut map = map(name, revision);
            map.data = Some([(key.to_string(), String::new())].into());
            map
        };
        cache.replace(vec![with("a", 1, "x"), with("b", 2, "x")], 2).await;
        assert_eq!(cache.by("by-key", "x").len(), 2);
        cache.apply(Applied::Changed(with("a", 3, "y"))).await;
        assert_eq!((cache.by("by-key", "x").len(), cache.by("by-key", "y").len()), (1, 1));
        cache.apply(Applied::Deleted(with("b", 4, "x"))).await;
        assert!(cache.by("by-key", "x").is_empty() && cache.by("no-such-index", "x").is_empty());
        assert_eq!(cache.namespace("default").len(), 1);
    }
}
