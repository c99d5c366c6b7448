//! How large each ReplicaSet of a Deployment should be now. Pure (kube-controller-manager, deployment/rolling.go,
//! recreate.go, sync.go). One step at a time: what a step changes is seen by the next look.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::Object;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{DESIRED, MAX, REVISION, Sets, available, is_rolling, number, replicas, slack, wanted};

/// New sizes by UID of the ReplicaSet; those not named stay.
pub(crate) type Sizes = BTreeMap<String, i32>;

/// Whether somebody changed `spec.replicas` since the sets were last told of it.
pub(crate) fn is_scaling(deployment: &Deployment, sets: &Sets) -> bool {
    let told = |set: &Arc<ReplicaSet>| number(&set.metadata, DESIRED);
    sets.active().iter().any(|set| told(set).is_some_and(|told| told != i64::from(wanted(deployment))))
}

/// The size of a set that is created now.
pub(crate) fn first_size(deployment: &Deployment, sets: &Sets) -> i32 {
    if is_rolling(deployment) { grown(deployment, sets, 0) } else { wanted(deployment) }
}

/// How far the new set may grow from `size`.
fn grown(deployment: &Deployment, sets: &Sets, size: i32) -> i32 {
    let (surge, _) = slack(deployment);
    let room = wanted(deployment) + surge - sets.wanted();
    if room <= 0 { size } else { size + room.min(wanted(deployment) - size).max(0) }
}

/// The next step of a rolling update: first the new set grows as far as the surge allows, then old ones shrink as far as
/// availability allows, unhealthy pods first.
pub(crate) fn roll(deployment: &Deployment, sets: &Sets) -> Sizes {
    let Some(new) = &sets.new else { return Sizes::new() };
    let (size, total) = (replicas(new), wanted(deployment));
    let target = if size > total { total } else { grown(deployment, sets, size) };
    if target != size {
        return Sizes::from([(new.uid().to_string(), target)]);
    }
    shrink_old(deployment, sets, new)
}

fn shrink_old(deployment: &Deployment, sets: &Sets, new: &ReplicaSet) -> Sizes {
    let (_, missing) = slack(deployment);
    let least = wanted(deployment) - missing;
    let new_unavailable = replicas(new) - available(new);
    let mut room = sets.wanted() - least - new_unavailable;
    let mut sizes = Sizes::new();
    let mut size_of: BTreeMap<&str, i32> = sets.old.iter().map(|set| (set.uid(), replicas(set))).collect();
    for set in &sets.old {
        let unhealthy = replicas(set) - available(set);
        let down = unhealthy.min(room).max(0);
        if down > 0 {
            room -= down;
            size_of.insert(set.uid(), replicas(set) - down);
            sizes.insert(set.uid().into(), replicas(set) - down);
        }
    }
    let mut spare = (sets.available() - least).min(room);
    for set in &sets.old {
        let size = size_of[set.uid()];
        let down = size.min(spare).max(0);
        if down > 0 {
            spare -= down;
            sizes.insert(set.uid().into(), size - down);
        }
    }
    sizes
}

/// The next step of a replacement at one blow: old sets to nothing; once none of their pods runs, the new one to its size.
pub(crate) fn recreate(deployment: &Deployment, sets: &Sets, old_pods_run: bool) -> Sizes {
    let old: Sizes = sets.old.iter().filter(|set| replicas(set) > 0).map(|set| (set.uid().to_string(), 0)).collect();
    match &sets.new {
        Some(new) if old.is_empty() && !old_pods_run && replicas(new) != wanted(deployment) => {
            Sizes::from([(new.uid().to_string(), wanted(deployment))])
        }
        _ => old,
    }
}

/// Sizes after `spec.replicas` changed: a single active set gets all; during a rollout every set gets its share.
pub(crate) fn rescale(deployment: &Deployment, sets: &Sets) -> Sizes {
    let active = sets.active();
    if let Some(only) = active_or_latest(sets, &active) {
        let same = replicas(&only) == wanted(deployment);
        return if same { Sizes::new() } else { Sizes::from([(only.uid().to_string(), wanted(deployment))]) };
    }
    if let Some(new) = sets.new.as_ref().filter(|new| is_saturated(deployment, new)) {
        let old = active.iter().filter(|set| set.uid() != new.uid());
        return old.map(|set| (set.uid().to_string(), 0)).collect();
    }
    if !is_rolling(deployment) {
        return Sizes::new();
    }
    proportional(deployment, active)
}

fn active_or_latest(sets: &Sets, active: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    match active {
        [] => sets.new.clone().or_else(|| sets.old.last().cloned()),
        [only] => Some(only.clone()),
        _ => None,
    }
}

fn is_saturated(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let total = wanted(deployment);
    let told = number(&set.metadata, DESIRED) == Some(i64::from(total));
    told && replicas(set) == total && available(set) == total
}

fn proportional(deployment: &Deployment, mut active: Vec<Arc<ReplicaSet>>) -> Sizes {
    let (surge, _) = slack(deployment);
    let total = wanted(deployment);
    let allowed = if total > 0 { total + surge } else { 0 };
    let present: i32 = active.iter().map(|set| replicas(set)).sum();
    let change = allowed - present;
    // Larger sets first; among equals the newer one grows first, the older one shrinks first.
    active.sort_by(|a, b| {
        let revision = |set: &ReplicaSet| number(&set.metadata, REVISION).unwrap_or(0);
        let by_age = revision(a).cmp(&revision(b));
        replicas(b).cmp(&replicas(a)).then(if change > 0 { by_age.reverse() } else { by_age })
    });
    let mut sizes: Vec<i32> = Vec::new();
    let mut given = 0;
    for set in &active {
        let share = share(deployment, set, change, given);
        given += share;
        sizes.push(replicas(set) + share);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + change - given).max(0);
    }
    active.iter().zip(sizes).map(|(set, size)| (set.uid().to_string(), size)).collect()
}

/// A set's share of `change`, of which `given` is taken.
fn share(deployment: &Deployment, set: &ReplicaSet, change: i32, given: i32) -> i32 {
    if replicas(set) == 0 || change == 0 || change == given {
        return 0;
    }
    let fraction = fraction(deployment, set);
    if change > 0 { fraction.min(change - given) } else { fraction.max(change - given) }
}

fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    if wanted(deployment) == 0 {
        return -replicas(set);
    }
    let (surge, _) = slack(deployment);
    let before = number(&set.metadata, MAX)
        .unwrap_or_else(|| i64::from(deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0)));
    if before <= 0 {
        return 0;
    }
    let size = f64::from(replicas(set)) * f64::from(wanted(deployment) + surge) / before as f64;
    size.round() as i32 - replicas(set)
}

/// Old ReplicaSets beyond the history limit that nothing needs any more, oldest revision first.
pub(crate) fn expired(deployment: &Deployment, sets: &Sets) -> Vec<Arc<ReplicaSet>> {
    let limit = deployment.spec.revision_history_limit.unwrap_or(10);
    let mut candidates: Vec<&Arc<ReplicaSet>> =
        sets.old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    let over = candidates.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    candidates.sort_by_key(|set| number(&set.metadata, REVISION).unwrap_or(0));
    let idle = |set: &&&Arc<ReplicaSet>| {
        let status = set.status.as_ref();
        let observed = status.and_then(|status| status.observed_generation).unwrap_or(0);
        replicas(set) == 0
            && status.is_none_or(|status| status.replicas == 0)
            && set.metadata.generation.unwrap_or(0) <= observed
    };
    candidates.iter().take(over).filter(idle).map(|set| (*set).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sets::testing::{deployment, set};
    use super::*;
    use serde_json::{Value, json};

    fn sizes(pairs: &[(&str, i32)]) -> Sizes {
        pairs.iter().map(|(uid, size)| ((*uid).to_string(), *size)).collect()
    }

    /// A rollout from image `one` to `two`: (replicas, available) of the old and of the new set.
    fn rollout(total: i32, rolling: Value, old: (i32, i32), new: Option<(i32, i32)>) -> (Deployment, Sets) {
        let (one, two) = (deployment(total, "one", rolling.clone()), deployment(total, "two", rolling));
        let mut own = vec![set(&one, old.0, old.1, 1)];
        own.extend(new.map(|new| set(&two, new.0, new.1, 2)));
        let sets = Sets::of(&two, own);
        (two, sets)
    }

    #[test]
    fn a_rolling_update_goes_step_by_step() {
        let surge = json!({"maxSurge": 1, "maxUnavailable": 0});
        let missing = json!({"maxSurge": 0, "maxUnavailable": 1});
        type Row<'a> = (&'a Value, (i32, i32), (i32, i32), &'a [(&'a str, i32)]);
        let table: &[Row<'_>] = &[
            (&surge, (3, 3), (0, 0), &[("rs-2", 1)]),
            (&surge, (3, 3), (1, 0), &[]),
            (&surge, (3, 3), (1, 1), &[("rs-1", 2)]),
            (&surge, (2, 2), (1, 1), &[("rs-2", 2)]),
            (&surge, (0, 0), (3, 3), &[]),
            (&missing, (3, 3), (0, 0), &[("rs-1", 2)]),
            (&missing, (2, 2), (0, 0), &[("rs-2", 1)]),
            // Unhealthy old pods go although nothing new is available yet.
            (&surge, (3, 1), (1, 0), &[]),
            (&missing, (3, 1), (0, 0), &[("rs-1", 2)]),
        ];
        for (rolling, old, new, expected) in table {
            let (deployment, sets) = rollout(3, (*rolling).clone(), *old, Some(*new));
            assert_eq!(roll(&deployment, &sets), sizes(expected), "{rolling} {old:?} {new:?}");
        }
    }

    #[test]
    fn a_rolling_update_ends_and_never_breaks_its_promises() {
        for (total, rolling) in [
            (3, json!({"maxSurge": 1, "maxUnavailable": 0})),
            (10, json!({"maxSurge": "25%", "maxUnavailable": "25%"})),
            (7, json!({"maxSurge": 0, "maxUnavailable": 2})),
            (1, json!({"maxSurge": "100%", "maxUnavailable": "0%"})),
        ] {
            let (mut old, mut new) = ((total, total), (0, 0));
            for step in 0.. {
                let (deployment, sets) = rollout(total, rolling.clone(), old, Some(new));
                let (surge, missing) = slack(&deployment);
                assert!(
                    sets.wanted() <= total + surge && sets.available() >= total - missing,
                    "{rolling} {old:?} {new:?}"
                );
                let next = roll(&deployment, &sets);
                if old == (0, 0) && new == (total, total) {
                    assert_eq!(next, Sizes::new());
                    break;
                }
                if next.is_empty() {
                    // Nothing to do until one more new pod becomes available.
                    assert!(new.1 < new.0, "stuck at {old:?} {new:?}");
                    new.1 += 1;
                }
                if let Some(size) = next.get("rs-1") {
                    old = (*size, (*size).min(old.1));
                }
                if let Some(size) = next.get("rs-2") {
                    new.0 = *size;
                }
                assert!(step < 200, "no end");
            }
        }
    }

    #[test]
    fn the_first_size_uses_the_surge_only() {
        let (deployment, sets) = rollout(10, json!({"maxSurge": 3, "maxUnavailable": 2}), (10, 10), None);
        assert_eq!(first_size(&deployment, &sets), 3);
        let none = Sets { new: None, old: vec![] };
        assert_eq!(first_size(&deployment, &none), 10);
    }

    #[test]
    fn recreate_waits_for_the_last_old_pod() {
        let (deployment, sets) = rollout(3, json!(null), (3, 3), Some((0, 0)));
        assert_eq!(recreate(&deployment, &sets, true), sizes(&[("rs-1", 0)]));
        let (deployment, sets) = rollout(3, json!(null), (0, 0), Some((0, 0)));
        assert_eq!(recreate(&deployment, &sets, true), Sizes::new());
        assert_eq!(recreate(&deployment, &sets, false), sizes(&[("rs-2", 3)]));
    }

    #[test]
    fn scaling_during_a_rollout_is_shared_in_proportion() {
        let rolling = json!({"maxSurge": 3, "maxUnavailable": 2});
        let (before, sets) = rollout(10, rolling.clone(), (8, 8), Some((5, 0)));
        assert!(!is_scaling(&before, &sets));
        let after = deployment(30, "two", rolling);
        assert!(is_scaling(&after, &sets));
        // 13 become 33: 8 of 13 and 5 of 13 of it.
        assert_eq!(rescale(&after, &sets), sizes(&[("rs-1", 20), ("rs-2", 13)]));
        let mut to_nothing = after.clone();
        to_nothing.spec.replicas = Some(0);
        assert_eq!(rescale(&to_nothing, &sets), sizes(&[("rs-1", 0), ("rs-2", 0)]));
    }

    #[test]
    fn a_single_active_set_gets_everything() {
        let (_, sets) = rollout(3, json!(null), (0, 0), Some((3, 3)));
        let after = deployment(5, "two", json!(null));
        assert_eq!(rescale(&after, &sets), sizes(&[("rs-2", 5)]));
    }

    #[test]
    fn history_beyond_the_limit_goes_oldest_first() {
        let two = deployment(1, "two", json!(null));
        let mut own: Vec<_> =
            (1..=4).map(|revision| set(&deployment(0, &format!("v{revision}"), json!(null)), 0, 0, revision)).collect();
        own.push(set(&two, 1, 1, 5));
        let mut limited = two.clone();
        limited.spec.revision_history_limit = Some(2);
        let gone: Vec<_> = expired(&limited, &Sets::of(&two, own)).iter().map(|set| set.uid().to_string()).collect();
        assert_eq!(gone, ["rs-1", "rs-2"]);
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tables;
