//! Connections to an endpoint: TCP, TLS with a client certificate, where wanted out of another network namespace.
//!
//! Knows nothing of what is said over it. A connection is made once, and HTTP/2 over it, or what members say; a broken one is not
//! repaired but replaced by its user, so that a request is never silently sent twice.

use std::io;
use std::net::TcpStream as BlockingStream;
use std::net::ToSocketAddrs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::tls::{self, FileError, TlsFiles};

/// Why a remote store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No endpoint, or one that is no URL of a store.
    #[error("endpoint {0:?} is not http://HOST:PORT or https://HOST:PORT")]
    Endpoint(String),
    /// TLS without authorities, or a certificate without its key.
    #[error("{0}")]
    Incomplete(&'static str),
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where a member of the store listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: Arc<str>,
    host: String,
    port: u16,
    encrypted: bool,
}

impl Target {
    /// Reads an endpoint; without a scheme it is plain HTTP, as etcd's client has it.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let bad = || ConfigError::Endpoint(text.to_owned());
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: http::Uri = full.parse().map_err(|_| bad())?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let host = uri.host().map(|host| host.trim_matches(['[', ']']).to_owned());
        let host = host.filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let stray = uri.port_u16().is_none() && uri.authority().map(http::uri::Authority::as_str) != uri.host();
        if stray || uri.path().len() > 1 || uri.query().is_some() {
            return Err(bad());
        }
        Ok(Self { host, port: uri.port_u16().unwrap_or(2379), encrypted, url: full.into() })
    }
}

/// A connection.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Makes connections.
pub(crate) struct Dialer {
    tls: Option<TlsConnector>,
    namespace: Option<PathBuf>,
    probe: Option<Duration>,
}

impl Dialer {
    /// Reads the files; an encrypted target needs authorities.
    pub(crate) fn new(targets: &[Target], files: &TlsFiles, namespace: Option<PathBuf>) -> Result<Self, ConfigError> {
        let encrypted = targets.iter().any(|target| target.encrypted);
        if !encrypted {
            return Ok(Self { tls: None, namespace, probe: None });
        }
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(client_config(files)?))), namespace, probe: None })
    }

    /// Its connections are probed so often while nothing comes, and end when the other side has taken nothing for twice as long.
    pub(crate) fn probing(self, every: Duration) -> Self {
        Self { probe: Some(every), ..self }
    }

    /// Connects within `patience`.
    pub(crate) async fn dial(&self, target: &Target, patience: Duration) -> io::Result<Box<dyn Io>> {
        let connecting = tokio::time::timeout(patience, self.dial_slowly(target, patience));
        connecting.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))?
    }

    async fn dial_slowly(&self, target: &Target, patience: Duration) -> io::Result<Box<dyn Io>> {
        let stream = match &self.namespace {
            None => TcpStream::connect((target.host.as_str(), target.port)).await?,
            Some(namespace) => dial_in(namespace, target, patience).await?,
        };
        base::tcp::prepare(&stream);
        if let Some(every) = self.probe {
            base::tcp::probe(&stream, every)?;
        }
        match self.tls.as_ref().filter(|_| target.encrypted) {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
                Ok(Box::new(tls.connect(name, stream).await?))
            }
        }
    }
}

/// HTTP/2 over this one connection: when it breaks, the channel is finished.
pub(crate) async fn channel(stream: Box<dyn Io>, endpoint: Endpoint) -> Result<Channel, tonic::transport::Error> {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_: http::Uri| {
        let stream = stream.take().ok_or_else(|| io::Error::other("the connection was lost"));
        std::future::ready(stream)
    });
    endpoint.connect_with_connector(connector).await
}

/// Connects out of another network namespace. A socket belongs to the namespace it was made in, whoever uses it later; so a
/// thread enters the namespace, resolves and connects there, and ends.
async fn dial_in(namespace: &Path, target: &Target, patience: Duration) -> io::Result<TcpStream> {
    let (path, target) = (namespace.to_owned(), target.clone());
    let (reply, answer) = oneshot::channel();
    let dial = move || -> io::Result<BlockingStream> {
        let file = std::fs::File::open(&path)?;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (target.host.as_str(), target.port).to_socket_addrs()? {
            match BlockingStream::connect_timeout(&address, patience) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    // Whoever waited may have given up meanwhile.
    std::thread::Builder::new().name("store-dial".into()).spawn(move || drop(reply.send(dial())))?;
    let stream = answer.await.map_err(|_| io::Error::other("the dialing thread ended"))??;
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

fn client_config(files: &TlsFiles) -> Result<ClientConfig, ConfigError> {
    let Some(ca) = &files.ca else {
        return Err(ConfigError::Incomplete("an https endpoint of the store needs the authorities' file"));
    };
    let identity = match (&files.cert, &files.key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
        _ => return Err(ConfigError::Incomplete("the store's client certificate and its key go together")),
    };
    Ok(tls::client(ca, identity)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_etcds_clients_read_them() {
        // (text, host, port, encrypted)
        let table = [
            ("http://127.0.0.1:2379", "127.0.0.1", 2379, false),
            ("https://store.example:4001/", "store.example", 4001, true),
            ("127.0.0.1:2380", "127.0.0.1", 2380, false),
            ("store", "store", 2379, false),
            ("https://[::1]:2379", "::1", 2379, true),
        ];
        for (text, host, port, encrypted) in table {
            let target = Target::parse(text).unwrap();
            assert_eq!((target.host.as_str(), target.port, target.encrypted), (host, port, encrypted), "{text}");
        }
        for text in ["", "unix:///run/etcd", "ftp://a:1", "http://", "http://a:1/path", "http://a:b", "a b"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_missing_for_tls_is_said() {
        let target = [Target::parse("https://127.0.0.1:2379").unwrap()];
        let refused = |files: TlsFiles| match Dialer::new(&target, &files, None) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(refused(TlsFiles::default()).contains("needs the authorities' file"));
        let missing = TlsFiles { ca: Some("/nowhere/ca.crt".into()), ..TlsFiles::default() };
        assert!(refused(missing).contains("/nowhere/ca.crt"));
        let plain = [Target::parse("http://127.0.0.1:2379").unwrap()];
        assert!(Dialer::new(&plain, &TlsFiles::default(), None).is_ok());
    }
}
