//! Keeps a current [`Policy`]: follows the watches of the four RBAC kinds and replaces the snapshot after each burst of
//! changes. Requests read the snapshot without waiting. As upstream's informers it may lag a write by a moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::Status;
use api::kinds::{self, KindRef};
use base::Context;
use futures::stream::{BoxStream, SelectAll, StreamExt};
use parking_lot::RwLock;
use serde_json::Value;

use super::rbac::{Binding, ClusterRole, Policy, Rule, rules_of};
use crate::storage::{Freshness, ListQuery, Predicate, Storage, WatchFrom, WatchItem, WatchQuery};

const GROUP: &str = "rbac.authorization.k8s.io";
/// Plural and what it is here, in the order of [`Tables`].
const KINDS: &[(&str, What)] = &[
    ("clusterroles", What::ClusterRole),
    ("roles", What::Role),
    ("clusterrolebindings", What::ClusterBinding),
    ("rolebindings", What::Binding),
];
/// Pause before the watches are tried again.
const RETRY: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    ClusterRole,
    Role,
    ClusterBinding,
    Binding,
}

type Name = (String, String);

/// All roles and bindings by namespace and name.
#[derive(Default)]
struct Tables {
    cluster_roles: BTreeMap<String, ClusterRole>,
    roles: BTreeMap<Name, Arc<[Rule]>>,
    cluster_bindings: BTreeMap<String, Arc<Binding>>,
    bindings: BTreeMap<Name, Arc<Binding>>,
}

impl Tables {
    fn put(&mut self, what: What, namespace: &str, name: &str, object: &Value) {
        let key = || (namespace.to_string(), name.to_string());
        match what {
            What::ClusterRole => drop(self.cluster_roles.insert(name.into(), ClusterRole::of(object))),
            What::Role => drop(self.roles.insert(key(), rules_of(object).into())),
            What::ClusterBinding => drop(self.cluster_bindings.insert(name.into(), Arc::new(Binding::of(object)))),
            What::Binding => drop(self.bindings.insert(key(), Arc::new(Binding::of(object)))),
        }
    }

    fn remove(&mut self, what: What, namespace: &str, name: &str) {
        let key = (namespace.to_string(), name.to_string());
        match what {
            What::ClusterRole => drop(self.cluster_roles.remove(name)),
            What::Role => drop(self.roles.remove(&key)),
            What::ClusterBinding => drop(self.cluster_bindings.remove(name)),
            What::Binding => drop(self.bindings.remove(&key)),
        }
    }

    fn policy(&self) -> Policy {
        let mut bindings: HashMap<String, Vec<Arc<Binding>>> = HashMap::new();
        for ((namespace, _), binding) in &self.bindings {
            bindings.entry(namespace.clone()).or_default().push(binding.clone());
        }
        let roles = self.roles.iter().map(|(key, rules)| (key.clone(), rules.clone())).collect();
        Policy::new(&self.cluster_roles, roles, self.cluster_bindings.values().cloned().collect(), bindings)
    }
}

fn kind(plural: &str) -> Result<KindRef, Status> {
    let found = kinds::find(GROUP, "v1", plural).map(|(kind, _)| kind);
    found.ok_or_else(|| Status::internal(format!("no kind {plural}")))
}

/// The policy of this moment, read afresh: for rare decisions that must not lag.
///
/// # Errors
/// When the storage cannot be read.
pub async fn load(storage: &Storage) -> Result<Policy, Status> {
    let mut tables = Tables::default();
    for (plural, what) in KINDS {
        for entry in storage.list(kind(plural)?, ListQuery::default()).await?.entries {
            tables.put(*what, entry.namespace(), entry.name(), &entry.value());
        }
    }
    Ok(tables.policy())
}

/// A policy that follows the storage.
pub struct Policies {
    current: RwLock<Arc<Policy>>,
    synced: AtomicBool,
}

type Tagged = BoxStream<'static, (What, Result<WatchItem, Status>)>;

impl Policies {
    /// Follows in `context`; returns when the present state is known.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn follow(storage: Arc<Storage>, context: &Context) -> Result<Arc<Self>, Status> {
        let policy = load(&storage).await?;
        let policies = Arc::new(Self { current: RwLock::new(Arc::new(policy)), synced: AtomicBool::new(true) });
        let following = policies.clone();
        context.spawn("rbac-policy", async move {
            loop {
                if let Err(error) = following.follow_once(&storage).await {
                    tracing::warn!(%error, "watching roles and bindings failed");
                }
                tokio::time::sleep(RETRY).await;
            }
        });
        Ok(policies)
    }

    /// Whether the present state is known.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The policy.
    pub fn current(&self) -> Arc<Policy> {
        self.current.read().clone()
    }

    /// Watches from the present state on, until a watch ends.
    async fn follow_once(&self, storage: &Arc<Storage>) -> Result<(), Status> {
        let mut streams: SelectAll<Tagged> = SelectAll::new();
        for (plural, what) in KINDS {
            let query = WatchQuery {
                namespace: None,
                name: None,
                from: WatchFrom::State(Freshness::Latest),
                initial_events: true,
                bookmarks: true,
                predicate: Predicate::default(),
            };
            let stream = storage.watch(kind(plural)?, query).await?;
            let tag = *what;
            streams.push(stream.map(move |item| (tag, item)).boxed());
        }
        let (mut tables, mut behind) = (Tables::default(), KINDS.len());
        let mut burst = streams.ready_chunks(256);
        while let Some(items) = burst.next().await {
            for (what, item) in items {
                match item? {
                    WatchItem::Added(change) | WatchItem::Modified(change) => {
                        tables.put(what, change.namespace(), change.name(), &change.value());
                    }
                    WatchItem::Deleted(change) => tables.remove(what, change.namespace(), change.name()),
                    WatchItem::Bookmark { initial_end: true, .. } => behind = behind.saturating_sub(1),
                    WatchItem::Bookmark { .. } => {}
                }
            }
            // Half of the state would be worse than the policy of before.
            if behind == 0 {
                *self.current.write() = Arc::new(tables.policy());
            }
        }
        Ok(())
    }
}
