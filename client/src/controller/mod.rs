//! Acting on what the caches say: triggers put keys into a work queue, a reconciler makes one key right at a time.
//!
//! A reconciler takes a key, never an event: it reads the present from the caches, decides with a pure function, writes.
//! What it wrote it tells its [`Pass`]; its next run for that key waits until the caches have seen those writes, so it
//! never decides on a past that it changed itself. This replaces upstream's expectations.

mod queue;
mod runner;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;

pub use queue::Queue;
pub use runner::run;

use crate::cache::{Cache, Caches};
use crate::error::Error;
use crate::object::{Key, Object};

/// What a reconciler asks for when it is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing until something changes.
    Done,
    /// Look again after this time, even if nothing changes (deadlines, progress).
    After(Duration),
}

/// Makes the world right for one key.
pub trait Reconciler: Send + Sync + 'static {
    /// Name in logs and metrics, e.g. `replicaset`.
    fn name(&self) -> &'static str;

    /// What makes a key dirty. Asking for a cache starts it; the first reconcile waits until all of them are synced.
    fn triggers(&self, caches: &Caches) -> Vec<Trigger>;

    /// Makes one key right. An error means: try again, later each time.
    fn reconcile(&self, key: &Key, pass: &Pass) -> impl Future<Output = Result<Action, Error>> + Send;
}

type Start = Box<dyn FnOnce(Arc<Queue>) + Send>;

/// One source of dirty keys.
pub struct Trigger {
    start: Start,
    synced: BoxFuture<'static, ()>,
}

impl Trigger {
    /// Every change in `cache` dirties the keys that `keys` says, given the object before and after.
    pub fn of<K: Object>(
        cache: &Cache<K>,
        keys: impl Fn(Option<&K>, Option<&K>) -> Vec<Key> + Send + Sync + 'static,
    ) -> Self {
        let (observed, waited) = (cache.clone(), cache.clone());
        let start: Start = Box::new(move |queue: Arc<Queue>| {
            observed.observe(move |change| {
                for key in keys(change.old().map(Arc::as_ref), change.new().map(Arc::as_ref)) {
                    queue.add(key);
                }
            });
        });
        Self { start, synced: Box::pin(async move { waited.synced().await }) }
    }

    /// Every change dirties the object itself.
    pub fn each<K: Object>(cache: &Cache<K>) -> Self {
        Self::of(cache, |old, new| new.or(old).map(Object::key).into_iter().collect())
    }

    /// Every change dirties the controller owner of kind `owner_kind` (`metadata.ownerReferences[controller]`).
    pub fn owned<K: Object>(cache: &Cache<K>, owner_kind: &'static str) -> Self {
        Self::of(cache, move |old, new| {
            let mut keys: Vec<Key> = [old, new].into_iter().flatten().filter_map(|o| owner(o, owner_kind)).collect();
            keys.dedup();
            keys
        })
    }

    /// Nothing dirties keys, but the first reconcile waits for this cache.
    pub fn only_wait<K: Object>(cache: &Cache<K>) -> Self {
        Self::of(cache, |_, _| Vec::new())
    }
}

fn owner<K: Object>(object: &K, kind: &str) -> Option<Key> {
    let meta = object.metadata();
    let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
    (owner.kind == kind).then(|| Key::new(meta.namespace.clone().unwrap_or_default(), owner.name.clone()))
}

/// One run of a reconciler: collects what it wrote.
#[derive(Default)]
pub struct Pass {
    written: Mutex<Vec<BoxFuture<'static, bool>>>,
}

/// How long a run waits for a cache to see what the run before wrote, before it goes on with what there is.
const CATCH_UP: Duration = Duration::from_secs(10);

impl Pass {
    /// `object` was created or changed: the next run for this key waits until `cache` has seen that.
    pub fn wrote<K: Object>(&self, cache: &Cache<K>, object: &K) {
        let (cache, revision) = (cache.clone(), object.revision());
        self.written.lock().push(Box::pin(async move { cache.wait_for(revision, CATCH_UP).await }));
    }

    /// `object` was asked to go: the next run waits until `cache` shows it going or gone.
    pub fn deleted<K: Object>(&self, cache: &Cache<K>, object: &K) {
        let (cache, key, uid) = (cache.clone(), object.key(), object.uid().to_string());
        self.written.lock().push(Box::pin(async move {
            let mut changes = cache.subscribe(64);
            let going = |cache: &Cache<K>| {
                cache.get(&key).is_none_or(|now| now.uid() != uid || now.metadata().deletion_timestamp.is_some())
            };
            let seen = async {
                while !going(&cache) {
                    if changes.recv().await.is_none() {
                        break;
                    }
                }
            };
            tokio::time::timeout(CATCH_UP, seen).await.is_ok()
        }));
    }

    /// Waits for everything; `false` if something did not show up in time.
    pub(crate) async fn caught_up(self) -> bool {
        let written = self.written.into_inner();
        futures::future::join_all(written).await.into_iter().all(|seen| seen)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written.lock().is_empty()
    }
}
