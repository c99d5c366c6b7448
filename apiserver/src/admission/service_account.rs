//! Every pod runs as a service account that exists, and finds that account's token in a volume (upstream:
//! plugin/pkg/admission/serviceaccount).

use std::sync::Arc;
use std::time::Duration;

use api::kinds::KindRef;
use api::view::{Node, View};
use api::{Status, kinds, object};
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use rand::Rng;
use serde_json::{Value, json};

use super::{Admission, Attributes, Operation, refuse};
use crate::storage::{Entry, Freshness, Predicate, Storage, WatchFrom, WatchItem, WatchQuery};

/// The account of pods that name none.
const DEFAULT: &str = "default";
/// Where containers find the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour and seven seconds: tells tokens of this plugin from others (see `auth::claims`).
const TOKEN_SECONDS: i64 = 3607;
/// What generated names are made of (apimachinery, pkg/util/rand): no vowels, no words.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// A namespace's default account is made by a controller a moment after the namespace: so long a pod waits for it
/// (upstream: ten attempts, 100 to 200 ms apart).
const PATIENCE: Duration = Duration::from_millis(1500);

struct ServiceAccount {
    storage: Arc<Storage>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(ServiceAccount { storage: storage.clone() })
}

impl Admission for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation == Operation::Create && attributes.is("", "pods")
    }

    fn admit<'a>(&'a self, attributes: &'a Attributes<'a>, pod: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if object::annotation(pod, "kubernetes.io/config.mirror").is_some() {
                return mirror(pod).map_err(|why| refuse(attributes, pod, why));
            }
            let name = account_name(pod);
            let found = self.account(attributes.namespace, &name).await?;
            let Some(account) = found else {
                let why = format!(
                    "error looking up service account {}/{name}: serviceaccount \"{name}\" not found",
                    attributes.namespace
                );
                return Err(refuse(attributes, pod, &why));
            };
            let mut view = View::default();
            let account = view.read(account.raw()).map_err(Status::internal)?;
            apply(pod, &name, account, random_suffix);
            Ok(())
        })
    }
}

impl ServiceAccount {
    async fn account(&self, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        let (kind, _) = kinds::find("", "v1", "serviceaccounts").ok_or_else(Status::no_such_path)?;
        if let Some(entry) = self.storage.get(kind, namespace, name, Freshness::Latest).await? {
            return Ok(Some(entry));
        }
        if name != DEFAULT {
            return Ok(None);
        }
        match tokio::time::timeout(PATIENCE, self.appears(kind, namespace, name)).await {
            Ok(found) => found,
            Err(_) => Ok(None),
        }
    }

    async fn appears(&self, kind: KindRef, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        let query = WatchQuery {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            from: WatchFrom::State(Freshness::Latest),
            initial_events: false,
            bookmarks: false,
            predicate: Predicate::default(),
        };
        let mut changes = self.storage.watch(kind, query).await?;
        while let Some(item) = changes.next().await {
            if let WatchItem::Added(change) | WatchItem::Modified(change) = item? {
                return Ok(Some(change.entry().clone()));
            }
        }
        Ok(None)
    }
}

/// A mirror pod is made by a kubelet for a pod that it already runs: it cannot refer to anything here.
fn mirror(pod: &Value) -> Result<(), &'static str> {
    let references = crate::auth::node::references_of_any(pod);
    let has = |what| references.iter().any(|(kind, _)| *kind == what);
    if has(crate::auth::node::Refers::ServiceAccount) {
        return Err("a mirror pod may not reference service accounts");
    }
    if has(crate::auth::node::Refers::Secret) {
        return Err("a mirror pod may not reference secrets");
    }
    let projected = object::list(pod, "/spec/volumes").iter().flat_map(|v| object::list(v, "/projected/sources"));
    if projected.into_iter().any(|source| object::at(source, "/serviceAccountToken").is_some()) {
        return Err("a mirror pod may not use ServiceAccountToken volume projections");
    }
    Ok(())
}

/// The account that the pod names, in the new or the old field.
fn account_name(pod: &Value) -> String {
    let names = [object::text(pod, "/spec/serviceAccountName"), object::text(pod, "/spec/serviceAccount"), DEFAULT];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or(DEFAULT).to_string()
}

/// Account, pull secrets and token volume of a pod.
fn apply(pod: &mut Value, name: &str, account: Node<'_>, suffix: fn() -> String) {
    object::set(pod, "/spec/serviceAccountName", json!(name));
    object::set(pod, "/spec/serviceAccount", json!(name));
    let secrets = account.list("/imagePullSecrets");
    if object::list(pod, "/spec/imagePullSecrets").is_empty() && !secrets.is_empty() {
        object::set(pod, "/spec/imagePullSecrets", secrets.map(Node::value).collect());
    }
    let wanted = match object::at(pod, "/spec/automountServiceAccountToken") {
        Some(wanted) => wanted.as_bool(),
        None => account.at("/automountServiceAccountToken").and_then(Node::as_bool),
    };
    if wanted.unwrap_or(true) {
        mount(pod, suffix);
    }
}

fn mount(pod: &mut Value, suffix: fn() -> String) {
    let volumes = object::list(pod, "/spec/volumes");
    let present = volumes.iter().map(|volume| object::text(volume, "/name")).find(|n| n.starts_with(VOLUME_PREFIX));
    let (name, add) = match present {
        Some(name) => (name.to_string(), false),
        None => (format!("{VOLUME_PREFIX}{}", suffix()), true),
    };
    let mut used = false;
    for containers in ["/spec/initContainers", "/spec/containers"] {
        let containers = pod.pointer_mut(containers).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mounts = object::list(container, "/volumeMounts");
            if mounts.iter().all(|mount| object::text(mount, "/mountPath") != MOUNT_PATH) {
                push(container, "volumeMounts", json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH}));
                used = true;
            }
        }
    }
    if add && used {
        push(&mut pod["spec"], "volumes", volume(&name));
    }
}

/// Appends to a list, made if it is not there.
fn push(object: &mut Value, list: &str, item: Value) {
    match object::as_map(object).entry(list).or_insert(Value::Null) {
        Value::Array(list) => list.push(item),
        other => *other = Value::Array(vec![item]),
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

fn random_suffix() -> String {
    let mut random = rand::rng();
    (0..5).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"name": "p"}, "spec": spec})
    }

    #[test]
    fn a_pod_gets_account_and_token() {
        let mut pod = pod(json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}));
        let account = json!({"imagePullSecrets": [{"name": "pull"}]});
        let (mut view, account) = (View::default(), account.to_string());
        apply(&mut pod, "robot", view.read(account.as_bytes()).unwrap(), || "abcde".into());
        assert_eq!(pod["spec"]["serviceAccountName"], "robot");
        assert_eq!(pod["spec"]["serviceAccount"], "robot");
        assert_eq!(pod["spec"]["imagePullSecrets"], json!([{"name": "pull"}]));
        assert_eq!(pod["spec"]["volumes"][0]["name"], "kube-api-access-abcde");
        let sources = &pod["spec"]["volumes"][0]["projected"]["sources"];
        assert_eq!(sources[0]["serviceAccountToken"]["expirationSeconds"], 3607);
        for container in ["/spec/containers/0", "/spec/containers/1", "/spec/initContainers/0"] {
            let mounts = &pod.pointer(container).unwrap()["volumeMounts"];
            assert_eq!(mounts, &json!([{"name": "kube-api-access-abcde", "readOnly": true, "mountPath": MOUNT_PATH}]));
        }
    }

    #[test]
    fn the_token_can_be_declined_by_pod_or_account() {
        for (spec, account, mounted) in [
            (json!({}), json!({}), true),
            (json!({"automountServiceAccountToken": false}), json!({}), false),
            (json!({}), json!({"automountServiceAccountToken": false}), false),
            (json!({"automountServiceAccountToken": true}), json!({"automountServiceAccountToken": false}), true),
            (json!({"containers": [{"volumeMounts": [{"name": "x", "mountPath": MOUNT_PATH}]}]}), json!({}), false),
        ] {
            let mut pod = pod(spec.clone());
            if pod["spec"].get("containers").is_none() {
                pod["spec"]["containers"] = json!([{"name": "a"}]);
            }
            let (mut view, text) = (View::default(), account.to_string());
            apply(&mut pod, "default", view.read(text.as_bytes()).unwrap(), random_suffix);
            assert_eq!(pod["spec"].get("volumes").is_some(), mounted, "{spec} {account}");
        }
    }

    #[test]
    fn the_old_field_counts_and_mirrors_have_no_account() {
        assert_eq!(account_name(&pod(json!({"serviceAccount": "old"}))), "old");
        assert_eq!(account_name(&pod(json!({}))), "default");
        assert!(mirror(&pod(json!({"serviceAccountName": "x"}))).is_err());
        assert!(mirror(&pod(json!({"volumes": [{"secret": {"secretName": "s"}}]}))).is_err());
        assert!(mirror(&pod(json!({"containers": [{"name": "a"}]}))).is_ok());
        assert_eq!(random_suffix().len(), 5);
    }
}
