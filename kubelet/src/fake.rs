//! A runtime without processes, for tests: containers live as a script says, in tokio's time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::runtime::*;

#[derive(Default)]
struct State {
    sandboxes: Vec<Sandbox>,
    containers: Vec<Container>,
    specs: BTreeMap<ContainerId, ContainerSpec>,
    /// What the containers of a name do, one after the other; the last one repeats.
    scripts: BTreeMap<String, Vec<String>>,
    started: Vec<String>,
    refused: Vec<String>,
    executed: Vec<String>,
    exec_code: i32,
    /// What commands wait for before they start.
    exec_gate: Option<Arc<Semaphore>>,
    counter: u32,
}

/// Clones share everything.
#[derive(Clone)]
pub struct FakeRuntime {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<RuntimeEvent>,
    clock: Arc<dyn Clock>,
}

impl FakeRuntime {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), events: broadcast::Sender::new(256), clock }
    }

    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// `run`, `exit CODE after SECONDS`, `ignores SIGTERM`, one per start.
    pub fn script(&self, name: &str, lives: &[&str]) {
        self.state.lock().scripts.insert(name.into(), lives.iter().map(ToString::to_string).collect());
    }

    pub fn refuse_image(&self, image: &str) {
        self.state.lock().refused.push(image.into());
    }

    pub fn accept_images(&self) {
        self.state.lock().refused.clear();
    }

    pub fn exec_answers(&self, code: i32) {
        self.state.lock().exec_code = code;
    }

    /// From now on commands start when there is a permit.
    pub fn exec_waits(&self) -> Arc<Semaphore> {
        self.state.lock().exec_gate.insert(Arc::new(Semaphore::new(0))).clone()
    }

    pub fn executed(&self) -> Vec<String> {
        self.state.lock().executed.clone()
    }

    pub fn started(&self, name: &str) -> usize {
        self.state.lock().started.iter().filter(|n| *n == name).count()
    }

    pub fn order(&self) -> Vec<String> {
        self.state.lock().started.clone()
    }

    pub fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.sandboxes.is_empty() && state.containers.is_empty()
    }

    pub fn sandbox_uids(&self) -> Vec<String> {
        self.state.lock().sandboxes.iter().map(|s| s.uid.clone()).collect()
    }

    pub fn env(&self, name: &str) -> Vec<(String, String)> {
        let state = self.state.lock();
        state.specs.values().find(|s| s.name == name).map(|s| s.env.clone()).unwrap_or_default()
    }

    pub fn add_sandbox(&self, uid: &str) {
        let created_at = self.clock.now();
        let (id, ready) = (format!("sandbox-{uid}"), true);
        let sandbox = Sandbox {
            id,
            namespace: "ns".into(),
            name: uid.into(),
            uid: uid.into(),
            attempt: 0,
            ready,
            created_at,
            ips: Vec::new(),
        };
        self.state.lock().sandboxes.push(sandbox);
    }

    fn tell(&self, sandbox: &str) {
        let uid = self.state.lock().sandboxes.iter().find(|s| s.id == sandbox).map(|s| s.uid.clone());
        if let Some(pod_uid) = uid {
            let _ = self.events.send(RuntimeEvent { sandbox: sandbox.into(), pod_uid });
        }
    }

    /// Ends a container, if it still runs.
    pub fn end(&self, id: &str, code: i32) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let running = |c: &&mut Container| c.id == id && c.state == ContainerState::Running;
        let Some(container) = state.containers.iter_mut().find(running) else { return };
        container.state = ContainerState::Exited;
        container.exit_code = Some(code);
        container.finished_at = Some(now);
        container.reason = if code == 0 { "Completed".into() } else { "Error".into() };
        let sandbox = container.sandbox.clone();
        drop(state);
        self.tell(&sandbox);
    }

    fn life(&self, id: &str) -> String {
        let state = self.state.lock();
        let Some(container) = state.containers.iter().find(|c| c.id == id) else { return "run".into() };
        let lives = state.scripts.get(&container.name).map(Vec::as_slice).unwrap_or_default();
        let count = state.started.iter().filter(|n| **n == container.name).count();
        let life = lives.get(count.saturating_sub(1)).or(lives.last());
        life.cloned().unwrap_or_else(|| "run".into())
    }
}

fn ok<T: Send + 'static>(value: T) -> BoxFuture<'static, Result<T>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl Runtime for FakeRuntime {
    fn version(&self) -> String {
        "fake://1".into()
    }

    fn run_sandbox<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Sandbox>> {
        let mut state = self.state.lock();
        state.counter += 1;
        let number = state.counter;
        let sandbox = Sandbox {
            id: format!("sandbox{number}"),
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            uid: spec.uid.clone(),
            attempt: spec.attempt,
            ready: true,
            created_at: self.clock.now(),
            ips: vec![IpAddr::from([10, 0, 0, u8::try_from(number).unwrap()])],
        };
        state.sandboxes.push(sandbox.clone());
        ok(sandbox)
    }

    fn stop_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock();
        state.sandboxes.iter_mut().filter(|s| s.id == id).for_each(|s| s.ready = false);
        let running: Vec<_> = state.containers.iter().filter(|c| c.sandbox == id).map(|c| c.id.clone()).collect();
        drop(state);
        running.iter().for_each(|id| self.end(id, 137));
        self.tell(id);
        ok(())
    }

    fn remove_sandbox<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let mut state = self.state.lock();
        state.sandboxes.retain(|s| s.id != id);
        state.containers.retain(|c| c.sandbox != id);
        ok(())
    }

    fn sandboxes(&self) -> BoxFuture<'_, Result<Vec<Sandbox>>> {
        ok(self.state.lock().sandboxes.clone())
    }

    fn sandboxes_of<'a>(&'a self, uid: &'a str) -> BoxFuture<'a, Result<Vec<Sandbox>>> {
        ok(self.state.lock().sandboxes.iter().filter(|sandbox| sandbox.uid == uid).cloned().collect())
    }

    fn create_container<'a>(&'a self, sandbox: &'a str, spec: &'a ContainerSpec) -> BoxFuture<'a, Result<ContainerId>> {
        let mut state = self.state.lock();
        state.counter += 1;
        let id = format!("{}-{}", spec.name, state.counter);
        state.specs.insert(id.clone(), spec.clone());
        state.containers.push(Container {
            id: id.clone(),
            sandbox: sandbox.into(),
            name: spec.name.clone(),
            attempt: spec.attempt,
            image: spec.image.clone(),
            state: ContainerState::Created,
            created_at: self.clock.now(),
            started_at: None,
            finished_at: None,
            exit_code: None,
            reason: String::new(),
            message: String::new(),
            pid: None,
        });
        ok(id)
    }

    fn start_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let Some(container) = state.containers.iter_mut().find(|c| c.id == id) else {
            return Box::pin(std::future::ready(Err(Error::NotFound(id.into()))));
        };
        (container.state, container.started_at) = (ContainerState::Running, Some(now));
        let (name, sandbox) = (container.name.clone(), container.sandbox.clone());
        state.started.push(name);
        drop(state);
        let life = self.life(id);
        if let Some((code, seconds)) = life.strip_prefix("exit ").and_then(|l| l.split_once(" after ")) {
            let (code, seconds) = (code.parse().unwrap(), seconds.parse().unwrap());
            let (runtime, id) = (self.clone(), id.to_string());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                runtime.end(&id, code);
            });
        }
        self.tell(&sandbox);
        ok(())
    }

    fn stop_container<'a>(&'a self, id: &'a str, grace: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if self.life(id) == "ignores SIGTERM" {
                tokio::time::sleep(grace).await;
                self.end(id, 137);
            } else {
                self.end(id, 0);
            }
            Ok(())
        })
    }

    fn remove_container<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<()>> {
        self.state.lock().containers.retain(|c| c.id != id);
        ok(())
    }

    fn containers<'a>(&'a self, sandbox: &'a str) -> BoxFuture<'a, Result<Vec<Container>>> {
        ok(self.state.lock().containers.iter().filter(|c| c.sandbox == sandbox).cloned().collect())
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        BroadcastStream::new(self.events.subscribe()).filter_map(|event| std::future::ready(event.ok())).boxed()
    }

    fn exec_sync<'a>(&'a self, _: &'a str, command: &'a [String], _: Duration) -> BoxFuture<'a, Result<ExecOutput>> {
        let mut state = self.state.lock();
        state.executed.push(command.join(" "));
        ok(ExecOutput { stdout: b"out".to_vec(), stderr: Vec::new(), exit_code: state.exec_code })
    }

    /// An echo: what comes in goes out; `exit N` on standard input ends it.
    fn exec<'a>(&'a self, _: &'a str, command: &'a [String], streams: Streams) -> BoxFuture<'a, Result<Session>> {
        let gate = self.state.lock().exec_gate.clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            let (near_in, mut far_in) = tokio::io::duplex(1024);
            let (mut far_out, near_out) = tokio::io::duplex(1024);
            let (mut far_err, near_err) = tokio::io::duplex(1024);
            let (resize, mut sizes) = tokio::sync::mpsc::channel(4);
            let greeting = command.join(" ");
            let exit = tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                far_out.write_all(greeting.as_bytes()).await.unwrap();
                if !streams.tty {
                    far_err.write_all(b"err").await.unwrap();
                }
                if streams.tty {
                    let (columns, rows): (u16, u16) = sizes.recv().await.unwrap();
                    far_out.write_all(format!("{columns}x{rows}").as_bytes()).await.unwrap();
                }
                let mut input = Vec::new();
                if streams.stdin {
                    far_in.read_to_end(&mut input).await.unwrap();
                    far_out.write_all(&input).await.unwrap();
                }
                let text = String::from_utf8_lossy(&input).into_owned();
                text.strip_prefix("exit ").and_then(|code| code.trim().parse().ok()).unwrap_or(0)
            });
            Ok(Session {
                stdin: streams.stdin.then(|| Box::new(near_in) as Box<dyn AsyncWrite + Send + Unpin>),
                stdout: Some(Box::new(near_out)),
                stderr: (!streams.tty).then(|| Box::new(near_err) as Box<dyn AsyncRead + Send + Unpin>),
                resize: streams.tty.then_some(resize),
                exit: Box::pin(async move { Ok(exit.await.unwrap()) }),
            })
        })
    }

    fn attach<'a>(&'a self, id: &'a str, streams: Streams) -> BoxFuture<'a, Result<Session>> {
        Box::pin(async move { self.exec(id, &["attached".to_string()], streams).await })
    }

    fn connect<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, Result<tokio::net::TcpStream>> {
        Box::pin(std::future::ready(Err(Error::NotFound("no network".into()))))
    }

    fn pull_image<'a>(&'a self, image: &'a str) -> BoxFuture<'a, Result<String>> {
        let refused = self.state.lock().refused.iter().any(|i| i == image);
        let result =
            if refused { Err(Error::Image(format!("cannot run {image}"))) } else { Ok(format!("fake/{image}")) };
        Box::pin(std::future::ready(result))
    }

    fn image_status<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>>> {
        ok(None)
    }

    fn stats<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Stats>> {
        ok(Stats::default())
    }

    fn layer(&self, _: &str) -> Option<std::path::PathBuf> {
        None
    }
}
