//! The kubeconfig file: clusters, users and contexts that join them (client-go, tools/clientcmd/api/v1/types.go).
//! Fields that this file does not name are kept when it is written back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use crate::config::{Config, Identity};
use crate::error::{Error, Result};

/// A kubeconfig file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kubeconfig {
    /// `v1`.
    #[serde(rename = "apiVersion", default)]
    pub api_version: String,
    /// `Config`.
    #[serde(default)]
    pub kind: String,
    /// Name of the context to use.
    #[serde(default)]
    pub current_context: String,
    /// Servers.
    #[serde(default)]
    pub clusters: Vec<Named<ClusterEntry>>,
    /// Server, user and namespace together.
    #[serde(default)]
    pub contexts: Vec<Named<ContextEntry>>,
    /// Credentials.
    #[serde(default)]
    pub users: Vec<Named<UserEntry>>,
    /// Preferences and extensions.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
    /// The directory that relative file names start from.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// A name and what it stands for; the file's own key for the content is `cluster`, `context` or `user`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Named<T> {
    /// The name.
    pub name: String,
    /// What it stands for.
    #[serde(alias = "cluster", alias = "context", alias = "user")]
    pub content: T,
}

/// A server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClusterEntry {
    /// Base URL.
    #[serde(default)]
    pub server: String,
    /// Certificates that may sign the server's: a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// The same, base64 of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// Do not check the server's certificate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// Name to expect in the server's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Name of the extension that lists a cluster's other servers. Extensions are the file's own place for what only some
/// programs know; kubectl keeps and ignores them.
const SERVERS: &str = "mkube/servers";

impl ClusterEntry {
    /// The cluster's other servers.
    fn alternatives(&self) -> Vec<String> {
        let extensions = self.other.get("extensions").and_then(Value::as_sequence);
        let found =
            extensions.into_iter().flatten().find(|entry| entry.get("name").is_some_and(|name| name == SERVERS));
        let list = found.and_then(|entry| entry.get("extension")?.get("servers")?.as_sequence());
        list.into_iter().flatten().filter_map(|server| server.as_str().map(String::from)).collect()
    }

    fn set_alternatives(&mut self, servers: &[String]) {
        let text = |text: &str| Value::String(text.into());
        let list = Value::Sequence(servers.iter().map(|server| text(server)).collect());
        let list = Value::Mapping([(text("servers"), list)].into_iter().collect());
        let entry = [(text("name"), text(SERVERS)), (text("extension"), list)].into_iter().collect();
        self.other.insert("extensions".into(), Value::Sequence(vec![Value::Mapping(entry)]));
    }
}

/// Server, user and namespace together.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ContextEntry {
    /// Name of the cluster.
    #[serde(default)]
    pub cluster: String,
    /// Name of the user.
    #[serde(default)]
    pub user: String,
    /// Namespace to use where none is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UserEntry {
    /// Client certificate: a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// The same, base64 of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// Its key: a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// The same, base64 of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// Bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A file with the bearer token.
    #[serde(rename = "tokenFile", default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Everything else (exec plugins, auth providers).
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl Kubeconfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it is missing or no kubeconfig.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::transport(format!("reading kubeconfig {}", path.display()), source))?;
        let mut config: Self = serde_yaml::from_str(&text)
            .map_err(|error| Error::Config(format!("error loading config file \"{}\": {error}", path.display())))?;
        config.dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(config)
    }

    /// The file for one cluster and one user, all certificates inside: what `mkube up` writes for people.
    pub fn single(name: &str, server: &str, ca: &str, cert: &str, key: &str) -> Self {
        let cluster = ClusterEntry {
            server: server.into(),
            certificate_authority_data: Some(STANDARD.encode(ca)),
            ..ClusterEntry::default()
        };
        let user = UserEntry {
            client_certificate_data: Some(STANDARD.encode(cert)),
            client_key_data: Some(STANDARD.encode(key)),
            ..UserEntry::default()
        };
        let context = ContextEntry { cluster: name.into(), user: name.into(), ..ContextEntry::default() };
        Self {
            api_version: "v1".into(),
            kind: "Config".into(),
            current_context: name.into(),
            clusters: vec![Named { name: name.into(), content: cluster }],
            contexts: vec![Named { name: name.into(), content: context }],
            users: vec![Named { name: name.into(), content: user }],
            ..Self::default()
        }
    }

    /// Names the other servers of the first cluster, which components turn to when they cannot reach one (see
    /// [`Config::alternatives`]).
    #[must_use]
    pub fn with_alternatives(mut self, servers: &[String]) -> Self {
        if let Some(cluster) = self.clusters.first_mut().filter(|_| !servers.is_empty()) {
            cluster.content.set_alternatives(servers);
        }
        self
    }

    /// The file's text.
    ///
    /// # Errors
    /// Never in practice: all of it is plain data.
    pub fn to_yaml(&self) -> Result<String> {
        let failed = |error: serde_yaml::Error| Error::Config(error.to_string());
        let mut value = serde_yaml::to_value(self).map_err(failed)?;
        for (list, key) in [("clusters", "cluster"), ("contexts", "context"), ("users", "user")] {
            let entries = value.get_mut(list).and_then(Value::as_sequence_mut);
            for entry in entries.into_iter().flatten().filter_map(Value::as_mapping_mut) {
                if let Some(content) = entry.remove("content") {
                    entry.insert(key.into(), content);
                }
            }
        }
        serde_yaml::to_string(&value).map_err(failed)
    }

    /// What to talk to under `context`, or under the current one.
    ///
    /// # Errors
    /// When the context, its cluster or user, or a file they name does not exist.
    pub fn config(&self, context: Option<&str>) -> Result<Config> {
        let name = context.unwrap_or(&self.current_context);
        let context =
            find(&self.contexts, name).ok_or_else(|| Error::Config(format!("context \"{name}\" does not exist")))?;
        let cluster = find(&self.clusters, &context.cluster)
            .ok_or_else(|| Error::Config(format!("cluster \"{}\" does not exist", context.cluster)))?;
        let nobody = UserEntry::default();
        let user = match context.user.as_str() {
            "" => &nobody,
            user => {
                find(&self.users, user).ok_or_else(|| Error::Config(format!("auth info \"{user}\" does not exist")))?
            }
        };
        let ca = self.content(cluster.certificate_authority_data.as_ref(), cluster.certificate_authority.as_ref())?;
        Ok(Config {
            server: cluster.server.clone(),
            alternatives: cluster.alternatives(),
            ca,
            insecure: cluster.insecure_skip_tls_verify,
            server_name: cluster.tls_server_name.clone(),
            identity: self.identity(user)?,
            namespace: context.namespace.clone().unwrap_or_else(|| "default".into()),
            ..Config::default()
        })
    }

    fn identity(&self, user: &UserEntry) -> Result<Identity> {
        let cert = self.content(user.client_certificate_data.as_ref(), user.client_certificate.as_ref())?;
        let key = self.content(user.client_key_data.as_ref(), user.client_key.as_ref())?;
        Ok(match (cert, key, &user.token, &user.token_file) {
            (Some(cert), Some(key), _, _) => Identity::Certificate { cert, key },
            (_, _, Some(token), _) => Identity::Token(token.clone()),
            (_, _, None, Some(file)) => Identity::TokenFile(self.dir.join(file)),
            _ => Identity::Anonymous,
        })
    }

    fn content(&self, data: Option<&String>, file: Option<&PathBuf>) -> Result<Option<Vec<u8>>> {
        if let Some(data) = data {
            let decoded = STANDARD
                .decode(data.split_whitespace().collect::<String>())
                .map_err(|error| Error::Config(format!("illegal base64 data in kubeconfig: {error}")))?;
            return Ok(Some(decoded));
        }
        let Some(file) = file else { return Ok(None) };
        let path = self.dir.join(file);
        let content = std::fs::read(&path)
            .map_err(|source| Error::transport(format!("unable to read {}", path.display()), source))?;
        Ok(Some(content))
    }
}

impl Config {
    /// From the kubeconfig file at `path`, its current context.
    ///
    /// # Errors
    /// When the file is missing, damaged, or names things it does not hold.
    pub fn from_kubeconfig(path: &Path) -> Result<Self> {
        Kubeconfig::read(path)?.config(None)
    }
}

fn find<'a, T>(list: &'a [Named<T>], name: &str) -> Option<&'a T> {
    list.iter().find(|entry| entry.name == name).map(|entry| &entry.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
apiVersion: v1
kind: Config
current-context: dev
preferences: {}
clusters:
- name: c
  cluster:
    server: https://127.0.0.1:1
    certificate-authority: ca.crt
contexts:
- name: dev
  context: {cluster: c, user: u, namespace: team}
- name: broken
  context: {cluster: nowhere, user: u}
users:
- name: u
  user:
    token: secret
";

    #[test]
    fn a_context_joins_cluster_user_and_namespace() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), "PEM").unwrap();
        std::fs::write(dir.path().join("config"), FILE).unwrap();
        let config = Config::from_kubeconfig(&dir.path().join("config")).unwrap();
        assert_eq!((config.server.as_str(), config.namespace.as_str()), ("https://127.0.0.1:1", "team"));
        assert_eq!(config.ca.as_deref(), Some(&b"PEM"[..]));
        assert!(matches!(config.identity, Identity::Token(token) if token == "secret"));
    }

    #[test]
    fn the_other_servers_of_a_cluster_are_written_and_read() {
        let others = ["https://10.0.0.2:6443".to_string(), "https://10.0.0.3:6443".to_string()];
        let one = Kubeconfig::single("c", "https://10.0.0.1:6443", "ca", "cert", "key");
        assert!(one.clone().config(None).unwrap().alternatives.is_empty());
        let text = one.with_alternatives(&others).to_yaml().unwrap();
        let config = serde_yaml::from_str::<Kubeconfig>(&text).unwrap().config(None).unwrap();
        assert_eq!((config.server.as_str(), config.alternatives.as_slice()), ("https://10.0.0.1:6443", &others[..]));
    }

    #[test]
    fn names_that_do_not_exist_are_named() {
        let config: Kubeconfig = serde_yaml::from_str(FILE).unwrap();
        let table = [("nope", "context \"nope\" does not exist"), ("broken", "cluster \"nowhere\" does not exist")];
        for (context, message) in table {
            assert_eq!(config.config(Some(context)).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = Kubeconfig::single("mkube", "https://h:1", "CA", "CERT", "KEY").to_yaml().unwrap();
        assert!(text.contains("cluster:") && !text.contains("content:"), "{text}");
        let config = serde_yaml::from_str::<Kubeconfig>(&text).unwrap().config(None).unwrap();
        assert!(matches!(config.identity, Identity::Certificate { cert, key } if cert == b"CERT" && key == b"KEY"));
    }
}
