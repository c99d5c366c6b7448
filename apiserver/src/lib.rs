//! The Kubernetes API server: filters, handlers, registry, strategies, admission, storage with its watch cache.

pub mod auth;
pub mod request;
pub mod storage;
