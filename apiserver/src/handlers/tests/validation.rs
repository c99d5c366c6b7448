//! Invalid objects through the handlers: code, reason, causes with their fields, and that what was there stays.

use super::*;

#[tokio::test]
async fn an_invalid_object_is_refused_with_its_causes() {
    let rig = Rig::new().await;
    let bad = json!({"metadata": {"name": "p"}, "spec": {"restartPolicy": "x", "containers": [{"name": "c"}]}});
    let answer = rig.post(PODS, bad).await;
    assert_eq!((answer.code, answer.json()["reason"].clone()), (422, json!("Invalid")));
    assert_eq!(
        answer.message(),
        "Pod \"p\" is invalid: [spec.containers[0].image: Required value, spec.restartPolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnFailure\", \"Never\"]"
    );
    let causes = answer.json()["details"]["causes"].clone();
    assert_eq!(
        causes[0],
        json!({"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers[0].image"})
    );
    assert_eq!(causes[1]["reason"], "FieldValueNotSupported");
    assert_eq!(rig.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn changes_are_checked_whichever_way_they_come() {
    let rig = Rig::new().await;
    let created = rig.post(PODS, pod("p")).await.json();
    assert_eq!(created["status"]["qosClass"], "BestEffort");
    let url = format!("{PODS}/p");
    let mut changed = created.clone();
    changed["spec"]["hostname"] = json!("x");
    let forbidden = "Pod \"p\" is invalid: spec: Forbidden: pod updates may not change fields other than";
    for answer in [
        rig.put(&url, changed).await,
        rig.patch(&url, "merge", json!({"spec": {"hostname": "x"}})).await,
        rig.patch(&url, "strategic-merge", json!({"spec": {"hostname": "x"}})).await,
        rig.patch(&url, "json", json!([{"op": "add", "path": "/spec/hostname", "value": "x"}])).await,
    ] {
        assert_eq!(answer.code, 422, "{}", answer.message());
        assert!(answer.message().starts_with(forbidden), "{}", answer.message());
    }
    let image = json!({"spec": {"containers": [{"name": "c", "image": "j"}]}});
    assert_eq!(rig.patch(&url, "strategic-merge", image).await.json()["spec"]["containers"][0]["image"], "j");
    let status = json!({"status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]}});
    let running = rig.patch(&format!("{url}/status"), "merge", status).await;
    assert_eq!((running.code, running.json()["status"]["qosClass"].clone()), (200, json!("BestEffort")));
    assert_eq!(rig.put(&url, running.json()).await.code, 200);
}

#[tokio::test]
async fn secrets_hold_what_was_given_as_text() {
    let rig = Rig::new().await;
    let url = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"a": "hi"}, "immutable": true});
    let created = rig.post(url, secret).await.json();
    assert_eq!((created["data"]["a"].clone(), created.get("stringData")), (json!("aGk="), None));
    let patch = json!({"data": {"a": "AA=="}});
    let refused = rig.patch(&format!("{url}/s"), "merge", patch).await;
    assert_eq!(
        refused.message(),
        "Secret \"s\" is invalid: data: Forbidden: field is immutable when `immutable` is set"
    );
}

#[tokio::test]
async fn valid_but_doubtful_objects_come_with_warnings() {
    let rig = Rig::new().await;
    let mut doubtful = pod("p");
    doubtful["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    let answer = rig.post(PODS, doubtful).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    assert_eq!(
        answer.warnings(),
        [
            "299 - \"spec.containers[0].env[1]: hides previous definition of \\\"A\\\", which may be dropped when using apply\""
        ]
    );
}
