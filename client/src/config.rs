//! Where the API server is and who we are: from a kubeconfig, or from the files that every pod is given.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where the files of a pod's service account are mounted.
const SERVICE_ACCOUNT_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How the client proves who it is.
#[derive(Debug, Clone, Default)]
pub enum Identity {
    /// It does not.
    #[default]
    Anonymous,
    /// A client certificate and its key, PEM.
    Certificate {
        /// Certificate chain.
        cert: Vec<u8>,
        /// Private key.
        key: Vec<u8>,
    },
    /// A bearer token.
    Token(String),
    /// A bearer token that somebody renews in a file.
    TokenFile(PathBuf),
}

/// Everything needed to talk to a cluster's API servers.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Base URL, e.g. `https://127.0.0.1:6443`.
    pub server: String,
    /// Base URLs of the cluster's other servers, which are asked while the one before cannot be reached. The same authorities
    /// sign for all; each must have its own host in its certificate.
    pub alternatives: Vec<String>,
    /// Certificates that may sign the server's, PEM; `None` with `insecure`.
    pub ca: Option<Vec<u8>>,
    /// Do not check the server's certificate.
    pub insecure: bool,
    /// Name to expect in the server's certificate instead of the URL's host.
    pub server_name: Option<String>,
    /// Who we are.
    pub identity: Identity,
    /// Namespace to use where none is said.
    pub namespace: String,
    /// What we call ourselves, e.g. `mkube-scheduler/0.1.0`.
    pub user_agent: String,
    /// User to act as (`Impersonate-User`).
    pub impersonate: Option<String>,
    /// Groups to act as.
    pub impersonate_groups: Vec<String>,
}

impl Config {
    /// From the files and variables that the kubelet gives to every pod.
    ///
    /// # Errors
    /// When the process does not run in a pod.
    pub fn in_cluster() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = variable("KUBERNETES_SERVICE_HOST").ok_or_else(not_in_cluster)?;
        let port = variable("KUBERNETES_SERVICE_PORT").ok_or_else(not_in_cluster)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let dir = Path::new(SERVICE_ACCOUNT_DIR);
        let ca = std::fs::read(dir.join("ca.crt"))
            .map_err(|source| Error::transport(format!("reading {SERVICE_ACCOUNT_DIR}/ca.crt"), source))?;
        let namespace = std::fs::read_to_string(dir.join("namespace")).unwrap_or_else(|_| "default".into());
        Ok(Self {
            server: format!("https://{host}:{port}"),
            ca: Some(ca),
            identity: Identity::TokenFile(dir.join("token")),
            namespace: namespace.trim().to_string(),
            ..Self::default()
        })
    }

    /// The kubeconfig at `path` if one is named, else the pod's own files.
    ///
    /// # Errors
    /// As of [`Config::from_kubeconfig`] and [`Config::in_cluster`].
    pub fn load(path: Option<&Path>) -> Result<Self> {
        path.map_or_else(Self::in_cluster, Self::from_kubeconfig)
    }

    /// The same with a user agent, e.g. `mkube-scheduler`.
    #[must_use]
    pub fn named(mut self, component: &str) -> Self {
        self.user_agent = format!("{component}/{}", env!("CARGO_PKG_VERSION"));
        self
    }
}

fn not_in_cluster() -> Error {
    Error::Config(
        "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
            .into(),
    )
}
