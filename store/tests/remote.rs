//! The suite over etcd's API against a real etcd, with the hub remembering much and next to nothing. Without an etcd in the
//! PATH the test says so and proves nothing.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use store::remote::{self, Memory, Remote};
use store::testing::etcd::{self, Etcd};
use store::{Kv, testing};

const PATIENCE: Duration = Duration::from_secs(60);

fn can_run(name: &str) -> bool {
    let can = etcd::is_installed();
    if !can {
        eprintln!("SKIPPED {name}: no etcd in the PATH (Debian: etcd-server)");
    }
    can
}

async fn suite(memory: Memory, watched: &'static str) {
    let dir = tempfile::tempdir().unwrap();
    for (name, check) in testing::checks() {
        eprintln!("check {name}");
        let context = base::Context::new();
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let server = Etcd::start(&dir).unwrap();
        let options = remote::Options { memory, watched: watched.into(), ..remote::Options::new([server.url()]) };
        let kv = Remote::connect(options, &context, PATIENCE).await.unwrap();
        check(kv as Arc<dyn Kv>).await;
        assert!(context.shutdown(PATIENCE).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_good_memory() {
    if can_run("with_a_good_memory") {
        suite(Memory::default(), "").await;
    }
}

#[tokio::test]
async fn with_next_to_no_memory() {
    if can_run("with_next_to_no_memory") {
        suite(Memory { revisions: 3, bytes: 1 << 20 }, "").await;
    }
}
