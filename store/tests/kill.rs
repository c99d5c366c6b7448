//! kill -9 of a process that writes under load, on the real disk, at random points: opened again, every acknowledged write is
//! there, no transaction is half there, and the revision has not gone back. 20 rounds; `STORE_KILL_ROUNDS=200` for the
//! full proof.
//!
//! The writing process is this test program itself, started again with only [`child`] and a directory in its environment.
#![allow(clippy::unwrap_used)]

#[path = "common/child.rs"]
mod other;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use other::{count, counted, rounds, say, verify_twins};
use store::testing::{everything, put_op};
use store::{Kv, Options, Store, Txn};

const DIR: &str = "STORE_KILL_DIR";
const WRITERS: u64 = 48;

fn options(dir: &str) -> Options {
    // Small files, so that kills hit rotation and trimming too.
    Options { segment_bytes: 256 << 10, trim_bytes: 1 << 20, ..Options::new(dir) }
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let store = Store::open(options(&dir), &base::Context::new()).expect("open");
    let page = store.range(everything(0)).await.expect("range");
    let writers = (0..WRITERS).map(|id| {
        let key = format!("k{id}");
        let start = page.kvs.iter().find(|kv| kv.key == key).map_or(0, |kv| count(&kv.value));
        tokio::spawn(write_for_ever(Arc::clone(&store), key, start))
    });
    futures::future::join_all(writers).await;
}

async fn write_for_ever(store: Arc<Store>, key: String, mut count: u64) {
    loop {
        count += 1;
        let value = counted(count);
        let then = vec![put_op(key.clone(), value.clone()), put_op(format!("twin/{key}"), value)];
        let reply = store.txn(Txn { then, ..Txn::default() }).await.expect("txn");
        say(format_args!("ack {key} {count} {}", reply.revision));
        if count.is_multiple_of(64) {
            // Another writer may have compacted further.
            let _ = store.compact(reply.revision.saturating_sub(50)).await;
        }
    }
}

/// Runs the child, kills it some time after its first acknowledgement; what it had acknowledged, and the last revision.
fn run_and_kill(dir: &str, after: Duration) -> (BTreeMap<String, u64>, u64) {
    let (mut acknowledged, mut last, mut kill_at) = (BTreeMap::new(), 0, None);
    other::run_and_kill([(DIR, dir.to_owned())], |words| {
        let ["ack", key, count, revision] = words else { return false };
        let (Ok(count), Ok(revision)) = (count.parse(), revision.parse::<u64>()) else { return false };
        acknowledged.insert((*key).to_owned(), count);
        last = last.max(revision);
        Instant::now() >= *kill_at.get_or_insert_with(|| Instant::now() + after)
    });
    (acknowledged, last)
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let rounds = rounds(20);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut highest, mut total) = (0, 0);
    for round in 0..rounds {
        let (acknowledged, last) = run_and_kill(path, Duration::from_millis(5 + round * 37 % 150));
        highest = highest.max(last);
        total += acknowledged.len();
        highest = runtime.block_on(async {
            let store = Store::open(options(path), &base::Context::new()).expect("a kill is no damage");
            let page = store.range(everything(0)).await.unwrap();
            assert!(
                page.revision >= highest,
                "round {round}: the revision went back from {highest} to {}",
                page.revision
            );
            verify_twins(&page, &acknowledged, &format!("round {round}"));
            store.close().await;
            page.revision
        });
    }
    assert!(total > rounds as usize, "the children must have written something");
    eprintln!("{rounds} kills, up to revision {highest}");
}
