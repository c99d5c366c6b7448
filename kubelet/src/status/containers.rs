//! State, last state and readiness of each container. Pure.

use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState as State, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::View;
use crate::pod::{self, Role};
use crate::runtime::{Container, ContainerState};

/// Statuses of the init containers, in their order.
pub fn init(view: &View<'_>) -> Vec<ContainerStatus> {
    pod::all_containers(view.pod).filter(|(role, _)| *role != Role::Main).map(|(role, c)| one(view, role, c)).collect()
}

/// Statuses of the main containers, sorted by name as upstream sorts them.
pub fn main(view: &View<'_>) -> Vec<ContainerStatus> {
    let mut all: Vec<_> = pod::containers(view.pod).iter().map(|c| one(view, Role::Main, c)).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn one(view: &View<'_>, role: Role, spec: &Spec) -> ContainerStatus {
    let latest = view.seen.latest(&spec.name);
    let image = pod::image(spec);
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: image.to_string(),
        image_id: view.memory.image_ids.get(image).cloned().unwrap_or_default(),
        restart_count: latest.map_or(0, |c| i32::try_from(c.attempt).unwrap_or(i32::MAX)),
        container_id: latest.map(|c| id(view, c)),
        state: Some(waiting_by_default(view)),
        started: Some(false),
        // Written even when empty, as upstream does: what the API has is then what is compared with.
        last_state: Some(State::default()),
        resources: spec.resources.clone().filter(|_| latest.is_some()),
        ..ContainerStatus::default()
    };
    status.allocated_resources = status.resources.as_ref().and_then(|r| r.requests.clone());
    let Some(latest) = latest else {
        if let Some(waiting) = waits(view, &spec.name) {
            status.state = Some(waiting);
        }
        return status;
    };
    let before = view.seen.of(&spec.name).find(|c| c.id != latest.id && c.state == ContainerState::Exited);
    match latest.state {
        ContainerState::Running => {
            let started_at = latest.started_at.map(Time);
            status.state = Some(State { running: Some(ContainerStateRunning { started_at }), ..State::default() });
            status.last_state = Some(before.map(|c| terminated(view, c)).unwrap_or_default());
            let started = view.memory.is_started(spec, latest);
            status.started = Some(started);
            let passes = spec.readiness_probe.is_none() || view.memory.probes(&latest.id).readiness == Some(true);
            status.ready = role != Role::Init && started && passes;
        }
        ContainerState::Exited => match waits(view, &spec.name) {
            Some(waiting) => {
                status.state = Some(waiting);
                status.last_state = Some(terminated(view, latest));
            }
            None => {
                status.state = Some(terminated(view, latest));
                status.last_state = Some(before.map(|c| terminated(view, c)).unwrap_or_default());
                status.ready = role == Role::Init && latest.exit_code == Some(0);
            }
        },
        ContainerState::Created | ContainerState::Unknown => {
            if let Some(waiting) = waits(view, &spec.name) {
                status.state = Some(waiting);
            }
            status.last_state = Some(before.map(|c| terminated(view, c)).unwrap_or_default());
        }
    }
    status
}

fn id(view: &View<'_>, container: &Container) -> String {
    format!("{}://{}", view.runtime, container.id)
}

fn waiting(reason: &str, message: Option<String>) -> State {
    let waiting = ContainerStateWaiting { reason: Some(reason.into()), message };
    State { waiting: Some(waiting), ..State::default() }
}

fn waiting_by_default(view: &View<'_>) -> State {
    let has_init = !pod::init_containers(view.pod).is_empty();
    waiting(if has_init { "PodInitializing" } else { "ContainerCreating" }, None)
}

/// The reason to wait that the plan gave, else the failure of the last start.
fn waits(view: &View<'_>, name: &str) -> Option<State> {
    if view.memory.termination.is_some() || view.memory.finished {
        return None;
    }
    if let Some(found) = view.waiting.get(name) {
        return Some(waiting(&found.reason, Some(found.message.clone())));
    }
    let failure = view.memory.failures.get(name)?;
    Some(waiting(&failure.reason, Some(failure.message.clone())))
}

fn terminated(view: &View<'_>, container: &Container) -> State {
    let exit_code = container.exit_code.unwrap_or(137);
    let reason = match container.reason.as_str() {
        "" if exit_code == 0 => "Completed",
        "" => "Error",
        reason => reason,
    };
    let terminated = ContainerStateTerminated {
        exit_code,
        reason: Some(reason.into()),
        message: Some(container.message.clone()).filter(|m| !m.is_empty()),
        started_at: container.started_at.map(Time),
        finished_at: container.finished_at.map(Time),
        container_id: Some(id(view, container)),
        signal: None,
    };
    State { terminated: Some(terminated), ..State::default() }
}
