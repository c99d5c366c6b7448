//! What is read off pods, by tables; what is written to them, against a whole API.

use super::*;
use crate::testing::Rig;
use client::DeleteOptions;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::from_value;

#[test]
fn availability_counts_from_the_ready_transition() {
    let pod: Pod = from_value(json!({"status": {"conditions":
        [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
    .unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert!(is_available(&pod, 0, at("2026-01-01T00:00:00Z")));
    assert!(!is_available(&pod, 10, at("2026-01-01T00:00:09Z")));
    assert!(is_available(&pod, 10, at("2026-01-01T00:00:10Z")));
}

#[test]
fn percentages_round_as_told() {
    let percent = |text: &str| IntOrString::String(text.into());
    let table = [
        (IntOrString::Int(3), 10, true, 3),
        (IntOrString::Int(-3), 10, true, 0),
        (percent("25%"), 10, true, 3),
        (percent("25%"), 10, false, 2),
        (percent("100%"), 7, false, 7),
        (percent("0%"), 7, true, 0),
    ];
    for (value, total, up, expected) in table {
        assert_eq!(scaled(&value, total, up), expected, "{value:?} of {total}");
    }
}

#[test]
fn ended_and_terminating_pods_are_not_active() {
    let table = [
        (json!({}), true),
        (json!({"status": {"phase": "Running"}}), true),
        (json!({"status": {"phase": "Failed"}}), false),
        (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false),
    ];
    for (object, active) in table {
        assert_eq!(is_active(&from_value(object.clone()).unwrap()), active, "{object}");
    }
}

#[test]
fn a_pod_is_ready_and_available_by_its_condition() {
    let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
    let ready = |status: &str, since: Value| json!({"status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]}});
    let since = || json!("2026-01-01T00:00:00Z");
    // pod → ready, available after 0 s, after 60 s, after 61 s
    let table = [
        (json!({}), [false, false, false, false]),
        (json!({"status": {"conditions": [{"type": "Initialized", "status": "True"}]}}), [false; 4]),
        (ready("False", since()), [false; 4]),
        (ready("Unknown", since()), [false; 4]),
        (ready("True", since()), [true, true, true, false]),
        // Since when is not known: not long enough for whoever wants it long.
        (ready("True", Value::Null), [true, true, false, false]),
    ];
    for (object, expected) in table {
        let pod: Pod = from_value(object.clone()).unwrap();
        let found =
            [is_ready(&pod), is_available(&pod, 0, now), is_available(&pod, 60, now), is_available(&pod, 61, now)];
        assert_eq!(found, expected, "{object}");
    }
}

#[test]
fn of_several_owners_the_one_that_controls_counts() {
    let owner = |uid: &str, controls: Value| json!({"apiVersion": "v1", "kind": "X", "name": uid, "uid": uid, "controller": controls});
    let table = [
        (json!(null), None),
        (json!([]), None),
        (json!([owner("a", json!(null)), owner("b", json!(false))]), None),
        (json!([owner("a", json!(null)), owner("b", json!(true))]), Some("b")),
    ];
    for (owners, expected) in table {
        let pod: Pod = from_value(json!({"metadata": {"namespace": "n", "ownerReferences": owners}})).unwrap();
        assert_eq!(controller_of(&pod.metadata).map(|owner| owner.uid.as_str()), expected, "{owners}");
        assert_eq!(is_controlled_by(&pod.metadata, "b"), expected == Some("b"));
        // It is in one of the two indexes.
        let indexed = (index_by_controller(&pod), index_orphans(&pod));
        let wanted = match expected {
            Some(uid) => (vec![uid.to_string()], vec![]),
            None => (vec![], vec!["n".to_string()]),
        };
        assert_eq!(indexed, wanted, "{owners}");
    }
}

#[test]
fn pods_are_found_by_their_node_once_they_have_one() {
    for (node, expected) in [(json!(null), vec![]), (json!(""), vec![]), (json!("n1"), vec!["n1".to_string()])] {
        let pod: Pod = from_value(json!({"spec": {"nodeName": node, "containers": []}})).unwrap();
        assert_eq!(index_by_node(&pod), expected, "{node}");
    }
    assert!(index_by_node(&Pod::default()).is_empty());
}

#[test]
fn a_pod_from_a_template_takes_what_is_for_pods_and_nothing_else() {
    let set: ReplicaSet = from_value(json!({"metadata": {"name": "web", "namespace": "n", "uid": "u", "labels": {"of": "set"}},
        "spec": {"selector": {}, "template": {
            "metadata": {"name": "ignored", "namespace": "elsewhere", "labels": {"app": "web"}, "annotations": {"a": "b"},
                "finalizers": ["example.com/hold"], "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x"}]},
            "spec": {"containers": [{"name": "c"}], "hostNetwork": true}}}}))
    .unwrap();
    let pod = from_template(set.spec.template.as_ref().unwrap(), &set);
    let meta = &pod.metadata;
    assert_eq!(
        (meta.name.as_deref(), meta.generate_name.as_deref(), meta.namespace.as_deref()),
        (None, Some("web-"), Some("n"))
    );
    assert_eq!(
        json!([meta.labels, meta.annotations, meta.finalizers]),
        json!([{"app": "web"}, {"a": "b"}, ["example.com/hold"]])
    );
    let owners = meta.owner_references.as_ref().unwrap();
    assert_eq!((owners.len(), owners[0].uid.as_str(), owners[0].kind.as_str()), (1, "u", "ReplicaSet"));
    assert_eq!(pod.spec, set.spec.template.unwrap().spec);
    assert_eq!(pod.status, None);
}

/// A pod in this phase.
async fn pod(rig: &Rig, name: &str, phase: &str) -> Pod {
    rig.pod(name, "web").await;
    let status = Patch::Merge(json!({"status": {"phase": phase}}));
    rig.client.patch_status::<Pod>("default", name, &status).await.unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

#[tokio::test(start_paused = true)]
async fn who_is_about_to_be_deleted_is_told_why_once() {
    let rig = Rig::start().await;
    let why = ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint");
    let pod = pod(&rig, "p", "Running").await;
    mark_disrupted(&rig.client, &pod, why, false, at(0)).await.unwrap();
    let told = rig.now("p").await;
    let target = condition(&told, "DisruptionTarget").unwrap();
    assert_eq!(
        (target.status.as_str(), target.reason.as_deref(), target.message.as_deref()),
        ("True", Some(why.0), Some(why.1))
    );
    assert_eq!((phase(&told), target.last_transition_time.as_ref().unwrap().0), ("Running", at(0)));
    // Said again it writes nothing; another reason is another thing to say.
    mark_disrupted(&rig.client, &told, why, false, at(9)).await.unwrap();
    assert_eq!(rig.now("p").await.metadata.resource_version, told.metadata.resource_version);
    mark_disrupted(&rig.client, &told, ("DeletionByPodGC", "gone"), false, at(9)).await.unwrap();
    assert_eq!(condition(&rig.now("p").await, "DisruptionTarget").unwrap().reason.as_deref(), Some("DeletionByPodGC"));
}

#[tokio::test(start_paused = true)]
async fn who_has_not_ended_has_failed_then() {
    let rig = Rig::start().await;
    for (name, before, after) in [
        ("a", "Running", "Failed"),
        ("b", "Pending", "Failed"),
        ("c", "Succeeded", "Succeeded"),
        ("d", "Failed", "Failed"),
    ] {
        let pod = pod(&rig, name, before).await;
        fail(&rig.client, &pod).await.unwrap();
        let now = rig.now(name).await;
        assert_eq!((phase(&now), condition(&now, "DisruptionTarget")), (after, None), "{before}");
        mark_disrupted(&rig.client, &pod, ("DeletionByPodGC", "gone"), true, at(0)).await.unwrap();
        let now = rig.now(name).await;
        assert_eq!((phase(&now), condition(&now, "DisruptionTarget").is_some()), (after, true), "{before}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_gone_or_another_one_needs_no_mark() {
    let rig = Rig::start().await;
    let old = pod(&rig, "p", "Running").await;
    rig.client.delete::<Pod>("default", "p", &DeleteOptions::default().grace(0)).await.unwrap();
    fail(&rig.client, &old).await.unwrap();
    let new = pod(&rig, "p", "Running").await;
    fail(&rig.client, &old).await.unwrap();
    mark_disrupted(&rig.client, &old, ("DeletionByPodGC", "gone"), true, at(0)).await.unwrap();
    assert_eq!(rig.now("p").await.metadata.resource_version, new.metadata.resource_version);
}
