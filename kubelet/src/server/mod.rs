//! The kubelet's HTTPS server: what the API server asks of a node.
//!
//! | file | what it does |
//! |---|---|
//! | [`listener`] | TLS; who the client is |
//! | [`auth`] | whether it may |
//! | [`containers`] | finds the container that a request means |
//! | [`container_logs`] | `/containerLogs`, with follow |
//! | [`streams`] | `/exec` and `/attach` over WebSocket |
//! | [`channels`] | pure: the framing of v4 and v5.channel.k8s.io |
//! | [`info`] | `/pods`, `/runningpods`, `/stats/summary`, `/metrics` |

pub mod auth;
pub mod channels;
pub mod container_logs;
pub mod containers;
pub mod info;
pub mod listener;
pub mod streams;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use base::Context;
use client::Client;
use tokio::net::TcpListener;

use crate::options::Options;
use crate::pods::manager::Manager;

/// What handlers share.
pub struct Server {
    /// The pods.
    pub manager: Manager,
    /// Asked whether a client may; without it only the API server's own certificate may.
    pub client: Option<Client>,
    /// Name of the node.
    pub node: String,
}

/// An error as this server answers it: plain text, as upstream's kubelet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub StatusCode, pub String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, [("content-type", "text/plain; charset=utf-8")], format!("{}\n", self.1)).into_response()
    }
}

/// Takes the port.
///
/// # Errors
/// When it is taken already.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

/// The routes.
pub fn router(server: Arc<Server>) -> Router {
    let closed = Router::new()
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs::serve))
        .route("/exec/{namespace}/{pod}/{container}", any(streams::exec))
        .route("/exec/{namespace}/{pod}/{uid}/{container}", any(streams::exec))
        .route("/attach/{namespace}/{pod}/{container}", any(streams::attach))
        .route("/attach/{namespace}/{pod}/{uid}/{container}", any(streams::attach))
        .route("/portForward/{namespace}/{pod}", any(not_here))
        .route("/portForward/{namespace}/{pod}/{uid}", any(not_here))
        .route("/pods", get(info::pods))
        .route("/pods/", get(info::pods))
        .route("/runningpods", get(info::running))
        .route("/runningpods/", get(info::running))
        .route("/stats/summary", get(info::summary))
        .route("/metrics", get(info::metrics))
        .layer(middleware::from_fn_with_state(server.clone(), auth::check))
        .with_state(server);
    Router::new().route("/healthz", get(|| async { "ok" })).merge(closed)
}

async fn not_here() -> Refusal {
    Refusal(StatusCode::NOT_IMPLEMENTED, "port forwarding is not supported by this kubelet".into())
}

/// Serves in `context` until it stops.
///
/// # Errors
/// When the certificates cannot be used.
pub async fn serve(
    context: &Context,
    listener: TcpListener,
    options: &Options,
    name: &str,
    manager: Manager,
    client: Option<Client>,
) -> anyhow::Result<()> {
    let tls = listener::config(options, name, &manager.node().ips)?;
    let router = router(Arc::new(Server { manager, client, node: name.to_string() }));
    tracing::info!(address = %listener.local_addr()?, "kubelet server listens");
    context.spawn("server", listener::accept(context.clone(), listener, tls, router));
    Ok(())
}

#[cfg(test)]
mod tests;
