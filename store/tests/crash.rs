//! Losses of power, failing syncs and full disks, by seed, on a simulated disk. What must hold each time the store is opened
//! again: every acknowledged write is there, no transaction is half there, the revision has not gone back, and the store
//! opens (a loss of power is no damage). `STORE_CRASH_SEEDS=5000` runs more of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use store::disk::MemoryDisk;
use store::testing::{everything, prefix, put, put_op};
use store::{Error, Kv, Options, Range, Store, Txn};

fn seeds() -> u64 {
    std::env::var("STORE_CRASH_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(60)
}

fn open(disk: &MemoryDisk, fatal: &Arc<AtomicBool>) -> Arc<Store> {
    let flag = Arc::clone(fatal);
    let options = Options {
        disk: Arc::new(disk.clone()),
        segment_bytes: 6000,
        trim_bytes: 10_000,
        fatal: Arc::new(move |_| flag.store(true, Ordering::SeqCst)),
        ..Options::new("/store")
    };
    Store::open(options, &base::Context::new()).expect("a loss of power is no damage")
}

/// What the writers were told, over all lives.
#[derive(Default)]
struct Told {
    /// Key → the last acknowledged number, per writer.
    acknowledged: BTreeMap<String, u64>,
    /// The highest revision that was acknowledged or read.
    revision: u64,
}

/// Checks an opened store against what was told before.
async fn verify(store: &Store, told: &mut Told, seed: u64) {
    let revision = store.revision().await.unwrap();
    assert!(revision >= told.revision, "seed {seed}: revision went back from {} to {revision}", told.revision);
    told.revision = revision;
    let page = store.range(everything(0)).await.unwrap();
    let values: BTreeMap<_, _> = page
        .kvs
        .iter()
        .map(|kv| (String::from_utf8_lossy(&kv.key).into_owned(), (number(&kv.value), kv.mod_revision)))
        .collect();
    for (key, acknowledged) in &mut told.acknowledged {
        let found = values.get(key).map_or(0, |(number, _)| *number);
        assert!(found >= *acknowledged, "seed {seed}: {key} was acknowledged as {acknowledged} and is {found}");
        assert!(found <= *acknowledged + 1, "seed {seed}: {key} is {found}, only {acknowledged} + 1 was ever written");
        *acknowledged = found;
        assert_eq!(values.get(key), values.get(&format!("twin/{key}")), "seed {seed}: half a transaction");
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().trim_end_matches('.').parse().unwrap()
}

/// Writes pairs of keys until the store stops answering, and stores what was acknowledged.
async fn writer(store: Arc<Store>, key: String, mut count: u64, acks: Arc<AtomicU64>) -> (String, u64, u64) {
    let mut revision = 0;
    loop {
        // Of all sizes up to some sectors.
        let value = format!("{}{}", count + 1, ".".repeat((count as usize * 37) % 1500));
        let then = vec![put_op(key.clone(), value.clone()), put_op(format!("twin/{key}"), value)];
        match store.txn(Txn { then, ..Txn::default() }).await {
            Ok(reply) => (count, revision) = (count + 1, reply.revision),
            Err(_) => return (key, count, revision),
        }
        if count.is_multiple_of(16) {
            // Whether it is compacted or not is no matter here.
            let _ = store.compact(revision.saturating_sub(20)).await;
        }
        acks.fetch_add(1, Ordering::SeqCst);
    }
}

/// One store through several lives; `fault` breaks each of them.
async fn lives(seed: u64, fault: impl Fn(&MemoryDisk, u64)) {
    let disk = MemoryDisk::new();
    let mut told = Told::default();
    for life in 0..5 {
        let fatal = Arc::new(AtomicBool::new(false));
        let store = open(&disk, &fatal);
        verify(&store, &mut told, seed).await;
        let acks = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..6)
            .map(|id| {
                let key = format!("k{id}");
                let count = told.acknowledged.get(&key).copied().unwrap_or(0);
                tokio::spawn(writer(Arc::clone(&store), key, count, Arc::clone(&acks)))
            })
            .collect();
        let until = (seed * 7 + life * 13) % 90;
        while acks.load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
        fault(&disk, seed * 1000 + life);
        for task in tasks {
            let (key, count, revision) = task.await.unwrap();
            told.acknowledged.insert(key, count);
            told.revision = told.revision.max(revision);
        }
        assert!(fatal.load(Ordering::SeqCst), "a log that fails stops the store");
        assert!(matches!(store.range(everything(0)).await, Err(Error::Unavailable(_))));
        disk.crash(seed * 31 + life);
    }
    let store = open(&disk, &Arc::default());
    verify(&store, &mut told, seed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_of_power_loses_nothing_acknowledged() {
    for seed in 0..seeds() {
        lives(seed, |disk, seed| disk.crash(seed)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_stops_the_store_and_acknowledges_nothing_more() {
    for seed in 0..seeds() / 3 {
        lives(seed, |disk, seed| disk.fail_syncs_after(seed % 3)).await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let disk = MemoryDisk::new();
    let fatal = Arc::new(AtomicBool::new(false));
    let store = open(&disk, &fatal);
    put(&*store, "a", "1").await.unwrap();
    for room in (0..3000).step_by(211) {
        disk.fill_after(room);
        let mut refused = None;
        for _ in 0..30 {
            if let Err(error) = put(&*store, "b", vec![b'x'; 700]).await {
                refused = Some(error);
                break;
            }
        }
        assert_eq!(refused, Some(Error::NoSpace));
        disk.free_space();
        put(&*store, "a", room.to_string()).await.unwrap();
    }
    let (revision, page) = (store.revision().await.unwrap(), store.range(everything(0)).await.unwrap());
    store.close().await;
    assert!(!fatal.load(Ordering::SeqCst));
    let store = open(&disk, &fatal);
    assert_eq!(store.revision().await.unwrap(), revision);
    assert_eq!(store.range(everything(0)).await.unwrap(), page);
}

#[tokio::test]
async fn reopening_gives_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let context = base::Context::new();
    let options = || Options { segment_bytes: 2000, ..Options::new(dir.path()) };
    let store = Store::open(options(), &context).unwrap();
    for at in 0..200u32 {
        put(&*store, format!("k{}", at % 17), at.to_string()).await.unwrap();
    }
    store.compact(100).await.unwrap();
    let locked = Store::open(options(), &context).err().map(|error| error.to_string());
    assert!(locked.as_ref().is_some_and(|text| text.contains("in use by another process")), "{locked:?}");
    let mut before = Vec::new();
    for revision in 100..=201 {
        before.push(store.range(prefix("k", revision)).await.unwrap());
    }
    context.shutdown(Duration::from_secs(20)).await;
    assert!(matches!(put(&*store, "k", "v").await, Err(Error::Unavailable(_))), "a stopped store refuses");
    let store = Store::open(options(), &base::Context::new()).unwrap();
    for (revision, before) in (100..).zip(before) {
        assert_eq!(store.range(prefix("k", revision)).await.unwrap(), before);
    }
    assert_eq!(store.range(Range { revision: 99, ..prefix("k", 0) }).await, Err(Error::Compacted(100)));
    assert_eq!(put(&*store, "k", "v").await.unwrap().revision, 202);
}
