//! A node for tests of the process runtime: a network namespace, a directory, a control group; and the proof that nothing is left.
#![allow(dead_code)] // Each test binary uses a part.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kubelet::netns::netlink;
use kubelet::process::{ProcessOptions, ProcessRuntime, cleanup};
use kubelet::runtime::{Container, ContainerSpec, ContainerState, Mount, Resources, Runtime, Sandbox, SandboxSpec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Node {
    pub runtime: Arc<ProcessRuntime>,
    pub options: ProcessOptions,
    pub directory: PathBuf,
}

impl Node {
    /// Runs a test on a node of its own, on a thread of its own; says so if it cannot.
    pub fn run(name: &'static str, test: impl AsyncFnOnce(&mut Node) + Send + 'static) {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED {name}: the process runtime needs root");
            return;
        }
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            kubelet::sys::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            // A node has an address of its own, from which it speaks to its pods.
            let address = netlink::address(1, "192.0.2.1".parse().unwrap());
            netlink::Netlink::open().unwrap().apply(vec![netlink::up(1), address]).unwrap();
            let directory = tempfile::Builder::new().prefix("mkube-test-").tempdir().unwrap();
            let path = std::fs::canonicalize(directory.path()).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(async {
                    let mut node = Node::start(&path).await;
                    test(&mut node).await;
                    node.stop().await;
                });
            }));
            runtime.shutdown_timeout(Duration::from_secs(1));
            let left = cleanup(&path.join("runtime")).unwrap();
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
            assert_eq!(left, Vec::<String>::new());
            nothing_left(&path);
        });
        if let Err(panic) = thread.unwrap().join() {
            std::panic::resume_unwind(panic);
        }
    }

    pub async fn start(directory: &Path) -> Self {
        let id = directory.file_name().unwrap().to_str().unwrap().replace('.', "");
        let mut options = ProcessOptions::new(directory.join("runtime"), id, "test-node");
        options.exe = PathBuf::from(env!("CARGO_BIN_EXE_mkubelet"));
        options.pod_cidr = Some("10.99.0.0/24".parse().unwrap());
        let runtime = ProcessRuntime::new(options.clone()).await.unwrap();
        Self { runtime, options, directory: directory.to_owned() }
    }

    /// Another runtime on the same state, as after a restart of the kubelet.
    pub async fn restart(&mut self) {
        self.runtime = ProcessRuntime::new(self.options.clone()).await.unwrap();
    }

    async fn stop(&self) {
        for sandbox in self.runtime.sandboxes().await.unwrap() {
            self.runtime.remove_sandbox(&sandbox.id).await.unwrap();
        }
    }

    pub async fn sandbox(&self, name: &str, change: impl FnOnce(&mut SandboxSpec)) -> Sandbox {
        let mut spec = SandboxSpec {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            attempt: 0,
            hostname: name.to_owned(),
            host_network: false,
            labels: Default::default(),
            log_directory: self.directory.join("logs"),
            resolv_conf: Some("nameserver 10.96.0.10\n".to_owned()),
            cgroup_parent: format!("kubepods/pod{name}"),
            resources: Resources::default(),
            sysctls: Vec::new(),
        };
        change(&mut spec);
        self.runtime.run_sandbox(&spec).await.unwrap()
    }

    /// Creates and starts.
    pub async fn start_in(&self, sandbox: &str, spec: &ContainerSpec) -> Result<String, kubelet::runtime::Error> {
        let id = self.runtime.create_container(sandbox, spec).await?;
        self.runtime.start_container(&id).await?;
        Ok(id)
    }

    pub async fn start_container(&self, sandbox: &str, spec: &ContainerSpec) -> String {
        self.start_in(sandbox, spec).await.unwrap()
    }

    pub async fn container(&self, id: &str) -> Container {
        for sandbox in self.runtime.sandboxes().await.unwrap() {
            let containers = self.runtime.containers(&sandbox.id).await.unwrap();
            if let Some(container) = containers.into_iter().find(|container| container.id == id) {
                return container;
            }
        }
        panic!("no container {id}");
    }

    /// Waits, by events, until a container has ended.
    pub async fn ended(&self, id: &str) -> Container {
        let mut events = self.runtime.events();
        let wait = async {
            loop {
                let container = self.container(id).await;
                if container.state == ContainerState::Exited {
                    return container;
                }
                events.next().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the container ends")
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(format!("logs/{name}/0.log"))).unwrap_or_default()
    }

    pub async fn get(&self, ip: IpAddr, port: u16, path: &str) -> String {
        self.request(ip, port, "GET", path).await.unwrap()
    }

    pub async fn request(&self, ip: IpAddr, port: u16, method: &str, path: &str) -> std::io::Result<String> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        // The server's program has started; that it listens is the next moment, and nothing tells of it but that it does.
        loop {
            match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect((ip, port))).await? {
                Ok(stream) => return tokio::time::timeout(PATIENCE, speak(stream, method, path)).await?,
                Err(error) if tokio::time::Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// One HTTP exchange.
pub async fn speak(mut stream: tokio::net::TcpStream, method: &str, path: &str) -> std::io::Result<String> {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

pub fn container(node: &Node, name: &str, image: &str, command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        attempt: 0,
        image: image.to_owned(),
        command: command.iter().map(|text| (*text).to_owned()).collect(),
        args: Vec::new(),
        working_dir: None,
        env: Vec::new(),
        mounts: Vec::new(),
        resources: Resources::default(),
        tty: false,
        stdin: false,
        stdin_once: false,
        run_as_user: None,
        run_as_group: None,
        supplemental_groups: Vec::new(),
        readonly_rootfs: false,
        privileged: false,
        add_capabilities: Vec::new(),
        drop_capabilities: Vec::new(),
        no_new_privileges: false,
        log_path: node.directory.join(format!("logs/{name}/0.log")),
    }
}

pub fn echo(node: &Node, name: &str) -> ContainerSpec {
    container(node, name, "mkube.local/echo", &[])
}

pub fn shell(node: &Node, name: &str, script: &str) -> ContainerSpec {
    container(node, name, "mkube.local/host", &["sh", "-c", script])
}

pub fn mount(host: &Path, inside: &str, readonly: bool) -> Mount {
    Mount { host_path: host.to_owned(), container_path: inside.into(), readonly }
}

/// No process, mount or control group mentions the directory.
fn nothing_left(directory: &Path) {
    let text = directory.to_str().unwrap();
    let id = directory.file_name().unwrap().to_str().unwrap().replace('.', "");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(text), "mounts are left:\n{mounts}");
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name();
        // Whoever is the orphans' parent on this machine may be slow to reap.
        let alive = pid.to_str().and_then(|name| name.parse().ok()).and_then(kubelet::shim::wire::ProcessId::of);
        if alive.is_some() {
            let command = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
            assert!(!command.contains(text), "a process is left: {pid:?} {command:?}");
            let group = std::fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            assert!(!group.contains(&id), "a process is left: {pid:?} {command:?} {group}");
        }
    }
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        assert!(!hierarchy.path().join(&id).exists(), "a control group is left: {:?}", hierarchy.path().join(&id));
    }
    assert!(!directory.join("runtime").exists(), "the state directory is left");
}
