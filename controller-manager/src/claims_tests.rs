//! Claims: the decision by tables; adoption and release against a whole API, with owners and objects as a cache that lags
//! behind would show them.

use super::*;
use crate::testing::Rig;
use client::DeleteOptions;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, from_value};

fn pod(labels: &str, owner: Option<&str>, going: bool) -> Pod {
    let owners: Vec<Value> = owner
        .map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": true}))
        .into_iter()
        .collect();
    let deletion = going.then_some("2026-01-01T00:00:00Z");
    from_value(json!({"metadata":
        {"labels": {"app": labels}, "ownerReferences": owners, "deletionTimestamp": deletion}}))
    .unwrap()
}

#[test]
fn claims_follow_owner_selector_and_deletion() {
    let selector = LabelSelector::parse("app=web").unwrap();
    let table = [
        (pod("web", Some("us"), false), false, Claim::Own),
        (pod("web", Some("us"), false), true, Claim::Own),
        (pod("web", Some("us"), true), false, Claim::Own),
        (pod("other", Some("us"), false), false, Claim::Release),
        (pod("other", Some("us"), true), false, Claim::Ignore),
        (pod("other", Some("us"), false), true, Claim::Ignore),
        (pod("web", Some("them"), false), false, Claim::Ignore),
        (pod("web", None, false), false, Claim::Adopt),
        (pod("web", None, false), true, Claim::Ignore),
        (pod("web", None, true), false, Claim::Ignore),
        (pod("other", None, false), false, Claim::Ignore),
    ];
    for (object, owner_going, expected) in table {
        assert_eq!(claim(&object, "us", owner_going, &selector), expected, "{object:?}");
    }
    // An owner that does not control is none, as far as this goes.
    let mut owned = pod("web", Some("them"), false);
    owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    assert_eq!(claim(&owned, "us", false, &selector), Claim::Adopt);
}

async fn set(rig: &Rig) -> ReplicaSet {
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 0,
        "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    rig.client.create("default", &from_value::<ReplicaSet>(set).unwrap()).await.unwrap()
}

/// Names of the pods that are the set's own then.
async fn settled<const N: usize>(rig: &Rig, set: &ReplicaSet, pods: [Pod; N]) -> Vec<String> {
    let (selector, pods) = (LabelSelector::parse("app=web").unwrap(), pods.map(Arc::new).into());
    let own = settle(&rig.client, set, &selector, pods).await.unwrap_or_else(|error| panic!("{}", error.chain()));
    own.iter().map(|pod| pod.key().name).collect()
}

async fn owners_of(rig: &Rig, name: &str) -> Vec<String> {
    rig.now(name).await.metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect()
}

#[tokio::test(start_paused = true)]
async fn what_matches_is_adopted_and_what_does_not_is_let_go() {
    let rig = Rig::start().await;
    let set = set(&rig).await;
    let (one, other) = (rig.pod("one", "web").await, rig.pod("other", "db").await);
    assert_eq!(settled(&rig, &set, [one, other]).await, ["one"]);
    assert_eq!((owners_of(&rig, "one").await, owners_of(&rig, "other").await), (vec![set.uid().to_string()], vec![]));
    let labels = json!({"metadata": {"labels": {"app": "db"}}});
    let strayed: Pod = rig.client.patch("default", "one", &Patch::Merge(labels)).await.unwrap();
    assert!(settled(&rig, &set, [strayed]).await.is_empty());
    assert!(owners_of(&rig, "one").await.is_empty());
}

/// `kubectl delete --cascade=orphan`: the collector has just taken the owner off, and our cache does not know yet why.
#[tokio::test(start_paused = true)]
async fn an_owner_on_its_way_out_takes_nothing_back_though_the_cache_shows_it_alive() {
    let rig = Rig::start().await;
    let stale = set(&rig).await;
    let pod = rig.pod("orphaned", "web").await;
    let options = DeleteOptions { propagation_policy: Some("Orphan"), ..DeleteOptions::default() };
    rig.client.delete::<ReplicaSet>("default", "web", &options).await.unwrap();
    assert!(settled(&rig, &stale, [pod.clone()]).await.is_empty());
    assert!(owners_of(&rig, "orphaned").await.is_empty());
    // Gone altogether, and come again under its name.
    let finalizers = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    rig.client.patch::<ReplicaSet>("default", "web", &finalizers).await.unwrap();
    assert!(settled(&rig, &stale, [pod.clone()]).await.is_empty());
    let new = set(&rig).await;
    assert!(settled(&rig, &stale, [pod.clone()]).await.is_empty(), "it is another one");
    assert_eq!(settled(&rig, &new, [pod]).await, ["orphaned"]);
}

#[tokio::test(start_paused = true)]
async fn objects_that_have_changed_or_gone_meanwhile_are_left_for_the_next_look() {
    let rig = Rig::start().await;
    let set = set(&rig).await;
    let (changed, gone, fine) =
        (rig.pod("changed", "web").await, rig.pod("gone", "web").await, rig.pod("fine", "web").await);
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let now: Pod = rig.client.patch("default", "changed", &touch).await.unwrap();
    rig.client.delete::<Pod>("default", "gone", &DeleteOptions::default().grace(0)).await.unwrap();
    assert_eq!(settled(&rig, &set, [changed, gone, fine]).await, ["fine"]);
    assert!(owners_of(&rig, "changed").await.is_empty());
    assert_eq!(settled(&rig, &set, [now]).await, ["changed"]);
}

#[tokio::test(start_paused = true)]
async fn other_owners_of_a_released_object_stay() {
    let rig = Rig::start().await;
    let set = set(&rig).await;
    let pod = rig.pod("p", "web").await;
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other"});
    let owners = json!([other, crate::pods::controller_reference(&set)]);
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners, "labels": {"app": "db"}}}));
    let pod: Pod = rig.client.patch("default", &pod.key().name, &patch).await.unwrap();
    assert!(settled(&rig, &set, [pod]).await.is_empty());
    assert_eq!(owners_of(&rig, "p").await, ["other"]);
}
