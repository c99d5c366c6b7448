//! Empties namespaces that are being deleted, then lets go of them: pods first, and only when they are gone everything
//! else that discovery names (kube-controller-manager, namespace/deletion; ordered since 1.33, KEP-5080).

mod plan;

use std::sync::Arc;
use std::time::Duration;

use base::Clock;
use bytes::Bytes;
use client::controller::{self, Action, Pass, Reconciler, Trigger};
use client::{Cache, Caches, Client, Error, Key, Object, Patch};
use http::Method;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Setup;
use crate::resources::{self, Resource};
use plan::Findings;

/// The finalizer that the server puts into every namespace's spec for this controller.
const FINALIZER: &str = "kubernetes";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

pub(crate) fn start(setup: &Setup) -> anyhow::Result<()> {
    let controller = Namespaces {
        client: setup.client.clone(),
        clock: setup.clock.clone(),
        namespaces: setup.caches.of(),
        pods: setup.caches.of(),
    };
    controller::run(&setup.context, &setup.caches, controller, 8);
    Ok(())
}

struct Namespaces {
    client: Client,
    clock: Arc<dyn Clock>,
    namespaces: Cache<Namespace>,
    pods: Cache<Pod>,
}

impl Reconciler for Namespaces {
    fn name(&self) -> &'static str {
        "namespace"
    }

    fn triggers(&self, _: &Caches) -> Vec<Trigger> {
        let (namespaces, pods) = (self.namespaces.clone(), self.pods.clone());
        vec![
            Trigger::of(&self.namespaces, |_, new| {
                new.filter(|namespace| is_ours(namespace)).map(Object::key).into_iter().collect()
            }),
            // The last pod of a namespace on its way out has gone: now the rest.
            Trigger::of(&self.pods, move |old, new| {
                let Some(pod) = old.filter(|_| new.is_none()) else { return Vec::new() };
                let namespace = pod.key().namespace;
                let key = Key::new("", &namespace);
                let waiting = namespaces.get(&key).is_some_and(|namespace| is_ours(&namespace));
                if waiting && pods.namespace(&namespace).is_empty() { vec![key] } else { Vec::new() }
            }),
        ]
    }

    async fn reconcile(&self, key: &Key, pass: &Pass) -> Result<Action, Error> {
        let Some(namespace) = self.namespaces.get(key).filter(|namespace| is_ours(namespace)) else {
            return Ok(Action::Done);
        };
        let found = self.empty(&namespace).await;
        if found.is_clean() {
            self.let_go(&namespace).await?;
            return Ok(Action::Done);
        }
        self.write_conditions(&namespace, &found, pass).await?;
        match found.undiscovered.or_else(|| found.failures.into_iter().next()) {
            Some(failure) => Err(Error::Config(failure)),
            // Half of what it should take, as upstream: things may be quicker than they promise.
            None => Ok(Action::After(Duration::from_secs(u64::try_from(found.estimate / 2 + 1).unwrap_or(1)))),
        }
    }
}

/// Whether a namespace is on its way out and waits for this controller.
fn is_ours(namespace: &Namespace) -> bool {
    let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
    namespace.metadata.deletion_timestamp.is_some() && finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

impl Namespaces {
    /// Deletes what is in the namespace, says what is left.
    async fn empty(&self, namespace: &Namespace) -> Findings {
        let mut found = Findings::default();
        let all = match resources::discover(&self.client).await {
            Ok(all) => all,
            Err(error) => {
                found.undiscovered = Some(error.chain());
                return found;
            }
        };
        let deletable = all.into_iter().filter(|resource| resource.namespaced && resource.can(&["delete", "list"]));
        let (pods, rest): (Vec<Resource>, Vec<Resource>) =
            deletable.partition(|resource| resource.group.is_empty() && resource.plural == "pods");
        for resource in &pods {
            self.empty_of(namespace, resource, &mut found).await;
        }
        if found.is_clean() {
            for resource in &rest {
                self.empty_of(namespace, resource, &mut found).await;
            }
        }
        found
    }

    /// Deletes all objects of a resource and counts what stays.
    async fn empty_of(&self, namespace: &Namespace, resource: &Resource, found: &mut Findings) {
        let name = namespace.key().name;
        let grace = if resource.plural == "pods" && resource.group.is_empty() {
            let deleted = namespace.metadata.deletion_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
            let pods: Vec<Arc<Pod>> = self.pods.namespace(&name);
            plan::grace_left(pods.iter().map(Arc::as_ref), deleted, self.clock.now())
        } else {
            0
        };
        let result = async {
            // Nothing new gets into a namespace on its way out: an empty list needs no deletion.
            let there = self.left(&name, resource).await?;
            if there.is_empty() {
                return Ok(there);
            }
            self.delete_all(&name, resource, &there).await?;
            self.left(&name, resource).await
        };
        match result.await {
            Ok(left) => {
                let left: Vec<Vec<String>> = left.into_iter().map(|meta| meta.finalizers).collect();
                found.count(&resource.dotted(), &left, grace, || {
                    let Resource { group, version, plural, .. } = resource;
                    format!(
                        "unexpected items still remain in namespace: {name} for gvr: {group}/{version}, Resource={plural}"
                    )
                });
            }
            // A resource that went since discovery (a custom one) has nothing left.
            Err(error) if error.is_not_found() || error.is("MethodNotAllowed") => {}
            Err(error) => found.failures.push(error.chain()),
        }
    }

    async fn delete_all(&self, namespace: &str, resource: &Resource, there: &[Left]) -> Result<(), Error> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"});
        let body = || Some(("application/json", Bytes::from(options.to_string())));
        if resource.can(&["deletecollection"]) {
            let path = resource.collection(namespace);
            return self.client.json::<Value>(Method::DELETE, &path, body()).await.map(drop);
        }
        for object in there {
            let path = resource.object(namespace, &object.name);
            match self.client.json::<Value>(Method::DELETE, &path, body()).await {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    async fn left(&self, namespace: &str, resource: &Resource) -> Result<Vec<Left>, Error> {
        let list: List = resources::read(&self.client, &resource.collection(namespace), METADATA_LIST).await?;
        Ok(list.items.into_iter().map(|item| item.metadata).collect())
    }

    async fn write_conditions(&self, namespace: &Namespace, found: &Findings, pass: &Pass) -> Result<(), Error> {
        let before = namespace.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let Some(conditions) = plan::conditions(before, found, self.clock.now()) else { return Ok(()) };
        let meta = &namespace.metadata;
        let patch = json!({
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {"conditions": conditions},
        });
        let name = namespace.key().name;
        let written = self.client.patch_status::<Namespace>("", &name, &Patch::Merge(patch)).await?;
        pass.wrote(&self.namespaces, &written);
        Ok(())
    }

    /// Takes the finalizer away: the server removes the namespace when it was the last. The whole object goes back as it
    /// was read: a type of our own would lose what it does not know.
    async fn let_go(&self, namespace: &Namespace) -> Result<(), Error> {
        let path = format!("/api/v1/namespaces/{}", namespace.key().name);
        let result = async {
            let mut object: Value = self.client.json(Method::GET, &path, None).await?;
            if object["metadata"]["uid"] != namespace.uid() {
                return Ok(());
            }
            if let Some(finalizers) = object["spec"]["finalizers"].as_array_mut() {
                finalizers.retain(|finalizer| finalizer != FINALIZER);
            }
            let body = Bytes::from(object.to_string());
            self.client
                .json::<Value>(Method::PUT, &format!("{path}/finalize"), Some(("application/json", body)))
                .await
                .map(drop)
        };
        match result.await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }
}

#[derive(Deserialize)]
struct List {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Left,
}

/// What is known of an object that stays.
#[derive(Deserialize)]
struct Left {
    name: String,
    #[serde(default)]
    finalizers: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    #[test]
    fn only_namespaces_going_with_our_finalizer_are_ours() {
        let table = [
            (json!({"spec": {"finalizers": ["kubernetes"]}}), false),
            (
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"finalizers": ["kubernetes", "x"]}}),
                true,
            ),
            (json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"finalizers": ["x"]}}), false),
        ];
        for (namespace, ours) in table {
            assert_eq!(is_ours(&from_value(namespace.clone()).unwrap()), ours, "{namespace}");
        }
    }
}
