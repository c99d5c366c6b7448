//! Deletion: finalizers, propagation, collections, namespaces.

use super::*;

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_removed() {
    let rig = Rig::new().await;
    let url = format!("{MAPS}/a");
    rig.post(MAPS, json!({"metadata": {"name": "a", "finalizers": ["x/one", "x/two"]}})).await;
    let marked = rig.delete(&url, Value::Null).await;
    assert_eq!(marked.code, 200);
    let object = marked.json();
    assert_eq!(object["kind"], "ConfigMap");
    assert!(object["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(object["metadata"]["deletionGracePeriodSeconds"], 0);

    let again = rig.post(MAPS, json!({"metadata": {"name": "a"}})).await;
    assert_eq!((again.code, again.message()), (409, "object is being deleted: configmaps \"a\" already exists".into()));
    let more = rig.patch(&url, "merge", json!({"metadata": {"finalizers": ["x/one", "x/three"]}})).await;
    assert_eq!(more.code, 422);
    assert!(more.message().contains("no new finalizers can be added if the object is being deleted"));

    let one = rig.patch(&url, "merge", json!({"metadata": {"finalizers": ["x/one"]}})).await;
    assert_eq!(one.code, 200, "{}", one.message());
    assert_eq!(rig.get(&url).await.code, 200);
    let none = rig.patch(&url, "merge", json!({"metadata": {"finalizers": null}})).await;
    assert_eq!(none.code, 200, "{}", none.message());
    assert_eq!(rig.get(&url).await.code, 404);
}

#[tokio::test]
async fn propagation_leaves_its_finalizer() {
    let rig = Rig::new().await;
    let url = "/apis/apps/v1/namespaces/default/deployments";
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        rig.post(url, deployment(&policy.to_lowercase())).await;
        let one = format!("{url}/{}", policy.to_lowercase());
        let answer =
            rig.delete(&one, json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy})).await;
        assert_eq!(answer.code, 200, "{}", answer.message());
        assert_eq!(answer.json()["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(answer.json()["metadata"]["generation"], 2);
    }
    rig.post(url, deployment("background")).await;
    let answer = rig.delete(&format!("{url}/background?propagationPolicy=Background"), Value::Null).await;
    assert_eq!(answer.json()["status"], "Success");
}

#[tokio::test]
async fn collections_are_deleted_by_selector() {
    let rig = Rig::new().await;
    for (name, label) in [("a", "x"), ("b", "y"), ("c", "x")] {
        rig.config_map("default", name, json!({"l": label})).await;
    }
    rig.namespace("other").await;
    rig.config_map("other", "a", json!({"l": "x"})).await;
    let dry = rig.delete(&format!("{MAPS}?labelSelector=l%3Dx&dryRun=All"), Value::Null).await;
    assert_eq!(names(&dry.json()), ["a", "c"]);
    let answer = rig.delete(&format!("{MAPS}?labelSelector=l%3Dx"), Value::Null).await;
    assert_eq!((answer.code, answer.json()["kind"].clone()), (200, json!("ConfigMapList")));
    assert_eq!(names(&rig.get(MAPS).await.json()), ["b"]);
    assert_eq!(names(&rig.get("/api/v1/namespaces/other/configmaps").await.json()), ["a"]);
}

#[tokio::test]
async fn a_namespace_waits_to_be_emptied() {
    let rig = Rig::new().await;
    rig.namespace("team").await;
    let url = "/api/v1/namespaces/team";
    let fresh = rig.get(url).await.json();
    assert_eq!(fresh["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(fresh["status"]["phase"], "Active");
    assert_eq!(fresh["metadata"]["labels"]["kubernetes.io/metadata.name"], "team");
    rig.config_map("team", "a", json!({})).await;

    let marked = rig.delete(url, Value::Null).await;
    assert_eq!((marked.code, marked.json()["status"]["phase"].clone()), (200, json!("Terminating")));
    let refused = rig.post("/api/v1/namespaces/team/configmaps", json!({"metadata": {"name": "b"}})).await;
    assert_eq!(refused.code, 403);
    assert_eq!(
        refused.message(),
        "configmaps \"b\" is forbidden: unable to create new content in namespace team because it is being terminated"
    );
    assert_eq!(refused.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
    assert_eq!(rig.delete("/api/v1/namespaces/team/configmaps/a", Value::Null).await.code, 200);

    let mut empty = rig.get(url).await.json();
    empty["spec"]["finalizers"] = json!([]);
    let by_update = rig.put(url, empty.clone()).await;
    assert_eq!(by_update.json()["spec"]["finalizers"], json!(["kubernetes"]), "only finalize may");
    let finalized = rig.put(&format!("{url}/finalize"), empty).await;
    assert_eq!(finalized.code, 200, "{}", finalized.message());
    assert_eq!(rig.get(url).await.code, 404);
}
