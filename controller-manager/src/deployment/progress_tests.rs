//! What a Deployment says of its progress, look by look.

use super::super::sets::testing::{at, deployment, set};
use super::super::status::status;
use super::*;
use serde_json::json;

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
