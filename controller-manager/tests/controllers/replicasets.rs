//! ReplicaSets: how many pods there are, whose they are, which go first, what is said about it.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use serde_json::json;

use crate::rig::{Rig, pod, replica_set};
use client::{DeleteOptions, Object};

const ALONE: &str = "replicaset-controller";

fn owner(pod: &Pod) -> Option<&str> {
    pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true)).map(|o| o.name.as_str())
}

#[tokio::test(start_paused = true)]
async fn pods_are_created_replaced_and_removed_to_the_wanted_number() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 3)).await;
    let pods = rig.pods_are(3).await;
    assert!(pods.iter().all(|pod| owner(pod) == Some("web") && pod.key().name.starts_with("web-")));
    rig.delete::<Pod>(&pods[0].key().name, None).await;
    let replaced = rig.pods_are(3).await;
    assert!(replaced.iter().all(|pod| pod.uid() != pods[0].uid()));
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 1}})).await;
    rig.pods_are(1).await;
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 0}})).await;
    rig.pods_are(0).await;
    let said: Vec<String> = rig.events("ReplicaSet").await.into_iter().map(|event| event.0).collect();
    assert!(said.contains(&"SuccessfulCreate".into()) && said.contains(&"SuccessfulDelete".into()), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_that_have_ended_are_replaced_but_left_alone() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 2)).await;
    let pods = rig.pods_are(2).await;
    rig.bind(&pods[0], "n1").await;
    rig.patch_status::<Pod>(&pods[0].key().name, json!({"phase": "Failed"})).await;
    let pods_now = rig.pods_are(3).await;
    assert!(pods_now.iter().any(|pod| pod.uid() == pods[0].uid()));
    rig.settle().await;
    assert_eq!(rig.pods().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn matching_orphans_are_adopted_and_count() {
    let rig = Rig::start(ALONE).await;
    for name in ["a", "b", "c"] {
        rig.create::<Pod>(pod(name, json!({}))).await;
    }
    rig.create::<Pod>(pod("stranger", json!({"metadata": {"labels": {"app": "db"}}}))).await;
    // A controller that hears of the set first makes four, adopts three, and removes three of the seven, as upstream's does.
    rig.settle().await;
    rig.create::<ReplicaSet>(replica_set("web", 4)).await;
    rig.eventually("adoption of three and one more", async || {
        let pods = rig.pods().await;
        let own = pods.iter().filter(|pod| owner(pod) == Some("web")).count();
        (own == 4 && pods.len() == 5).then_some(())
    })
    .await;
    let adopted = rig.get::<Pod>("a").await.unwrap();
    let reference = &adopted.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((reference.block_owner_deletion, reference.kind.as_str()), (Some(true), "ReplicaSet"));
    assert_eq!(owner(&rig.get::<Pod>("stranger").await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_match_any_more_is_released_and_replaced() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 2)).await;
    let name = rig.pods_are(2).await[0].key().name;
    rig.patch::<Pod>(&name, json!({"metadata": {"labels": {"app": "debug"}}})).await;
    rig.pods_are(3).await;
    rig.eventually("release", async || owner(&rig.get::<Pod>(&name).await?).is_none().then_some(())).await;
    // Labeled as before it comes home, and one too many is there.
    rig.patch::<Pod>(&name, json!({"metadata": {"labels": {"app": "web"}}})).await;
    rig.pods_are(2).await;
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_pods_are_never_touched() {
    let rig = Rig::start(ALONE).await;
    let theirs = json!({"metadata": {"ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1", "controller": true}]}});
    rig.create::<Pod>(pod("theirs", theirs)).await;
    rig.create::<ReplicaSet>(replica_set("web", 1)).await;
    rig.pods_are(2).await;
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 0}})).await;
    rig.pods_are(1).await;
    assert_eq!(owner(&rig.get::<Pod>("theirs").await.unwrap()), Some("j"));
}

#[tokio::test(start_paused = true)]
async fn pods_that_do_nothing_yet_go_before_pods_that_serve() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 3)).await;
    let pods = rig.pods_are(3).await;
    for pod in &pods[..2] {
        rig.bind(pod, "n1").await;
    }
    rig.ready(&pods[1].key().name, true).await;
    rig.eventually("the ready pod counts", async || {
        (rig.get::<ReplicaSet>("web").await?.status?.ready_replicas == Some(1)).then_some(())
    })
    .await;
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 2}})).await;
    let left = rig.pods_are(2).await;
    assert!(left.iter().all(|pod| pod.uid() != pods[2].uid()), "the unassigned pod goes first");
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 1}})).await;
    assert_eq!(rig.pods_are(1).await[0].uid(), pods[1].uid());
}

#[tokio::test(start_paused = true)]
async fn the_status_counts_and_availability_takes_its_time() {
    let rig = Rig::start(ALONE).await;
    let mut set = replica_set("web", 2);
    set["spec"]["minReadySeconds"] = json!(30);
    rig.create::<ReplicaSet>(set).await;
    rig.pods_are(2).await;
    rig.run_pods("n1").await;
    let counts = async || {
        let status = rig.get::<ReplicaSet>("web").await?.status?;
        Some((status.replicas, status.ready_replicas.unwrap_or(0), status.available_replicas.unwrap_or(0)))
    };
    let counts_are = async |wanted: (i32, i32, i32)| {
        rig.eventually(&format!("counts {wanted:?}"), async || (counts().await? == wanted).then_some(())).await;
    };
    counts_are((2, 2, 0)).await;
    rig.pass(25).await;
    assert_eq!(counts().await, Some((2, 2, 0)));
    rig.pass(6).await;
    counts_are((2, 2, 2)).await;
    let set = rig.get::<ReplicaSet>("web").await.unwrap();
    let status = set.status.unwrap();
    assert_eq!((status.observed_generation, status.fully_labeled_replicas), (set.metadata.generation, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn pods_that_are_refused_are_a_condition_an_event_and_few_requests() {
    let rig = Rig::start(ALONE).await;
    let mut set = replica_set("web", 40);
    // Admission refuses a pod whose service account does not exist.
    set["spec"]["template"]["spec"]["serviceAccountName"] = json!("nobody");
    rig.create::<ReplicaSet>(set).await;
    let message = rig.event("ReplicaSet", "FailedCreate").await;
    assert!(
        message.starts_with("Error creating: ") && message.contains("serviceaccount \"nobody\" not found"),
        "{message}"
    );
    let condition = rig
        .eventually("condition", async || rig.get::<ReplicaSet>("web").await?.status?.conditions?.into_iter().next())
        .await;
    let told = (condition.type_.as_deref(), condition.status.as_deref(), condition.reason.as_deref());
    assert_eq!(told, (Some("ReplicaFailure"), Some("True"), Some("FailedCreate")));
    // It is tried again, and the condition goes with its cause.
    rig.create::<k8s_openapi::api::core::v1::ServiceAccount>(json!({"metadata": {"name": "nobody"}})).await;
    rig.pass(61).await;
    rig.pods_are(40).await;
    rig.eventually("no condition", async || {
        rig.get::<ReplicaSet>("web").await?.status?.conditions.unwrap_or_default().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_on_its_way_out_gets_no_pods() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Namespace>(json!({"metadata": {"name": "going"}})).await;
    rig.create::<k8s_openapi::api::core::v1::ServiceAccount>(
        json!({"metadata": {"name": "default", "namespace": "going"}}),
    )
    .await;
    let mut set = replica_set("web", 1);
    set["metadata"]["namespace"] = json!("going");
    rig.create::<ReplicaSet>(set).await;
    let pods = async || rig.client.list::<Pod>("going", &Default::default()).await.unwrap().items;
    rig.eventually("a pod", async || (pods().await.len() == 1).then_some(())).await;
    rig.client.delete::<Namespace>("", "going", &DeleteOptions::default()).await.unwrap();
    let name = pods().await[0].key().name;
    rig.client.delete::<Pod>("going", &name, &DeleteOptions::default().grace(0)).await.unwrap();
    rig.settle().await;
    assert!(pods().await.is_empty());
    assert!(rig.events("ReplicaSet").await.iter().all(|event| event.0 != "FailedCreate"));
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_comes_back_creates_nothing_twice() {
    let mut rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 5)).await;
    let before: Vec<String> = rig.pods_are(5).await.iter().map(|pod| pod.uid().to_string()).collect();
    rig.restart(&["--controllers=replicaset-controller"]).await;
    rig.settle().await;
    let after: Vec<String> = rig.pods().await.iter().map(|pod| pod.uid().to_string()).collect();
    assert_eq!(after, before);
}

#[tokio::test(start_paused = true)]
async fn pods_that_have_ended_are_nobodys_to_take_or_to_let_go() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Pod>(pod("ended", json!({}))).await;
    rig.patch_status::<Pod>("ended", json!({"phase": "Failed"})).await;
    rig.settle().await;
    rig.create::<ReplicaSet>(replica_set("web", 1)).await;
    let own = rig
        .eventually("a pod of its own", async || {
            rig.pods().await.into_iter().find(|pod| owner(pod) == Some("web")).map(|pod| pod.key().name)
        })
        .await;
    assert_ne!(own, "ended");
    // One that was its own has ended, and does not match any more.
    rig.patch_status::<Pod>(&own, json!({"phase": "Failed"})).await;
    rig.pods_are(3).await;
    rig.patch::<Pod>(&own, json!({"metadata": {"labels": {"app": "other"}}})).await;
    rig.settle().await;
    assert_eq!(owner(&rig.get::<Pod>(&own).await.unwrap()), Some("web"));
    assert_eq!(owner(&rig.get::<Pod>("ended").await.unwrap()), None);
}

#[tokio::test(start_paused = true)]
async fn pods_on_their_way_out_are_replaced_at_once_and_counted_apart() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 2)).await;
    let going = rig.pods_are(2).await[0].clone();
    // A kubelet takes its time.
    rig.bind(&going, "n1").await;
    rig.delete::<Pod>(&going.key().name, None).await;
    rig.pods_are(2).await;
    let counts_are = async |wanted: (i32, i32)| {
        rig.eventually(&format!("counts {wanted:?}"), async || {
            let status = rig.get::<ReplicaSet>("web").await?.status?;
            ((status.replicas, status.terminating_replicas.unwrap_or(0)) == wanted).then_some(())
        })
        .await;
    };
    counts_are((2, 1)).await;
    assert_eq!(rig.list::<Pod>().await.len(), 3);
    rig.reap().await;
    counts_are((2, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn two_sets_with_one_selector_do_not_take_from_each_other() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("one", 2)).await;
    rig.create::<ReplicaSet>(replica_set("two", 3)).await;
    rig.pods_are(5).await;
    // One of them goes and leaves its pods: the other takes no more than it wants.
    rig.delete::<ReplicaSet>("one", Some("Orphan")).await;
    for pod in rig.pods().await.iter().filter(|pod| owner(pod) == Some("one")) {
        rig.patch::<Pod>(&pod.key().name, json!({"metadata": {"ownerReferences": null}})).await;
    }
    let left = rig.pods_are(3).await;
    rig.eventually("all are of the other", async || {
        rig.pods().await.iter().all(|pod| owner(pod) == Some("two")).then_some(())
    })
    .await;
    assert_eq!(left.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn many_pods_are_created_and_removed_in_one_go() {
    let rig = Rig::start(ALONE).await;
    rig.create::<ReplicaSet>(replica_set("web", 70)).await;
    rig.pods_are(70).await;
    rig.patch::<ReplicaSet>("web", json!({"spec": {"replicas": 3}})).await;
    rig.pods_are(3).await;
    rig.settle().await;
    assert_eq!(rig.pods().await.len(), 3, "nobody was removed twice over");
}
