//! Which of the objects around an owner are its own: adopt what matches its selector and has no owner, release what it owns
//! but no longer matches (kube-controller-manager, controller_ref_manager.go). Deciding is pure; acting patches owner
//! references with uid and resource version as preconditions.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::selector::LabelSelector;
use client::{Cache, Client, Error, Key, Object, Patch};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::json;

use crate::pods::controller_of;

/// What to do about one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is ours.
    Own,
    /// Make it ours.
    Adopt,
    /// Let it go.
    Release,
    /// It concerns us not.
    Ignore,
}

/// The decision. `owner_going`: the owner is being deleted; it adopts and releases nothing any more.
pub(crate) fn claim<K: Object>(object: &K, owner_uid: &str, owner_going: bool, selector: &LabelSelector) -> Claim {
    let meta = object.metadata();
    let matches = selector.matches_labels(meta.labels.as_ref());
    let going = meta.deletion_timestamp.is_some();
    match controller_of(meta) {
        Some(owner) if owner.uid != owner_uid => Claim::Ignore,
        Some(_) if matches => Claim::Own,
        Some(_) if owner_going || going => Claim::Ignore,
        Some(_) => Claim::Release,
        None if !matches || owner_going || going => Claim::Ignore,
        None => Claim::Adopt,
    }
}

/// Sorts out `candidates`; returns those that are ours, adopted ones included. Before the first adoption the owner is read
/// afresh: a cache that lags behind would have an owner on its way out take back what it has just orphaned, to be collected
/// with it (RecheckDeletionTimestamp).
///
/// # Errors
/// When an adoption or release fails for another reason than that the object has changed or gone.
pub(crate) async fn settle<O: Object, K: Object>(
    client: &Client,
    owner: &O,
    selector: &LabelSelector,
    candidates: Vec<Arc<K>>,
) -> Result<Vec<Arc<K>>, Error> {
    let mut going = owner.metadata().deletion_timestamp.is_some();
    let mut fresh = false;
    let mut own = Vec::new();
    for object in candidates {
        let mut claim_of_it = claim(&*object, owner.uid(), going, selector);
        if claim_of_it == Claim::Adopt && !fresh {
            (going, fresh) = (!lives(client, owner).await?, true);
            claim_of_it = claim(&*object, owner.uid(), going, selector);
        }
        match claim_of_it {
            Claim::Own => own.push(object),
            Claim::Ignore => {}
            Claim::Release => release(client, owner.uid(), &*object).await?,
            Claim::Adopt => own.extend(adopt(client, owner, &*object).await?.map(Arc::new)),
        }
    }
    Ok(own)
}

/// Whether the server still has this very owner, and it is not on its way out.
async fn lives<O: Object>(client: &Client, owner: &O) -> Result<bool, Error> {
    let key = owner.key();
    match client.get::<O>(&key.namespace, &key.name).await {
        Ok(now) => Ok(now.uid() == owner.uid() && now.metadata().deletion_timestamp.is_none()),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn adopt<O: Object, K: Object>(client: &Client, owner: &O, object: &K) -> Result<Option<K>, Error> {
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.push(crate::pods::controller_reference(owner));
    patch_owners(client, object, &owners).await
}

async fn release<K: Object>(client: &Client, owner_uid: &str, object: &K) -> Result<(), Error> {
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.retain(|owner| owner.uid != owner_uid);
    patch_owners(client, object, &owners).await.map(drop)
}

/// `None` when the object has gone or changed meanwhile: the change brings us back.
async fn patch_owners<K: Object>(client: &Client, object: &K, owners: &[OwnerReference]) -> Result<Option<K>, Error> {
    let meta = object.metadata();
    let patch = json!({"metadata": {
        "uid": meta.uid, "resourceVersion": meta.resource_version, "ownerReferences": owners,
    }});
    let key = object.key();
    match client.patch::<K>(&key.namespace, &key.name, &Patch::Merge(patch)).await {
        Ok(patched) => Ok(Some(patched)),
        Err(error) if error.is_not_found() || error.is_conflict() || error.is("Invalid") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects beside one with this metadata whose selector matches its labels.
pub(crate) fn selecting<O: Object>(
    all: &Cache<O>,
    meta: &ObjectMeta,
    selector: impl Fn(&O) -> Option<LabelSelector>,
) -> Vec<Key> {
    let beside = all.namespace(meta.namespace.as_deref().unwrap_or_default());
    let matches = |object: &&Arc<O>| selector(object).is_some_and(|it| it.matches_labels(meta.labels.as_ref()));
    beside.iter().filter(matches).map(|object| object.key()).collect()
}

/// Those that select what an object was, or what it is, each once.
pub(crate) fn selecting_either<O: Object, K: Object>(
    all: &Cache<O>,
    old: Option<&K>,
    new: Option<&K>,
    selector: impl Fn(&O) -> Option<LabelSelector>,
) -> Vec<Key> {
    let either = [old, new].into_iter().flatten();
    let keys: BTreeSet<Key> = either.flat_map(|object| selecting(all, object.metadata(), &selector)).collect();
    keys.into_iter().collect()
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
