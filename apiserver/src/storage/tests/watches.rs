//! Watches: where they begin, what selectors make of changes, bookmarks, falling behind.

use super::*;

#[tokio::test]
async fn begins_with_the_state_or_from_a_revision() {
    let rig = Rig::new();
    let pods = kind("pods");
    let a = rig.create(pods, "ns", "a", pod("ns", "a", "x", "")).await;
    let b = rig.create(pods, "ns", "b", pod("ns", "b", "x", "")).await;
    let state = WatchQuery { initial_events: true, ..watch_from(WatchFrom::State(Freshness::Latest)) };
    let mut state = rig.storage.watch(pods, state).await.unwrap();
    let mut now = rig.storage.watch(pods, watch_from(WatchFrom::Now)).await.unwrap();
    let mut from_a = rig.storage.watch(pods, watch_from(WatchFrom::Revision(a))).await.unwrap();
    assert_eq!(told(&mut state).await, format!("ADDED a@{a}"));
    assert_eq!(told(&mut state).await, format!("ADDED b@{b}"));
    let end = next(&mut state).await.unwrap();
    assert!(matches!(end, WatchItem::Bookmark { revision, initial_end: true } if revision == b));
    assert_eq!(told(&mut from_a).await, format!("ADDED b@{b}"));
    let changed = rig.update(pods, "ns", "a", pod("ns", "a", "y", "")).await;
    let deleted = rig.delete(pods, "ns", "b").await;
    for items in [&mut state, &mut now, &mut from_a] {
        assert_eq!(told(items).await, format!("MODIFIED a@{changed}"));
        assert_eq!(told(items).await, format!("DELETED b@{deleted}"));
    }
}

#[tokio::test]
async fn a_large_state_comes_whole_and_once() {
    let rig = Rig::new();
    let maps = kind("configmaps");
    for index in 0..300 {
        rig.create(
            maps,
            "ns",
            &format!("c{index:03}"),
            json!({"metadata": {"labels": {"third": (index % 3 == 0).to_string()}}}),
        )
        .await;
    }
    for (labels, want) in [("", 300), ("third=true", 100), ("third=no", 0)] {
        let query = WatchQuery {
            initial_events: true,
            predicate: select(labels, ""),
            ..watch_from(WatchFrom::State(Freshness::Latest))
        };
        let mut items = rig.storage.watch(maps, query).await.unwrap();
        let mut seen = Vec::new();
        while let WatchItem::Added(change) = next(&mut items).await.unwrap() {
            seen.push(change.name().to_string());
        }
        assert!(seen.len() == want && seen.is_sorted(), "{labels}: {}", seen.len());
    }
}

#[tokio::test]
async fn selectors_make_additions_and_deletions_of_changes() {
    let rig = Rig::new();
    let pods = kind("pods");
    let start = rig.create(pods, "ns", "a", pod("ns", "a", "x", "")).await;
    let queries = [
        ("label", WatchQuery { predicate: select("app=x", ""), ..watch_from(WatchFrom::Revision(start)) }),
        ("node", WatchQuery { predicate: select("", "spec.nodeName=n1"), ..watch_from(WatchFrom::Revision(start)) }),
        (
            "name",
            WatchQuery {
                name: Some("a".into()),
                namespace: Some("ns".into()),
                ..watch_from(WatchFrom::Revision(start))
            },
        ),
        (
            "field name",
            WatchQuery { predicate: select("", "metadata.name=b"), ..watch_from(WatchFrom::Revision(start)) },
        ),
        ("namespace", WatchQuery { namespace: Some("other".into()), ..watch_from(WatchFrom::Revision(start)) }),
    ];
    let mut watches = Vec::new();
    for (what, query) in queries {
        watches.push((what, rig.storage.watch(pods, query).await.unwrap()));
    }
    let bound = rig.update(pods, "ns", "a", pod("ns", "a", "x", "n1")).await;
    let relabelled = rig.update(pods, "ns", "a", pod("ns", "a", "y", "n1")).await;
    let moved = rig.update(pods, "ns", "a", pod("ns", "a", "y", "n2")).await;
    let back = rig.update(pods, "ns", "a", pod("ns", "a", "x", "n1")).await;
    let b = rig.create(pods, "ns", "b", pod("ns", "b", "z", "")).await;
    let elsewhere = rig.create(pods, "other", "c", pod("other", "c", "z", "")).await;
    let gone = rig.delete(pods, "ns", "a").await;
    let table = [
        vec![
            format!("MODIFIED a@{bound}"),
            format!("DELETED a@{relabelled}"),
            format!("ADDED a@{back}"),
            format!("DELETED a@{gone}"),
        ],
        vec![
            format!("ADDED a@{bound}"),
            format!("MODIFIED a@{relabelled}"),
            format!("DELETED a@{moved}"),
            format!("ADDED a@{back}"),
            format!("DELETED a@{gone}"),
        ],
        vec![
            format!("MODIFIED a@{bound}"),
            format!("MODIFIED a@{relabelled}"),
            format!("MODIFIED a@{moved}"),
            format!("MODIFIED a@{back}"),
            format!("DELETED a@{gone}"),
        ],
        vec![format!("ADDED b@{b}")],
        vec![format!("ADDED c@{elsewhere}")],
    ];
    for ((what, items), want) in watches.iter_mut().zip(table) {
        for want in want {
            assert_eq!(told(items).await, want, "{what}");
        }
    }
}

#[tokio::test]
async fn the_deleted_object_is_the_last_that_matched() {
    let rig = Rig::new();
    let pods = kind("pods");
    let start = rig.create(pods, "ns", "a", pod("ns", "a", "x", "n1")).await;
    let query = WatchQuery { predicate: select("app=x", ""), ..watch_from(WatchFrom::Revision(start)) };
    let mut items = rig.storage.watch(pods, query).await.unwrap();
    let relabelled = rig.update(pods, "ns", "a", pod("ns", "a", "y", "n2")).await;
    let WatchItem::Deleted(change) = next(&mut items).await.unwrap() else { panic!("deleted") };
    let object = change.value();
    assert_eq!(object["metadata"]["resourceVersion"], relabelled.to_string());
    assert_eq!((&object["metadata"]["labels"]["app"], &object["spec"]["nodeName"]), (&json!("x"), &json!("n1")));
}

#[tokio::test]
async fn bookmarks_come_regularly_and_know_other_kinds() {
    let every = Duration::from_millis(100);
    let rig = Rig::with(Options { bookmarks: every, ..Options::default() });
    let pods = kind("pods");
    let query = WatchQuery { bookmarks: true, ..watch_from(WatchFrom::Now) };
    let mut items = rig.storage.watch(pods, query).await.unwrap();
    let mut silent = rig.storage.watch(pods, watch_from(WatchFrom::Now)).await.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..3 {
        let last =
            rig.create(kind("configmaps"), "ns", &rig.kv.local_revision().to_string(), json!({"metadata": {}})).await;
        let item = next(&mut items).await.unwrap();
        assert!(matches!(item, WatchItem::Bookmark { revision, initial_end: false } if revision == last), "{item:?}");
    }
    assert!(began.elapsed() >= 3 * every, "{:?}", began.elapsed());
    assert!(tokio::time::timeout(2 * every, silent.next()).await.is_err(), "only who asked gets them");
}

fn small_window() -> Options {
    Options { window: Bounds { events: 8, bytes: usize::MAX, age: Duration::from_secs(300) }, ..Options::default() }
}

#[tokio::test]
async fn who_falls_behind_reads_history_and_misses_nothing() {
    let rig = Rig::with(small_window());
    let pods = kind("pods");
    let start = rig.create(pods, "ns", "a", pod("ns", "a", "0", "n1")).await;
    let slow = [
        watch_from(WatchFrom::Revision(start)),
        WatchQuery { predicate: select("", "spec.nodeName=n1"), ..watch_from(WatchFrom::Revision(start)) },
        WatchQuery { namespace: Some("ns".into()), ..watch_from(WatchFrom::Revision(start)) },
    ];
    let mut watches = Vec::new();
    for query in slow {
        watches.push(rig.storage.watch(pods, query).await.unwrap());
    }
    let mut revisions = Vec::new();
    for index in 1..=100 {
        revisions.push(rig.update(pods, "ns", "a", pod("ns", "a", &index.to_string(), "n1")).await);
        rig.create(pods, "ns", &format!("q{index}"), pod("other", "q", "0", "n2")).await;
    }
    for items in &mut watches {
        let mut seen = Vec::new();
        while seen.len() < revisions.len() {
            if let WatchItem::Modified(change) = next(items).await.unwrap() {
                seen.push(change.revision());
            }
        }
        assert_eq!(seen, revisions);
    }
}

#[tokio::test]
async fn scopes_hold_while_catching_up() {
    for options in [Options::default(), small_window()] {
        let rig = Rig::with(options);
        let pods = kind("pods");
        let start = rig.create(kind("configmaps"), "a", "c", json!({"metadata": {}})).await;
        let mut all = Vec::new();
        for index in 0..24 {
            let (ns, name, node) = (["a", "b"][index % 2], ["x", "y", "z"][index % 3], ["n1", "n2"][index / 2 % 2]);
            let first = index < 6;
            let object = pod(ns, name, &index.to_string(), node);
            let revision =
                if first { rig.create(pods, ns, name, object).await } else { rig.update(pods, ns, name, object).await };
            all.push((ns, name, revision));
        }
        let from = || watch_from(WatchFrom::Revision(start));
        type Wanted = fn(&(&str, &str, Revision)) -> bool;
        let table: [(WatchQuery, Wanted); 4] = [
            (WatchQuery { namespace: Some("b".into()), ..from() }, |(ns, ..)| *ns == "b"),
            (WatchQuery { namespace: Some("b".into()), name: Some("x".into()), ..from() }, |(ns, name, _)| {
                (*ns, *name) == ("b", "x")
            }),
            (WatchQuery { name: Some("y".into()), ..from() }, |(_, name, _)| *name == "y"),
            (
                WatchQuery { namespace: Some("a".into()), predicate: select("", "spec.nodeName!=no"), ..from() },
                |(ns, ..)| *ns == "a",
            ),
        ];
        for (query, wanted) in table {
            let mut items = rig.storage.watch(pods, query.clone()).await.unwrap();
            for (_, name, revision) in all.iter().filter(|written| wanted(written)) {
                let change = next(&mut items).await.unwrap();
                assert_eq!((change.change().unwrap().name(), change.revision()), (*name, *revision), "{query:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_quiet_watch_does_not_grow_old() {
    let rig = Rig::with(small_window());
    let pods = kind("pods");
    let start = rig.create(pods, "ns", "a", pod("ns", "a", "0", "n1")).await;
    // Resumes from before its topic exists, with nothing to catch up on, or only with changes that are not its own.
    rig.create(kind("configmaps"), "ns", "c", json!({"metadata": {}})).await;
    rig.storage.list(pods, ListQuery::default()).await.unwrap();
    let node = |node: &str| WatchQuery {
        predicate: select("", &format!("spec.nodeName={node}")),
        ..watch_from(WatchFrom::Revision(start))
    };
    let mut first = rig.storage.watch(pods, node("n2")).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), first.next()).await.is_err());
    for index in 1..=30 {
        rig.update(pods, "ns", "a", pod("ns", "a", &index.to_string(), "n1")).await;
    }
    rig.storage.compact(rig.kv.local_revision()).await.unwrap();
    let moved = rig.update(pods, "ns", "a", pod("ns", "a", "x", "n2")).await;
    assert_eq!(told(&mut first).await, format!("ADDED a@{moved}"));
}

#[tokio::test]
async fn what_the_store_has_forgotten_is_gone() {
    let rig = Rig::with(small_window());
    let pods = kind("pods");
    let start = rig.create(pods, "ns", "a", pod("ns", "a", "0", "")).await;
    let mut slow = rig.storage.watch(pods, watch_from(WatchFrom::Revision(start))).await.unwrap();
    let mut last = start;
    for index in 1..=50 {
        last = rig.update(pods, "ns", "a", pod("ns", "a", &index.to_string(), "")).await;
    }
    // Within the window a watch can begin even from a compacted revision.
    rig.storage.compact(last).await.unwrap();
    let mut near = rig.storage.watch(pods, watch_from(WatchFrom::Revision(last - 2))).await.unwrap();
    assert_eq!(told(&mut near).await, format!("MODIFIED a@{}", last - 1));
    assert_eq!(told(&mut slow).await, format!("410 too old resource version: {start} ({last})"));
    assert!(slow.next().await.is_none(), "an error is the last item");
}

#[tokio::test]
async fn a_restarted_server_resumes_watches_from_history() {
    let first = Rig::new();
    let pods = kind("pods");
    let start = first.create(pods, "ns", "a", pod("ns", "a", "0", "")).await;
    let changed = first.update(pods, "ns", "a", pod("ns", "a", "1", "")).await;
    let second = Rig::over(first.kv.clone(), Options::default());
    let mut items = second.storage.watch(pods, watch_from(WatchFrom::Revision(start))).await.unwrap();
    assert_eq!(told(&mut items).await, format!("MODIFIED a@{changed}"));
    let more = first.update(pods, "ns", "a", pod("ns", "a", "2", "")).await;
    assert_eq!(told(&mut items).await, format!("MODIFIED a@{more}"), "written through the other storage");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_without_events_is_caught_up_with() {
    let first = Rig::new();
    let pods = kind("pods");
    let start = first.create(pods, "ns", "a", pod("ns", "a", "0", "")).await;
    first.create(kind("configmaps"), "ns", "c", json!({"metadata": {}})).await;
    // Its cache begins after `start`, so the watch has to ask the store, which has nothing.
    let second = Rig::over(first.kv.clone(), Options::default());
    let mut items = second.storage.watch(pods, watch_from(WatchFrom::Revision(start))).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), items.next()).await.is_err());
    let changed = second.update(pods, "ns", "a", pod("ns", "a", "1", "")).await;
    assert_eq!(told(&mut items).await, format!("MODIFIED a@{changed}"));
}

#[tokio::test]
async fn watchers_share_frames() {
    let rig = Rig::new();
    let pods = kind("pods");
    let mut all = rig.storage.watch(pods, watch_from(WatchFrom::Now)).await.unwrap();
    let query = WatchQuery { namespace: Some("ns".into()), ..watch_from(WatchFrom::Now) };
    let mut one = rig.storage.watch(pods, query).await.unwrap();
    rig.create(pods, "ns", "a", pod("ns", "a", "0", "")).await;
    let frames = [next(&mut all).await.unwrap().json_frame(pods), next(&mut one).await.unwrap().json_frame(pods)];
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr());
}

#[tokio::test]
async fn watches_end_with_the_server_and_leave_nothing() {
    let rig = Rig::new();
    let pods = kind("pods");
    let query = WatchQuery { predicate: select("", "spec.nodeName=n1"), ..watch_from(WatchFrom::Now) };
    let mut items = rig.storage.watch(pods, query.clone()).await.unwrap();
    let other = rig.storage.watch(pods, query).await.unwrap();
    assert_eq!(rig.storage.cache(pods).sizes(), (2, 0, 1));
    drop(other);
    assert_eq!(rig.storage.cache(pods).sizes(), (1, 0, 1));
    rig.context.stop();
    assert!(tokio::time::timeout(Duration::from_secs(5), items.next()).await.unwrap().is_none());
    drop(items);
    assert_eq!(rig.storage.cache(pods).sizes(), (0, 0, 0));
}
