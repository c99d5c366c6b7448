//! Accepts connections on the client URLs, with TLS or without, HTTP/1.1 and HTTP/2 on one port.
//!
//! Whatever a client does to its connection (garbage, silence) costs that connection only: handshakes and request heads have
//! deadlines, and connections are probed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base::Context;
use base::gather::{Gathered, gather};
use base::panics::{CatchingExecutor, catch_in};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::authority::Named;
use super::front::Front;

/// A TLS handshake, or the head of an HTTP/1.1 request, takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long requests may go on when the server stops.
const DRAIN: Duration = Duration::from_secs(2);
/// Calls that a client may give up before they were looked at: a client with many calls under way gives up all at once.
const GIVEN_UP: usize = 10_000;
/// Bytes of requests that one connection may have sent unread. HTTP/2's library ends a connection whose small frames, each counted
/// as 256 bytes, lie unread beyond half of this: so many calls ([`GIVEN_UP`]) at once are well within it.
const WINDOW: u32 = 8 << 20;

/// How connections are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) streams: u32,
    pub(super) probe_interval: Duration,
    pub(super) probe_timeout: Duration,
}

/// Serves `front` on a listener in `context` until it stops.
pub(super) fn serve(
    context: &Context,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    front: Front,
    limits: Limits,
) {
    let connections = context.clone();
    context.spawn("accept", async move {
        let acceptor = tls.map(TlsAcceptor::from);
        loop {
            let (stream, address) = base::tcp::accept(&listener).await;
            let (front, acceptor, context) = (front.clone(), acceptor.clone(), connections.clone());
            connections.spawn_graceful("connection", async move {
                let (stream, gather) = gather(stream);
                drop(catch_in(gather.serve(begin(stream, address, acceptor, front, limits, context))).await);
            });
        }
    });
}

async fn begin(
    stream: Gathered,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    front: Front,
    limits: Limits,
    context: Context,
) {
    let Some(acceptor) = acceptor else { return connection(stream, address, front, limits, context).await };
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(DEADLINE, acceptor.accept(stream)) => accepted,
        () = context.stopped() => return,
    };
    match accepted {
        Ok(Ok(stream)) => connection(stream, address, front, limits, context).await,
        Ok(Err(error)) => tracing::debug!(peer = %address, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %address, "TLS handshake timed out"),
    }
}

async fn connection<S>(stream: S, address: SocketAddr, front: Front, limits: Limits, context: Context)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(CatchingExecutor);
    builder.http1().timer(TokioTimer::new()).header_read_timeout(DEADLINE);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(Some(GIVEN_UP))
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(limits.probe_interval)
        .keep_alive_timeout(limits.probe_timeout);
    let service = TowerToHyperService::new(front);
    let connection = builder.serve_connection(TokioIo::new(Named::new(stream)), service);
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
