//! What is to become of one container: whether it goes on, is over, is started, or waits for a back-off first.

use std::time::Duration;

use api::duration::format_go;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container as Spec;

use super::{Action, Planner, exit_code};
use crate::known::memory::{Failure, Retry, Waiting};
use crate::known::observed::is_up;
use crate::pod::{self, Role};
use crate::runtime::{Container, ContainerState};

/// How long a failed pull shows as ErrImagePull before it shows as ImagePullBackOff.
const ERR_IMAGE_PULL_SHOWN: Duration = Duration::from_secs(1);

/// What is to become of one container.
pub(super) enum Next {
    /// It runs and shall go on.
    Up,
    /// It is being started or stopped, or waits: look again later.
    Later,
    /// It ended and stays so.
    Over {
        /// Whether it ended well.
        success: bool,
    },
    /// To be started now.
    Start(Action),
}

impl Planner<'_> {
    pub(super) fn next(&mut self, role: Role, spec: &Spec) -> Next {
        let name = &spec.name;
        // Ended containers are judged while another one starts; only starting waits.
        if self.memory.starting.as_deref() == Some(name) {
            return Next::Later;
        }
        let last = self.seen.latest(name);
        if let Some(current) = self.seen.current(name)
            && is_up(current)
        {
            let stopping = self.memory.stopping.contains_key(&current.id);
            return if stopping { Next::Later } else { Next::Up };
        }
        if let Some(last) = last
            && last.state == ContainerState::Exited
        {
            // A new sandbox runs init containers again, whatever they said in the old one.
            let here = self.seen.current(name).is_some();
            let code = exit_code(last);
            if (here || role != Role::Init) && !pod::restarts(self.pod, role, spec, code) {
                return Next::Over { success: code == 0 };
            }
        }
        self.start(spec, last)
    }

    fn start(&mut self, spec: &Spec, last: Option<&Container>) -> Next {
        let name = &spec.name;
        let failure = self.memory.failures.get(name);
        let after = crashed_at(last, failure);
        if let Some((until, waiting)) = self.back_off(name, failure, after) {
            self.wake_at(until);
            if let Some(waiting) = waiting {
                self.out.waiting.insert(name.clone(), waiting);
            }
            return Next::Later;
        }
        if self.memory.starting.is_some() {
            return Next::Later;
        }
        let attempt = last.map_or(0, |last| last.attempt + 1);
        Next::Start(Action::Start { container: name.clone(), attempt, after })
    }

    /// Until when a start must wait, and what to say meanwhile.
    fn back_off(
        &self,
        name: &str,
        failure: Option<&Failure>,
        after: Option<Timestamp>,
    ) -> Option<(Timestamp, Option<Waiting>)> {
        match failure.map(|f| &f.retry) {
            Some(Retry::At(at)) if *at > self.now => return Some((*at, None)),
            Some(Retry::Image(image)) => {
                if let Some(until) = self.memory.pulls.until_since_update(image, self.now) {
                    return Some(match self.pull_waiting(image, failure) {
                        Ok(waiting) => (until, Some(waiting)),
                        Err(flips) => (flips.min(until), None),
                    });
                }
            }
            _ => {}
        }
        let until = self.memory.crashes.until_since(name, after?, self.now)?;
        let delay = SignedDuration::try_from(self.memory.crashes.delay(name)).unwrap_or(SignedDuration::MAX);
        let pod = pod::full_name(self.pod);
        let message = format!("back-off {} restarting failed container={name} pod={pod}", format_go(delay));
        Some((until, Some(Waiting { reason: "CrashLoopBackOff".into(), message })))
    }

    /// For a moment after the failure the reason stays ErrImagePull, so that both are seen; `Err` says until when.
    fn pull_waiting(&self, image: &str, failure: Option<&Failure>) -> Result<Waiting, Timestamp> {
        let flips = failure.map_or(self.now, |f| f.at.saturating_add(ERR_IMAGE_PULL_SHOWN).unwrap_or(f.at));
        if self.now < flips {
            return Err(flips);
        }
        let cause = failure.map(|f| format!(": {}: {}", f.reason, f.message)).unwrap_or_default();
        let message = format!("Back-off pulling image \"{image}\"{cause}");
        Ok(Waiting { reason: "ImagePullBackOff".into(), message })
    }
}

/// When the predecessor failed, if there was one: what the crash back-off counts from.
fn crashed_at(last: Option<&Container>, failure: Option<&Failure>) -> Option<Timestamp> {
    let failed = failure.filter(|f| f.retry == Retry::Crash).map(|f| f.at);
    let ended =
        last.and_then(|last| last.finished_at.or((last.state == ContainerState::Exited).then_some(last.created_at)));
    match (failed, ended) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
