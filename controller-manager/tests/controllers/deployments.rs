//! Deployments: rollouts, their revisions and what is said about their progress.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use crate::rig::{Rig, annotation, deployment, image, new_image};
use client::Object;

const BOTH: &str = "deployment-controller,replicaset-controller";
/// Nobody creates pods: the sizes stand as the Deployment controller wrote them.
const ALONE: &str = "deployment-controller";
const REVISION: &str = "deployment.kubernetes.io/revision";

async fn condition(rig: &Rig, kind: &str) -> Option<DeploymentCondition> {
    let conditions = rig.get::<Deployment>("web").await?.status?.conditions?;
    conditions.into_iter().find(|condition| condition.type_.as_deref() == Some(kind))
}

async fn progress_is(rig: &Rig, status: &str, reason: &str) -> String {
    rig.eventually(&format!("Progressing={status} because {reason}"), async || {
        let condition = condition(rig, "Progressing").await?;
        let told = (condition.status.as_deref(), condition.reason.as_deref());
        (told == (Some(status), Some(reason))).then_some(condition.message.unwrap_or_default())
    })
    .await
}

/// Plays the ReplicaSet controller: the set of this image has so many pods, of which so many are available.
async fn report(rig: &Rig, of: &str, replicas: i32, available: i32) {
    let sets = rig.list::<ReplicaSet>().await;
    let set = sets.iter().find(|set| image(set) == of).unwrap();
    let counts = json!({"replicas": replicas, "readyReplicas": available, "availableReplicas": available,
        "observedGeneration": set.metadata.generation});
    rig.patch_status::<ReplicaSet>(&set.key().name, counts).await;
}

#[tokio::test(start_paused = true)]
async fn a_rollout_ends_with_the_new_set_alone() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(3, "one", json!({}))).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("one", 3)]).await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("one", 0), ("two", 3)]).await;
    let deployment = rig.get::<Deployment>("web").await.unwrap();
    assert_eq!(annotation(&deployment, REVISION), "2");
    let message = progress_is(&rig, "True", "NewReplicaSetAvailable").await;
    assert!(
        message.starts_with("ReplicaSet \"web-") && message.ends_with("\" has successfully progressed."),
        "{message}"
    );
    assert_eq!(condition(&rig, "Available").await.unwrap().reason.as_deref(), Some("MinimumReplicasAvailable"));
    let sets = rig.list::<ReplicaSet>().await;
    for set in &sets {
        // Set, its pods and its selector share the hash of the template.
        let hash = set.metadata.labels.as_ref().unwrap()["pod-template-hash"].clone();
        assert_eq!(set.key().name, format!("web-{hash}"));
        assert_eq!(set.spec.selector.match_labels.as_ref().unwrap()["pod-template-hash"], hash);
    }
}

#[tokio::test(start_paused = true)]
async fn steps_of_a_rollout_wait_for_what_is_available() {
    let rig = Rig::start(ALONE).await;
    let strategy = json!({"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}});
    rig.create::<Deployment>(deployment(4, "one", strategy)).await;
    rig.sizes_are(&[("one", 4)]).await;
    report(&rig, "one", 4, 4).await;
    progress_is(&rig, "True", "NewReplicaSetAvailable").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    // One more than wanted, one fewer available: at once one more new, one fewer old, and so one more new.
    rig.sizes_are(&[("one", 3), ("two", 2)]).await;
    report(&rig, "one", 3, 3).await;
    rig.settle().await;
    rig.sizes_are(&[("one", 3), ("two", 2)]).await;
    report(&rig, "two", 2, 1).await;
    rig.sizes_are(&[("one", 2), ("two", 3)]).await;
    report(&rig, "one", 2, 2).await;
    report(&rig, "two", 3, 3).await;
    rig.sizes_are(&[("one", 0), ("two", 4)]).await;
}

#[tokio::test(start_paused = true)]
async fn recreate_starts_nothing_new_beside_old_pods() {
    let rig = Rig::start(BOTH).await;
    let strategy = json!({"strategy": {"type": "Recreate"}});
    rig.create::<Deployment>(deployment(2, "one", strategy)).await;
    rig.pods_are(2).await;
    rig.roll_out("web").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    // The old pods are asked to go, but their kubelet takes its time.
    rig.sizes_are(&[("one", 0)]).await;
    rig.pods_are(0).await;
    rig.settle().await;
    rig.sizes_are(&[("one", 0)]).await;
    rig.reap().await;
    rig.sizes_are(&[("one", 0), ("two", 2)]).await;
    rig.roll_out("web").await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_can_be_scaled_but_does_not_roll() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Deployment>(deployment(2, "one", json!({}))).await;
    rig.sizes_are(&[("one", 2)]).await;
    report(&rig, "one", 2, 2).await;
    rig.patch::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    progress_is(&rig, "Unknown", "DeploymentPaused").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.patch::<Deployment>("web", json!({"spec": {"replicas": 5}})).await;
    rig.sizes_are(&[("one", 5)]).await;
    report(&rig, "one", 5, 5).await;
    rig.settle().await;
    rig.sizes_are(&[("one", 5)]).await;
    rig.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    rig.eventually("a set for the new template", async || (rig.sizes().await.len() == 2).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn scaling_in_the_middle_of_a_rollout_keeps_proportions() {
    let rig = Rig::start(ALONE).await;
    let strategy = json!({"strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}});
    rig.create::<Deployment>(deployment(10, "one", strategy)).await;
    rig.sizes_are(&[("one", 10)]).await;
    report(&rig, "one", 10, 10).await;
    progress_is(&rig, "True", "NewReplicaSetAvailable").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.sizes_are(&[("one", 8), ("two", 5)]).await;
    report(&rig, "one", 8, 8).await;
    // Upstream's own example (conformance: "deployment should support proportional scaling").
    rig.patch::<Deployment>("web", json!({"spec": {"replicas": 30}})).await;
    rig.sizes_are(&[("one", 20), ("two", 13)]).await;
    let sets = rig.list::<ReplicaSet>().await;
    for set in &sets {
        assert_eq!(annotation(set, "deployment.kubernetes.io/desired-replicas"), "30");
        assert_eq!(annotation(set, "deployment.kubernetes.io/max-replicas"), "33");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_template_that_comes_back_is_a_new_revision_of_the_same_set() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(1, "one", json!({}))).await;
    rig.roll_out("web").await;
    let first = rig.list::<ReplicaSet>().await[0].key().name;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.roll_out("web").await;
    rig.patch::<Deployment>("web", new_image("one")).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("two", 0), ("one", 1)]).await;
    let set = rig.get::<ReplicaSet>(&first).await.unwrap();
    assert_eq!(
        (annotation(&set, REVISION), annotation(&set, "deployment.kubernetes.io/revision-history")),
        ("3".into(), "1".into())
    );
    assert_eq!(annotation(&rig.get::<Deployment>("web").await.unwrap(), REVISION), "3");
}

#[tokio::test(start_paused = true)]
async fn a_rollout_that_is_overtaken_is_wound_down() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(4, "one", json!({}))).await;
    rig.roll_out("web").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.eventually("a second set", async || (rig.sizes().await.len() == 2).then_some(())).await;
    rig.patch::<Deployment>("web", new_image("three")).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("one", 0), ("two", 0), ("three", 4)]).await;
}

#[tokio::test(start_paused = true)]
async fn standing_still_past_the_deadline_is_said_and_can_be_overcome() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(2, "one", json!({"progressDeadlineSeconds": 60}))).await;
    rig.pods_are(2).await;
    rig.pass(50).await;
    assert_eq!(condition(&rig, "Progressing").await.unwrap().status.as_deref(), Some("True"));
    rig.pass(30).await;
    let message = progress_is(&rig, "False", "ProgressDeadlineExceeded").await;
    assert!(message.ends_with("has timed out progressing."), "{message}");
    assert_eq!(condition(&rig, "Available").await.unwrap().reason.as_deref(), Some("MinimumReplicasUnavailable"));
    rig.run_pods("n1").await;
    progress_is(&rig, "True", "NewReplicaSetAvailable").await;
}

#[tokio::test(start_paused = true)]
async fn history_is_kept_to_its_limit_once_the_rollout_has_ended() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(1, "v1", json!({"revisionHistoryLimit": 1}))).await;
    rig.roll_out("web").await;
    for version in ["v2", "v3"] {
        rig.patch::<Deployment>("web", new_image(version)).await;
        rig.roll_out("web").await;
    }
    rig.sizes_are(&[("v2", 0), ("v3", 1)]).await;
    // A rollout that does not end keeps what it could go back to.
    rig.patch::<Deployment>("web", json!({"spec": {"revisionHistoryLimit": 0, "replicas": 2}})).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("v3", 2)]).await;
    rig.patch::<Deployment>("web", new_image("v4")).await;
    rig.patch::<Deployment>(
        "web",
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}}),
    )
    .await;
    rig.sizes_are(&[("v3", 2), ("v4", 2)]).await;
    rig.roll_out("web").await;
    rig.sizes_are(&[("v4", 2)]).await;
}

#[tokio::test(start_paused = true)]
async fn sets_without_owner_are_adopted_and_foreign_ones_left_alone() {
    let rig = Rig::start(ALONE).await;
    let orphan = |name: &str, app: &str| {
        json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": app}},
            "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}}})
    };
    rig.create::<ReplicaSet>(orphan("mine", "web")).await;
    rig.create::<ReplicaSet>(orphan("theirs", "db")).await;
    rig.create::<Deployment>(deployment(1, "one", json!({}))).await;
    rig.eventually("adoption", async || {
        let set = rig.get::<ReplicaSet>("mine").await?;
        let owners = set.metadata.owner_references?;
        (owners[0].name == "web" && owners[0].controller == Some(true)).then_some(())
    })
    .await;
    rig.settle().await;
    assert!(rig.get::<ReplicaSet>("theirs").await.unwrap().metadata.owner_references.is_none());
    // Its template is the Deployment's: no other set is made.
    assert_eq!(rig.list::<ReplicaSet>().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_a_collision_and_another_is_found() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Deployment>(deployment(1, "one", json!({}))).await;
    let first = rig.eventually("a set", async || rig.list::<ReplicaSet>().await.into_iter().next()).await;
    rig.delete::<Deployment>("web", Some("Orphan")).await;
    // The set is made somebody else's, so that it keeps its name but is no candidate.
    let other = json!({"metadata": {"finalizers": null, "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": true}]}});
    rig.patch::<ReplicaSet>(&first.key().name, other).await;
    rig.patch::<Deployment>("web", json!({"metadata": {"finalizers": null}})).await;
    rig.create::<Deployment>(deployment(1, "one", json!({}))).await;
    rig.eventually("another set", async || {
        let deployment = rig.get::<Deployment>("web").await?;
        let collisions = deployment.status?.collision_count?;
        let own = rig.list::<ReplicaSet>().await.into_iter().filter(|set| set.uid() != first.uid()).count();
        (collisions == 1 && own == 1).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_cannot_create_pods_is_the_deployments_failure_too() {
    let rig = Rig::start(BOTH).await;
    let template = json!({"template": {"spec": {"serviceAccountName": "nobody"}}});
    rig.create::<Deployment>(deployment(1, "one", template)).await;
    let failure = rig.eventually("ReplicaFailure", async || condition(&rig, "ReplicaFailure").await).await;
    assert_eq!((failure.status.as_deref(), failure.reason.as_deref()), (Some("True"), Some("FailedCreate")));
}

#[tokio::test(start_paused = true)]
async fn counts_of_the_status_add_up_over_all_sets() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Deployment>(deployment(
        4,
        "one",
        json!({"strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}}),
    ))
    .await;
    rig.sizes_are(&[("one", 4)]).await;
    report(&rig, "one", 4, 4).await;
    progress_is(&rig, "True", "NewReplicaSetAvailable").await;
    rig.patch::<Deployment>("web", new_image("two")).await;
    rig.sizes_are(&[("one", 3), ("two", 2)]).await;
    report(&rig, "one", 3, 3).await;
    report(&rig, "two", 2, 0).await;
    let counted = rig
        .eventually("counts", async || {
            let status = rig.get::<Deployment>("web").await?.status?;
            (status.replicas == Some(5) && status.updated_replicas == Some(2)).then_some(status)
        })
        .await;
    assert_eq!((counted.available_replicas, counted.unavailable_replicas.unwrap_or(0)), (Some(3), 2));
    assert!(rig.list::<Pod>().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_scaled_is_told_in_upstreams_words() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Deployment>(deployment(2, "one", json!({}))).await;
    let name = rig.eventually("a set", async || rig.list::<ReplicaSet>().await.into_iter().next()).await.key().name;
    assert_eq!(rig.event("Deployment", "ScalingReplicaSet").await, format!("Scaled up replica set {name} from 0 to 2"));
    rig.patch::<Deployment>("web", json!({"spec": {"replicas": 1}})).await;
    rig.eventually("the other direction", async || {
        let wanted = format!("Scaled down replica set {name} from 2 to 1");
        rig.events("Deployment").await.into_iter().any(|event| event.1 == wanted).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_taken_away_takes_along_what_was_said_of_progress() {
    let rig = Rig::start(BOTH).await;
    rig.create::<Deployment>(deployment(2, "one", json!({"progressDeadlineSeconds": 60}))).await;
    rig.pods_are(2).await;
    rig.pass(70).await;
    progress_is(&rig, "False", "ProgressDeadlineExceeded").await;
    rig.patch::<Deployment>("web", json!({"spec": {"progressDeadlineSeconds": i32::MAX}})).await;
    rig.eventually("nothing is said", async || condition(&rig, "Progressing").await.is_none().then_some(())).await;
    rig.run_pods("n1").await;
    rig.eventually("it is available", async || {
        (condition(&rig, "Available").await?.status.as_deref() == Some("True")).then_some(())
    })
    .await;
    assert!(condition(&rig, "Progressing").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn labels_and_annotations_of_a_deployment_go_where_upstream_puts_them() {
    let rig = Rig::start(ALONE).await;
    let mut object = deployment(1, "one", json!({"minReadySeconds": 7}));
    object["metadata"]["annotations"] = json!({"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"});
    rig.create::<Deployment>(object).await;
    let set = rig.eventually("a set", async || rig.list::<ReplicaSet>().await.into_iter().next()).await;
    assert_eq!((annotation(&set, "team"), set.spec.min_ready_seconds), ("a".to_string(), Some(7)));
    assert_eq!(annotation(&set, "kubectl.kubernetes.io/last-applied-configuration"), "");
    // What changes later is passed on, without a new revision.
    let change = json!({"metadata": {"annotations": {"team": "b"}}, "spec": {"minReadySeconds": 9}});
    rig.patch::<Deployment>("web", change).await;
    rig.eventually("it is passed on", async || {
        let set = rig.list::<ReplicaSet>().await.into_iter().next()?;
        (annotation(&set, "team") == "b" && set.spec.min_ready_seconds == Some(9)).then_some(())
    })
    .await;
    let set = rig.list::<ReplicaSet>().await.remove(0);
    assert_eq!(
        (annotation(&set, REVISION), annotation(&set, "deployment.kubernetes.io/desired-replicas")),
        ("1".into(), "1".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_deleted_with_orphans_leaves_its_set_and_another_takes_it() {
    let rig = Rig::start("deployment-controller,replicaset-controller,garbage-collector-controller").await;
    rig.create::<Deployment>(deployment(2, "one", json!({}))).await;
    rig.roll_out("web").await;
    let before: Vec<String> = rig.pods_are(2).await.iter().map(|pod| pod.uid().to_string()).collect();
    rig.delete::<Deployment>("web", Some("Orphan")).await;
    rig.eventually("it is gone", async || rig.get::<Deployment>("web").await.is_none().then_some(())).await;
    rig.settle().await;
    let set = rig.list::<ReplicaSet>().await.remove(0);
    assert!(set.metadata.owner_references.unwrap_or_default().is_empty(), "nobody took it back");
    rig.create::<Deployment>(deployment(2, "one", json!({}))).await;
    rig.eventually("the new one takes it", async || {
        let sets = rig.list::<ReplicaSet>().await;
        let owners = sets.first()?.metadata.owner_references.clone()?;
        (sets.len() == 1 && owners[0].kind == "Deployment").then_some(())
    })
    .await;
    rig.settle().await;
    let after: Vec<String> = rig.pods().await.iter().map(|pod| pod.uid().to_string()).collect();
    assert_eq!(after, before, "its pods did not notice");
}
