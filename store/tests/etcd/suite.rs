//! The suite that every implementation of the contract passes, through our client of our server.

use std::sync::Arc;

use store::remote::{self, Remote};
use store::{Kv, testing};

use super::server::{PATIENCE, Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_through_the_api() {
    let dir = tempfile::tempdir().unwrap();
    for (name, check) in testing::checks() {
        eprintln!("check {name}");
        let context = base::Context::new();
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let server = Server::start(&dir, &[]);
        let options = remote::Options { watched: "".into(), ..remote::Options::new([server.url().as_str()]) };
        let kv = Remote::connect(options, &context, PATIENCE).await.unwrap();
        check(kv as Arc<dyn Kv>).await;
        assert!(context.shutdown(PATIENCE).await);
    }
}
