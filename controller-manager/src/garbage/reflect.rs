//! Follows one resource and tells the graph. Those that other controllers of this process follow anyway are heard of from their
//! caches ([`SHARED`]); every other one by its metadata alone: a list in pages, then a watch from there on; when the version
//! is gone, a list again. What such an object says beyond its metadata never leaves the server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use client::{Caches, Client, Error, Object, WatchEvent};
use futures::StreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Endpoints, Namespace, Node, Pod, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta, OwnerReference};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Shared;
use super::graph::{Graph, Identity, Owner, Seen, Uid};
use super::plan::{FOREGROUND, ORPHAN};
use crate::resources::{self, Resource};

const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
pub(super) const OBJECT: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PAGE: &str = "500";
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Partial>,
}

#[derive(Deserialize)]
struct Partial {
    metadata: Meta,
}

/// The part of the metadata that matters here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    uid: String,
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    finalizers: Vec<String>,
    #[serde(default)]
    owner_references: Vec<Reference>,
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    uid: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    block_owner_deletion: bool,
}

impl Meta {
    /// The same of an object that is there whole.
    fn of(meta: &ObjectMeta) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let reference = |owner: &OwnerReference| Reference {
            uid: owner.uid.clone(),
            api_version: owner.api_version.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            block_owner_deletion: owner.block_owner_deletion.unwrap_or(false),
        };
        Self {
            uid: text(&meta.uid),
            name: text(&meta.name),
            namespace: text(&meta.namespace),
            resource_version: text(&meta.resource_version),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            owner_references: meta.owner_references.iter().flatten().map(reference).collect(),
            deletion_timestamp: meta.deletion_timestamp.as_ref().map(|_| IgnoredAny),
        }
    }
}

/// Begins to follow a resource by a cache; resolves once the first list is in the graph.
pub(super) type Follow = fn(&Arc<Shared>, &Caches, &Resource) -> BoxFuture<'static, ()>;

/// Resources whose caches other controllers have anyway: group, version, plural.
const SHARED: [(&str, &str, &str, Follow); 9] = [
    ("", "v1", "endpoints", typed::<Endpoints>),
    ("", "v1", "namespaces", typed::<Namespace>),
    ("", "v1", "nodes", typed::<Node>),
    ("", "v1", "pods", typed::<Pod>),
    ("", "v1", "serviceaccounts", typed::<ServiceAccount>),
    ("", "v1", "services", typed::<Service>),
    ("apps", "v1", "deployments", typed::<Deployment>),
    ("apps", "v1", "replicasets", typed::<ReplicaSet>),
    ("policy", "v1", "poddisruptionbudgets", typed::<PodDisruptionBudget>),
];

/// How to hear of a resource from a cache, if there is one.
pub(super) fn shared(resource: &Resource) -> Option<Follow> {
    let is = |(group, version, plural, _): &&(&str, &str, &str, Follow)| {
        resource.group == *group && resource.version == *version && resource.plural == *plural
    };
    SHARED.iter().find(is).map(|(.., follow)| *follow)
}

fn typed<K: Object>(shared: &Arc<Shared>, caches: &Caches, resource: &Resource) -> BoxFuture<'static, ()> {
    let cache = caches.of::<K>();
    let (shared, resource) = (shared.clone(), resource.clone());
    cache.observe(move |change| {
        let (old, new) = (change.old(), change.new());
        // A cache that missed a deletion shows the next object of the name in its place.
        if let Some(gone) = old.filter(|old| new.is_none_or(|new| new.uid() != old.uid())) {
            shared.tell(|graph| (graph.gone(gone.uid()), ()));
        }
        if let Some(object) = new {
            shared.tell(|graph| {
                let seen = convert(graph, &resource, Meta::of(object.metadata()));
                (graph.present(seen), ())
            });
        }
    });
    Box::pin(async move { cache.synced().await })
}

/// `g/v` or `v`.
pub(super) fn api_version(resource: &Resource) -> String {
    if resource.group.is_empty() {
        resource.version.clone()
    } else {
        format!("{}/{}", resource.group, resource.version)
    }
}

/// Follows forever; `synced` is called once the first list is in the graph, or the server says there is nothing to list.
pub(super) async fn follow(shared: Arc<Shared>, resource: Resource, synced: impl FnOnce()) {
    let mut synced = Some(synced);
    let mut version = None;
    let mut wait = FIRST_WAIT;
    loop {
        let result = match &mut version {
            None => list(&shared, &resource).await.map(|listed| version = Some(listed)),
            Some(version) => watch(&shared, &resource, version, &mut wait).await,
        };
        let refused = result.as_ref().is_err_and(|error| error.is_not_found() || error.is("MethodNotAllowed"));
        if let Some(synced) = synced.take_if(|_| version.is_some() || refused) {
            synced();
        }
        match result {
            Ok(()) => continue,
            Err(error) if error.is_expired() => version = None,
            Err(error) => {
                tracing::debug!(resource = resource.dotted(), error = error.chain(), "metadata watch interrupted");
            }
        }
        tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

/// Returns the version of the list.
async fn list(shared: &Shared, resource: &Resource) -> Result<String, Error> {
    let mut kept: HashSet<Uid> = HashSet::new();
    let mut token = String::new();
    loop {
        let query = client::rest::query(&[("limit", PAGE), ("continue", &token)]);
        let path = format!("{}{query}", resource.collection(""));
        let page: List = read(&shared.client, &path).await?;
        for item in page.items {
            let seen = shared.tell(|graph| {
                let seen = convert(graph, resource, item.metadata);
                let uid = seen.uid.clone();
                (graph.present(seen), uid)
            });
            kept.insert(seen);
        }
        token = page.metadata.continue_.unwrap_or_default();
        if token.is_empty() {
            shared.tell(|graph| (graph.listed(&api_version(resource), &resource.kind, &kept), ()));
            return Ok(page.metadata.resource_version.unwrap_or_default());
        }
    }
}

async fn read(client: &Client, path: &str) -> Result<List, Error> {
    resources::read(client, path, LIST).await
}

/// Follows from `version` on, and keeps it; an error also when the watch ends without a word.
async fn watch(shared: &Shared, resource: &Resource, version: &mut String, wait: &mut Duration) -> Result<(), Error> {
    let query = client::rest::query(&[("resourceVersion", version)]);
    let joint = if query.is_empty() { '?' } else { '&' };
    let path = format!("{}{query}{joint}watch=true&allowWatchBookmarks=true", resource.collection(""));
    let events = shared.client.watch_path::<Partial>(&path, OBJECT).await?;
    let mut events = std::pin::pin!(events);
    let mut silent = true;
    while let Some(event) = events.next().await {
        match event? {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                version.clone_from(&object.metadata.resource_version);
                shared.tell(|graph| {
                    let seen = convert(graph, resource, object.metadata);
                    (graph.present(seen), ())
                });
            }
            WatchEvent::Deleted(object) => {
                version.clone_from(&object.metadata.resource_version);
                shared.tell(|graph| (graph.gone(&object.metadata.uid), ()));
            }
            WatchEvent::Bookmark(revision) => *version = revision.to_string(),
        }
        silent = false;
        *wait = FIRST_WAIT;
    }
    if silent { Err(Error::Config("the watch ended without an event".into())) } else { Ok(()) }
}

fn convert(graph: &mut Graph, resource: &Resource, meta: Meta) -> Seen {
    let has = |finalizer: &str| meta.finalizers.iter().any(|present| present == finalizer);
    let (orphan, foreground) = (has(ORPHAN), has(FOREGROUND));
    let identity = Identity {
        api_version: graph.name(&api_version(resource)),
        kind: graph.name(&resource.kind),
        namespace: meta.namespace.into(),
        name: meta.name.into(),
    };
    let owner = |graph: &mut Graph, reference: Reference| Owner {
        uid: graph.uid(&reference.uid),
        api_version: graph.name(&reference.api_version),
        kind: graph.name(&reference.kind),
        name: reference.name.into(),
        blocking: reference.block_owner_deletion,
    };
    let owners = meta.owner_references.into_iter().map(|reference| owner(graph, reference)).collect();
    Seen { uid: graph.uid(&meta.uid), identity, owners, going: meta.deletion_timestamp.is_some(), orphan, foreground }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    fn replica_sets() -> Resource {
        Resource {
            group: "apps".into(),
            version: "v1".into(),
            plural: "replicasets".into(),
            kind: "ReplicaSet".into(),
            namespaced: true,
            verbs: ["delete", "list", "watch"].map(str::to_string).into(),
        }
    }

    fn seen(metadata: serde_json::Value) -> Seen {
        let partial: Partial = from_value(json!({"kind": "PartialObjectMetadata", "metadata": metadata})).unwrap();
        convert(&mut Graph::default(), &replica_sets(), partial.metadata)
    }

    #[test]
    fn metadata_becomes_what_the_graph_needs() {
        let plain = seen(json!({"uid": "u", "name": "n", "namespace": "ns", "labels": {"a": "b"}}));
        assert_eq!(
            (&*plain.identity.api_version, &*plain.identity.kind, &*plain.identity.namespace, &*plain.identity.name),
            ("apps/v1", "ReplicaSet", "ns", "n")
        );
        assert!(plain.owners.is_empty() && !plain.going && !plain.orphan && !plain.foreground);
        let owned = seen(json!({"uid": "u", "name": "n", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "1", "controller": true,
             "blockOwnerDeletion": true},
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "2"},
        ]}));
        let told: Vec<(&str, &str, bool)> = owned.owners.iter().map(|o| (&*o.uid, &*o.name, o.blocking)).collect();
        assert_eq!(told, [("1", "d", true), ("2", "c", false)]);
    }

    #[test]
    fn a_whole_object_says_the_same_as_its_metadata() {
        let metadata = json!({"uid": "u", "name": "n", "namespace": "ns", "finalizers": ["orphan", "foregroundDeletion"],
            "deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "1", "blockOwnerDeletion": true},
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "2"}]});
        let whole: ObjectMeta = from_value(metadata.clone()).unwrap();
        let (from_whole, alone) = (convert(&mut Graph::default(), &replica_sets(), Meta::of(&whole)), seen(metadata));
        assert_eq!(
            (&from_whole.uid, &from_whole.identity, &from_whole.owners),
            (&alone.uid, &alone.identity, &alone.owners)
        );
        let flags = |seen: &Seen| (seen.going, seen.orphan, seen.foreground);
        assert_eq!((flags(&from_whole), flags(&alone)), ((true, true, true), (true, true, true)));
    }

    #[test]
    fn only_resources_in_the_version_of_their_type_are_shared() {
        assert!(shared(&replica_sets()).is_some());
        for (version, plural) in [("v1beta1", "replicasets"), ("v1", "statefulsets")] {
            let other = Resource { version: version.into(), plural: plural.into(), ..replica_sets() };
            assert!(shared(&other).is_none(), "{version} {plural}");
        }
    }

    #[test]
    fn finalizers_and_deletion_are_told_apart() {
        let table = [
            (json!({"uid": "u", "name": "n", "finalizers": ["orphan"]}), (false, true, false)),
            (
                json!({"uid": "u", "name": "n", "finalizers": ["x", "foregroundDeletion"],
                    "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                (true, false, true),
            ),
            (json!({"uid": "u", "name": "n", "deletionTimestamp": null}), (false, false, false)),
        ];
        for (metadata, expected) in table {
            let seen = seen(metadata.clone());
            assert_eq!((seen.going, seen.orphan, seen.foreground), expected, "{metadata}");
        }
    }

    #[test]
    fn an_empty_list_may_lack_everything() {
        let list: List = from_value(json!({"kind": "PartialObjectMetadataList", "metadata": {}})).unwrap();
        assert!(list.items.is_empty() && list.metadata.continue_.is_none());
    }
}
