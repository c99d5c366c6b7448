//! The scheduler's machine, change by change: what it decides, what it counts where, whom it wakes, and what happens when
//! news and ends of tries come in an unlucky order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use k8s_openapi::serde_json::{Value, from_value, json};

/// A machine with the API server that it hears of, in one hand.
struct Rig {
    machine: Machine,
    pods: BTreeMap<String, Arc<Pod>>,
    nodes: BTreeMap<String, Arc<Node>>,
    now: Instant,
}

fn merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            more.iter().for_each(|(key, value)| merge(object.entry(key.clone()).or_insert(Value::Null), value));
        }
        (object, more) => *object = more.clone(),
    }
}

fn key(name: &str) -> Key {
    Key::new("default", name)
}

impl Rig {
    /// With a node of so much CPU for each.
    fn new(nodes: &[(&str, &str)]) -> Self {
        let machine = Machine::new("default-scheduler".into());
        let mut rig = Self { machine, pods: BTreeMap::new(), nodes: BTreeMap::new(), now: Instant::now() };
        nodes.iter().for_each(|(name, cpu)| rig.node(name, cpu, json!({})));
        rig
    }

    /// A node comes or changes.
    fn node(&mut self, name: &str, cpu: &str, more: Value) {
        let mut node = json!({"metadata": {"name": name}, "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}});
        merge(&mut node, &more);
        let new: Arc<Node> = Arc::new(from_value(node).unwrap());
        let change = match self.nodes.insert(name.into(), new.clone()) {
            Some(old) => Change::Updated { old, new },
            None => Change::Added(new),
        };
        self.machine.node_changed(&change);
    }

    fn node_goes(&mut self, name: &str) {
        let node = self.nodes.remove(name).unwrap();
        self.machine.node_changed(&Change::Deleted(node));
    }

    /// A pod comes or changes at the API server; tells the machine unless the news is still on its way.
    fn write(&mut self, name: &str, uid: &str, cpu: &str, more: Value) -> Change<Pod> {
        let mut pod = json!({"metadata": {"name": name, "namespace": "default", "uid": uid},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}});
        merge(&mut pod, &more);
        let new: Arc<Pod> = Arc::new(from_value(pod).unwrap());
        match self.pods.insert(name.into(), new.clone()) {
            Some(old) => Change::Updated { old, new },
            None => Change::Added(new),
        }
    }

    fn pod(&mut self, name: &str, uid: &str, cpu: &str, more: Value) {
        let change = self.write(name, uid, cpu, more);
        self.machine.pod_changed(&change);
    }

    fn pod_goes(&mut self, name: &str) {
        let pod = self.pods.remove(name).unwrap();
        self.machine.pod_changed(&Change::Deleted(pod));
    }

    /// The next decision: (pod, node), or (pod, what it is told).
    fn decide(&mut self) -> Option<(String, Result<String, String>)> {
        while self.machine.is_ready(self.now) {
            let decision = self.machine.decide(self.now, |key| self.pods.get(&key.name).cloned(), |_| 0);
            match decision {
                None => {}
                Some(Decision::Bind(pod, node)) => return Some((pod.key().name, Ok(node))),
                Some(Decision::Refuse(pod, why)) => {
                    let message = why.message();
                    self.machine.ended(&pod.key(), pod.uid(), End::Refused(why.wakes_on), self.now);
                    return Some((pod.key().name, Err(message)));
                }
            }
        }
        None
    }

    fn binds(&mut self, pod: &str, node: &str) {
        assert_eq!(self.decide(), Some((pod.into(), Ok(node.into()))));
    }

    fn refuses(&mut self, pod: &str) {
        let decision = self.decide();
        assert!(matches!(&decision, Some((name, Err(_))) if name == pod), "{decision:?}");
    }

    fn ended(&mut self, name: &str, uid: &str, end: End) {
        self.machine.ended(&key(name), uid, end, self.now);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Thousandths of CPU counted on each node.
    fn counted(&self) -> Vec<(&str, i64)> {
        self.machine.cluster.nodes().map(|node| (node.name.as_str(), node.requested("cpu"))).collect()
    }
}

fn on(node: &str) -> Value {
    json!({"spec": {"nodeName": node}})
}

#[tokio::test(start_paused = true)]
async fn a_pod_goes_from_the_queue_to_its_node_and_out() {
    let mut rig = Rig::new(&[("n", "2")]);
    rig.pod("p", "u", "1", json!({}));
    rig.binds("p", "n");
    assert_eq!(rig.counted(), [("n", 1000)], "assumed at once");
    // A word about its status while the binding is under way does not make it wait again.
    rig.pod("p", "u", "1", json!({"status": {"phase": "Pending"}}));
    assert_eq!(rig.decide(), None);
    rig.ended("p", "u", End::Bound);
    rig.pod("p", "u", "1", on("n"));
    assert_eq!((rig.decide(), rig.counted()), (None, vec![("n", 1000)]));
    rig.pod_goes("p");
    assert_eq!(rig.counted(), [("n", 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_node_of_ours() {
    let table = [
        (json!({}), true),
        (json!({"spec": {"schedulerName": "default-scheduler"}}), true),
        (json!({"spec": {"schedulerName": "other"}}), false),
        (json!({"spec": {"schedulingGates": []}}), true),
        (json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}}), false),
        (json!({"spec": {"nodeName": ""}}), true),
        (json!({"spec": {"nodeName": "n"}}), false),
        (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), false),
    ];
    for (more, wanted) in table {
        let mut rig = Rig::new(&[("n", "2")]);
        rig.pod("p", "u", "1", more.clone());
        assert_eq!(rig.decide().is_some(), wanted, "{more}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_binding_that_fails_frees_its_room_and_is_tried_again_after_a_while() {
    let mut rig = Rig::new(&[("n", "1")]);
    rig.pod("first", "u1", "1", json!({}));
    rig.pod("second", "u2", "1", json!({}));
    rig.binds("first", "n");
    rig.refuses("second");
    rig.ended("first", "u1", End::Failed);
    assert_eq!(rig.counted(), [("n", 0)]);
    // That helps the other one, who need not back off where nobody else is ready.
    rig.binds("second", "n");
    assert_eq!(rig.decide(), None, "the first one backs off");
    rig.pass(1);
    rig.refuses("first");
}

/// Its event comes before the answer to our own binding, and tells where the pod really is.
#[tokio::test(start_paused = true)]
async fn a_pod_that_somebody_else_bound_meanwhile_stays_counted_there() {
    let mut rig = Rig::new(&[("a", "1"), ("b", "1")]);
    rig.pod("p", "u", "1", json!({}));
    rig.binds("p", "a");
    rig.pod("p", "u", "1", on("b"));
    assert_eq!(rig.counted(), [("a", 0), ("b", 1000)]);
    rig.ended("p", "u", End::Failed);
    assert_eq!(rig.counted(), [("a", 0), ("b", 1000)]);
    rig.pass(60);
    assert_eq!(rig.decide(), None);
}

/// The room that we had assumed for it is there for who waits.
#[tokio::test(start_paused = true)]
async fn a_pod_that_somebody_else_bound_elsewhere_leaves_room_where_it_was_assumed() {
    let mut rig = Rig::new(&[("a", "1"), ("b", "1")]);
    rig.pod("p", "u", "1", json!({}));
    rig.pod("big", "u1", "1", json!({"spec": {"nodeSelector": {"only": "a"}}}));
    rig.node("a", "1", json!({"metadata": {"labels": {"only": "a"}}}));
    rig.binds("p", "a");
    rig.refuses("big");
    rig.pod("p", "u", "1", on("b"));
    rig.pass(1);
    rig.binds("big", "a");
}

/// A StatefulSet's pod comes again under its name: what is still said about the old one is not about the new one.
#[tokio::test(start_paused = true)]
async fn the_end_of_an_old_pods_try_does_not_touch_the_new_pod_of_its_name() {
    for end in [End::Failed, End::Bound, End::Refused([ClusterEvent::PodGone].into())] {
        let mut rig = Rig::new(&[("n", "1")]);
        rig.pod("db-0", "old", "1", json!({}));
        rig.binds("db-0", "n");
        rig.pod_goes("db-0");
        rig.pod("db-0", "new", "1", json!({}));
        rig.binds("db-0", "n");
        rig.ended("db-0", "old", end.clone());
        assert_eq!(rig.counted(), [("n", 1000)], "{end:?}");
        rig.pod("other", "u", "1", json!({}));
        rig.refuses("other");
        assert_eq!(rig.decide(), None, "{end:?}");
    }
}

/// After a gap in the watch the cache tells of a change where there were a deletion and a creation.
#[tokio::test(start_paused = true)]
async fn a_pod_that_was_replaced_unseen_takes_no_room_until_it_is_bound() {
    let mut rig = Rig::new(&[("n", "1")]);
    rig.pod("db-0", "old", "1", on("n"));
    rig.pod("waiting", "u", "1", json!({}));
    rig.refuses("waiting");
    rig.pod("db-0", "new", "1", json!({"spec": {"schedulingGates": [{"name": "example.com/wait"}]}}));
    assert_eq!(rig.counted(), [("n", 0)]);
    rig.pass(1);
    rig.binds("waiting", "n");
    // The same with one that waits for us.
    let mut rig = Rig::new(&[("n", "1")]);
    rig.pod("db-0", "old", "1", on("n"));
    rig.pod("db-0", "new", "1", json!({}));
    assert_eq!(rig.counted(), [("n", 0)]);
    rig.binds("db-0", "n");
}

#[tokio::test(start_paused = true)]
async fn an_assumed_pod_that_is_deleted_leaves_its_room_at_once() {
    let deletion = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    for going in [true, false] {
        let mut rig = Rig::new(&[("n", "1")]);
        rig.pod("p", "u", "1", json!({}));
        rig.pod("next", "u2", "1", json!({}));
        rig.binds("p", "n");
        rig.refuses("next");
        if going {
            rig.pod("p", "u", "1", deletion.clone())
        } else {
            rig.pod_goes("p")
        }
        rig.pass(1);
        rig.binds("next", "n");
        rig.ended("p", "u", End::Failed);
        assert_eq!(rig.counted(), [("n", 1000)], "going: {going}");
        rig.pass(60);
        assert_eq!(rig.decide(), None, "nobody tries it again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_changed_before_its_turn_is_left_to_its_event() {
    let table = [
        ("bound", json!({"spec": {"nodeName": "n"}}), "u"),
        ("going", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}), "u"),
        ("another", json!({}), "u2"),
    ];
    for (what, more, uid) in table {
        let mut rig = Rig::new(&[("n", "2")]);
        rig.pod("p", "u", "1", json!({}));
        let news = rig.write("p", uid, "1", more);
        assert_eq!((rig.decide(), rig.counted()), (None, vec![("n", 0)]), "{what}");
        rig.machine.pod_changed(&news);
        assert_eq!(rig.decide().is_some(), what == "another", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn tolerations_that_are_added_to_a_waiting_pod_are_tried() {
    for spec in [
        json!({"taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}),
        json!({"unschedulable": true}),
    ] {
        let mut rig = Rig::new(&[]);
        rig.node("n", "2", json!({"spec": spec}));
        rig.pod("p", "u", "1", json!({}));
        rig.refuses("p");
        // A label helps nobody here.
        rig.pod("p", "u", "1", json!({"metadata": {"labels": {"a": "b"}}}));
        rig.pass(2);
        assert_eq!(rig.decide(), None);
        rig.pod("p", "u", "1", json!({"spec": {"tolerations": [{"operator": "Exists"}]}}));
        rig.binds("p", "n");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_come_to_ask_for_less_make_room_for_others_and_for_themselves() {
    let mut rig = Rig::new(&[("n", "2")]);
    rig.pod("runs", "u1", "1500m", on("n"));
    rig.pod("waits", "u2", "1", json!({}));
    rig.refuses("waits");
    rig.pod("runs", "u1", "1600m", on("n"));
    rig.pass(5);
    assert_eq!(rig.decide(), None, "more is no room");
    rig.pod("runs", "u1", "1", on("n"));
    rig.binds("waits", "n");
    rig.pod("big", "u3", "3", json!({}));
    rig.refuses("big");
    rig.pod("runs", "u1", "500m", on("n"));
    rig.pass(1);
    rig.refuses("big");
    rig.pass(2);
    rig.pod("big", "u3", "500m", json!({}));
    rig.binds("big", "n");
}

#[tokio::test(start_paused = true)]
async fn what_happens_while_a_pod_is_told_that_it_found_nothing_wakes_it() {
    let mut rig = Rig::new(&[("n", "1")]);
    rig.pod("p", "u", "2", json!({}));
    let decision = rig.machine.decide(rig.now, |key| rig.pods.get(&key.name).cloned(), |_| 0);
    let Some(Decision::Refuse(_, why)) = decision else { panic!("{decision:?}") };
    rig.node("n", "3", json!({}));
    assert_eq!(rig.decide(), None, "one try at a time");
    rig.ended("p", "u", End::Refused(why.wakes_on));
    rig.pass(1);
    rig.binds("p", "n");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_goes_and_comes_back_still_has_its_pods() {
    let mut rig = Rig::new(&[("n", "1")]);
    rig.pod("p", "u", "1", on("n"));
    rig.node_goes("n");
    rig.pod("q", "u2", "1", json!({}));
    assert_eq!(rig.decide(), Some(("q".into(), Err("no nodes available to schedule pods".into()))));
    rig.node("n", "1", json!({}));
    rig.pass(1);
    assert_eq!(rig.decide(), Some(("q".into(), Err("0/1 nodes are available: 1 Insufficient cpu.".into()))));
    rig.pod_goes("p");
    rig.pass(2);
    rig.binds("q", "n");
}

#[tokio::test(start_paused = true)]
async fn a_refused_pod_that_is_deleted_or_bound_by_others_is_tried_no_more() {
    for bound in [true, false] {
        let mut rig = Rig::new(&[("n", "1")]);
        rig.pod("p", "u", "2", json!({}));
        rig.refuses("p");
        if bound {
            rig.pod("p", "u", "2", on("n"))
        } else {
            rig.pod_goes("p")
        }
        rig.pass(600);
        rig.node("n", "9", json!({}));
        assert_eq!((rig.decide(), rig.machine.next_due()), (None, None), "bound: {bound}");
    }
}
