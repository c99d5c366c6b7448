//! Get and the writes.

use super::*;

#[tokio::test]
async fn objects_live_and_die() {
    let rig = Rig::new();
    let (storage, pods) = (&rig.storage, kind("pods"));
    assert!(storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().is_none());
    let created = storage.create(pods, "ns", "a", &pod("ns", "a", "x", "")).await.unwrap();
    let got = storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().unwrap();
    assert_eq!((got.revision(), got.json()), (created.revision(), created.json()));
    assert_eq!(got.value()["metadata"]["resourceVersion"], created.revision().to_string());

    let taken = storage.create(pods, "ns", "a", &pod("ns", "a", "x", "")).await.unwrap_err();
    assert_eq!((taken.code, taken.message.as_str()), (409, "pods \"a\" already exists"));

    let moved = rig.update(pods, "ns", "a", pod("ns", "a", "x", "n1")).await;
    let stale = storage.update(pods, "ns", "a", created.revision(), &pod("ns", "a", "y", "")).await.unwrap();
    assert!(
        matches!(stale, Updated::Changed(Some(now)) if now.revision() == moved && now.field("spec.nodeName") == Some("n1"))
    );
    let stale = storage.delete(pods, "ns", "a", created.revision()).await.unwrap();
    assert!(matches!(stale, Updated::Changed(Some(now)) if now.revision() == moved));

    let Updated::Done(last) = storage.delete(pods, "ns", "a", moved).await.unwrap() else { panic!("still there") };
    assert!(last.revision() > moved && last.field("spec.nodeName") == Some("n1"), "the last state, at the deletion");
    assert!(storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().is_none());
    for expected in [0, moved] {
        let gone = storage.delete(pods, "ns", "a", expected).await.unwrap();
        assert!(matches!(gone, Updated::Changed(None)));
        let gone = storage.update(pods, "ns", "a", expected, &pod("ns", "a", "x", "")).await.unwrap();
        assert!(matches!(gone, Updated::Changed(None)));
    }
    assert!(storage.kinds_synced().is_ok());
}

#[tokio::test]
async fn an_update_that_changes_nothing_is_not_written() {
    let rig = Rig::new();
    let pods = kind("pods");
    let created = rig.create(pods, "ns", "a", pod("ns", "a", "x", "")).await;
    let mut same = pod("ns", "a", "x", "");
    same["metadata"]["resourceVersion"] = created.to_string().into();
    assert_eq!(rig.update(pods, "ns", "a", same).await, created);
    assert_eq!(rig.kv.local_revision(), created);
}

#[tokio::test]
async fn stored_bytes_have_no_version_and_are_not_copied() {
    let rig = Rig::new();
    let pods = kind("pods");
    let mut object = pod("ns", "a", "x", "");
    object["metadata"]["resourceVersion"] = "77".into();
    rig.create(pods, "ns", "a", object).await;
    let key = bytes::Bytes::from(pods.key("ns", "a"));
    let page = rig.kv.range(store::Range { key, ..store::Range::default() }).await.unwrap();
    assert!(!String::from_utf8_lossy(&page.kvs[0].value).contains("resourceVersion"));
    let entry = rig.storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().unwrap();
    assert_eq!(entry.raw().as_ptr(), page.kvs[0].value.as_ptr(), "the cache shares the store's bytes");
    assert_eq!(entry.key().as_ptr(), page.kvs[0].key.as_ptr(), "and its key");
}

#[tokio::test]
async fn keys_are_those_of_the_table() {
    let rig = Rig::new();
    for kind in api::kinds::stored() {
        assert_eq!(rig.storage.cache(kind).key("ns", "a"), kind.key("ns", "a"));
    }
    let mut created = Vec::new();
    for kind in api::kinds::stored() {
        created.push((kind, rig.create(kind, "ns", "a", json!({"metadata": {"name": "a"}})).await));
    }
    for (kind, revision) in created {
        let listing = rig.storage.list(kind, ListQuery::default()).await.unwrap();
        let found: Vec<_> = listing.entries.iter().map(|entry| (entry.name(), entry.revision())).collect();
        assert_eq!(found, [("a", revision)], "{}", kind.qualified());
    }
    assert!(rig.storage.kinds_synced().is_ok());
}

#[tokio::test]
async fn cluster_scoped_objects_ignore_the_namespace() {
    let rig = Rig::new();
    rig.create(kind("nodes"), "", "n1", json!({"metadata": {"name": "n1"}})).await;
    assert!(rig.storage.get(kind("nodes"), "whatever", "n1", Freshness::Latest).await.unwrap().is_some());
}

#[tokio::test]
async fn the_future_is_awaited_for_a_while() {
    let rig = Rig::with(Options { patience: Duration::from_millis(300), ..Options::default() });
    let pods = kind("pods");
    let revision = rig.create(pods, "ns", "a", pod("ns", "a", "x", "")).await;
    let late = rig.storage.get(pods, "ns", "a", Freshness::AtLeast(revision + 5)).await.unwrap_err();
    assert_eq!(late.message, format!("Timeout: Too large resource version: {}, current: {revision}", revision + 5));
    assert_eq!((late.code, late.details.unwrap().retry_after_seconds), (504, 1));
    // Another kind moves the store on: that is progress for pods, too.
    let rig = Rig::over(rig.kv.clone(), Options::default());
    let storage = rig.storage.clone();
    let waiting = tokio::spawn(async move { storage.get(pods, "ns", "a", Freshness::AtLeast(revision + 1)).await });
    tokio::task::yield_now().await;
    rig.create(kind("configmaps"), "ns", "c", json!({"metadata": {"name": "c"}})).await;
    assert_eq!(waiting.await.unwrap().unwrap().unwrap().revision(), revision);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_race_and_one_wins_each_round() {
    let rig = Rig::new();
    let pods = kind("pods");
    rig.create(pods, "ns", "a", pod("ns", "a", "0", "")).await;
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let storage = rig.storage.clone();
            tokio::spawn(async move {
                for _ in 0..50 {
                    let mut now = storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().unwrap();
                    loop {
                        let count: u32 = now.label("app").unwrap().parse().unwrap();
                        let next = pod("ns", "a", &(count + 1).to_string(), "");
                        match storage.update(pods, "ns", "a", now.revision(), &next).await.unwrap() {
                            Updated::Done(_) => break,
                            Updated::Changed(present) => now = present.unwrap(),
                        }
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let last = rig.storage.get(pods, "ns", "a", Freshness::Latest).await.unwrap().unwrap();
    assert_eq!(last.label("app"), Some("200"), "no update lost");
}
