//! What a cached object costs.

use super::*;

/// A pod of about 1.3 KB as a Deployment makes them.
pub(super) fn typical_pod(index: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("web-7c5ddbdf54-{index:05}"), "namespace": "default", "generateName": "web-7c5ddbdf54-",
            "uid": "5c2f6a3e-9d1a-4f0e-8a7e-0d1f5b8f1c11", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web", "pod-template-hash": "7c5ddbdf54"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7c5ddbdf54",
                "uid": "0b9f6a3e-9d1a-4f0e-8a7e-0d1f5b8f1c12", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [{"name": "web", "image": "mkube.local/echo", "imagePullPolicy": "IfNotPresent",
                "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "nodeName": format!("node-{}", index % 100), "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "securityContext": {}, "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 30,
        },
        "status": {
            "phase": "Running", "podIP": "10.244.1.17", "podIPs": [{"ip": "10.244.1.17"}], "qosClass": "Guaranteed",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    })
}

#[tokio::test]
async fn an_entry_costs_little_beside_its_bytes() {
    let rig = Rig::new();
    let pods = kind("pods");
    let mut writes = Vec::new();
    for index in 0..10_000 {
        let object = typical_pod(index);
        let storage = rig.storage.clone();
        writes.push(async move {
            let name = object["metadata"]["name"].as_str().unwrap().to_string();
            storage.create(pods, "default", &name, &object).await.unwrap();
        });
    }
    futures::stream::iter(writes).buffer_unordered(64).collect::<()>().await;
    let listing = rig.storage.list(pods, ListQuery::default()).await.unwrap();
    assert_eq!(listing.entries.len(), 10_000);
    let json: usize = listing.entries.iter().map(|entry| entry.raw().len()).sum();
    let weight: usize = listing.entries.iter().map(|entry| entry.weight()).sum();
    let (json, beside) = (json / 10_000, (weight - json) / 10_000);
    println!("10,000 pods: {json} bytes of JSON (shared with the store) and {beside} bytes beside it per pod");
    assert!(beside < 450, "{beside} bytes beside the JSON");
}
