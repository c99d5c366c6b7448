//! One watcher: the present state if it asked for it, then the changes, and bookmarks in between.
//!
//! A watcher is a cursor, not a queue. It reads, in this order of preference: the ring of its topic, the ring of the kind, the
//! history of the store; the last two only to catch up. When even the store has forgotten what follows the cursor, it ends with 410.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use store::{Error, EventKind, Range, Revision, Signal, WatchOptions};
use tokio::time::Instant;

use super::cache::{Cache, Objects, Subscription};
use super::errors;
use super::event::{Change, Event, Read, WatchItem, decide};
use super::feed::{self, ready};
use super::query::{Freshness, Predicate, WatchFrom, WatchQuery};
use super::topic::Scope;

/// Events, or initial objects, taken at once.
const BATCH: usize = 64;

/// What a watch yields. An error is its last item.
pub(super) type Items = BoxStream<'static, Result<WatchItem, Status>>;

/// Begins a watch.
pub(super) async fn watch(cache: &Arc<Cache>, query: WatchQuery) -> Result<Items, Status> {
    let freshness = match query.from {
        WatchFrom::State(freshness) => freshness,
        WatchFrom::Now => Freshness::Latest,
        WatchFrom::Revision(_) => Freshness::Any,
    };
    cache.fresh(freshness).await?;
    let place = Place::of(cache, &query);
    let (now, subscription) = cache.join(place.scope(cache, &query.predicate));
    let initial = matches!(query.from, WatchFrom::State(_)).then(|| Initial {
        objects: now.objects,
        from: Bound::Included(place.start.clone()),
        mark_end: query.initial_events,
    });
    let every = cache.shared.options.bookmarks;
    let watcher = Watcher {
        subscription,
        place,
        predicate: query.predicate,
        cursor: if let WatchFrom::Revision(revision) = query.from { revision } else { now.revision },
        initial,
        history: None,
        batch: Vec::new(),
        out: VecDeque::new(),
        bookmark_at: (query.bookmarks && every > Duration::ZERO).then(|| Instant::now() + every),
        bookmark: None,
        ended: false,
    };
    let next = |mut watcher: Box<Watcher>| async move { watcher.next().await.map(|item| (item, watcher)) };
    Ok(stream::unfold(Box::new(watcher), next).boxed())
}

/// Which keys.
struct Place {
    start: Bytes,
    end: Bytes,
    /// Only objects of this name, where the keys do not say it.
    name: Option<String>,
    whole: bool,
}

impl Place {
    fn of(cache: &Cache, query: &WatchQuery) -> Self {
        let namespace = query.namespace.as_deref().or_else(|| query.predicate.fields.required("metadata.namespace"));
        let namespace = namespace.filter(|namespace| !namespace.is_empty());
        let (start, end) = cache.range(namespace);
        let name = query.name.clone().or_else(|| query.predicate.fields.required("metadata.name").map(String::from));
        match name {
            Some(name) if !cache.kind.namespaced || namespace.is_some() => {
                let key: Bytes = start.iter().copied().chain(name.bytes()).collect();
                let end = key.iter().copied().chain([0]).collect();
                Self { start: key, end, name: None, whole: false }
            }
            name => Self { whole: start == cache.prefix && name.is_none(), start, end, name },
        }
    }

    fn scope(&self, cache: &Cache, predicate: &Predicate) -> Scope {
        let table = cache.shape.table;
        let indexed = predicate.fields.terms().iter().find(|term| {
            !term.negated && !term.value.is_empty() && table.index.is_some() && table.find(&term.field) == table.index
        });
        // One key ends where it starts, but for a zero byte.
        if self.end.len() == self.start.len() + 1 {
            Scope::Key(self.start.clone())
        } else if let Some(term) = indexed {
            Scope::Value(term.value.as_str().into())
        } else if self.start == cache.prefix {
            Scope::All
        } else {
            let namespace = self.start.get(cache.prefix.len()..self.start.len() - 1).unwrap_or_default();
            Scope::Namespace(String::from_utf8_lossy(namespace).into())
        }
    }

    fn covers(&self, event: &Event) -> bool {
        self.whole
            || event.entry().is_some_and(|entry| {
                (&self.start..&self.end).contains(&entry.key())
                    && self.name.as_deref().is_none_or(|name| name == entry.name())
            })
    }
}

/// The state that is sent first.
struct Initial {
    objects: Objects,
    from: Bound<Bytes>,
    mark_end: bool,
}

struct Watcher {
    subscription: Subscription,
    place: Place,
    predicate: Predicate,
    /// Everything up to here has been put out.
    cursor: Revision,
    initial: Option<Initial>,
    /// The store's own watch, while catching up, and whether it has started.
    history: Option<(feed::Watch, bool)>,
    batch: Vec<Arc<Event>>,
    out: VecDeque<WatchItem>,
    /// When the next bookmark is due.
    bookmark_at: Option<Instant>,
    /// One that is due, as soon as nothing is left to say up to its revision.
    bookmark: Option<Revision>,
    ended: bool,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<WatchItem, Status>> {
        loop {
            if let Some(item) = self.out.pop_front() {
                return Some(Ok(item));
            }
            if self.ended {
                return None;
            }
            match self.step().await {
                Ok(()) => {}
                Err(Ended::Stopped) => return None,
                Err(Ended::Failed(status)) => {
                    self.ended = true;
                    self.cache().metrics.terminated();
                    return Some(Err(*status));
                }
            }
        }
    }

    fn cache(&self) -> &Arc<Cache> {
        &self.subscription.cache
    }

    /// Puts something out, or waits for a reason to try again.
    async fn step(&mut self) -> Result<(), Ended> {
        if let Some(initial) = self.initial.take() {
            self.put_initial(initial);
            return Ok(());
        }
        if self.history.is_some() {
            return self.catch_up().await;
        }
        let topic = self.subscription.topic.clone();
        // Before looking: who is woken between the look and the wait must not be missed.
        let woken = topic.wake.notified();
        let mut read = topic.read(self.cursor, BATCH, &mut self.batch);
        if read == Read::Behind {
            let since = topic.since();
            read = self.subscription.all.read(self.cursor, BATCH, &mut self.batch);
            if read == Read::Nothing {
                // Events enter the ring of the kind first, so it had everything up to `since`: nothing. From here on the
                // topic suffices, whatever happens to the rest of the kind.
                self.cursor = self.cursor.max(since);
                return Ok(());
            }
        }
        match read {
            Read::Some(upto) => self.put_events(upto),
            Read::Behind => self.begin_history(),
            Read::Nothing => match self.bookmark.take() {
                // Everything up to it had been published before the look that found nothing.
                Some(revision) => self.put_bookmark(revision),
                None => self.wait(woken).await?,
            },
        }
        Ok(())
    }

    async fn wait(&mut self, woken: tokio::sync::futures::Notified<'_>) -> Result<(), Ended> {
        let due = async {
            match self.bookmark_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = woken => return Ok(()),
            () = self.subscription.cache.shared.stop.cancelled() => return Err(Ended::Stopped),
            () = due => {}
        }
        // If the store cannot say how far it is, the bookmark tells what the cache knows.
        if let Err(error) = self.cache().present().await {
            tracing::debug!(%error, "bookmark from what is known");
        }
        self.bookmark = Some(self.cache().revision());
        Ok(())
    }

    fn put_initial(&mut self, mut initial: Initial) {
        let range = (initial.from.as_ref().map(|key| &key[..]), Bound::Excluded(&self.place.end[..]));
        let mut last = None;
        for (key, entry) in initial.objects.range::<_, [u8]>(range) {
            if self.out.len() == BATCH {
                break;
            }
            last = Some(key.clone());
            let named = self.place.name.as_deref().is_none_or(|name| name == entry.name());
            if named && entry.matches(&self.predicate) {
                self.out.push_back(WatchItem::Added(Change::initial(entry.clone())));
            }
        }
        match last {
            Some(last) if self.out.len() == BATCH => {
                initial.from = Bound::Excluded(last);
                self.initial = Some(initial);
            }
            _ if initial.mark_end => {
                self.out.push_back(WatchItem::Bookmark { revision: self.cursor, initial_end: true });
            }
            _ => {}
        }
    }

    fn put_events(&mut self, upto: Revision) {
        let before = self.out.len();
        for event in self.batch.drain(..) {
            if self.place.covers(&event) {
                self.out.extend(decide(&event, &self.predicate));
            }
        }
        self.cursor = self.cursor.max(upto);
        self.subscription.cache.metrics.dispatched(self.out.len() - before);
    }

    fn put_bookmark(&mut self, revision: Revision) {
        self.cursor = self.cursor.max(revision);
        self.bookmark_at = Some(Instant::now() + self.cache().shared.options.bookmarks);
        // A watch from a future revision has nothing to say before it.
        if self.cursor == revision {
            self.out.push_back(WatchItem::Bookmark { revision, initial_end: false });
        }
    }

    fn begin_history(&mut self) {
        let range = Range { key: self.place.start.clone(), end: Some(self.place.end.clone()), ..Range::default() };
        let options = WatchOptions { from: self.cursor + 1, progress: false };
        self.history = Some((self.cache().shared.kv.watch(range, options), false));
    }

    /// Takes events from the store's history until a ring reaches back to the cursor.
    async fn catch_up(&mut self) -> Result<(), Ended> {
        let cache = self.subscription.cache.clone();
        let Some((watch, started)) = &mut self.history else { return Ok(()) };
        let local = cache.shared.kv.local_revision();
        let signal = match ready(watch) {
            Some(signal) => signal,
            None if *started => {
                // Nothing more up to what was the present (see `feed`).
                self.cursor = self.cursor.max(local);
                self.history = None;
                return Ok(());
            }
            None => tokio::select! {
                signal = watch.next() => signal,
                () = cache.shared.stop.cancelled() => return Err(Ended::Stopped),
            },
        };
        match signal {
            Some(Ok(Signal::Started(_))) => *started = true,
            Some(Ok(Signal::Progress(revision))) => self.cursor = self.cursor.max(revision),
            Some(Ok(Signal::Events(revision, events))) => {
                for event in events {
                    let event = rebuild(&cache, revision, event).map_err(|()| self.too_old(revision))?;
                    self.batch.push(Arc::new(event));
                }
                self.put_events(revision);
                if self.out.is_empty() {
                    // A long history in which nothing matches is no reason to keep others waiting.
                    tokio::task::yield_now().await;
                }
            }
            Some(Err(Error::Compacted(oldest))) => return Err(self.too_old(oldest)),
            Some(Err(error)) => return Err(Ended::Failed(Box::new(errors::from_store(error)))),
            None => return Err(Ended::Stopped),
        }
        if self.cursor >= self.subscription.all.since() {
            self.history = None;
        }
        Ok(())
    }

    fn too_old(&self, oldest: Revision) -> Ended {
        Ended::Failed(Box::new(errors::too_old(self.cursor, oldest)))
    }
}

/// Why there is nothing more.
enum Ended {
    /// The server stops.
    Stopped,
    /// The client is told why.
    Failed(Box<Status>),
}

/// An event out of the store's history. Fails if what was before is not known: then nobody can say what the change means to a selector.
fn rebuild(cache: &Cache, revision: Revision, event: store::Event) -> Result<Event, ()> {
    let entry = |kv| cache.shape.entry(kv).map(Arc::new).map_err(|_| ());
    let created = event.kv.version == 1;
    let before = event.prev.map(entry).transpose()?;
    match event.kind {
        EventKind::Put if before.is_some() || created => Ok(Event::new(revision, before, Some(entry(event.kv)?))),
        EventKind::Delete if before.is_some() => Ok(Event::new(revision, before, None)),
        _ => Err(()),
    }
}
