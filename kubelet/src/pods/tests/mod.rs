//! Whole lives of pods on a runtime and an API server that only pretend, under paused time.

mod cluster;
mod ends;
mod lives;
mod needs;
mod probes;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Context};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};

use super::mailbox::Eviction;
use super::manager::Manager;
use crate::fake::FakeRuntime;
use crate::node::Node;
use crate::pod;
use crate::volumes::paths::Paths;
use cluster::FakeCluster;

/// Moves with tokio's time, from a whole second on: statuses keep no parts of seconds, and the tests count seconds.
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000).unwrap() + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
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
        Self::on(FakeRuntime::new(Arc::new(TokioClock(tokio::time::Instant::now()))), FakeCluster::default(), dir)
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

    /// Waits until there is something to give back, looking every 5 ms; time stands still but for timers.
    #[track_caller]
    fn when<T>(&self, what: &'static str, look: impl Fn() -> Option<T>) -> impl Future<Output = T> {
        let caller = std::panic::Location::caller();
        async move {
            for _ in 0..100_000 {
                if let Some(found) = look() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            panic!("{caller}: not {what}: {:#?}\nevents: {:#?}", self.status(), self.events());
        }
    }

    /// Waits until the API's status looks like that.
    #[track_caller]
    fn until(&self, what: &'static str, check: impl Fn(&PodStatus) -> bool) -> impl Future<Output = PodStatus> {
        self.when(what, move || self.status().filter(|status| check(status)))
    }

    #[track_caller]
    fn until_gone(&self) -> impl Future<Output = ()> {
        self.when("gone", || (self.status().is_none() && self.manager.pods().is_empty()).then_some(()))
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
