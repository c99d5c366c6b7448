//! Admission: what happens to a write between authorization and the strategy, for rules that span kinds.
//!
//! The chain is a table ([`PLUGINS`]); a new plugin is one row and one file. Mutating steps run first, each on what the
//! one before it made; validating steps run on the final object, after the strategy's own validation.

mod default_tolerations;
mod escalation;
mod namespace_lifecycle;
mod node_restriction;
mod priority;
mod service_account;

use std::sync::Arc;

use api::kinds::KindRef;
use api::{Status, object};
use futures::future::{BoxFuture, ready};
use serde_json::Value;

use crate::request::User;
use crate::storage::Storage;

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Creates it; also a POST to a subresource such as `pods/eviction`.
    Create,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
    /// Opens a stream to it (`exec`, `portforward`, `proxy`).
    Connect,
}

/// What plugins know about a request besides the object.
pub struct Attributes<'a> {
    /// What it does.
    pub operation: Operation,
    /// The kind that the path names, also for subresources.
    pub kind: KindRef,
    /// E.g. `status`; empty if none.
    pub subresource: &'a str,
    /// Empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// Empty while a name has yet to be generated.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a User,
    /// Nothing may be changed besides the object.
    pub dry_run: bool,
    /// What is stored: on update and delete.
    pub old: Option<&'a Value>,
}

impl Attributes<'_> {
    /// `pods "a" is forbidden: <why>`; the name of the object where there is one.
    pub fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(self.kind.group, self.kind.plural, self.name, why)
    }

    /// Whether the request is about the objects of `plural` in `group` themselves.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.subresource.is_empty() && self.kind.group == group && self.kind.plural == plural
    }
}

/// As [`Attributes::forbidden`], for an object whose name may still have to be generated (upstream: admission.NewForbidden).
fn refuse(attributes: &Attributes<'_>, object: &Value, why: &str) -> Status {
    let names = [attributes.name, object::name(object), object::generate_name(object), "Unknown"];
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    Status::forbidden(attributes.kind.group, attributes.kind.plural, name, why)
}

/// One plugin. On delete the object is null; `old` has it.
pub trait Admission: Send + Sync {
    /// Upstream's name of the plugin, for logs.
    fn name(&self) -> &'static str;

    /// Whether the plugin wants to see the request at all.
    fn handles(&self, attributes: &Attributes<'_>) -> bool;

    /// May change the object, or refuse it.
    fn admit<'a>(&'a self, _: &'a Attributes<'a>, _: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(ready(Ok(())))
    }

    /// May refuse the final object.
    fn validate<'a>(&'a self, _: &'a Attributes<'a>, _: &'a Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(ready(Ok(())))
    }
}

/// Makes a plugin that may read from the storage.
type Make = fn(&Arc<Storage>) -> Box<dyn Admission>;

/// The plugins in the order in which they run (upstream: pkg/kubeapiserver/options/plugins.go).
static PLUGINS: &[Make] = &[
    namespace_lifecycle::new,
    service_account::new,
    node_restriction::new,
    priority::new,
    default_tolerations::new,
    escalation::new,
];

/// The plugins of one server.
pub struct Chain {
    plugins: Vec<Box<dyn Admission>>,
}

impl Chain {
    /// All of them.
    pub fn new(storage: &Arc<Storage>) -> Self {
        Self { plugins: PLUGINS.iter().map(|make| make(storage)).collect() }
    }

    /// The mutating steps.
    ///
    /// # Errors
    /// The refusal of the first plugin that refuses.
    pub async fn admit(&self, attributes: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.admit(attributes, object).await?;
        }
        Ok(())
    }

    /// The validating steps.
    ///
    /// # Errors
    /// The refusal of the first plugin that refuses.
    pub async fn validate(&self, attributes: &Attributes<'_>, object: &Value) -> Result<(), Status> {
        for plugin in self.plugins.iter().filter(|plugin| plugin.handles(attributes)) {
            plugin.validate(attributes, object).await?;
        }
        Ok(())
    }
}
