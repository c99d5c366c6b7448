//! The condition Progressing of a Deployment: whether its rollout moves, stands still for too long, or has ended. Pure
//! (kube-controller-manager, deployment/progress.go).

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions::{condition, find};
use super::sets::{Sets, wanted};
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

/// The progress deadline, unless there is none.
pub(super) fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// What is to be said of the progress from now on; `None`: what stands there.
pub(super) fn progress(
    deployment: &Deployment,
    sets: &Sets,
    before: &DeploymentStatus,
    after: &DeploymentStatus,
    news: &News,
    deadline: Duration,
    now: Timestamp,
) -> Option<DeploymentCondition> {
    let say = |status, reason, message| Some(condition("Progressing", status, reason, message));
    let standing = standing(before);
    let reason = standing.and_then(|condition| condition.reason.as_deref()).unwrap_or_default();
    let paused = deployment.spec.paused.unwrap_or(false);
    match news {
        News::Created(name) => {
            return say("True", "NewReplicaSetCreated", format!("Created new replica set \"{name}\""));
        }
        News::FailedCreate(message) => return say("False", "ReplicaSetCreateError", message.clone()),
        News::None if paused && reason == "ProgressDeadlineExceeded" => return None,
        News::None if paused => return say("Unknown", "DeploymentPaused", "Deployment is paused".into()),
        News::None if reason == "DeploymentPaused" => {
            return say("Unknown", "DeploymentResumed", "Deployment is resumed".into());
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
        return say("True", "NewReplicaSetAvailable", format!("{subject} has successfully progressed."));
    }
    if has_progressed(before, after) {
        let progressing = condition("Progressing", "True", "ReplicaSetUpdated", format!("{subject} is progressing."));
        return Some(DeploymentCondition { last_update_time: Some(Time(now)), ..progressing });
    }
    let Some(standing) = standing else {
        let name = sets.new.as_ref()?.key().name;
        return say("True", "FoundNewReplicaSet", format!("Found new replica set \"{name}\""));
    };
    let since = standing.last_update_time.as_ref().map_or(now, |time| time.0);
    let late = now.duration_since(since).as_secs() >= i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX);
    let moving = ["NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated", "DeploymentResumed"];
    if late && moving.contains(&reason) {
        return say("False", "ProgressDeadlineExceeded", format!("{subject} has timed out progressing."));
    }
    None
}

fn standing(status: &DeploymentStatus) -> Option<&DeploymentCondition> {
    find(status.conditions.as_deref().unwrap_or_default(), "Progressing")
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
pub(super) fn remaining(conditions: &[DeploymentCondition], deadline: Duration, now: Timestamp) -> Option<Duration> {
    let standing = find(conditions, "Progressing")?;
    let over = ["NewReplicaSetAvailable", "ProgressDeadlineExceeded", "DeploymentPaused", "ReplicaSetCreateError"];
    if over.contains(&standing.reason.as_deref().unwrap_or_default()) {
        return None;
    }
    let since = standing.last_update_time.as_ref()?.0;
    let passed = Duration::from_secs(u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0));
    Some(deadline.saturating_sub(passed) + Duration::from_secs(1))
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
