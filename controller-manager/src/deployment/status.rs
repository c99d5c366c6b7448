//! The status of a Deployment: counts, and the conditions Available, Progressing and ReplicaFailure. Pure
//! (kube-controller-manager, deployment/sync.go and progress.go).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::sets::{Sets, slack, wanted};
use client::Object;

/// Something that happened to the new ReplicaSet in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Nothing.
    None,
    /// It was created.
    Created(String),
    /// It could not be created.
    FailedCreate(String),
}

/// The status, and when it will change by itself (the progress deadline).
pub(crate) fn status(
    deployment: &Deployment,
    sets: &Sets,
    news: &News,
    now: Timestamp,
) -> (DeploymentStatus, Option<Duration>) {
    let before = deployment.status.clone().unwrap_or_default();
    let sum = |field: fn(&ReplicaSet) -> Option<i32>| sets.all().map(|set| field(set).unwrap_or(0)).sum::<i32>();
    let available = sets.available();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: Some(sum(|set| set.status.as_ref().map(|status| status.replicas))),
        updated_replicas: Some(sets.new.as_ref().and_then(|set| set.status.as_ref()).map_or(0, |s| s.replicas)),
        ready_replicas: Some(sum(|set| set.status.as_ref()?.ready_replicas)),
        available_replicas: Some(available),
        unavailable_replicas: Some((sets.wanted() - available).max(0)),
        terminating_replicas: Some(sum(|set| set.status.as_ref()?.terminating_replicas)),
        collision_count: before.collision_count,
        conditions: None,
    };
    let mut conditions = before.conditions.clone().unwrap_or_default();
    set_condition(&mut conditions, availability(deployment, available), now);
    let mut again = None;
    if deadline(deployment).is_none() {
        conditions.retain(|condition| condition.type_.as_deref() != Some("Progressing"));
    }
    if let Some(deadline) = deadline(deployment) {
        if let Some(condition) = progress(deployment, sets, &before, &status, news, deadline, now) {
            set_condition(&mut conditions, condition, now);
        }
        again = remaining(&conditions, deadline, now);
    }
    match failure(sets, news) {
        Some(condition) => set_condition(&mut conditions, condition, now),
        None => conditions.retain(|condition| condition.type_.as_deref() != Some("ReplicaFailure")),
    }
    status.conditions = Some(conditions);
    (status, again)
}

fn condition(kind: &str, status: &str, reason: &str, message: String) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.into()),
        status: Some(status.into()),
        reason: Some(reason.into()),
        message: Some(message),
        ..DeploymentCondition::default()
    }
}

/// Puts a condition in its place unless its status and reason stand there already, whatever the message: its transition time
/// changes with its status (SetDeploymentCondition).
fn set_condition(conditions: &mut Vec<DeploymentCondition>, mut new: DeploymentCondition, now: Timestamp) {
    let place = conditions.iter().position(|old| old.type_ == new.type_);
    if let Some(old) = place.map(|place| &conditions[place]) {
        let refreshed = new.type_.as_deref() == Some("Progressing") && new.last_update_time.is_some();
        if old.status == new.status && old.reason == new.reason && !refreshed {
            return;
        }
        if old.status == new.status {
            new.last_transition_time = old.last_transition_time.clone();
        }
    }
    new.last_update_time = Some(Time(now));
    new.last_transition_time.get_or_insert(Time(now));
    match place {
        Some(place) => conditions[place] = new,
        None => conditions.push(new),
    }
}

fn availability(deployment: &Deployment, available: i32) -> DeploymentCondition {
    let (_, missing) = slack(deployment);
    if available >= wanted(deployment) - missing {
        let message = "Deployment has minimum availability.".to_string();
        condition("Available", "True", "MinimumReplicasAvailable", message)
    } else {
        let message = "Deployment does not have minimum availability.".to_string();
        condition("Available", "False", "MinimumReplicasUnavailable", message)
    }
}

/// The progress deadline, unless there is none.
fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

fn progress(
    deployment: &Deployment,
    sets: &Sets,
    before: &DeploymentStatus,
    after: &DeploymentStatus,
    news: &News,
    deadline: Duration,
    now: Timestamp,
) -> Option<DeploymentCondition> {
    let standing = standing(before);
    let reason = standing.and_then(|condition| condition.reason.as_deref()).unwrap_or_default();
    let paused = deployment.spec.paused.unwrap_or(false);
    match news {
        News::Created(name) => {
            let message = format!("Created new replica set \"{name}\"");
            return Some(condition("Progressing", "True", "NewReplicaSetCreated", message));
        }
        News::FailedCreate(message) => {
            return Some(condition("Progressing", "False", "ReplicaSetCreateError", message.clone()));
        }
        News::None if paused && reason == "ProgressDeadlineExceeded" => return None,
        News::None if paused => {
            return Some(condition("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused".into()));
        }
        News::None if reason == "DeploymentPaused" => {
            return Some(condition("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed".into()));
        }
        News::None => {}
    }
    let subject = sets.new.as_ref().map_or_else(
        || format!("Deployment \"{}\"", deployment.key().name),
        |set| format!("ReplicaSet \"{}\"", set.key().name),
    );
    if reason == "NewReplicaSetAvailable" && after.replicas == after.updated_replicas {
        return None;
    }
    if is_complete(deployment, after) {
        let message = format!("{subject} has successfully progressed.");
        return Some(condition("Progressing", "True", "NewReplicaSetAvailable", message));
    }
    if has_progressed(before, after) {
        let mut progressing =
            condition("Progressing", "True", "ReplicaSetUpdated", format!("{subject} is progressing."));
        progressing.last_update_time = Some(Time(now));
        return Some(progressing);
    }
    let Some(standing) = standing else {
        let name = sets.new.as_ref()?.key().name;
        let message = format!("Found new replica set \"{name}\"");
        return Some(condition("Progressing", "True", "FoundNewReplicaSet", message));
    };
    let since = standing.last_update_time.as_ref().map_or(now, |time| time.0);
    let late = now.duration_since(since).as_secs() >= i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX);
    let moving = ["NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated", "DeploymentResumed"];
    (late && moving.contains(&reason)).then(|| {
        condition("Progressing", "False", "ProgressDeadlineExceeded", format!("{subject} has timed out progressing."))
    })
}

fn standing(status: &DeploymentStatus) -> Option<&DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some("Progressing"))
}

/// Whether the rollout has ended well (DeploymentComplete).
pub(crate) fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let total = Some(wanted(deployment));
    let of_this_spec = status.observed_generation >= deployment.metadata.generation;
    of_this_spec && status.updated_replicas == total && status.replicas == total && status.available_replicas == total
}

fn has_progressed(before: &DeploymentStatus, after: &DeploymentStatus) -> bool {
    let number = |value: Option<i32>| value.unwrap_or(0);
    let old = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(after.updated_replicas) > number(before.updated_replicas)
        || old(after) < old(before)
        || number(after.ready_replicas) > number(before.ready_replicas)
        || number(after.available_replicas) > number(before.available_replicas)
}

/// Time until the deadline passes, while there is something to wait for.
fn remaining(conditions: &[DeploymentCondition], deadline: Duration, now: Timestamp) -> Option<Duration> {
    let standing = conditions.iter().find(|condition| condition.type_.as_deref() == Some("Progressing"))?;
    let over = ["NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused", "ReplicaSetCreateError"];
    if over.contains(&standing.reason.as_deref().unwrap_or_default()) {
        return None;
    }
    let since = standing.last_update_time.as_ref()?.0;
    let passed = Duration::from_secs(u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0));
    Some(deadline.saturating_sub(passed) + Duration::from_secs(1))
}

fn failure(sets: &Sets, news: &News) -> Option<DeploymentCondition> {
    if let News::FailedCreate(message) = news {
        return Some(condition("ReplicaFailure", "True", "FailedCreate", message.clone()));
    }
    let of_set = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_.as_deref() == Some("ReplicaFailure")).cloned()
    };
    let new = sets.new.as_ref().and_then(|set| of_set(set));
    let found = new.or_else(|| sets.old.iter().find_map(|set| of_set(set)))?;
    let text = |field: Option<String>| field.unwrap_or_default();
    Some(condition("ReplicaFailure", &text(found.status), &text(found.reason), text(found.message)))
}

#[cfg(test)]
mod tests {
    use super::super::sets::testing::{deployment, set};
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn progressing(status: &DeploymentStatus) -> (&str, &str) {
        let condition = standing(status).unwrap();
        (condition.status.as_deref().unwrap(), condition.reason.as_deref().unwrap())
    }

    fn looked(mut deployment: Deployment, steps: &[(i32, i32, i64)]) -> Vec<(String, String)> {
        deployment.spec.progress_deadline_seconds = Some(60);
        let mut seen = Vec::new();
        for (replicas, available, second) in steps {
            let sets = Sets::of(&deployment, vec![set(&deployment, *replicas, *available, 1)]);
            let (status, _) = status(&deployment, &sets, &News::None, at(*second));
            let (value, reason) = progressing(&status);
            seen.push((value.to_string(), reason.to_string()));
            deployment.status = Some(status);
        }
        seen
    }

    #[test]
    fn progress_is_told_step_by_step() {
        let seen = looked(deployment(3, "a", json!(null)), &[(0, 0, 0), (3, 0, 1), (3, 2, 2), (3, 3, 3), (3, 2, 500)]);
        let reasons: Vec<&str> = seen.iter().map(|(_, reason)| reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "FoundNewReplicaSet",
                "ReplicaSetUpdated",
                "ReplicaSetUpdated",
                "NewReplicaSetAvailable",
                "NewReplicaSetAvailable"
            ]
        );
    }

    #[test]
    fn standing_still_for_too_long_is_a_failure_until_it_moves() {
        let seen = looked(deployment(3, "a", json!(null)), &[(3, 0, 0), (3, 1, 1), (3, 1, 60), (3, 1, 61), (3, 3, 70)]);
        assert_eq!(seen[2], ("True".into(), "ReplicaSetUpdated".into()));
        assert_eq!(seen[3], ("False".into(), "ProgressDeadlineExceeded".into()));
        assert_eq!(seen[4], ("True".into(), "NewReplicaSetAvailable".into()));
    }

    #[test]
    fn availability_counts_with_slack() {
        let deployment = deployment(4, "a", json!({"maxUnavailable": 1}));
        for (available, expected) in [(4, "True"), (3, "True"), (2, "False")] {
            let sets = Sets::of(&deployment, vec![set(&deployment, 4, available, 1)]);
            let (status, _) = status(&deployment, &sets, &News::None, at(0));
            let condition = &status.conditions.unwrap()[0];
            assert_eq!((condition.type_.as_deref(), condition.status.as_deref()), (Some("Available"), Some(expected)));
        }
    }

    #[test]
    fn a_status_that_says_the_same_is_the_same() {
        let mut deployment = deployment(2, "a", json!(null));
        deployment.spec.progress_deadline_seconds = Some(60);
        let sets = Sets::of(&deployment, vec![set(&deployment, 2, 2, 1)]);
        let (first, _) = status(&deployment, &sets, &News::None, at(0));
        deployment.status = Some(first.clone());
        assert_eq!(status(&deployment, &sets, &News::None, at(100)).0, first);
    }

    /// The Progressing condition after one look: (status, reason, message).
    fn told(deployment: &Deployment, sets: &Sets, news: &News, second: i64) -> Option<(String, String, String)> {
        let (status, _) = status(deployment, sets, news, at(second));
        let condition = standing(&status)?.clone();
        Some((condition.status?, condition.reason?, condition.message?))
    }

    /// A Deployment of three with a deadline of a minute, that says of itself what `standing` says since second 0.
    fn standing_so(reason: &str, status: &str) -> Deployment {
        let mut deployment = deployment(3, "a", json!(null));
        deployment.spec.progress_deadline_seconds = Some(60);
        let condition = json!({"type": "Progressing", "status": status, "reason": reason, "message": "",
            "lastUpdateTime": Time(at(0)), "lastTransitionTime": Time(at(0))});
        deployment.status =
            serde_json::from_value(json!({"replicas": 3, "updatedReplicas": 3, "conditions": [condition]})).unwrap();
        deployment
    }

    #[test]
    fn news_of_the_new_set_are_told_in_upstreams_words() {
        let mut deployment = deployment(3, "a", json!(null));
        deployment.spec.progress_deadline_seconds = Some(60);
        let none = Sets { new: None, old: Vec::new() };
        let created = told(&deployment, &none, &News::Created("web-1".into()), 0).unwrap();
        assert_eq!(created, ("True".into(), "NewReplicaSetCreated".into(), "Created new replica set \"web-1\"".into()));
        let failed = told(&deployment, &none, &News::FailedCreate("quota".into()), 0).unwrap();
        assert_eq!(failed, ("False".into(), "ReplicaSetCreateError".into(), "quota".into()));
        let sets = Sets::of(&deployment, vec![set(&deployment, 0, 0, 1)]);
        let name = sets.new.as_ref().unwrap().key().name;
        let found = told(&deployment, &sets, &News::None, 0).unwrap();
        assert_eq!(found, ("True".into(), "FoundNewReplicaSet".into(), format!("Found new replica set \"{name}\"")));
        let ready = Sets::of(&deployment, vec![set(&deployment, 3, 3, 1)]);
        let done = told(&deployment, &ready, &News::None, 0).unwrap();
        assert_eq!(done.2, format!("ReplicaSet \"{name}\" has successfully progressed."));
    }

    #[test]
    fn pausing_and_resuming_stop_and_restart_the_deadline() {
        let moving = standing_so("ReplicaSetUpdated", "True");
        let sets = Sets::of(&moving, vec![set(&moving, 3, 0, 1)]);
        let mut paused = moving.clone();
        paused.spec.paused = Some(true);
        let said = told(&paused, &sets, &News::None, 500).unwrap();
        assert_eq!(
            (said.0.as_str(), said.1.as_str(), said.2.as_str()),
            ("Unknown", "DeploymentPaused", "Deployment is paused")
        );
        assert_eq!(status(&paused, &sets, &News::None, at(500)).1, None, "nothing becomes due");
        let mut resumed = standing_so("DeploymentPaused", "Unknown");
        let said = told(&resumed, &sets, &News::None, 500).unwrap();
        assert_eq!(
            (said.0.as_str(), said.1.as_str(), said.2.as_str()),
            ("Unknown", "DeploymentResumed", "Deployment is resumed")
        );
        // From then on a minute counts.
        resumed.status = Some(status(&resumed, &sets, &News::None, at(500)).0);
        assert_eq!(told(&resumed, &sets, &News::None, 559).unwrap().1, "DeploymentResumed");
        assert_eq!(told(&resumed, &sets, &News::None, 560).unwrap().1, "ProgressDeadlineExceeded");
        // What has failed stays failed while it is paused.
        let mut failed = standing_so("ProgressDeadlineExceeded", "False");
        failed.spec.paused = Some(true);
        assert_eq!(told(&failed, &sets, &News::None, 900).unwrap().1, "ProgressDeadlineExceeded");
    }

    #[test]
    fn only_a_rollout_that_moved_once_can_stand_still() {
        // reason, status, second → reason then
        let table = [
            ("NewReplicaSetCreated", "True", 59, "NewReplicaSetCreated"),
            ("NewReplicaSetCreated", "True", 60, "ProgressDeadlineExceeded"),
            ("FoundNewReplicaSet", "True", 61, "ProgressDeadlineExceeded"),
            ("ReplicaSetUpdated", "True", 61, "ProgressDeadlineExceeded"),
            ("ReplicaSetCreateError", "False", 999, "ReplicaSetCreateError"),
            ("ProgressDeadlineExceeded", "False", 999, "ProgressDeadlineExceeded"),
        ];
        for (reason, value, second, expected) in table {
            let deployment = standing_so(reason, value);
            let sets = Sets::of(&deployment, vec![set(&deployment, 3, 0, 1)]);
            assert_eq!(told(&deployment, &sets, &News::None, second).unwrap().1, expected, "{reason} at {second}");
        }
    }

    #[test]
    fn whoever_waits_for_the_deadline_is_told_when_it_is() {
        let deployment = standing_so("ReplicaSetUpdated", "True");
        let sets = Sets::of(&deployment, vec![set(&deployment, 3, 0, 1)]);
        for (second, again) in [(0, Some(61)), (20, Some(41)), (59, Some(2)), (60, None)] {
            let (_, after) = status(&deployment, &sets, &News::None, at(second));
            assert_eq!(after, again.map(Duration::from_secs), "at {second}");
        }
        let mut endless = deployment.clone();
        for deadline in [None, Some(i32::MAX)] {
            endless.spec.progress_deadline_seconds = deadline;
            assert_eq!(status(&endless, &sets, &News::None, at(0)).1, None, "{deadline:?}");
        }
    }

    #[test]
    fn any_pod_more_in_the_right_direction_is_progress() {
        let counts = |replicas, updated, ready, available| DeploymentStatus {
            replicas: Some(replicas),
            updated_replicas: Some(updated),
            ready_replicas: Some(ready),
            available_replicas: Some(available),
            ..DeploymentStatus::default()
        };
        let before = counts(10, 4, 4, 4);
        let table = [
            (counts(10, 4, 4, 4), false),
            (counts(6, 4, 4, 4), true),
            (counts(10, 8, 4, 4), true),
            (counts(10, 6, 4, 4), true),
            (counts(10, 4, 5, 4), true),
            (counts(10, 4, 4, 5), true),
            // Fewer of everything is none.
            (counts(10, 4, 3, 3), false),
            (counts(12, 4, 4, 4), false),
        ];
        for (after, progressed) in table {
            assert_eq!(has_progressed(&before, &after), progressed, "{after:?}");
        }
    }

    #[test]
    fn a_rollout_is_complete_when_all_numbers_are_the_wanted_one() {
        let deployment = deployment(5, "a", json!(null));
        let counts = |replicas, updated, available| DeploymentStatus {
            replicas: Some(replicas),
            updated_replicas: Some(updated),
            available_replicas: Some(available),
            observed_generation: Some(1),
            ..DeploymentStatus::default()
        };
        let of_generation = |observed| DeploymentStatus { observed_generation: observed, ..counts(5, 5, 5) };
        let table = [
            (counts(5, 5, 5), true),
            // What was true of another template says nothing of this one.
            (of_generation(Some(0)), false),
            (of_generation(None), false),
            (counts(5, 5, 4), false),
            (counts(5, 4, 5), false),
            (counts(6, 5, 5), false),
            (counts(5, 5, 6), false),
            (DeploymentStatus::default(), false),
        ];
        for (status, complete) in table {
            assert_eq!(is_complete(&deployment, &status), complete, "{status:?}");
        }
    }

    #[test]
    fn without_a_deadline_nothing_is_said_of_progress() {
        for deadline in [None, Some(i32::MAX)] {
            let mut deployment = standing_so("ProgressDeadlineExceeded", "False");
            deployment.spec.progress_deadline_seconds = deadline;
            let sets = Sets::of(&deployment, vec![set(&deployment, 3, 0, 1)]);
            assert_eq!(told(&deployment, &sets, &News::None, 9), None, "{deadline:?}");
            assert_eq!(told(&deployment, &sets, &News::Created("web-1".into()), 9), None, "{deadline:?}");
        }
    }

    #[test]
    fn another_message_alone_is_no_news() {
        // An error may name a request, a time or a count: each try would write another status.
        let mut deployment = standing_so("ReplicaSetCreateError", "False");
        let sets = Sets { new: None, old: Vec::new() };
        let (first, _) = status(&deployment, &sets, &News::FailedCreate("one".into()), at(1));
        deployment.status = Some(first.clone());
        assert_eq!(status(&deployment, &sets, &News::FailedCreate("two".into()), at(2)).0, first);
    }

    #[test]
    fn the_numbers_of_the_status_come_from_all_sets() {
        let (old, new) = (deployment(4, "a", json!(null)), deployment(4, "b", json!(null)));
        let with = |mut set: std::sync::Arc<ReplicaSet>, status: serde_json::Value| {
            std::sync::Arc::make_mut(&mut set).status = serde_json::from_value(status).unwrap();
            set
        };
        let one = with(
            set(&old, 3, 0, 1),
            json!({"replicas": 4, "readyReplicas": 3, "availableReplicas": 2, "terminatingReplicas": 1}),
        );
        let two = with(set(&new, 2, 0, 2), json!({"replicas": 1, "readyReplicas": 1}));
        let unseen = with(set(&deployment(4, "c", json!(null)), 0, 0, 3), json!(null));
        let mut now = new.clone();
        now.metadata.generation = Some(7);
        now.status = serde_json::from_value(json!({"collisionCount": 2})).unwrap();
        let (status, _) = status(&now, &Sets::of(&new, vec![one, two, unseen]), &News::None, at(0));
        let numbers = [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
            status.available_replicas,
            // Wanted by the sets beyond what is available, not by the Deployment.
            status.unavailable_replicas,
            status.terminating_replicas,
            status.collision_count,
        ];
        assert_eq!(numbers, [5, 1, 4, 2, 3, 1, 2].map(Some));
        assert_eq!(status.observed_generation, Some(7));
    }

    #[test]
    fn the_failure_of_the_newest_set_is_told_before_that_of_others() {
        let (old, new) = (deployment(3, "a", json!(null)), deployment(3, "b", json!(null)));
        let failing = |mut set: std::sync::Arc<ReplicaSet>, message: &str| {
            let condition =
                json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]);
            std::sync::Arc::make_mut(&mut set).status.as_mut().unwrap().conditions =
                serde_json::from_value(condition).unwrap();
            set
        };
        let message = |sets: Vec<std::sync::Arc<ReplicaSet>>| {
            failure(&Sets::of(&new, sets), &News::None).map(|condition| condition.message.unwrap())
        };
        let (one, two) = (set(&old, 1, 1, 1), set(&new, 1, 1, 2));
        assert_eq!(message(vec![one.clone(), two.clone()]), None);
        assert_eq!(message(vec![failing(one.clone(), "old"), two.clone()]).as_deref(), Some("old"));
        assert_eq!(message(vec![failing(one, "old"), failing(two, "new")]).as_deref(), Some("new"));
    }

    #[test]
    fn a_condition_moves_its_transition_time_only_with_its_status() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, condition("Available", "False", "A", "a".into()), at(0));
        set_condition(&mut conditions, condition("Available", "False", "B", "b".into()), at(10));
        let times = |conditions: &[DeploymentCondition]| {
            let condition = &conditions[0];
            (condition.last_update_time.clone().unwrap().0, condition.last_transition_time.clone().unwrap().0)
        };
        assert_eq!(times(&conditions), (at(10), at(0)));
        set_condition(&mut conditions, condition("Available", "False", "B", "b".into()), at(20));
        assert_eq!(times(&conditions), (at(10), at(0)), "nothing new, nothing changed");
        set_condition(&mut conditions, condition("Available", "True", "C", "c".into()), at(30));
        assert_eq!(times(&conditions), (at(30), at(30)));
        set_condition(&mut conditions, condition("Other", "True", "D", "d".into()), at(40));
        assert_eq!(conditions.len(), 2);
    }
}
