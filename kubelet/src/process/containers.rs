//! Containers: made, started, stopped, removed; commands in them.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::pods::{Held, Pod};
use super::{KILL_DEADLINE, ProcessRuntime, blocking, image, other, session};
use crate::runtime::{ContainerId, ContainerSpec, ContainerState, Error, ExecOutput, Result, Session, Streams};
use crate::shim::capabilities;
use crate::shim::wire::{self, Answer, ContainerConfig, Phase, Request};

/// How long a stream must be silent to count as ended when its command has.
const SILENCE: Duration = Duration::from_millis(200);
/// Cap of what `exec_sync` returns, as upstream's.
const EXEC_OUTPUT: usize = 16 << 10;

impl ProcessRuntime {
    pub(super) async fn make_container(&self, sandbox: &str, spec: &ContainerSpec) -> Result<ContainerId> {
        let pod = self.pod(sandbox)?;
        Self::link(&pod)?;
        let same = |held: &Held| held.config.spec.name == spec.name && held.config.spec.attempt == spec.attempt;
        if let Some(known) = pod.containers.lock().values().find(|held| same(held)) {
            return Ok(known.config.id.clone());
        }
        capabilities::set(&spec.add_capabilities, &spec.drop_capabilities)
            .map_err(|why| Error::Other { what: why, source: io::Error::from(io::ErrorKind::InvalidInput) })?;
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
        self.pods.lock().add_container(&id, &pod.config.id);
        Ok(id)
    }

    pub(super) async fn start(&self, id: &str) -> Result<()> {
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

    pub(super) async fn stop_one(&self, id: &str, grace: Duration) -> Result<()> {
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

    pub(super) async fn remove_one(&self, id: &str) -> Result<()> {
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
        self.pods.lock().remove_container(id);
        Ok(())
    }

    pub(super) async fn run_command(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput> {
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

    pub(super) async fn session(&self, id: &str, command: &[String], streams: Streams) -> Result<Session> {
        let pod = self.owner(id)?;
        Self::link(&pod)?;
        session::exec(&pod.directory, id, command, streams).await
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

/// Writes a container down and makes its control group. Blocking.
fn make_container(pod: &Pod, config: &ContainerConfig) -> io::Result<()> {
    let directory = pod.directory.join(wire::CONTAINERS).join(&config.id);
    for layer in ["rootfs", "layer/upper", "layer/work"] {
        std::fs::create_dir_all(directory.join(layer))?;
    }
    if let Some(parent) = config.spec.log_path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // Before the control group, so that a kubelet that comes after a crash here knows of both.
    wire::write_json(&directory.join(wire::CONFIG_FILE), config, false)?;
    for missing in pod.config.cgroup.child(&config.id).create(&config.spec.resources) {
        tracing::warn!(container = config.id, missing, "a limit could not be set");
    }
    Ok(())
}
