//! What to do next for one pod: a pure function of its spec, what the runtime has, what the worker remembers, and the time.
//!
//! The order is upstream's (kuberuntime_manager.go, computePodActions and computeInitContainerActions): volumes and sandbox,
//! init containers one after the other (sidecars until they have started), then the main containers in their order, one
//! start at a time. Ended containers are started again as their restart policy says, after the crash back-off. A pod that
//! has nothing left to run is wound down: main containers, then sidecars from the last to the first, then the sandbox.

mod next;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as Spec, Pod};

use crate::known::memory::{Memory, Step, Waiting};
use crate::known::observed::{Observed, is_up};
use crate::pod::{self, Role};
use crate::runtime::{Container, ContainerState};
use next::Next;

/// The shortest time a container gets between SIGTERM and SIGKILL (kuberuntime, minimumGracePeriodInSeconds).
pub const MINIMUM_GRACE: Duration = Duration::from_secs(2);

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the volumes.
    PrepareVolumes,
    /// Make a sandbox.
    RunSandbox {
        /// Counts them.
        attempt: u32,
    },
    /// End a sandbox that is of no more use.
    StopSandbox {
        /// Which.
        id: String,
    },
    /// Pull, create and start a container.
    Start {
        /// Name.
        container: String,
        /// Counts the containers of this name.
        attempt: u32,
        /// When its predecessor ended, if this is a restart: lengthens the crash back-off.
        after: Option<Timestamp>,
    },
    /// Stop a container: preStop hook, SIGTERM, SIGKILL.
    Stop {
        /// Which.
        id: String,
        /// Its name.
        container: String,
        /// Until SIGKILL.
        grace: Duration,
        /// For the event `Killing`.
        message: String,
    },
    /// The pod must end.
    Terminate {
        /// `status.reason`.
        reason: String,
        /// `status.message`.
        message: String,
    },
    /// Nothing of the pod runs any more.
    Finished,
}

/// What to do now, and when to look again at the latest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In this order; each may run beside the others.
    pub actions: Vec<Action>,
    /// The next time at which something becomes due.
    pub wake: Option<Timestamp>,
    /// Containers that wait for a back-off, by name.
    pub waiting: BTreeMap<String, Waiting>,
}

/// The plan.
pub fn plan(pod: &Pod, seen: &Observed, memory: &Memory, now: Timestamp) -> Plan {
    let mut planner = Planner { pod, seen, memory, now, out: Plan::default() };
    if memory.termination.is_some() || memory.finished {
        planner.wind_down();
    } else if let Some((reason, message)) = planner.past_deadline() {
        planner.out.actions.push(Action::Terminate { reason, message });
    } else {
        planner.run();
    }
    planner.out
}

struct Planner<'a> {
    pod: &'a Pod,
    seen: &'a Observed,
    memory: &'a Memory,
    now: Timestamp,
    out: Plan,
}

enum Init {
    Pending,
    Failed,
    Done,
}

impl Planner<'_> {
    fn wake_at(&mut self, at: Timestamp) {
        self.out.wake = Some(self.out.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Whether the step is to be begun now; if it waits for a time, that is when to look again.
    fn is_due(&mut self, step: &Step) -> bool {
        match step.due(self.now) {
            Ok(()) => return true,
            Err(Some(retry)) => self.wake_at(retry),
            Err(None) => {}
        }
        false
    }

    /// `activeDeadlineSeconds` counts from `status.startTime` (pkg/kubelet/active_deadline.go).
    fn past_deadline(&mut self) -> Option<(String, String)> {
        let seconds = pod::spec(self.pod).active_deadline_seconds?;
        let deadline = self.memory.start_time.saturating_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
        if self.now < deadline {
            self.wake_at(deadline);
            return None;
        }
        let message = "Pod was active on the node longer than the specified deadline";
        Some(("DeadlineExceeded".into(), message.into()))
    }

    fn run(&mut self) {
        let volumes_ready = self.volumes();
        let Some(sandbox) = self.seen.ready_sandbox() else {
            return self.sandbox();
        };
        self.stop_other_sandboxes(&sandbox.id);
        self.replace_unhealthy();
        if !volumes_ready {
            return;
        }
        match self.init() {
            Init::Pending => {}
            Init::Failed => self.wind_down(),
            Init::Done => self.main(),
        }
    }

    fn volumes(&mut self) -> bool {
        if self.is_due(&self.memory.volumes) {
            self.out.actions.push(Action::PrepareVolumes);
        }
        self.memory.volumes == Step::Done
    }

    /// Without a sandbox: make one, unless what ran in the last one shall not run again.
    fn sandbox(&mut self) {
        if self.seen.running().next().is_some() {
            return self.stop_all("Pod sandbox changed, it will be killed and re-created.");
        }
        if !self.anything_to_run() {
            return self.wind_down();
        }
        if self.is_due(&self.memory.sandbox) {
            let attempt = self.seen.sandbox().map_or(0, |old| old.attempt + 1);
            self.out.actions.push(Action::RunSandbox { attempt });
        }
    }

    /// Whether a new sandbox would have something to run: a main container that never ran or that restarts.
    fn anything_to_run(&self) -> bool {
        pod::containers(self.pod).iter().any(|spec| match self.seen.latest(&spec.name) {
            Some(last) => pod::restarts(self.pod, Role::Main, spec, exit_code(last)),
            None => !self.init_failed_for_good(),
        })
    }

    fn init_failed_for_good(&self) -> bool {
        pod::init_containers(self.pod).iter().filter(|spec| !pod::is_sidecar(spec)).any(|spec| {
            let Some(last) = self.seen.latest(&spec.name) else { return false };
            let failed = last.state == ContainerState::Exited && exit_code(last) != 0;
            failed && !pod::restarts(self.pod, Role::Init, spec, exit_code(last))
        })
    }

    fn stop_other_sandboxes(&mut self, keep: &str) {
        let stale: Vec<String> =
            self.seen.sandboxes.iter().filter(|s| s.ready && s.id != keep).map(|s| s.id.clone()).collect();
        for id in stale {
            self.stop_sandbox(id);
        }
    }

    fn stop_sandbox(&mut self, id: String) {
        if self.is_due(self.memory.sandboxes_stopping.get(&id).unwrap_or(&Step::Todo)) {
            self.out.actions.push(Action::StopSandbox { id });
        }
    }

    /// Stops what a probe condemned, what the runtime lost and what has another image than the spec.
    fn replace_unhealthy(&mut self) {
        for (role, spec) in pod::all_containers(self.pod) {
            let Some(current) = self.seen.current(&spec.name).filter(|c| is_up(c)) else { continue };
            let Some((cause, probe)) = self.complaint(role, spec, current) else { continue };
            let again = pod::restarts(self.pod, role, spec, 137);
            let message = if again { format!("{cause}, will be restarted") } else { cause };
            let seconds =
                probe.and_then(|p| p.termination_grace_period_seconds).unwrap_or_else(|| pod::grace_seconds(self.pod));
            self.stop(current, grace(seconds), message);
        }
    }

    fn complaint<'s>(
        &self,
        role: Role,
        spec: &'s Spec,
        current: &Container,
    ) -> Option<(String, Option<&'s k8s_openapi::api::core::v1::Probe>)> {
        let name = &spec.name;
        let probed = self.memory.probes(&current.id);
        if current.state == ContainerState::Unknown {
            return Some((format!("Container {name} is in an unknown state"), None));
        }
        if !current.image.is_empty() && current.image != pod::image(spec) && role != Role::Init {
            return Some((format!("Container {name} definition changed"), None));
        }
        if spec.startup_probe.is_some() && probed.startup == Some(false) {
            return Some((format!("Container {name} failed startup probe"), spec.startup_probe.as_ref()));
        }
        if spec.liveness_probe.is_some() && probed.liveness == Some(false) {
            return Some((format!("Container {name} failed liveness probe"), spec.liveness_probe.as_ref()));
        }
        None
    }

    fn init(&mut self) -> Init {
        let specs = pod::init_containers(self.pod);
        // Once a main container was made in this sandbox, the pod is initialized; from then on only sidecars are kept up.
        let initialized = pod::containers(self.pod).iter().any(|c| self.seen.current(&c.name).is_some());
        for (index, spec) in specs.iter().enumerate() {
            let sidecar = pod::is_sidecar(spec);
            let later_made = specs[index + 1..].iter().any(|c| self.seen.current(&c.name).is_some());
            let passed = initialized || later_made;
            if !sidecar && (passed && self.seen.current(&spec.name).is_none_or(|c| !is_up(c)) || initialized) {
                continue;
            }
            let role = if sidecar { Role::Sidecar } else { Role::Init };
            match (self.next(role, spec), sidecar) {
                (Next::Start(action), _) => {
                    self.out.actions.push(action);
                    if !(sidecar && passed) {
                        return Init::Pending;
                    }
                    // One start at a time.
                    return if initialized { Init::Done } else { Init::Pending };
                }
                (Next::Up, true) if passed || self.started(spec) => {}
                (Next::Later, true) if passed => {}
                (Next::Up | Next::Later, _) => return Init::Pending,
                (Next::Over { success: true }, _) => {}
                (Next::Over { success: false }, _) => return Init::Failed,
            }
        }
        Init::Done
    }

    fn main(&mut self) {
        let mut alive = false;
        let mut start: Option<Action> = None;
        for spec in pod::containers(self.pod) {
            match self.next(Role::Main, spec) {
                Next::Up | Next::Later => alive = true,
                Next::Over { .. } => {}
                Next::Start(action) => {
                    alive = true;
                    start.get_or_insert(action);
                }
            }
        }
        let sidecar_starts = self.out.actions.iter().any(|a| matches!(a, Action::Start { .. }));
        match start {
            Some(action) if !sidecar_starts => self.out.actions.push(action),
            Some(_) => {}
            None if alive => {}
            None => {
                self.out.actions.retain(|a| !matches!(a, Action::Start { .. }));
                self.wind_down();
            }
        }
    }

    /// A sidecar has started when it runs, its postStart hook is done and its startup probe has passed.
    fn started(&self, spec: &Spec) -> bool {
        self.seen.current(&spec.name).is_some_and(|c| self.memory.is_started(spec, c))
    }

    fn stop(&mut self, container: &Container, grace: Duration, message: String) {
        let killed_by = self.now.saturating_add(grace).unwrap_or(Timestamp::MAX);
        // Asked again only to make it end sooner.
        if self.memory.stopping.get(&container.id).is_some_and(|already| *already <= killed_by) {
            return;
        }
        self.out.actions.push(Action::Stop {
            id: container.id.clone(),
            container: container.name.clone(),
            grace,
            message,
        });
    }

    fn stop_all(&mut self, message: &str) {
        let grace = grace(pod::grace_seconds(self.pod));
        let running: Vec<Container> = self.seen.running().cloned().collect();
        for container in running {
            self.stop(&container, grace, message.to_string());
        }
    }

    /// Ends everything: main and init containers, then sidecars from the last to the first, then the sandbox.
    fn wind_down(&mut self) {
        let seconds = match &self.memory.termination {
            Some(termination) => {
                let seconds = jiff::SignedDuration::from_secs(termination.grace_seconds.max(0));
                let deadline = termination.since.saturating_add(seconds).unwrap_or(Timestamp::MAX);
                deadline.duration_since(self.now).as_secs().max(0)
            }
            None => pod::grace_seconds(self.pod),
        };
        let grace = grace(seconds);
        let is_sidecar = |c: &&Container| pod::container(self.pod, &c.name).is_some_and(|(r, _)| r == Role::Sidecar);
        let first: Vec<Container> = self.seen.running().filter(|c| !is_sidecar(c)).cloned().collect();
        for container in &first {
            self.stop(container, grace, format!("Stopping container {}", container.name));
        }
        if !first.is_empty() || self.memory.starting.is_some() {
            return;
        }
        let sidecars = pod::init_containers(self.pod).iter().rev();
        if let Some(last) = sidecars.filter_map(|s| self.seen.of(&s.name).find(|c| is_up(c))).next().cloned() {
            return self.stop(&last, grace, format!("Stopping container {}", last.name));
        }
        let ready: Vec<String> = self.seen.sandboxes.iter().filter(|s| s.ready).map(|s| s.id.clone()).collect();
        let stopped = |id: &String| self.memory.sandboxes_stopping.get(id) == Some(&Step::Done);
        let busy = self.memory.sandbox == Step::Busy || self.memory.volumes == Step::Busy;
        if !busy && ready.iter().all(stopped) {
            self.out.actions.push(Action::Finished);
        }
        for id in ready {
            self.stop_sandbox(id);
        }
    }
}

fn grace(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).max(MINIMUM_GRACE)
}

fn exit_code(container: &Container) -> i32 {
    container.exit_code.unwrap_or(137)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
