//! Whole lives of pods on a runtime and an API server that only pretend, under paused time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Context};
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus, Service};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::mailbox::Eviction;
use super::manager::Manager;
use crate::cluster::{Cluster, Interest, OnChange, Severity, Token, WriteError};
use crate::fake::FakeRuntime;
use crate::node::Node;
use crate::objects::{Fetched, Reference};
use crate::pod;
use crate::volumes::paths::Paths;

/// A clock that moves with tokio's time.
pub struct TokioClock(tokio::time::Instant);

impl TokioClock {
    /// Starts now, in the year 2026.
    pub fn new() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Default)]
struct Api {
    objects: BTreeMap<String, Pod>,
    config_maps: BTreeMap<String, BTreeMap<String, String>>,
    events: Vec<String>,
    writes: usize,
    down: bool,
    listeners: Vec<OnChange>,
}

/// An API server that only pretends. Statuses are merged shallowly, which is all that the patches need here.
#[derive(Clone, Default)]
struct FakeCluster(Arc<Mutex<Api>>);

struct FakeInterest(FakeCluster, BTreeSet<Reference>);

impl Interest for FakeInterest {
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>> {
        let api = self.0.0.lock();
        let mut fetched = Fetched::default();
        for reference in &self.1 {
            let Reference::ConfigMap(name) = reference else { continue };
            let found = api.config_maps.get(name).map(|data| {
                let data = Some(data.clone());
                Arc::new(k8s_openapi::api::core::v1::ConfigMap { data, ..Default::default() })
            });
            fetched.config_maps.insert(name.clone(), found);
        }
        Box::pin(std::future::ready(Ok(fetched)))
    }
}

impl Cluster for FakeCluster {
    fn follow(&self, _: &str, references: BTreeSet<Reference>, changed: OnChange) -> Box<dyn Interest> {
        self.0.lock().listeners.push(changed);
        Box::new(FakeInterest(self.clone(), references))
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<Arc<Service>>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn token<'a>(&'a self, _: &'a Pod, _: &'a str, _: i64) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(std::future::ready(Err("no tokens".into())))
    }

    fn patch_status<'a>(
        &'a self,
        _: &'a str,
        name: &'a str,
        patch: Value,
    ) -> BoxFuture<'a, Result<Arc<Pod>, WriteError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut api = self.0.lock();
            if api.down {
                return Err(WriteError::Retry("connection refused".into()));
            }
            api.writes += 1;
            let object = api.objects.get_mut(name).ok_or(WriteError::Gone)?;
            if patch["metadata"]["uid"] != json!(object.metadata.uid) {
                return Err(WriteError::Gone);
            }
            let mut status = serde_json::to_value(object.status.clone().unwrap_or_default()).unwrap();
            for (key, value) in patch["status"].as_object().unwrap() {
                let target = &mut status[key];
                match (key.as_str(), target.as_array_mut()) {
                    ("conditions", Some(all)) => {
                        for change in value.as_array().unwrap() {
                            all.retain(|c| c["type"] != change["type"]);
                            all.push(change.clone());
                        }
                    }
                    _ => *target = value.clone(),
                }
            }
            object.status = Some(serde_json::from_value(status).unwrap());
            Ok(Arc::new(object.clone()))
        })
    }

    fn delete<'a>(&'a self, _: &'a str, name: &'a str, uid: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        let mut api = self.0.lock();
        let result = match api.objects.get(name) {
            _ if api.down => Err(WriteError::Retry("connection refused".into())),
            Some(object) if pod::uid(object) == uid => {
                api.objects.remove(name);
                Ok(())
            }
            _ => Err(WriteError::Gone),
        };
        Box::pin(std::future::ready(result))
    }

    fn event(&self, _: &Pod, field: Option<&str>, severity: Severity, reason: &str, message: &str) {
        let field = field.map(|f| format!("{f}: ")).unwrap_or_default();
        let mark = if severity == Severity::Warning { "!" } else { "" };
        self.0.lock().events.push(format!("{mark}{reason} {field}{message}"));
    }
}

struct World {
    context: Context,
    runtime: FakeRuntime,
    cluster: FakeCluster,
    manager: Manager,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::on(FakeRuntime::new(Arc::new(TokioClock::new())), FakeCluster::default(), dir)
    }

    fn on(runtime: FakeRuntime, cluster: FakeCluster, dir: tempfile::TempDir) -> Self {
        let node = Arc::new(Node {
            runtime: Arc::new(runtime.clone()),
            cluster: Arc::new(cluster.clone()),
            clock: runtime.clock(),
            paths: Paths::new(dir.path()),
            name: "n1".into(),
            ips: vec!["192.168.0.1".parse().unwrap()],
            allocatable: [("cpu".to_string(), 4000)].into(),
            memory: 1 << 30,
            dns: Default::default(),
        });
        let context = Context::new();
        let manager = Manager::new(node, context.clone());
        context.spawn("runtime-events", manager.clone().follow_runtime());
        Self { context, runtime, cluster, manager, _dir: dir }
    }

    fn pod(&self, spec: Value) -> Arc<Pod> {
        let object = json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "1",
            "generation": 1}, "spec": spec});
        let pod: Pod = serde_json::from_value(object).unwrap();
        self.cluster.0.lock().objects.insert("p".into(), pod.clone());
        Arc::new(pod)
    }

    fn run(&self, spec: Value) -> Arc<Pod> {
        let pod = self.pod(spec);
        self.manager.update(pod.clone());
        pod
    }

    fn delete(&self, grace: i64) {
        let now = self.runtime.clock().now();
        let mut api = self.cluster.0.lock();
        let object = api.objects.get_mut("p").unwrap();
        object.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
        object.metadata.deletion_grace_period_seconds = Some(grace);
        let object = Arc::new(object.clone());
        drop(api);
        self.manager.update(object);
    }

    fn status(&self) -> Option<PodStatus> {
        self.cluster.0.lock().objects.get("p").map(|p| p.status.clone().unwrap_or_default())
    }

    /// Waits until the API's status looks like that; time stands still but for timers.
    #[track_caller]
    fn until(&self, what: &'static str, check: impl Fn(&PodStatus) -> bool) -> impl Future<Output = PodStatus> {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..100_000 {
                if let Some(status) = self.status().filter(|s| check(s)) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("{caller}: not {what}: {:#?}\nevents: {:#?}", self.status(), self.events());
        }
    }

    async fn until_gone(&self) {
        for _ in 0..100_000 {
            if self.status().is_none() && self.manager.pods().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("still there: {:#?}\nevents: {:#?}", self.status(), self.events());
    }

    fn events(&self) -> Vec<String> {
        self.cluster.0.lock().events.clone()
    }

    fn seconds(&self) -> i64 {
        self.runtime.clock().monotonic().as_secs().try_into().unwrap()
    }
}

fn phase(status: &PodStatus) -> &str {
    status.phase.as_deref().unwrap_or_default()
}

fn running(status: &PodStatus) -> bool {
    phase(status) == "Running"
}

fn condition(status: &PodStatus, name: &str) -> String {
    let found = status.conditions.iter().flatten().find(|c| c.type_ == name);
    found.map(|c| format!("{}/{}", c.status, c.reason.clone().unwrap_or_default())).unwrap_or_default()
}

/// Reason that container `index` waits for.
fn waits(status: &PodStatus, index: usize) -> String {
    let container = status.container_statuses.as_ref().and_then(|s| s.get(index));
    let waiting = container.and_then(|c| c.state.clone()).and_then(|s| s.waiting);
    waiting.and_then(|w| w.reason).unwrap_or_default()
}

fn container() -> Value {
    json!({"name": "c", "image": "app:1"})
}

#[tokio::test(start_paused = true)]
async fn a_pod_runs_and_is_deleted() {
    let world = World::new();
    world.run(json!({"containers": [container()]}));
    let status = world.until("running", running).await;
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"));
    assert_eq!(status.host_ip.as_deref(), Some("192.168.0.1"));
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert!(c.ready && c.started == Some(true) && c.container_id.as_ref().unwrap().starts_with("fake://"));
    assert_eq!(c.image_id, "fake/app:1");
    for name in ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"] {
        assert_eq!(condition(&status, name), "True/", "{name}");
    }
    let events = world.events();
    assert_eq!(
        events[1..],
        [
            "Pulled spec.containers{c}: Successfully pulled image \"app:1\" in 0ms (0ms including waiting)",
            "Created spec.containers{c}: Container created",
            "Started spec.containers{c}: Container started",
        ]
    );
    world.delete(30);
    world.until_gone().await;
    assert!(world.runtime.is_empty(), "nothing is left in the runtime");
    assert!(world.events().contains(&"Killing spec.containers{c}: Stopping container c".to_string()));
    assert!(world.cluster.0.lock().writes <= 4, "no storm of writes: {}", world.cluster.0.lock().writes);
}

#[tokio::test(start_paused = true)]
async fn a_crashing_container_backs_off() {
    let world = World::new();
    world.runtime.script("c", &["exit 1 after 1", "exit 1 after 1", "run"]);
    world.run(json!({"containers": [container()]}));
    let status = world.until("backing off", |s| waits(s, 0) == "CrashLoopBackOff").await;
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!(c.restart_count, 1);
    let last = c.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
    let message = c.state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    assert_eq!(message, "back-off 10s restarting failed container=c pod=p_ns(u)");
    assert_eq!((phase(&status), condition(&status, "Ready").as_str()), ("Running", "False/ContainersNotReady"));
    world
        .until("running again", |s| {
            s.container_statuses.as_ref().unwrap()[0].restart_count == 2 && waits(s, 0).is_empty()
        })
        .await;
    assert_eq!(world.seconds(), 12, "1 s run, at once, 1 s run, 10 s wait");
    let backoff = "!BackOff spec.containers{c}: Back-off restarting failed container c in pod p_ns(u)";
    assert_eq!(world.events().iter().filter(|e| *e == backoff).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn phases_of_pods_that_end() {
    for (policy, script, expected, condition_reason) in [
        ("Never", "exit 0 after 1", "Succeeded", "False/PodCompleted"),
        ("Never", "exit 3 after 1", "Failed", "False/PodFailed"),
        ("OnFailure", "exit 0 after 1", "Succeeded", "False/PodCompleted"),
    ] {
        let world = World::new();
        world.runtime.script("c", &[script]);
        world.run(json!({"restartPolicy": policy, "containers": [container()]}));
        let status = world.until("ended", |s| phase(s) == expected).await;
        assert_eq!(condition(&status, "Ready"), condition_reason, "{policy} {script}");
        assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.1"), "the address stays readable");
        assert_eq!(world.runtime.started("c"), 1);
        world.delete(0);
        world.until_gone().await;
        assert!(world.runtime.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn init_containers_and_sidecars() {
    let world = World::new();
    world.runtime.script("init", &["exit 0 after 2"]);
    world.runtime.script("c", &["exit 0 after 5"]);
    world.run(json!({"restartPolicy": "Never",
        "initContainers": [{"name": "init", "image": "app:1"}, {"name": "side", "image": "app:1", "restartPolicy": "Always"}],
        "containers": [container()]}));
    let status = world
        .until("initializing", |s| {
            s.init_container_statuses.as_ref().is_some_and(|i| i[0].state.as_ref().is_some_and(|s| s.running.is_some()))
        })
        .await;
    assert_eq!((phase(&status), waits(&status, 0).as_str()), ("Pending", "PodInitializing"));
    assert_eq!(condition(&status, "Initialized"), "False/ContainersNotInitialized");
    let status = world.until("running", running).await;
    assert_eq!(condition(&status, "Ready"), "True/");
    world.until("succeeded", |s| phase(s) == "Succeeded").await;
    assert_eq!(world.runtime.order(), ["init", "side", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_run_is_said_and_tried_again() {
    let world = World::new();
    world.runtime.refuse_image("nope:1");
    world.run(json!({"containers": [{"name": "c", "image": "nope:1"}]}));
    let status = world.until("ErrImagePull", |s| waits(s, 0) == "ErrImagePull").await;
    assert_eq!(phase(&status), "Pending");
    world.until("ImagePullBackOff", |s| waits(s, 0) == "ImagePullBackOff").await;
    let events = world.events();
    for expected in [
        "Pulling spec.containers{c}: Pulling image \"nope:1\"",
        "!Failed spec.containers{c}: Failed to pull image \"nope:1\": cannot run nope:1",
        "!Failed spec.containers{c}: Error: ErrImagePull",
        "BackOff spec.containers{c}: Back-off pulling image \"nope:1\"",
        "!Failed spec.containers{c}: Error: ImagePullBackOff",
    ] {
        assert!(events.iter().any(|e| e == expected), "{expected}: {events:#?}");
    }
    world.runtime.accept_images();
    world.until("running", running).await;
    assert_eq!(world.seconds(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_missing_config_map_holds_a_container_until_it_appears() {
    let world = World::new();
    let env = json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "a"}}}]);
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "env": env}]}));
    let status = world.until("waiting", |s| waits(s, 0) == "CreateContainerConfigError").await;
    let state = status.container_statuses.unwrap()[0].state.clone().unwrap();
    assert_eq!(state.waiting.unwrap().message.as_deref(), Some("configmap \"m\" not found"));
    let listeners = {
        let mut api = world.cluster.0.lock();
        api.config_maps.insert("m".into(), [("a".to_string(), "1".to_string())].into());
        api.listeners.clone()
    };
    let before = world.seconds();
    listeners.iter().for_each(|changed| changed());
    world.until("running", running).await;
    assert_eq!(world.seconds(), before, "at once, not after the back-off");
    assert!(world.runtime.env("c").contains(&("A".to_string(), "1".to_string())));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_cannot_be_made_is_an_event_and_the_pod_waits() {
    let world = World::new();
    world.run(json!({"containers": [container()], "volumes": [{"name": "v", "configMap": {"name": "m"}}]}));
    world.until("creating", |s| waits(s, 0) == "ContainerCreating").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let expected = "!FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"m\" not found";
    assert!(world.events().iter().any(|e| e == expected), "{:#?}", world.events());
    world.cluster.0.lock().config_maps.insert("m".into(), [("k".to_string(), "1".to_string())].into());
    world.until("running", running).await;
    let file = world._dir.path().join("pods/u/volumes/kubernetes.io~configmap/v/k");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "1");
    // A change is seen live.
    world.cluster.0.lock().config_maps.insert("m".into(), [("k".to_string(), "2".to_string())].into());
    let listeners = world.cluster.0.lock().listeners.clone();
    listeners.iter().for_each(|changed| changed());
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if std::fs::read_to_string(&file).unwrap() == "2" {
            return;
        }
    }
    panic!("the volume still shows the old value");
}

#[tokio::test(start_paused = true)]
async fn termination_waits_for_the_grace_period_and_can_be_shortened() {
    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM"]);
    world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    let before = world.seconds();
    world.delete(20);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 20);

    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM"]);
    world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    world.delete(600);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(world.status().is_some());
    let before = world.seconds();
    world.delete(0);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 2, "the least there is");
}

#[tokio::test(start_paused = true)]
async fn an_active_deadline_fails_the_pod() {
    let world = World::new();
    world.run(json!({"activeDeadlineSeconds": 5, "containers": [container()]}));
    world.until("running", running).await;
    let status = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    assert!((5..7).contains(&world.seconds()));
}

#[tokio::test(start_paused = true)]
async fn without_an_api_server_pods_go_on_and_their_status_follows() {
    let world = World::new();
    world.cluster.0.lock().down = true;
    world.runtime.script("c", &["exit 1 after 1", "run"]);
    world.run(json!({"containers": [container()]}));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.runtime.started("c"), 2);
    assert_eq!(world.status(), Some(PodStatus::default()));
    world.cluster.0.lock().down = false;
    world.until("running", |s| running(s) && s.container_statuses.as_ref().unwrap()[0].restart_count == 1).await;
    world.cluster.0.lock().down = true;
    world.delete(1);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.status().is_some());
    world.cluster.0.lock().down = false;
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_adopts_what_runs_and_removes_what_nobody_knows() {
    let first = World::new();
    first.run(
        json!({"containers": [{"name": "c", "image": "app:1", "readinessProbe": {"exec": {"command": ["true"]}}}]}),
    );
    let ready = |s: &PodStatus| condition(s, "Ready") == "True/";
    let before = first.until("ready", ready).await;
    first.runtime.add_sandbox("stranger");
    assert!(first.context.shutdown(Duration::from_secs(1)).await);
    let World { runtime, cluster, _dir, .. } = first;
    runtime.exec_answers(1);
    let second = World::on(runtime, cluster, _dir);
    let object = second.cluster.0.lock().objects["p"].clone();
    let writes = second.cluster.0.lock().writes;
    second.manager.update(Arc::new(object));
    second.manager.remove_orphans().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(second.runtime.started("c"), 1, "not restarted");
    assert_eq!(second.runtime.sandbox_uids(), ["u"]);
    let after = second.status().unwrap();
    assert!(ready(&after), "ready until its probe says otherwise");
    assert_eq!(after.container_statuses, before.container_statuses);
    assert_eq!(second.cluster.0.lock().writes, writes, "nothing new to write");
    second.until("unready", |s| condition(s, "Ready") == "False/ContainersNotReady").await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_liveness_probe_restarts_the_container() {
    let world = World::new();
    world.runtime.exec_answers(1);
    let probe = json!({"exec": {"command": ["check"]}, "periodSeconds": 2, "failureThreshold": 2});
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "livenessProbe": probe}]}));
    world.until("restarted", |s| s.container_statuses.as_ref().is_some_and(|c| c[0].restart_count == 1)).await;
    let events = world.events();
    assert!(events.contains(&"!Unhealthy spec.containers{c}: Liveness probe failed: out".to_string()), "{events:#?}");
    let killing = "Killing spec.containers{c}: Container c failed liveness probe, will be restarted";
    assert!(events.contains(&killing.to_string()), "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn readiness_and_startup_probes_decide_when_a_pod_is_ready() {
    let world = World::new();
    world.runtime.exec_answers(1);
    let probe = json!({"exec": {"command": ["check"]}, "periodSeconds": 1, "failureThreshold": 100});
    world.run(json!({"containers": [{"name": "c", "image": "app:1", "startupProbe": probe, "readinessProbe": probe}]}));
    let status = world.until("running", running).await;
    let c = &status.container_statuses.as_ref().unwrap()[0];
    assert_eq!((c.started, c.ready), (Some(false), false));
    world.runtime.exec_answers(0);
    let status = world.until("ready", |s| condition(s, "Ready") == "True/").await;
    assert_eq!(status.container_statuses.unwrap()[0].started, Some(true));
    world.runtime.exec_answers(1);
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert_eq!(condition(&world.status().unwrap(), "Ready"), "True/", "not before the threshold");
    world.until("unready", |s| condition(s, "Ready") == "False/ContainersNotReady").await;
}

#[tokio::test(start_paused = true)]
async fn hooks_run_around_the_container() {
    let world = World::new();
    let hook = |word: &str| json!({"exec": {"command": [word]}});
    world.run(json!({"containers": [{"name": "c", "image": "app:1",
        "lifecycle": {"postStart": hook("hello"), "preStop": {"sleep": {"seconds": 3}}}}]}));
    world.until("running", |s| condition(s, "Ready") == "True/").await;
    assert_eq!(world.runtime.executed(), ["hello"]);
    let before = world.seconds();
    world.delete(30);
    world.until_gone().await;
    assert_eq!(world.seconds() - before, 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_static_pod_replaces_the_old_one_after_its_end() {
    let world = World::new();
    world.runtime.script("c", &["ignores SIGTERM", "run"]);
    let text = |image: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: s}}, spec: {{terminationGracePeriodSeconds: 4, containers: [{{name: c, image: \"{image}\"}}]}}}}"
        )
    };
    let read =
        |image| Arc::new(crate::sources::manifest::read(&text(image), "/m", "n", Timestamp::UNIX_EPOCH).unwrap());
    let (old, new) = (read("app:1"), read("app:2"));
    world.manager.update(old.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.runtime.sandbox_uids(), [pod::uid(&old)]);
    world.manager.gone(pod::uid(&old));
    world.manager.update(new.clone());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.runtime.sandbox_uids(), [pod::uid(&old)], "the old one still ends");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.runtime.sandbox_uids(), [pod::uid(&new)]);
    // Its mirror gets its status.
    let mut mirror = crate::sources::mirror::mirror_of(&new, None);
    mirror.metadata.uid = Some("mirror".into());
    world.cluster.0.lock().objects.insert("s-n".into(), mirror.clone());
    world.manager.mirror(pod::uid(&new), Some(Arc::new(mirror)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let shown = world.cluster.0.lock().objects["s-n"].clone();
    assert_eq!(phase(pod::status(&shown)), "Running");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_fit_fails_and_takes_no_room() {
    let world = World::new();
    let spec = json!({"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "5"}}}]});
    world.run(spec);
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    let message = "Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000";
    assert_eq!(failed.reason.as_deref(), Some("OutOfcpu"));
    assert_eq!(failed.message, Some(format!("Pod was rejected: {message}")));
    assert!(failed.container_statuses.is_none() && failed.start_time.is_some(), "{failed:?}");
    assert_eq!(world.events(), [format!("!OutOfcpu {message}")]);
    assert!(world.manager.pods().iter().all(|pod| pod::is_terminal(pod::status(pod))));

    // A restarted kubelet finds all said, and says nothing.
    let World { runtime, cluster, _dir, .. } = world;
    let object = Arc::new(cluster.0.lock().objects["p"].clone());
    let writes = cluster.0.lock().writes;
    let world = World::on(runtime, cluster, _dir);
    world.manager.update(object);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.cluster.0.lock().writes, writes);
    assert_eq!(world.status().and_then(|s| s.reason).as_deref(), Some("OutOfcpu"));
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_evicted_fails_and_says_why() {
    let world = World::new();
    let pod = world.run(json!({"containers": [container()]}));
    world.until("running", running).await;
    let message = "The node was low on resource: memory. ".to_string();
    world.manager.evict(pod::uid(&pod), Eviction { message: message.clone(), grace_seconds: 1 });
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!((failed.reason.as_deref(), failed.message.as_ref()), (Some("Evicted"), Some(&message)));
    assert_eq!(condition(&failed, "DisruptionTarget"), "True/TerminationByKubelet");
    assert!(world.events().contains(&format!("!Evicted {message}")), "{:?}", world.events());
    // Its object stays until somebody deletes it; a second eviction is none.
    world.manager.evict(pod::uid(&pod), Eviction { message: "again".into(), grace_seconds: 1 });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.status().and_then(|status| status.message), Some(message));
    world.delete(30);
    world.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_pods_end_hears_of_it_at_once() {
    let world = World::new();
    let uid = pod::uid(&world.run(json!({"containers": [container()]}))).to_string();
    world.until("running", running).await;
    let early = tokio::time::timeout(Duration::from_secs(60), world.manager.until_over(&uid)).await;
    assert!(early.is_err(), "it runs");
    let waiting = tokio::spawn({
        let (manager, uid) = (world.manager.clone(), uid.clone());
        async move { manager.until_over(&uid).await }
    });
    world.manager.evict(&uid, Eviction { message: "low".into(), grace_seconds: 1 });
    waiting.await.unwrap();
    assert!(world.manager.pods().iter().all(|pod| pod::is_terminal(pod::status(pod))));
    // Also of one that was deleted meanwhile, and of one that never was here.
    let waiting = tokio::spawn({
        let (manager, uid) = (world.manager.clone(), uid.clone());
        async move { manager.until_over(&uid).await }
    });
    world.delete(30);
    world.until_gone().await;
    waiting.await.unwrap();
    world.manager.until_over(&uid).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_short_of_disk_takes_no_new_pods() {
    use crate::eviction::plan::Pressure;
    let world = World::new();
    world.manager.pressures().send_replace(vec![Pressure::Disk]);
    world.run(json!({"containers": [container()]}));
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    let message = "Pod was rejected: The node had condition: [DiskPressure]. ";
    assert_eq!((failed.reason.as_deref(), failed.message.as_deref()), (Some("Evicted"), Some(message)));
    assert_eq!(world.runtime.started("c"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_honoured_is_a_waiting_container_and_an_event() {
    let world = World::new();
    world.run(json!({"hostPID": true, "containers": [container()]}));
    let status = world.until("waiting", |s| waits(s, 0) == "CreateContainerConfigError").await;
    let waiting = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(waiting.message.as_deref(), Some("spec.hostPID is not supported by this kubelet's runtime"));
    let event =
        "!Failed spec.containers{c}: Error: spec.hostPID is not supported by this kubelet's runtime".to_string();
    assert!(world.events().contains(&event), "{:?}", world.events());
    assert_eq!(world.runtime.started("c"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_sysctl_that_is_not_safe_fails_the_pod() {
    let world = World::new();
    world.run(
        json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}, "containers": [container()]}),
    );
    let failed = world.until("failed", |s| phase(s) == "Failed").await;
    assert_eq!(failed.reason.as_deref(), Some("SysctlForbidden"));
    assert_eq!(
        failed.message.as_deref(),
        Some("Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted")
    );
}
