//! Makers of pods that are refused, and why.

use crate::strategy::testing::texts;
use api::{kinds, object};
use serde_json::json;

use super::*;
use crate::strategy::{self, defaults};

/// A valid object of the kind, defaulted, after `edits`.
fn object_of(group: &str, plural: &str, edits: &[(&str, Value)]) -> Value {
    let (kind, _) = kinds::find(group, "v1", plural).unwrap();
    let selector =
        if plural == "replicationcontrollers" { json!({"a": "b"}) } else { json!({"matchLabels": {"a": "b"}}) };
    let mut made = json!({"metadata": {"name": "x", "namespace": "default"}, "spec": {"selector": selector,
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    for (pointer, value) in edits {
        object::set(&mut made, pointer, value.clone());
    }
    defaults::apply(kind, &mut made);
    made
}

fn check(group: &str, plural: &str, table: &[(&str, Value, &[&str])]) {
    let strategy = strategy::of(kinds::find(group, "v1", plural).unwrap().0);
    assert_eq!(texts(&strategy.validate(&object_of(group, plural, &[]))), Vec::<String>::new(), "{plural}");
    for (pointer, value, expected) in table {
        let object = object_of(group, plural, &[(pointer, value.clone())]);
        assert_eq!(texts(&strategy.validate(&object)), *expected, "{plural}: {pointer} = {value}");
    }
}

const NEGATIVE: &str = "must be greater than or equal to 0";

#[test]
fn deployments() {
    let replicas = format!("spec.replicas: Invalid value: -1: {NEGATIVE}");
    check(
        "apps",
        "deployments",
        &[
            ("/spec/replicas", json!(-1), &[&replicas]),
            (
                "/spec/selector",
                Value::Null,
                &[
                    "spec.selector: Required value",
                    "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
                ],
            ),
            (
                "/spec/selector",
                json!({}),
                &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
            ),
            (
                "/spec/selector",
                json!({"matchLabels": {"a": "c"}}),
                &[
                    "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
                ],
            ),
            ("/spec/template/spec/containers", json!([]), &["spec.template.spec.containers: Required value"]),
            (
                "/spec/template/spec/containers",
                json!([{"name": "c"}]),
                &["spec.template.spec.containers[0].image: Required value"],
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("Never"),
                &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
            ),
            (
                "/spec/template/spec/activeDeadlineSeconds",
                json!(5),
                &[
                    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported",
                ],
            ),
            (
                "/spec/strategy",
                json!({"type": "Magic"}),
                &[
                    "spec.strategy.type: Unsupported value: \"Magic\": supported values: \"Recreate\", \"RollingUpdate\"",
                ],
            ),
            (
                "/spec/strategy",
                json!({"type": "Recreate", "rollingUpdate": {}}),
                &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "0%"}}),
                &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
            ),
            (
                "/spec/strategy",
                json!({"rollingUpdate": {"maxUnavailable": "101%"}}),
                &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"101%\": must not be greater than 100%"],
            ),
            (
                "/spec/progressDeadlineSeconds",
                json!(0),
                &["spec.progressDeadlineSeconds: Invalid value: 0: must be greater than minReadySeconds"],
            ),
            ("/spec/minReadySeconds", json!(-1), &[&format!("spec.minReadySeconds: Invalid value: -1: {NEGATIVE}")]),
        ],
    );
    let old = object_of("apps", "deployments", &[]);
    let other = json!({"matchLabels": {"a": "c"}});
    let new = object_of("apps", "deployments", &[("/spec/selector", other)]);
    assert_eq!(
        texts(&Deployment.validate_update(&new, &old)),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"c\"}}: field is immutable"]
    );
    assert!(Deployment.validate_update(&old, &old).is_empty());
}

#[test]
fn replica_sets_and_controllers() {
    let mismatch =
        "spec.template.metadata.labels: Invalid value: {\"x\":\"y\"}: `selector` does not match template `labels`";
    for (group, plural) in [("apps", "replicasets"), ("", "replicationcontrollers")] {
        check(
            group,
            plural,
            &[
                ("/spec/replicas", json!(-1), &[&format!("spec.replicas: Invalid value: -1: {NEGATIVE}")]),
                ("/spec/template/metadata/labels", json!({"x": "y"}), &[mismatch]),
            ],
        );
    }
    let status = json!({"status": {"replicas": 1, "readyReplicas": 1, "availableReplicas": 2}});
    assert_eq!(
        texts(&ReplicaSet.validate_status_update(&status, &json!({}))),
        [
            "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
            "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"
        ]
    );
}

#[test]
fn daemon_sets() {
    check(
        "apps",
        "daemonsets",
        &[
            (
                "/spec/selector",
                json!({"matchLabels": {"a": "c"}}),
                &[
                    "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
                ],
            ),
            (
                "/spec/selector",
                json!({}),
                &["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"],
            ),
            (
                "/spec/updateStrategy",
                json!({"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}),
                &[
                    "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
                ],
            ),
            (
                "/spec/updateStrategy",
                json!({"rollingUpdate": {"maxUnavailable": 0}}),
                &["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
            ),
        ],
    );
}

#[test]
fn stateful_sets() {
    check(
        "apps",
        "statefulsets",
        &[
            (
                "/spec/podManagementPolicy",
                json!("x"),
                &["spec.podManagementPolicy: Invalid value: \"x\": must be 'OrderedReady' or 'Parallel'"],
            ),
            (
                "/spec/updateStrategy",
                json!({"rollingUpdate": {"partition": -1}}),
                &[&format!("spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: {NEGATIVE}")],
            ),
            (
                "/spec/template/spec/restartPolicy",
                json!("OnFailure"),
                &["spec.template.spec.restartPolicy: Unsupported value: \"OnFailure\": supported values: \"Always\""],
            ),
        ],
    );
    let old = object_of("apps", "statefulsets", &[]);
    let scaled = object_of("apps", "statefulsets", &[("/spec/replicas", json!(9))]);
    assert!(StatefulSet.validate_update(&scaled, &old).is_empty());
    let renamed = object_of("apps", "statefulsets", &[("/spec/serviceName", json!("s"))]);
    let found = texts(&StatefulSet.validate_update(&renamed, &old));
    assert!(found[0].starts_with("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'"));
}

#[test]
fn templates_are_warned_about_once() {
    let edits = [("/spec/template/spec/nodeSelector", json!({"beta.kubernetes.io/arch": "amd64"}))];
    let object = object_of("apps", "deployments", &edits);
    assert_eq!(
        Deployment.warnings(&object, None),
        [
            "spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use \"kubernetes.io/arch\" instead"
        ]
    );
    assert!(Deployment.warnings(&object, Some(&object)).is_empty());
    let dotted = object_of("apps", "deployments", &[("/metadata/name", json!("a.b"))]);
    assert!(
        Deployment.warnings(&dotted, None)[0].starts_with("metadata.name: this is used in Pod names and hostnames")
    );
}
