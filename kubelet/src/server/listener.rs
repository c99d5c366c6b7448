//! TLS: the server's certificate, the client's identity, and the loop that accepts connections.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use base::Context;
use base::panics::{CatchingExecutor, catch_in};
use base::pki::{Authority, Subject};
use base::tls;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::options::Options;

/// A client that does not finish its handshake in this time is dropped.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most connections at a time.
const MOST_CONNECTIONS: usize = 1024;

/// Who a client certificate says that the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Common name.
    pub user: String,
    /// Organisations.
    pub groups: Vec<String>,
}

/// The server's side of TLS. Without a certificate one is made that nobody can verify, as upstream does it.
///
/// # Errors
/// When files cannot be read or used.
pub fn config(options: &Options, name: &str, ips: &[IpAddr]) -> anyhow::Result<Arc<ServerConfig>> {
    let (certs, key) = match (&options.tls_cert_file, &options.tls_private_key_file) {
        (Some(cert), Some(key)) => (read(cert)?, read(key)?),
        (None, None) => {
            let names = [name.to_string()];
            let authority = Authority::create("mkubelet")?;
            let pair = authority.issue(&Subject { name, dns: &names, ips, days: 365, ..Subject::default() })?;
            (pair.cert.into_bytes(), pair.key.into_bytes())
        }
        _ => anyhow::bail!("--tls-cert-file and --tls-private-key-file go together"),
    };
    let clients = match &options.client_ca_file {
        Some(path) => {
            let roots = tls::roots(&read(path)?, "client authority")?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
            Some(verifier.allow_unauthenticated().build()?)
        }
        None => None,
    };
    Ok(Arc::new(tls::server(tls::Identity { chain: &certs, key: &key }, clients)?))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// Accepts connections until the context stops.
pub async fn accept(context: Context, listener: TcpListener, config: Arc<ServerConfig>, router: Router) {
    let acceptor = TlsAcceptor::from(config);
    let places = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, _) = base::tcp::accept(&listener).await;
        let (acceptor, router) = (acceptor.clone(), router.clone());
        context.spawn("connection", async move {
            drop(catch_in(connection(stream, acceptor, router)).await);
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) {
    let stream = match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => return tracing::debug!("TLS handshake took too long"),
    };
    let identity = stream.get_ref().1.peer_certificates().and_then(|certs| identity(certs.first()?));
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        if let Some(identity) = &identity {
            request.extensions_mut().insert(identity.clone());
        }
        router.clone().oneshot(request)
    });
    let builder = auto::Builder::new(CatchingExecutor);
    if let Err(error) = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection ended");
    }
}

fn identity(cert: &CertificateDer<'_>) -> Option<Identity> {
    let (_, cert) = x509_parser::parse_x509_certificate(cert).ok()?;
    let user = cert.subject().iter_common_name().next()?.as_str().ok()?.to_string();
    let groups = cert.subject().iter_organization().filter_map(|o| o.as_str().ok()).map(ToString::to_string).collect();
    Some(Identity { user, groups })
}
