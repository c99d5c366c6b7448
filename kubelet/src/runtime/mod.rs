//! What runs containers, in the shape of CRI so that CRI can be one of its implementations. Pod networking is behind it;
//! logs are files in the CRI log format. Everything is idempotent: asking twice for the same state is no error.

pub mod echo;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};

/// Identifies a pod sandbox within its runtime.
pub type SandboxId = String;
/// Identifies a container within its runtime.
pub type ContainerId = String;

/// What a sandbox is for; enough to find it again after a restart of the kubelet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod (for static pods, the hash of their manifest).
    pub uid: String,
    /// Counts the sandboxes of this pod, from 0.
    pub attempt: u32,
    /// Host name inside the pod.
    pub hostname: String,
    /// Whether the pod shares the network of its node.
    pub host_network: bool,
    /// Labels of the pod, for those who look at the runtime directly.
    pub labels: BTreeMap<String, String>,
    /// Where container logs go: `<log_directory>/<container>/<restart count>.log`.
    pub log_directory: PathBuf,
    /// Content of `/etc/resolv.conf`; `None` = the node's.
    pub resolv_conf: Option<String>,
    /// cgroup parent, relative to the kubelet's own root, e.g. `kubepods/burstable/pod<uid>`.
    pub cgroup_parent: String,
    /// Limits of the whole pod.
    pub resources: Resources,
    /// Kernel parameters of the pod's namespaces, by their names with dots.
    #[serde(default)]
    pub sysctls: Vec<(String, String)>,
}

/// A sandbox as the runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Its ID.
    pub id: SandboxId,
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// Counts the sandboxes of this pod.
    pub attempt: u32,
    /// Whether it can run containers.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Pod addresses; empty with host network.
    pub ips: Vec<IpAddr>,
}

/// Limits as cgroups know them. `None` = no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative share: cpu.shares of cgroup v1 (2 to 262144).
    pub cpu_shares: Option<u64>,
    /// Microseconds of CPU per 100 ms.
    pub cpu_quota: Option<i64>,
    /// Bytes.
    pub memory_limit: Option<u64>,
    /// /proc/<pid>/oom_score_adj.
    pub oom_score_adj: Option<i32>,
}

/// A directory or file that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the node.
    pub host_path: PathBuf,
    /// In the container.
    pub container_path: PathBuf,
    /// Whether the container may not write.
    pub readonly: bool,
}

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name within the pod.
    pub name: String,
    /// Counts the containers of this name, from 0.
    pub attempt: u32,
    /// Image, as the pod says it.
    pub image: String,
    /// Replaces the image's entry point unless empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments unless both are empty.
    pub args: Vec<String>,
    /// Working directory; `None` = the image's.
    pub working_dir: Option<PathBuf>,
    /// Environment, expanded.
    pub env: Vec<(String, String)>,
    /// Volumes at their mount paths, /etc/hosts, termination log.
    pub mounts: Vec<Mount>,
    /// Limits.
    pub resources: Resources,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open for `attach`.
    pub stdin: bool,
    /// Close it after the first attach ends.
    pub stdin_once: bool,
    /// User; `None` = the image's.
    pub run_as_user: Option<u32>,
    /// Group; `None` = the image's.
    pub run_as_group: Option<u32>,
    /// Further groups (fsGroup, supplementalGroups).
    pub supplemental_groups: Vec<u32>,
    /// Whether the root file system is read-only.
    pub readonly_rootfs: bool,
    /// All privileges of root on the node.
    pub privileged: bool,
    /// Capabilities that the runtime's default set lacks, with or without `CAP_`; `ALL` is every one.
    #[serde(default)]
    pub add_capabilities: Vec<String>,
    /// Capabilities that it has too many.
    #[serde(default)]
    pub drop_capabilities: Vec<String>,
    /// Whether no process of it may gain privileges that its parent lacks (set-user-ID programs).
    #[serde(default)]
    pub no_new_privileges: bool,
    /// The container's log file, absolute.
    pub log_path: PathBuf,
}

/// Where a container stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
    /// The runtime lost track of it.
    Unknown,
}

/// A container as the runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its ID.
    pub id: ContainerId,
    /// Its sandbox.
    pub sandbox: SandboxId,
    /// Name within the pod.
    pub name: String,
    /// Counts the containers of this name.
    pub attempt: u32,
    /// Image, as asked for.
    pub image: String,
    /// Where it stands.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Exit code; 128 + signal if a signal ended it.
    pub exit_code: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// PID of its first process on the node, while it runs.
    pub pid: Option<u32>,
}

/// Something happened to a container; its state is to be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeEvent {
    /// The sandbox.
    pub sandbox: SandboxId,
    /// UID of the pod.
    pub pod_uid: String,
}

/// What one finished command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Standard output, capped at 16 KiB.
    pub stdout: Vec<u8>,
    /// Standard error, capped at 16 KiB.
    pub stderr: Vec<u8>,
    /// Exit code.
    pub exit_code: i32,
}

/// An interactive session in a container (exec or attach).
pub struct Session {
    /// To the process; dropping it closes its standard input. `None` if not asked for.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// From the process.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// From the process; `None` with a terminal.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// New terminal sizes (columns, rows) go here.
    pub resize: Option<tokio::sync::mpsc::Sender<(u16, u16)>>,
    /// Resolves with the exit code; for attach, when the container ends or detaches.
    pub exit: BoxFuture<'static, Result<i32, Error>>,
}

/// What a session connects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streams {
    /// Standard input.
    pub stdin: bool,
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// Resource use of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// CPU time used, in nanoseconds.
    pub cpu_nanos: u64,
    /// Memory in use without the page cache that can be dropped, in bytes.
    pub memory_working_set: u64,
    /// Processes.
    pub processes: u64,
}

/// Why the runtime did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such sandbox or container.
    #[error("{0} not found")]
    NotFound(String),
    /// The runtime cannot run this image; becomes ErrImagePull. The text says what it can run.
    #[error("{0}")]
    Image(String),
    /// The container cannot start: becomes reason `StartError` / `RunContainerError`, e.g. no such executable.
    #[error("{0}")]
    Start(String),
    /// Took longer than allowed.
    #[error("timed out after {0:?}")]
    Timeout(Duration),
    /// Anything else.
    #[error("{what}")]
    Other {
        /// What was being done.
        what: String,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
}

/// An error with its cause.
pub fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Result of a runtime call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A container runtime.
pub trait Runtime: Send + Sync + 'static {
    /// Name and version, as shown in `node.status.nodeInfo.containerRuntimeVersion`, e.g. `process://0.1.0`.
    fn version(&self) -> String;

    /// Makes a sandbox with its network; returns it with its addresses.
    fn run_sandbox<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Sandbox>>;
    /// Ends all its containers (SIGKILL) and its network.
    fn stop_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// Removes what is left of it, containers included.
    fn remove_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// All sandboxes on this node, also those made before the kubelet was restarted.
    fn sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>>>;

    /// The sandboxes of one pod; what that costs does not depend on how many other pods there are.
    fn sandboxes_of<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Result<Vec<Sandbox>>>;

    /// Makes a container; nothing runs yet.
    fn create_container<'a>(&'a self, sandbox: &'a str, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<ContainerId>>;
    /// Starts it.
    fn start_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// SIGTERM, then SIGKILL after `grace`; returns when it has ended.
    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<()>>;
    /// Removes an ended container and its writable layer; the log stays.
    fn remove_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>>;
    /// All containers of a sandbox, ended ones included.
    fn containers<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<Vec<Container>>>;

    /// Tells when a container started or ended, from now on.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Runs a command in a container and waits for it.
    fn exec_sync<'a>(
        &'a self,
        id: &'a str,
        command: &'a [String],
        timeout: Duration,
    ) -> BoxFuture<'a, Result<ExecOutput>>;
    /// Runs a command in a container, connected to streams.
    fn exec<'a>(&'a self, id: &'a str, command: &'a [String], streams: Streams) -> BoxFuture<'a, Result<Session>>;
    /// Connects to the container's first process.
    fn attach<'a>(&'a self, id: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>>;
    /// A connection to a port inside the pod's network.
    fn connect<'a>(&'a self, sandbox: &'a str, port: u16) -> BoxFuture<'a, Result<tokio::net::TcpStream>>;

    /// Makes an image available; returns its reference. Errors become ErrImagePull.
    fn pull_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String>>;
    /// Whether the image is there: its reference if so.
    fn image_status<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<Option<String>>>;

    /// Resource use.
    fn stats<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Stats>>;
    /// Where the container's writable layer is kept; `None` if it has none on a disk.
    fn layer(&self, id: &str) -> Option<PathBuf>;
}
