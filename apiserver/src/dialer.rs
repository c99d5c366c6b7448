//! Connections to kubelets, pods and services. Every connection has a deadline; what it carries does not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use api::{Status, kinds, object};
use base::tls::{self, Identity, Trust};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::options::Options;
use crate::registry::Registry;
use crate::storage::Freshness;

/// Where a kubelet listens if its node does not say.
const KUBELET_PORT: u16 = 10250;
const CONNECT: Duration = Duration::from_secs(10);

/// A byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How it is spoken to.
    pub security: Security,
}

/// How a target is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// A kubelet: it knows us by our certificate, and we it by its own.
    Kubelet,
    /// TLS to something of a user's, whose certificate nobody here can judge (as upstream's pod and service proxies).
    Unverified,
    /// Plain TCP.
    Plain,
}

impl Target {
    /// `host:port`, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self.security == Security::Plain { "http" } else { "https" }
    }
}

/// See the module.
pub struct Dialer {
    registry: Arc<Registry>,
    kubelet: Option<Arc<ClientConfig>>,
    unverified: Arc<ClientConfig>,
}

impl Dialer {
    /// Reads the certificates that the flags name.
    ///
    /// # Errors
    /// Files that cannot be read or hold no usable certificate or key.
    pub fn new(options: &Options, registry: Arc<Registry>) -> anyhow::Result<Self> {
        Ok(Self {
            registry,
            kubelet: kubelet_config(options)?,
            unverified: Arc::new(tls::client(Trust::Anyone, None)?),
        })
    }

    /// Connects.
    ///
    /// # Errors
    /// Why not, in words.
    pub async fn connect(&self, target: &Target) -> Result<Box<dyn Io>, String> {
        let attempt = async {
            let stream = TcpStream::connect((target.host.as_str(), target.port))
                .await
                .map_err(|error| format!("dial tcp {}: connect: {error}", target.authority()))?;
            base::tcp::prepare(&stream);
            let config = match target.security {
                Security::Plain => return Ok(Box::new(stream) as Box<dyn Io>),
                Security::Unverified => self.unverified.clone(),
                Security::Kubelet => self.kubelet.clone().ok_or(
                    "this server has no certificate for kubelets: --kubelet-client-certificate, --kubelet-client-key",
                )?,
            };
            let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
            let stream =
                TlsConnector::from(config).connect(name, stream).await.map_err(|error| format!("tls: {error}"))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        };
        let timed = tokio::time::timeout(CONNECT, attempt).await;
        timed.unwrap_or_else(|_| Err(format!("dial tcp {}: i/o timeout", target.authority())))
    }

    /// A core object.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn object(&self, plural: &str, namespace: &str, name: &str) -> Result<Value, Status> {
        let (kind, _) = kinds::find("", "v1", plural).ok_or_else(Status::no_such_path)?;
        Ok(self.registry.get(kind, namespace, name, Freshness::Latest).await?.value())
    }

    /// A pod.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Value, Status> {
        self.object("pods", namespace, name).await
    }

    /// The kubelet of a pod's node; `None` while the pod is on none.
    ///
    /// # Errors
    /// When the node is missing or has no address.
    pub async fn kubelet_of(&self, pod: &Value) -> Result<Option<Target>, Status> {
        let node = object::text(pod, "/spec/nodeName");
        if node.is_empty() { Ok(None) } else { self.kubelet(node).await.map(Some) }
    }

    /// The kubelet of a node.
    ///
    /// # Errors
    /// When the node is missing or has no address.
    pub async fn kubelet(&self, node: &str) -> Result<Target, Status> {
        let object = self.object("nodes", "", node).await?;
        let (host, port) = address_of(&object).ok_or_else(|| {
            Status::internal(format!("no preferred addresses found; known addresses: [] of node {node}"))
        })?;
        Ok(Target { host, port, security: Security::Kubelet })
    }
}

/// Address and port of a node's kubelet (upstream: pkg/kubelet/client; its order of address types, with Hostname last).
fn address_of(node: &Value) -> Option<(String, u16)> {
    let addresses = object::list(node, "/status/addresses");
    let of_type = |wanted: &str| {
        addresses.iter().find(|address| object::text(address, "/type") == wanted).map(|a| object::text(a, "/address"))
    };
    let order = ["InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS", "Hostname"];
    let host = order.iter().find_map(|wanted| of_type(wanted)).filter(|host| !host.is_empty())?;
    let port = object::integer(node, "/status/daemonEndpoints/kubeletEndpoint/Port");
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or(KUBELET_PORT);
    Some((host.to_string(), port))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn kubelet_config(options: &Options) -> anyhow::Result<Option<Arc<ClientConfig>>> {
    let (Some(certificate), Some(key)) = (&options.kubelet_client_certificate, &options.kubelet_client_key) else {
        return Ok(None);
    };
    let authority = options.kubelet_certificate_authority.as_ref().or(options.client_ca_file.as_ref());
    let authority = authority.context("--kubelet-certificate-authority is needed to know kubelets")?;
    let (authority, chain, key) = (read(authority)?, read(certificate)?, read(key)?);
    let config = tls::client(Trust::Authorities(&authority), Some(Identity { chain: &chain, key: &key }))?;
    Ok(Some(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubelets_are_where_their_node_says() {
        let node = json!({"status": {"addresses": [
            {"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "10.0.0.2"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10350}}}});
        assert_eq!(address_of(&node), Some(("10.0.0.2".into(), 10350)));
        let node = json!({"status": {"addresses": [{"type": "Hostname", "address": "n"}]}});
        assert_eq!(address_of(&node), Some(("n".into(), 10250)));
        assert_eq!(address_of(&json!({})), None);
    }
}
