//! Deletes what nobody owns any more: background, foreground and orphaning deletion (kube-controller-manager,
//! garbagecollector). Every resource that can be deleted is followed ([`reflect`]); a [`graph`] of
//! UIDs says what to look at; whether something really goes is decided on fresh reads ([`plan`]), and the deletion is
//! bound to what was read by UID and resource version.

mod graph;
mod plan;
mod reflect;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::controller::Queue;
use client::{Client, Error, Key};
use futures::future::join_all;
use http::Method;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::sync::{OnceCell, watch};

use crate::Setup;
use crate::resources::{self, Resource};
use graph::{Graph, Identity, Item, Known, Work};
use plan::{FOREGROUND, ORPHAN, Standing, Verdict};

const WORKERS: usize = 8;
/// An owner that the server knows but no watch has shown yet is looked up again: it may have come and gone unseen while a
/// watch was interrupted.
const UNSEEN: Duration = Duration::from_secs(5);
const DISCOVERY_RETRY: Duration = Duration::from_secs(1);
/// Events own nothing, are owned by nothing, and are many (upstream ignores them too).
const IGNORED: [(&str, &str); 2] = [("", "events"), ("events.k8s.io", "events")];
/// Marks keys of objects that leave orphans; the name of every key is a UID.
const ORPHANING: &str = "orphan";

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let shared = Arc::new(Shared {
        client: setup.client.clone(),
        graph: Mutex::default(),
        queue: Queue::default(),
        resources: OnceCell::new(),
    });
    let (context, caches) = (setup.context.clone(), setup.caches.clone());
    setup.context.spawn("garbage-collector", async move {
        let resources = shared.discover().await;
        let (sender, mut unsynced) = watch::channel(0_usize);
        for resource in resources.iter().filter(|resource| is_followed(resource)) {
            sender.send_modify(|count| *count += 1);
            let sender = sender.clone();
            let synced = move || sender.send_modify(|count| *count -= 1);
            match reflect::shared(resource) {
                Some(follow) => {
                    let first = follow(&shared, &caches, resource);
                    context.spawn("shared metadata", async move {
                        first.await;
                        synced();
                    });
                }
                None => context.spawn("metadata", reflect::follow(shared.clone(), resource.clone(), synced)),
            }
        }
        // Before that owners would seem to be missing only because their kind is not listed yet.
        let _ = unsynced.wait_for(|count| *count == 0).await;
        tracing::debug!(objects = shared.graph.lock().len(), "object graph complete");
        for _ in 0..WORKERS {
            context.spawn("worker", work(shared.clone()));
        }
    });
    Ok(())
}

fn is_followed(resource: &Resource) -> bool {
    resource.can(&["delete", "list", "watch"])
        && !IGNORED.contains(&(resource.group.as_str(), resource.plural.as_str()))
}

/// What reflectors and workers share.
struct Shared {
    client: Client,
    graph: Mutex<Graph>,
    queue: Queue,
    resources: OnceCell<Vec<Resource>>,
}

/// What is read before a decision.
#[derive(Deserialize)]
struct Live {
    metadata: ObjectMeta,
}

async fn work(shared: Arc<Shared>) {
    loop {
        let key = shared.queue.next().await;
        let result = match key.namespace.as_str() {
            ORPHANING => shared.orphan(&key.name).await.map(|()| None),
            _ => shared.attempt(&key.name).await,
        };
        match result {
            Ok(again) => {
                shared.queue.forget(&key);
                if let Some(delay) = again {
                    shared.queue.add_after(key.clone(), delay);
                }
            }
            Err(error) => {
                if error.is_conflict() {
                    tracing::debug!(uid = key.name, error = error.chain(), "trying again");
                } else {
                    tracing::warn!(uid = key.name, error = error.chain(), "garbage collection failed");
                }
                shared.queue.add_backed_off(key.clone());
            }
        }
        shared.queue.done(&key);
    }
}

impl Shared {
    async fn discover(&self) -> &[Resource] {
        let ask = || async {
            loop {
                match resources::discover(&self.client).await {
                    Ok(resources) => return resources,
                    Err(error) => tracing::warn!(error = error.chain(), "cannot discover resources"),
                }
                tokio::time::sleep(DISCOVERY_RETRY).await;
            }
        };
        self.resources.get_or_init(ask).await
    }

    /// Changes the graph and queues what follows.
    fn tell<T>(&self, change: impl FnOnce(&mut Graph) -> (Vec<Work>, T)) -> T {
        let (work, result) = change(&mut self.graph.lock());
        for work in work {
            self.queue.add(match work {
                Work::Delete(uid) => Key::new("", &*uid),
                Work::Orphan(uid) => Key::new(ORPHANING, &*uid),
            });
        }
        result
    }

    fn resource(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.resources.get()?.iter().find(|resource| resource.is(api_version, kind))
    }

    /// The path of an object; `None` if nobody serves its kind.
    fn path(&self, at: &Identity) -> Option<String> {
        Some(self.resource(&at.api_version, &at.kind)?.object(&at.namespace, &at.name))
    }

    /// The metadata of the object at `path`, if it is the one of this UID.
    async fn live(&self, path: &str, uid: &str) -> Result<Option<ObjectMeta>, Error> {
        match resources::read::<Live>(&self.client, path, reflect::OBJECT).await {
            Ok(live) => Ok(Some(live.metadata).filter(|meta| meta.uid.as_deref() == Some(uid))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks whether an object has to go. Says when to look again, if it must.
    async fn attempt(&self, uid: &str) -> Result<Option<Duration>, Error> {
        let Some(item) = self.graph.lock().item(uid) else { return Ok(None) };
        // Once being deleted it goes by itself, unless it waits for its dependents.
        if matches!(item.known, Known::Gone | Known::Unfound) || (item.going && !item.foreground) {
            return Ok(None);
        }
        let Some(path) = self.path(&item.identity) else {
            tracing::debug!(kind = &*item.identity.kind, api_version = &*item.identity.api_version, "unknown kind");
            return Ok(None);
        };
        let Some(live) = self.live(&path, uid).await? else {
            // Of one that was observed the deletion is on its way here.
            self.tell(|graph| (graph.unfound(&uid.into()), ()));
            return Ok(None);
        };
        if item.known == Known::Virtual {
            let followed = self.resource(&item.identity.api_version, &item.identity.kind).is_some_and(is_followed);
            return Ok(followed.then_some(UNSEEN));
        }
        if item.foreground {
            return self.settle_foreground(uid, &path, &live).await.map(|()| None);
        }
        if live.deletion_timestamp.is_some() {
            return Ok(None);
        }
        self.judge(&item, &path, &live).await.map(|()| None)
    }

    /// An object waits for its dependents: hurries those that block it, or lets it go.
    async fn settle_foreground(&self, uid: &str, path: &str, live: &ObjectMeta) -> Result<(), Error> {
        let blocking = self.graph.lock().blocking(uid);
        if blocking.is_empty() {
            return self.remove_finalizer(path, live, FOREGROUND).await;
        }
        for (dependent, _) in blocking.into_iter().filter(|(_, waits)| !waits) {
            self.queue.add(Key::new("", &*dependent));
        }
        Ok(())
    }

    /// Decides about an object that is not being deleted, and does it.
    async fn judge(&self, item: &Item, path: &str, live: &ObjectMeta) -> Result<(), Error> {
        let mut owners = Vec::new();
        for owner in live.owner_references.iter().flatten() {
            match self.standing(owner, &item.identity).await? {
                Some(standing) => owners.push((owner.uid.clone(), standing)),
                None => return Ok(()),
            }
        }
        match plan::verdict(live, &owners, item.has_dependents, item.dependent_waits) {
            Verdict::Keep => Ok(()),
            Verdict::Prune(lost) => self.forget_owners(path, live, &lost).await,
            Verdict::Delete { policy, unblock } => {
                let mut version = live.resource_version.clone();
                if unblock {
                    version = self.unblock(path, live).await?;
                }
                tracing::debug!(kind = &*item.identity.kind, object = path, policy, "deleting what has no owner");
                self.delete(path, live, version, policy).await
            }
        }
    }

    /// How an owner stands; `None` if that cannot be known: its kind is not served, or it cannot own this object.
    async fn standing(&self, owner: &OwnerReference, item: &Identity) -> Result<Option<Standing>, Error> {
        if self.graph.lock().is_gone(&owner.uid) {
            return Ok(Some(Standing::Dangling));
        }
        let Some(resource) = self.resource(&owner.api_version, &owner.kind) else {
            tracing::debug!(kind = owner.kind, api_version = owner.api_version, "owner of unknown kind");
            return Ok(None);
        };
        if resource.namespaced && item.namespace.is_empty() {
            tracing::debug!(kind = &*item.kind, name = &*item.name, "cluster-scoped, but its owner is in a namespace");
            return Ok(None);
        }
        let live = self.live(&resource.object(&item.namespace, &owner.name), &owner.uid).await?;
        Ok(Some(live.map_or(Standing::Dangling, |owner| plan::standing(&owner))))
    }

    /// Takes the owner's reference off all its dependents, then lets it go.
    async fn orphan(&self, uid: &str) -> Result<(), Error> {
        let (item, dependents) = {
            let graph = self.graph.lock();
            (graph.item(uid), graph.dependents(uid))
        };
        let Some(path) = item.and_then(|item| self.path(&item.identity)) else { return Ok(()) };
        let lost = [uid.to_string()];
        let releases = dependents.iter().map(|(dependent, identity)| async {
            let Some(path) = self.path(identity) else { return Ok(()) };
            match self.live(&path, dependent).await? {
                Some(live) => self.forget_owners(&path, &live, &lost).await,
                None => Ok(()),
            }
        });
        join_all(releases).await.into_iter().collect::<Result<(), Error>>()?;
        match self.live(&path, uid).await? {
            Some(live) => self.remove_finalizer(&path, &live, ORPHAN).await,
            None => Ok(()),
        }
    }

    async fn forget_owners(&self, path: &str, live: &ObjectMeta, lost: &[String]) -> Result<(), Error> {
        let owners = live.owner_references.as_deref().unwrap_or_default();
        let kept: Vec<&OwnerReference> = owners.iter().filter(|owner| !lost.contains(&owner.uid)).collect();
        if kept.len() == owners.len() {
            return Ok(());
        }
        self.patch(path, live, "ownerReferences", json!(kept)).await.map(drop)
    }

    /// Lets no reference of the object block its owner; returns the new version.
    async fn unblock(&self, path: &str, live: &ObjectMeta) -> Result<Option<String>, Error> {
        let mut owners = live.owner_references.clone().unwrap_or_default();
        for owner in &mut owners {
            owner.block_owner_deletion = owner.block_owner_deletion.map(|_| false);
        }
        let patched = self.patch(path, live, "ownerReferences", json!(owners)).await?;
        Ok(patched.and_then(|patched| patched.resource_version))
    }

    async fn remove_finalizer(&self, path: &str, live: &ObjectMeta, finalizer: &str) -> Result<(), Error> {
        if !plan::has_finalizer(live, finalizer) {
            return Ok(());
        }
        let kept: Vec<&String> = live.finalizers.iter().flatten().filter(|present| *present != finalizer).collect();
        self.patch(path, live, "finalizers", json!(kept)).await.map(drop)
    }

    /// Replaces one list in the metadata of the object as it was read; `None` if it is gone.
    async fn patch(
        &self,
        path: &str,
        live: &ObjectMeta,
        field: &str,
        value: Value,
    ) -> Result<Option<ObjectMeta>, Error> {
        let patch = json!({"metadata": {"uid": live.uid, "resourceVersion": live.resource_version, field: value}});
        let body = Some(("application/merge-patch+json", Bytes::from(patch.to_string())));
        match self.client.json::<Live>(Method::PATCH, path, body).await {
            Ok(patched) => Ok(Some(patched.metadata)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, path: &str, live: &ObjectMeta, version: Option<String>, policy: &str) -> Result<(), Error> {
        let options = json!({
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": policy,
            "preconditions": {"uid": live.uid, "resourceVersion": version},
        });
        let body = Some(("application/json", Bytes::from(options.to_string())));
        match self.client.json::<IgnoredAny>(Method::DELETE, path, body).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
