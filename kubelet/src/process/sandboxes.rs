//! Sandboxes: made, stopped, removed; their addresses.

use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::pods::Pod;
use super::{KILL_DEADLINE, LAST_ADDRESS, ProcessRuntime, SANDBOXES, blocking, cleanup, other};
use crate::netns::{self, PodNetwork};
use crate::runtime::{Error, Result, Sandbox, SandboxSpec};
use crate::shim::wire::{self, Ready, Request, SandboxConfig};

impl ProcessRuntime {
    pub(super) fn take_addresses(&self, pod: &Pod) {
        let mut pool = self.addresses.lock();
        for address in pod.config.network.iter().flat_map(|network| &network.addresses) {
            pool.take(*address);
        }
    }

    pub(super) fn release_addresses(&self, pod: &Pod) {
        let mut pool = self.addresses.lock();
        for address in pod.config.network.iter().flat_map(|network| &network.addresses) {
            // Another sandbox may have it by now, if this one was dead when the kubelet returned.
            let held = self.pods.lock().all().any(|known| {
                known.config.id != pod.config.id
                    && known.link().is_some()
                    && known.config.network.as_ref().is_some_and(|network| network.addresses.contains(address))
            });
            if !held {
                pool.release(*address);
            }
        }
    }

    pub(super) async fn make_sandbox(&self, spec: &SandboxSpec) -> Result<Sandbox> {
        let same = |pod: &Pod| pod.config.spec.uid == spec.uid && pod.config.spec.attempt == spec.attempt;
        let known = self.pods.lock().of_uid(&spec.uid).find(|pod| same(pod)).cloned();
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
        let config = SandboxConfig {
            id,
            spec: spec.clone(),
            created_at: wire::now(),
            network,
            cgroup: self.cgroup.child(&spec.cgroup_parent),
            hide: self.options.hide.clone(),
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
        self.pods.lock().insert(pod.clone());
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
    pub(super) async fn stop(&self, pod: &Arc<Pod>) -> Result<()> {
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

    pub(super) async fn remove(&self, pod: &Arc<Pod>) -> Result<()> {
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

    pub(super) async fn dial(&self, sandbox: &str, port: u16) -> Result<tokio::net::TcpStream> {
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
        // The node's own may be a link to where the overlay does not reach.
        let resolv = config.spec.resolv_conf.clone().or_else(|| std::fs::read_to_string("/etc/resolv.conf").ok());
        if let Some(text) = resolv {
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
