//! Keeps a cache in step with the store: one list, then one watch from its revision, for as long as the server runs.
//!
//! A watch that breaks goes on from where it was. Only if that is compacted is everything listed again; watchers then continue from
//! the store's history as far as it reaches, and are told 410 otherwise.
//!
//! How the cache knows that it is up to date though nothing happened to its kind: everything that the store has made known as
//! its local revision can be read from its watches without waiting. So when the watch has nothing more to say, the cache is
//! at the local revision that was read *before* looking.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use store::{Error, EventKind, Range, Revision, Signal, WatchOptions};

use super::cache::{Cache, Objects};

/// Keys per read of the first list.
const PAGE: usize = 1000;

/// First and longest pause between attempts to reach the store.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Feeds `cache` until its task is dropped.
pub(super) async fn run(cache: Arc<Cache>) {
    let mut pause = PAUSE.0;
    let mut gap = true;
    loop {
        if gap {
            match load(&cache).await {
                Ok((objects, revision)) => {
                    cache.install(objects, revision);
                    pause = PAUSE.0;
                }
                Err(error) => {
                    tracing::warn!(kind = cache.kind.plural, %error, "cannot list from the store, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE.1);
                    continue;
                }
            }
        }
        let before = cache.revision();
        let error = follow(&cache).await;
        tracing::warn!(kind = cache.kind.plural, %error, "watch of the store ended, going on");
        gap = matches!(error, Error::Compacted(_));
        // A watch that got somewhere was no failed attempt.
        pause = if cache.revision() > before { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause).await;
    }
}

/// All objects of the kind at one revision.
async fn load(cache: &Cache) -> Result<(Objects, Revision), Error> {
    let (start, end) = cache.range(None);
    let mut range = Range { key: start, end: Some(end), limit: PAGE, ..Range::default() };
    let mut objects = Objects::new();
    loop {
        let page = cache.shared.kv.range(range.clone()).await?;
        if range.revision == 0 {
            range.revision = page.revision;
        }
        for kv in page.kvs {
            range.key = kv.key.iter().copied().chain([0]).collect();
            match cache.shape.entry(kv) {
                Ok(entry) => drop(objects.insert(entry.key().clone(), Arc::new(entry))),
                Err(error) => damaged(cache, &error),
            }
        }
        if !page.more {
            return Ok((objects, range.revision));
        }
    }
}

fn damaged(cache: &Cache, error: &super::scan::Damaged) {
    tracing::error!(kind = cache.kind.plural, %error, "stored object is left out");
}

/// The watch of the whole kind after the revision that the cache is at.
async fn follow(cache: &Cache) -> Error {
    let kv = &cache.shared.kv;
    let (key, end) = cache.range(None);
    // No progress signals: an idle cache sleeps, and asks when somebody needs to know.
    let options = WatchOptions { from: cache.revision() + 1, progress: false };
    let mut watch = kv.watch(Range { key, end: Some(end), ..Range::default() }, options);
    let mut started = false;
    loop {
        let local = kv.local_revision();
        let signal = match ready(&mut watch) {
            Some(signal) => signal,
            None => {
                if started {
                    cache.progress(local);
                }
                tokio::select! {
                    signal = watch.next() => signal,
                    () = cache.poke.notified() => continue,
                }
            }
        };
        match signal {
            Some(Ok(Signal::Started(_))) => started = true,
            Some(Ok(Signal::Progress(revision))) => cache.progress(revision),
            Some(Ok(Signal::Events(revision, events))) => cache.apply(revision, changes(cache, events)),
            Some(Err(error)) => return error,
            None => return Error::Unavailable("the watch ended".into()),
        }
    }
}

fn changes(cache: &Cache, events: Vec<store::Event>) -> Vec<(Bytes, Option<Arc<super::Entry>>)> {
    let mut changes = Vec::with_capacity(events.len());
    for event in events {
        match event.kind {
            EventKind::Delete => changes.push((event.kv.key, None)),
            EventKind::Put => match cache.shape.entry(event.kv) {
                Ok(entry) => changes.push((entry.key().clone(), Some(Arc::new(entry)))),
                Err(error) => damaged(cache, &error),
            },
        }
    }
    changes
}

/// A stream of the store's watch.
pub(super) type Watch = BoxStream<'static, Result<Signal, Error>>;

/// What the watch has to say without waiting. Not limited by tokio's task budget: a spurious "nothing" would be taken for
/// being up to date.
pub(super) fn ready(watch: &mut Watch) -> Option<Option<Result<Signal, Error>>> {
    tokio::task::unconstrained(watch.next()).now_or_never()
}
