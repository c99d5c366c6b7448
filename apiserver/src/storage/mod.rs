//! Objects over a key-value store, with a watch cache for each kind.
//!
//! Reads (get, list, watch) come from the cache; a write is one transaction on the store, conditional on the revision. A cache
//! starts when its kind is first used and follows one watch of the store; nothing is polled.
//!
//! | module | what it gives |
//! |---|---|
//! | [`query`] | what is asked and answered, as values |
//! | [`entry`] | one object: stored bytes and the positions of what selectors need |
//! | `message` | its protobuf form, kept while there is room |
//! | `scan` | finds those positions in one pass, without building a tree |
//! | [`fields`] | the table of field selectors of each kind |
//! | [`event`] | a change, with its encoded frames shared by all watchers; rings of them |
//! | `topic` | groups of watchers that are woken together |
//! | `cache` | the objects of one kind at a revision, and the recent changes |
//! | `feed` | keeps a cache in step with the store |
//! | `watch` | one watcher: initial state, changes, bookmarks |
//! | `list` | lists at a revision, page by page |
//! | `write`, [`claim`] | create, update, delete; records that objects hold |
//! | `compact` | what the store forgets, and who of several servers says so |
//! | [`token`] | continue tokens |
//! | `errors`, `metrics` | the store's errors in the words of the API; counters under upstream's names |

mod cache;
pub mod claim;
mod compact;
pub mod entry;
mod errors;
pub mod event;
mod feed;
pub mod fields;
mod list;
mod message;
mod metrics;
pub mod query;
mod scan;
pub mod token;
mod topic;
mod watch;
mod write;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use api::Status;
use api::kinds::KindRef;
use base::Context;
use futures::stream::BoxStream;
use parking_lot::RwLock;
use store::Kv;

use cache::{Cache, Shared};

pub use claim::Claim;
pub use entry::Entry;
pub use event::{Bounds, Change, WatchItem};
pub use query::{Freshness, ListQuery, Listing, Predicate, Updated, WatchFrom, WatchQuery};

/// How the storage behaves; the defaults are upstream's where it has them.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store forgets what is older than this (and at most twice as old); zero: never.
    pub compaction: Duration,
    /// Time between bookmarks of a watch.
    pub bookmarks: Duration,
    /// How long a read waits for a revision that has not happened.
    pub patience: Duration,
    /// What each kind remembers of its changes. Watches that need older ones read the store's history.
    pub window: Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            compaction: Duration::from_secs(300),
            bookmarks: Duration::from_secs(60),
            patience: Duration::from_secs(3),
            window: Bounds { events: 4096, bytes: 8 << 20, age: Duration::from_secs(300) },
        }
    }
}

/// All kinds over one store.
pub struct Storage {
    shared: Arc<Shared>,
    context: Context,
    caches: RwLock<HashMap<(&'static str, &'static str), Arc<Cache>>>,
}

impl Storage {
    /// With the default options. Caches run in `context`; must be called in a tokio runtime.
    pub fn new(kv: Arc<dyn Kv>, context: Context) -> Arc<Self> {
        Self::with_options(kv, context, Options::default())
    }

    /// With other options.
    pub fn with_options(kv: Arc<dyn Kv>, context: Context, options: Options) -> Arc<Self> {
        let every = options.compaction;
        let stop = context.token();
        let shared = Arc::new(Shared { kv, options, stop, compacted: AtomicU64::new(0) });
        let storage = Arc::new(Self { shared, context, caches: RwLock::default() });
        if every > Duration::ZERO {
            storage.context.spawn("compaction", compact::regularly(Arc::downgrade(&storage), every));
        }
        storage
    }

    /// The store below.
    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.shared.kv
    }

    /// The cache of a kind; the first call starts it.
    fn cache(&self, kind: KindRef) -> Arc<Cache> {
        let id = (kind.group, kind.plural);
        if let Some(cache) = self.caches.read().get(&id) {
            return cache.clone();
        }
        let mut caches = self.caches.write();
        let start = || {
            let cache = Arc::new(Cache::new(kind, self.shared.clone()));
            self.context.spawn("watch cache", feed::run(cache.clone()));
            cache
        };
        caches.entry(id).or_insert_with(start).clone()
    }

    /// One object. [`Freshness::Latest`] sees everything of this kind that was written through this storage before the call.
    ///
    /// # Errors
    /// 504 if the revision has not come in time; 429 while the cache starts and the store does not answer.
    pub async fn get(
        &self,
        kind: KindRef,
        ns: &str,
        name: &str,
        fresh: Freshness,
    ) -> Result<Option<Arc<Entry>>, Status> {
        let cache = self.cache(kind);
        match fresh {
            Freshness::Latest => cache.own_writes().await?,
            other => cache.fresh(other).await?,
        }
        Ok(cache.get(&cache.key(ns, name)))
    }

    /// One object, no older than anything that anybody has seen, of whatever kind. [`Freshness::Latest`] may miss what another kind's
    /// watch has told of already: the other part of a write that is not answered yet.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub async fn present(&self, kind: KindRef, ns: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        let cache = self.cache(kind);
        cache.present().await?;
        Ok(cache.get(&cache.key(ns, name)))
    }

    /// All objects of a small kind, with everything of this kind that was written through this storage before the call: for rules
    /// that every write of another kind looks at. A list at the latest revision would wait for the writes of all kinds.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub async fn all(&self, kind: KindRef) -> Result<Vec<Arc<Entry>>, Status> {
        let cache = self.cache(kind);
        cache.own_writes().await?;
        Ok(cache.snapshot().objects.values().cloned().collect())
    }

    /// One object, as the cache has it at this moment.
    pub fn known(&self, kind: KindRef, ns: &str, name: &str) -> Option<Arc<Entry>> {
        let cache = self.cache(kind);
        cache.get(&cache.key(ns, name))
    }

    /// Many objects, as of one revision.
    ///
    /// # Errors
    /// As [`Storage::get`]; 410 if the revision is compacted, for a continued list with a token to go on inconsistently.
    pub async fn list(&self, kind: KindRef, query: ListQuery<'_>) -> Result<Listing, Status> {
        list::list(&self.cache(kind), query).await
    }

    /// Changes. An error in the stream (410, 503) is its last item; the stream also ends when the server stops.
    ///
    /// # Errors
    /// As [`Storage::get`].
    pub fn watch(
        &self,
        kind: KindRef,
        query: WatchQuery,
    ) -> impl Future<Output = Result<BoxStream<'static, Result<WatchItem, Status>>, Status>> + use<> {
        let cache = self.cache(kind);
        async move { watch::watch(&cache, query).await }
    }

    /// Whether every cache that was started is there.
    ///
    /// # Errors
    /// The kinds whose cache is not.
    pub fn kinds_synced(&self) -> Result<(), String> {
        let caches = self.caches.read();
        let mut behind: Vec<_> = caches.values().filter(|c| c.revision() == 0).map(|c| c.kind.qualified()).collect();
        behind.sort();
        if behind.is_empty() { Ok(()) } else { Err(format!("watch caches not synced: {}", behind.join(", "))) }
    }
}

#[cfg(test)]
mod tests;
