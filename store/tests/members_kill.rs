//! Three members as processes, each with writers of its own; again and again the leader is killed with SIGKILL, and started
//! again. In the end all are killed at once. No acknowledged write is lost, revisions never go back, every killed member
//! returns and catches up. 6 kills; `STORE_KILL_ROUNDS=60` for more.
//!
//! A member process is this test program itself, started again with only [`child`] and its place in its environment. It says
//! what was acknowledged to it and who leads.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/child.rs"]
mod other;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use common::{eventually, options};
use other::{count, counted, rounds, say, verify_twins};
use store::testing::{everything, free_ports, put_op};
use store::{Error, Kv, Store, Txn};

const DIR: &str = "STORE_MEMBERS_DIR";
const PORTS: &str = "STORE_MEMBERS_PORTS";
const PORT: &str = "STORE_MEMBERS_PORT";
const WRITERS: usize = 8;

/// Not a test by itself: a member.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (ports, port) = places();
    let context = base::Context::new();
    let store = Store::open_member(options(Path::new(&dir), &ports, port), &context).await.expect("open");
    let writer = |at| tokio::spawn(write_for_ever(Arc::clone(&store), format!("k{port}-{at}")));
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    let told = tokio::spawn(async move {
        loop {
            let status = store.status();
            if store.is_leader() {
                say(format_args!("lead {port} {}", status.term));
            }
            if !store.leader_changed(&status).await {
                return;
            }
        }
    });
    futures::future::join_all(writers).await;
    told.await.unwrap();
}

fn places() -> (Vec<u16>, u16) {
    let text = std::env::var(PORTS).unwrap();
    (text.split(',').map(|port| port.parse().unwrap()).collect(), std::env::var(PORT).unwrap().parse().unwrap())
}

async fn write_for_ever(store: Arc<Store>, key: String) {
    // Where the last life has stopped, as all members have it.
    let start = loop {
        if let Ok(page) = store.range(everything(0)).await {
            break page.kvs.iter().find(|kv| kv.key == key).map_or(0, |kv| count(&kv.value));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for count in start + 1.. {
        let value = counted(count);
        let then = vec![put_op(key.clone(), value.clone()), put_op(format!("twin/{key}"), value)];
        match store.txn(Txn { then, ..Txn::default() }).await {
            Ok(reply) => say(format_args!("ack {key} {count} {}", reply.revision)),
            Err(Error::TimedOut | Error::Cluster(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// What a member said.
#[derive(Debug)]
enum Said {
    Acknowledged { key: String, count: u64, revision: u64 },
    Leads { port: u16, term: u64 },
}

fn start(dir: &Path, ports: &[u16], port: u16, said: Sender<Said>) -> Child {
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let place = [(DIR, dir.display().to_string()), (PORTS, ports), (PORT, port.to_string())];
    let (child, lines) = other::start(place);
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let words: Vec<_> = line.split(' ').collect();
            let what = match words[..] {
                ["ack", key, count, revision] => {
                    let Ok(revision) = revision.parse() else { continue };
                    Said::Acknowledged { key: key.to_owned(), count: count.parse().unwrap(), revision }
                }
                ["lead", port, term] => Said::Leads { port: port.parse().unwrap(), term: term.parse().unwrap() },
                _ => continue,
            };
            if said.send(what).is_err() {
                return;
            }
        }
    });
    child
}

/// What all members have said so far.
#[derive(Default)]
struct Told {
    acknowledged: BTreeMap<String, u64>,
    revision: u64,
    leader: Option<(u64, u16)>,
    count: u64,
}

impl Told {
    fn listen(&mut self, said: &Receiver<Said>, enough: impl Fn(&Self) -> bool, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !enough(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            self.take(said.recv_timeout(left).unwrap_or_else(|error| panic!("{what}: {error}")));
        }
    }

    fn take(&mut self, said: Said) {
        match said {
            Said::Acknowledged { key, count, revision } => {
                self.acknowledged.insert(key, count);
                self.revision = self.revision.max(revision);
                self.count += 1;
            }
            Said::Leads { port, term } => self.leader = self.leader.max(Some((term, port))),
        }
    }
}

#[test]
fn killed_leaders_take_no_acknowledged_write_with_them() {
    if std::env::var(DIR).is_ok() {
        return;
    }
    let rounds = rounds(6);
    let (dir, ports) = (tempfile::tempdir().unwrap(), free_ports(3));
    common::certificates(&dir.path().join("pki"));
    let (sender, said) = channel();
    let mut told = Told::default();
    let mut members: BTreeMap<u16, Child> =
        ports.iter().map(|port| (*port, start(dir.path(), &ports, *port, sender.clone()))).collect();
    for round in 0..rounds {
        let before = told.count;
        told.listen(&said, |told| told.leader.is_some() && told.count > before + 300, "writes go on");
        let (term, leader) = told.leader.unwrap();
        let mut child = members.remove(&leader).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        told.listen(&said, |told| told.leader > Some((term, u16::MAX)), "another one leads");
        let before = told.count;
        told.listen(&said, |told| told.count > before + 50 * (round % 3), "writes go on without it");
        members.insert(leader, start(dir.path(), &ports, leader, sender.clone()));
    }
    let before = told.count;
    told.listen(&said, |told| told.count > before + 300, "writes go on with all");
    for child in members.values_mut() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    drop(sender);
    said.iter().for_each(|what| told.take(what));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(verify(dir.path(), &ports, &told));
    eprintln!("{rounds} leaders killed, {} writes acknowledged, up to revision {}", told.count, told.revision);
}

async fn verify(dir: &Path, ports: &[u16], told: &Told) {
    let context = base::Context::new();
    let opened = ports.iter().map(|port| Store::open_member(options(dir, ports, *port), &context));
    let stores: Vec<_> = futures::future::join_all(opened).await.into_iter().map(Result::unwrap).collect();
    let mut hashes = Vec::new();
    for store in &stores {
        let page =
            eventually("a read", async || store.range(everything(0)).await.map_err(|error| error.to_string())).await;
        assert!(page.revision >= told.revision, "the revision went back from {} to {}", told.revision, page.revision);
        verify_twins(&page, &told.acknowledged, "in the end");
        hashes.push(store.hash_kv(page.revision).await.unwrap());
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "the members differ: {hashes:?}");
    assert!(context.shutdown(Duration::from_secs(20)).await);
}
