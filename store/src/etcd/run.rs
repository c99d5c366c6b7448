//! The process: opens the store, listens on the client URLs, compacts by itself if told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Context;
use tokio::net::TcpListener;

use super::calls::Calls;
use super::forward::Leader;
use super::front::Front;
use super::listen::Limits;
use super::{Options, Service, listen};
use crate::compactor::{Compactor, Retention};
use crate::kv::{Error, Kv};
use crate::options::{self, OpenError};
use crate::store::{Store, keep_comparing};
use crate::tls::FileError;

/// How long the tasks of the process may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the store does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A flag says something that cannot be.
    #[error("{0}")]
    Flag(String),
    /// The data cannot be opened.
    #[error("cannot open the store")]
    Open(#[from] OpenError),
    /// What it holds is not what the other members hold.
    #[error("checking initial corruption failed")]
    Corrupt(#[from] Error),
    /// The certificates cannot be used.
    #[error("cannot serve TLS")]
    Tls(#[from] FileError),
    /// An address cannot be listened on.
    #[error("cannot listen on {url}")]
    Listen {
        /// As it was given.
        url: String,
        /// What the system said.
        source: io::Error,
    },
    /// Not everything ended when told to.
    #[error("some tasks did not end in time")]
    Stuck,
}

/// A running server.
pub struct Server {
    /// What it serves.
    pub store: Arc<Store>,
    /// Where clients reach it: as bound.
    pub addresses: Vec<SocketAddr>,
}

/// Runs the store until the context stops.
///
/// # Errors
/// When it cannot be opened or served.
pub async fn run(options: Options, context: Context) -> Result<(), ServeError> {
    let below = context.child();
    let server = serve(&options, &below).await?;
    let stopped_by_itself = server.store.ended();
    tokio::select! {
        () = context.stopped() => {}
        () = stopped_by_itself => {}
    }
    drop(server);
    if below.shutdown(PATIENCE).await { Ok(()) } else { Err(ServeError::Stuck) }
}

/// Opens the store and serves it in `context`.
///
/// # Errors
/// When it cannot be opened or served.
pub async fn serve(options: &Options, context: &Context) -> Result<Server, ServeError> {
    let retention = options.retention()?;
    let listeners = listeners(options).await?;
    let cluster = options.cluster()?;
    let settings = options::Options {
        max_request_bytes: options.max_request_bytes,
        max_txn_ops: options.max_txn_ops,
        quota_bytes: options.quota_backend_bytes,
        segment_bytes: options.log_file_bytes,
        trim_bytes: options.log_trim_bytes,
        progress_interval: options.watch_progress_notify_interval.max(Duration::from_millis(100)),
        cluster: Some(cluster),
        ..options::Options::new(options.directory())
    };
    let store = Store::open_member(settings, context).await?;
    if options.experimental_initial_corrupt_check {
        store.check_at_start().await?;
    }
    let service = Service {
        store: Arc::clone(&store),
        max_request_bytes: options.max_request_bytes,
        leader: Arc::new(Leader::new(options.to_members())),
        calls: Arc::new(Calls::new()),
    };
    let limits = Limits {
        streams: options.max_concurrent_streams,
        probe_interval: options.grpc_keepalive_interval,
        probe_timeout: options.grpc_keepalive_timeout,
    };
    let front = Front::new(&service);
    let tls = match listeners.iter().any(|(_, encrypted)| *encrypted) {
        true => Some(Arc::new(options.tls()?)),
        false => None,
    };
    let mut addresses = Vec::new();
    for (listener, encrypted) in listeners {
        let address = listener.local_addr().map_err(|source| ServeError::Listen { url: String::new(), source })?;
        tracing::info!(%address, encrypted, "serving clients");
        addresses.push(address);
        listen::serve(context, listener, tls.clone().filter(|_| encrypted), front.clone(), limits);
    }
    if !options.experimental_corrupt_check_time.is_zero() {
        let every = options.experimental_corrupt_check_time;
        context.spawn("corrupt-check", keep_comparing(Arc::downgrade(&store), every));
    }
    if let Some(retention) = retention {
        context.spawn("compactor", compact(Arc::clone(&store), retention));
    }
    Ok(Server { store, addresses })
}

/// Compacts now and then.
async fn compact(store: Arc<Store>, retention: Retention) {
    let begin = Instant::now();
    let mut compactor = Compactor::new(retention);
    loop {
        let revision = store.local_revision();
        if let Some(upto) = compactor.due(begin.elapsed(), revision) {
            match store.compact(upto).await {
                Ok(()) => tracing::info!(revision = upto, "compacted"),
                Err(Error::Compacted(_)) => {}
                Err(error) => tracing::warn!(%error, revision = upto, "cannot compact"),
            }
        }
        tokio::time::sleep(compactor.period()).await;
    }
}

/// Sockets for the client URLs; whether each is to speak TLS.
async fn listeners(options: &Options) -> Result<Vec<(TcpListener, bool)>, ServeError> {
    let mut all = Vec::new();
    for url in &options.listen_client_urls {
        let (encrypted, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => {
                return Err(ServeError::Flag(format!("--listen-client-urls: \"{url}\" is no http:// or https:// URL")));
            }
        };
        let listener = TcpListener::bind(rest.trim_end_matches('/')).await;
        all.push((listener.map_err(|source| ServeError::Listen { url: url.clone(), source })?, encrypted));
    }
    Ok(all)
}
