//! The Kubernetes API server: filters, handlers, registry, strategies, admission, storage with its watch cache.

pub mod admission;
pub mod auth;
pub mod bootstrap;
pub mod front;
pub mod handlers;
pub mod options;
pub mod registry;
pub mod request;
pub mod storage;
pub mod strategy;
pub mod stream;
mod run;

pub use run::{Running, run, start};
