//! kill -9 of a process that writes under load, on the real disk, at random points: opened again, every acknowledged write is
//! there, no transaction is half there, and the revision has not gone back. 20 rounds; `STORE_KILL_ROUNDS=200` for the
//! full proof.
//!
//! The writing process is this test program itself, started again with only [`child`] and a directory in its environment.
//! It prints each acknowledged write to a pipe, so that what reached the pipe was certainly acknowledged.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        let start = page.kvs.iter().find(|kv| kv.key == key).map_or(0, |kv| number(&kv.value));
        tokio::spawn(write_for_ever(Arc::clone(&store), key, start))
    });
    futures::future::join_all(writers).await;
}

async fn write_for_ever(store: Arc<Store>, key: String, mut count: u64) {
    loop {
        count += 1;
        let value = format!("{count}{}", ".".repeat(count as usize * 61 % 900));
        let then = vec![put_op(key.clone(), value.clone()), put_op(format!("twin/{key}"), value)];
        let reply = store.txn(Txn { then, ..Txn::default() }).await.expect("txn");
        // Not through the test harness's capture of print!.
        let _ = std::io::stdout().write_all(format!("ack {key} {count} {}\n", reply.revision).as_bytes());
        if count.is_multiple_of(64) {
            // Another writer may have compacted further.
            let _ = store.compact(reply.revision.saturating_sub(50)).await;
        }
    }
}

fn number(value: &[u8]) -> u64 {
    std::str::from_utf8(value).unwrap().trim_end_matches('.').parse().unwrap()
}

/// Runs the child, kills it some time after its first acknowledgement, and reads what it had acknowledged.
fn run_and_kill(dir: &str, after: Duration) -> (BTreeMap<String, u64>, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut acknowledged, mut last, mut kill_at) = (BTreeMap::new(), 0, None);
    for line in &mut lines {
        let Ok(line) = line else { break };
        // The harness prints "test child ... " without an end of line before the first.
        let Some(words) = line.split_once("ack ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>()) else {
            continue;
        };
        let [key, count, revision] = words[..] else { continue };
        let Ok(revision) = revision.parse::<u64>() else { continue };
        acknowledged.insert(key.to_owned(), count.parse().unwrap());
        last = last.max(revision);
        let kill_at = *kill_at.get_or_insert_with(|| Instant::now() + after);
        if Instant::now() >= kill_at {
            // SIGKILL; further kills of the dead process while its pipe is read empty do no harm.
            let _ = child.kill();
        }
    }
    let status = child.wait().unwrap();
    assert!(!status.success(), "the child was to be killed, not to end");
    (acknowledged, last)
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let rounds = std::env::var("STORE_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20);
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
            let values: BTreeMap<_, _> =
                page.kvs.iter().map(|kv| (kv.key.as_ref(), (number(&kv.value), kv.mod_revision))).collect();
            for (key, count) in &acknowledged {
                let found = values.get(key.as_bytes()).map_or(0, |(count, _)| *count);
                assert!(found >= *count, "round {round}: {key} was acknowledged as {count} and is {found}");
                let twin = values.get(format!("twin/{key}").as_bytes());
                assert_eq!(values.get(key.as_bytes()), twin, "round {round}: half a transaction");
            }
            store.close().await;
            page.revision
        });
    }
    assert!(total > rounds as usize, "the children must have written something");
    eprintln!("{rounds} kills, up to revision {highest}");
}
