//! The scheduler against a whole API in memory: which pods it binds and where, what it says about those it cannot, and what
//! makes it try again. Time is paused and moves only when a test says so.
#![allow(clippy::unwrap_used)] // Only tests are here.

use std::collections::BTreeMap;
use std::time::Duration;

use apiserver::testing::{self, Server};
use base::Context;
use client::{Client, DeleteOptions, ListOptions, Object, Patch};
use k8s_openapi::api::core::v1::{Event, Node, Pod, PodCondition, ServiceAccount};
use serde_json::{Value, json};

/// An API server and one scheduler at work.
struct Rig {
    _server: Server,
    client: Client,
    context: Context,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl Rig {
    async fn start() -> Self {
        let server = Server::start().await.unwrap();
        let client = server.client().unwrap();
        client.create::<ServiceAccount>("default", &from(json!({"metadata": {"name": "default"}}))).await.unwrap();
        let rig = Self { _server: server, client, context: Context::new() };
        rig.run();
        rig
    }

    fn run(&self) {
        let scheduler = scheduler::serve(self.client.clone(), "default-scheduler".into(), self.context.clone());
        self.context.spawn("scheduler", scheduler);
    }

    /// It dies and comes back with nothing but what the API server knows.
    async fn restart(&mut self) {
        assert!(self.context.shutdown(Duration::from_secs(5)).await, "the scheduler did not end");
        self.context = Context::new();
        self.run();
    }

    /// A node with so much CPU; `more` goes over it.
    async fn node(&self, name: &str, cpu: &str, more: Value) {
        let mut node = json!({"metadata": {"name": name}});
        merge(&mut node, &more);
        self.client.create::<Node>("", &from(node)).await.unwrap();
        let status = json!({"status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}});
        self.client.patch_status::<Node>("", name, &Patch::Merge(status)).await.unwrap();
    }

    /// A pod that asks for so much CPU; `more` goes over it.
    async fn pod(&self, name: &str, cpu: &str, more: Value) -> Pod {
        let mut pod = json!({"metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]}});
        merge(&mut pod, &more);
        self.client.create("default", &from(pod)).await.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    async fn get(&self, name: &str) -> Pod {
        self.client.get("default", name).await.unwrap()
    }

    /// Where a pod is, if anywhere.
    async fn place(&self, name: &str) -> Option<String> {
        self.get(name).await.spec?.node_name
    }

    async fn is_bound(&self, name: &str) -> String {
        testing::eventually(&format!("{name} is bound"), async || self.place(name).await).await
    }

    /// Pods per node.
    async fn places(&self) -> BTreeMap<String, usize> {
        let pods = self.client.list::<Pod>("default", &ListOptions::default()).await.unwrap().items;
        let mut places = BTreeMap::new();
        for node in pods.into_iter().filter_map(|pod| pod.spec?.node_name) {
            *places.entry(node).or_default() += 1;
        }
        places
    }

    /// Waits until the pod says that it cannot be scheduled; gives the condition.
    async fn is_refused(&self, name: &str) -> PodCondition {
        testing::eventually(&format!("{name} is refused"), async || {
            let conditions = self.get(name).await.status?.conditions?;
            conditions.into_iter().find(|c| c.type_ == "PodScheduled" && c.reason.as_deref() == Some("Unschedulable"))
        })
        .await
    }

    async fn refused_because(&self, name: &str, message: &str) {
        testing::eventually(&format!("{name}: {message}"), async || {
            (self.is_refused(name).await.message.as_deref() == Some(message)).then_some(())
        })
        .await;
    }

    async fn delete(&self, name: &str) {
        self.client.delete::<Pod>("default", name, &DeleteOptions::default().grace(0)).await.unwrap();
    }

    async fn patch_node(&self, name: &str, patch: Value) {
        self.client.patch::<Node>("", name, &Patch::Merge(patch)).await.unwrap();
    }

    async fn events(&self, reason: &str) -> Vec<String> {
        let events = self.client.list::<Event>("default", &ListOptions::default()).await.unwrap().items;
        events.into_iter().filter(|e| e.reason.as_deref() == Some(reason)).filter_map(|e| e.message).collect()
    }

    async fn pass(&self, seconds: u64) {
        testing::pass(Duration::from_secs(seconds)).await;
    }

    /// Gives everybody some real time, so that what must not happen could have happened.
    async fn settle(&self) {
        for _ in 0..40 {
            testing::breathe().await;
        }
    }
}

fn from<K: Object>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (key, value) in more {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, more) if !more.is_null() => *object = more.clone(),
        _ => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_bound_and_everybody_is_told() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({})).await;
    rig.pod("p", "1", json!({})).await;
    assert_eq!(rig.is_bound("p").await, "n1");
    let conditions = rig.get("p").await.status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|c| c.type_ == "PodScheduled" && c.status == "True"), "{conditions:?}");
    let said = testing::eventually("event", async || rig.events("Scheduled").await.pop()).await;
    assert_eq!(said, "Successfully assigned default/p to n1");
}

#[tokio::test(start_paused = true)]
async fn without_nodes_a_pod_waits_and_says_so_until_one_appears() {
    let rig = Rig::start().await;
    rig.pod("p", "1", json!({})).await;
    let condition = rig.is_refused("p").await;
    assert_eq!(
        (condition.status.as_str(), condition.message.as_deref()),
        ("False", Some("no nodes available to schedule pods"))
    );
    let said = testing::eventually("event", async || rig.events("FailedScheduling").await.pop()).await;
    assert_eq!(said, "no nodes available to schedule pods");
    rig.node("n1", "4", json!({})).await;
    rig.pass(2).await;
    assert_eq!(rig.is_bound("p").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn room_that_becomes_free_is_used() {
    let rig = Rig::start().await;
    for name in ["n1", "n2", "n3"] {
        rig.node(name, "1", json!({})).await;
        rig.pod(&format!("old-{name}"), "1", json!({})).await;
        rig.is_bound(&format!("old-{name}")).await;
    }
    rig.pod("new", "500m", json!({})).await;
    rig.refused_because("new", "0/3 nodes are available: 3 Insufficient cpu.").await;
    rig.delete("old-n2").await;
    rig.pass(2).await;
    let place = rig.is_bound("new").await;
    let freed = rig.client.list::<Pod>("default", &ListOptions::default()).await.unwrap().items;
    assert!(freed.iter().filter(|pod| pod.spec.as_ref().unwrap().node_name.as_deref() == Some(&place)).count() == 1);
}

#[tokio::test(start_paused = true)]
async fn pods_that_have_ended_take_no_room() {
    let rig = Rig::start().await;
    rig.node("n1", "1", json!({})).await;
    rig.pod("job", "1", json!({})).await;
    rig.is_bound("job").await;
    rig.pod("next", "1", json!({})).await;
    rig.is_refused("next").await;
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    rig.client.patch_status::<Pod>("default", "job", &ended).await.unwrap();
    rig.pass(2).await;
    assert_eq!(rig.is_bound("next").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn the_more_important_pod_gets_the_room_first() {
    let rig = Rig::start().await;
    for (name, class) in [("ordinary", Value::Null), ("important", json!("system-cluster-critical"))] {
        rig.pod(name, "1", json!({"spec": {"priorityClassName": class}})).await;
        rig.is_refused(name).await;
    }
    rig.node("n1", "1", json!({})).await;
    rig.pass(3).await;
    rig.is_bound("important").await;
    rig.pass(15).await;
    assert_eq!(rig.place("ordinary").await, None);
}

#[tokio::test(start_paused = true)]
async fn other_schedulers_pods_gated_and_going_ones_are_left_alone() {
    let rig = Rig::start().await;
    rig.pod("theirs", "1", json!({"spec": {"schedulerName": "other"}})).await;
    rig.pod("gated", "1", json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}})).await;
    rig.pod("going", "1", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    rig.is_refused("going").await;
    rig.delete("going").await;
    rig.node("n1", "9", json!({})).await;
    rig.pass(5).await;
    for name in ["theirs", "gated", "going"] {
        assert_eq!(rig.place(name).await, None, "{name}");
    }
    let open = Patch::Merge(json!({"spec": {"schedulingGates": null}}));
    rig.client.patch::<Pod>("default", "gated", &open).await.unwrap();
    assert_eq!(rig.is_bound("gated").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_becomes_fit_wakes_the_pods_it_refused() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({"spec": {"unschedulable": true}})).await;
    rig.pod("p", "1", json!({})).await;
    rig.refused_because("p", "0/1 nodes are available: 1 node(s) were unschedulable.").await;
    // What does not help does not wake it.
    rig.patch_node("n1", json!({"metadata": {"labels": {"a": "b"}}})).await;
    rig.pass(30).await;
    assert_eq!(rig.place("p").await, None);
    rig.patch_node("n1", json!({"spec": {"unschedulable": null}})).await;
    assert_eq!(rig.is_bound("p").await, "n1", "its back-off has passed long ago");
}

#[tokio::test(start_paused = true)]
async fn labels_and_taints_that_change_wake_too() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})).await;
    rig.pod("picky", "1", json!({"spec": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}}))
        .await;
    rig.pod("shy", "1", json!({})).await;
    rig.refused_because("picky", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.").await;
    rig.refused_because("shy", "0/1 nodes are available: 1 node(s) had untolerated taint(s).").await;
    rig.patch_node("n1", json!({"metadata": {"labels": {"disk": "ssd"}}})).await;
    rig.pass(2).await;
    rig.is_bound("picky").await;
    assert_eq!(rig.place("shy").await, None);
    rig.patch_node("n1", json!({"spec": {"taints": null}})).await;
    rig.pass(2).await;
    rig.is_bound("shy").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_grows_takes_who_waited_for_room() {
    let rig = Rig::start().await;
    rig.node("n1", "1", json!({})).await;
    rig.pod("p", "2", json!({})).await;
    rig.is_refused("p").await;
    let more = Patch::Merge(json!({"status": {"allocatable": {"cpu": "3"}}}));
    rig.client.patch_status::<Node>("", "n1", &more).await.unwrap();
    rig.pass(2).await;
    assert_eq!(rig.is_bound("p").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn equal_pods_spread_over_equal_nodes() {
    let rig = Rig::start().await;
    for name in ["n1", "n2", "n3"] {
        rig.node(name, "8", json!({})).await;
    }
    rig.settle().await;
    for number in 0..30 {
        rig.pod(&format!("p{number}"), "100m", json!({})).await;
    }
    testing::eventually("all are bound", async || (rig.places().await.values().sum::<usize>() == 30).then_some(()))
        .await;
    assert_eq!(rig.places().await.into_values().collect::<Vec<_>>(), [10, 10, 10]);
}

#[tokio::test(start_paused = true)]
async fn pods_decided_at_once_do_not_share_the_same_room() {
    let rig = Rig::start().await;
    for number in 0..12 {
        rig.pod(&format!("p{number}"), "1", json!({})).await;
    }
    rig.is_refused("p11").await;
    // Room for ten: bindings are under way while the next pods are decided.
    rig.node("n1", "5", json!({})).await;
    rig.node("n2", "5", json!({})).await;
    rig.pass(3).await;
    testing::eventually("ten are bound", async || (rig.places().await.values().sum::<usize>() == 10).then_some(()))
        .await;
    rig.pass(20).await;
    assert_eq!(rig.places().await, BTreeMap::from([("n1".into(), 5), ("n2".into(), 5)]));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_somebody_else_binds_is_counted_where_it_is() {
    let rig = Rig::start().await;
    rig.node("n1", "1", json!({})).await;
    rig.settle().await;
    let theirs = rig.pod("theirs", "1", json!({"spec": {"schedulerName": "other"}})).await;
    rig.client.bind("default", "theirs", theirs.uid(), "n1").await.unwrap();
    rig.settle().await;
    rig.pod("ours", "1", json!({})).await;
    rig.refused_because("ours", "0/1 nodes are available: 1 Insufficient cpu.").await;
}

#[tokio::test(start_paused = true)]
async fn a_scheduler_that_comes_back_counts_what_is_there() {
    let mut rig = Rig::start().await;
    rig.node("n1", "2", json!({})).await;
    rig.pod("first", "1500m", json!({})).await;
    rig.is_bound("first").await;
    rig.restart().await;
    rig.pod("second", "1", json!({})).await;
    rig.pod("third", "500m", json!({})).await;
    rig.is_bound("third").await;
    rig.refused_because("second", "0/1 nodes are available: 1 Insufficient cpu.").await;
}

#[tokio::test(start_paused = true)]
async fn saying_the_same_again_writes_nothing() {
    let rig = Rig::start().await;
    rig.node("n1", "1", json!({})).await;
    rig.pod("big", "2", json!({})).await;
    // What it says once it has seen the node whole: it may have tried before that.
    rig.refused_because("big", "0/1 nodes are available: 1 Insufficient cpu.").await;
    rig.pod("other", "100m", json!({})).await;
    rig.is_bound("other").await;
    let before = rig.get("big").await;
    // Something that might have helped happens, and does not.
    rig.delete("other").await;
    rig.pass(12).await;
    assert_eq!(rig.get("big").await, before);
    // Another reason is worth saying.
    rig.patch_node("n1", json!({"spec": {"unschedulable": true}})).await;
    rig.pass(320).await;
    rig.refused_because("big", "0/1 nodes are available: 1 node(s) were unschedulable.").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_is_no_candidate() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({})).await;
    rig.node("n2", "4", json!({})).await;
    rig.settle().await;
    rig.client.delete::<Node>("", "n1", &DeleteOptions::default()).await.unwrap();
    rig.settle().await;
    for number in 0..4 {
        rig.pod(&format!("p{number}"), "500m", json!({})).await;
        assert_eq!(rig.is_bound(&format!("p{number}")).await, "n2");
    }
}

#[tokio::test(start_paused = true)]
async fn ports_of_the_node_keep_pods_apart() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({})).await;
    rig.node("n2", "4", json!({})).await;
    let port = json!({"spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80, "hostPort": 8080}]}]}});
    for name in ["a", "b"] {
        rig.pod(name, "0", port.clone()).await;
    }
    assert_ne!(rig.is_bound("a").await, rig.is_bound("b").await);
    rig.pod("c", "0", port).await;
    let message = "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.";
    rig.refused_because("c", message).await;
}

#[tokio::test(start_paused = true)]
async fn a_toleration_that_a_waiting_pod_is_given_is_tried_at_once() {
    let rig = Rig::start().await;
    rig.node("n1", "4", json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}})).await;
    rig.pod("p", "1", json!({})).await;
    rig.refused_because("p", "0/1 nodes are available: 1 node(s) had untolerated taint(s).").await;
    rig.pass(2).await;
    let mut tolerations = rig.get("p").await.spec.unwrap().tolerations.unwrap_or_default();
    tolerations.push(serde_json::from_value(json!({"key": "k", "operator": "Exists"})).unwrap());
    let patch = Patch::Merge(json!({"spec": {"tolerations": tolerations}}));
    rig.client.patch::<Pod>("default", "p", &patch).await.unwrap();
    assert_eq!(rig.is_bound("p").await, "n1");
}

#[tokio::test(start_paused = true)]
async fn a_pod_for_one_node_says_of_the_others_that_they_are_not_it() {
    let rig = Rig::start().await;
    for name in ["n1", "n2", "n3"] {
        rig.node(name, "1", json!({})).await;
    }
    let only = |name: &str| {
        json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}]}}}}})
    };
    rig.settle().await;
    rig.pod("fits", "1", only("n2")).await;
    assert_eq!(rig.is_bound("fits").await, "n2");
    rig.pod("waits", "1", only("n2")).await;
    let message = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].";
    rig.refused_because("waits", message).await;
    rig.delete("fits").await;
    rig.pass(2).await;
    assert_eq!(rig.is_bound("waits").await, "n2");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_again_under_its_name_is_scheduled_and_counted_anew() {
    let rig = Rig::start().await;
    rig.node("n1", "1", json!({})).await;
    for round in 0..3 {
        rig.pod("db-0", "1", json!({})).await;
        rig.is_bound("db-0").await;
        rig.delete("db-0").await;
        // One that is refused is forgotten with its back-off.
        rig.pod("db-1", "2", json!({})).await;
        rig.is_refused("db-1").await;
        rig.delete("db-1").await;
        assert_eq!(rig.places().await, BTreeMap::new(), "round {round}");
    }
}
