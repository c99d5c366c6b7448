//! The verbs, once for every kind: strategies, admission and storage brought together with upstream's semantics. Knows
//! nothing of HTTP: handlers and in-process callers (bootstrap, tokens) use the same methods.
//!
//! | module | what it does |
//! |---|---|
//! | [`call`] | who asks, in which manner; what comes back |
//! | [`read`] | get, list, watch |
//! | [`create`], [`names`] | create; generated names |
//! | [`update`] | update, the loop that all changes go through, deletion by removing the last finalizer |
//! | [`patch`] | the three kinds of patches |
//! | [`delete`], [`delete_plan`] | delete, deletecollection; what a delete comes to, as a pure function |
//! | [`scale`], [`binding`], [`eviction`], [`finalize`] | subresources that are more than a view of their object |

mod binding;
pub mod call;
mod create;
mod delete;
pub mod delete_plan;
mod eviction;
mod finalize;
mod names;
pub mod patch;
mod read;
mod scale;
pub mod update;

use std::ops::RangeInclusive;
use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use base::{Clock, SystemClock};
use jiff::Timestamp;

pub use call::{Call, Object, Written};
pub use delete_plan::{DeleteOptions, Preconditions, Propagation};
pub use update::Target;

use crate::admission::{Attributes, Chain, Operation};
use crate::allocation::Allocator;
use crate::storage::{Claim, Storage};

/// All verbs over one storage.
pub struct Registry {
    storage: Arc<Storage>,
    admission: Chain,
    allocator: Allocator,
    clock: Arc<dyn Clock>,
}

/// What the registry is told by the server's flags.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Range of the node ports of Services.
    pub node_ports: RangeInclusive<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { node_ports: 30000..=32767 }
    }
}

impl Registry {
    /// Over this storage, with the system's clock.
    pub fn new(storage: Arc<Storage>) -> Arc<Self> {
        Self::with_clock(storage, SystemClock::shared())
    }

    /// Over this storage, with the server's settings.
    pub fn with_settings(storage: Arc<Storage>, settings: &Settings) -> Arc<Self> {
        Self::build(storage, settings, SystemClock::shared())
    }

    /// Over this storage, with this clock.
    pub fn with_clock(storage: Arc<Storage>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::build(storage, &Settings::default(), clock)
    }

    fn build(storage: Arc<Storage>, settings: &Settings, clock: Arc<dyn Clock>) -> Arc<Self> {
        let admission = Chain::new(&storage);
        let allocator = Allocator::new(storage.clone(), settings.node_ports.clone());
        Arc::new(Self { storage, admission, allocator, clock })
    }

    /// What it stands on, for those who need revisions or the cache itself.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    /// The time of the server.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock itself, for what outlives a call.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    /// The admission chain, for streams (`Connect`).
    pub fn admission(&self) -> &Chain {
        &self.admission
    }

    /// What Services are given their addresses and node ports by.
    pub fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// The records that go with the write that makes `new` of `old`; `None` if somebody else has been given one of them.
    async fn claims(
        &self,
        kind: KindRef,
        new: Option<&serde_json::Value>,
        old: Option<&serde_json::Value>,
    ) -> Result<Option<Vec<Claim>>, Status> {
        if !self.allocator.concerns(kind) {
            return Ok(Some(Vec::new()));
        }
        self.allocator.claims(new, old, self.now()).await
    }

    /// Admission for an object posted to a subresource (`pods/eviction`), which is stored nowhere itself.
    ///
    /// # Errors
    /// What a plugin refuses.
    pub async fn admit_posted(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        body: &mut serde_json::Value,
    ) -> Result<(), Status> {
        let attributes = self.attributes(call, Operation::Create, kind, namespace, name);
        self.admission.admit(&attributes, body).await?;
        self.admission.validate(&attributes, body).await
    }

    fn attributes<'a>(
        &self,
        call: &'a Call,
        operation: Operation,
        kind: KindRef,
        namespace: &'a str,
        name: &'a str,
    ) -> Attributes<'a> {
        let (user, subresource, dry_run) = (&call.user, call.subresource.as_str(), call.dry_run);
        Attributes { operation, kind, subresource, namespace, name, user, dry_run, old: None }
    }
}

/// A time as objects carry it: UTC, whole seconds.
pub fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// 404 for an object of this kind.
fn not_found(kind: KindRef, name: &str) -> Status {
    Status::not_found(kind.group, kind.plural, name)
}

/// 409 for an object of this kind.
fn conflict(kind: KindRef, name: &str, why: &str) -> Status {
    Status::conflict(kind.group, kind.plural, name, why)
}
