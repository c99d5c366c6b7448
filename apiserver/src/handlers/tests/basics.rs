//! Create, get, update and what they do to metadata.

use super::*;

#[tokio::test]
async fn an_object_lives() {
    let rig = Rig::new().await;
    let created = rig.config_map("default", "a", json!({"x": "y"})).await;
    assert_eq!((created["kind"].clone(), created["apiVersion"].clone()), (json!("ConfigMap"), json!("v1")));
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(created["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(created["metadata"]["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    assert!(created["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);

    let got = rig.get(&format!("{MAPS}/a")).await;
    assert_eq!((got.code, got.header("content-type")), (200, "application/json"));
    assert_eq!(got.json(), created);

    let mut changed = created.clone();
    changed["data"]["k"] = json!("w");
    let updated = rig.put(&format!("{MAPS}/a"), changed.clone()).await;
    assert_eq!(updated.code, 200, "{}", updated.message());
    assert_ne!(updated.json()["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(updated.json()["data"]["k"], "w");

    let stale = rig.put(&format!("{MAPS}/a"), changed).await;
    assert_eq!(stale.code, 409);
    assert_eq!(
        stale.message(),
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );

    let deleted = rig.delete(&format!("{MAPS}/a"), Value::Null).await;
    assert_eq!(deleted.code, 200);
    let status = deleted.json();
    assert_eq!((status["kind"].clone(), status["status"].clone()), (json!("Status"), json!("Success")));
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}));
    let gone = rig.get(&format!("{MAPS}/a")).await;
    assert_eq!((gone.code, gone.message()), (404, "configmaps \"a\" not found".into()));
}

#[tokio::test]
async fn an_update_without_change_writes_nothing() {
    let rig = Rig::new().await;
    let created = rig.config_map("default", "a", json!({})).await;
    let same = rig.put(&format!("{MAPS}/a"), created.clone()).await;
    assert_eq!(same.json(), created);
    let mut bare = created.clone();
    for field in ["resourceVersion", "uid", "creationTimestamp"] {
        bare["metadata"].as_object_mut().unwrap().remove(field);
    }
    assert_eq!(rig.put(&format!("{MAPS}/a"), bare).await.json(), created);
}

#[tokio::test]
async fn names_are_generated() {
    let rig = Rig::new().await;
    let answer = rig.post(MAPS, json!({"metadata": {"generateName": "web-"}})).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    let name = answer.json()["metadata"]["name"].as_str().unwrap().to_string();
    assert!(name.starts_with("web-") && name.len() == 9, "{name}");
    assert_eq!(answer.json()["metadata"]["generateName"], "web-");
}

#[tokio::test]
async fn a_dry_run_leaves_no_trace() {
    let rig = Rig::new().await;
    let answer = rig.post(&format!("{MAPS}?dryRun=All"), json!({"metadata": {"name": "a"}})).await;
    assert_eq!(answer.code, 201);
    assert_eq!(rig.get(&format!("{MAPS}/a")).await.code, 404);
    let created = rig.config_map("default", "a", json!({})).await;
    assert_eq!(rig.post(&format!("{MAPS}?dryRun=All"), json!({"metadata": {"name": "a"}})).await.code, 409);
    let mut changed = created.clone();
    changed["data"]["k"] = json!("w");
    let answer = rig.put(&format!("{MAPS}/a?dryRun=All"), changed).await;
    assert_eq!((answer.code, answer.json()["data"]["k"].clone()), (200, json!("w")));
    assert_eq!(rig.delete(&format!("{MAPS}/a?dryRun=All"), Value::Null).await.code, 200);
    assert_eq!(rig.delete(&format!("{MAPS}/a"), json!({"dryRun": ["All"]})).await.code, 200);
    assert_eq!(rig.get(&format!("{MAPS}/a")).await.json(), created);
}

#[tokio::test]
async fn put_creates_only_what_upstream_lets_it() {
    let rig = Rig::new().await;
    assert_eq!(rig.put(&format!("{MAPS}/a"), json!({"metadata": {"name": "a"}})).await.code, 404);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let created = rig.put(lease, json!({"metadata": {"name": "l"}, "spec": {}})).await;
    assert_eq!(created.code, 201, "{}", created.message());
    let unconditional = rig.put(lease, json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "x"}})).await;
    assert_eq!(unconditional.code, 422);
    assert_eq!(
        unconditional.message(),
        "leases.coordination.k8s.io \"l\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    let mut next = created.json();
    next["spec"]["holderIdentity"] = json!("x");
    assert_eq!(rig.put(lease, next).await.code, 200);
}

#[tokio::test]
async fn status_and_the_rest_are_apart() {
    let rig = Rig::new().await;
    let url = "/apis/apps/v1/namespaces/default/deployments";
    let mut body = deployment("web");
    body["status"] = json!({"replicas": 9});
    let created = rig.post(url, body).await;
    assert_eq!(created.code, 201, "{}", created.message());
    let mut object = created.json();
    assert_eq!((object["metadata"]["generation"].clone(), object["status"].clone()), (json!(1), json!({})));

    object["status"] = json!({"replicas": 2, "observedGeneration": 1});
    object["spec"]["replicas"] = json!(7);
    let by_status = rig.put(&format!("{url}/web/status"), object.clone()).await;
    assert_eq!(by_status.code, 200, "{}", by_status.message());
    let mut object = by_status.json();
    assert_eq!(object["status"]["replicas"], 2);
    assert_eq!((object["spec"]["replicas"].clone(), object["metadata"]["generation"].clone()), (json!(2), json!(1)));

    object["status"] = json!({});
    object["spec"]["replicas"] = json!(3);
    let by_main = rig.put(&format!("{url}/web"), object).await.json();
    assert_eq!(by_main["status"]["replicas"], 2);
    assert_eq!((by_main["spec"]["replicas"].clone(), by_main["metadata"]["generation"].clone()), (json!(3), json!(2)));
    assert_eq!(rig.get(&format!("{url}/web/status")).await.json(), by_main);
}

#[tokio::test]
async fn versions_share_their_storage() {
    let rig = Rig::new().await;
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "R", "type": "Normal"});
    assert_eq!(rig.post("/api/v1/namespaces/default/events", event).await.code, 201);
    let other = rig.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await;
    assert_eq!((other.code, other.json()["apiVersion"].clone()), (200, json!("events.k8s.io/v1")));
    assert_eq!(other.json()["regarding"]["namespace"], "default");
    let list = rig.get("/apis/events.k8s.io/v1/events").await.json();
    assert_eq!((list["apiVersion"].clone(), names(&list)), (json!("events.k8s.io/v1"), vec!["e".to_string()]));
}

#[tokio::test]
async fn what_nobody_attends_to_says_so() {
    let rig = Rig::new().await;
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    let answer = rig.post("/apis/batch/v1/namespaces/default/jobs", job).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    assert_eq!(
        answer.warnings(),
        ["299 - \"mkube has no controller for Job yet: the object is stored, but nothing acts on it\""]
    );
    let gone = rig.delete("/apis/batch/v1/namespaces/default/jobs/j", Value::Null).await;
    assert!(gone.warnings()[0].contains("child pods are preserved by default"), "{:?}", gone.warnings());
    assert!(rig.get("/api/v1/endpoints").await.warnings()[0].contains("v1 Endpoints is deprecated"));
}

#[tokio::test]
async fn a_replica_count_has_a_form_of_its_own() {
    let rig = Rig::new().await;
    let url = "/apis/apps/v1/namespaces/default/deployments";
    rig.post(url, deployment("web")).await;
    let scale = rig.get(&format!("{url}/web/scale")).await;
    assert_eq!(scale.code, 200, "{}", scale.message());
    let accept = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let table = rig.send("GET", &format!("{url}/web/scale"), &accept, "").await;
    assert_eq!(table.json()["rows"][0]["cells"][1], 2, "{}", table.json());
    let mut scale = scale.json();
    assert_eq!((scale["kind"].clone(), scale["spec"].clone()), (json!("Scale"), json!({"replicas": 2})));
    assert_eq!(scale["status"]["selector"], "app=web");
    scale["spec"]["replicas"] = json!(5);
    let updated = rig.put(&format!("{url}/web/scale"), scale.clone()).await;
    assert_eq!((updated.code, updated.json()["spec"]["replicas"].clone()), (200, json!(5)), "{}", updated.message());
    assert_eq!(rig.put(&format!("{url}/web/scale"), scale).await.code, 409);
    let patched = rig.patch(&format!("{url}/web/scale"), "merge", json!({"spec": {"replicas": 1}})).await;
    assert_eq!((patched.code, patched.json()["spec"]["replicas"].clone()), (200, json!(1)), "{}", patched.message());
    let object = rig.get(&format!("{url}/web")).await.json();
    assert_eq!((object["spec"]["replicas"].clone(), object["metadata"]["generation"].clone()), (json!(1), json!(3)));
    let negative = rig.patch(&format!("{url}/web/scale"), "merge", json!({"spec": {"replicas": -1}})).await;
    assert_eq!(negative.code, 422);
    assert_eq!(rig.get("/api/v1/namespaces/default/configmaps/x/scale").await.code, 404);
}
