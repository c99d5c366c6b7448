//! The sandboxes a kubelet knows: in memory as on disk, each with a connection to its shim.
//!
//! Keeps: what is told about a container was on disk before; a sandbox whose shim is gone is not ready, and what ran in it counts as
//! killed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::link::Link;
use crate::runtime::{Container, ContainerState, Sandbox};
use crate::shim::wire::{self, ContainerConfig, ContainerRecord, Phase, ProcessId, SandboxConfig};

/// A container of a pod.
#[derive(Debug, Clone)]
pub struct Held {
    /// What it is.
    pub config: ContainerConfig,
    /// Where it stands; `None` before it was started.
    pub record: Option<ContainerRecord>,
}

/// A sandbox.
#[derive(Debug)]
pub struct Pod {
    /// Its directory.
    pub directory: PathBuf,
    /// What it is.
    pub config: SandboxConfig,
    /// Its shim.
    pub shim: Mutex<Option<ProcessId>>,
    /// The connection to it; `None` once it is gone.
    pub link: Mutex<Option<Arc<Link>>>,
    /// Its containers.
    pub containers: Mutex<BTreeMap<String, Held>>,
    /// Counts changes.
    pub changes: watch::Sender<u64>,
}

impl Pod {
    /// A sandbox that was just made or read from disk.
    pub fn new(directory: PathBuf, config: SandboxConfig) -> Self {
        Self {
            directory,
            config,
            shim: Mutex::default(),
            link: Mutex::default(),
            containers: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Reads one from disk, with its containers.
    pub fn load(directory: &Path) -> io::Result<Self> {
        let config: SandboxConfig = wire::read_json(&directory.join(wire::SANDBOX_FILE))?;
        let pod = Self::new(directory.to_owned(), config);
        *pod.shim.lock() = wire::read_json(&directory.join(wire::SHIM_FILE)).ok();
        let mut containers = BTreeMap::new();
        for entry in std::fs::read_dir(directory.join(wire::CONTAINERS))?.flatten() {
            // A directory without a whole config is from a create that never returned.
            let Ok(config) = wire::read_json::<ContainerConfig>(&entry.path().join(wire::CONFIG_FILE)) else {
                continue;
            };
            let record = wire::read_json(&entry.path().join(wire::STATE_FILE)).ok();
            containers.insert(config.id.clone(), Held { config, record });
        }
        *pod.containers.lock() = containers;
        Ok(pod)
    }

    /// The connection, if the sandbox is ready.
    pub fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone()
    }

    /// Takes over what the shim says about a container.
    pub fn changed(&self, record: ContainerRecord) {
        if let Some(held) = self.containers.lock().get_mut(&record.id) {
            held.record = Some(record);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// The shim is gone: so are its containers, or they are now. Writes that down.
    pub fn lost(&self) {
        *self.link.lock() = None;
        let mut containers = self.containers.lock();
        for (id, held) in containers.iter_mut() {
            let Some(record) = held.record.as_mut().filter(|record| record.phase != Phase::Exited) else { continue };
            if let Some(process) = &record.process {
                process.kill();
            }
            record.phase = Phase::Exited;
            record.finished_at = Some(wire::now());
            record.exit_code = Some(137);
            record.reason = "Error".to_owned();
            record.message = "the pod's shim ended, and its containers with it".to_owned();
            let path = self.directory.join(wire::CONTAINERS).join(id).join(wire::STATE_FILE);
            if let Err(error) = wire::write_json(&path, record, true) {
                tracing::warn!(container = id, %error, "could not write down the end of a container");
            }
        }
        drop(containers);
        self.changes.send_modify(|count| *count += 1);
    }

    /// As the runtime trait shows it.
    pub fn sandbox(&self) -> Sandbox {
        let spec = &self.config.spec;
        Sandbox {
            id: self.config.id.clone(),
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            uid: spec.uid.clone(),
            attempt: spec.attempt,
            ready: self.link.lock().is_some(),
            created_at: timestamp(self.config.created_at),
            ips: self.config.network.as_ref().map(|network| network.addresses.clone()).unwrap_or_default(),
        }
    }

    /// The containers, as the runtime trait shows them.
    pub fn list(&self) -> Vec<Container> {
        self.containers.lock().values().map(|held| show(&self.config.id, held)).collect()
    }
}

/// A container, as the runtime trait shows it.
fn show(sandbox: &str, held: &Held) -> Container {
    let (config, record) = (&held.config, held.record.as_ref());
    let state = match record.map(|record| record.phase) {
        None | Some(Phase::Starting) => ContainerState::Created,
        Some(Phase::Running) => ContainerState::Running,
        Some(Phase::Exited) => ContainerState::Exited,
    };
    let running = record.filter(|record| record.phase == Phase::Running);
    Container {
        id: config.id.clone(),
        sandbox: sandbox.to_owned(),
        name: config.spec.name.clone(),
        attempt: config.spec.attempt,
        image: config.spec.image.clone(),
        state,
        created_at: timestamp(config.created_at),
        started_at: record.and_then(|record| record.started_at).map(timestamp),
        finished_at: record.and_then(|record| record.finished_at).map(timestamp),
        exit_code: record.and_then(|record| record.exit_code),
        reason: record.map(|record| record.reason.clone()).unwrap_or_default(),
        message: record.map(|record| record.message.clone()).unwrap_or_default(),
        pid: running.and_then(|record| record.process.as_ref()).map(|process| process.pid),
    }
}

fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}
