//! The phase of a pod from the states of its containers (pkg/kubelet/kubelet_pods.go, getPhase). Pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use crate::pod::{self, RestartPolicy};

#[derive(Default)]
struct Tally {
    unknown: usize,
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
    init_pending: bool,
    sidecar_pending: bool,
    init_failed: bool,
}

fn ended(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.state.as_ref()?.terminated.as_ref()
}

fn ended_before(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_ref()
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|s| s.running.is_some())
}

impl Tally {
    fn init(&mut self, status: &ContainerStatus) {
        match (ended(status), ended_before(status)) {
            (Some(end), _) => self.init_failed |= end.exit_code != 0,
            (None, Some(before)) if !is_running(status) => self.init_failed |= before.exit_code != 0,
            _ => self.init_pending = true,
        }
    }

    fn sidecar(&mut self, status: &ContainerStatus) {
        if is_running(status) {
            self.sidecar_pending |= status.started != Some(true);
            self.running += 1;
        } else if ended(status).is_none() && ended_before(status).is_none() {
            self.sidecar_pending = true;
            self.waiting += 1;
        }
    }

    fn main(&mut self, status: Option<&ContainerStatus>) {
        let Some(status) = status else {
            self.unknown += 1;
            return;
        };
        if is_running(status) {
            self.running += 1;
        } else if let Some(end) = ended(status) {
            self.stopped += 1;
            self.succeeded += usize::from(end.exit_code == 0);
        } else if ended_before(status).is_some() {
            self.stopped += 1;
        } else {
            self.waiting += 1;
        }
    }
}

/// The phase; `over` says that the pod is being ended and that none of its containers runs.
pub fn phase(pod: &Pod, init: &[ContainerStatus], main: &[ContainerStatus], over: bool) -> &'static str {
    let mut tally = Tally::default();
    for (spec, status) in pod::init_containers(pod).iter().zip(init) {
        if pod::is_sidecar(spec) { tally.sidecar(status) } else { tally.init(status) }
    }
    for spec in pod::containers(pod) {
        tally.main(main.iter().find(|s| s.name == spec.name));
    }
    let initialized = main.iter().any(|s| is_running(s) || ended(s).is_some() || ended_before(s).is_some());
    let policy = pod::restart_policy(pod);
    if tally.init_failed && policy == RestartPolicy::Never {
        return "Failed";
    }
    if over && tally.running == 0 && tally.stopped > 0 && tally.unknown == 0 && tally.waiting == 0 {
        return if tally.stopped == tally.succeeded { "Succeeded" } else { "Failed" };
    }
    let pending = tally.init_pending || (tally.sidecar_pending && !initialized) || tally.waiting > 0;
    match tally {
        _ if pending => "Pending",
        Tally { running: 1.., unknown: 0, .. } => "Running",
        Tally { running: 0, stopped: stopped @ 1.., unknown: 0, succeeded, .. } => match policy {
            RestartPolicy::Always => "Running",
            _ if stopped == succeeded => "Succeeded",
            RestartPolicy::Never if !restarting(pod, main) => "Failed",
            _ => "Running",
        },
        _ => "Pending",
    }
}

/// Whether a container's own policy or rules start one of the ended containers again.
fn restarting(pod: &Pod, main: &[ContainerStatus]) -> bool {
    pod::containers(pod).iter().any(|spec| {
        let status = main.iter().find(|s| s.name == spec.name);
        let end = status.and_then(|s| ended(s).or_else(|| ended_before(s)));
        end.is_some_and(|end| pod::restarts(pod, pod::Role::Main, spec, end.exit_code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const R: &str = "running";

    /// `R`, `0` / `1` (exit codes), `W` (waits, never ran), `C` (waits after exit code 1).
    fn status(name: &str, what: &str) -> ContainerStatus {
        let state = match what {
            "running" => json!({"state": {"running": {}}, "started": true}),
            "starting" => json!({"state": {"running": {}}, "started": false}),
            "W" => json!({"state": {"waiting": {"reason": "ContainerCreating"}}}),
            "C" => json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1}}}),
            code => json!({"state": {"terminated": {"exitCode": code.parse::<i32>().unwrap()}}}),
        };
        let mut base = json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0});
        base.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        serde_json::from_value(base).unwrap()
    }

    fn check(policy: &str, init: &[(&str, bool)], main: &[&str], over: bool) -> &'static str {
        let inits: Vec<Value> = init
            .iter()
            .enumerate()
            .map(|(i, (_, side))| json!({"name": format!("i{i}"), "restartPolicy": side.then_some("Always")}))
            .collect();
        let mains: Vec<Value> = (0..main.len()).map(|i| json!({"name": format!("c{i}")})).collect();
        let pod: Pod = serde_json::from_value(
            json!({"spec": {"restartPolicy": policy, "initContainers": inits, "containers": mains}}),
        )
        .unwrap();
        let init: Vec<_> = init.iter().enumerate().map(|(i, (s, _))| status(&format!("i{i}"), s)).collect();
        let main: Vec<_> = main.iter().enumerate().map(|(i, s)| status(&format!("c{i}"), s)).collect();
        phase(&pod, &init, &main, over)
    }

    #[test]
    fn phases_of_pods_without_init_containers() {
        // (policy, containers, over, phase)
        let table: &[(&str, &[&str], bool, &str)] = &[
            ("Always", &["W"], false, "Pending"),
            ("Always", &[R, "W"], false, "Pending"),
            ("Always", &[R, R], false, "Running"),
            ("Always", &[R, "1"], false, "Running"),
            ("Always", &["0", "0"], false, "Running"),
            ("Always", &["C"], false, "Running"),
            ("Always", &["0"], true, "Succeeded"),
            ("Always", &["0", "137"], true, "Failed"),
            ("Always", &["W"], true, "Pending"),
            ("OnFailure", &["0", "0"], false, "Succeeded"),
            ("OnFailure", &["0", "1"], false, "Running"),
            ("OnFailure", &["C"], false, "Running"),
            ("Never", &["0", "1"], false, "Failed"),
            ("Never", &["0", "0"], false, "Succeeded"),
            ("Never", &[R, "1"], false, "Running"),
        ];
        for (policy, main, over, expected) in table {
            assert_eq!(check(policy, &[], main, *over), *expected, "{policy} {main:?} {over}");
        }
    }

    #[test]
    fn phases_of_pods_with_init_containers() {
        // (policy, init containers (state, sidecar), containers, phase)
        type Row = (&'static str, &'static [(&'static str, bool)], &'static [&'static str], &'static str);
        let table: &[Row] = &[
            ("Always", &[("W", false)], &["W"], "Pending"),
            ("Always", &[(R, false)], &["W"], "Pending"),
            ("Always", &[("0", false)], &["W"], "Pending"),
            ("Always", &[("0", false)], &[R], "Running"),
            ("Always", &[("1", false)], &["W"], "Pending"),
            ("Never", &[("1", false)], &["W"], "Failed"),
            ("Always", &[("starting", true)], &["W"], "Pending"),
            ("Always", &[(R, true)], &[R], "Running"),
            ("Always", &[("starting", true)], &[R], "Running"),
            ("Never", &[(R, true)], &["0"], "Running"),
            ("Never", &[("0", true)], &["0"], "Succeeded"),
            ("OnFailure", &[("137", true)], &["0"], "Succeeded"),
        ];
        for (policy, init, main, expected) in table {
            assert_eq!(check(policy, init, main, false), *expected, "{policy} {init:?} {main:?}");
        }
    }
}
