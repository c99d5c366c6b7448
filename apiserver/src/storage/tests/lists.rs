//! Lists: selection, pages, revisions.

use super::broken::Flaky;
use super::*;

/// Pods a/p0..p4 and b/p0..p4, the even ones labelled `app=even`.
async fn ten_pods(rig: &Rig) -> Revision {
    let mut last = 0;
    for ns in ["a", "b"] {
        for index in 0..5 {
            let name = format!("p{index}");
            let app = if index % 2 == 0 { "even" } else { "odd" };
            last = rig.create(kind("pods"), ns, &name, pod(ns, &name, app, "n1")).await;
        }
    }
    last
}

fn names(listing: &Listing) -> String {
    let names: Vec<String> =
        listing.entries.iter().map(|entry| format!("{}/{}", entry.namespace(), entry.name())).collect();
    names.join(" ")
}

#[tokio::test]
async fn selects_by_namespace_labels_and_fields() {
    let rig = Rig::new();
    let last = ten_pods(&rig).await;
    rig.create(kind("pods"), "ab", "p0", pod("ab", "p0", "odd", "n2")).await;
    let table = [
        (None, "", "", 11, ""),
        (Some(""), "", "", 11, ""),
        (Some("a"), "", "", 5, "a/p0 a/p1 a/p2 a/p3 a/p4"),
        (Some("nowhere"), "", "", 0, ""),
        (Some("b"), "app=odd", "", 2, "b/p1 b/p3"),
        (None, "app=odd", "metadata.namespace!=b", 3, "a/p1 a/p3 ab/p0"),
        (None, "", "spec.nodeName=n2", 1, "ab/p0"),
        (None, "", "metadata.name=p0", 3, "a/p0 ab/p0 b/p0"),
        (Some("a"), "", "metadata.name=p0", 1, "a/p0"),
        (Some("a"), "app=odd", "metadata.name=p0", 0, ""),
        (Some("a"), "", "metadata.name=p", 0, ""),
    ];
    for (namespace, labels, fields, count, want) in table {
        let query = ListQuery { namespace, predicate: select(labels, fields), ..ListQuery::default() };
        let listing = rig.storage.list(kind("pods"), query).await.unwrap();
        assert_eq!(listing.entries.len(), count, "{namespace:?} {labels} {fields}");
        assert!(want.is_empty() || names(&listing) == want, "{}", names(&listing));
        assert_eq!((listing.revision, listing.next, listing.remaining), (last + 1, None, None));
    }
}

#[tokio::test]
async fn lists_of_one_node_are_those_that_a_look_at_all_pods_finds() {
    let rig = Rig::new();
    let pods = kind("pods");
    let mut there = std::collections::BTreeMap::new();
    // Pods come, move between nodes (and none), and go.
    for step in 0..120_usize {
        let (ns, name) = (["a", "b"][step % 2], format!("p{}", step * 7 % 10));
        let node = ["", "n1", "n2", "n10"][(step * 5 % 4) ^ (step / 40)];
        let key = (ns, name.clone());
        match there.contains_key(&key) {
            true if step % 5 == 0 => {
                rig.delete(pods, ns, &name).await;
                there.remove(&key);
            }
            true => {
                rig.update(pods, ns, &name, pod(ns, &name, &step.to_string(), node)).await;
                there.insert(key, node);
            }
            false => {
                rig.create(pods, ns, &name, pod(ns, &name, &step.to_string(), node)).await;
                there.insert(key, node);
            }
        }
        for (node, namespace) in [("n1", None), ("n10", Some("a")), ("", None), ("n2", Some("b")), ("none", None)] {
            let predicate = select("", &format!("spec.nodeName={node}"));
            let query = ListQuery { namespace, predicate, ..ListQuery::default() };
            let on_it = there.iter().filter(|((ns, _), on)| **on == node && namespace.is_none_or(|only| only == *ns));
            let expected: Vec<String> = on_it.map(|((ns, name), _)| format!("{ns}/{name}")).collect();
            let listing = rig.storage.list(pods, query).await.unwrap();
            assert_eq!(names(&listing), expected.join(" "), "step {step}: {node:?} in {namespace:?}");
        }
    }
    let paged = pages(&rig, 1, None, select("", "spec.nodeName=n1")).await;
    let expected = there.values().filter(|node| **node == "n1").count();
    assert!(expected > 1 && paged.len() == expected, "{paged:?}");
}

/// Walks all pages; the freshness of the first one is given, the others are continued from its token.
async fn pages(rig: &Rig, limit: usize, namespace: Option<&str>, predicate: Predicate) -> Vec<(String, Option<u64>)> {
    let (mut pages, mut token) = (Vec::new(), None::<String>);
    loop {
        let go_on = token.as_deref().map(|token| token::decode(token).unwrap());
        let query = ListQuery {
            namespace,
            freshness: go_on.as_ref().map_or(Freshness::Latest, |token| Freshness::Exact(token.revision.unwrap())),
            limit,
            after_key: go_on.as_ref().map(|token| token.start.as_str()),
            predicate: predicate.clone(),
        };
        let listing = rig.storage.list(kind("pods"), query).await.unwrap();
        pages.push((names(&listing), listing.remaining));
        match listing.next {
            Some(next) => token = Some(token::encode(Some(listing.revision), &next)),
            None => return pages,
        }
        // Changes between the pages are not seen.
        let revision = rig.kv.local_revision();
        rig.create(kind("pods"), "a", &format!("z{revision}"), pod("a", "z", "odd", "")).await;
    }
}

#[tokio::test]
async fn pages_are_of_one_revision() {
    let rig = Rig::new();
    ten_pods(&rig).await;
    let page = |names: &str, remaining| (names.to_string(), remaining);
    assert_eq!(
        pages(&rig, 4, None, Predicate::default()).await,
        [page("a/p0 a/p1 a/p2 a/p3", Some(6)), page("a/p4 b/p0 b/p1 b/p2", Some(2)), page("b/p3 b/p4", None),]
    );
    assert_eq!(
        pages(&rig, 2, None, select("app=even", "")).await,
        [page("a/p0 a/p2", None), page("a/p4 b/p0", None), page("b/p2 b/p4", None)]
    );
    assert_eq!(pages(&rig, 5, Some("b"), Predicate::default()).await, [page("b/p0 b/p1 b/p2 b/p3 b/p4", None)]);
}

#[tokio::test]
async fn exact_revisions_come_from_snapshots_or_history_until_compacted() {
    let rig = Rig::new();
    let pods = kind("pods");
    let mut expected = Vec::new();
    for index in 0..20 {
        let revision = rig.create(pods, "a", &format!("p{index:02}"), pod("a", "p", "x", "")).await;
        rig.create(kind("configmaps"), "a", &format!("c{index}"), json!({"metadata": {}})).await;
        expected.push((revision, index + 1));
        expected.push((revision + 1, index + 1));
    }
    let exact = |revision, limit| ListQuery { freshness: Freshness::Exact(revision), limit, ..ListQuery::default() };
    for (revision, count) in &expected {
        let listing = rig.storage.list(pods, exact(*revision, 0)).await.unwrap();
        assert_eq!((listing.entries.len(), listing.revision), (*count, *revision));
        let listing = rig.storage.list(pods, exact(*revision, 3)).await.unwrap();
        let cut = (*count > 3).then(|| *count as u64 - 3);
        assert_eq!((listing.entries.len(), listing.remaining), (3.min(*count), cut), "at {revision}");
        assert_eq!(listing.next, cut.map(|_| "a/p02\0".to_string()));
    }
    let middle = expected[20].0;
    rig.storage.compact(middle).await.unwrap();
    for (revision, count) in &expected {
        match rig.storage.list(pods, exact(*revision, 0)).await {
            Ok(listing) => assert!(*revision >= middle && listing.entries.len() == *count),
            Err(status) => assert!(*revision < middle && status.code == 410, "{status}"),
        }
    }
    let query = ListQuery { after_key: Some("a/p02\0"), ..exact(expected[0].0, 3) };
    let status = rig.storage.list(pods, query).await.unwrap_err();
    let token = token::decode(&status.metadata.continue_).unwrap();
    assert!(status.message.starts_with("The provided continue parameter is too old"));
    let query = ListQuery { after_key: Some(&token.start), limit: 2, ..ListQuery::default() };
    assert_eq!(names(&rig.storage.list(pods, query).await.unwrap()), "a/p03 a/p04", "the rest, inconsistently");
}

#[tokio::test]
async fn a_compacted_store_refuses_even_if_another_compacted_it() {
    let rig = Rig::new();
    let first = ten_pods(&rig).await;
    let last = rig.update(kind("pods"), "a", "p0", pod("a", "p0", "new", "")).await;
    rig.kv.compact(last).await.unwrap();
    let query = ListQuery { freshness: Freshness::Exact(first - 1), ..ListQuery::default() };
    let status = rig.storage.list(kind("pods"), query).await.unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn the_store_is_compacted_to_one_interval_ago() {
    let kv = Flaky::new();
    let options = Options { compaction: Duration::from_millis(100), ..Options::default() };
    let (storage, _context) = broken::storage(&kv, options);
    let first = broken::put(&storage, "x", "0").await;
    let last = broken::put(&storage, "x", "1").await;
    let exact = |revision| ListQuery { freshness: Freshness::Exact(revision), ..ListQuery::default() };
    let pods = kind("pods");
    assert!(storage.list(pods, exact(first)).await.is_ok());
    let mut compacted = kv.compacted.subscribe();
    let in_time = tokio::time::timeout(Duration::from_secs(10), compacted.wait_for(|upto| *upto > first)).await;
    assert!(in_time.is_ok_and(|told| told.is_ok()), "compacted in time");
    assert!(storage.list(pods, exact(first)).await.is_err());
    assert!(storage.list(pods, exact(last)).await.is_ok(), "the present can always be read");
}
