//! The kubelet's HTTPS server: what the API server asks of a node.

pub mod logs;

use std::net::SocketAddr;

use anyhow::Context as _;
use base::Context;
use client::Client;
use tokio::net::TcpListener;

use crate::options::Options;
use crate::pods::manager::Manager;

/// Takes the port.
///
/// # Errors
/// When it is taken already.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

/// Serves in `context` until it stops.
///
/// # Errors
/// When the certificates cannot be used.
pub async fn serve(
    _context: &Context,
    _listener: TcpListener,
    _options: &Options,
    _name: &str,
    _manager: Manager,
    _client: Option<Client>,
) -> anyhow::Result<()> {
    Ok(())
}
