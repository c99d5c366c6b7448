//! Claims: the decision by tables; adoption and release against a whole API, with owners and objects as a cache that lags
//! behind would show them.

use super::*;
use apiserver::testing::Server;
use client::DeleteOptions;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use serde_json::{Value, from_value};

fn pod(labels: &str, owner: Option<&str>, going: bool) -> Pod {
    let owners: Vec<Value> = owner
        .map(|uid| json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": true}))
        .into_iter()
        .collect();
    let deletion = going.then_some("2026-01-01T00:00:00Z");
    from_value(json!({"metadata":
        {"labels": {"app": labels}, "ownerReferences": owners, "deletionTimestamp": deletion}}))
    .unwrap()
}

#[test]
fn claims_follow_owner_selector_and_deletion() {
    let selector = LabelSelector::parse("app=web").unwrap();
    let table = [
        (pod("web", Some("us"), false), false, Claim::Own),
        (pod("web", Some("us"), false), true, Claim::Own),
        (pod("web", Some("us"), true), false, Claim::Own),
        (pod("other", Some("us"), false), false, Claim::Release),
        (pod("other", Some("us"), true), false, Claim::Ignore),
        (pod("other", Some("us"), false), true, Claim::Ignore),
        (pod("web", Some("them"), false), false, Claim::Ignore),
        (pod("web", None, false), false, Claim::Adopt),
        (pod("web", None, false), true, Claim::Ignore),
        (pod("web", None, true), false, Claim::Ignore),
        (pod("other", None, false), false, Claim::Ignore),
    ];
    for (object, owner_going, expected) in table {
        assert_eq!(claim(&object, "us", owner_going, &selector), expected, "{object:?}");
    }
    // An owner that does not control is none, as far as this goes.
    let mut owned = pod("web", Some("them"), false);
    owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    assert_eq!(claim(&owned, "us", false, &selector), Claim::Adopt);
}

struct Rig {
    _server: Server,
    client: Client,
}

impl Rig {
    async fn start() -> Self {
        let server = Server::start().await.unwrap();
        let client = server.client().unwrap();
        let account: ServiceAccount = from_value(json!({"metadata": {"name": "default"}})).unwrap();
        client.create("default", &account).await.unwrap();
        Self { _server: server, client }
    }

    async fn set(&self) -> ReplicaSet {
        let template =
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let set = json!({"metadata": {"name": "web"}, "spec": {"replicas": 0,
            "selector": {"matchLabels": {"app": "web"}}, "template": template}});
        self.client.create("default", &from_value::<ReplicaSet>(set).unwrap()).await.unwrap()
    }

    async fn pod(&self, name: &str, app: &str) -> Arc<Pod> {
        let pod = json!({"metadata": {"name": name, "labels": {"app": app}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}});
        Arc::new(self.client.create("default", &from_value::<Pod>(pod).unwrap()).await.unwrap())
    }

    /// Names of the pods that are the set's own then.
    async fn settle(&self, set: &ReplicaSet, pods: Vec<Arc<Pod>>) -> Vec<String> {
        let selector = LabelSelector::parse("app=web").unwrap();
        let own = settle(&self.client, set, &selector, pods).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        own.iter().map(|pod| pod.key().name).collect()
    }

    async fn owners(&self, name: &str) -> Vec<String> {
        let pod: Pod = self.client.get("default", name).await.unwrap();
        pod.metadata.owner_references.unwrap_or_default().into_iter().map(|owner| owner.uid).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_matches_is_adopted_and_what_does_not_is_let_go() {
    let rig = Rig::start().await;
    let set = rig.set().await;
    let (one, other) = (rig.pod("one", "web").await, rig.pod("other", "db").await);
    assert_eq!(rig.settle(&set, vec![one, other]).await, ["one"]);
    assert_eq!((rig.owners("one").await, rig.owners("other").await), (vec![set.uid().to_string()], vec![]));
    let labels = json!({"metadata": {"labels": {"app": "db"}}});
    let strayed: Pod = rig.client.patch("default", "one", &Patch::Merge(labels)).await.unwrap();
    assert!(rig.settle(&set, vec![Arc::new(strayed)]).await.is_empty());
    assert!(rig.owners("one").await.is_empty());
}

/// `kubectl delete --cascade=orphan`: the collector has just taken the owner off, and our cache does not know yet why.
#[tokio::test(start_paused = true)]
async fn an_owner_on_its_way_out_takes_nothing_back_though_the_cache_shows_it_alive() {
    let rig = Rig::start().await;
    let stale = rig.set().await;
    let pod = rig.pod("orphaned", "web").await;
    let options = DeleteOptions { propagation_policy: Some("Orphan"), ..DeleteOptions::default() };
    rig.client.delete::<ReplicaSet>("default", "web", &options).await.unwrap();
    assert!(rig.settle(&stale, vec![pod.clone()]).await.is_empty());
    assert!(rig.owners("orphaned").await.is_empty());
    // Gone altogether, and come again under its name.
    let finalizers = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    rig.client.patch::<ReplicaSet>("default", "web", &finalizers).await.unwrap();
    assert!(rig.settle(&stale, vec![pod.clone()]).await.is_empty());
    let new = rig.set().await;
    assert!(rig.settle(&stale, vec![pod.clone()]).await.is_empty(), "it is another one");
    assert_eq!(rig.settle(&new, vec![pod]).await, ["orphaned"]);
}

#[tokio::test(start_paused = true)]
async fn objects_that_have_changed_or_gone_meanwhile_are_left_for_the_next_look() {
    let rig = Rig::start().await;
    let set = rig.set().await;
    let (changed, gone, fine) =
        (rig.pod("changed", "web").await, rig.pod("gone", "web").await, rig.pod("fine", "web").await);
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    let now: Pod = rig.client.patch("default", "changed", &touch).await.unwrap();
    rig.client.delete::<Pod>("default", "gone", &DeleteOptions::default().grace(0)).await.unwrap();
    assert_eq!(rig.settle(&set, vec![changed, gone, fine]).await, ["fine"]);
    assert!(rig.owners("changed").await.is_empty());
    assert_eq!(rig.settle(&set, vec![Arc::new(now)]).await, ["changed"]);
}

#[tokio::test(start_paused = true)]
async fn other_owners_of_a_released_object_stay() {
    let rig = Rig::start().await;
    let set = rig.set().await;
    let pod = rig.pod("p", "web").await;
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "other"});
    let owners = json!([other, pods_reference(&set)]);
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": owners, "labels": {"app": "db"}}}));
    let pod: Pod = rig.client.patch("default", &pod.key().name, &patch).await.unwrap();
    assert!(rig.settle(&set, vec![Arc::new(pod)]).await.is_empty());
    assert_eq!(rig.owners("p").await, ["other"]);
}

fn pods_reference(set: &ReplicaSet) -> Value {
    json!(crate::pods::controller_reference(set))
}
