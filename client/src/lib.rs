//! The way from a component to the API server, in three layers:
//!
//! | layer | modules |
//! |---|---|
//! | talk | [`config`] (kubeconfig, in-cluster), [`transport`] (TLS, HTTP/2), [`rest`] (typed and raw requests), [`websocket`] |
//! | remember | [`cache`]: one reflector per kind and process, shared, with indexes |
//! | act | [`controller`] (triggers, work queue, reconcilers), [`leader`] (election), [`events`] (recording), [`component`] (start-up) |

pub mod cache;
pub mod component;
pub mod config;
pub mod controller;
mod error;
pub mod events;
pub mod kubeconfig;
pub mod leader;
mod object;
pub mod rest;
mod servers;
pub mod transport;
mod watch;
pub mod websocket;

pub use cache::{Cache, Caches, Change};
pub use config::Config;
pub use error::{Error, Result};
pub use object::{Key, ListOf, Object, collection_path, object_path};
pub use rest::{Client, DeleteOptions, ListOptions, Patch};
pub use watch::WatchEvent;
