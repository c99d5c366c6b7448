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
//! | [`pods`] | what is known of sandboxes and containers, in memory and on disk |
//! | [`link`] | calls to a shim, news from it |
//! | [`session`] | exec and attach |
//! | [`cleanup`] | removing everything without a kubelet |
//!
//! Keeps: sandboxes and containers outlive the kubelet; [`ProcessRuntime::new`] finds them again. Nothing polls.

pub mod cleanup;
pub mod image;
pub mod link;
pub mod pods;
pub mod session;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::cgroup::Group;
use crate::netns::ipam::{Cidr, InvalidCidr, Pool};
use crate::netns::{self, PodNetwork};
use crate::runtime::{
    Container, ContainerId, ContainerSpec, ContainerState, Error, ExecOutput, Result, Runtime, RuntimeEvent, Sandbox,
    SandboxSpec, Session, Stats, Streams,
};
use crate::shim::wire::{self, Answer, ContainerConfig, Phase, Ready, Request, SandboxConfig};
use link::{Link, News};
use pods::{Held, Pod};

pub use cleanup::cleanup;

const SANDBOXES: &str = "sandboxes";
const RUNTIME_FILE: &str = "runtime.json";
const LAST_ADDRESS: &str = "last-address";
/// A container that SIGKILL does not end within this time hangs in the kernel.
const KILL_DEADLINE: Duration = Duration::from_secs(30);
/// How long a stream must be silent to count as ended when its command has.
const SILENCE: Duration = Duration::from_millis(200);
/// Cap of what `exec_sync` returns, as upstream's.
const EXEC_OUTPUT: usize = 16 << 10;

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
    pods: Mutex<BTreeMap<String, Arc<Pod>>>,
    events: broadcast::Sender<RuntimeEvent>,
    myself: Weak<Self>,
}

fn other(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    let what = what.into();
    move |source| Error::Other { what: format!("{what}: {source}"), source }
}

/// Runs blocking work off the reactor.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::Other { what: "a task of the runtime failed".to_owned(), source: io::Error::other(error) })
        }
    }
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
            self.pods.lock().insert(pod.config.id.clone(), pod.clone());
            match self.connect_shim(&pod).await {
                Ok(()) => self.take_addresses(&pod),
                Err(error) => {
                    tracing::info!(sandbox = pod.config.id, %error, "the shim of a sandbox is gone");
                    pod.lost();
                }
            }
        }
    }

    fn take_addresses(&self, pod: &Pod) {
        let mut pool = self.addresses.lock();
        for address in pod.config.network.iter().flat_map(|network| &network.addresses) {
            pool.take(*address);
        }
    }

    fn release_addresses(&self, pod: &Pod) {
        let mut pool = self.addresses.lock();
        for address in pod.config.network.iter().flat_map(|network| &network.addresses) {
            // Another sandbox may have it by now, if this one was dead when the kubelet returned.
            let held = self.pods.lock().values().any(|known| {
                known.config.id != pod.config.id
                    && known.link().is_some()
                    && known.config.network.as_ref().is_some_and(|network| network.addresses.contains(address))
            });
            if !held {
                pool.release(*address);
            }
        }
    }

    async fn connect_shim(&self, pod: &Arc<Pod>) -> io::Result<()> {
        let (myself, weak) = (self.myself.clone(), Arc::downgrade(pod));
        let (link, records) = Link::connect(&pod.directory, move |news| {
            let Some(pod) = weak.upgrade() else { return };
            match news {
                News::Changed(record) => pod.changed(record),
                News::Lost => pod.lost(),
            }
            if let Some(runtime) = myself.upgrade() {
                let event = RuntimeEvent { sandbox: pod.config.id.clone(), pod_uid: pod.config.spec.uid.clone() };
                // Nobody listening is no error.
                let _ = runtime.events.send(event);
            }
        })
        .await?;
        *pod.link.lock() = Some(Arc::new(link));
        for record in records {
            pod.changed(record);
        }
        Ok(())
    }

    fn pod(&self, id: &str) -> Result<Arc<Pod>> {
        self.pods.lock().get(id).cloned().ok_or_else(|| Error::NotFound(format!("sandbox {id}")))
    }

    /// The pod that has a container.
    fn owner(&self, container: &str) -> Result<Arc<Pod>> {
        let pods = self.pods.lock();
        let found = pods.values().find(|pod| pod.containers.lock().contains_key(container));
        found.cloned().ok_or_else(|| Error::NotFound(format!("container {container}")))
    }

    fn link(pod: &Pod) -> Result<Arc<Link>> {
        pod.link().ok_or_else(|| {
            let source = io::Error::from(io::ErrorKind::NotConnected);
            Error::Other { what: format!("sandbox {} is not ready", pod.config.id), source }
        })
    }

    async fn make_sandbox(&self, spec: &SandboxSpec) -> Result<Sandbox> {
        let same = |pod: &Pod| pod.config.spec.uid == spec.uid && pod.config.spec.attempt == spec.attempt;
        let known = self.pods.lock().values().find(|pod| same(pod)).cloned();
        if let Some(known) = known {
            let sandbox = known.sandbox();
            if sandbox.ready {
                return Ok(sandbox);
            }
            self.remove(&known).await?;
        }
        let id = uuid::Uuid::new_v4().simple().to_string();
        let network = if spec.host_network { None } else { Some(PodNetwork::new(&id, vec![self.allocate()?])) };
        let directory = self.options.root.join(SANDBOXES).join(&id);
        let mut hide = vec![self.options.root.clone()];
        hide.extend(self.options.hide.iter().cloned());
        let config = SandboxConfig {
            id: id.clone(),
            spec: spec.clone(),
            created_at: wire::now(),
            network,
            cgroup: self.cgroup.child(&spec.cgroup_parent),
            hide,
        };
        let pod = Arc::new(Pod::new(directory, config));
        let (made, exe) = (pod.clone(), self.options.exe.clone());
        let started = blocking(move || start_shim(&made, &exe)).await;
        let result = match started {
            Ok(()) => self.connect_shim(&pod).await.map_err(other("connecting to the pod's shim")),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            self.end(&pod).await;
            let directory = pod.directory.clone();
            let _ = blocking(move || std::fs::remove_dir_all(directory).map_err(other("removing"))).await;
            return Err(error);
        }
        self.pods.lock().insert(id, pod.clone());
        Ok(pod.sandbox())
    }

    fn allocate(&self) -> Result<IpAddr> {
        let mut pool = self.addresses.lock();
        let Some(cidr) = pool.cidr else {
            let source = io::Error::from(io::ErrorKind::NotConnected);
            return Err(Error::Other { what: "the node has no range of pod addresses yet".to_owned(), source });
        };
        let Some(address) = pool.allocate() else {
            let source = io::Error::from(io::ErrorKind::AddrNotAvailable);
            return Err(Error::Other { what: format!("no address is free in {cidr}"), source });
        };
        // Only so that a restarted kubelet goes on in the round; which addresses are taken the sandboxes say.
        if let Err(error) = std::fs::write(self.options.root.join(LAST_ADDRESS), address.to_string()) {
            tracing::warn!(%error, "could not write down the last pod address");
        }
        Ok(address)
    }

    /// Stops a sandbox: the shim if it lives, and whatever it left.
    async fn stop(&self, pod: &Arc<Pod>) -> Result<()> {
        let link = pod.link();
        if let Some(link) = link {
            let mut changes = pod.changes.subscribe();
            let stopped = async {
                let _ = link.call(Request::Stop).await;
                // It ends after its answer; the connection's end is what counts.
                let _ = changes.wait_for(|_| pod.link.lock().is_none()).await;
            };
            if tokio::time::timeout(KILL_DEADLINE, stopped).await.is_err() {
                return Err(Error::Timeout(KILL_DEADLINE));
            }
        }
        self.end(pod).await;
        Ok(())
    }

    /// Makes sure that nothing of a sandbox runs, and gives its address back.
    async fn end(&self, pod: &Arc<Pod>) {
        let ended = pod.clone();
        let left = blocking(move || {
            let mut left = Vec::new();
            cleanup::end(&ended, &mut left);
            Ok(left)
        });
        for what in left.await.unwrap_or_default() {
            tracing::warn!(sandbox = pod.config.id, what, "left behind");
        }
        self.release_addresses(pod);
    }

    async fn remove(&self, pod: &Arc<Pod>) -> Result<()> {
        self.stop(pod).await?;
        let directory = pod.directory.clone();
        blocking(move || match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(other("removing a sandbox")(error)),
            _ => Ok(()),
        })
        .await?;
        self.pods.lock().remove(&pod.config.id);
        Ok(())
    }

    async fn make_container(&self, sandbox: &str, spec: &ContainerSpec) -> Result<ContainerId> {
        let pod = self.pod(sandbox)?;
        Self::link(&pod)?;
        let same = |held: &Held| held.config.spec.name == spec.name && held.config.spec.attempt == spec.attempt;
        if let Some(known) = pod.containers.lock().values().find(|held| same(held)) {
            return Ok(known.config.id.clone());
        }
        let entry = image::entry(image::find(&spec.image)?, &spec.command, &spec.args)?;
        let sandbox = &pod.config.spec;
        let addresses = pod.config.network.iter().flat_map(|network| &network.addresses);
        let mut env = vec![
            ("MKUBE_POD_NAME".to_owned(), sandbox.name.clone()),
            ("MKUBE_POD_NAMESPACE".to_owned(), sandbox.namespace.clone()),
            ("MKUBE_POD_IP".to_owned(), addresses.map(IpAddr::to_string).collect::<Vec<_>>().join(",")),
            ("MKUBE_NODE_NAME".to_owned(), self.options.node_name.clone()),
        ];
        if !entry.builtin {
            env.clear();
        }
        env.extend(spec.env.iter().cloned());
        let config = ContainerConfig {
            id: uuid::Uuid::new_v4().simple().to_string(),
            spec: spec.clone(),
            argv: entry.argv,
            builtin: entry.builtin,
            env,
            created_at: wire::now(),
        };
        let id = config.id.clone();
        let (made, kept) = (pod.clone(), config.clone());
        blocking(move || make_container(&made, &kept).map_err(other("making a container"))).await?;
        pod.containers.lock().insert(id.clone(), Held { config, record: None });
        Ok(id)
    }

    async fn start(&self, id: &str) -> Result<()> {
        let pod = self.owner(id)?;
        let link = Self::link(&pod)?;
        let state = pod.list().into_iter().find(|container| container.id == id).map(|container| container.state);
        match state {
            Some(ContainerState::Running) => return Ok(()),
            Some(ContainerState::Exited) => {
                let source = io::Error::from(io::ErrorKind::AlreadyExists);
                return Err(Error::Other { what: format!("container {id} has ended"), source });
            }
            _ => {}
        }
        match link.call(Request::Start(id.to_owned())).await.map_err(other("starting a container"))? {
            Answer::Started => Ok(()),
            answer => Err(session::refused(answer)),
        }
    }

    /// Waits until a container has ended; false if `deadline` passes first.
    async fn ended(pod: &Pod, id: &str, deadline: Duration) -> bool {
        let mut changes = pod.changes.subscribe();
        let over = |_: &u64| {
            let containers = pod.containers.lock();
            containers
                .get(id)
                .is_none_or(|held| held.record.as_ref().is_none_or(|record| record.phase == Phase::Exited))
        };
        tokio::time::timeout(deadline, changes.wait_for(over)).await.is_ok()
    }

    async fn stop_one(&self, id: &str, grace: Duration) -> Result<()> {
        let Ok(pod) = self.owner(id) else { return Ok(()) };
        let running = |held: &Held| held.record.as_ref().is_some_and(|record| record.phase != Phase::Exited);
        if !pod.containers.lock().get(id).is_some_and(running) {
            return Ok(());
        }
        let Some(link) = pod.link() else { return Ok(()) };
        // A shim that is gone has taken its containers along, which `ended` sees.
        if !grace.is_zero() {
            let _ = link.call(Request::Signal(id.to_owned(), libc::SIGTERM)).await;
            if Self::ended(&pod, id, grace).await {
                return Ok(());
            }
        }
        let _ = link.call(Request::Signal(id.to_owned(), libc::SIGKILL)).await;
        if Self::ended(&pod, id, KILL_DEADLINE).await { Ok(()) } else { Err(Error::Timeout(KILL_DEADLINE)) }
    }

    async fn remove_one(&self, id: &str) -> Result<()> {
        let Ok(pod) = self.owner(id) else { return Ok(()) };
        self.stop_one(id, Duration::ZERO).await?;
        if let Some(link) = pod.link() {
            let _ = link.call(Request::Forget(id.to_owned())).await;
        }
        let (group, directory) = (pod.config.cgroup.child(id), pod.directory.join(wire::CONTAINERS).join(id));
        blocking(move || {
            group.remove().map_err(other("removing a container"))?;
            match std::fs::remove_dir_all(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(other("removing a container")(error)),
                _ => Ok(()),
            }
        })
        .await?;
        pod.containers.lock().remove(id);
        Ok(())
    }

    async fn run_command(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput> {
        let streams = Streams { stdout: true, stderr: true, ..Streams::default() };
        let run = async {
            let mut session = self.session(id, command, streams).await?;
            let (out, err) = (session.stdout.take(), session.stderr.take());
            let ended = tokio::sync::watch::Sender::new(false);
            let exit = async {
                let code = session.exit.await;
                ended.send_replace(true);
                code
            };
            let (stdout, stderr, code) =
                tokio::join!(capped(out, ended.subscribe()), capped(err, ended.subscribe()), exit);
            Ok(ExecOutput { stdout, stderr, exit_code: code? })
        };
        tokio::time::timeout(timeout, run).await.unwrap_or(Err(Error::Timeout(timeout)))
    }

    async fn session(&self, id: &str, command: &[String], streams: Streams) -> Result<Session> {
        let pod = self.owner(id)?;
        Self::link(&pod)?;
        session::exec(&pod.directory, id, command, streams).await
    }

    async fn dial(&self, sandbox: &str, port: u16) -> Result<tokio::net::TcpStream> {
        let pod = self.pod(sandbox)?;
        Self::link(&pod)?;
        let shim = pod.shim.lock().as_ref().map(|shim| shim.pid);
        let pid = shim.ok_or_else(|| Error::NotFound(format!("shim of {sandbox}")))?;
        blocking(move || {
            let connect = move || {
                let local = std::net::SocketAddr::from(([127, 0, 0, 1], port));
                let stream = std::net::TcpStream::connect_timeout(&local, Duration::from_secs(30))?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            };
            let thread = netns::within(pid, connect).map_err(other("entering the pod's network"))?;
            let stream = thread.join().unwrap_or_else(|_| Err(io::Error::other("the connecting thread failed")));
            stream.map_err(other(format!("connecting to port {port} of the pod")))
        })
        .await
        .and_then(|stream| tokio::net::TcpStream::from_std(stream).map_err(other("connection to a pod")))
    }
}

/// Reads a stream to its end; keeps the first 16 KiB. A process left in the background may hold the stream open: once the command has
/// ended, silence is the end too.
async fn capped(
    stream: Option<Box<dyn AsyncRead + Send + Unpin>>,
    mut ended: tokio::sync::watch::Receiver<bool>,
) -> Vec<u8> {
    let Some(mut stream) = stream else { return Vec::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0u8; 4096]);
    loop {
        let over = *ended.borrow();
        let read = if over {
            tokio::time::timeout(SILENCE, stream.read(&mut buffer)).await.unwrap_or(Ok(0))
        } else {
            tokio::select! {
                read = stream.read(&mut buffer) => read,
                _ = ended.changed() => continue,
            }
        };
        match read {
            Ok(0) | Err(_) => return kept,
            Ok(length) => {
                let room = EXEC_OUTPUT.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(&buffer[..room]);
            }
        }
    }
}

/// Writes a sandbox down, makes its control group, and starts its shim. Blocking.
fn start_shim(pod: &Pod, exe: &Path) -> Result<()> {
    let (directory, config) = (&pod.directory, &pod.config);
    let files = || {
        std::fs::create_dir_all(directory.join(wire::CONTAINERS))?;
        std::fs::create_dir_all(&config.spec.log_directory)?;
        wire::write_json(&directory.join(wire::SANDBOX_FILE), config, false)?;
        if !config.spec.host_network {
            std::fs::write(directory.join("hostname"), format!("{}\n", config.spec.hostname))?;
        }
        if let Some(text) = &config.spec.resolv_conf {
            std::fs::write(directory.join("resolv.conf"), text)?;
        }
        std::fs::File::create(directory.join("shim.log"))
    };
    let log = files().map_err(other("making a sandbox"))?;
    for missing in
        config.cgroup.create(&config.spec.resources).into_iter().chain(config.shim_cgroup().create(&Default::default()))
    {
        tracing::warn!(sandbox = config.id, missing, "a limit could not be set");
    }
    let spawn = || {
        let mut child = Command::new(exe)
            .arg0("mkube-shim")
            .arg("__shim")
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .env_clear()
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = &mut child.stdout {
            stdout.read_to_string(&mut line)?;
        }
        child.wait()?;
        Ok::<_, io::Error>(line)
    };
    let line = spawn().map_err(other("starting the pod's shim"))?;
    match serde_json::from_str(&line) {
        Ok(Ready::Ok(process)) => {
            *pod.shim.lock() = Some(process);
            Ok(())
        }
        Ok(Ready::Failed(message)) => Err(Error::Other {
            what: format!("making a sandbox: {message}"),
            source: io::Error::from(io::ErrorKind::Other),
        }),
        Err(_) => {
            let text = std::fs::read_to_string(directory.join("shim.log")).unwrap_or_default();
            let source = io::Error::from(io::ErrorKind::UnexpectedEof);
            Err(Error::Other { what: format!("the pod's shim did not start: {}", text.trim()), source })
        }
    }
}

/// Writes a container down and makes its control group. Blocking.
fn make_container(pod: &Pod, config: &ContainerConfig) -> io::Result<()> {
    let directory = pod.directory.join(wire::CONTAINERS).join(&config.id);
    for layer in ["rootfs", "layer/upper", "layer/work"] {
        std::fs::create_dir_all(directory.join(layer))?;
    }
    if let Some(parent) = config.spec.log_path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    for missing in pod.config.cgroup.child(&config.id).create(&config.spec.resources) {
        tracing::warn!(container = config.id, missing, "a limit could not be set");
    }
    wire::write_json(&directory.join(wire::CONFIG_FILE), config, false)
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
        Box::pin(async move { Ok(self.pods.lock().values().map(|pod| pod.sandbox()).collect()) })
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
                    let all = pods.values().map(|pod| &pod.config);
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
}
