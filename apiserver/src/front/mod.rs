//! From the TCP connection to the handler: TLS, filters, and the paths that are no resources.
//!
//! | module | what it does |
//! |---|---|
//! | [`listen`] | accepts connections, speaks TLS, serves HTTP/1.1 and HTTP/2 |
//! | [`chain`] | the table of filters that every request passes |
//! | [`filters`] | one small file per filter |
//! | [`dispatch`] | the table of paths |
//! | [`discovery`], [`openapi`], [`health`], [`version`], [`oidc`] | documents |
//! | [`metrics`] | counters under upstream's names |

pub mod chain;
pub mod discovery;
pub mod dispatch;
pub mod filters;
pub mod health;
pub mod listen;
pub mod metrics;
pub mod oidc;
pub mod openapi;
pub mod version;
