//! PodDisruptionBudgets: how many pods may be evicted as pods come, go and turn ready.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde_json::{Value, json};

use crate::rig::{Rig, pod, replica_set};
use client::Object;

const CONTROLLERS: &str = "disruption-controller,replicaset-controller,deployment-controller";

fn budget(spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    json!({"metadata": {"name": "b"}, "spec": spec})
}

/// Waits for (healthy, desired, expected, allowed).
async fn numbers_are(rig: &Rig, expected: (i32, i32, i32, i32)) {
    rig.eventually(&format!("budget {expected:?}"), async || {
        let status = rig.get::<PodDisruptionBudget>("b").await?.status?;
        let n = |number: Option<i32>| number.unwrap_or(0);
        let now = (
            n(status.current_healthy),
            n(status.desired_healthy),
            n(status.expected_pods),
            n(status.disruptions_allowed),
        );
        (now == expected).then_some(())
    })
    .await;
}

async fn evict(rig: &Rig, name: &str) -> Result<Value, client::Error> {
    let body =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}});
    let path = format!("/api/v1/namespaces/default/pods/{name}/eviction");
    rig.client.json(http::Method::POST, &path, Some(("application/json", body.to_string().into()))).await
}

#[tokio::test(start_paused = true)]
async fn a_fixed_minimum_counts_the_pods_there_are() {
    let rig = Rig::start(CONTROLLERS).await;
    rig.create::<PodDisruptionBudget>(budget(json!({"minAvailable": 2}))).await;
    numbers_are(&rig, (0, 2, 0, 0)).await;
    rig.create::<ReplicaSet>(replica_set("web", 3)).await;
    numbers_are(&rig, (0, 2, 3, 0)).await;
    rig.pods_are(3).await;
    rig.run_pods("n1").await;
    numbers_are(&rig, (3, 2, 3, 1)).await;
    let name = rig.pods().await[0].key().name;
    rig.ready(&name, false).await;
    numbers_are(&rig, (2, 2, 3, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_fraction_counts_what_the_controllers_want() {
    let rig = Rig::start(CONTROLLERS).await;
    rig.create::<ReplicaSet>(replica_set("web", 4)).await;
    rig.pods_are(4).await;
    rig.run_pods("n1").await;
    rig.create::<PodDisruptionBudget>(budget(json!({"maxUnavailable": "25%"}))).await;
    numbers_are(&rig, (4, 3, 4, 1)).await;
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 8}})).await;
    rig.pods_are(8).await;
    numbers_are(&rig, (4, 6, 8, 0)).await;
    rig.run_pods("n1").await;
    numbers_are(&rig, (8, 6, 8, 2)).await;
}

#[tokio::test(start_paused = true)]
async fn evictions_spend_the_budget_and_replacements_refill_it() {
    let rig = Rig::start(CONTROLLERS).await;
    rig.create::<ReplicaSet>(replica_set("web", 3)).await;
    rig.create::<PodDisruptionBudget>(budget(json!({"minAvailable": 2}))).await;
    rig.pods_are(3).await;
    rig.run_pods("n1").await;
    numbers_are(&rig, (3, 2, 3, 1)).await;
    let names: Vec<String> = rig.pods().await.iter().map(|pod| pod.key().name).collect();
    evict(&rig, &names[0]).await.unwrap();
    let refused = evict(&rig, &names[1]).await.unwrap_err();
    assert!(refused.is("TooManyRequests"), "{}", refused.chain());
    rig.reap().await;
    rig.pods_are(3).await;
    rig.run_pods("n1").await;
    numbers_are(&rig, (3, 2, 3, 1)).await;
    evict(&rig, &names[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pods_without_controller_are_said_and_cannot_be_counted_in_fractions() {
    let rig = Rig::start(CONTROLLERS).await;
    rig.create::<Pod>(pod("alone", json!({}))).await;
    rig.create::<PodDisruptionBudget>(budget(json!({"maxUnavailable": 1}))).await;
    let message = rig.event("PodDisruptionBudget", "UnmanagedPods").await;
    assert!(
        message.starts_with("Pods selected by this PodDisruptionBudget were found to be unmanaged: alone."),
        "{message}"
    );
    let ghost = json!({"metadata": {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "1", "controller": true}]}});
    rig.create::<Pod>(pod("ghost", ghost)).await;
    let message = rig.event("PodDisruptionBudget", "CalculateExpectedPodCountFailed").await;
    assert_eq!(message, "Failed to calculate the number of expected pods: found no controllers for pod \"ghost\"");
}
