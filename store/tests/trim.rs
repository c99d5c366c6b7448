//! The log does not grow for ever, and what a snapshot replaced is still all there.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use store::disk::{Disk, MemoryDisk};
use store::testing::{delete, everything, next, put};
use store::{Kv, OpenError, Options, Page, Signal, Store, WatchOptions};

fn options(disk: &MemoryDisk) -> Options {
    Options { disk: Arc::new(disk.clone()), segment_bytes: 4000, trim_bytes: 8000, ..Options::new("/store") }
}

fn names(disk: &MemoryDisk, prefix: &str) -> Vec<String> {
    let all = disk.list(Path::new("/store")).unwrap();
    // One that was being written when the store closed does not count.
    all.into_iter().filter(|name| name.starts_with(prefix) && !name.ends_with(".tmp")).collect()
}

/// Writes `rounds` times 40 requests, compacting behind each round, and waits for the log to be trimmed.
async fn fill(store: &Store, disk: &MemoryDisk, rounds: u64) {
    for round in 0..rounds {
        for at in 0..40u64 {
            put(store, format!("k{}", at % 7), vec![b'v'; 100]).await.unwrap();
            if at % 9 == round % 9 {
                delete(store, format!("k{}", (at + round) % 7)).await.unwrap();
            }
        }
        let revision = store.revision().await.unwrap();
        store.compact(revision - 5).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while names(disk, "log-").len() > 8 || names(disk, "snapshot-").len() < 2 {
        assert!(Instant::now() < deadline, "the log was not trimmed: {:?}", disk.list(Path::new("/store")));
        tokio::task::yield_now().await;
        // Each compaction looks anew.
        put(store, "more", "").await.unwrap();
        store.compact(store.revision().await.unwrap() - 5).await.unwrap();
    }
}

/// Everything that can be asked of the store: each readable revision, and all events.
async fn all_of(store: &Store, compacted: u64) -> (Vec<Page>, Vec<Signal>) {
    let now = store.revision().await.unwrap();
    let mut pages = Vec::new();
    for revision in compacted..=now {
        pages.push(store.range(everything(revision)).await.unwrap());
    }
    let mut watch = store.watch(everything(0), WatchOptions { from: compacted, progress: false });
    let mut signals = Vec::new();
    while !matches!(signals.last(), Some(Signal::Events(revision, _)) if *revision == now) {
        signals.push(next(&mut watch).await.unwrap());
    }
    (pages, signals)
}

#[tokio::test]
async fn a_trimmed_store_opens_as_it_was() {
    let disk = MemoryDisk::new();
    let store = Store::open(options(&disk), &base::Context::new()).unwrap();
    fill(&store, &disk, 20).await;
    let compacted = store.revision().await.unwrap();
    let (lease, _) = store.lease_grant(0, 600).await.unwrap();
    let leased = store::Op::Put { key: "leased".into(), value: "".into(), lease };
    store.txn(store::Txn { then: vec![leased], ..Default::default() }).await.unwrap();
    let compacted = compacted + 1;
    // Compacts at a deletion, which a watch may begin with.
    put(&*store, "gone", "1").await.unwrap();
    delete(&*store, "gone").await.unwrap();
    store.compact(compacted + 2).await.unwrap();
    // Until then its event still says what was there before.
    store.swept(compacted + 2).await.unwrap();
    for at in 0..60 {
        put(&*store, "k1", at.to_string()).await.unwrap();
    }
    let before = all_of(&store, compacted + 2).await;
    let hash = store.hash_kv(0).await.unwrap();
    store.close().await;
    assert_eq!(names(&disk, "snapshot-").len(), 2);
    assert_eq!(names(&disk, "log-").iter().filter(|name| name.ends_with("0001")).count(), 0, "the first file is gone");
    for _ in 0..2 {
        let store = Store::open(options(&disk), &base::Context::new()).unwrap();
        assert_eq!(all_of(&store, compacted + 2).await, before);
        assert_eq!(store.hash_kv(0).await.unwrap(), hash);
        let info = store.lease_info(lease).await.unwrap();
        assert_eq!((info.granted, info.keys.as_slice()), (600, ["leased".into()].as_slice()));
        store.close().await;
    }
}

#[tokio::test]
async fn of_a_damaged_checkpoint_the_older_one_and_the_log_make_up_and_of_two_nothing() {
    let disk = MemoryDisk::new();
    let store = Store::open(options(&disk), &base::Context::new()).unwrap();
    fill(&store, &disk, 10).await;
    let (revision, hash) = (store.revision().await.unwrap(), store.hash_kv(0).await.unwrap());
    store.close().await;
    let mut paths: Vec<_> = names(&disk, "snapshot-").iter().map(|name| Path::new("/store").join(name)).collect();
    paths.sort();
    let [older, newer] = [0, 1].map(|at| disk.content(&paths[at]).unwrap());
    let open = async |contents: [Vec<u8>; 2]| {
        let copy = disk.copy();
        paths.iter().zip(contents).for_each(|(path, content)| copy.plant(path, content));
        let store = Store::open(options(&copy), &base::Context::new())?;
        let found = (store.revision().await.unwrap(), store.hash_kv(0).await.unwrap());
        store.close().await;
        Ok::<_, OpenError>(found)
    };
    let flipped = |whole: &[u8], at: usize| {
        let mut content = whole.to_vec();
        content[at] ^= 16;
        content
    };
    for at in (0..newer.len()).step_by(7) {
        assert_eq!(open([older.clone(), flipped(&newer, at)]).await.unwrap(), (revision, hash), "byte {at}");
    }
    for length in (0..newer.len()).step_by(101) {
        assert_eq!(open([older.clone(), newer[..length].to_vec()]).await.unwrap(), (revision, hash), "cut at {length}");
    }
    for at in 0..newer.len().min(older.len()) {
        match open([flipped(&older, at), flipped(&newer, at)]).await {
            Err(OpenError::Damaged { .. }) => {}
            Ok(_) => assert!(newer[at] == 0 || older[at] == 0, "byte {at} was not noticed (padding may be)"),
            Err(error) => panic!("{error}"),
        }
    }
    let copy = disk.copy();
    paths.iter().for_each(|path| copy.remove(path).unwrap());
    let missing = Store::open(options(&copy), &base::Context::new()).err().unwrap();
    assert!(matches!(missing, OpenError::Damaged { first: 1, .. }), "{missing}");
}
