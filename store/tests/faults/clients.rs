//! The load: clients of one member each and clients that go on with another member, who write, compare and read; and watches of
//! everything, likewise.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Context;
use bytes::Bytes;
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::remote::{Options, Remote};
use store::testing::everything;
use store::{Compare, Error, Kv, Op, Order, Range, Signal, Target, Txn, WatchOptions};
use tokio::task::JoinHandle;

use super::member::Member;
use super::record::{Record, Seen};

const KEYS: u64 = 8;
/// A client that waits longer gives up: what became of it, it will not know.
const PATIENCE: Duration = Duration::from_millis(2500);

/// See the module's header.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    /// Of the connections.
    _context: Context,
}

impl Load {
    pub(crate) async fn start(seed: u64, members: &[Member], record: &Arc<Record>) -> Self {
        let (stop, context) = (Arc::new(AtomicBool::new(false)), Context::new());
        let all: Vec<&str> = members.iter().map(Member::url).collect();
        let mut places: Vec<Vec<&str>> = all.iter().map(|url| vec![*url]).collect();
        places.extend([all.clone(), all]);
        let mut clients = Vec::new();
        for (place, urls) in places.into_iter().enumerate() {
            let roams = urls.len() > 1;
            let kv = Remote::connect(Options::new(urls), &context, Duration::from_secs(60)).await.unwrap();
            for number in 0..2 {
                let random = StdRng::seed_from_u64(seed * 1000 + place as u64 * 10 + number);
                let client =
                    Client { kv: Arc::clone(&kv), record: Arc::clone(record), random, seen: [0; KEYS as usize] };
                clients.push(tokio::spawn(client.run(Arc::clone(&stop))));
            }
            tokio::spawn(watch(kv, Arc::clone(record), roams));
        }
        Self { stop, clients, _context: context }
    }

    /// Lets the clients end; the watches go on.
    pub(crate) async fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in &self.clients {
            while !client.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Everything that happens, from the beginning.
async fn watch(kv: Arc<Remote>, record: Arc<Record>, roams: bool) {
    let watcher = record.watcher(roams);
    let mut from = 2;
    loop {
        let mut watch = kv.watch(everything(0), WatchOptions { from, progress: false });
        loop {
            match watch.next().await {
                Some(Ok(signal)) => {
                    if let Signal::Events(revision, _) = &signal {
                        from = revision + 1;
                    }
                    record.watched(watcher, Seen::Signal(signal));
                }
                // It is told so, and knows what it has missed.
                Some(Err(Error::Compacted(oldest))) if oldest > from && !roams => {
                    record.watched(watcher, Seen::Gap(oldest));
                    from = oldest;
                    break;
                }
                other => return record.violation(format!("watch {watcher} ended at {from} with {other:?}")),
            }
        }
    }
}

struct Client {
    kv: Arc<Remote>,
    record: Arc<Record>,
    random: StdRng,
    /// Revisions of the keys, as last seen here.
    seen: [u64; KEYS as usize],
}

impl Client {
    async fn run(mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::SeqCst) {
            match self.random.random_range(0..20) {
                0..=6 => {
                    let then = vec![self.put().1];
                    self.write(Txn { then, ..Txn::default() }).await;
                }
                7..=8 => {
                    let key = key(self.random.random_range(0..KEYS));
                    self.write(Txn { then: vec![Op::Delete { key, end: None }], ..Txn::default() }).await;
                }
                9..=12 => {
                    let (number, put) = self.put();
                    let target = Target::ModRevision(self.seen[number as usize]);
                    let compare = Compare { key: key(number), end: None, target, order: Order::Equal };
                    self.write(Txn { when: vec![compare], then: vec![put], otherwise: Vec::new() }).await;
                }
                13..=16 => self.read(true).await,
                17..=18 => self.read(false).await,
                _ => self.compact().await,
            }
            tokio::time::sleep(Duration::from_millis(self.random.random_range(5..60))).await;
        }
    }

    fn put(&mut self) -> (u64, Op) {
        let number = self.random.random_range(0..KEYS);
        let value = Bytes::from(vec![b'v'; self.random.random_range(0..200)]);
        (number, Op::Put { key: key(number), value, lease: 0 })
    }

    async fn write(&mut self, txn: Txn) {
        let (number, marked) = self.record.begin(txn);
        let result = tokio::time::timeout(PATIENCE, self.kv.txn(marked)).await;
        self.record.wrote(number, result.unwrap_or(Err(Error::TimedOut)));
    }

    /// What all watches that go on with another member have seen may be forgotten; the others may be told that it is.
    async fn compact(&mut self) {
        if let Some(upto) = self.record.begin_compacting() {
            // An older one than somebody else's is refused, and that is well.
            let _ = tokio::time::timeout(PATIENCE, self.kv.compact(upto)).await;
        }
    }

    async fn read(&mut self, linearizable: bool) {
        let number = self.record.begin_reading();
        let range = Range { serializable: !linearizable, ..everything(0) };
        let result = tokio::time::timeout(PATIENCE, self.kv.range(range)).await.unwrap_or(Err(Error::TimedOut));
        if let Ok(page) = &result {
            for (number, seen) in self.seen.iter_mut().enumerate() {
                let found = page.kvs.iter().find(|kv| kv.key == key(number as u64));
                *seen = found.map_or(0, |kv| kv.mod_revision);
            }
        }
        self.record.read(number, result, linearizable);
    }
}

fn key(number: u64) -> Bytes {
    format!("k{number}").into()
}
