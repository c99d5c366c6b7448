//! Puts the server together: store → storage → registry → authentication and authorization → listener → the objects that
//! every cluster starts with.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base::Context;
use tokio::net::TcpListener;

use crate::auth::Auth;
use crate::bootstrap::{self, Facts};
use crate::dialer::Dialer;
use crate::expiry;
use crate::front::listen;
use crate::open::open;
use crate::options::Options;
use crate::registry::{Registry, Settings};
use crate::state::{Front, Health, Limits};
use crate::storage::{self, Storage};
use crate::upkeep::masters::{Masters, Pace};
use crate::upkeep::repair;

/// How long requests and the store may take to finish when the server stops.
const PATIENCE: Duration = Duration::from_secs(8);

/// A server that is ready.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The verbs, for callers in the same process.
    pub registry: Arc<Registry>,
    /// What requests share.
    pub front: Arc<Front>,
}

/// Starts a server in `context`; returns once it is ready.
///
/// # Errors
/// Unusable files or flags, a taken port, a damaged store.
pub async fn start(options: Options, context: &Context) -> anyhow::Result<Running> {
    let address = SocketAddr::new(options.bind_address, options.secure_port);
    let (address, listeners) = listeners(address).await?;

    // The caches outlive the connections, the store the caches: what is under way when the server stops is answered.
    let (below, caches) = (Context::new(), Context::new());
    let kv = open(&options.store, &below).await?;
    let compaction = options.store.store_compaction_interval;
    let storage =
        Storage::with_options(kv, caches.clone(), storage::Options { compaction, ..storage::Options::default() });
    let registry = Registry::with_settings(storage.clone(), &Settings { node_ports: options.node_ports()? });
    let auth = Auth::new(&options, storage.clone(), context).await?;
    let tls = listen::tls(&options.tls_cert_file, &options.tls_private_key_file, auth.clients.clone())?;
    let dialer = Dialer::new(&options, registry.clone())?;
    let advertise = options.advertise_address.unwrap_or_else(|| advertised(options.bind_address));
    let connections = context.child();
    let front = Arc::new(Front {
        registry: registry.clone(),
        auth,
        dialer,
        health: Health::default(),
        limits: Limits::new(options.max_requests_inflight, options.max_mutating_requests_inflight),
        address: SocketAddr::new(advertise, address.port()).to_string(),
        request_timeout: Duration::from_secs(options.request_timeout_seconds.max(1)),
        context: connections.clone(),
    });
    stop_in_order(context, [connections, caches, below]);
    context.spawn("expiry", expiry::run(storage, registry.clock(), options.event_ttl));
    let facts = Facts {
        advertise,
        port: address.port(),
        service_range: options.service_cluster_ip_range.clone(),
        client_ca: options.client_ca_file.as_ref().map(std::fs::read_to_string).transpose()?,
    };
    bootstrap::run(&registry, &facts).await.context("the first objects cannot be written")?;
    let complete = repair::complete(&registry).await.map_err(anyhow::Error::from);
    complete.context("the records of what Services hold cannot be completed")?;
    let masters = Masters::join(&registry, &facts, Pace::default()).await;
    let masters = masters.map_err(anyhow::Error::from).context("the endpoints of the Service kubernetes")?;
    context.spawn_graceful("masters", masters.keep(context.clone()));
    context.spawn("repair", repair::run(registry.clone()));
    front.health.set_bootstrapped();
    // Not sooner: components that connected meanwhile would be refused by rules that are not there yet, and try later.
    for listener in listeners {
        listen::serve(front.clone(), listener, tls.clone(), options.max_connections);
    }
    tracing::info!(%address, "serving");
    Ok(Running { address, registry, front })
}

/// When the server stops, its parts do one after the other, the one that others stand on last.
fn stop_in_order(context: &Context, parts: [Context; 3]) {
    let stopping = context.clone();
    context.spawn_graceful("shutdown", async move {
        stopping.stopped().await;
        for part in parts {
            if !part.shutdown(PATIENCE).await {
                tracing::warn!("a part of the server did not end in time");
            }
        }
    });
}

/// Runs a server until `context` stops.
///
/// # Errors
/// As [`start`].
pub async fn run(options: Options, context: Context) -> anyhow::Result<()> {
    let running = start(options, &context).await?;
    drop(running);
    if !context.run_to_end(PATIENCE * 3).await {
        tracing::warn!("some requests did not end in time");
    }
    Ok(())
}

/// The sockets to serve, opened first of all: a taken port is told at once, and whoever connects from now on waits. The
/// socket for `address` may be among those that we were given.
async fn listeners(address: SocketAddr) -> anyhow::Result<(SocketAddr, Vec<TcpListener>)> {
    let mut listeners = inherited_listeners()?;
    if listeners.iter().any(|listener| listener.local_addr().is_ok_and(|given| given == address)) {
        return Ok((address, listeners));
    }
    let own = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = own.local_addr()?;
    listeners.push(own);
    Ok((address, listeners))
}

/// Sockets that whoever started us has opened (systemd's LISTEN_FDS): the same server, reached another way, e.g. from the
/// host's network namespace while this process lives in its own.
fn inherited_listeners() -> anyhow::Result<Vec<TcpListener>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut listeners = Vec::new();
    for number in 0..passed.len() {
        let listener = passed.take_tcp_listener(number).context("the inherited socket is no TCP listener")?;
        let Some(listener) = listener else { continue };
        listener.set_nonblocking(true).context("inherited socket")?;
        listeners.push(TcpListener::from_std(listener).context("inherited socket")?);
    }
    Ok(listeners)
}

/// The address by which others reach us: the bound one, or that of the interface that leads out (no packet is sent).
fn advertised(bind: IpAddr) -> IpAddr {
    if !bind.is_unspecified() {
        return bind;
    }
    let probe = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0)).and_then(|socket| {
        socket.connect((IpAddr::from([192, 0, 2, 1]), 9))?;
        socket.local_addr()
    });
    probe.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}
