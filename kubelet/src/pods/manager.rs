//! One worker per pod, by UID. Sources say which pods there are; the runtime says where something happened.
//!
//! A static pod whose file changed is a new pod (another UID) of the same name: it waits until the old one has ended.

use std::collections::HashMap;
use std::sync::Arc;

use base::Context;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::admission;
use super::finish::remove_sandbox;
use super::mailbox::{Eviction, Mailbox};
use super::unsupported;
use super::worker::{Published, Worker};
use crate::eviction::plan::Pressure;
use crate::known::memory::Rejection;
use crate::node::Node;
use crate::pod;
use crate::volumes::setup;

struct Entry {
    mailbox: Arc<Mailbox>,
    published: Published,
    namespace: String,
    name: String,
}

#[derive(Default)]
struct State {
    workers: HashMap<String, Entry>,
    /// Static pods that wait for their predecessor, by namespace and name.
    waiting: HashMap<(String, String), Arc<Pod>>,
    /// Mirrors of static pods, by the UID of the static pod.
    mirrors: HashMap<String, Arc<Pod>>,
}

/// The pods of this node. Clones share them.
#[derive(Clone)]
pub struct Manager {
    node: Arc<Node>,
    context: Context,
    state: Arc<Mutex<State>>,
    /// What the node lacks: new pods may be refused for it.
    pressures: Arc<watch::Sender<Vec<Pressure>>>,
}

impl Manager {
    /// No pods yet.
    pub fn new(node: Arc<Node>, context: Context) -> Self {
        Self { node, context, state: Arc::default(), pressures: Arc::new(watch::Sender::new(Vec::new())) }
    }

    /// What the node lacks; whoever finds out says it here.
    pub fn pressures(&self) -> &Arc<watch::Sender<Vec<Pressure>>> {
        &self.pressures
    }

    /// The node.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Wakes the workers of pods to whose containers something happened; runs as long as the runtime tells.
    pub async fn follow_runtime(self) {
        let mut events = self.node.runtime.events();
        while let Some(event) = events.next().await {
            if let Some(entry) = self.state.lock().workers.get(&event.pod_uid) {
                entry.mailbox.poke();
            }
        }
    }

    /// A pod appeared or changed.
    pub fn update(&self, pod: Arc<Pod>) {
        let uid = pod::uid(&pod).to_string();
        let mut state = self.state.lock();
        if let Some(entry) = state.workers.get(&uid) {
            return entry.mailbox.tell(|news| news.pod = Some(pod));
        }
        let key = (pod::namespace(&pod).to_string(), pod::name(&pod).to_string());
        let same_name = |e: &Entry| e.namespace == key.0 && e.name == key.1;
        if pod::is_static(&pod) && state.workers.values().any(same_name) {
            state.waiting.insert(key, pod);
            return;
        }
        self.start(&mut state, pod);
    }

    fn start(&self, state: &mut State, pod: Arc<Pod>) {
        let uid = pod::uid(&pod).to_string();
        let mailbox = Arc::new(Mailbox::default());
        let published: Published = Arc::new(watch::Sender::new(pod.clone()));
        if let Some(mirror) = state.mirrors.get(&uid).cloned() {
            mailbox.tell(|news| news.mirror = Some(Some(mirror)));
        }
        let (namespace, name) = (pod::namespace(&pod).to_string(), pod::name(&pod).to_string());
        let rejection = self.judge(state, &pod);
        let mut worker = Worker::new(self.node.clone(), pod, mailbox.clone(), published.clone());
        if let Some(rejection) = rejection {
            // From now on it takes up no room.
            let mut failed = (**published.borrow()).clone();
            failed.status.get_or_insert_default().phase = Some("Failed".into());
            published.send_replace(Arc::new(failed));
            worker.reject(rejection);
        }
        state.workers.insert(uid.clone(), Entry { mailbox, published, namespace, name });
        let manager = self.clone();
        self.context.spawn("pod", async move {
            worker.run().await;
            manager.ended(&uid);
        });
    }

    /// Why a new pod does not fit beside the others, if so.
    fn judge(&self, state: &State, pod: &Pod) -> Option<Rejection> {
        if !admission::is_judged(pod) {
            return None;
        }
        let refused = admission::under_pressure(pod, &self.pressures.borrow());
        if let Some(rejection) = refused.or_else(|| unsupported::forbidden(pod)) {
            return Some(rejection);
        }
        let others = state.workers.values().map(|entry| entry.published.borrow().clone());
        let others: Vec<_> = others.filter(|other| !pod::is_terminal(pod::status(other))).collect();
        admission::admit(pod, &others, &self.node.allocatable).err()
    }

    fn ended(&self, uid: &str) {
        let mut state = self.state.lock();
        let Some(entry) = state.workers.remove(uid) else { return };
        if let Some(successor) = state.waiting.remove(&(entry.namespace, entry.name)) {
            self.start(&mut state, successor);
        }
    }

    /// A pod was removed from its source.
    pub fn gone(&self, uid: &str) {
        let mut state = self.state.lock();
        state.waiting.retain(|_, pod| pod::uid(pod) != uid);
        if let Some(entry) = state.workers.get(uid) {
            entry.mailbox.tell(|news| news.gone = true);
        }
    }

    /// The pod is to end for the sake of the others.
    pub fn evict(&self, uid: &str, eviction: Eviction) {
        if let Some(entry) = self.state.lock().workers.get(uid) {
            entry.mailbox.tell(|news| news.eviction = Some(eviction));
        }
    }

    /// Resolves when the pod has ended, or is here no more.
    pub async fn until_over(&self, uid: &str) {
        let shown = self.state.lock().workers.get(uid).map(|entry| entry.published.subscribe());
        if let Some(mut shown) = shown {
            // An error is the end of its worker.
            let _ = shown.wait_for(|pod| pod::is_terminal(pod::status(pod))).await;
        }
    }

    /// The mirror of a static pod appeared, changed or went.
    pub fn mirror(&self, static_uid: &str, mirror: Option<Arc<Pod>>) {
        let mut state = self.state.lock();
        match &mirror {
            Some(mirror) => state.mirrors.insert(static_uid.to_string(), mirror.clone()),
            None => state.mirrors.remove(static_uid),
        };
        if let Some(entry) = state.workers.get(static_uid) {
            entry.mailbox.tell(|news| news.mirror = Some(mirror));
        }
    }

    /// Something changed that may let failed things succeed, e.g. the pod network is there now.
    pub fn retry_all(&self) {
        self.state.lock().workers.values().for_each(|entry| entry.mailbox.tell(|news| news.retry = true));
    }

    /// All pods, with the status as the kubelet has it.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        self.state.lock().workers.values().map(|entry| entry.published.borrow().clone()).collect()
    }

    /// A pod by namespace and name; of several, the one that is not being deleted.
    pub fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let state = self.state.lock();
        let same = state.workers.values().filter(|e| e.namespace == namespace && e.name == name);
        same.map(|e| e.published.borrow().clone()).min_by_key(|pod| pod.metadata.deletion_timestamp.is_some())
    }

    /// Removes sandboxes and directories of pods that no source knows. Only to be called once all sources have spoken.
    pub async fn remove_orphans(&self) {
        let known = |uid: &str| self.state.lock().workers.contains_key(uid);
        match self.node.runtime.sandboxes().await {
            Ok(sandboxes) => {
                for sandbox in sandboxes.into_iter().filter(|s| !known(&s.uid)) {
                    tracing::info!(
                        pod = sandbox.name,
                        namespace = sandbox.namespace,
                        uid = sandbox.uid,
                        "removing a pod that is not known any more"
                    );
                    if let Err(error) = self.node.runtime.stop_sandbox(&sandbox.id).await {
                        tracing::warn!(%error, sandbox = sandbox.id, "sandbox cannot be stopped");
                    }
                    remove_sandbox(&*self.node.runtime, &sandbox.id).await;
                }
            }
            Err(error) => tracing::warn!(%error, "sandboxes cannot be listed"),
        }
        let paths = self.node.paths.clone();
        let dirs = std::fs::read_dir(paths.pods()).into_iter().flatten().flatten();
        let gone: Vec<String> =
            dirs.filter_map(|e| e.file_name().into_string().ok()).filter(|uid| !known(uid)).collect();
        let logs_root = paths.root().join("log").join("pods");
        let logs: Vec<_> = std::fs::read_dir(&logs_root).into_iter().flatten().flatten().map(|e| e.path()).collect();
        let orphaned = |path: &std::path::Path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            name.rsplit('_').next().is_some_and(|uid| !known(uid))
        };
        for path in logs.into_iter().filter(|path| orphaned(path)) {
            let _ = tokio::fs::remove_dir_all(path).await;
        }
        for uid in gone {
            let paths = paths.clone();
            let logs = logs_root.join("none");
            let removed = base::panics::blocking(move || setup::remove(&paths, &uid, &logs)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "files of a deleted pod remain");
            }
        }
    }
}
