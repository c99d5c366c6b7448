//! How many pods to create, which to delete, what the status is. Pure (kube-controller-manager, replicaset/replica_set.go
//! and controller_utils.go for the order of deletion).

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use client::Object;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods;

/// Most pods created or deleted in one go (upstream's BurstReplicas).
const BURST: usize = 500;

/// What to do about the number of pods.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// As many as wanted.
    Right,
    /// So many are missing.
    Create(usize),
    /// These are too many, in the order in which they go.
    Delete(Vec<Arc<Pod>>),
}

/// Compares the active pods with the wanted number. `related`: the pods of all sets that share our controller, ours included: what
/// is crowded is a node that has many of them (getIndirectlyRelatedPods).
pub(crate) fn scale(wanted: i32, active: &[Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) -> Scale {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    match active.len().cmp(&wanted) {
        Ordering::Equal => Scale::Right,
        Ordering::Less => Scale::Create((wanted - active.len()).min(BURST)),
        Ordering::Greater => {
            let mut ranked = active.to_vec();
            let crowd = crowd(related);
            ranked.sort_by(|a, b| deletion_order(a, b, &crowd, now));
            ranked.truncate((active.len() - wanted).min(BURST));
            Scale::Delete(ranked)
        }
    }
}

/// Node → how many of the pods are active there.
fn crowd(pods: &[Arc<Pod>]) -> HashMap<String, usize> {
    let mut crowd = HashMap::new();
    for pod in pods.iter().filter(|pod| pods::is_active(pod)) {
        *crowd.entry(pods::node_name(pod).to_string()).or_default() += 1;
    }
    crowd
}

/// First to go: unassigned before assigned, Pending before Unknown before Running, not ready before ready, lower
/// deletion cost, on more crowded nodes, ready for less time, more restarts, younger.
fn deletion_order(a: &Pod, b: &Pod, crowd: &HashMap<String, usize>, now: Timestamp) -> Ordering {
    let on_node = |pod: &Pod| !pods::node_name(pod).is_empty();
    let phase_rank = |pod: &Pod| match pods::phase(pod) {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let peers = |pod: &Pod| crowd.get(pods::node_name(pod)).copied().unwrap_or(0);
    // Logarithmic ages: a difference within a factor of two is none (upstream's LogarithmicScaleDown).
    let rank = |since: Option<Timestamp>| {
        since.map_or(0, |since| (now.as_second() - since.as_second()).max(0)).checked_ilog2().map_or(0, |log| log + 1)
    };
    let ready_age = |pod: &Pod| if pods::is_ready(pod) { rank(pods::ready_since(pod)) } else { 0 };
    let created = |pod: &Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    on_node(a)
        .cmp(&on_node(b))
        .then_with(|| phase_rank(a).cmp(&phase_rank(b)))
        .then_with(|| pods::is_ready(a).cmp(&pods::is_ready(b)))
        .then_with(|| deletion_cost(a).cmp(&deletion_cost(b)))
        .then_with(|| peers(b).cmp(&peers(a)))
        .then_with(|| ready_age(a).cmp(&ready_age(b)))
        .then_with(|| restarts(b).cmp(&restarts(a)))
        .then_with(|| rank(created(a)).cmp(&rank(created(b))))
        .then_with(|| a.uid().cmp(b.uid()))
}

fn deletion_cost(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    let cost = annotations.and_then(|all| all.get("controller.kubernetes.io/pod-deletion-cost"));
    cost.and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().map(|status| status.restart_count).max().unwrap_or(0)
}

/// The status for what is there, and after how many seconds a ready pod becomes available if nothing else happens.
pub(crate) fn status(
    set: &ReplicaSet,
    own: &[Arc<Pod>],
    failure: Option<(&'static str, String)>,
    now: Timestamp,
) -> (ReplicaSetStatus, Option<i64>) {
    let spec = &set.spec;
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let template = spec.template.as_ref();
    let labels = template.and_then(|template| template.metadata.as_ref()?.labels.clone()).unwrap_or_default();
    let active: Vec<&Arc<Pod>> = own.iter().filter(|pod| pods::is_active(pod)).collect();
    let count = |matching: &dyn Fn(&Pod) -> bool| {
        i32::try_from(active.iter().filter(|pod| matching(pod)).count()).unwrap_or(i32::MAX)
    };
    let labeled = |pod: &Pod| {
        let own = pod.metadata.labels.as_ref();
        labels.iter().all(|(key, value)| own.and_then(|own| own.get(key)) == Some(value))
    };
    let terminating = own.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some() && !has_ended(pod)).count();
    let status = ReplicaSetStatus {
        replicas: count(&|_| true),
        fully_labeled_replicas: Some(count(&labeled)),
        ready_replicas: Some(count(&pods::is_ready)),
        available_replicas: Some(count(&|pod| pods::is_available(pod, min_ready, now))),
        terminating_replicas: i32::try_from(terminating).ok(),
        observed_generation: set.metadata.generation,
        conditions: conditions(set, failure, now),
    };
    let waiting = active.iter().filter(|pod| pods::is_ready(pod) && !pods::is_available(pod, min_ready, now));
    let rest =
        waiting.filter_map(|pod| Some(i64::from(min_ready) - (now.as_second() - pods::ready_since(pod)?.as_second())));
    (status, rest.min())
}

fn has_ended(pod: &Pod) -> bool {
    matches!(pods::phase(pod), "Succeeded" | "Failed")
}

/// The ReplicaFailure condition stands while creating or deleting fails.
fn conditions(
    set: &ReplicaSet,
    failure: Option<(&'static str, String)>,
    now: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let before = set.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let standing = before.iter().find(|condition| condition.type_.as_deref() == Some("ReplicaFailure")).cloned();
    let mut conditions: Vec<_> =
        before.into_iter().filter(|condition| condition.type_.as_deref() != Some("ReplicaFailure")).collect();
    if let Some((reason, message)) = failure {
        conditions.push(standing.unwrap_or(ReplicaSetCondition {
            type_: Some("ReplicaFailure".into()),
            status: Some("True".into()),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: Some(Time(now)),
        }));
    }
    (!conditions.is_empty()).then_some(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn now() -> Timestamp {
        "2026-01-01T01:00:00Z".parse().unwrap()
    }

    fn pod(name: &str, object: Value) -> Arc<Pod> {
        let mut pod: Pod = from_value(object).unwrap();
        pod.metadata.name = Some(name.into());
        pod.metadata.uid = Some(name.into());
        Arc::new(pod)
    }

    fn ready(name: &str, node: &str, since: &str) -> Arc<Pod> {
        pod(
            name,
            json!({"metadata": {"creationTimestamp": since, "labels": {"app": "web"}}, "spec": {"containers": [], "nodeName": node},
                   "status": {"phase": "Running",
                              "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since}]}}),
        )
    }

    fn deleted(pods: &[Arc<Pod>], wanted: i32) -> Vec<String> {
        match scale(wanted, pods, pods, now()) {
            Scale::Delete(pods) => pods.iter().map(|pod| pod.uid().to_string()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_missing_is_created() {
        let one = [ready("a", "n", "2026-01-01T00:00:00Z")];
        assert_eq!(scale(3, &one, &one, now()), Scale::Create(2));
        assert_eq!(scale(1, &one, &one, now()), Scale::Right);
        assert_eq!(scale(100_000, &[], &[], now()), Scale::Create(500));
        assert_eq!(scale(-1, &[], &[], now()), Scale::Right);
    }

    #[test]
    fn the_least_useful_pods_go_first() {
        let hour = "2026-01-01T00:00:00Z";
        let unassigned = pod("unassigned", json!({"spec": {"containers": []}}));
        let pending =
            pod("pending", json!({"spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Pending"}}));
        let unready =
            pod("unready", json!({"spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Running"}}));
        let mut cheap = (*ready("cheap", "m", hour)).clone();
        cheap.metadata.annotations = Some([("controller.kubernetes.io/pod-deletion-cost".into(), "-5".into())].into());
        let all = [
            ready("old", "m", hour),
            Arc::new(cheap),
            unready,
            ready("young", "m", "2026-01-01T00:59:00Z"),
            pending,
            unassigned,
        ];
        assert_eq!(deleted(&all, 1), ["unassigned", "pending", "unready", "cheap", "young"]);
    }

    #[test]
    fn crowded_nodes_are_relieved_first() {
        let since = "2026-01-01T00:00:00Z";
        let all = [ready("alone", "m", since), ready("one", "n", since), ready("two", "n", since)];
        assert_eq!(deleted(&all, 2), ["one"]);
    }

    #[test]
    fn pods_of_sister_sets_crowd_a_node_too() {
        let since = "2026-01-01T00:00:00Z";
        let own = [ready("a", "m", since), ready("b", "n", since)];
        let mut ended = (*ready("ended", "m", since)).clone();
        ended.status.as_mut().unwrap().phase = Some("Failed".into());
        let (sister, ended) = (ready("sister", "n", since), Arc::new(ended));
        let deleted = |related: &[Arc<Pod>]| match scale(1, &own, related, now()) {
            Scale::Delete(pods) => pods[0].uid().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(deleted(&own), "a");
        assert_eq!(deleted(&[own[0].clone(), own[1].clone(), sister, ended]), "b");
    }

    #[test]
    fn each_rank_of_the_order_decides_where_those_before_it_are_equal() {
        let since = "2026-01-01T00:00:00Z";
        let restarted = |name: &str, count: i32| {
            let mut pod = (*ready(name, "n", since)).clone();
            let status = json!([{"name": "c", "image": "", "imageID": "", "ready": true, "restartCount": count}]);
            pod.status.as_mut().unwrap().container_statuses = from_value(status).unwrap();
            Arc::new(pod)
        };
        let phase = |name: &str, phase: &str| {
            pod(name, json!({"spec": {"containers": [], "nodeName": "n"}, "status": {"phase": phase}}))
        };
        let created = |name: &str, at: &str| {
            pod(
                name,
                json!({"metadata": {"creationTimestamp": at}, "spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Running"}}),
            )
        };
        // (the one that stays, the one that goes)
        let table = [
            (phase("b", "Running"), phase("a", "Unknown")),
            (phase("b", "Unknown"), phase("a", "Pending")),
            (restarted("b", 1), restarted("a", 5)),
            (ready("b", "n", "2026-01-01T00:00:00Z"), ready("a", "n", "2026-01-01T00:50:00Z")),
            (created("b", "2026-01-01T00:00:00Z"), created("a", "2026-01-01T00:50:00Z")),
            // Within a factor of two ages are the same: the UID decides, so that all decide alike.
            (ready("b", "n", "2026-01-01T00:00:00Z"), ready("a", "n", "2026-01-01T00:00:10Z")),
        ];
        for (stays, goes) in table {
            for both in [[stays.clone(), goes.clone()], [goes.clone(), stays.clone()]] {
                assert_eq!(deleted(&both, 1), [goes.uid()], "{stays:?} {goes:?}");
            }
        }
    }

    #[test]
    fn the_status_counts_and_says_when_to_look_again() {
        let set: ReplicaSet = from_value(json!({"metadata": {"generation": 4}, "spec": {"minReadySeconds": 3600,
            "selector": {}, "template": {"metadata": {"labels": {"app": "web"}}}}}))
        .unwrap();
        let going = pod(
            "going",
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:59:00Z"}, "status": {"phase": "Running"}}),
        );
        let own = [
            ready("old", "n", "2026-01-01T00:00:00Z"),
            ready("young", "n", "2026-01-01T00:30:00Z"),
            going,
            pod("plain", json!({})),
        ];
        let (status, again) = status(&set, &own, None, now());
        assert_eq!((status.replicas, status.fully_labeled_replicas, status.ready_replicas), (3, Some(2), Some(2)));
        assert_eq!((status.available_replicas, status.terminating_replicas), (Some(1), Some(1)));
        assert_eq!((status.observed_generation, again), (Some(4), Some(1800)));
    }

    #[test]
    fn a_failure_is_a_condition_until_it_is_over() {
        let set = ReplicaSet::default();
        let (failed, _) = status(&set, &[], Some(("FailedCreate", "no".into())), now());
        assert_eq!(failed.conditions.as_ref().unwrap()[0].type_.as_deref(), Some("ReplicaFailure"));
        let set = ReplicaSet { status: Some(failed), ..set };
        assert_eq!(status(&set, &[], None, now()).0.conditions, None);
    }

    #[test]
    fn no_more_than_a_burst_goes_at_once_and_the_least_useful_of_all_go_first() {
        let since = "2026-01-01T00:00:00Z";
        let mut all: Vec<Arc<Pod>> = (0..520).map(|number| ready(&format!("p{number:03}"), "n", since)).collect();
        all.push(pod("unassigned", json!({"spec": {"containers": []}})));
        let gone = deleted(&all, 0);
        assert_eq!((gone.len(), gone[0].as_str()), (BURST, "unassigned"));
        assert_eq!(deleted(&all, 520), ["unassigned"]);
    }

    #[test]
    fn what_is_earlier_in_the_order_outweighs_all_that_comes_later() {
        let hour = "2026-01-01T00:00:00Z";
        let costly = |name: &str, cost: &str, object: Value| {
            let mut pod = (*pod(name, object)).clone();
            let cost = ("controller.kubernetes.io/pod-deletion-cost".to_string(), cost.to_string());
            pod.metadata.annotations = Some([cost].into());
            Arc::new(pod)
        };
        let serving = |node: &str| {
            json!({"metadata": {"creationTimestamp": hour}, "spec": {"containers": [], "nodeName": node}, "status": {"phase": "Running",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": hour}]}})
        };
        let idle = json!({"spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Running"}});
        // (what stays, what goes)
        let table = [
            // However dear: who does not serve goes before who does.
            (costly("stays", "-100", serving("n")), costly("goes", "100", idle)),
            (costly("stays", "2147483647", serving("n")), costly("goes", "-2147483648", serving("m"))),
            // A cost that is no number is none.
            (costly("stays", "1", serving("n")), costly("goes", "cheap", serving("n"))),
            (costly("stays", "0", serving("n")), costly("goes", "-1", serving("n"))),
        ];
        for (stays, goes) in table {
            for both in [[stays.clone(), goes.clone()], [goes.clone(), stays.clone()]] {
                assert_eq!(deleted(&both, 1), ["goes"], "{goes:?}");
            }
        }
    }

    #[test]
    fn a_failure_stands_as_it_began_and_other_conditions_stay() {
        let other = json!({"type": "Other", "status": "True"});
        let mut set: ReplicaSet =
            from_value(json!({"spec": {"selector": {}}, "status": {"replicas": 0, "conditions": [other]}})).unwrap();
        let (failed, _) = status(&set, &[], Some(("FailedCreate", "one".into())), now());
        let kinds = |status: &ReplicaSetStatus| {
            status
                .conditions
                .iter()
                .flatten()
                .map(|c| (c.type_.clone().unwrap(), c.message.clone()))
                .collect::<Vec<_>>()
        };
        let expected = [("Other".to_string(), None), ("ReplicaFailure".to_string(), Some("one".to_string()))];
        assert_eq!(kinds(&failed), expected);
        // The next try fails otherwise: as upstream, the first word stands.
        set.status = Some(failed);
        let later = now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
        let (still, _) = status(&set, &[], Some(("FailedDelete", "two".into())), later);
        assert_eq!(kinds(&still), expected);
        assert_eq!(still.conditions.as_ref().unwrap()[1].last_transition_time.as_ref().unwrap().0, now());
        set.status = Some(still);
        assert_eq!(kinds(&status(&set, &[], None, later).0), expected[..1]);
    }

    #[test]
    fn only_ready_pods_that_are_not_yet_available_are_waited_for() {
        let set = |min_ready: i32| -> ReplicaSet {
            from_value(json!({"spec": {"minReadySeconds": min_ready, "selector": {}}})).unwrap()
        };
        let old = ready("old", "n", "2026-01-01T00:00:00Z");
        let young = ready("young", "n", "2026-01-01T00:59:30Z");
        let younger = ready("younger", "n", "2026-01-01T00:59:50Z");
        let unready = pod("unready", json!({"status": {"phase": "Running"}}));
        let table = [
            (0, vec![old.clone(), young.clone(), unready.clone()], None),
            (60, vec![old.clone(), unready.clone()], None),
            (60, vec![old, younger.clone(), young, unready], Some(30)),
            (60, vec![younger], Some(50)),
            (i32::MAX, vec![ready("p", "n", "2026-01-01T01:00:00Z")], Some(i64::from(i32::MAX))),
        ];
        for (min_ready, own, again) in table {
            assert_eq!(status(&set(min_ready), &own, None, now()).1, again, "{min_ready}");
        }
    }
}
