//! Patches of the three forms.

use super::*;

#[tokio::test]
async fn the_three_forms() {
    let rig = Rig::new().await;
    let url = format!("{MAPS}/a");
    rig.config_map("default", "a", json!({"x": "y"})).await;
    let merged = rig.patch(&url, "merge", json!({"data": {"k": null, "l": "m"}})).await;
    assert_eq!((merged.code, merged.json()["data"].clone()), (200, json!({"l": "m"})), "{}", merged.message());
    let operations =
        json!([{"op": "test", "path": "/data/l", "value": "m"}, {"op": "add", "path": "/data/n", "value": "o"}]);
    let patched = rig.patch(&url, "json", operations).await;
    assert_eq!(
        (patched.code, patched.json()["data"].clone()),
        (200, json!({"l": "m", "n": "o"})),
        "{}",
        patched.message()
    );
    let strategic = rig
        .patch(
            &url,
            "strategic-merge",
            json!({"metadata": {"labels": {"z": "w"}}, "data": {"$patch": "replace", "q": "r"}}),
        )
        .await;
    assert_eq!(strategic.code, 200, "{}", strategic.message());
    assert_eq!(
        (strategic.json()["data"].clone(), strategic.json()["metadata"]["labels"].clone()),
        (json!({"q": "r"}), json!({"x": "y", "z": "w"}))
    );
}

#[tokio::test]
async fn lists_merge_by_key() {
    let rig = Rig::new().await;
    let url = "/apis/apps/v1/namespaces/default/deployments";
    rig.post(url, deployment("web")).await;
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "new"}, {"name": "d", "image": "j"}]}}}});
    let answer = rig.patch(&format!("{url}/web"), "strategic-merge", patch).await;
    assert_eq!(answer.code, 200, "{}", answer.message());
    let containers = &answer.json()["spec"]["template"]["spec"]["containers"];
    let shown: Vec<_> =
        containers.as_array().unwrap().iter().map(|c| (c["name"].clone(), c["image"].clone())).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&(json!("c"), json!("new"))) && shown.contains(&(json!("d"), json!("j"))));
    assert_eq!(answer.json()["metadata"]["generation"], 2);
}

#[tokio::test]
async fn an_empty_patch_changes_nothing() {
    let rig = Rig::new().await;
    let created = rig.config_map("default", "a", json!({})).await;
    for form in ["merge", "strategic-merge"] {
        assert_eq!(rig.patch(&format!("{MAPS}/a"), form, json!({})).await.json(), created);
    }
    assert_eq!(rig.patch(&format!("{MAPS}/a"), "json", json!([])).await.json(), created);
}

#[tokio::test]
async fn a_patch_may_insist_on_a_version() {
    let rig = Rig::new().await;
    let created = rig.config_map("default", "a", json!({})).await;
    let patch = json!({"metadata": {"resourceVersion": created["metadata"]["resourceVersion"], "uid": created["metadata"]["uid"]}, "data": {"k": "w"}});
    assert_eq!(rig.patch(&format!("{MAPS}/a"), "merge", patch.clone()).await.code, 200);
    assert_eq!(rig.patch(&format!("{MAPS}/a"), "merge", patch).await.code, 409);
}

#[tokio::test]
async fn unknown_fields_in_patches_are_told() {
    let rig = Rig::new().await;
    rig.config_map("default", "a", json!({})).await;
    let patch = json!({"nope": 1});
    let told = rig.patch(&format!("{MAPS}/a"), "merge", patch.clone()).await;
    assert_eq!((told.code, told.warnings()), (200, vec!["299 - \"unknown field \\\"nope\\\"\"".to_string()]));
    let strict = rig.patch(&format!("{MAPS}/a?fieldValidation=Strict"), "merge", patch).await;
    assert!(strict.code == 400 || strict.code == 422, "{}", strict.message());
    assert!(strict.message().contains("unknown field \"nope\""));
}

#[tokio::test]
async fn patches_of_many_at_once_all_count() {
    let rig = Arc::new(Rig::new().await);
    rig.config_map("default", "a", json!({})).await;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let rig = rig.clone();
            tokio::spawn(async move {
                let mut data = serde_json::Map::new();
                data.insert(format!("k{number}"), json!("v"));
                let answer = rig.patch(&format!("{MAPS}/a"), "merge", json!({"data": data})).await;
                assert_eq!(answer.code, 200, "{}", answer.message());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(rig.get(&format!("{MAPS}/a")).await.json()["data"].as_object().unwrap().len(), 41);
}

#[tokio::test]
async fn a_patch_applies_in_the_version_of_the_request() {
    let rig = Rig::new().await;
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "message": "m"});
    rig.post("/api/v1/namespaces/default/events", event).await;
    let url = "/apis/events.k8s.io/v1/namespaces/default/events/e";
    let answer = rig.patch(url, "merge", json!({"note": "n"})).await;
    assert_eq!((answer.code, answer.json()["note"].clone()), (200, json!("n")), "{}", answer.message());
    assert_eq!(rig.get("/api/v1/namespaces/default/events/e").await.json()["message"], "n");
}
