//! Patches made of two or three objects.

use super::super::strategic_merge;
use super::*;
use proptest::prelude::*;

const POD: &str = "io.k8s.api.core.v1.Pod";
const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

#[test]
fn two_way() {
    let pod = |containers: Value| json!({"metadata": {"name": "a"}, "spec": {"containers": containers}});
    let table = [
        (pod(json!([{"name": "x"}])), pod(json!([{"name": "x"}])), json!({})),
        (
            pod(json!([{"name": "x", "image": "1"}])),
            pod(json!([{"name": "x", "image": "2"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "x"}], "containers": [{"name": "x", "image": "2"}]}}),
        ),
        (
            pod(json!([{"name": "x"}, {"name": "y"}])),
            pod(json!([{"name": "y"}, {"name": "z"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "y"}, {"name": "z"}],
                "containers": [{"name": "z"}, {"$patch": "delete", "name": "x"}]}}),
        ),
        (
            pod(json!([{"name": "x"}, {"name": "y"}])),
            pod(json!([{"name": "y"}, {"name": "x"}])),
            json!({"spec": {"$setElementOrder/containers": [{"name": "y"}, {"name": "x"}]}}),
        ),
        (
            json!({"metadata": {"finalizers": ["a", "b"], "labels": {"x": "1"}}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
            json!({"metadata": {"labels": null, "finalizers": ["c"], "$deleteFromPrimitiveList/finalizers": ["a"],
                "$setElementOrder/finalizers": ["b", "c"]}}),
        ),
        (
            json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}}),
            json!({"spec": {"$setElementOrder/volumes": [{"name": "v"}], "volumes": [
                {"name": "v", "emptyDir": null, "hostPath": {"path": "/"}, "$retainKeys": ["hostPath", "name"]}]}}),
        ),
        (
            json!({"spec": {"nodeSelector": {"a": "b"}, "hostname": "x"}}),
            json!({"spec": {"hostname": 1}}),
            json!({"spec": {"nodeSelector": null, "hostname": 1}}),
        ),
    ];
    for (original, modified, patch) in table {
        assert_eq!(create_two_way(&original, &modified, Some(POD)).unwrap(), patch);
        assert_eq!(strategic_merge(POD, original, patch).unwrap(), modified);
    }
}

#[test]
fn three_way_keeps_what_others_added() {
    let original = json!({"spec": {"replicas": 1, "strategy": {"type": "Recreate"}, "template": {"spec": {
        "containers": [{"name": "x", "image": "1", "args": ["a"]}, {"name": "old"}]}}}});
    let modified = json!({"spec": {"strategy": {"type": "Recreate"}, "template": {"spec": {
        "containers": [{"name": "x", "image": "2"}, {"name": "new"}]}}}});
    let current = json!({"metadata": {"uid": "u"}, "spec": {"replicas": 5, "strategy": {"type": "Recreate"},
        "template": {"spec": {"containers": [{"name": "x", "image": "1", "args": ["a"], "tty": true}, {"name": "old"},
            {"name": "sidecar"}]}}}});
    let patch = three_way(&original, &modified, &current, Some(DEPLOYMENT)).unwrap();
    assert_eq!(
        patch,
        json!({"spec": {"replicas": null, "template": {"spec": {
            "$setElementOrder/containers": [{"name": "x"}, {"name": "new"}],
            "containers": [{"name": "x", "args": null, "image": "2"}, {"name": "new"}, {"name": "old", "$patch": "delete"}]}}}})
    );
    let merged = strategic_merge(DEPLOYMENT, current, patch).unwrap();
    assert_eq!(
        merged,
        json!({"metadata": {"uid": "u"}, "spec": {"strategy": {"type": "Recreate"}, "template": {"spec": {"containers": [
            {"name": "x", "image": "2", "tty": true}, {"name": "sidecar"}, {"name": "new"}]}}}})
    );
}

#[test]
fn three_way_of_equal_objects_is_empty() {
    let applied = json!({"metadata": {"name": "a", "finalizers": ["b", "a"]}, "spec": {"containers": [
        {"name": "x", "ports": [{"containerPort": 80}]}], "volumes": [{"name": "v", "emptyDir": {}}]}});
    let mut current = applied.clone();
    current["status"] = json!({"phase": "Running"});
    current["spec"]["containers"][0]["terminationMessagePath"] = json!("/dev/termination-log");
    assert_eq!(three_way(&applied, &applied, &current, Some(POD)).unwrap(), json!({}));
    assert_eq!(three_way(&Value::Null, &applied, &current, Some(POD)).unwrap(), json!({}));
}

#[test]
fn three_way_restores_what_others_changed_and_names_kept_keys() {
    let applied = json!({"spec": {"strategy": {"type": "Recreate"}, "replicas": 2}});
    let current =
        json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "replicas": 3}});
    assert_eq!(
        three_way(&applied, &applied, &current, Some(DEPLOYMENT)).unwrap(),
        json!({"spec": {"replicas": 2, "strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
    );
}

#[test]
fn three_way_for_custom_kinds_is_a_merge_patch() {
    let original = json!({"spec": {"a": 1, "b": {"c": 1}, "l": [1]}});
    let modified = json!({"spec": {"b": {}, "l": [1, 2], "n": 1}});
    let current = json!({"spec": {"a": 1, "b": {"c": 1, "d": 2}, "l": [1], "x": 9}});
    let patch = three_way(&original, &modified, &current, None).unwrap();
    assert_eq!(patch, json!({"spec": {"a": null, "b": {"c": null}, "l": [1, 2], "n": 1}}));
    assert_eq!(create_two_way(&original, &modified, None).unwrap()["spec"]["a"], Value::Null);
}

#[test]
fn what_cannot_be_compared() {
    let bad = json!({"spec": {"containers": [{"image": "1"}]}});
    let good = json!({"spec": {"containers": [{"name": "x"}]}});
    assert!(create_two_way(&good, &bad, Some(POD)).unwrap_err().to_string().contains("merge key"));
    assert_eq!(create_two_way(&json!([]), &good, Some(POD)), Err(Error::BadDocument));
    assert_eq!(create_two_way(&good, &good, Some("io.k8s.api.x.Y")), Err(Error::Unsupported));
}

fn element(name: &str) -> impl Strategy<Value = Value> + use<> {
    let name = name.to_string();
    (proptest::option::of(0..3), proptest::option::of("[ab]")).prop_map(move |(image, args)| {
        let mut element = json!({"name": name});
        element.as_object_mut().unwrap().extend(image.map(|image| ("image".into(), json!(image))));
        element.as_object_mut().unwrap().extend(args.map(|arg| ("args".into(), json!([arg]))));
        element
    })
}

fn pod() -> impl Strategy<Value = Value> {
    let containers = proptest::sample::subsequence(vec!["x", "y", "z", "w"], 0..=4)
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(element).collect::<Vec<_>>());
    let finalizers = proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_shuffle();
    let labels = proptest::collection::btree_map("[a-c]", "[12]", 0..3);
    (containers, finalizers, labels).prop_map(|(containers, finalizers, labels)| {
        json!({"metadata": {"finalizers": finalizers, "labels": labels}, "spec": {"containers": containers}})
    })
}

proptest! {
    #[test]
    fn a_two_way_patch_leads_to_the_modified_object(original in pod(), modified in pod()) {
        let patch = create_two_way(&original, &modified, Some(POD)).unwrap();
        prop_assert_eq!(strategic_merge(POD, original, patch).unwrap(), modified);
    }

    #[test]
    fn applying_twice_changes_nothing(original in pod(), modified in pod(), current in pod()) {
        let patch = three_way(&original, &modified, &current, Some(POD)).unwrap();
        let live = strategic_merge(POD, current, patch).unwrap();
        let again = three_way(&modified, &modified, &live, Some(POD)).unwrap();
        prop_assert_eq!(strategic_merge(POD, live.clone(), again).unwrap(), live);
    }
}
