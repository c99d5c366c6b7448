//! What the runtime has of one pod, put together for planning: newest sandbox first, containers of all sandboxes, and,
//! for containers that the runtime has forgotten (a reboot), what the API last said about them. Pure.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState as ApiState, ContainerStatus, Pod};

use crate::pod;
use crate::runtime::{Container, ContainerState, Sandbox};

/// What upstream says about a container that the runtime no longer knows (pkg/kubelet/kubelet_pods.go).
pub const LOST_REASON: &str = "ContainerStatusUnknown";
const LOST_MESSAGE: &str =
    "The container could not be located when the pod was deleted.  The container used to be Running";
/// As if killed.
const LOST_EXIT_CODE: i32 = 137;

/// Sandboxes and containers of one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Of all sandboxes, newest attempt first within a name.
    pub containers: Vec<Container>,
}

impl Observed {
    /// Orders what the runtime said and adds what only the API remembers.
    pub fn new(pod: &Pod, mut sandboxes: Vec<Sandbox>, mut containers: Vec<Container>) -> Self {
        sandboxes.sort_by(|a, b| b.attempt.cmp(&a.attempt).then(b.created_at.cmp(&a.created_at)));
        for (_, spec) in pod::all_containers(pod) {
            if !containers.iter().any(|c| c.name == spec.name) {
                containers.extend(pod::recorded(pod::status(pod), &spec.name).and_then(remembered));
            }
        }
        containers
            .sort_by(|a, b| a.name.cmp(&b.name).then(b.attempt.cmp(&a.attempt)).then(b.created_at.cmp(&a.created_at)));
        Self { sandboxes, containers }
    }

    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// The newest sandbox if it can run containers.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandbox().filter(|s| s.ready)
    }

    /// Containers of one name, newest first.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |c| c.name == name)
    }

    /// The newest container of a name, in whatever sandbox.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The newest container of a name if it is in the present, ready sandbox.
    pub fn current(&self, name: &str) -> Option<&Container> {
        let sandbox = self.ready_sandbox()?;
        self.latest(name).filter(|c| c.sandbox == sandbox.id)
    }

    /// Containers with a process.
    pub fn running(&self) -> impl Iterator<Item = &Container> {
        self.containers.iter().filter(|c| is_up(c))
    }
}

/// Whether the container has, or may have, a process.
pub fn is_up(container: &Container) -> bool {
    container.state == ContainerState::Running
        || (container.state == ContainerState::Unknown && !container.sandbox.is_empty())
}

/// An ended container as the API last told of it; `None` if it was never made.
fn remembered(status: &ContainerStatus) -> Option<Container> {
    let id = status.container_id.as_deref().filter(|id| !id.is_empty())?;
    let id = id.split_once("://").map_or(id, |(_, id)| id).to_string();
    let ended = |state: &Option<ApiState>| state.as_ref().and_then(|s| s.terminated.clone());
    let running = status.state.as_ref().and_then(|s| s.running.as_ref());
    let mut lost = Container {
        id,
        sandbox: String::new(),
        name: status.name.clone(),
        attempt: u32::try_from(status.restart_count).unwrap_or(0),
        image: status.image.clone(),
        state: ContainerState::Exited,
        created_at: Timestamp::UNIX_EPOCH,
        started_at: None,
        finished_at: None,
        exit_code: Some(LOST_EXIT_CODE),
        reason: LOST_REASON.into(),
        message: LOST_MESSAGE.into(),
        pid: None,
    };
    // A container that waited for its restart had ended: its last state says how.
    let end = ended(&status.state).or_else(|| if running.is_none() { ended(&status.last_state) } else { None });
    if let Some(end) = end {
        lost.started_at = end.started_at.map(|t| t.0);
        lost.finished_at = end.finished_at.map(|t| t.0);
        lost.exit_code = Some(end.exit_code);
        lost.reason = end.reason.unwrap_or_default();
        lost.message = end.message.unwrap_or_default();
    } else {
        lost.started_at = running.and_then(|r| r.started_at.as_ref()).map(|t| t.0);
    }
    Some(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(
            json!({"spec": {"containers": [{"name": "c"}]}, "status": {"containerStatuses": [status]}}),
        )
        .unwrap()
    }

    #[test]
    fn a_forgotten_container_keeps_its_restart_count_and_ended_unknown() {
        let base = json!({"name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 3,
            "containerID": "process://abc", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}});
        let seen = Observed::new(&pod(base), vec![], vec![]);
        let lost = seen.latest("c").unwrap();
        assert_eq!((lost.id.as_str(), lost.attempt, lost.exit_code), ("abc", 3, Some(137)));
        assert_eq!(lost.reason, LOST_REASON);
        assert!(seen.running().next().is_none());
    }

    #[test]
    fn a_forgotten_container_that_had_ended_keeps_how() {
        for place in ["state", "lastState"] {
            let mut status = json!({"name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 1,
                "containerID": "process://abc"});
            status[place] = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
            let seen = Observed::new(&pod(status), vec![], vec![]);
            let lost = seen.latest("c").unwrap();
            assert_eq!((lost.exit_code, lost.reason.as_str()), (Some(0), "Completed"), "{place}");
        }
    }

    #[test]
    fn a_container_that_was_never_made_is_not_remembered() {
        let status = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}}});
        assert_eq!(Observed::new(&pod(status), vec![], vec![]).latest("c"), None);
    }
}
