//! What a namespace on its way out says about itself, and when to look again. Pure (kube-controller-manager,
//! namespace/deletion/status_condition_utils.go and namespaced_resources_deleter.go).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{NamespaceCondition, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pods;

/// How long finalizers are expected to take, in seconds (upstream's finalizerEstimateSeconds).
pub(crate) const FINALIZER_ESTIMATE: i64 = 15;

/// What one attempt to empty the namespace found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Why the resources could not be discovered.
    pub(crate) undiscovered: Option<String>,
    /// What went wrong while deleting.
    pub(crate) failures: Vec<String>,
    /// `<plural>.<group>` → how many are left.
    pub(crate) remaining: BTreeMap<String, usize>,
    /// Finalizer → how many objects it keeps.
    pub(crate) finalizers: BTreeMap<String, usize>,
    /// Seconds until the rest is expected to be gone; 0: nothing is left that takes time.
    pub(crate) estimate: i64,
}

impl Findings {
    /// Whether there is nothing left and nothing went wrong.
    pub(crate) fn is_clean(&self) -> bool {
        self.undiscovered.is_none() && self.failures.is_empty() && self.remaining.is_empty()
    }

    /// Counts what is left of a resource, given each object's finalizers; `grace` as [`grace_left`] says, for pods.
    /// What neither dies gracefully nor has a finalizer should not be there: that is a failure.
    pub(crate) fn count(&mut self, resource: &str, left: &[Vec<String>], grace: i64, unexpected: impl Fn() -> String) {
        if left.is_empty() {
            return;
        }
        self.remaining.insert(resource.to_string(), left.len());
        for finalizer in left.iter().flatten() {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        if grace > 0 {
            self.estimate = self.estimate.max(grace);
        } else if left.iter().any(|finalizers| !finalizers.is_empty()) {
            self.estimate = self.estimate.max(FINALIZER_ESTIMATE);
        } else {
            self.failures.push(unexpected());
        }
    }
}

/// Seconds that the pods of the namespace may need for their graceful end; 0 if that time has passed since `deleted`.
pub(crate) fn grace_left<'a>(all: impl IntoIterator<Item = &'a Pod>, deleted: Timestamp, now: Timestamp) -> i64 {
    let living = all.into_iter().filter(|pod| !matches!(pods::phase(pod), "Succeeded" | "Failed"));
    let grace = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(0);
    let longest = living.map(grace).max().unwrap_or(0);
    if now.as_second() - deleted.as_second() >= longest { 0 } else { longest }
}

/// Type of condition, reason and message when all is well.
const FINE: [(&str, &str, &str); 5] = [
    ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
    ("NamespaceDeletionGroupVersionParsingFailure", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    ("NamespaceContentRemaining", "ContentRemoved", "All content successfully removed"),
    ("NamespaceFinalizersRemaining", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
];

/// The conditions that tell what was found; `None` if `before` tells it already.
pub(crate) fn conditions(
    before: &[NamespaceCondition],
    found: &Findings,
    now: Timestamp,
) -> Option<Vec<NamespaceCondition>> {
    let mut after = before.to_vec();
    let mut changed = false;
    for (kind, reason, message) in FINE {
        let (status, reason, message) = match trouble(kind, found) {
            Some((reason, message)) => ("True", reason, message),
            None => ("False", reason, message.to_string()),
        };
        let place = after.iter().position(|present| present.type_ == kind);
        let before = place.map(|place| &after[place]);
        // It is in transition only when its status changes.
        let since =
            before.filter(|before| before.status == status).and_then(|before| before.last_transition_time.clone());
        let condition = NamespaceCondition {
            type_: kind.into(),
            status: status.into(),
            reason: Some(reason.into()),
            message: Some(message),
            last_transition_time: Some(since.unwrap_or(Time(now))),
        };
        if before == Some(&condition) {
            continue;
        }
        changed = true;
        match place {
            Some(place) => after[place] = condition,
            None => after.push(condition),
        }
    }
    changed.then_some(after)
}

/// Reason and message of a condition that holds.
fn trouble(kind: &str, found: &Findings) -> Option<(&'static str, String)> {
    match kind {
        "NamespaceDeletionDiscoveryFailure" => {
            let error = found.undiscovered.as_ref()?;
            Some(("DiscoveryFailed", format!("Discovery failed for some groups, 1 failing: {error}")))
        }
        "NamespaceDeletionContentFailure" if !found.failures.is_empty() => {
            let (count, all) = (found.failures.len(), found.failures.join(", "));
            Some(("ContentDeletionFailed", format!("Failed to delete all resource types, {count} remaining: {all}")))
        }
        "NamespaceContentRemaining" if !found.remaining.is_empty() => {
            let each = found.remaining.iter().map(|(what, count)| format!("{what} has {count} resource instances"));
            let all = each.collect::<Vec<_>>().join(", ");
            Some(("SomeResourcesRemain", format!("Some resources are remaining: {all}")))
        }
        "NamespaceFinalizersRemaining" if !found.finalizers.is_empty() => {
            let each = found.finalizers.iter().map(|(what, count)| format!("{what} in {count} resource instances"));
            let all = each.collect::<Vec<_>>().join(", ");
            Some(("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {all}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn the_time_for_a_graceful_end_is_the_longest_of_living_pods() {
        let pod = |grace: i64, phase: &str| -> Pod {
            from_value(json!({"spec": {"terminationGracePeriodSeconds": grace, "containers": []},
                "status": {"phase": phase}}))
            .unwrap()
        };
        let pods = [pod(30, "Running"), pod(10, "Pending"), pod(600, "Succeeded")];
        for (passed, left) in [(0, 30), (29, 30), (30, 0), (100, 0)] {
            assert_eq!(grace_left(&pods, at(0), at(passed)), left, "after {passed} s");
        }
        assert_eq!(grace_left(&[], at(0), at(0)), 0);
    }

    #[test]
    fn what_is_left_is_counted_and_told_apart() {
        let none: Vec<String> = vec![];
        let held = vec!["example.com/hold".to_string()];
        // (objects' finalizers, grace) → (left, estimate, failures)
        let table = [
            (vec![], 0, (0, 0, 0)),
            (vec![none.clone(), none.clone()], 30, (2, 30, 0)),
            (vec![none.clone(), held.clone()], 0, (2, FINALIZER_ESTIMATE, 0)),
            (vec![none.clone()], 0, (1, 0, 1)),
        ];
        for (left, grace, expected) in table {
            let mut found = Findings::default();
            found.count("pods.", &left, grace, || "unexpected".into());
            let remaining = found.remaining.get("pods.").copied().unwrap_or(0);
            assert_eq!((remaining, found.estimate, found.failures.len()), expected, "{left:?}, {grace}");
            assert_eq!(found.is_clean(), left.is_empty());
        }
    }

    #[test]
    fn conditions_use_upstreams_words_and_change_only_with_the_facts() {
        let mut found = Findings::default();
        found.count("pods.", &[vec![], vec![]], 30, String::new);
        found.count("configmaps.", &[vec!["example.com/hold".into()]], 0, String::new);
        found.failures.push("no luck".into());
        let first = conditions(&[], &found, at(0)).unwrap();
        let told: Vec<(&str, &str, &str)> = first
            .iter()
            .map(|c| (c.status.as_str(), c.reason.as_deref().unwrap(), c.message.as_deref().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                ("False", "ResourcesDiscovered", "All resources successfully discovered"),
                ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed"),
                ("True", "ContentDeletionFailed", "Failed to delete all resource types, 1 remaining: no luck"),
                (
                    "True",
                    "SomeResourcesRemain",
                    "Some resources are remaining: configmaps. has 1 resource instances, pods. has 2 resource instances"
                ),
                (
                    "True",
                    "SomeFinalizersRemain",
                    "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
                ),
            ]
        );
        assert!(conditions(&first, &found, at(9)).is_none());
        found.failures.clear();
        let second = conditions(&first, &found, at(9)).unwrap();
        assert_eq!((second[2].status.as_str(), second[2].last_transition_time.as_ref().unwrap().0), ("False", at(9)));
        assert_eq!(second[3], first[3]);
    }

    #[test]
    fn a_condition_that_goes_on_keeps_its_time_whatever_else_it_says() {
        let left = |count: usize| {
            let mut found = Findings::default();
            found.count("pods.", &vec![vec![]; count], 30, String::new);
            found
        };
        let time = |conditions: &[NamespaceCondition]| {
            let condition = conditions.iter().find(|c| c.type_ == "NamespaceContentRemaining").unwrap();
            (condition.message.clone().unwrap(), condition.last_transition_time.clone().unwrap().0)
        };
        let first = conditions(&[], &left(2), at(0)).unwrap();
        let second = conditions(&first, &left(1), at(9)).unwrap();
        assert_eq!(time(&second), ("Some resources are remaining: pods. has 1 resource instances".into(), at(0)));
        let third = conditions(&second, &left(0), at(20)).unwrap();
        assert_eq!(time(&third), ("All content successfully removed".into(), at(20)));
        // What somebody else says of the namespace stays.
        let other = NamespaceCondition { type_: "Other".into(), status: "True".into(), ..third[0].clone() };
        let beside = conditions(std::slice::from_ref(&other), &left(0), at(0)).unwrap();
        assert_eq!((beside.len(), &beside[0]), (6, &other));
    }

    #[test]
    fn the_largest_estimate_counts_and_all_finalizers_are_counted() {
        let held = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut found = Findings::default();
        found.count("pods.", &[held(&[])], 7, String::new);
        found.count("configmaps.", &[held(&["a", "b"]), held(&["a"])], 0, String::new);
        found.count("secrets.", &[], 900, || panic!("there is none"));
        assert_eq!(found.estimate, FINALIZER_ESTIMATE);
        found.count("jobs.batch", &[held(&["b"])], 60, String::new);
        assert_eq!((found.estimate, found.failures.len()), (60, 0));
        assert_eq!(found.finalizers, BTreeMap::from([("a".into(), 2), ("b".into(), 2)]));
        assert_eq!(found.remaining.keys().collect::<Vec<_>>(), ["configmaps.", "jobs.batch", "pods."]);
    }

    #[test]
    fn patience_of_any_size_is_reckoned_with() {
        let pod = |grace: Option<i64>| -> Pod {
            from_value(json!({"spec": {"terminationGracePeriodSeconds": grace, "containers": []}})).unwrap()
        };
        let table =
            [(None, 0, 0), (Some(0), 0, 0), (Some(-5), 0, 0), (Some(i64::MAX), 100, i64::MAX), (Some(30), -10, 30)];
        for (grace, passed, left) in table {
            assert_eq!(grace_left(&[pod(grace)], at(0), at(passed)), left, "{grace:?} after {passed}");
        }
    }

    #[test]
    fn failed_discovery_is_said() {
        let found = Findings { undiscovered: Some("no answer".into()), ..Findings::default() };
        let conditions = conditions(&[], &found, at(0)).unwrap();
        assert_eq!(conditions[0].message.as_deref(), Some("Discovery failed for some groups, 1 failing: no answer"));
        assert_eq!(conditions[3].status, "False");
    }
}
