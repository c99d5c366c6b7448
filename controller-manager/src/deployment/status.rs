//! The status of a Deployment: counts, and the conditions Available and ReplicaFailure beside what `progress` says. Pure
//! (kube-controller-manager, deployment/sync.go).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};

use super::conditions::{self, condition};
use super::progress::{News, deadline, progress, remaining};
use super::sets::{Sets, slack, wanted};

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
    conditions::set(&mut conditions, availability(deployment, available), now);
    let again = match deadline(deployment) {
        Some(deadline) => {
            if let Some(condition) = progress(deployment, sets, &before, &status, news, deadline, now) {
                conditions::set(&mut conditions, condition, now);
            }
            remaining(&conditions, deadline, now)
        }
        None => {
            conditions::remove(&mut conditions, "Progressing");
            None
        }
    };
    match failure(sets, news) {
        Some(condition) => conditions::set(&mut conditions, condition, now),
        None => conditions::remove(&mut conditions, "ReplicaFailure"),
    }
    status.conditions = Some(conditions);
    (status, again)
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
    use super::super::sets::testing::{at, deployment, set};
    use super::*;
    use serde_json::json;

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
}
