//! How many pods of a budget may be disrupted. Pure (kube-controller-manager, disruption/disruption.go, and
//! component-helpers for the condition).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::pods;

/// How long an evicted pod may take until its deletion shows; then the disruption is given back.
const DELETION_TIMEOUT: i64 = 120;
const ALLOWED: &str = "DisruptionAllowed";

/// Whether the budget is a fraction of what the pods' controllers want, rather than of the pods there are.
pub(super) fn needs_scale(spec: &PodDisruptionBudgetSpec) -> bool {
    spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
}

/// The status; `scale`: how many pods their controllers want, if [`needs_scale`]. Says also when it will change by itself.
pub(super) fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale: i32,
    now: Timestamp,
) -> (PodDisruptionBudgetStatus, Option<Duration>) {
    let before = budget.status.clone().unwrap_or_default();
    let (expected, desired) = expected(budget.spec.as_ref(), pods.len(), scale);
    let (disrupted, recheck) = disrupted(before.disrupted_pods.as_ref(), pods, now);
    let healthy = pods.iter().filter(|pod| {
        pod.metadata.deletion_timestamp.is_none()
            && !pod.metadata.name.as_ref().is_some_and(|name| disrupted.contains_key(name))
            && pods::is_ready(pod)
    });
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    // A budget that expects no pods allows nothing: its first pods may be there before they are counted.
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let generation = budget.metadata.generation;
    let (state, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let status = PodDisruptionBudgetStatus {
        conditions: Some(with_condition(before.conditions, state, reason, "", generation, now)),
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        disrupted_pods: Some(disrupted).filter(|disrupted| !disrupted.is_empty()),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        observed_generation: generation,
    };
    (status, recheck)
}

/// The status when the pods cannot be counted: nothing is allowed.
pub(super) fn failed(budget: &PodDisruptionBudget, error: &str, now: Timestamp) -> PodDisruptionBudgetStatus {
    let before = budget.status.clone().unwrap_or_default();
    let generation = before.observed_generation;
    let conditions = with_condition(before.conditions.clone(), "False", "SyncFailed", error, generation, now);
    PodDisruptionBudgetStatus { disruptions_allowed: Some(0), conditions: Some(conditions), ..before }
}

/// Equal but for the difference between empty and absent.
pub(super) fn same(a: &PodDisruptionBudgetStatus, b: &PodDisruptionBudgetStatus) -> bool {
    let normal = |status: &PodDisruptionBudgetStatus| {
        let mut status = status.clone();
        status.disrupted_pods = status.disrupted_pods.filter(|pods| !pods.is_empty());
        status
    };
    normal(a) == normal(b)
}

/// The merge patch from one status to the other: what a map has no more must be named.
pub(super) fn change(before: &PodDisruptionBudgetStatus, after: &PodDisruptionBudgetStatus) -> Value {
    let mut body = json!(after);
    for name in before.disrupted_pods.iter().flatten().map(|(name, _)| name) {
        if !after.disrupted_pods.as_ref().is_some_and(|kept| kept.contains_key(name)) {
            body["disruptedPods"][name] = Value::Null;
        }
    }
    body
}

/// Expected and desired number of pods.
fn expected(spec: Option<&PodDisruptionBudgetSpec>, there: usize, scale: i32) -> (i32, i32) {
    let there = i32::try_from(there).unwrap_or(i32::MAX);
    match spec.map(|spec| (&spec.max_unavailable, &spec.min_available)) {
        Some((Some(most), _)) => (scale, (scale - pods::scaled(most, scale, true)).max(0)),
        Some((None, Some(IntOrString::Int(least)))) => (there, *least),
        Some((None, Some(least))) => (scale, pods::scaled(least, scale, true)),
        _ => (0, 0),
    }
}

/// The evicted pods whose deletion does not show yet, and how long until the first of them counts again.
fn disrupted(
    before: Option<&BTreeMap<String, Time>>,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> (BTreeMap<String, Time>, Option<Duration>) {
    let mut kept = BTreeMap::new();
    let mut recheck: Option<i64> = None;
    for (name, since) in before.into_iter().flatten() {
        let pod = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
        let waits = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none());
        let left = since.0.as_second() + DELETION_TIMEOUT - now.as_second();
        if waits && left >= 0 {
            recheck = Some(recheck.map_or(left, |recheck| recheck.min(left)));
            kept.insert(name.clone(), since.clone());
        }
    }
    let recheck = recheck.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0) + 1));
    (kept, recheck)
}

fn with_condition(
    before: Option<Vec<Condition>>,
    status: &str,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = before.unwrap_or_default();
    let old = conditions.iter().position(|condition| condition.type_ == ALLOWED);
    let since = old.map(|at| &conditions[at]).filter(|old| old.status == status);
    let condition = Condition {
        type_: ALLOWED.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: since.map_or(Time(now), |old| old.last_transition_time.clone()),
    };
    match old {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    fn pods(states: &[&str]) -> Vec<Arc<Pod>> {
        let pod = |(index, state): (usize, &&str)| -> Arc<Pod> {
            let deletion = (*state == "going").then_some("2026-01-01T00:00:00Z");
            let ready = if *state == "unready" { "False" } else { "True" };
            Arc::new(
                from_value(json!({"metadata": {"name": format!("p{index}"), "deletionTimestamp": deletion},
                    "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
                .unwrap(),
            )
        };
        states.iter().enumerate().map(pod).collect()
    }

    fn budget(spec: Value, status: Value) -> PodDisruptionBudget {
        from_value(json!({"metadata": {"name": "b", "generation": 3}, "spec": spec, "status": status})).unwrap()
    }

    fn numbers(status: &PodDisruptionBudgetStatus) -> (i32, i32, i32, i32) {
        let number = |value: Option<i32>| value.unwrap_or(-1);
        (
            number(status.expected_pods),
            number(status.desired_healthy),
            number(status.current_healthy),
            number(status.disruptions_allowed),
        )
    }

    #[test]
    fn what_is_allowed_is_what_is_healthy_beyond_what_is_desired() {
        // spec, pods, scale → expected, desired, healthy, allowed
        let table = [
            (json!({"minAvailable": 2}), &["ready", "ready", "ready"][..], 0, (3, 2, 3, 1)),
            (json!({"minAvailable": 2}), &["ready", "going", "unready"][..], 0, (3, 2, 1, 0)),
            (json!({"minAvailable": 0}), &[][..], 0, (0, 0, 0, 0)),
            (json!({"minAvailable": "50%"}), &["ready", "ready", "ready"][..], 5, (5, 3, 3, 0)),
            (json!({"maxUnavailable": 1}), &["ready", "ready"][..], 2, (2, 1, 2, 1)),
            (json!({"maxUnavailable": "30%"}), &["ready", "ready", "ready", "unready"][..], 4, (4, 2, 3, 1)),
            (json!({"maxUnavailable": 9}), &["ready"][..], 1, (1, 0, 1, 1)),
            (json!({}), &["ready"][..], 0, (0, 0, 1, 0)),
        ];
        for (spec, states, scale, expected) in table {
            let (status, again) = status(&budget(spec.clone(), json!({})), &pods(states), scale, at(0));
            assert_eq!(numbers(&status), expected, "{spec} {states:?}");
            assert_eq!((status.observed_generation, again), (Some(3), None));
            let condition = &status.conditions.unwrap()[0];
            let told = if expected.3 > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
            assert_eq!((condition.status.as_str(), condition.reason.as_str()), told);
        }
    }

    #[test]
    fn evicted_pods_do_not_count_until_they_outlive_their_deletion() {
        let before = json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0,
            "disruptedPods": {"p0": Time(at(0)), "p1": Time(at(30)), "p2": Time(at(0)), "unknown": Time(at(0))}});
        let budget = budget(json!({"minAvailable": 1}), before);
        let pods = pods(&["ready", "ready", "going", "ready"]);
        let kept = |status: &PodDisruptionBudgetStatus| {
            status.disrupted_pods.iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        // now → kept, healthy, again after
        let table = [
            (60, vec!["p0", "p1"], 1, Some(61)),
            (120, vec!["p0", "p1"], 1, Some(1)),
            (121, vec!["p1"], 2, Some(30)),
            (151, vec![], 3, None),
        ];
        for (now, names, healthy, again) in table {
            let (status, recheck) = status(&budget, &pods, 0, at(now));
            assert_eq!(
                (kept(&status), status.current_healthy),
                (names.iter().map(ToString::to_string).collect(), Some(healthy))
            );
            assert_eq!(recheck, again.map(Duration::from_secs), "at {now}");
        }
    }

    #[test]
    fn the_condition_keeps_its_time_until_it_turns() {
        let first = status(&budget(json!({"minAvailable": 1}), json!({})), &pods(&["ready"]), 0, at(0)).0;
        let mut again = budget(json!({"minAvailable": 1}), json!({}));
        again.status = Some(first.clone());
        assert_eq!(status(&again, &pods(&["ready"]), 0, at(9)).0, first);
        let turned = status(&again, &pods(&["ready", "ready"]), 0, at(9)).0;
        assert_eq!(turned.conditions.unwrap()[0].last_transition_time.0, at(9));
    }

    #[test]
    fn what_cannot_be_counted_allows_nothing() {
        let mut budget = budget(json!({"maxUnavailable": 1}), json!({}));
        budget.status = Some(status(&budget, &pods(&["ready", "ready"]), 2, at(0)).0);
        let failed = failed(&budget, "found no controllers for pod \"p0\"", at(5));
        assert_eq!(numbers(&failed), (2, 1, 2, 0));
        assert_eq!(failed.conditions.unwrap()[0].reason, "SyncFailed");
    }

    #[test]
    fn disruptions_that_are_over_are_taken_out_by_name() {
        let with = |names: &[&str]| PodDisruptionBudgetStatus {
            disrupted_pods: Some(names.iter().map(|name| (name.to_string(), Time(at(0)))).collect()),
            ..PodDisruptionBudgetStatus::default()
        };
        let change = change(&with(&["a", "b"]), &with(&["b"]));
        assert_eq!((&change["disruptedPods"]["a"], change["disruptedPods"]["b"].is_string()), (&Value::Null, true));
        assert!(same(&with(&[]), &PodDisruptionBudgetStatus::default()));
        assert!(!same(&with(&["a"]), &with(&["b"])));
    }

    #[test]
    fn only_fractions_need_the_controllers_scale() {
        for (spec, needs) in [
            (json!({"minAvailable": 1}), false),
            (json!({"minAvailable": "50%"}), true),
            (json!({"maxUnavailable": 1}), true),
        ] {
            assert_eq!(needs_scale(&from_value(spec.clone()).unwrap()), needs, "{spec}");
        }
    }

    #[test]
    fn each_way_to_say_a_budget_is_reckoned_as_upstream_does() {
        // spec, scale → expected and desired of seven pods
        let table = [
            (json!({"minAvailable": 3}), 9, (7, 3)),
            (json!({"minAvailable": 0}), 9, (7, 0)),
            (json!({"minAvailable": "50%"}), 9, (9, 5)),
            (json!({"minAvailable": "100%"}), 9, (9, 9)),
            (json!({"minAvailable": "0%"}), 9, (9, 0)),
            (json!({"maxUnavailable": 2}), 9, (9, 7)),
            (json!({"maxUnavailable": 20}), 9, (9, 0)),
            (json!({"maxUnavailable": "30%"}), 9, (9, 6)),
            (json!({"maxUnavailable": "0%"}), 9, (9, 9)),
            (json!({}), 9, (0, 0)),
        ];
        let seven = pods(&["ready"; 7]);
        for (spec, scale, (expected, desired)) in table {
            let found = numbers(&status(&budget(spec.clone(), json!({})), &seven, scale, at(0)).0);
            assert_eq!((found.0, found.1), (expected, desired), "{spec}");
            let allowed = if expected > 0 { (7 - desired).max(0) } else { 0 };
            assert_eq!(found.3, allowed, "{spec}");
        }
        let none = PodDisruptionBudget::default();
        assert_eq!(numbers(&status(&none, &seven, 0, at(0)).0), (0, 0, 7, 0));
    }

    #[test]
    fn a_budget_that_expects_nobody_allows_nothing() {
        for spec in [json!({"minAvailable": 0}), json!({"maxUnavailable": 1}), json!({"minAvailable": "10%"})] {
            let (status, again) = status(&budget(spec.clone(), json!({})), &[], 0, at(0));
            assert_eq!((status.disruptions_allowed, again), (Some(0), None), "{spec}");
            assert_eq!(status.conditions.unwrap()[0].reason, "InsufficientPods");
        }
    }

    #[test]
    fn a_pod_that_was_evicted_and_came_again_is_not_the_one_that_was() {
        // Its name stands among the disrupted ones, its successor is ready: until the time is over it does not count.
        let before = json!({"disruptedPods": {"p0": Time(at(0)), "gone": Time(at(0))}});
        let (status, again) = status(&budget(json!({"minAvailable": 1}), before), &pods(&["ready", "ready"]), 0, at(1));
        assert_eq!(numbers(&status), (2, 1, 1, 0));
        assert_eq!(status.disrupted_pods.unwrap().keys().collect::<Vec<_>>(), ["p0"]);
        assert_eq!(again, Some(Duration::from_secs(120)));
    }

    #[test]
    fn conditions_of_others_stay_and_ours_is_there_once() {
        let other =
            json!({"type": "Other", "status": "True", "reason": "R", "message": "", "lastTransitionTime": Time(at(0))});
        let budget = budget(json!({"minAvailable": 1}), json!({"conditions": [other]}));
        let first = failed(&budget, "no", at(0));
        let mut again = budget.clone();
        again.status = Some(first);
        let (status, _) = status(&again, &pods(&["ready", "ready"]), 0, at(5));
        let told: Vec<(String, String)> =
            status.conditions.unwrap().into_iter().map(|condition| (condition.type_, condition.reason)).collect();
        let told: Vec<(&str, &str)> = told.iter().map(|(kind, reason)| (kind.as_str(), reason.as_str())).collect();
        assert_eq!(told, [("Other", "R"), ("DisruptionAllowed", "SufficientPods")]);
    }
}
