//! The suite on the in-process store, in memory and on the real disk.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use store::{Kv, Options, Store, testing};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    testing::run(|| async { Store::in_memory() as Arc<dyn Kv> }).await;
}

#[tokio::test]
async fn on_disk_with_one_thread() {
    let context = base::Context::new();
    let dir = tempfile::tempdir().unwrap();
    let mut count = 0;
    testing::run(|| {
        count += 1;
        let options = Options::new(dir.path().join(count.to_string()));
        let store = Store::open(options, &context).unwrap();
        async move { store as Arc<dyn Kv> }
    })
    .await;
    assert!(context.shutdown(std::time::Duration::from_secs(20)).await);
}
