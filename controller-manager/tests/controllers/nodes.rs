//! Nodes: their address ranges, their silence, and what becomes of the pods on them.

use client::{DeleteOptions, Object};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::rig::{Rig, pod};

const LIFECYCLE: &str = "--controllers=node-lifecycle-controller";
const WITH_EVICTION: &str = "--controllers=node-lifecycle-controller,taint-eviction-controller";

/// Status of a condition.
async fn status(rig: &Rig, node: &str, kind: &str) -> Option<(String, String)> {
    let conditions = rig.get::<Node>(node).await?.status?.conditions?;
    let condition = conditions.into_iter().find(|condition| condition.type_ == kind)?;
    Some((condition.status, condition.reason.unwrap_or_default()))
}

/// Taints as key:effect, without the common prefix.
async fn taints(rig: &Rig, node: &str) -> Vec<String> {
    let taints = rig.get::<Node>(node).await.unwrap().spec.and_then(|spec| spec.taints).unwrap_or_default();
    taints
        .iter()
        .map(|taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect))
        .collect()
}

async fn taints_are(rig: &Rig, node: &str, expected: &[&str]) {
    let seen = std::cell::RefCell::new(Vec::new());
    rig.eventually(&format!("taints {expected:?} of {node}"), async || {
        let now = taints(rig, node).await;
        seen.replace(now.clone());
        (now == expected).then_some(())
    })
    .await;
}

async fn is_ready(rig: &Rig, name: &str) -> bool {
    let pod = rig.get::<Pod>(name).await.unwrap();
    pod.status.unwrap().conditions.unwrap().iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

/// Another node that keeps in touch for this long.
async fn pass_with_heartbeats(rig: &Rig, node: &str, seconds: u64) {
    for _ in 0..seconds.div_ceil(10) {
        rig.pass(10).await;
        rig.heartbeat(node, "True").await;
        rig.settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_unknown_tainted_and_its_pods_unready() {
    let rig = Rig::with(&[LIFECYCLE]).await;
    rig.node("alive").await;
    rig.node("silent").await;
    let made = rig.create::<Pod>(pod("p", json!({}))).await;
    rig.bind(&made, "silent").await;
    rig.ready("p", true).await;
    taints_are(&rig, "silent", &[]).await;
    pass_with_heartbeats(&rig, "alive", 40).await;
    assert_eq!(status(&rig, "silent", "Ready").await.unwrap().0, "True", "the grace period is 50 s");
    pass_with_heartbeats(&rig, "alive", 20).await;
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        rig.eventually(&format!("{kind} is unknown"), async || {
            (status(&rig, "silent", kind).await? == ("Unknown".into(), "NodeStatusUnknown".into())).then_some(())
        })
        .await;
    }
    taints_are(&rig, "silent", &["unreachable:NoSchedule", "unreachable:NoExecute"]).await;
    rig.eventually("the pod is not ready", async || (!is_ready(&rig, "p").await).then_some(())).await;
    taints_are(&rig, "alive", &[]).await;
    // It comes back: its kubelet says so, and the taints go.
    rig.heartbeat("silent", "True").await;
    taints_are(&rig, "silent", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_renewed_is_a_sign_of_life() {
    use k8s_openapi::api::coordination::v1::Lease;
    let rig = Rig::with(&[LIFECYCLE]).await;
    rig.node("n").await;
    let micro = || rig.server.clock.now().strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    rig.create::<Lease>(
        json!({"metadata": {"name": "n", "namespace": "kube-node-lease"}, "spec": {"renewTime": micro()}}),
    )
    .await;
    for _ in 0..12 {
        rig.pass(10).await;
        let patch = client::Patch::Merge(json!({"spec": {"renewTime": micro()}}));
        rig.client.patch::<Lease>("kube-node-lease", "n", &patch).await.unwrap();
        rig.settle().await;
    }
    assert_eq!(status(&rig, "n", "Ready").await.unwrap().0, "True");
    rig.pass(60).await;
    rig.eventually("unknown", async || (status(&rig, "n", "Ready").await?.0 == "Unknown").then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_reports_has_a_longer_grace() {
    let rig = Rig::with(&[LIFECYCLE, "--node-monitor-grace-period=20s", "--node-startup-grace-period=40s"]).await;
    rig.create::<Node>(json!({"metadata": {"name": "n"}})).await;
    taints_are(&rig, "n", &["not-ready:NoSchedule"]).await;
    rig.pass(30).await;
    assert_eq!(status(&rig, "n", "Ready").await, None);
    rig.pass(15).await;
    rig.eventually("never updated", async || {
        (status(&rig, "n", "Ready").await? == ("Unknown".into(), "NodeStatusNeverUpdated".into())).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn when_all_nodes_fall_silent_nobody_is_driven_off() {
    let rig = Rig::with(&[LIFECYCLE]).await;
    rig.node("a").await;
    rig.node("b").await;
    rig.pass(60).await;
    for node in ["a", "b"] {
        taints_are(&rig, node, &["unreachable:NoSchedule"]).await;
    }
    rig.heartbeat("a", "True").await;
    taints_are(&rig, "a", &[]).await;
    taints_are(&rig, "b", &["unreachable:NoSchedule", "unreachable:NoExecute"]).await;
}

#[tokio::test(start_paused = true)]
async fn taints_follow_conditions_and_cordons() {
    let rig = Rig::with(&[LIFECYCLE]).await;
    rig.node("other").await;
    rig.node("n").await;
    let now = rig.server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let pressure =
        |kind: &str, status: &str| json!({"conditions": [{"type": kind, "status": status, "lastHeartbeatTime": now}]});
    rig.patch_status::<Node>("n", pressure("MemoryPressure", "True")).await;
    taints_are(&rig, "n", &["memory-pressure:NoSchedule"]).await;
    rig.patch_status::<Node>("n", pressure("DiskPressure", "True")).await;
    taints_are(&rig, "n", &["memory-pressure:NoSchedule", "disk-pressure:NoSchedule"]).await;
    rig.patch_status::<Node>("n", pressure("MemoryPressure", "False")).await;
    rig.patch_status::<Node>("n", pressure("DiskPressure", "False")).await;
    taints_are(&rig, "n", &[]).await;
    rig.patch::<Node>("n", json!({"spec": {"unschedulable": true}})).await;
    taints_are(&rig, "n", &["unschedulable:NoSchedule"]).await;
    rig.heartbeat("n", "False").await;
    taints_are(&rig, "n", &["unschedulable:NoSchedule", "not-ready:NoSchedule", "not-ready:NoExecute"]).await;
}

/// A pod on a node, that tolerates the taint of being unreachable for so many seconds.
async fn tolerant(rig: &Rig, name: &str, node: &str, seconds: Option<i64>) {
    let mut toleration = json!({"key": "example.com/bad", "operator": "Exists", "effect": "NoExecute"});
    if let Some(seconds) = seconds {
        toleration["tolerationSeconds"] = json!(seconds);
    }
    let made = rig.create::<Pod>(pod(name, json!({"spec": {"tolerations": [toleration]}}))).await;
    rig.bind(&made, node).await;
    rig.ready(name, true).await;
}

fn bad(present: bool) -> Value {
    let taints = if present { json!([{"key": "example.com/bad", "effect": "NoExecute"}]) } else { Value::Null };
    json!({"spec": {"taints": taints}})
}

/// Names of the pods that are not on their way out.
async fn left(rig: &Rig) -> Vec<String> {
    rig.pods().await.iter().map(|pod| pod.key().name).collect()
}

#[tokio::test(start_paused = true)]
async fn pods_leave_a_tainted_node_when_their_patience_ends() {
    let rig = Rig::with(&["--controllers=taint-eviction-controller"]).await;
    rig.node("n").await;
    tolerant(&rig, "for-ever", "n", None).await;
    tolerant(&rig, "a-minute", "n", Some(60)).await;
    let made = rig.create::<Pod>(pod("not-at-all", json!({}))).await;
    rig.bind(&made, "n").await;
    rig.patch::<Node>("n", bad(true)).await;
    rig.eventually("the first goes", async || (left(&rig).await == ["a-minute", "for-ever"]).then_some(())).await;
    rig.pass(50).await;
    assert_eq!(left(&rig).await, ["a-minute", "for-ever"]);
    rig.pass(15).await;
    rig.eventually("the second goes", async || (left(&rig).await == ["for-ever"]).then_some(())).await;
    let going = rig.get::<Pod>("a-minute").await.unwrap();
    let target = going.status.unwrap().conditions.unwrap().into_iter().find(|c| c.type_ == "DisruptionTarget").unwrap();
    assert_eq!(target.reason.as_deref(), Some("DeletionByTaintManager"));
    assert_eq!(rig.event("Pod", "TaintManagerEviction").await, "Marking for deletion Pod default/not-at-all");
}

#[tokio::test(start_paused = true)]
async fn a_taint_that_goes_in_time_is_forgiven() {
    let rig = Rig::with(&["--controllers=taint-eviction-controller"]).await;
    rig.node("n").await;
    tolerant(&rig, "p", "n", Some(60)).await;
    rig.patch::<Node>("n", bad(true)).await;
    rig.pass(50).await;
    rig.patch::<Node>("n", bad(false)).await;
    rig.eventually("it is called off", async || {
        let events = rig.events("Pod").await;
        events.iter().any(|event| event.1 == "Cancelling deletion of Pod default/p").then_some(())
    })
    .await;
    rig.pass(60).await;
    assert_eq!(left(&rig).await, ["p"]);
    // The time begins anew.
    rig.patch::<Node>("n", bad(true)).await;
    rig.pass(50).await;
    assert_eq!(left(&rig).await, ["p"]);
    rig.pass(15).await;
    rig.eventually("it goes", async || left(&rig).await.is_empty().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn pods_bound_to_a_tainted_node_go_too() {
    let rig = Rig::with(&["--controllers=taint-eviction-controller"]).await;
    rig.node("n").await;
    rig.patch::<Node>("n", bad(true)).await;
    rig.settle().await;
    let made = rig.create::<Pod>(pod("late", json!({}))).await;
    rig.bind(&made, "n").await;
    rig.eventually("it goes", async || left(&rig).await.is_empty().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_cut_off_node_loses_its_pods_after_five_minutes() {
    let rig = Rig::with(&[WITH_EVICTION]).await;
    rig.node("alive").await;
    rig.node("cut-off").await;
    // Admission has given it the usual patience of 300 s.
    let made = rig.create::<Pod>(pod("p", json!({}))).await;
    rig.bind(&made, "cut-off").await;
    pass_with_heartbeats(&rig, "alive", 60).await;
    taints_are(&rig, "cut-off", &["unreachable:NoSchedule", "unreachable:NoExecute"]).await;
    pass_with_heartbeats(&rig, "alive", 270).await;
    assert_eq!(left(&rig).await, ["p"]);
    pass_with_heartbeats(&rig, "alive", 50).await;
    rig.eventually("it goes", async || left(&rig).await.is_empty().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn each_node_has_a_range_of_its_own_and_gives_it_back() {
    let ipam = ["--controllers=node-ipam-controller", "--cluster-cidr=10.64.0.0/23", "--node-cidr-mask-size=24"];
    let rig = Rig::with(&ipam).await;
    let range = async |node: &str| rig.get::<Node>(node).await?.spec?.pod_cidr;
    for name in ["a", "b", "c"] {
        rig.create::<Node>(json!({"metadata": {"name": name}})).await;
        rig.settle().await;
    }
    let ranges = [range("a").await.unwrap(), range("b").await.unwrap()];
    assert_eq!(ranges, ["10.64.0.0/24", "10.64.1.0/24"]);
    assert_eq!(range("c").await, None, "there are only two");
    assert_eq!(rig.event("Node", "CIDRNotAvailable").await, "Node status is now: CIDRNotAvailable");
    rig.client.delete::<Node>("", "a", &DeleteOptions::default()).await.unwrap();
    rig.eventually("the range is given on", async || (range("c").await? == "10.64.0.0/24").then_some(())).await;
    assert_eq!(rig.get::<Node>("c").await.unwrap().spec.unwrap().pod_cidrs.unwrap(), ["10.64.0.0/24"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_range_has_another_length_keeps_it_and_nobody_shares_it() {
    // Base and length of the flag are those of the range that holds them.
    let ipam = ["--controllers=node-ipam-controller", "--cluster-cidr=10.64.3.7/22", "--node-cidr-mask-size=25"];
    let rig = Rig::with(&ipam).await;
    let range = async |node: &str| rig.get::<Node>(node).await?.spec?.pod_cidr;
    let theirs =
        json!({"metadata": {"name": "old"}, "spec": {"podCIDR": "10.64.0.0/24", "podCIDRs": ["10.64.0.0/24"]}});
    rig.create::<Node>(theirs).await;
    rig.settle().await;
    for (name, expected) in [("a", "10.64.1.0/25"), ("b", "10.64.1.128/25")] {
        rig.create::<Node>(json!({"metadata": {"name": name}})).await;
        rig.eventually(&format!("{name} has {expected}"), async || (range(name).await? == expected).then_some(()))
            .await;
    }
    assert_eq!(range("old").await.as_deref(), Some("10.64.0.0/24"));
    rig.client.delete::<Node>("", "old", &DeleteOptions::default()).await.unwrap();
    rig.settle().await;
    rig.create::<Node>(json!({"metadata": {"name": "c"}})).await;
    rig.eventually("the part is free", async || (range("c").await? == "10.64.0.0/25").then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_patience_beyond_all_time_harms_nobody() {
    let rig = Rig::with(&["--controllers=taint-eviction-controller"]).await;
    rig.node("n").await;
    for (name, seconds) in [("patient", i64::MAX), ("very", i64::MAX / 1_000_000_000), ("negative", i64::MIN)] {
        tolerant(&rig, name, "n", Some(seconds)).await;
    }
    rig.patch::<Node>("n", bad(true)).await;
    rig.eventually("it goes at once", async || (left(&rig).await == ["patient", "very"]).then_some(())).await;
    // The others are still served.
    tolerant(&rig, "late", "n", Some(5)).await;
    rig.pass(10).await;
    rig.eventually("it goes too", async || (left(&rig).await == ["patient", "very"]).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn tolerations_that_change_change_the_time_left() {
    let rig = Rig::with(&["--controllers=taint-eviction-controller"]).await;
    rig.node("n").await;
    tolerant(&rig, "p", "n", Some(3600)).await;
    rig.patch::<Node>("n", bad(true)).await;
    rig.settle().await;
    rig.pass(60).await;
    assert_eq!(left(&rig).await, ["p"]);
    let mut tolerations = rig.get::<Pod>("p").await.unwrap().spec.unwrap().tolerations.unwrap();
    for toleration in &mut tolerations {
        toleration.toleration_seconds = toleration.toleration_seconds.map(|_| 100);
    }
    rig.patch::<Pod>("p", json!({"spec": {"tolerations": tolerations}})).await;
    // It counts from when the taint was noticed, a minute ago.
    rig.settle().await;
    rig.pass(20).await;
    assert_eq!(left(&rig).await, ["p"]);
    rig.pass(40).await;
    rig.eventually("it goes", async || left(&rig).await.is_empty().then_some(())).await;
}

/// Those of these nodes whose pods are driven off for their silence.
async fn given_up(rig: &Rig, nodes: &[&str]) -> Vec<String> {
    let mut up = Vec::new();
    for node in nodes {
        if taints(rig, node).await.iter().any(|taint| taint == "unreachable:NoExecute") {
            up.push((*node).to_string());
        }
    }
    up
}

async fn given_up_are(rig: &Rig, nodes: &[&str], count: usize) {
    rig.eventually(&format!("{count} of {nodes:?} are given up"), async || {
        (given_up(rig, nodes).await.len() == count).then_some(())
    })
    .await;
}

/// Nodes in a zone.
async fn in_zone(rig: &Rig, zone: &str, nodes: &[&str]) {
    for node in nodes {
        rig.node(node).await;
        rig.patch::<Node>(node, json!({"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}})).await;
    }
}

/// Lets time pass in which only these nodes say something.
async fn pass_with(rig: &Rig, alive: &[&str], seconds: u64) {
    for _ in 0..seconds.div_ceil(10) {
        rig.pass(10).await;
        for node in alive {
            rig.heartbeat(node, "True").await;
        }
        rig.settle().await;
    }
}

/// Short grace, so that the tests are.
const QUICK: &str = "--node-monitor-grace-period=20s";

#[tokio::test(start_paused = true)]
async fn silent_nodes_are_given_up_one_after_the_other() {
    let rig = Rig::with(&[LIFECYCLE, QUICK, "--node-eviction-rate=0.02"]).await;
    let (alive, silent) = (["a", "b", "c", "d"], ["x", "y", "z"]);
    in_zone(&rig, "one", &alive).await;
    in_zone(&rig, "one", &silent).await;
    pass_with(&rig, &alive, 30).await;
    for node in silent {
        rig.eventually("nobody is scheduled there", async || {
            taints(&rig, node).await.contains(&"unreachable:NoSchedule".to_string()).then_some(())
        })
        .await;
    }
    // The first at once, each other one 50 s after the one before.
    given_up_are(&rig, &silent, 1).await;
    pass_with(&rig, &alive, 40).await;
    assert_eq!(given_up(&rig, &silent).await.len(), 1);
    pass_with(&rig, &alive, 20).await;
    given_up_are(&rig, &silent, 2).await;
    // One that speaks again is not given up, and its taints go.
    let first = given_up(&rig, &silent).await;
    rig.heartbeat(&first[0], "True").await;
    taints_are(&rig, &first[0], &[]).await;
    let rest: Vec<&str> = silent.into_iter().filter(|node| *node != first[0]).collect();
    let mut alive: Vec<&str> = alive.to_vec();
    alive.push(&first[0]);
    pass_with(&rig, &alive, 60).await;
    given_up_are(&rig, &rest, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_zone_that_is_mostly_silent_loses_nobody_more() {
    let rig = Rig::with(&[LIFECYCLE, QUICK]).await;
    let silent = ["w", "x", "y", "z"];
    in_zone(&rig, "one", &["a", "b"]).await;
    in_zone(&rig, "one", &silent).await;
    // One falls silent first, and is given up; with it what began goes on.
    pass_with(&rig, &["a", "b", "x", "y", "z"], 30).await;
    given_up_are(&rig, &silent, 1).await;
    pass_with(&rig, &["a", "b"], 90).await;
    for node in silent {
        assert!(taints(&rig, node).await.contains(&"unreachable:NoSchedule".to_string()), "{node}");
    }
    assert_eq!(given_up(&rig, &silent).await, ["w"]);
    // Enough of them are back: the rest is given up.
    pass_with(&rig, &["a", "b", "y", "z"], 30).await;
    given_up_are(&rig, &["w", "x"], 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_large_zone_that_is_mostly_silent_is_emptied_slowly() {
    let flags = [LIFECYCLE, QUICK, "--large-cluster-size-threshold=3", "--secondary-node-eviction-rate=0.02"];
    let rig = Rig::with(&[&flags[..], &["--unhealthy-zone-threshold=0.5"]].concat()).await;
    let (alive, silent) = (["a", "b", "c"], ["x", "y", "z"]);
    in_zone(&rig, "one", &alive).await;
    in_zone(&rig, "one", &silent).await;
    pass_with(&rig, &alive, 40).await;
    given_up_are(&rig, &silent, 1).await;
    pass_with(&rig, &alive, 30).await;
    assert_eq!(given_up(&rig, &silent).await.len(), 1, "one in 50 s");
    pass_with(&rig, &alive, 30).await;
    given_up_are(&rig, &silent, 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_gone_altogether_is_given_up_while_another_lives() {
    let rig = Rig::with(&[LIFECYCLE, QUICK]).await;
    let silent = ["x", "y", "z"];
    in_zone(&rig, "one", &["a"]).await;
    in_zone(&rig, "two", &silent).await;
    pass_with(&rig, &["a"], 60).await;
    given_up_are(&rig, &silent, 3).await;
    // Now the last one falls silent, too: it is we who are cut off, and everybody is forgiven.
    rig.pass(30).await;
    given_up_are(&rig, &["a", "x", "y", "z"], 0).await;
    for node in ["a", "x", "y", "z"] {
        taints_are(&rig, node, &["unreachable:NoSchedule"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_is_thought_of_though_no_condition_changes() {
    let rig = Rig::with(&[LIFECYCLE, QUICK]).await;
    let silent = ["x", "y"];
    in_zone(&rig, "one", &["a", "x", "y"]).await;
    let excluded = |value: Value| json!({"metadata": {"labels": {"node.kubernetes.io/exclude-disruption": value}}});
    rig.patch::<Node>("a", excluded(json!(""))).await;
    pass_with(&rig, &["a"], 40).await;
    for node in silent {
        taints_are(&rig, node, &["unreachable:NoSchedule"]).await;
    }
    assert_eq!(given_up(&rig, &silent).await.len(), 0, "of the nodes that count none is ready");
    rig.patch::<Node>("a", excluded(Value::Null)).await;
    pass_with(&rig, &["a"], 40).await;
    given_up_are(&rig, &silent, 2).await;
}
