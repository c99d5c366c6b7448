//! Sizes by table: first the cases of upstream's own tests (deployment/sync_test.go, rolling_test.go, util/deployment_util_test.go),
//! then what must hold for any sizes.

use super::super::sets::testing::{deployment, set};
use super::*;
use serde_json::{Value, json};

fn sizes(pairs: &[(&str, i32)]) -> Sizes {
    pairs.iter().map(|(uid, size)| ((*uid).to_string(), *size)).collect()
}

/// A Deployment of the newest of `versions`, and its sets: (replicas, available) of revisions 1, 2, …; each was told of
/// `told` replicas in all. With `fresh` the newest template has no set yet.
fn rollout(total: i32, told: i32, rolling: &Value, versions: &[(i32, i32)], fresh: bool) -> (Deployment, Sets) {
    let own = versions.iter().zip(1_i64..).map(|((replicas, available), revision)| {
        let then = deployment(told, &format!("v{revision}"), rolling.clone());
        set(&then, *replicas, *available, revision)
    });
    let own: Vec<_> = own.collect();
    let newest = if fresh { versions.len() + 1 } else { versions.len() };
    let now = deployment(total, &format!("v{newest}"), rolling.clone());
    let sets = Sets::of(&now, own);
    assert_eq!(sets.new.is_none(), fresh);
    (now, sets)
}

/// Sizes of all sets after the change, by revision.
fn after(sets: &Sets, changes: &Sizes) -> Vec<i32> {
    let mut all: Vec<_> = sets.all().collect();
    all.sort_by_key(|set| number(&set.metadata, REVISION));
    all.into_iter().map(|set| changes.get(set.uid()).copied().unwrap_or_else(|| replicas(set))).collect()
}

#[test]
fn scaling_follows_upstreams_cases() {
    let ready = |sizes: &[i32]| sizes.iter().map(|size| (*size, *size)).collect::<Vec<_>>();
    let none = json!({"maxSurge": 0, "maxUnavailable": 1});
    // from → to, sizes by revision before, whether the newest template has no set yet, sizes after
    type Case = (i32, i32, &'static [i32], bool, &'static [i32]);
    let table: [Case; 14] = [
        (10, 12, &[10], false, &[12]),
        (10, 5, &[10], false, &[5]),
        (5, 10, &[3, 2], false, &[6, 4]),
        (5, 3, &[3, 2], false, &[2, 1]),
        (9, 4, &[1, 8], false, &[0, 4]),
        (7, 10, &[2, 3, 2], false, &[3, 4, 3]),
        (13, 8, &[3, 8, 2], false, &[2, 5, 1]),
        // What is left over goes to the newest, and is taken from the oldest.
        (3, 4, &[1, 1, 1], false, &[1, 1, 2]),
        (3, 2, &[1, 1, 1], false, &[0, 1, 1]),
        (3, 0, &[1, 1, 1], false, &[0, 0, 0]),
        // Without a set for the newest template the others share.
        (4, 5, &[2, 2], true, &[2, 3]),
        (4, 3, &[2, 2], true, &[1, 2]),
        (4, 8, &[4, 0], false, &[8, 0]),
        (5, 5, &[3, 2], false, &[3, 2]),
    ];
    for (from, to, before, fresh, expected) in table {
        // Not all available: a set that has everything would end the others.
        let (deployment, mut sets) = rollout(to, from, &none, &ready(before), fresh);
        if let Some(new) = &mut sets.new {
            let mut lagging = (**new).clone();
            lagging.status.as_mut().unwrap().available_replicas = Some(0);
            *new = Arc::new(lagging);
        }
        let changes = rescale(&deployment, &sets);
        assert_eq!(after(&sets, &changes), expected, "{before:?}, {from} to {to}: {changes:?}");
    }
}

#[test]
fn a_new_set_that_has_everything_ends_the_others() {
    let none = json!({"maxSurge": 0, "maxUnavailable": 1});
    let (deployment, sets) = rollout(3, 3, &none, &[(1, 1), (3, 3)], false);
    assert_eq!(rescale(&deployment, &sets), sizes(&[("rs-1", 0)]));
}

#[test]
fn a_deployment_that_replaces_at_one_blow_shares_nothing() {
    let (mut deployment, sets) = rollout(8, 4, &json!(null), &[(2, 2), (2, 0)], false);
    deployment.spec.strategy = serde_json::from_value(json!({"type": "Recreate"})).unwrap();
    assert_eq!(rescale(&deployment, &sets), Sizes::new());
}

#[test]
fn sets_without_any_pods_are_revived_at_the_newest() {
    let none = json!({"maxSurge": 0, "maxUnavailable": 1});
    let (deployment, sets) = rollout(4, 0, &none, &[(0, 0), (0, 0)], false);
    assert_eq!(rescale(&deployment, &sets), sizes(&[("rs-2", 4)]));
    let (deployment, sets) = rollout(4, 0, &none, &[(0, 0), (0, 0)], true);
    assert_eq!(rescale(&deployment, &sets), sizes(&[("rs-2", 4)]), "the youngest there is");
}

/// Whatever the sizes of a rollout under way: together the sets get what is allowed, nobody gets less than nothing, while
/// growing nobody shrinks, and a set that has no pods gets none.
#[test]
fn shares_always_add_up() {
    for surge in [0, 1, 3] {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": 1});
        for to in [0, 1, 2, 7, 30] {
            for before in [[1, 1, 1], [3, 1, 0], [5, 5, 1], [0, 2, 2], [10, 1, 2], [7, 0, 1]] {
                // They were told of a number that their sizes fit.
                let present: i32 = before.iter().sum();
                let told = present - surge;
                if told < 1 {
                    continue;
                }
                let (deployment, sets) = rollout(to, told, &rolling, &before.map(|size| (size, 0)), false);
                let sizes = after(&sets, &rescale(&deployment, &sets));
                let what = format!("{before:?}, {told} to {to}, surge {surge}: {sizes:?}");
                let allowed = if to == 0 { 0 } else { to + surge };
                assert_eq!(sizes.iter().sum::<i32>(), allowed, "{what}");
                for (now, then) in sizes.iter().zip(&before) {
                    assert!(*now >= 0 && if allowed >= present { now >= then } else { now <= then }, "{what}");
                    assert!(*then > 0 || *now == 0, "{what}");
                }
            }
        }
    }
}

#[test]
fn the_new_set_grows_as_upstreams_does() {
    // wanted, surge, size of the old set, of the new set → the new set's next size, if it changes
    let table = [
        (10, 0, 10, 0, None),
        (10, 2, 10, 0, Some(2)),
        (10, 2, 5, 0, Some(7)),
        (10, 2, 10, 2, None),
        // Somebody made it too large: it shrinks first of all.
        (10, 2, 2, 11, Some(10)),
        (1, 1, 0, 5, Some(1)),
        (6, 10, 0, 2, Some(6)),
    ];
    for (total, surge, old, new, expected) in table {
        // Nothing is available: the old one cannot shrink instead.
        let rolling = json!({"maxSurge": surge, "maxUnavailable": i32::from(surge == 0)});
        let (deployment, sets) = rollout(total, total, &rolling, &[(old, total), (new, 0)], false);
        let next = roll(&deployment, &sets).get("rs-2").copied();
        assert_eq!(next, expected, "wanted {total}, surge {surge}, old {old}, new {new}");
    }
}

#[test]
fn old_sets_shrink_as_upstreams_do() {
    // wanted, may be missing, (size, available) of the old set and of the new one → the old set's next size, if it changes
    let table = [
        (10, 0, (10, 10), (0, 0), Some(9)),
        (10, 2, (10, 10), (0, 0), Some(8)),
        // Unhealthy pods go first, and count as gone.
        (10, 2, (10, 8), (0, 0), Some(8)),
        (10, 2, (10, 9), (0, 0), Some(8)),
        // The new pods are not available yet: nothing more may go.
        (10, 2, (8, 8), (2, 0), None),
        (10, 2, (8, 8), (2, 1), Some(7)),
        (10, 2, (8, 8), (2, 2), Some(6)),
        (10, 2, (10, 1), (0, 0), Some(8)),
        (10, 2, (0, 0), (10, 10), None),
        // Never below nothing.
        (10, 10, (3, 3), (7, 7), Some(0)),
    ];
    for (total, missing, old, new, expected) in table {
        let rolling = json!({"maxSurge": 0, "maxUnavailable": missing});
        let (deployment, sets) = rollout(total, total, &rolling, &[old, new], false);
        let next = shrink_old(&deployment, &sets, sets.new.as_ref().unwrap()).get("rs-1").copied();
        assert_eq!(next, expected, "wanted {total}, missing {missing}, old {old:?}, new {new:?}");
    }
}

#[test]
fn of_several_old_sets_the_sick_pods_go_first_then_the_oldest() {
    let rolling = json!({"maxSurge": 0, "maxUnavailable": 3});
    let (deployment, sets) = rollout(10, 10, &rolling, &[(4, 4), (4, 2), (2, 2)], false);
    // Of ten, seven must be available, and eight are: two sick ones and one healthy one may go.
    assert_eq!(roll(&deployment, &sets), sizes(&[("rs-1", 3), ("rs-2", 2)]));
}

/// Any rollout between any sizes ends, whatever becomes available when, without ever breaking its promises.
#[test]
fn rollouts_end_from_everywhere() {
    for (surge, missing) in [(1, 0), (0, 1), (2, 2), (5, 0), (0, 5)] {
        let rolling = json!({"maxSurge": surge, "maxUnavailable": missing});
        for total in [1, 5] {
            for luck in 0..3_u32 {
                let mut state = [(total, total), (0, 0), (0, 0)];
                let (mut steps, mut dice) = (0_u32, luck * 7919 + 1);
                while state != [(0, 0), (0, 0), (total, total)] {
                    let what = format!("{total}, surge {surge}, missing {missing}, luck {luck}: {state:?}");
                    assert!(steps < 400, "no end: {what}");
                    steps += 1;
                    // The rollout to the second version is overtaken by the third.
                    let versions = if steps < 4 { 2 } else { 3 };
                    let (deployment, sets) = rollout(total, total, &rolling, &state[..versions], false);
                    let (surge, missing) = slack(&deployment);
                    assert!(sets.wanted() <= total + surge, "too many: {what}");
                    let next = roll(&deployment, &sets);
                    for (set, place) in ["rs-1", "rs-2", "rs-3"].iter().zip(0..) {
                        if let Some(size) = next.get(*set) {
                            // Who is to go is sick if anybody is.
                            state[place] = (*size, state[place].1.min(*size));
                        }
                    }
                    dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let lucky = (dice >> 16) as usize % 3;
                    for (place, version) in state.iter_mut().enumerate() {
                        if version.1 < version.0 && (place == lucky || next.is_empty()) {
                            version.1 += 1;
                        }
                    }
                    let available: i32 = state.iter().map(|version| version.1).sum();
                    assert!(available >= total - missing, "too few: {what} then {state:?}");
                }
            }
        }
    }
}

#[test]
fn a_change_of_the_wanted_number_is_seen_by_what_the_sets_were_told() {
    let none = json!(null);
    let (same, sets) = rollout(4, 4, &none, &[(3, 3), (1, 1)], false);
    assert!(!is_scaling(&same, &sets));
    let (more, sets) = rollout(5, 4, &none, &[(3, 3), (1, 1)], false);
    assert!(is_scaling(&more, &sets));
    // Only sets that want pods were told last.
    let (idle, sets) = rollout(5, 4, &none, &[(0, 0), (0, 0)], false);
    assert!(!is_scaling(&idle, &sets));
    let mut untold = (**sets.old.first().unwrap()).clone();
    (untold.metadata.annotations, untold.spec.replicas) = (None, Some(2));
    let sets = Sets { new: sets.new.clone(), old: vec![Arc::new(untold)] };
    assert!(!is_scaling(&idle, &sets), "one that somebody else made says nothing");
}

#[test]
fn history_that_is_still_needed_stays() {
    let limited = |limit: Option<i32>| {
        let mut deployment = deployment(1, "v9", json!(null));
        deployment.spec.revision_history_limit = limit;
        deployment
    };
    let old = |revision: i64| (*set(&deployment(0, &format!("v{revision}"), json!(null)), 0, 0, revision)).clone();
    let gone = |limit: Option<i32>, change: fn(&mut ReplicaSet)| -> Vec<String> {
        let mut own: Vec<Arc<ReplicaSet>> = vec![set(&deployment(1, "v9", json!(null)), 1, 1, 9)];
        for revision in [3, 1, 2] {
            let mut set = old(revision);
            if revision == 1 {
                change(&mut set);
            }
            own.push(Arc::new(set));
        }
        let deployment = limited(limit);
        expired(&deployment, &Sets::of(&deployment, own)).iter().map(|set| set.uid().to_string()).collect()
    };
    type Case = (Option<i32>, fn(&mut ReplicaSet), &'static [&'static str]);
    let table: [Case; 7] = [
        (Some(3), |_| {}, &[]),
        (Some(2), |_| {}, &["rs-1"]),
        (Some(0), |_| {}, &["rs-1", "rs-2", "rs-3"]),
        (None, |_| {}, &[]),
        // Pods that it still has, or wants, or a change that its controller has not seen, keep a set; none goes in its place.
        (Some(2), |set| set.status.as_mut().unwrap().replicas = 1, &[]),
        (Some(2), |set| set.metadata.generation = Some(7), &[]),
        (
            Some(2),
            |set| set.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap(),
            &[],
        ),
    ];
    for (place, (limit, change, expected)) in table.into_iter().enumerate() {
        assert_eq!(gone(limit, change), expected, "row {place}");
    }
}
