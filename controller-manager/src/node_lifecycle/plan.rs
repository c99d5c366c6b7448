//! What a silent node's conditions become, and which taints a node's conditions demand. Pure (kube-controller-manager,
//! nodelifecycle/node_lifecycle_controller.go).

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The conditions that a kubelet keeps up to date.
const KEPT_BY_KUBELET: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
const NO_SCHEDULE: &str = "NoSchedule";
const NO_EXECUTE: &str = "NoExecute";

/// Condition, status, the taint that keeps pods from being scheduled there.
const TAINTS_OF_CONDITIONS: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The status of a condition, if it was ever reported.
pub(super) fn status<'a>(node: &'a Node, condition: &str) -> Option<&'a str> {
    let conditions = node.status.as_ref()?.conditions.iter().flatten();
    conditions.into_iter().find(|present| present.type_ == condition).map(|present| present.status.as_str())
}

/// Whether the node is ready.
pub(super) fn is_ready(node: &Node) -> bool {
    status(node, "Ready") == Some("True")
}

/// When the kubelet last reported its readiness.
pub(super) fn reported(node: &Node) -> Option<Timestamp> {
    let conditions = node.status.as_ref()?.conditions.iter().flatten();
    conditions.into_iter().find(|present| present.type_ == "Ready")?.last_heartbeat_time.as_ref().map(|time| time.0)
}

/// The conditions that must change because the node is silent; none if they say so already.
pub(super) fn silenced(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    let present = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let mut changed = Vec::new();
    for kind in KEPT_BY_KUBELET {
        match present.iter().find(|condition| condition.type_ == kind) {
            Some(condition) if condition.status == "Unknown" => {}
            Some(condition) => changed.push(NodeCondition {
                status: "Unknown".into(),
                reason: Some("NodeStatusUnknown".into()),
                message: Some("Kubelet stopped posting node status.".into()),
                last_transition_time: Some(Time(now)),
                ..condition.clone()
            }),
            None => changed.push(NodeCondition {
                type_: kind.into(),
                status: "Unknown".into(),
                reason: Some("NodeStatusNeverUpdated".into()),
                message: Some("Kubelet never posted node status.".into()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(Time(now)),
            }),
        }
    }
    changed
}

/// Whether pods are driven off a node that is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Eviction {
    /// From now on.
    Begins,
    /// If it has begun it goes on, else it has to wait.
    Waits,
    /// Not any more: it is us who are cut off.
    Ends,
}

/// Whether the node is not ready, and nobody drives pods off it for that yet. One that has never said anything has none.
pub(super) fn owes_eviction(node: &Node) -> bool {
    matches!(status(node, "Ready"), Some("False" | "Unknown")) && !is_evicting(node)
}

fn is_evicting(node: &Node) -> bool {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    taints.iter().any(|taint| taint.effect == NO_EXECUTE && is_ours(taint))
}

/// The node's taints as they must be; `None` if they are.
pub(super) fn taints(node: &Node, eviction: Eviction, now: Timestamp) -> Option<Vec<Taint>> {
    let evict = match eviction {
        Eviction::Begins => true,
        Eviction::Waits => is_evicting(node),
        Eviction::Ends => false,
    };
    let wanted = wanted(node, evict);
    let present = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let is = |taint: &Taint, pair: &(&str, &str)| taint.key == pair.0 && taint.effect == pair.1;
    let kept = present.iter().filter(|taint| !is_ours(taint) || wanted.iter().any(|pair| is(taint, pair)));
    let mut after: Vec<Taint> = kept.cloned().collect();
    for pair in &wanted {
        if !present.iter().any(|taint| is(taint, pair)) {
            after.push(Taint {
                key: pair.0.into(),
                effect: pair.1.into(),
                time_added: Some(Time(now)),
                ..Taint::default()
            });
        }
    }
    (after != present).then_some(after)
}

/// Keys and effects.
fn wanted(node: &Node, evict: bool) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    for (condition, bad, key) in TAINTS_OF_CONDITIONS {
        // A node that has not said anything yet is not ready.
        let status = status(node, condition).or((condition == "Ready").then_some("False"));
        if status == Some(bad) {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    match status(node, "Ready") {
        Some("False") if evict => wanted.push((NOT_READY, NO_EXECUTE)),
        Some("Unknown") if evict => wanted.push((UNREACHABLE, NO_EXECUTE)),
        _ => {}
    }
    wanted
}

/// Whether this controller puts such taints on, and takes them off.
fn is_ours(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        NO_SCHEDULE => taint.key == UNSCHEDULABLE || TAINTS_OF_CONDITIONS.iter().any(|(_, _, key)| taint.key == *key),
        NO_EXECUTE => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    fn node(conditions: &[(&str, &str)], unschedulable: bool, taints: &[&str]) -> Node {
        let conditions: Vec<Value> =
            conditions.iter().map(|(kind, status)| json!({"type": kind, "status": status})).collect();
        let taints: Vec<Value> = taints
            .iter()
            .map(|taint| {
                let (key, effect) = taint.split_once(':').unwrap();
                json!({"key": key, "effect": effect})
            })
            .collect();
        from_value(json!({
            "metadata": {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"unschedulable": unschedulable, "taints": taints},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn a_silent_nodes_conditions_become_unknown_once() {
        let silent =
            silenced(&node(&[("Ready", "True"), ("DiskPressure", "Unknown"), ("Other", "True")], false, &[]), now());
        let told: Vec<(&str, &str)> =
            silent.iter().map(|c| (c.type_.as_str(), c.reason.as_deref().unwrap_or_default())).collect();
        let never = "NodeStatusNeverUpdated";
        assert_eq!(told, [("Ready", "NodeStatusUnknown"), ("MemoryPressure", never), ("PIDPressure", never)]);
        assert!(silent.iter().all(|condition| condition.status == "Unknown"));
        let all: Vec<(&str, &str)> = KEPT_BY_KUBELET.iter().map(|kind| (*kind, "Unknown")).collect();
        assert!(silenced(&node(&all, false, &[]), now()).is_empty());
    }

    #[test]
    fn taints_follow_the_conditions() {
        let not_ready = [format!("{NOT_READY}:NoSchedule"), format!("{NOT_READY}:NoExecute")];
        let unreachable = [format!("{UNREACHABLE}:NoSchedule"), format!("{UNREACHABLE}:NoExecute")];
        let refs = <[String]>::to_vec;
        // conditions, unschedulable, evict, taints before → taints after
        type Row = (Vec<(&'static str, &'static str)>, bool, bool, Vec<String>, Option<Vec<String>>);
        let table: Vec<Row> = vec![
            (vec![("Ready", "True")], false, true, vec![], None),
            (vec![("Ready", "False")], false, true, vec![], Some(refs(&not_ready))),
            (vec![("Ready", "False")], false, true, refs(&not_ready), None),
            (vec![("Ready", "Unknown")], false, true, refs(&not_ready), Some(refs(&unreachable))),
            (vec![("Ready", "Unknown")], false, false, refs(&unreachable), Some(refs(&unreachable[..1]))),
            (vec![("Ready", "True")], false, true, refs(&unreachable), Some(vec![])),
            (vec![], false, true, vec![], Some(refs(&not_ready[..1]))),
            (
                vec![("Ready", "True"), ("MemoryPressure", "True"), ("PIDPressure", "False")],
                true,
                true,
                vec!["mine:NoSchedule".into(), format!("{NOT_READY}:PreferNoSchedule")],
                Some(vec![
                    "mine:NoSchedule".into(),
                    format!("{NOT_READY}:PreferNoSchedule"),
                    format!("{UNSCHEDULABLE}:NoSchedule"),
                    "node.kubernetes.io/memory-pressure:NoSchedule".into(),
                ]),
            ),
            (
                vec![("Ready", "True")],
                false,
                true,
                vec![format!("{UNSCHEDULABLE}:NoSchedule"), format!("{UNSCHEDULABLE}:NoExecute")],
                Some(vec![format!("{UNSCHEDULABLE}:NoExecute")]),
            ),
        ];
        for (conditions, unschedulable, evict, before, expected) in table {
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            let eviction = if evict { Eviction::Begins } else { Eviction::Ends };
            let after = taints(&node(&conditions, unschedulable, &before), eviction, now());
            let told = after.map(|taints| taints.iter().map(|t| format!("{}:{}", t.key, t.effect)).collect::<Vec<_>>());
            assert_eq!(told, expected, "{conditions:?} {before:?}");
        }
    }

    #[test]
    fn an_eviction_that_has_begun_goes_on_until_the_node_is_ready_or_it_is_us() {
        let (no_schedule, no_execute) = (format!("{UNREACHABLE}:NoSchedule"), format!("{UNREACHABLE}:NoExecute"));
        let swapped = format!("{NOT_READY}:NoExecute");
        // status of Ready, taint before, eviction → NoExecute taint after, whether one is owed
        let table = [
            ("Unknown", "", Eviction::Begins, no_execute.as_str(), true),
            ("Unknown", "", Eviction::Waits, "", true),
            ("Unknown", "", Eviction::Ends, "", true),
            ("Unknown", no_execute.as_str(), Eviction::Waits, no_execute.as_str(), false),
            ("Unknown", no_execute.as_str(), Eviction::Ends, "", false),
            // The two exclude each other; one follows the other at once.
            ("Unknown", swapped.as_str(), Eviction::Waits, no_execute.as_str(), false),
            ("False", no_execute.as_str(), Eviction::Waits, swapped.as_str(), false),
            ("True", no_execute.as_str(), Eviction::Waits, "", false),
            ("True", "", Eviction::Waits, "", false),
            // A taint of that effect that somebody else put on is none of ours.
            ("Unknown", "mine:NoExecute", Eviction::Waits, "mine:NoExecute", true),
        ];
        for (ready, before, eviction, expected, owed) in table {
            let before: Vec<&str> = Some(before).filter(|taint| !taint.is_empty()).into_iter().collect();
            let mut node = node(&[("Ready", ready)], false, &before);
            assert_eq!(owes_eviction(&node), owed, "{ready} {before:?}");
            if let Some(after) = taints(&node, eviction, now()) {
                node.spec.as_mut().unwrap().taints = Some(after);
            }
            let all = node.spec.unwrap().taints.unwrap_or_default();
            let told: Vec<String> = all.iter().map(|taint| format!("{}:{}", taint.key, taint.effect)).collect();
            let driving: Vec<&str> = told.iter().map(String::as_str).filter(|t| t.ends_with("NoExecute")).collect();
            let expected: Vec<&str> = Some(expected).filter(|taint| !taint.is_empty()).into_iter().collect();
            assert_eq!(driving, expected, "{ready} {before:?} {eviction:?}");
            assert_eq!(told.contains(&no_schedule), ready == "Unknown", "{told:?}");
        }
        assert!(!owes_eviction(&Node::default()), "it never said anything");
    }

    #[test]
    fn a_new_taint_says_since_when_and_an_old_one_keeps_its_time() {
        let first = taints(&node(&[("Ready", "False")], false, &[]), Eviction::Begins, now()).unwrap();
        assert_eq!(first[0].time_added.as_ref().map(|time| time.0), Some(now()));
        let mut node = node(&[("Ready", "False"), ("DiskPressure", "True")], false, &[]);
        node.spec.as_mut().unwrap().taints = Some(first.clone());
        let later = taints(&node, Eviction::Waits, Timestamp::from_second(2_000_000).unwrap()).unwrap();
        assert_eq!(later[..2], first[..]);
        assert_eq!(later.len(), 3);
    }
}
