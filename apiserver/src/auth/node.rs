//! What a kubelet may do: the rules of the role `system:node`, and of those objects that carry secrets or identities only what
//! pods on its own node refer to (upstream: plugin/pkg/auth/authorizer/node).
//!
//! The relation is not kept as a graph: it is read from the pod cache through the `spec.nodeName` field, and what a pod refers to
//! is remembered by the pod's revision. So it never lags behind a binding.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use api::selector::FieldSelector;
use api::{Status, kinds, object};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

use super::attributes::{Attributes, Decision};
use super::defaults::cluster_role_rules;
use super::rbac::Rule;
use crate::request::User;
use crate::storage::{Entry, Freshness, ListQuery, Predicate, Storage};

/// The rules of `system:node`.
static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| cluster_role_rules("system:node"));
/// So many pods' references are remembered.
const REMEMBERED: usize = 8192;

/// The node that a user is the kubelet of.
pub fn node_of(user: &User) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:").filter(|name| !name.is_empty())?;
    user.in_group("system:nodes").then_some(name)
}

/// Kind of what a pod refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refers {
    /// By a volume, the environment, or to pull images.
    Secret,
    /// By a volume or the environment.
    ConfigMap,
    /// By a volume.
    Claim,
    /// By being it.
    ServiceAccount,
}

/// What a pod refers to.
pub type References = BTreeSet<(Refers, String)>;

/// Everything in its namespace that a pod refers to. Mirror pods refer to nothing: a kubelet makes them itself.
pub fn references(pod: &Value) -> References {
    let mirror = object::annotation(pod, "kubernetes.io/config.mirror").is_some();
    if mirror { References::new() } else { references_of_any(pod) }
}

/// The same for any pod.
pub fn references_of_any(pod: &Value) -> References {
    let mut found = References::new();
    let mut add = |what: Refers, name: &str| {
        if !name.is_empty() {
            found.insert((what, name.to_string()));
        }
    };
    add(Refers::ServiceAccount, object::text(pod, "/spec/serviceAccountName"));
    for secret in object::list(pod, "/spec/imagePullSecrets") {
        add(Refers::Secret, object::text(secret, "/name"));
    }
    for containers in ["/spec/containers", "/spec/initContainers", "/spec/ephemeralContainers"] {
        for container in object::list(pod, containers) {
            for variable in object::list(container, "/env") {
                add(Refers::Secret, object::text(variable, "/valueFrom/secretKeyRef/name"));
                add(Refers::ConfigMap, object::text(variable, "/valueFrom/configMapKeyRef/name"));
            }
            for source in object::list(container, "/envFrom") {
                add(Refers::Secret, object::text(source, "/secretRef/name"));
                add(Refers::ConfigMap, object::text(source, "/configMapRef/name"));
            }
        }
    }
    for volume in object::list(pod, "/spec/volumes") {
        of_volume(object::name(pod), volume, &mut add);
    }
    found
}

fn of_volume(pod: &str, volume: &Value, add: &mut impl FnMut(Refers, &str)) {
    add(Refers::Secret, object::text(volume, "/secret/secretName"));
    add(Refers::ConfigMap, object::text(volume, "/configMap/name"));
    add(Refers::Claim, object::text(volume, "/persistentVolumeClaim/claimName"));
    if object::at(volume, "/ephemeral").is_some() {
        add(Refers::Claim, &format!("{pod}-{}", object::text(volume, "/name")));
    }
    for source in object::list(volume, "/projected/sources") {
        add(Refers::Secret, object::text(source, "/secret/name"));
        add(Refers::ConfigMap, object::text(source, "/configMap/name"));
    }
    add(Refers::Secret, object::text(volume, "/azureFile/secretName"));
    add(Refers::Secret, object::text(volume, "/csi/nodePublishSecretRef/name"));
    // Further volume types name theirs alike.
    for source in volume.as_object().into_iter().flatten().map(|(_, source)| source) {
        add(Refers::Secret, object::text(source, "/secretRef/name"));
    }
}

/// The authorizer.
pub struct Nodes {
    storage: Arc<Storage>,
    remembered: Mutex<HashMap<Bytes, (u64, Arc<References>)>>,
}

impl Nodes {
    /// Over this storage.
    pub fn new(storage: Arc<Storage>) -> Self {
        Self { storage, remembered: Mutex::default() }
    }

    /// Has an opinion on kubelets only.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn authorize(&self, asked: &Attributes) -> Result<Decision, Status> {
        let Some(node) = node_of(&asked.user) else { return Ok(Decision::NoOpinion(String::new())) };
        let refuse = |why: &str| Ok(Decision::NoOpinion(why.to_string()));
        if asked.is_resource {
            let refers = match (asked.group.as_str(), asked.resource.as_str()) {
                ("", "secrets") => Some(Refers::Secret),
                ("", "configmaps") => Some(Refers::ConfigMap),
                ("", "persistentvolumeclaims") => Some(Refers::Claim),
                ("", "serviceaccounts") => Some(Refers::ServiceAccount),
                _ => None,
            };
            if let Some(refers) = refers {
                if let Err(why) = shape(refers, asked) {
                    return refuse(why);
                }
                return Ok(if self.refers(node, refers, &asked.namespace, &asked.name).await? {
                    Decision::Allow(String::new())
                } else {
                    Decision::NoOpinion(unrelated(node))
                });
            }
            if let Some(decision) = self.special(node, asked).await? {
                return Ok(decision);
            }
        }
        if RULES.iter().any(|rule| rule.allows(asked)) {
            return Ok(Decision::Allow(String::new()));
        }
        refuse("")
    }

    /// Objects with a rule of their own; `None` leaves them to the role.
    async fn special(&self, node: &str, asked: &Attributes) -> Result<Option<Decision>, Status> {
        let allow = || Ok(Some(Decision::Allow(String::new())));
        let refuse = |why: String| Ok(Some(Decision::NoOpinion(why)));
        match (asked.group.as_str(), asked.resource.as_str(), asked.subresource.as_str()) {
            ("", "persistentvolumes", "") if asked.verb == "get" => {
                let related = self.volume_on(node, &asked.name).await?;
                if related { allow() } else { refuse(unrelated(node)) }
            }
            ("coordination.k8s.io", "leases", _) | ("storage.k8s.io", "csinodes", _) => {
                let lease = asked.resource == "leases";
                if !matches!(asked.verb.as_str(), "get" | "create" | "update" | "patch" | "delete") {
                    return refuse(format!("can only get, create, update, patch, or delete a node {}", own(lease)));
                }
                if lease && asked.namespace != "kube-node-lease" {
                    return refuse("can only access leases in the \"kube-node-lease\" system namespace".into());
                }
                // A created object's name may not be known yet; NodeRestriction sees it.
                if asked.verb != "create" && asked.name != node {
                    return refuse(format!(
                        "can only access node {} with the same name as the requesting node",
                        own(lease)
                    ));
                }
                allow()
            }
            ("", "nodes", "") if matches!(asked.verb.as_str(), "get" | "list" | "watch") => {
                if asked.name == node {
                    return allow();
                }
                refuse(format!("node '{node}' cannot read '{}', only its own Node object", asked.name))
            }
            ("", "pods", "") if asked.verb == "get" => {
                let on = self.pods(node, Some(&asked.namespace), Freshness::Latest).await?;
                let bound = on.iter().any(|pod| pod.name() == asked.name);
                if bound { allow() } else { refuse(unrelated(node)) }
            }
            ("", "pods", "") if matches!(asked.verb.as_str(), "list" | "watch") => {
                let selector = FieldSelector::parse(&asked.field_selector).ok();
                if selector.is_some_and(|selector| selector.required("spec.nodeName") == Some(node)) {
                    return allow();
                }
                refuse("can only list/watch pods with spec.nodeName field selector".into())
            }
            _ => Ok(None),
        }
    }

    async fn pods(&self, node: &str, namespace: Option<&str>, freshness: Freshness) -> Result<Vec<Arc<Entry>>, Status> {
        let Some((kind, _)) = kinds::find("", "v1", "pods") else { return Ok(Vec::new()) };
        let predicate = Predicate { fields: FieldSelector::equals("spec.nodeName", node), ..Predicate::default() };
        let query = ListQuery { namespace, freshness, predicate, ..ListQuery::default() };
        Ok(self.storage.list(kind, query).await?.entries)
    }

    async fn refers(&self, node: &str, what: Refers, namespace: &str, name: &str) -> Result<bool, Status> {
        let wanted = (what, name.to_string());
        // What this server knows allows; before something is refused, what other servers wrote is looked at too.
        for freshness in [Freshness::Own, Freshness::Latest] {
            let pods = self.pods(node, Some(namespace), freshness).await?;
            if pods.iter().any(|pod| self.references(pod).contains(&wanted)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the claim of a volume is used on the node.
    async fn volume_on(&self, node: &str, volume: &str) -> Result<bool, Status> {
        let Some((kind, _)) = kinds::find("", "v1", "persistentvolumes") else { return Ok(false) };
        let Some(entry) = self.storage.get(kind, "", volume, Freshness::Latest).await? else { return Ok(false) };
        let volume = entry.value();
        let (namespace, claim) =
            (object::text(&volume, "/spec/claimRef/namespace"), object::text(&volume, "/spec/claimRef/name"));
        if namespace.is_empty() { Ok(false) } else { self.refers(node, Refers::Claim, namespace, claim).await }
    }

    fn references(&self, pod: &Entry) -> Arc<References> {
        if let Some((revision, known)) = self.remembered.lock().get(pod.key())
            && *revision == pod.revision()
        {
            return known.clone();
        }
        let found = Arc::new(references(&pod.value()));
        let mut remembered = self.remembered.lock();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(pod.key().clone(), (pod.revision(), found.clone()));
        found
    }
}

fn own(lease: bool) -> &'static str {
    if lease { "lease" } else { "CSINode" }
}

fn unrelated(node: &str) -> String {
    format!("no relationship found between node '{node}' and this object")
}

/// Whether the request has the form in which kubelets may ask at all.
fn shape(what: Refers, asked: &Attributes) -> Result<(), &'static str> {
    let (verb, subresource) = (asked.verb.as_str(), asked.subresource.as_str());
    match what {
        Refers::ServiceAccount if verb == "create" && subresource == "token" => {}
        Refers::ServiceAccount => return Err("can only create tokens for individual service accounts"),
        Refers::Claim if subresource == "status" && matches!(verb, "get" | "update" | "patch") => {}
        Refers::Claim if subresource == "status" => return Err("can only get/update/patch the status of this type"),
        Refers::Claim if verb != "get" => return Err("can only get individual resources of this type"),
        Refers::Secret | Refers::ConfigMap if !matches!(verb, "get" | "list" | "watch") => {
            return Err("can only read resources of this type");
        }
        _ if !subresource.is_empty() => return Err("cannot read subresource"),
        _ => {}
    }
    if asked.namespace.is_empty() {
        return Err("can only read namespaced object of this type");
    }
    if asked.name.is_empty() { Err("No Object name found") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn kubelets_are_known_by_name_and_group() {
        assert_eq!(node_of(&User::new("system:node:n1", &["system:nodes"])), Some("n1"));
        assert_eq!(node_of(&User::new("system:node:n1", &[])), None);
        assert_eq!(node_of(&User::new("system:node:", &["system:nodes"])), None);
        assert_eq!(node_of(&User::new("ann", &["system:nodes"])), None);
    }

    #[test]
    fn pods_refer_through_account_environment_and_volumes() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {
        "serviceAccountName": "robot",
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}]}],
        "containers": [{"envFrom": [{"configMapRef": {"name": "c1"}}, {"secretRef": {"name": "s2"}}],
            "env": [{"name": "A", "value": "x"}, {"valueFrom": {"configMapKeyRef": {"name": "c2"}}}]}],
        "volumes": [
            {"name": "a", "secret": {"secretName": "s3"}},
            {"name": "b", "configMap": {"name": "c3"}},
            {"name": "c", "projected": {"sources": [{"configMap": {"name": "c4"}}, {"secret": {"name": "s4"}},
                {"serviceAccountToken": {"path": "token"}}]}},
            {"name": "d", "persistentVolumeClaim": {"claimName": "v"}},
            {"name": "e", "ephemeral": {}},
            {"name": "f", "csi": {"nodePublishSecretRef": {"name": "s5"}}},
            {"name": "g", "iscsi": {"secretRef": {"name": "s6"}}}
        ]}});
        let found = references(&pod);
        let names =
            |what| found.iter().filter(|(kind, _)| *kind == what).map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Refers::Secret), ["pull", "s1", "s2", "s3", "s4", "s5", "s6"]);
        assert_eq!(names(Refers::ConfigMap), ["c1", "c2", "c3", "c4"]);
        assert_eq!(names(Refers::Claim), ["p-e", "v"]);
        assert_eq!(names(Refers::ServiceAccount), ["robot"]);
        let mut mirror = pod;
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert!(references(&mirror).is_empty());
    }

    #[test]
    fn kubelets_ask_for_single_objects_only() {
        let ask = |verb: &str, subresource: &str, namespace: &str, name: &str| Attributes {
            verb: verb.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            name: name.into(),
            ..Attributes::default()
        };
        let table = [
            (Refers::Secret, ask("get", "", "a", "s"), true),
            (Refers::Secret, ask("watch", "", "a", "s"), true),
            (Refers::Secret, ask("list", "", "a", ""), false),
            (Refers::Secret, ask("list", "", "", ""), false),
            (Refers::ConfigMap, ask("update", "", "a", "s"), false),
            (Refers::ServiceAccount, ask("create", "token", "a", "s"), true),
            (Refers::ServiceAccount, ask("get", "", "a", "s"), false),
            (Refers::Claim, ask("get", "", "a", "s"), true),
            (Refers::Claim, ask("list", "", "a", "s"), false),
            (Refers::Claim, ask("patch", "status", "a", "s"), true),
        ];
        for (what, asked, good) in table {
            assert_eq!(shape(what, &asked).is_ok(), good, "{what:?} {asked:?}");
        }
    }
}
