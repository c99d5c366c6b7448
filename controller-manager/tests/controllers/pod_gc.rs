//! Pods that nobody will ever finish are removed; others are not.

use client::{DeleteOptions, Object};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use crate::rig::{Rig, pod};

const ALONE: &str = "--controllers=pod-garbage-collector-controller";

async fn is_gone(rig: &Rig, name: &str) {
    rig.eventually(&format!("{name} is gone"), async || rig.get::<Pod>(name).await.is_none().then_some(())).await;
}

async fn on(rig: &Rig, name: &str, node: &str) -> Pod {
    let made = rig.create::<Pod>(pod(name, json!({}))).await;
    rig.bind(&made, node).await;
    made
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_gone_are_removed_after_a_while() {
    let rig = Rig::with(&[ALONE]).await;
    rig.node("n").await;
    on(&rig, "p", "n").await;
    rig.client.delete::<Node>("", "n", &DeleteOptions::default()).await.unwrap();
    rig.pass(35).await;
    assert!(rig.get::<Pod>("p").await.is_some());
    rig.pass(10).await;
    is_gone(&rig, "p").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_back_in_time_keeps_its_pods() {
    let rig = Rig::with(&[ALONE]).await;
    rig.node("n").await;
    on(&rig, "p", "n").await;
    rig.client.delete::<Node>("", "n", &DeleteOptions::default()).await.unwrap();
    rig.pass(30).await;
    rig.node("n").await;
    rig.pass(60).await;
    assert!(rig.get::<Pod>("p").await.is_some());
    // Its next absence counts from its beginning.
    rig.client.delete::<Node>("", "n", &DeleteOptions::default()).await.unwrap();
    rig.pass(30).await;
    assert!(rig.get::<Pod>("p").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn deleted_pods_of_a_node_that_is_out_of_service_are_removed() {
    let rig = Rig::with(&[ALONE]).await;
    rig.node("n").await;
    on(&rig, "deleted", "n").await;
    on(&rig, "kept", "n").await;
    rig.delete::<Pod>("deleted", None).await;
    rig.settle().await;
    assert!(rig.get::<Pod>("deleted").await.is_some(), "its kubelet is at work");
    rig.heartbeat("n", "Unknown").await;
    rig.patch::<Node>(
        "n",
        json!({"spec": {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}}),
    )
    .await;
    is_gone(&rig, "deleted").await;
    assert!(rig.get::<Pod>("kept").await.is_some());
}

#[tokio::test(start_paused = true)]
async fn ended_pods_beyond_the_threshold_go_oldest_first() {
    let rig = Rig::with(&[ALONE, "--terminated-pod-gc-threshold=2"]).await;
    rig.node("n").await;
    for (name, phase) in [("a", "Succeeded"), ("b", "Failed"), ("running", "Running"), ("c", "Succeeded")] {
        on(&rig, name, "n").await;
        rig.patch_status::<Pod>(name, json!({"phase": phase})).await;
        rig.pass(2).await;
    }
    is_gone(&rig, "a").await;
    rig.settle().await;
    let left: Vec<String> = rig.pods().await.iter().map(|pod| pod.key().name).collect();
    assert_eq!(left, ["b", "c", "running"]);
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_holds_a_pod_but_it_is_marked_as_failed() {
    let rig = Rig::with(&[ALONE]).await;
    rig.node("n").await;
    on(&rig, "p", "n").await;
    rig.patch::<Pod>("p", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    rig.client.delete::<Node>("", "n", &DeleteOptions::default()).await.unwrap();
    rig.pass(45).await;
    let marked = rig
        .eventually("the mark", async || {
            let status = rig.get::<Pod>("p").await?.status?;
            (status.phase.as_deref() == Some("Failed")).then_some(status)
        })
        .await;
    let target = marked.conditions.unwrap().into_iter().find(|c| c.type_ == "DisruptionTarget").unwrap();
    assert_eq!(
        (target.reason.as_deref(), target.message.as_deref()),
        (Some("DeletionByPodGC"), Some("PodGC: node no longer exists"))
    );
}
