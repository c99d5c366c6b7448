//! The garbage collector: what goes with its owner, what goes before it, what stays.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::rig::{Rig, pod, replica_set};
use client::Object;

const ALONE: &str = "garbage-collector-controller";

/// A ConfigMap with these owners (`!`: whom it blocks).
async fn map(rig: &Rig, name: &str, owners: &[(&ConfigMap, bool)]) -> ConfigMap {
    let owners: Vec<Value> = owners.iter().map(|(owner, blocks)| reference(owner, *blocks)).collect();
    rig.create(json!({"metadata": {"name": name, "ownerReferences": owners}})).await
}

fn reference(owner: &ConfigMap, blocks: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.key().name, "uid": owner.uid(), "blockOwnerDeletion": blocks})
}

async fn is_gone(rig: &Rig, name: &str) {
    rig.eventually(&format!("{name} is gone"), async || rig.get::<ConfigMap>(name).await.is_none().then_some(())).await;
}

async fn meta(rig: &Rig, name: &str) -> ObjectMeta {
    rig.get::<ConfigMap>(name).await.unwrap_or_else(|| panic!("{name} is gone")).metadata
}

#[tokio::test(start_paused = true)]
async fn dependents_follow_their_owner_down_all_generations() {
    let rig = Rig::start(ALONE).await;
    let root = map(&rig, "root", &[]).await;
    let child = map(&rig, "child", &[(&root, true)]).await;
    map(&rig, "grandchild", &[(&child, true)]).await;
    rig.create::<Secret>(json!({"metadata": {"name": "secret", "ownerReferences": [reference(&child, false)]}})).await;
    map(&rig, "stranger", &[]).await;
    rig.settle().await;
    assert!(rig.get::<ConfigMap>("grandchild").await.is_some());
    rig.delete::<ConfigMap>("root", Some("Background")).await;
    for name in ["root", "child", "grandchild"] {
        is_gone(&rig, name).await;
    }
    rig.eventually("the secret is gone", async || rig.get::<Secret>("secret").await.is_none().then_some(())).await;
    assert!(rig.get::<ConfigMap>("stranger").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn an_owner_deleted_in_the_foreground_waits_for_those_that_block_it() {
    let rig = Rig::start(ALONE).await;
    let root = map(&rig, "root", &[]).await;
    let blocking = map(&rig, "blocking", &[(&root, true)]).await;
    map(&rig, "free", &[(&root, false)]).await;
    // Something holds the dependent.
    rig.patch::<ConfigMap>("blocking", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    rig.delete::<ConfigMap>("root", Some("Foreground")).await;
    is_gone(&rig, "free").await;
    rig.eventually("the dependent is asked to go", async || {
        meta(&rig, "blocking").await.deletion_timestamp.map(|_| ())
    })
    .await;
    rig.settle().await;
    let owner = meta(&rig, "root").await;
    assert!(owner.deletion_timestamp.is_some());
    assert_eq!(owner.finalizers.as_deref(), Some(&["foregroundDeletion".to_string()][..]));
    rig.patch::<ConfigMap>(&blocking.key().name, json!({"metadata": {"finalizers": null}})).await;
    is_gone(&rig, "blocking").await;
    is_gone(&rig, "root").await;
}

#[tokio::test(start_paused = true)]
async fn foreground_deletion_goes_bottom_up() {
    let rig = Rig::start(ALONE).await;
    let root = map(&rig, "root", &[]).await;
    let child = map(&rig, "child", &[(&root, true)]).await;
    map(&rig, "grandchild", &[(&child, true)]).await;
    rig.patch::<ConfigMap>("grandchild", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    rig.delete::<ConfigMap>("root", Some("Foreground")).await;
    rig.eventually("the grandchild is asked to go", async || {
        meta(&rig, "grandchild").await.deletion_timestamp.map(|_| ())
    })
    .await;
    // The child is deleted in the foreground too, as it has dependents of its own.
    assert!(meta(&rig, "child").await.finalizers.unwrap().contains(&"foregroundDeletion".to_string()));
    assert!(rig.get::<ConfigMap>("root").await.is_some());
    rig.patch::<ConfigMap>("grandchild", json!({"metadata": {"finalizers": null}})).await;
    for name in ["grandchild", "child", "root"] {
        is_gone(&rig, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn orphans_lose_the_reference_and_stay() {
    let rig = Rig::start(ALONE).await;
    let (root, other) = (map(&rig, "root", &[]).await, map(&rig, "other", &[]).await);
    map(&rig, "a", &[(&root, true)]).await;
    map(&rig, "b", &[(&root, true), (&other, false)]).await;
    rig.delete::<ConfigMap>("root", Some("Orphan")).await;
    is_gone(&rig, "root").await;
    rig.settle().await;
    assert_eq!(meta(&rig, "a").await.owner_references, None);
    let kept = meta(&rig, "b").await.owner_references.unwrap();
    assert_eq!(kept.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["other"]);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_owners_is_enough_to_stay() {
    let rig = Rig::start(ALONE).await;
    let (first, second) = (map(&rig, "first", &[]).await, map(&rig, "second", &[]).await);
    map(&rig, "shared", &[(&first, false), (&second, false)]).await;
    rig.delete::<ConfigMap>("first", None).await;
    rig.eventually("the reference to what is gone goes", async || {
        let owners = meta(&rig, "shared").await.owner_references?;
        (owners.len() == 1 && owners[0].name == "second").then_some(())
    })
    .await;
    rig.delete::<ConfigMap>("second", None).await;
    is_gone(&rig, "shared").await;
}

#[tokio::test(start_paused = true)]
async fn circles_do_not_keep_each_other_alive() {
    let rig = Rig::start(ALONE).await;
    let a = map(&rig, "a", &[]).await;
    let b = map(&rig, "b", &[(&a, true)]).await;
    let c = map(&rig, "c", &[(&b, true)]).await;
    rig.patch::<ConfigMap>("a", json!({"metadata": {"ownerReferences": [reference(&c, true)]}})).await;
    rig.settle().await;
    rig.delete::<ConfigMap>("a", Some("Foreground")).await;
    for name in ["a", "b", "c"] {
        is_gone(&rig, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_owner_never_was_is_deleted() {
    let rig = Rig::start(ALONE).await;
    let ghost: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "ghost", "uid": "0000"}})).unwrap();
    map(&rig, "child", &[(&ghost, false)]).await;
    is_gone(&rig, "child").await;
    // A namesake of the owner is not the owner.
    let real = map(&rig, "real", &[]).await;
    let mut imposter = real.clone();
    imposter.metadata.uid = Some("1111".into());
    map(&rig, "misled", &[(&imposter, false)]).await;
    is_gone(&rig, "misled").await;
}

#[tokio::test(start_paused = true)]
async fn owners_of_an_unknown_kind_keep_their_dependents() {
    let rig = Rig::start(ALONE).await;
    let owners = json!([{"apiVersion": "example.com/v1", "kind": "Widget", "name": "w", "uid": "2222"}]);
    rig.create::<ConfigMap>(json!({"metadata": {"name": "child", "ownerReferences": owners}})).await;
    rig.settle().await;
    assert!(rig.get::<ConfigMap>("child").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_nobody_watched_is_made_up_for() {
    let mut rig = Rig::start("-garbage-collector-controller").await;
    let root = map(&rig, "root", &[]).await;
    map(&rig, "child", &[(&root, true)]).await;
    rig.delete::<ConfigMap>("root", None).await;
    let waiting = map(&rig, "waiting", &[]).await;
    map(&rig, "held", &[(&waiting, true)]).await;
    rig.delete::<ConfigMap>("waiting", Some("Foreground")).await;
    rig.restart(&["--controllers=garbage-collector-controller"]).await;
    for name in ["child", "held", "waiting"] {
        is_gone(&rig, name).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dependent_that_stops_blocking_lets_its_owner_go() {
    let rig = Rig::start(ALONE).await;
    let root = map(&rig, "root", &[]).await;
    map(&rig, "held", &[(&root, true)]).await;
    rig.patch::<ConfigMap>("held", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    rig.delete::<ConfigMap>("root", Some("Foreground")).await;
    rig.settle().await;
    assert!(rig.get::<ConfigMap>("root").await.is_some());
    rig.patch::<ConfigMap>("held", json!({"metadata": {"ownerReferences": null}})).await;
    is_gone(&rig, "root").await;
    assert!(rig.get::<ConfigMap>("held").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn kinds_that_other_controllers_follow_too_are_treated_alike() {
    let rig = Rig::start(ALONE).await;
    let set = rig.create::<ReplicaSet>(replica_set("web", 0)).await;
    let owners = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": set.uid(), "blockOwnerDeletion": true}]);
    rig.create::<Pod>(pod("p", json!({"metadata": {"ownerReferences": owners}}))).await;
    rig.settle().await;
    assert!(rig.get::<Pod>("p").await.is_some());
    rig.delete::<ReplicaSet>("web", Some("Foreground")).await;
    rig.eventually("the set waits for its pod, and both go", async || {
        (rig.get::<ReplicaSet>("web").await.is_none() && rig.get::<Pod>("p").await.is_none()).then_some(())
    })
    .await;
}
