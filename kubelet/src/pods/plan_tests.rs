//! Tables for the plan: a pod, what the runtime has, what is remembered; and what is done next.

use super::*;
use crate::known::memory::{Failure, Memory, Probed, Retry, Step, Termination};
use crate::runtime::Sandbox;
use serde_json::{Value, json};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).unwrap()
}

/// A case: builder, then `check`.
struct Case {
    spec: Value,
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
    memory: Memory,
    now: i64,
}

fn sandbox(id: &str, attempt: u32, ready: bool) -> Sandbox {
    Sandbox {
        id: id.into(),
        namespace: "ns".into(),
        name: "p".into(),
        uid: "u".into(),
        attempt,
        ready,
        created_at: at(0),
        ips: vec!["10.0.0.1".parse().unwrap()],
    }
}

/// A pod with a ready sandbox `s`, volumes made, and the given lists of containers (each with image `i` unless it says).
fn pod(init: Value, main: Value) -> Case {
    let with_image = |list: Value| {
        let mut list = list;
        for c in list.as_array_mut().unwrap() {
            if c.get("image").is_none() {
                c["image"] = json!("i");
            }
        }
        list
    };
    let mut memory = Memory::new(at(0));
    memory.volumes = Step::Done;
    let spec = json!({"initContainers": with_image(init), "containers": with_image(main)});
    Case { spec, sandboxes: vec![sandbox("s", 0, true)], containers: vec![], memory, now: 100 }
}

fn simple() -> Case {
    pod(json!([]), json!([{"name": "c"}]))
}

impl Case {
    fn set(mut self, key: &str, value: Value) -> Self {
        self.spec[key] = value;
        self
    }

    fn sandboxes(mut self, sandboxes: Vec<Sandbox>) -> Self {
        self.sandboxes = sandboxes;
        self
    }

    /// `what`: `up`, `created`, `unknown`, or an exit code; ended containers ended at 90.
    fn has(self, name: &str, attempt: u32, what: &str) -> Self {
        self.has_in("s", name, attempt, what)
    }

    fn has_in(mut self, sandbox: &str, name: &str, attempt: u32, what: &str) -> Self {
        let (state, code) = match what {
            "up" => (ContainerState::Running, None),
            "created" => (ContainerState::Created, None),
            "unknown" => (ContainerState::Unknown, None),
            code => (ContainerState::Exited, Some(code.parse().unwrap())),
        };
        self.containers.push(Container {
            id: format!("{name}{attempt}"),
            sandbox: sandbox.into(),
            name: name.into(),
            attempt,
            image: "i".into(),
            state,
            created_at: at(80),
            started_at: Some(at(80)),
            finished_at: code.map(|_| at(90)),
            exit_code: code,
            reason: String::new(),
            message: String::new(),
            pid: None,
        });
        self
    }

    fn remember(mut self, change: impl FnOnce(&mut Memory)) -> Self {
        change(&mut self.memory);
        self
    }

    fn terminating(self, since: i64, grace_seconds: i64) -> Self {
        let (reason, message) = (String::new(), String::new());
        self.remember(|m| {
            m.termination = Some(Termination { since: at(since), grace_seconds, deletion: true, reason, message });
        })
    }

    fn plan(&self) -> Plan {
        let object = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": self.spec});
        let pod: Pod = serde_json::from_value(object).unwrap();
        let seen = Observed::new(&pod, self.sandboxes.clone(), self.containers.clone());
        plan(&pod, &seen, &self.memory, at(self.now))
    }

    /// Compares actions in short form, e.g. `start c#1 stop c0/30 wake+5`.
    #[track_caller]
    fn check(self, expected: &str) {
        let plan = self.plan();
        let mut words: Vec<String> = plan.actions.iter().map(short).collect();
        words.extend(plan.wake.map(|wake| format!("wake+{}", wake.duration_since(at(self.now)).as_secs())));
        assert_eq!(words.join(" "), expected);
    }
}

fn short(action: &Action) -> String {
    match action {
        Action::PrepareVolumes => "volumes".into(),
        Action::RunSandbox { attempt } => format!("sandbox#{attempt}"),
        Action::StopSandbox { id } => format!("stop-sandbox:{id}"),
        Action::Start { container, attempt, .. } => format!("start:{container}#{attempt}"),
        Action::Stop { id, grace, .. } => format!("stop:{id}/{}", grace.as_secs()),
        Action::Terminate { reason, .. } => format!("terminate:{reason}"),
        Action::Finished => "finished".into(),
    }
}

/// Lets a closure end with something that is of no interest.
fn keep<T>(_: T) {}

fn probed(startup: Option<bool>, liveness: Option<bool>) -> Probed {
    Probed { startup, liveness, readiness: None }
}

#[test]
fn a_new_pod_gets_volumes_and_a_sandbox_then_its_containers_in_order() {
    simple().sandboxes(vec![]).remember(|m| m.volumes = Step::Todo).check("volumes sandbox#0");
    simple().sandboxes(vec![]).remember(|m| (m.volumes, m.sandbox) = (Step::Busy, Step::Busy)).check("");
    simple().remember(|m| m.volumes = Step::Busy).check("");
    simple().remember(|m| m.volumes = Step::Failed { retry: at(105) }).check("wake+5");
    simple().remember(|m| m.volumes = Step::Failed { retry: at(99) }).check("volumes");
    simple().sandboxes(vec![]).remember(|m| m.sandbox = Step::Failed { retry: at(101) }).check("wake+1");
    simple().check("start:c#0");
    let two = || pod(json!([]), json!([{"name": "b"}, {"name": "a"}]));
    two().check("start:b#0");
    two().remember(|m| m.starting = Some("b".into())).check("");
    two().has("b", 0, "up").check("start:a#0");
    two().has("b", 0, "up").has("a", 0, "up").check("");
}

#[test]
fn a_sandbox_that_is_lost_is_replaced_if_something_is_left_to_run() {
    let dead = || vec![sandbox("s", 0, false)];
    simple().sandboxes(dead()).has("c", 0, "137").check("sandbox#1");
    simple().sandboxes(dead()).has("c", 0, "up").check("stop:c0/30");
    let never = || simple().set("restartPolicy", json!("Never")).sandboxes(dead());
    never().has("c", 0, "137").check("finished");
    never().check("sandbox#1");
    let on_failure = || simple().set("restartPolicy", json!("OnFailure")).sandboxes(dead());
    on_failure().has("c", 0, "0").check("finished");
    on_failure().has("c", 0, "1").check("sandbox#1");
    let both = vec![sandbox("s", 0, true), sandbox("t", 1, true)];
    simple().sandboxes(both).check("stop-sandbox:s start:c#0");
    let replaced = vec![sandbox("s", 0, false), sandbox("t", 1, true)];
    simple().sandboxes(replaced.clone()).has("c", 3, "137").check("start:c#4");
    simple().sandboxes(replaced).has_in("t", "c", 4, "up").check("");
}

#[test]
fn restart_policies() {
    for (policy, code, expected) in [
        ("Always", "0", "start:c#1"),
        ("Always", "1", "start:c#1"),
        ("OnFailure", "1", "start:c#1"),
        ("OnFailure", "0", "stop-sandbox:s"),
        ("Never", "1", "stop-sandbox:s"),
    ] {
        simple().set("restartPolicy", json!(policy)).has("c", 0, code).check(expected);
    }
    let stopped = |m: &mut Memory| keep(m.sandboxes_stopping.insert("s".into(), Step::Done));
    let ended = simple().set("restartPolicy", json!("Never")).has("c", 0, "0");
    ended.remember(stopped).check("finished");
    // One ended for good, another goes on.
    let two = pod(json!([]), json!([{"name": "a"}, {"name": "b"}])).set("restartPolicy", json!("Never"));
    two.has("a", 0, "0").has("b", 0, "up").check("");
    // Made but not started when the kubelet died.
    simple().has("c", 0, "created").check("start:c#1");
}

#[test]
fn crashes_wait_longer_each_time() {
    let crashed = |runs: usize| {
        simple().has("c", 1, "1").remember(|m| (0..runs).for_each(|_| m.crashes.next("c", at(85), at(85))))
    };
    crashed(0).check("start:c#2");
    crashed(1).check("start:c#2");
    crashed(2).check("wake+10");
    crashed(3).check("wake+30");
    crashed(9).check("wake+290");
    let waiting = crashed(2).plan().waiting;
    let message = "back-off 20s restarting failed container=c pod=p_ns(u)";
    assert_eq!(waiting["c"], Waiting { reason: "CrashLoopBackOff".into(), message: message.into() });
    // Another container is not held up.
    let two = pod(json!([]), json!([{"name": "c"}, {"name": "d"}])).has("c", 1, "1");
    two.remember(|m| (0..2).for_each(|_| m.crashes.next("c", at(85), at(85)))).check("start:d#0 wake+10");
}

#[test]
fn failed_starts_wait_for_what_they_lack() {
    let failed = |retry| {
        let failure = Failure { reason: "X".into(), message: "why".into(), at: at(95), retry };
        simple().remember(|m| keep(m.failures.insert("c".into(), failure)))
    };
    failed(Retry::At(at(110))).check("wake+10");
    failed(Retry::At(at(100))).check("start:c#0");
    let pulls = |m: &mut Memory| m.pulls.next("i", at(95), at(95));
    let waits = failed(Retry::Image("i".into())).remember(pulls);
    assert_eq!(waits.plan().waiting["c"].reason, "ImagePullBackOff");
    assert_eq!(waits.plan().waiting["c"].message, "Back-off pulling image \"i\": X: why");
    waits.check("wake+5");
    failed(Retry::Crash).check("start:c#0");
    failed(Retry::Crash).remember(|m| m.crashes.next("c", at(95), at(95))).check("wake+5");
    // At first it shows as ErrImagePull.
    let mut fresh = failed(Retry::Image("i".into())).remember(pulls);
    fresh.now = 95;
    assert!(fresh.plan().waiting.is_empty());
    fresh.check("wake+1");
}

#[test]
fn init_containers_run_one_after_the_other() {
    let two = || pod(json!([{"name": "x"}, {"name": "y"}]), json!([{"name": "c"}]));
    two().check("start:x#0");
    two().has("x", 0, "up").check("");
    two().has("x", 0, "0").check("start:y#0");
    two().has("x", 0, "0").has("y", 0, "0").check("start:c#0");
    two().has("x", 0, "1").check("start:x#1");
    two().has("x", 0, "0").has("y", 0, "1").check("start:y#1");
    two().has("y", 0, "0").check("start:c#0");
    two().has("x", 0, "0").has("y", 0, "0").has("c", 0, "1").check("start:c#1");
    two().has("c", 0, "up").check("");
    let never = || two().set("restartPolicy", json!("Never"));
    never().has("x", 0, "1").check("stop-sandbox:s");
    never().has("x", 0, "0").has("y", 0, "0").has("c", 0, "0").check("stop-sandbox:s");
    // A new sandbox runs them again, and main containers only after them.
    let new = vec![sandbox("s", 0, false), sandbox("t", 1, true)];
    two().sandboxes(new.clone()).has("x", 0, "0").has("y", 0, "0").has("c", 0, "1").check("start:x#1");
    two().sandboxes(new).has_in("t", "x", 1, "0").has("y", 0, "0").has("c", 0, "1").check("start:y#1");
}

#[test]
fn sidecars_start_before_and_stay_up_beside_the_main_containers() {
    let side = |probe: Value| {
        let mut sidecar = json!({"name": "s1", "restartPolicy": "Always"});
        if !probe.is_null() {
            sidecar["startupProbe"] = probe;
        }
        pod(json!([sidecar, {"name": "x"}]), json!([{"name": "c"}]))
    };
    let plain = || side(Value::Null);
    plain().check("start:s1#0");
    plain().has("s1", 0, "up").check("start:x#0");
    plain().has("s1", 0, "up").has("x", 0, "0").check("start:c#0");
    plain().has("s1", 0, "0").has("x", 0, "up").check("start:s1#1");
    plain().has("s1", 0, "1").has("x", 0, "0").has("c", 0, "up").check("start:s1#1");
    // Its startup probe holds the others up.
    side(json!({})).has("s1", 0, "up").check("");
    let passed = |m: &mut Memory| keep(m.probed.insert("s10".into(), probed(Some(true), None)));
    side(json!({})).has("s1", 0, "up").remember(passed).check("start:x#0");
    let failed = |m: &mut Memory| keep(m.probed.insert("s10".into(), probed(Some(false), None)));
    side(json!({})).has("s1", 0, "up").remember(failed).check("stop:s10/30");
    // It does not keep an ended pod alive, and is not started again for one.
    let ended = || plain().set("restartPolicy", json!("Never")).has("x", 0, "0").has("c", 0, "0");
    ended().has("s1", 0, "up").check("stop:s10/30");
    ended().has("s1", 0, "1").check("stop-sandbox:s");
}

#[test]
fn probes_condemn_containers() {
    let probe = |kind: &str, policy: &str| {
        pod(json!([]), json!([{"name": "c", kind: {"terminationGracePeriodSeconds": 7}}]))
            .set("restartPolicy", json!(policy))
            .has("c", 0, "up")
    };
    let live = |ok| move |m: &mut Memory| keep(m.probed.insert("c0".into(), probed(None, Some(ok))));
    probe("livenessProbe", "Always").remember(live(true)).check("");
    probe("livenessProbe", "Always").remember(live(false)).check("stop:c0/7");
    probe("readinessProbe", "Always").remember(live(false)).check("");
    let message = |case: Case| match &case.plan().actions[0] {
        Action::Stop { message, .. } => message.clone(),
        other => panic!("{other:?}"),
    };
    let text = message(probe("livenessProbe", "Always").remember(live(false)));
    assert_eq!(text, "Container c failed liveness probe, will be restarted");
    let text = message(probe("livenessProbe", "Never").remember(live(false)));
    assert_eq!(text, "Container c failed liveness probe");
    let start = |m: &mut Memory| keep(m.probed.insert("c0".into(), probed(Some(false), None)));
    let text = message(probe("startupProbe", "Always").remember(start));
    assert_eq!(text, "Container c failed startup probe, will be restarted");
    // While it is being stopped nothing else happens.
    let stopping = |m: &mut Memory| keep(m.stopping.insert("c0".into(), at(107)));
    probe("livenessProbe", "Always").remember(live(false)).remember(stopping).check("");
}

#[test]
fn another_image_or_a_lost_container_is_replaced() {
    pod(json!([]), json!([{"name": "c", "image": "j"}])).has("c", 0, "up").check("stop:c0/30");
    simple().has("c", 0, "unknown").check("stop:c0/30");
    pod(json!([]), json!([{"name": "c", "image": "j"}])).has("c", 0, "137").check("start:c#1");
}

#[test]
fn termination_stops_main_containers_then_sidecars_in_reverse_then_the_sandbox() {
    let sidecars = json!([{"name": "s1", "restartPolicy": "Always"}, {"name": "s2", "restartPolicy": "Always"}]);
    let all = || pod(sidecars.clone(), json!([{"name": "a"}, {"name": "b"}])).has("s1", 0, "up").has("s2", 0, "up");
    all().has("a", 0, "up").has("b", 0, "up").terminating(95, 30).check("stop:a0/25 stop:b0/25");
    all().has("a", 0, "0").has("b", 0, "up").terminating(95, 30).check("stop:b0/25");
    all().has("a", 0, "0").has("b", 0, "0").terminating(80, 30).check("stop:s20/10");
    let last = || pod(sidecars.clone(), json!([{"name": "a"}])).has("s1", 0, "up").has("s2", 0, "0").has("a", 0, "0");
    last().terminating(60, 30).check("stop:s10/2");
    let none = || simple().has("c", 0, "0").terminating(95, 30);
    none().check("stop-sandbox:s");
    none().remember(|m| keep(m.sandboxes_stopping.insert("s".into(), Step::Busy))).check("");
    none().remember(|m| keep(m.sandboxes_stopping.insert("s".into(), Step::Failed { retry: at(101) }))).check("wake+1");
    none().sandboxes(vec![sandbox("s", 0, false)]).check("finished");
    simple().sandboxes(vec![]).terminating(95, 30).check("finished");
    // What is being made is waited for, or it would be left behind.
    simple().sandboxes(vec![]).remember(|m| m.sandbox = Step::Busy).terminating(95, 30).check("");
    simple().remember(|m| m.starting = Some("c".into())).terminating(95, 30).check("");
}

#[test]
fn a_shorter_grace_period_is_asked_for_again() {
    let stopping = |until| move |m: &mut Memory| keep(m.stopping.insert("c0".into(), at(until)));
    simple().has("c", 0, "up").terminating(95, 30).remember(stopping(125)).check("");
    simple().has("c", 0, "up").terminating(95, 6).remember(stopping(125)).check("stop:c0/2");
    simple().has("c", 0, "up").terminating(95, 0).remember(stopping(102)).check("");
}

#[test]
fn an_active_deadline_ends_the_pod() {
    let limited = |seconds| simple().set("activeDeadlineSeconds", json!(seconds)).has("c", 0, "up");
    limited(150).check("wake+50");
    limited(100).check("terminate:DeadlineExceeded");
    let ended = |m: &mut Memory| {
        let (reason, message) = ("DeadlineExceeded".into(), String::new());
        m.termination = Some(Termination { since: at(100), grace_seconds: 30, deletion: false, reason, message });
    };
    limited(100).remember(ended).check("stop:c0/30");
}

#[test]
fn a_finished_pod_stays_finished() {
    simple().remember(|m| m.finished = true).check("stop-sandbox:s");
    simple().sandboxes(vec![]).remember(|m| m.finished = true).check("finished");
    simple().has("c", 0, "up").remember(|m| m.finished = true).check("stop:c0/30");
}
