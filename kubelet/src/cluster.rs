//! What a pod's worker needs of the API server, behind one trait: workers are tested without a server, and go on while
//! it is down.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::Value;

use crate::objects::{Fetched, Reference};

/// Called when something that a pod refers to has changed.
pub type OnChange = Arc<dyn Fn() + Send + Sync>;

/// Follows the config maps and secrets of one pod as long as it lives.
pub trait Interest: Send + Sync {
    /// What they hold now. The error is for people; it means that the server could not be asked.
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>>;
}

/// How a write went wrong.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object is gone, or another one has its name: there is nothing to write to any more.
    #[error("the pod is gone from the API")]
    Gone,
    /// Worth trying again.
    #[error("{0}")]
    Retry(String),
}

/// A bound service account token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// Whether an event is good or bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Good.
    Normal,
    /// Bad.
    Warning,
}

/// The API server, as far as pods go.
pub trait Cluster: Send + Sync + 'static {
    /// Follows `references` in `namespace`; `changed` is called after each change.
    fn follow(&self, namespace: &str, references: BTreeSet<Reference>, changed: OnChange) -> Box<dyn Interest>;
    /// All services. The error says that they were not read yet.
    fn services(&self) -> BoxFuture<'_, Result<Vec<Arc<Service>>, String>>;
    /// A token for the pod's service account, bound to the pod. `audience` empty = the API server's.
    fn token<'a>(&'a self, pod: &'a Pod, audience: &'a str, seconds: i64) -> BoxFuture<'a, Result<Token, String>>;
    /// Patches the status of a pod; returns the pod as it is then.
    fn patch_status<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        patch: Value,
    ) -> BoxFuture<'a, Result<Arc<Pod>, WriteError>>;
    /// Removes a pod object for good if it still is the one with `uid`. An absent object is no error.
    fn delete<'a>(&'a self, namespace: &'a str, name: &'a str, uid: &'a str) -> BoxFuture<'a, Result<(), WriteError>>;
    /// Tells of something that happened to a pod, or to one of its containers (`field`, e.g. `spec.containers{web}`).
    fn event(&self, pod: &Pod, field: Option<&str>, severity: Severity, reason: &str, message: &str);
}

/// No API server at all: static pods run, nobody is told.
pub struct Standalone;

struct Nothing;

impl Interest for Nothing {
    fn fetch(&self) -> BoxFuture<'_, Result<Fetched, String>> {
        Box::pin(std::future::ready(Ok(Fetched::default())))
    }
}

impl Cluster for Standalone {
    fn follow(&self, _: &str, _: BTreeSet<Reference>, _: OnChange) -> Box<dyn Interest> {
        Box::new(Nothing)
    }

    fn services(&self) -> BoxFuture<'_, Result<Vec<Arc<Service>>, String>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn token<'a>(&'a self, _: &'a Pod, _: &'a str, _: i64) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(std::future::ready(Err("there is no API server to ask for a token".into())))
    }

    fn patch_status<'a>(&'a self, _: &'a str, _: &'a str, _: Value) -> BoxFuture<'a, Result<Arc<Pod>, WriteError>> {
        Box::pin(std::future::ready(Err(WriteError::Gone)))
    }

    fn delete<'a>(&'a self, _: &'a str, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn event(&self, pod: &Pod, field: Option<&str>, severity: Severity, reason: &str, message: &str) {
        let pod = crate::pod::full_name(pod);
        tracing::info!(pod, field, ?severity, reason, message, "event");
    }
}
