//! An API server in memory with some controllers at work, and short ways to play people, scheduler and kubelets.

use std::sync::Arc;
use std::time::Duration;

use apiserver::testing::{self, Server};
use base::Context;
use clap::Parser;
use client::{Client, DeleteOptions, Error, ListOptions, Object, Patch};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Node, Pod};
use serde_json::{Value, json};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: controller_manager::Options,
}

/// See the module.
pub struct Rig {
    pub server: Arc<Server>,
    pub client: Client,
    context: Context,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl Rig {
    /// With the controllers that `controllers` names as the flag does.
    pub async fn start(controllers: &str) -> Self {
        Self::with(&[&format!("--controllers={controllers}")]).await
    }

    /// With these flags; the namespace `default` takes pods.
    pub async fn with(flags: &[&str]) -> Self {
        let server = Arc::new(Server::start().await.unwrap());
        let rig = Self { client: server.client().unwrap(), server, context: Context::new() };
        rig.create::<k8s_openapi::api::core::v1::ServiceAccount>(json!({"metadata": {"name": "default"}})).await;
        rig.run(flags);
        rig
    }

    fn run(&self, flags: &[&str]) {
        let options = Cli::parse_from(["test"].iter().chain(flags)).options;
        controller_manager::start(&self.client, options, self.server.clock.clone(), &self.context).unwrap();
    }

    /// All controllers die and come back with nothing but what the API server knows.
    pub async fn restart(&mut self, flags: &[&str]) {
        assert!(self.context.shutdown(Duration::from_secs(5)).await, "controllers did not end");
        self.context = Context::new();
        self.run(flags);
    }

    /// Creates an object in its namespace, or in `default`.
    pub async fn create<K: Object>(&self, object: Value) -> K {
        self.try_create(object).await.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    pub async fn try_create<K: Object>(&self, object: Value) -> Result<K, Error> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(home::<K>()).to_string();
        let object: K = serde_json::from_value(object).unwrap();
        self.client.create(&namespace, &object).await
    }

    pub async fn get<K: Object>(&self, name: &str) -> Option<K> {
        match self.client.get(home::<K>(), name).await {
            Ok(object) => Some(object),
            Err(error) if error.is_not_found() => None,
            Err(error) => panic!("{}", error.chain()),
        }
    }

    /// All objects of `default`, or of the cluster.
    pub async fn list<K: Object>(&self) -> Vec<K> {
        self.client.list::<K>(home::<K>(), &ListOptions::default()).await.unwrap().items
    }

    pub async fn patch<K: Object>(&self, name: &str, patch: Value) -> K {
        self.client
            .patch(home::<K>(), name, &Patch::Merge(patch))
            .await
            .unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    pub async fn patch_status<K: Object>(&self, name: &str, patch: Value) -> K {
        let patched = self.client.patch_status(home::<K>(), name, &Patch::Strategic(json!({"status": patch}))).await;
        patched.unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    pub async fn delete<K: Object>(&self, name: &str, policy: Option<&'static str>) {
        let options = DeleteOptions { propagation_policy: policy, ..DeleteOptions::default() };
        self.client.delete::<K>(home::<K>(), name, &options).await.unwrap();
    }

    /// Waits until `look` finds something.
    pub async fn eventually<T>(&self, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
        testing::eventually(what, look).await
    }

    /// Lets time pass.
    pub async fn pass(&self, seconds: u64) {
        testing::pass(Duration::from_secs(seconds)).await;
    }

    /// Gives everybody some real time, so that what must not happen could have happened.
    pub async fn settle(&self) {
        for _ in 0..50 {
            testing::breathe().await;
        }
    }

    /// The pods of `default` that are not on their way out, by name.
    pub async fn pods(&self) -> Vec<Pod> {
        let mut pods = self.list::<Pod>().await;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// Waits until there are so many.
    pub async fn pods_are(&self, count: usize) -> Vec<Pod> {
        self.eventually(&format!("{count} pods"), async || Some(self.pods().await).filter(|pods| pods.len() == count))
            .await
    }

    /// Plays scheduler and kubelet: binds pods that have no node to `node`, then reports all of them running and ready.
    pub async fn run_pods(&self, node: &str) {
        for pod in self.pods().await {
            let ready = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            if ready.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                continue;
            }
            self.bind(&pod, node).await;
            self.ready(&pod.key().name, true).await;
        }
    }

    pub async fn bind(&self, pod: &Pod, node: &str) {
        if pod.spec.as_ref().unwrap().node_name.is_none() {
            let key = pod.key();
            self.client.bind(&key.namespace, &key.name, pod.uid(), node).await.unwrap();
        }
    }

    /// Reports a pod as running, ready or not. One that is gone meanwhile is none to report.
    pub async fn ready(&self, name: &str, ready: bool) {
        let status = json!({"status": {"phase": "Running", "podIP": address(name), "podIPs": [{"ip": address(name)}], "conditions": [{
            "type": "Ready", "status": if ready { "True" } else { "False" },
            "lastTransitionTime": self.server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }]}});
        match self.client.patch_status::<Pod>("default", name, &Patch::Strategic(status)).await {
            Err(error) if !error.is_not_found() => panic!("{}", error.chain()),
            _ => {}
        }
    }

    /// Plays the kubelet: what is on its way out has ended.
    pub async fn reap(&self) {
        for pod in self.list::<Pod>().await {
            if pod.metadata.deletion_timestamp.is_some() {
                let now = DeleteOptions::uid(pod.uid()).grace(0);
                let _ = self.client.delete::<Pod>("default", &pod.key().name, &now).await;
            }
        }
    }

    /// Sets of `default` as (name of the image, wanted size), by revision.
    pub async fn sizes(&self) -> Vec<(String, i32)> {
        let mut sets = self.list::<ReplicaSet>().await;
        let revision =
            |set: &ReplicaSet| annotation(set, "deployment.kubernetes.io/revision").parse::<i64>().unwrap_or(0);
        sets.sort_by_key(revision);
        sets.iter().map(|set| (image(set), set.spec.replicas.unwrap_or(1))).collect()
    }

    /// Waits until the sets of `default` have these sizes.
    pub async fn sizes_are(&self, expected: &[(&str, i32)]) {
        let expected: Vec<(String, i32)> = expected.iter().map(|(image, size)| (image.to_string(), *size)).collect();
        let seen = std::cell::RefCell::new(Vec::new());
        self.eventually(&format!("sizes {expected:?}"), async || {
            let now = self.sizes().await;
            seen.replace(now.clone());
            (now == expected).then_some(())
        })
        .await;
    }

    /// Plays everybody until the Deployment says that its rollout has ended well.
    pub async fn roll_out(&self, name: &str) {
        self.eventually(&format!("rollout of {name}"), async || {
            self.run_pods("n1").await;
            self.reap().await;
            let deployment = self.get::<Deployment>(name).await?;
            let status = deployment.status.clone().unwrap_or_default();
            let total = deployment.spec.replicas;
            let done = status.observed_generation == deployment.metadata.generation
                && [status.updated_replicas, status.replicas, status.available_replicas]
                    .iter()
                    .all(|n| n.unwrap_or(0) == total.unwrap_or(1));
            done.then_some(())
        })
        .await;
    }

    /// Reasons and messages of the events about objects of this kind, in the order of their recording.
    pub async fn events(&self, kind: &str) -> Vec<(String, String)> {
        let mut events = self.client.list::<Event>("", &ListOptions::default()).await.unwrap().items;
        events.retain(|event| event.involved_object.kind.as_deref() == Some(kind));
        events.sort_by_key(Object::revision);
        events.into_iter().map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default())).collect()
    }

    /// Waits for an event of this reason about an object of this kind; gives its message.
    pub async fn event(&self, kind: &str, reason: &str) -> String {
        self.eventually(&format!("event {reason} about a {kind}"), async || {
            self.events(kind).await.into_iter().find(|event| event.0 == reason).map(|event| event.1)
        })
        .await
    }

    /// A node that is ready as of now.
    pub async fn node(&self, name: &str) -> Node {
        self.create::<Node>(json!({"metadata": {"name": name}})).await;
        self.heartbeat(name, "True").await
    }

    /// Plays the kubelet of a node: it reports its readiness.
    pub async fn heartbeat(&self, name: &str, ready: &str) -> Node {
        let now = self.server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let of = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Kubelet", "message": "reported", "lastHeartbeatTime": now, "lastTransitionTime": now});
        let conditions = json!([
            of("Ready", ready),
            of("MemoryPressure", "False"),
            of("DiskPressure", "False"),
            of("PIDPressure", "False")
        ]);
        self.patch_status(name, json!({"conditions": conditions})).await
    }
}

/// Where objects of a kind are, unless they say otherwise.
fn home<K: Object>() -> &'static str {
    if matches!(K::KIND, "Namespace" | "Node") { "" } else { "default" }
}

/// An address that stands for a pod's name.
fn address(name: &str) -> String {
    let sum = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("10.1.{}.{}", (sum >> 8) % 250 + 1, sum % 250 + 1)
}

/// An annotation, or nothing.
pub fn annotation<K: Object>(object: &K, name: &str) -> String {
    object.metadata().annotations.as_ref().and_then(|all| all.get(name)).cloned().unwrap_or_default()
}

/// The image of a set's template.
pub fn image(set: &ReplicaSet) -> String {
    set.spec.template.as_ref().unwrap().spec.as_ref().unwrap().containers[0].image.clone().unwrap()
}

/// The template of pods labeled `app: web`.
pub fn template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}})
}

/// A pod labeled `app: web`.
pub fn pod(name: &str, more: Value) -> Value {
    let mut pod = json!({"metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    json_patch_merge(&mut pod, &more);
    pod
}

/// Puts `more` over `object`, key by key.
pub fn json_patch_merge(object: &mut Value, more: &Value) {
    match (object, more) {
        (Value::Object(object), Value::Object(more)) => {
            for (key, value) in more {
                json_patch_merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, more) if !more.is_null() => *object = more.clone(),
        _ => {}
    }
}

/// A Deployment `web`.
pub fn deployment(replicas: i32, image: &str, more: Value) -> Value {
    let mut spec =
        json!({"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template(image)});
    json_patch_merge(&mut spec, &more);
    json!({"metadata": {"name": "web"}, "spec": spec})
}

/// The patch that gives a Deployment another image.
pub fn new_image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

/// A ReplicaSet for pods labeled `app: web`.
pub fn replica_set(name: &str, replicas: i32) -> Value {
    json!({"metadata": {"name": name}, "spec": {"replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}}, "template": template("i")}})
}
