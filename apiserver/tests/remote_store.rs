//! API servers on a real etcd: several on one, and what they do while it is away. Without an etcd in the PATH each test says so
//! and proves nothing.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use std::time::Duration;

use apiserver::storage::{Freshness, Predicate, WatchFrom, WatchQuery};
use common::{Client, Server};
use futures::StreamExt;
use serde_json::{Value, json};
use store::testing::etcd::{self, Etcd};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(60);
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn can_run(name: &str) -> bool {
    let can = etcd::is_installed();
    if !can {
        eprintln!("SKIPPED {name}: no etcd in the PATH (Debian: etcd-server)");
    }
    can
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"k": "0"}})
}

/// Creates an object as soon as the server can.
async fn create(client: &Client, name: &str) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (code, body) = client.post(MAPS, map(name)).await;
        if code == 201 {
            return body["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        }
        assert!(Instant::now() < deadline, "{code} {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_store_see_each_others_writes_at_once() {
    if !can_run("two_servers_on_one_store_see_each_others_writes_at_once") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Etcd::start(dir.path()).unwrap();
    let endpoints = format!("--store-endpoints={}", store.url());
    let flags = [endpoints.as_str(), "--store-prefix=/clusters/a"];
    let (a, b) = (Server::start_with(&flags).await, Server::start_with(&flags).await);
    let (one, two) = (a.admin(), b.admin());
    for number in 0..20 {
        let path = format!("{MAPS}/m{number}");
        create(&one, &format!("m{number}")).await;
        let (code, mut seen) = two.get(&path).await;
        assert_eq!(code, 200, "{seen}");
        let (_, list) = two.get(MAPS).await;
        assert!(list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["name"] == format!("m{number}")));
        seen["data"]["k"] = json!("1");
        let (code, updated) = two.call("PUT", &path, Some(seen.clone())).await;
        assert_eq!(code, 200, "{updated}");
        let (_, again) = one.get(&path).await;
        assert_eq!(again["metadata"]["resourceVersion"], updated["metadata"]["resourceVersion"]);
        // Nothing would change by what the other server wrote: still the newest version is answered.
        let (code, same) = one.call("PUT", &path, Some(updated.clone())).await;
        assert_eq!((code, &same["metadata"]["resourceVersion"]), (200, &updated["metadata"]["resourceVersion"]));
        assert_eq!(one.call("PUT", &path, Some(seen)).await.0, 409, "an old version is a conflict");
        assert_eq!(one.call("DELETE", &path, None).await.0, 200);
        assert_eq!(two.get(&path).await.0, 404);
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_and_comes_back() {
    if !can_run("a_store_that_goes_away_and_comes_back") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut store = Etcd::start(dir.path()).unwrap();
    let server = Server::start_with(&[&format!("--store-endpoints={}", store.url())]).await;
    let admin = server.admin();
    create(&admin, "before").await;
    let kind = api::kinds::find("", "v1", "configmaps").unwrap().0;
    let query = WatchQuery {
        namespace: Some("default".into()),
        name: None,
        from: WatchFrom::State(Freshness::Latest),
        initial_events: false,
        bookmarks: false,
        predicate: Predicate::default(),
    };
    let mut watch = server.running.registry.storage().watch(kind, query).await.unwrap();
    let mut expected = vec![];
    for round in 0..3 {
        store.kill();
        let (code, refused) = admin.post(MAPS, map("away")).await;
        assert_eq!(
            (code, refused["kind"].as_str(), refused["reason"].as_str()),
            (503, Some("Status"), Some("ServiceUnavailable"))
        );
        let (code, refused) = admin.get(MAPS).await;
        assert_eq!((code, refused["reason"].as_str()), (503, Some("ServiceUnavailable")), "a fresh list is impossible");
        assert_eq!(admin.get(&format!("{MAPS}?resourceVersion=0")).await.0, 200, "what is known is told");
        let (code, report) = admin.get("/readyz?verbose").await;
        assert!(code == 500 && report.as_str().unwrap().contains("[-]etcd failed"), "{report}");
        store.run().unwrap();
        let name = format!("round-{round}");
        create(&admin, &name).await;
        expected.push(name);
        common::eventually("ready again", async || admin.get("/readyz").await.0 == 200).await;
    }
    let mut seen = Vec::new();
    while seen.last() != expected.last() {
        let item =
            timeout(PATIENCE, watch.next()).await.expect("an event in time").expect("the watch goes on").unwrap();
        seen.extend(item.change().map(|change| change.name().to_owned()));
    }
    seen.retain(|name| name.starts_with("round-"));
    assert_eq!(seen, expected, "each event once");
    server.stop().await;
}
