//! What may change of a pod and of its status.

use super::*;

#[test]
fn updates() {
    let toleration = json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]);
    let forbidden = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n  core.PodSpec{\n  \t... // identical fields\n- \thostname: nil,\n+ \thostname: \"x\",\n  }\n";
    let table: Vec<(Value, &str, Value, Vec<&str>)> = vec![
        (json!({}), "/spec/containers", json!([{"name": "c", "image": "j"}]), vec![]),
        (json!({}), "/metadata/labels", json!({"a": "b"}), vec![]),
        (json!({}), "/spec/tolerations", toleration.clone(), vec![]),
        (
            json!({"tolerations": toleration}),
            "/spec/tolerations",
            json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 9}]),
            vec![],
        ),
        (
            json!({"tolerations": toleration}),
            "/spec/tolerations",
            json!([]),
            vec!["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
        ),
        (json!({}), "/spec/hostname", json!("x"), vec![forbidden]),
        (json!({}), "/spec/hostNetwork", json!(false), vec![]),
        (
            json!({}),
            "/spec/containers",
            json!([{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]),
            vec!["spec.containers: Forbidden: pod updates may not add or remove containers"],
        ),
        (json!({"activeDeadlineSeconds": 9}), "/spec/activeDeadlineSeconds", json!(8), vec![]),
        (
            json!({"activeDeadlineSeconds": 9}),
            "/spec/activeDeadlineSeconds",
            json!(10),
            vec!["spec.activeDeadlineSeconds: Invalid value: 10: must be less than or equal to previous value"],
        ),
        (
            json!({"activeDeadlineSeconds": 9}),
            "/spec/activeDeadlineSeconds",
            Value::Null,
            vec![
                "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value",
            ],
        ),
        (json!({"terminationGracePeriodSeconds": -1}), "/spec/terminationGracePeriodSeconds", json!(1), vec![]),
        (
            json!({}),
            "/spec/schedulingGates",
            json!([{"name": "g"}]),
            vec![
                "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'g'",
            ],
        ),
        (json!({"schedulingGates": [{"name": "g"}]}), "/spec/nodeSelector", json!({"a": "b"}), vec![]),
    ];
    for (extra, pointer, value, expected) in table {
        let mut old = good();
        old["spec"].as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut new = old.clone();
        object::set(&mut new, pointer, value.clone());
        let (new, old) = (defaulted(new), defaulted(old));
        assert_eq!(texts(&Pod.validate_update(&new, &old)), expected, "{pointer} = {value}");
    }
}

#[test]
fn status_updates() {
    let ended = json!([{"name": "c", "state": {"terminated": {"exitCode": 0}}}]);
    let running = json!([{"name": "c", "state": {"running": {}}}]);
    let pod = |restart: &str, statuses: &Value| {
        let mut pod = with("/spec/restartPolicy", &json!(restart));
        pod["status"] = json!({"qosClass": "BestEffort", "containerStatuses": statuses});
        pod
    };
    let (old, new) = (pod("Never", &ended), pod("Never", &running));
    assert_eq!(
        texts(&Pod.validate_status_update(&new, &old)),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
    let (old, mut new) = (pod("Always", &ended), pod("Always", &running));
    assert_eq!(texts(&Pod.validate_status_update(&new, &old)), Vec::<String>::new());
    new["status"]["qosClass"] = json!("Burstable");
    assert_eq!(
        texts(&Pod.validate_status_update(&new, &old)),
        ["status.qosClass: Invalid value: \"Burstable\": field is immutable"]
    );
}
