//! Accepts connections, speaks TLS, serves HTTP/1.1 and HTTP/2 on one port.
//!
//! Whatever a client does to its connection (garbage, silence, slowness) costs that connection only: handshakes and request
//! heads have deadlines, HTTP/2 connections are probed, and the number of connections is bounded.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base::gather::{Gathered, gather};
use base::panics::{CatchingExecutor, catch_in};
use base::tls::Identity;
use futures::FutureExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::chain;
use crate::auth::{Lenient, Peer};
use crate::request::Body;
use crate::state::Front;

/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The head of an HTTP/1.1 request takes no longer; also how long an idle connection stays (upstream: IdleTimeout 90 s).
const HEAD: Duration = Duration::from_secs(90);
/// How often, and how patiently, HTTP/2 connections are probed.
const PROBE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));
/// Requests at once on one HTTP/2 connection: a component has one connection for all its watches.
const STREAMS: u32 = 1000;
/// How long requests may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(5);

/// TLS with the server's certificate, asking for client certificates if there is an authority for them.
///
/// # Errors
/// Files that cannot be read, or hold no usable certificate or key.
pub fn tls(certificate: &Path, key: &Path, clients: Option<Arc<Lenient>>) -> anyhow::Result<Arc<ServerConfig>> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (chain, secret) = (read(certificate)?, read(key)?);
    let clients = clients.map(|clients| clients as Arc<dyn ClientCertVerifier>);
    let config = base::tls::server(Identity { chain: &chain, key: &secret }, clients);
    Ok(Arc::new(config.with_context(|| format!("{} and {}", certificate.display(), key.display()))?))
}

/// Serves connections in the front's context until it stops.
pub fn serve(front: Arc<Front>, listener: TcpListener, tls: Arc<ServerConfig>, most: usize) {
    let context = front.context.clone();
    let connections = context.clone();
    context.spawn("accept", async move {
        let (acceptor, room) = (TlsAcceptor::from(tls), Arc::new(Semaphore::new(most)));
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let (stream, address) = base::tcp::accept(&listener).await;
            let (front, acceptor) = (front.clone(), acceptor.clone());
            connections.spawn_graceful("connection", async move {
                let _permit = permit;
                let (stream, gather) = gather(stream);
                let served = catch_in(gather.serve(async {
                    if let Some(stream) = handshake(&acceptor, stream, address, &front).await {
                        connection(front, stream, address).await;
                    }
                }));
                drop(served.await);
            });
        }
    });
}

async fn handshake(
    acceptor: &TlsAcceptor,
    stream: Gathered,
    address: SocketAddr,
    front: &Front,
) -> Option<TlsStream<Gathered>> {
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)) => accepted,
        () = front.context.stopped() => return None,
    };
    match accepted {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(peer = %address, %error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(peer = %address, "TLS handshake timed out");
            None
        }
    }
}

fn protocol(h2: bool) -> auto::Builder<CatchingExecutor> {
    let mut builder = auto::Builder::new(CatchingExecutor);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PROBE.0)
        .keep_alive_timeout(PROBE.1)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(64 * 1024);
    if h2 { builder.http2_only() } else { builder.http1_only() }
}

async fn connection(front: Arc<Front>, stream: TlsStream<Gathered>, address: SocketAddr) {
    let tls = stream.get_ref().1;
    let h2 = tls.alpn_protocol() == Some(b"h2");
    let peer = Arc::new(Peer::new(address, tls.peer_certificates(), front.auth.clients.as_deref()));
    let context = front.context.clone();
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        chain::serve(front.clone(), peer.clone(), request.map(Body::new)).map(Ok::<_, std::convert::Infallible>)
    });
    let builder = protocol(h2);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = context.stopped() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "connection ended");
    }
}
