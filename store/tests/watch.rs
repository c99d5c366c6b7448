//! Watches over time: progress when idle, an end when the store stops, nothing left behind when dropped.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::StreamExt;
use store::testing::{everything, next, prefix, put};
use store::{Error, Kv, Options, Signal, Store, WatchOptions};

const PROGRESS: WatchOptions = WatchOptions { from: 0, progress: true };

fn store() -> std::sync::Arc<Store> {
    let options = Options { progress_interval: Duration::from_millis(20), ..Options::in_memory() };
    Store::open(options, &base::Context::new()).unwrap()
}

#[tokio::test]
async fn an_idle_watch_says_how_far_it_is() {
    let store = store();
    let mut watch = store.watch(prefix("w/", 0), PROGRESS);
    assert_eq!(next(&mut watch).await, Ok(Signal::Started(1)));
    assert_eq!(next(&mut watch).await, Ok(Signal::Progress(1)));
    for _ in 0..10 {
        put(&*store, "other", "v").await.unwrap();
    }
    // One that was under way may come first.
    while next(&mut watch).await.unwrap() != Signal::Progress(11) {}
    put(&*store, "w/a", "v").await.unwrap();
    loop {
        match next(&mut watch).await.unwrap() {
            Signal::Events(12, _) => break,
            Signal::Progress(revision) => assert!(revision < 12, "progress must not overtake an event"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next(&mut watch).await, Ok(Signal::Progress(12)));
    // What progress has said is not held against the watch by compaction.
    store.compact(12).await.unwrap();
    put(&*store, "w/a", "v").await.unwrap();
    while !matches!(next(&mut watch).await.unwrap(), Signal::Events(13, _)) {}
}

/// Who waits until its watch has seen the store's revision would otherwise wait for the next change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_revision_is_never_ahead_of_what_watches_can_see() {
    let store = store();
    // A watch in the way makes the time between applying and publishing longer.
    let _watch = store.watch(prefix("w/", 0), WatchOptions::default());
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..3000 {
                put(&*store, "w/a", "v").await.unwrap();
            }
        }
    });
    let mut before = 0;
    while !writer.is_finished() {
        let revision = store.revision().await.unwrap();
        assert!(revision <= store.local_revision());
        assert!(revision >= before);
        before = revision;
    }
    writer.await.unwrap();
    assert_eq!(store.revision().await, Ok(3001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_been_seen_is_in_the_revision() {
    let store = store();
    let mut watch = store.watch(prefix("w/", 0), WatchOptions::default());
    // Many watches to tell make the time between applying and publishing longer.
    let _others: Vec<_> = (0..100).map(|_| store.watch(prefix("w/", 0), WatchOptions::default())).collect();
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..1000 {
                let all = (0..8).map(|at| put(&*store, format!("w/{at}"), "v"));
                futures::future::try_join_all(all).await.unwrap();
            }
        }
    });
    let mut last = 0;
    while last < 8001 {
        if let Signal::Events(revision, _) = next(&mut watch).await.unwrap() {
            last = revision;
        }
        assert!(store.revision().await.unwrap() >= last, "a watch had told of {last}");
        let read = store.range(everything(0)).await.unwrap().revision;
        assert!(store.revision().await.unwrap() >= read, "a read had shown {read}");
    }
    writer.await.unwrap();
}

#[tokio::test]
async fn progress_never_overtakes_an_event_under_load() {
    let store = store();
    let mut watch = store.watch(prefix("w/", 0), PROGRESS);
    let writer = async {
        for at in 0..400 {
            put(&*store, format!("w/{}", at % 5), "v").await.unwrap();
            if at % 50 == 0 {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    };
    let reader = async {
        let mut last = 0;
        while last < 401 {
            match next(&mut watch).await.unwrap() {
                Signal::Events(revision, _) => {
                    assert!(revision > last, "{revision} after {last}");
                    last = revision;
                }
                Signal::Progress(revision) | Signal::Started(revision) => {
                    assert!(revision >= last);
                    last = revision;
                }
            }
        }
    };
    futures::join!(writer, reader);
}

#[tokio::test]
async fn watches_end_with_the_store() {
    let context = base::Context::new();
    let store = Store::open(Options::in_memory(), &context).unwrap();
    let mut watch = store.watch(prefix("w/", 0), WatchOptions::default());
    assert_eq!(next(&mut watch).await, Ok(Signal::Started(1)));
    let waiting = tokio::spawn(async move { (next(&mut watch).await, watch.next().await) });
    assert!(context.shutdown(Duration::from_secs(20)).await);
    let (error, end) = waiting.await.unwrap();
    assert!(matches!(error, Err(Error::Unavailable(_))));
    assert_eq!(end, None);
    let mut late = store.watch(prefix("w/", 0), WatchOptions::default());
    assert!(matches!(next(&mut late).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn watches_end_when_the_last_pointer_to_the_store_is_dropped() {
    let store = Store::in_memory();
    let mut watch = store.watch(prefix("w/", 0), WatchOptions::default());
    put(&*store, "w/a", "v").await.unwrap();
    drop(store);
    // What was written before may still be read, or not.
    let ended = async { while next(&mut watch).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the watch must end");
}
