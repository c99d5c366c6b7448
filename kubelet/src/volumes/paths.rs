//! Where everything of a pod is kept below the kubelet's root directory.

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::pod;

/// Paths below one root.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Directories of all pods, by UID.
    pub fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// The pod's own directory.
    pub fn pod(&self, uid: &str) -> PathBuf {
        self.pods().join(uid)
    }

    /// A volume, under the name of its plugin, e.g. `kubernetes.io~configmap`.
    pub fn volume(&self, uid: &str, plugin: &str, name: &str) -> PathBuf {
        self.pod(uid).join("volumes").join(plugin).join(name)
    }

    /// The pod's `/etc/hosts`.
    pub fn hosts(&self, uid: &str) -> PathBuf {
        self.pod(uid).join("etc-hosts")
    }

    /// Where a container writes its termination message.
    pub fn termination_log(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.pod(uid).join("containers").join(container).join(attempt.to_string())
    }

    /// The pod's logs: `<namespace>_<name>_<uid>`.
    pub fn logs(&self, pod: &Pod) -> PathBuf {
        let name = format!("{}_{}_{}", pod::namespace(pod), pod::name(pod), pod::uid(pod));
        self.root.join("log").join("pods").join(name)
    }

    /// The log of one run of a container.
    pub fn log(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.logs(pod).join(container).join(format!("{attempt}.log"))
    }
}
