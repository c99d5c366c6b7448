//! Writers, watchers and compaction at the same time. Every watcher must end with the same objects as the store, having seen
//! every revision once and in order, wherever it resumed.

use std::collections::BTreeMap;

use super::*;

const WRITERS: usize = 4;
const WRITES: usize = 250;

/// Small windows, so that falling back to history happens all the time.
fn options() -> Options {
    Options { window: Bounds { events: 64, bytes: usize::MAX, age: Duration::from_secs(300) }, ..Options::default() }
}

/// Creates, changes and deletes pods of its own, pseudo-randomly.
async fn write(storage: Arc<Storage>, writer: usize) {
    let pods = kind("pods");
    let mut seed = writer as u64 + 1;
    for _ in 0..WRITES {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = (seed >> 33) as usize;
        let (name, app, node) =
            (format!("w{writer}-{}", pick % 7), format!("{}", pick / 7 % 3), format!("n{}", pick / 21 % 3));
        let ns = if pick.is_multiple_of(2) { "a" } else { "b" };
        let object = pod(ns, &name, &app, &node);
        match storage.get(pods, ns, &name, Freshness::Latest).await.unwrap() {
            None => drop(storage.create(pods, ns, &name, &object).await.unwrap()),
            Some(entry) if pick.is_multiple_of(5) => {
                assert!(matches!(storage.delete(pods, ns, &name, entry.revision()).await.unwrap(), Updated::Done(_)));
            }
            Some(entry) => {
                let done = storage.update(pods, ns, &name, entry.revision(), &object).await.unwrap();
                assert!(matches!(done, Updated::Done(_)), "nobody else writes it");
            }
        }
    }
}

type Model = BTreeMap<(String, String), Revision>;

fn apply(model: &mut Model, item: &WatchItem, last: &mut Revision) {
    let Some(change) = item.change() else { return };
    assert!(item.revision() > *last, "{} after {last}", item.revision());
    *last = item.revision();
    let key = (change.namespace().to_string(), change.name().to_string());
    match item {
        WatchItem::Added(_) => assert!(model.insert(key, change.revision()).is_none(), "added twice"),
        WatchItem::Modified(_) => assert!(model.insert(key, change.revision()).is_some(), "modified but not there"),
        WatchItem::Deleted(_) => assert!(model.remove(&key).is_some(), "deleted but not there"),
        WatchItem::Bookmark { .. } => {}
    }
}

/// Watches until `done` has a revision and everything up to it has been seen; breaks off and resumes now and then.
async fn follow(
    storage: Arc<Storage>,
    labels: &'static str,
    fields: &'static str,
    patience: usize,
    mut done: tokio::sync::watch::Receiver<Revision>,
) -> Model {
    let pods = kind("pods");
    let mut model = Model::new();
    let query = WatchQuery {
        predicate: select(labels, fields),
        initial_events: true,
        ..watch_from(WatchFrom::State(Freshness::Latest))
    };
    let mut items = storage.watch(pods, query.clone()).await.unwrap();
    let mut last = loop {
        let item = next(&mut items).await.unwrap();
        if let WatchItem::Bookmark { revision, initial_end: true } = item {
            break revision;
        }
        apply(&mut model, &item, &mut 0);
    };
    let mut taken = 0;
    loop {
        tokio::select! {
            biased;
            item = items.next() => {
                apply(&mut model, &item.unwrap().unwrap(), &mut last);
                taken += 1;
                if patience > 0 && usize::is_multiple_of(taken, patience) {
                    // Reads nothing for a while, then goes on elsewhere from what it has seen.
                    for _ in 0..50 {
                        tokio::task::yield_now().await;
                    }
                    let from = WatchQuery { from: WatchFrom::Revision(last), initial_events: false, ..query.clone() };
                    items = storage.watch(pods, from).await.unwrap();
                }
            }
            () = ended(&mut done) => {
                let expected = model_of(&storage, labels, fields).await;
                if model == expected {
                    return model;
                }
                let item = next(&mut items).await.unwrap();
                apply(&mut model, &item, &mut last);
            }
        }
    }
}

/// Until the writers are done.
async fn ended(done: &mut tokio::sync::watch::Receiver<Revision>) {
    let _ = done.wait_for(|end| *end > 0).await;
}

async fn model_of(storage: &Storage, labels: &str, fields: &str) -> Model {
    let query = ListQuery { predicate: select(labels, fields), ..ListQuery::default() };
    let listing = storage.list(kind("pods"), query).await.unwrap();
    listing.entries.iter().map(|e| ((e.namespace().to_string(), e.name().to_string()), e.revision())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_in_a_storm() {
    let rig = Rig::with(options());
    let (end, done) = tokio::sync::watch::channel(0);
    let selections = [
        ("", ""),
        ("app=1", ""),
        ("", "spec.nodeName=n1"),
        ("app!=2", "metadata.namespace=a"),
        ("", "spec.nodeName=n2,status.phase!=x"),
    ];
    let mut watchers = Vec::new();
    for (labels, fields) in selections {
        for patience in [0, 1, 7, 40] {
            watchers.push(tokio::spawn(follow(rig.storage.clone(), labels, fields, patience, done.clone())));
        }
    }
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(rig.storage.clone(), writer))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
    end.send_replace(rig.kv.local_revision());
    for watcher in watchers {
        watcher.await.unwrap();
    }
    assert_eq!(rig.storage.cache(kind("pods")).sizes().0, 0, "all watchers have left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_and_its_watch_leave_no_gap() {
    let rig = Rig::with(options());
    let writer = tokio::spawn(write(rig.storage.clone(), 9));
    while !writer.is_finished() {
        let listing = rig.storage.list(kind("pods"), ListQuery::default()).await.unwrap();
        let mut model: Model =
            listing.entries.iter().map(|e| ((e.namespace().to_string(), e.name().to_string()), e.revision())).collect();
        let mut items =
            rig.storage.watch(kind("pods"), watch_from(WatchFrom::Revision(listing.revision))).await.unwrap();
        let mut last = listing.revision;
        for _ in 0..10 {
            match tokio::time::timeout(Duration::from_millis(200), items.next()).await {
                Ok(item) => apply(&mut model, &item.unwrap().unwrap(), &mut last),
                Err(_) => break,
            }
        }
        let query = ListQuery { freshness: Freshness::Exact(last), ..ListQuery::default() };
        let at_last = rig.storage.list(kind("pods"), query).await.unwrap();
        let expected: Model =
            at_last.entries.iter().map(|e| ((e.namespace().to_string(), e.name().to_string()), e.revision())).collect();
        assert_eq!(model, expected, "list at {} and changes to {last}", listing.revision);
    }
    writer.await.unwrap();
}
