//! A cluster's directory: what lies where, what is kept, who may use it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::net::cidr::{MASTER, Ranges};

/// What a cluster is, for life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Six hexadecimal digits: part of every name outside the directory (namespaces, devices, cgroups).
    pub id: String,
    /// How many nodes.
    pub nodes: u8,
    /// How many masters.
    #[serde(default = "one")]
    pub servers: u8,
    /// The etcd that the masters keep their objects in; none = mkube's own store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<PathBuf>,
    /// Container runtime of the nodes.
    pub runtime: String,
    /// Port on the host's loopback address.
    pub port: u16,
    /// Address ranges.
    pub ranges: Ranges,
    /// Where its objects are, if not in its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<OtherStore>,
}

/// A store that is not the cluster's own: what the API server's flags of the same names say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherStore {
    /// URLs, as the host reaches them.
    pub endpoints: Vec<String>,
    /// Authorities of its certificate.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// What the keys begin with.
    pub prefix: String,
}

fn one() -> u8 {
    1
}

/// One of the masters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// `master`, or `master-1` and so on where there are several.
    pub name: String,
    /// Last byte of its address on the switch.
    pub last: u8,
}

impl Cluster {
    /// The masters. The first is the host's way to pods and Services.
    pub fn masters(&self) -> Vec<Master> {
        let name = |number: u8| if self.servers == 1 { "master".into() } else { format!("master-{}", number + 1) };
        (0..self.servers).map(|number| Master { name: name(number), last: MASTER + number }).collect()
    }

    /// Names of the nodes.
    pub fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("node-{number}")).collect()
    }

    /// Name of the network namespace of `member`: a master, `switch`, or a node.
    pub fn namespace(&self, member: &str) -> String {
        format!("mkube-{}-{member}", self.id)
    }

    /// Name of the host's device on the switch.
    pub fn host_device(&self) -> String {
        format!("mkube-{}", self.id)
    }

    /// Name of the cgroup of `node` below each hierarchy's root.
    pub fn cgroup(&self, node: &str) -> String {
        format!("mkube-{}-{node}", self.id)
    }
}

/// The directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout of `dir`, which need not exist yet.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { root: std::path::absolute(dir).context("data directory")? })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// For people and clients.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// Keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.root.join("pki")
    }

    /// The kubeconfig of a component.
    pub fn component_kubeconfig(&self, name: &str) -> PathBuf {
        self.pki().join(format!("{name}.kubeconfig"))
    }

    /// The files of a master's store, or of its member of a store of several.
    pub fn store(&self, master: &str) -> PathBuf {
        match master {
            "master" => self.root.join("store"),
            member => self.root.join(format!("store-{member}")),
        }
    }

    /// What belongs to a node: pods, volumes, images.
    pub fn node(&self, name: &str) -> PathBuf {
        self.root.join("nodes").join(name)
    }

    /// Where a node's static pods are read from.
    pub fn manifests(&self, node: &str) -> PathBuf {
        self.node(node).join("manifests")
    }

    /// A component's log.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("logs").join(format!("{component}.log"))
    }

    /// The PID of a component while it runs.
    pub fn pid(&self, component: &str) -> PathBuf {
        self.root.join("run").join(format!("{component}.pid"))
    }

    /// Makes the directories, readable by their owner only.
    ///
    /// # Errors
    /// I/O errors.
    pub fn create(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        for dir in ["", "pki", "logs", "run", "nodes"] {
            let path = self.root.join(dir);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
            made.with_context(|| format!("making {}", path.display()))?;
        }
        Ok(())
    }

    /// The cluster that lives here; `None` if there is none yet.
    ///
    /// # Errors
    /// When its file is damaged.
    pub fn cluster(&self) -> anyhow::Result<Option<Cluster>> {
        let path = self.root.join("cluster.json");
        match fs::read(&path) {
            Ok(bytes) => {
                let parsed = serde_json::from_slice(&bytes);
                parsed.map(Some).with_context(|| format!("{} is damaged", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Keeps the cluster's facts.
    ///
    /// # Errors
    /// I/O errors.
    pub fn keep(&self, cluster: &Cluster) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec_pretty(cluster)?;
        base::files::write_atomic(&self.root.join("cluster.json"), &bytes, 0o600).context("keeping cluster.json")
    }

    /// Makes this process the only one that runs the cluster.
    ///
    /// # Errors
    /// When another process does: its PID is in the message.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        match self.try_lock()? {
            Ok(lock) => Ok(lock),
            Err(pid) => bail!("the cluster in {} is already running (pid {pid})", self.root.display()),
        }
    }

    /// The lock, or the PID of the process that has it.
    ///
    /// # Errors
    /// I/O errors.
    pub fn try_lock(&self) -> anyhow::Result<Result<Lock, String>> {
        let path = self.root.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            file.read_to_string(&mut pid).context("reading the lock")?;
            return Ok(Err(pid.trim().to_string()));
        }
        file.set_len(0).and_then(|()| file.rewind()).context("writing the lock")?;
        write!(file, "{}", std::process::id()).context("writing the lock")?;
        Ok(Ok(Lock { _file: file }))
    }
}

/// Held while a process runs a cluster; the kernel releases it however the process ends.
pub struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let ranges = Ranges::choose(&[]).unwrap();
        let runtime = "process".into();
        Cluster { id: "a1b2c3".into(), nodes: 2, servers: 1, etcd: None, runtime, port: 6443, ranges, store: None }
    }

    #[test]
    fn a_cluster_is_kept_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        layout.create().unwrap();
        assert_eq!(layout.cluster().unwrap(), None);
        layout.keep(&cluster()).unwrap();
        assert_eq!(layout.cluster().unwrap(), Some(cluster()));
        fs::write(dir.path().join("cluster.json"), "{").unwrap();
        assert!(layout.cluster().unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn masters_are_numbered_where_there_are_several() {
        let names =
            |servers| Cluster { servers, ..cluster() }.masters().into_iter().map(|m| m.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["master"]);
        assert_eq!(names(3), ["master-1", "master-2", "master-3"]);
    }

    #[test]
    fn a_cluster_from_before_has_one_master() {
        let mut kept = serde_json::to_value(cluster()).unwrap();
        kept.as_object_mut().unwrap().remove("servers");
        assert_eq!(serde_json::from_value::<Cluster>(kept).unwrap(), cluster());
    }

    #[test]
    fn only_one_process_runs_a_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path()).unwrap();
        let first = layout.lock().unwrap();
        let refused = layout.lock().err().unwrap().to_string();
        assert!(refused.contains(&format!("already running (pid {})", std::process::id())), "{refused}");
        drop(first);
        assert!(layout.lock().is_ok());
    }

    #[test]
    fn names_fit_into_a_device_name() {
        assert!(cluster().host_device().len() <= 15);
        assert_eq!(cluster().node_names(), ["node-1", "node-2"]);
    }
}
