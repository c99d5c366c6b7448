//! The runtime `process`: containers are programs of the node, run as root in namespaces of their own over an overlay of the node's root.
//! No image is needed.
//!
//! ```text
//! ProcessRuntime ── Pod (one per sandbox) ── Link ──unix socket── shim ── containers
//!       └─ addresses (netns::ipam)    └─ files in <root>/sandboxes/<id>/ (shim::wire says which)
//! ```
//! | file | what |
//! |---|---|
//! | [`image`] | which images it can run (pure) |
//! | `sandboxes`, `containers` | what is done to them |
//! | [`pods`] | what is known of sandboxes and containers, in memory and on disk |
//! | [`link`] | calls to a shim, news from it |
//! | [`session`] | exec and attach |
//! | [`cleanup`] | removing everything without a kubelet |
//!
//! Keeps: sandboxes and containers outlive the kubelet; [`ProcessRuntime::new`] finds them again. Nothing polls.

pub mod cleanup;
mod containers;
pub mod image;
pub mod link;
pub mod pods;
mod sandboxes;
pub mod session;
mod table;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::cgroup::Group;
use crate::netns::ipam::{Cidr, InvalidCidr, Pool};
use crate::netns::{self};
use crate::runtime::{
    Container, ContainerId, ContainerSpec, Error, ExecOutput, Result, Runtime, RuntimeEvent, Sandbox, SandboxSpec,
    Session, Stats, Streams,
};
use crate::shim::wire::{self};
use link::{Link, News};
use pods::Pod;
use table::Table;

pub use cleanup::cleanup;

const SANDBOXES: &str = "sandboxes";
const RUNTIME_FILE: &str = "runtime.json";
const LAST_ADDRESS: &str = "last-address";
/// A container that SIGKILL does not end within this time hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(30);

/// How a process runtime is set up.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// Its state. Must be on a file system of this machine.
    pub root: PathBuf,
    /// Name of the control group that holds all its pods; nobody else on the machine may use it, e.g. `mkube-<id>/<node>`.
    pub cgroup_root: String,
    /// Name of the node, which the built-in image tells.
    pub node_name: String,
    /// Where pod addresses come from, if known already.
    pub pod_cidr: Option<Cidr>,
    /// The program whose `main` calls [`crate::shim::dispatch`]: normally this one, `/proc/self/exe`.
    pub exe: PathBuf,
    /// Directories that containers see empty, beside `root`: keys of the cluster.
    pub hide: Vec<PathBuf>,
}

impl ProcessOptions {
    /// The usual ones.
    pub fn new(root: impl Into<PathBuf>, cgroup_root: impl Into<String>, node_name: impl Into<String>) -> Self {
        Self {
            root: root.into(),
            cgroup_root: cgroup_root.into(),
            node_name: node_name.into(),
            pod_cidr: None,
            exe: PathBuf::from("/proc/self/exe"),
            hide: Vec::new(),
        }
    }
}

/// The runtime.
pub struct ProcessRuntime {
    options: ProcessOptions,
    cgroup: Group,
    addresses: Mutex<Pool>,
    pods: Mutex<Table>,
    events: broadcast::Sender<RuntimeEvent>,
    myself: Weak<Self>,
}

fn other(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Other { what: format!("{what}: {source}"), source }
}

/// What containers are not to see: whole paths, and none that is below another.
fn hidden(root: &Path, more: &[PathBuf]) -> Vec<PathBuf> {
    let whole = more.iter().filter_map(|path| std::fs::canonicalize(path).ok());
    let all: Vec<PathBuf> = std::iter::once(root.to_owned()).chain(whole).collect();
    let below = |path: &PathBuf| all.iter().any(|other| other != path && path.starts_with(other));
    let mut kept: Vec<PathBuf> = all.iter().filter(|path| !below(path)).cloned().collect();
    kept.dedup();
    kept
}

/// Runs blocking work off the reactor.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    base::panics::blocking(work).await.unwrap_or_else(|why| {
        Err(Error::Other { what: "a task of the runtime failed".to_owned(), source: io::Error::other(why) })
    })
}

impl ProcessRuntime {
    /// Opens the state directory and connects to the shims that live. Call it in the node's network namespace, as root, within
    /// a tokio runtime.
    pub async fn new(mut options: ProcessOptions) -> Result<Arc<Self>> {
        if !rustix::process::geteuid().is_root() {
            let source = io::Error::from(io::ErrorKind::PermissionDenied);
            return Err(other("the runtime \"process\" makes namespaces and mounts, for which it must be root")(
                source,
            ));
        }
        let setup = |options: &ProcessOptions| {
            std::fs::create_dir_all(options.root.join(SANDBOXES))?;
            std::fs::canonicalize(&options.root)
        };
        options.root = setup(&options).map_err(other(format!("data directory {}", options.root.display())))?;
        options.hide = hidden(&options.root, &options.hide);
        let cgroup = Group::root(&options.cgroup_root);
        if cgroup.hierarchies.is_empty() {
            tracing::warn!("no cgroup controllers for cpu and memory: pods run without limits");
        }
        wire::write_json(&options.root.join(RUNTIME_FILE), &cgroup, false).map_err(other("data directory"))?;
        let last =
            std::fs::read_to_string(options.root.join(LAST_ADDRESS)).ok().and_then(|text| text.trim().parse().ok());
        let pool = Pool::new(options.pod_cidr, last);
        let runtime = Arc::new_cyclic(|myself| Self {
            options,
            cgroup,
            addresses: Mutex::new(pool),
            pods: Mutex::default(),
            events: broadcast::Sender::new(1024),
            myself: myself.clone(),
        });
        netns::forward().map_err(other("turning IP forwarding on"))?;
        runtime.adopt().await;
        Ok(runtime)
    }

    /// Says where pod addresses come from. Pods that run keep theirs.
    pub fn set_pod_cidr(&self, cidr: &str) -> Result<(), InvalidCidr> {
        self.addresses.lock().cidr = Some(cidr.parse()?);
        Ok(())
    }

    /// Finds the sandboxes of an earlier kubelet.
    async fn adopt(&self) {
        for directory in cleanup::subdirectories(&self.options.root.join(SANDBOXES)) {
            let pod = match Pod::load(&directory) {
                Ok(pod) => Arc::new(pod),
                Err(error) => {
                    // Written before its shim starts: nothing runs there.
                    tracing::warn!(directory = %directory.display(), %error, "removing an unreadable sandbox");
                    let _ = std::fs::remove_dir_all(&directory);
                    continue;
                }
            };
            self.pods.lock().insert(pod.clone());
            match self.connect_shim(&pod).await {
                Ok(()) => self.take_addresses(&pod),
                Err(error) => {
                    tracing::info!(sandbox = pod.config.id, %error, "the shim of a sandbox is gone");
                    pod.lost();
                }
            }
        }
    }

    async fn connect_shim(&self, pod: &Arc<Pod>) -> io::Result<()> {
        let (myself, weak) = (self.myself.clone(), Arc::downgrade(pod));
        let tell = move |pod: &Pod| {
            if let Some(runtime) = myself.upgrade() {
                let event = RuntimeEvent { sandbox: pod.config.id.clone(), pod_uid: pod.config.spec.uid.clone() };
                // Nobody listening is no error.
                let _ = runtime.events.send(event);
            }
        };
        let (link, records) = Link::connect(&pod.directory, move |news| {
            let Some(pod) = weak.upgrade() else { return };
            match news {
                News::Changed(record) => {
                    pod.changed(record);
                    tell(&pod);
                }
                // Kills and syncs: not for the thread that serves connections.
                News::Lost => {
                    let tell = tell.clone();
                    tokio::task::spawn_blocking(move || {
                        pod.lost();
                        tell(&pod);
                    });
                }
            }
        })
        .await?;
        for record in records {
            pod.changed(record);
        }
        let link = Arc::new(link);
        *pod.link.lock() = Some(link.clone());
        // It may have died before it was put there, when its loss had nothing to take away.
        if !link.alive() {
            *pod.link.lock() = None;
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the pod's shim is gone"));
        }
        Ok(())
    }

    fn pod(&self, id: &str) -> Result<Arc<Pod>> {
        self.pods.lock().get(id).cloned().ok_or_else(|| Error::NotFound(format!("sandbox {id}")))
    }

    /// The pod that has a container.
    fn owner(&self, container: &str) -> Result<Arc<Pod>> {
        self.pods.lock().owner(container).cloned().ok_or_else(|| Error::NotFound(format!("container {container}")))
    }

    fn link(pod: &Pod) -> Result<Arc<Link>> {
        pod.link().ok_or_else(|| {
            let source = io::Error::from(io::ErrorKind::NotConnected);
            Error::Other { what: format!("sandbox {} is not ready", pod.config.id), source }
        })
    }
}

impl Runtime for ProcessRuntime {
    fn version(&self) -> String {
        concat!("process://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    fn run_sandbox<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Sandbox>> {
        Box::pin(self.make_sandbox(spec))
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.pod(id) {
                Ok(pod) => self.stop(&pod).await,
                Err(_) => Ok(()),
            }
        })
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.pod(id) {
                Ok(pod) => self.remove(&pod).await,
                Err(_) => Ok(()),
            }
        })
    }

    fn sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>>> {
        Box::pin(async move { Ok(self.pods.lock().all().map(|pod| pod.sandbox()).collect()) })
    }

    fn sandboxes_of<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Result<Vec<Sandbox>>> {
        Box::pin(async move { Ok(self.pods.lock().of_uid(uid).map(|pod| pod.sandbox()).collect()) })
    }

    fn create_container<'a>(&'a self, sandbox: &'a str, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<ContainerId>> {
        Box::pin(self.make_container(sandbox, spec))
    }

    fn start_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.start(id))
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.stop_one(id, grace))
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.remove_one(id))
    }

    fn containers<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<Vec<Container>>> {
        Box::pin(async move { Ok(self.pod(sandbox)?.list()) })
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let myself = self.myself.clone();
        let stream = BroadcastStream::new(self.events.subscribe());
        Box::pin(stream.flat_map(move |event| {
            let events = match event {
                Ok(event) => vec![event],
                // Too slow: anything may have changed.
                Err(_) => myself.upgrade().map_or_else(Vec::new, |runtime| {
                    let pods = runtime.pods.lock();
                    let all = pods.all().map(|pod| &pod.config);
                    all.map(|config| RuntimeEvent { sandbox: config.id.clone(), pod_uid: config.spec.uid.clone() })
                        .collect()
                }),
            };
            futures::stream::iter(events)
        }))
    }

    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput>> {
        Box::pin(self.run_command(id, command, timeout))
    }

    fn exec<'a>(&'a self, id: &'a str, command: &'a [String], streams: Streams) -> BoxFuture<'a, Result<Session>> {
        Box::pin(self.session(id, command, streams))
    }

    fn attach<'a>(&'a self, id: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>> {
        Box::pin(async move {
            let pod = self.owner(id)?;
            Self::link(&pod)?;
            let tty = pod.containers.lock().get(id).is_some_and(|held| held.config.spec.tty);
            session::attach(&pod.directory, id, streams, tty).await
        })
    }

    fn connect<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<tokio::net::TcpStream>> {
        Box::pin(self.dial(sandbox, port))
    }

    fn pull_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move { image::find(image).map(|_| image.to_owned()) })
    }

    fn image_status<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move { Ok(image::find(image).ok().map(|_| image.to_owned())) })
    }

    fn stats<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Stats>> {
        Box::pin(async move { Ok(self.owner(id)?.config.cgroup.child(id).stats()) })
    }

    fn layer(&self, id: &str) -> Option<PathBuf> {
        let pod = self.owner(id).ok()?;
        Some(pod.directory.join(wire::CONTAINERS).join(id).join("layer"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_each_directory_once() {
        let directory = tempfile::tempdir().unwrap();
        let top = std::fs::canonicalize(directory.path()).unwrap();
        let (root, keys) = (top.join("node/runtime"), top.join("pki"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::create_dir_all(&keys).unwrap();
        assert_eq!(hidden(&root, &[]), std::slice::from_ref(&root));
        assert_eq!(
            hidden(&root, &[top.join("node"), keys.clone(), top.join("none")]),
            [top.join("node"), keys.clone()]
        );
        assert_eq!(hidden(&root, &[top.join("pki/../node"), top.clone()]), [top]);
    }
}
