//! A kubelet changes its own node and the pods on it, nothing else (upstream: plugin/pkg/admission/noderestriction). What it
//! may ask at all is decided before, by `auth::node`; here the content of the request counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::{Status, kinds, object};
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Admission, Attributes, Operation, refuse};
use crate::auth::node::{Refers, node_of, references_of_any};
use crate::storage::{Freshness, Storage};

const MIRROR: &str = "kubernetes.io/config.mirror";

struct NodeRestriction {
    storage: Arc<Storage>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(NodeRestriction { storage: storage.clone() })
}

impl Admission for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        node_of(attributes.user).is_some() && attributes.operation != Operation::Connect
    }

    fn admit<'a>(&'a self, attributes: &'a Attributes<'a>, object: &'a mut Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            let Some(node) = node_of(attributes.user) else { return Ok(()) };
            let subject = attributes.old.unwrap_or(object);
            let verdict = match (attributes.kind.group, attributes.kind.plural, attributes.subresource) {
                ("", "pods", "") => pod(node, attributes, object),
                ("", "pods", "status") => pod_status(node, attributes.old, object),
                ("", "pods", "eviction") => self.eviction(node, attributes, object).await?,
                ("", "pods", other) => {
                    Err(format!("unexpected pod subresource \"{other}\", only 'status' and 'eviction' are allowed"))
                }
                ("", "nodes", _) => own_node(node, attributes, object),
                ("", "serviceaccounts", "token") => self.token(node, attributes.namespace, object).await?,
                ("coordination.k8s.io", "leases", _) => lease(node, attributes, subject),
                ("storage.k8s.io", "csinodes", _) if object::name(subject) != node => Err(format!(
                    "can only access CSINode with the same name as the requesting node, not {}",
                    object::name(subject)
                )),
                _ => Ok(()),
            };
            verdict.map_err(|why| refuse(attributes, subject, &why))
        })
    }
}

type Verdict = Result<(), String>;

fn node_name(pod: &Value) -> &str {
    object::text(pod, "/spec/nodeName")
}

fn pod(node: &str, attributes: &Attributes<'_>, pod: &Value) -> Verdict {
    match attributes.operation {
        Operation::Create => mirror(node, pod),
        Operation::Delete if attributes.old.is_some_and(|pod| node_name(pod) == node) => Ok(()),
        Operation::Delete => Err(format!("node \"{node}\" can only delete pods with spec.nodeName set to itself")),
        _ => Err(format!("unexpected operation on pods by node \"{node}\"")),
    }
}

fn mirror(node: &str, pod: &Value) -> Verdict {
    if object::annotation(pod, MIRROR).is_none() {
        return Err(format!("pod does not have \"{MIRROR}\" annotation, node \"{node}\" can only create mirror pods"));
    }
    if node_name(pod) != node {
        return Err(format!("node \"{node}\" can only create pods with spec.nodeName set to itself"));
    }
    match object::owner_references(pod) {
        [] => {}
        [owner] => {
            if object::text(owner, "/apiVersion") != "v1"
                || object::text(owner, "/kind") != "Node"
                || object::text(owner, "/name") != node
            {
                return Err(format!("node \"{node}\" can only create pods with an owner reference set to itself"));
            }
            if object::flag(owner, "/blockOwnerDeletion") {
                return Err(format!("node \"{node}\" must not set blockOwnerDeletion on an owner reference"));
            }
        }
        _ => return Err(format!("node \"{node}\" can only create pods with a single owner reference set to itself")),
    }
    let what = match references_of_any(pod).first() {
        None => return Ok(()),
        Some((Refers::ServiceAccount, _)) => "a service account",
        Some((Refers::Secret, _)) => "secrets",
        Some((Refers::ConfigMap, _)) => "configmaps",
        Some((Refers::Claim, _)) => "persistentvolumeclaims",
    };
    Err(format!("node \"{node}\" can not create pods that reference {what}"))
}

fn pod_status(node: &str, old: Option<&Value>, new: &Value) -> Verdict {
    let Some(old) = old else { return Ok(()) };
    if node_name(old) != node {
        return Err(format!("node \"{node}\" can only update pod status for pods with spec.nodeName set to itself"));
    }
    let empty = Map::new();
    if object::labels(old).unwrap_or(&empty) != object::labels(new).unwrap_or(&empty) {
        return Err(format!("node \"{node}\" cannot update labels through pod status"));
    }
    Ok(())
}

fn own_node(node: &str, attributes: &Attributes<'_>, object: &Value) -> Verdict {
    let name = if attributes.name.is_empty() { object::name(object) } else { attributes.name };
    if name != node {
        return Err(format!("node \"{node}\" is not allowed to modify node \"{name}\""));
    }
    match (attributes.operation, attributes.old) {
        (Operation::Create, _) => {
            let set = forbidden_labels(None, object);
            if set.is_empty() {
                Ok(())
            } else {
                Err(format!("node \"{node}\" is not allowed to set the following labels: {}", join(&set)))
            }
        }
        (Operation::Update, Some(old)) => {
            let taints = |node: &Value| object::list(node, "/spec/taints").to_vec();
            if taints(old) != taints(object) {
                return Err(format!("node \"{node}\" is not allowed to modify taints"));
            }
            if object::owner_references(old) != object::owner_references(object) {
                return Err(format!("node \"{node}\" is not allowed to modify ownerReferences"));
            }
            let changed = forbidden_labels(Some(old), object);
            if changed.is_empty() {
                Ok(())
            } else {
                Err(format!("is not allowed to modify labels: {}", join(&changed)))
            }
        }
        _ => Ok(()),
    }
}

/// Labels in Kubernetes' own domains that differ, other than those a kubelet reports about itself
/// (upstream: `getModifiedLabels`, pkg/kubelet/apis/well_known_labels.go).
fn forbidden_labels(old: Option<&Value>, new: &Value) -> BTreeSet<String> {
    let empty = Map::new();
    let (before, after) = (old.and_then(object::labels).unwrap_or(&empty), object::labels(new).unwrap_or(&empty));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    changed.filter(|key| !may_set(key)).cloned().collect()
}

fn may_set(label: &str) -> bool {
    const OWN: &[&str] = &[
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    ];
    let domain = label.split_once('/').map_or("", |(domain, _)| domain);
    let within = |wanted: &str| domain == wanted || domain.ends_with(&format!(".{wanted}"));
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    if !within("kubernetes.io") && !within("k8s.io") {
        return true;
    }
    OWN.contains(&label) || within("kubelet.kubernetes.io") || within("node.kubernetes.io")
}

fn join(labels: &BTreeSet<String>) -> String {
    labels.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn lease(node: &str, attributes: &Attributes<'_>, lease: &Value) -> Verdict {
    if attributes.namespace != "kube-node-lease" {
        return Err("can only access leases in the \"kube-node-lease\" system namespace".into());
    }
    let name = if attributes.name.is_empty() { object::name(lease) } else { attributes.name };
    if name == node {
        Ok(())
    } else {
        Err("can only access node lease with the same name as the requesting node".into())
    }
}

impl NodeRestriction {
    async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        let (kind, _) = kinds::find("", "v1", "pods").ok_or_else(Status::no_such_path)?;
        Ok(self.storage.get(kind, namespace, name, Freshness::Latest).await?.map(|entry| entry.value()))
    }

    async fn eviction(&self, node: &str, attributes: &Attributes<'_>, eviction: &Value) -> Result<Verdict, Status> {
        let name = if attributes.name.is_empty() { object::name(eviction) } else { attributes.name };
        let pod = self.pod(attributes.namespace, name).await?;
        Ok(match pod {
            Some(pod) if node_name(&pod) != node => {
                Err(format!("node {node} can only evict pods with spec.nodeName set to itself"))
            }
            _ => Ok(()),
        })
    }

    async fn token(&self, node: &str, namespace: &str, request: &Value) -> Result<Verdict, Status> {
        let bound = |field: &str| object::text(request, &format!("/spec/boundObjectRef/{field}"));
        if bound("apiVersion") != "v1" || bound("kind") != "Pod" || bound("name").is_empty() {
            return Ok(Err("node requested token not bound to a pod".into()));
        }
        if bound("uid").is_empty() {
            return Ok(Err("node requested token with a pod binding without a uid".into()));
        }
        let Some(pod) = self.pod(namespace, bound("name")).await? else {
            return Err(Status::not_found("", "pods", bound("name")));
        };
        Ok(if object::uid(&pod) != bound("uid") {
            Err(format!(
                "the UID in the bound object reference ({}) does not match the UID in record. The object might have been deleted and then recreated",
                bound("uid")
            ))
        } else if node_name(&pod) != node {
            Err("node requested token bound to a pod scheduled on a different node".into())
        } else {
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubelets_create_bare_mirror_pods_of_their_own() {
        let pod = |annotated: bool, node: &str, more: Value| {
            let mut pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "containers": [{"name": "a"}]}});
            if annotated {
                pod["metadata"]["annotations"] = json!({ MIRROR: "hash" });
            }
            for (field, value) in more.as_object().into_iter().flatten() {
                object::set(&mut pod, field, value.clone());
            }
            pod
        };
        let owner = |kind: &str, name: &str| json!({"/metadata/ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": name}]});
        let table = [
            (pod(true, "n", json!({})), None),
            (pod(true, "n", owner("Node", "n")), None),
            (pod(true, "n", owner("Node", "m")), Some("with an owner reference set to itself")),
            (pod(false, "n", json!({})), Some("can only create mirror pods")),
            (pod(true, "m", json!({})), Some("spec.nodeName set to itself")),
            (pod(true, "n", json!({"/spec/serviceAccountName": "x"})), Some("reference a service account")),
            (pod(true, "n", json!({"/spec/volumes": [{"configMap": {"name": "x"}}]})), Some("reference configmaps")),
        ];
        for (pod, why) in table {
            match (mirror("n", &pod), why) {
                (Ok(()), None) => {}
                (Err(text), Some(why)) => assert!(text.contains(why), "{text}"),
                (got, _) => panic!("{got:?} {pod}"),
            }
        }
    }

    #[test]
    fn labels_of_kubernetes_domains_are_not_the_kubelets() {
        for (label, may) in [
            ("mine", true),
            ("example.com/x", true),
            ("kubernetes.io/hostname", true),
            ("node.kubernetes.io/anything", true),
            ("node-role.kubernetes.io/control-plane", false),
            ("node-restriction.kubernetes.io/x", false),
            ("foo.k8s.io/x", false),
        ] {
            assert_eq!(may_set(label), may, "{label}");
        }
        let node = |labels: Value| json!({"metadata": {"labels": labels}});
        let changed =
            forbidden_labels(Some(&node(json!({"x.k8s.io/a": "1"}))), &node(json!({"x.k8s.io/a": "2", "b": "3"})));
        assert_eq!(join(&changed), "x.k8s.io/a");
    }

    #[test]
    fn status_is_of_own_pods_and_leaves_labels() {
        let pod = |node: &str, label: &str| json!({"metadata": {"labels": {"a": label}}, "spec": {"nodeName": node}});
        assert!(pod_status("n", Some(&pod("n", "1")), &pod("n", "1")).is_ok());
        assert!(pod_status("n", Some(&pod("m", "1")), &pod("m", "1")).is_err());
        assert!(pod_status("n", Some(&pod("n", "1")), &pod("n", "2")).is_err());
    }
}
