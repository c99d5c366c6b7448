//! From the TCP connection to the handler: TLS, filters, and the paths that are no resources.
//!
//! | module | what it does |
//! |---|---|
//! | [`listen`] | accepts connections, speaks TLS, serves HTTP/1.1 and HTTP/2 |
//! | [`chain`] | the table of filters that every request passes |
//! | [`filters`] | one small file per filter |
//! | [`dispatch`] | the table of paths |
//! | [`discovery`], [`openapi`], [`health`], [`version`] | documents |
//! | [`metrics`] | counters under upstream's names |
//! | [`respond`] | responses from values and errors |

pub mod chain;
pub mod discovery;
pub mod dispatch;
pub mod filters;
pub mod health;
pub mod listen;
pub mod metrics;
pub mod openapi;
pub mod respond;
pub mod version;

use std::sync::Arc;
use std::time::Duration;

use base::Context;

use crate::auth::Auth;
use crate::registry::Registry;
use crate::stream::Dialer;

/// What all requests share.
pub struct Front {
    /// The verbs.
    pub registry: Arc<Registry>,
    /// Who asks, and whether they may.
    pub auth: Auth,
    /// Connections to kubelets, pods and services.
    pub dialer: Dialer,
    /// Whether the server is ready, and why not.
    pub health: health::Health,
    /// How many requests are served at once.
    pub limits: filters::inflight::Limits,
    /// `host:port` where clients reach the server.
    pub address: String,
    /// Longest life of a request that is no watch or stream.
    pub request_timeout: Duration,
    /// The life of the server.
    pub context: Context,
}
