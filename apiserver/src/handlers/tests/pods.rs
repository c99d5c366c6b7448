//! Pods: graceful deletion, binding, eviction.

use super::*;

async fn bound(rig: &Rig, name: &str) {
    let created = rig.post(PODS, pod(name)).await;
    assert_eq!(created.code, 201, "{}", created.message());
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"kind": "Node", "name": "n1"}});
    let answer = rig.post(&format!("{PODS}/{name}/binding"), binding).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    assert_eq!(answer.json()["status"], "Success");
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let rig = Rig::new().await;
    bound(&rig, "p").await;
    let pod = rig.get(&format!("{PODS}/p")).await.json();
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(pod["status"]["conditions"][0]["status"], "True");
    let target = json!({"metadata": {"name": "p"}, "target": {"name": "n2"}});
    let again = rig.post("/api/v1/namespaces/default/bindings", target).await;
    assert_eq!(again.code, 409);
    assert_eq!(
        again.message(),
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\""
    );
    let nowhere = rig.post(&format!("{PODS}/q/binding"), json!({"target": {"name": "n2"}})).await;
    assert_eq!(nowhere.code, 404);
    let nameless = rig.post(&format!("{PODS}/p/binding"), json!({"target": {}})).await;
    assert_eq!(nameless.code, 422, "{}", nameless.message());
}

#[tokio::test]
async fn a_bound_pod_goes_gracefully() {
    let rig = Rig::new().await;
    bound(&rig, "p").await;
    let url = format!("{PODS}/p");
    let marked = rig.delete(&url, json!({"gracePeriodSeconds": 20})).await;
    assert_eq!((marked.code, marked.json()["metadata"]["deletionGracePeriodSeconds"].clone()), (200, json!(20)));
    let later = rig.delete(&url, json!({"gracePeriodSeconds": 60})).await.json();
    assert_eq!(later["metadata"]["deletionGracePeriodSeconds"], 20);
    let sooner = rig.delete(&url, json!({"gracePeriodSeconds": 5})).await.json();
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let uid = sooner["metadata"]["uid"].clone();
    let gone = rig.delete(&url, json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})).await;
    assert_eq!((gone.code, gone.json()["kind"].clone()), (200, json!("Pod")));
    assert_eq!(rig.get(&url).await.code, 404);
}

#[tokio::test]
async fn a_pod_without_a_node_goes_at_once() {
    let rig = Rig::new().await;
    rig.post(PODS, pod("p")).await;
    assert_eq!(rig.delete(&format!("{PODS}/p"), Value::Null).await.code, 200);
    assert_eq!(rig.get(&format!("{PODS}/p")).await.code, 404);
}

#[tokio::test]
async fn eviction_respects_budgets() {
    let rig = Rig::new().await;
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let mut labelled = pod("p");
    labelled["metadata"]["labels"] = json!({"app": "web"});
    rig.post(PODS, labelled).await;
    rig.post(&format!("{PODS}/p/binding"), json!({"target": {"name": "n1"}})).await;
    let mut running = rig.get(&format!("{PODS}/p")).await.json();
    running["status"]["phase"] = json!("Running");
    running["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(rig.put(&format!("{PODS}/p/status"), running).await.code, 200);
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}});
    let mut budget = rig.post(budgets, budget).await.json();

    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let uncounted = rig.post(&format!("{PODS}/p/eviction"), eviction.clone()).await;
    assert_eq!((uncounted.code, uncounted.header("retry-after")), (429, "10"), "{}", uncounted.message());
    budget["status"] = json!({"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1, "disruptionsAllowed": 0});
    let counted = rig.put(&format!("{budgets}/b/status"), budget).await;
    assert_eq!(counted.code, 200, "{}", counted.message());
    let refused = rig.post(&format!("{PODS}/p/eviction"), eviction.clone()).await;
    assert_eq!(
        (refused.code, refused.message()),
        (429, "Cannot evict pod as it would violate the pod's disruption budget.".into())
    );
    let patch = json!({"status": {"disruptionsAllowed": 1}});
    assert_eq!(rig.patch(&format!("{budgets}/b/status"), "merge", patch).await.code, 200);
    let evicted = rig.post(&format!("{PODS}/p/eviction"), eviction).await;
    assert_eq!(evicted.code, 201, "{}", evicted.message());
    let pod = rig.get(&format!("{PODS}/p")).await.json();
    assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    assert!(pod["status"]["conditions"].to_string().contains("DisruptionTarget"));
    let spent = rig.get(&format!("{budgets}/b")).await.json();
    assert_eq!(spent["status"]["disruptionsAllowed"], 0);
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let rig = Rig::new().await;
    rig.post(PODS, pod("p")).await;
    let answer = rig.patch(&format!("{PODS}/p/resize"), "merge", json!({})).await;
    assert_eq!((answer.code, answer.message()), (501, "pods/resize is not supported by this server yet".into()));
    assert_eq!(rig.get(&format!("{PODS}/p/ephemeralcontainers")).await.code, 200);
}
