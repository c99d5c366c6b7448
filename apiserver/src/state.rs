//! What all requests share, and one request on its way: the values that filters, documents, streams and posted kinds are
//! given. Relies on everything below the front; keeps what must outlive a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Context;
use http::Request;
use tokio::sync::Semaphore;

use crate::auth::{Auth, Peer};
use crate::dialer::Dialer;
use crate::registry::Registry;
use crate::request::{Body, RequestInfo, User};

/// What all requests share.
pub struct Front {
    /// The verbs.
    pub registry: Arc<Registry>,
    /// Who asks, and whether they may.
    pub auth: Auth,
    /// Connections to kubelets, pods and services.
    pub dialer: Dialer,
    /// Whether the server is ready, and why not.
    pub health: Health,
    /// How many requests are served at once.
    pub limits: Limits,
    /// `host:port` where clients reach the server.
    pub address: String,
    /// Longest life of a request that is no watch or stream.
    pub request_timeout: Duration,
    /// The life of the server.
    pub context: Context,
}

/// A request on its way, with what the filters found out about it.
pub struct Exchange {
    /// What all requests share.
    pub front: Arc<Front>,
    /// The connection's other end.
    pub peer: Arc<Peer>,
    /// What is asked for.
    pub info: RequestInfo,
    /// Who asks: anonymous until authentication.
    pub user: User,
    /// The request itself.
    pub request: Request<Body>,
}

/// What the checks look at.
#[derive(Debug, Default)]
pub struct Health {
    bootstrapped: AtomicBool,
}

impl Health {
    /// The objects that every cluster starts with are there.
    pub fn set_bootstrapped(&self) {
        self.bootstrapped.store(true, Ordering::Release);
    }

    /// See [`Health::set_bootstrapped`].
    pub fn is_bootstrapped(&self) -> bool {
        self.bootstrapped.load(Ordering::Acquire)
    }
}

/// The limits.
pub struct Limits {
    /// For requests that only read.
    pub reading: Semaphore,
    /// For the others.
    pub changing: Semaphore,
}

impl Limits {
    /// So many reading and so many changing requests.
    pub fn new(reading: usize, changing: usize) -> Self {
        Self { reading: Semaphore::new(reading), changing: Semaphore::new(changing) }
    }
}
