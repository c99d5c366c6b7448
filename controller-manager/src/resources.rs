//! What the server serves, by its own word: discovery. Controllers that work on every kind (namespace deletion, garbage
//! collection) ask here instead of knowing kinds, so that custom resources are treated like built-in ones.

use std::collections::BTreeSet;

use bytes::Bytes;
use client::{Client, Error};
use http::{Method, Request, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// One resource in the version that its group prefers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) kind: String,
    pub(crate) namespaced: bool,
    pub(crate) verbs: BTreeSet<String>,
}

impl Resource {
    /// The path of its objects; an empty namespace means all of them.
    pub(crate) fn collection(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match (self.namespaced, namespace) {
            (true, namespace) if !namespace.is_empty() => format!("{root}/namespaces/{namespace}/{}", self.plural),
            _ => format!("{root}/{}", self.plural),
        }
    }

    /// The path of one object.
    pub(crate) fn object(&self, namespace: &str, name: &str) -> String {
        format!("{}/{name}", self.collection(namespace))
    }

    /// `<plural>.<group>`, as upstream's messages name it: the dot stays for the core group.
    pub(crate) fn dotted(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    pub(crate) fn can(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.contains(*verb))
    }

    /// Whether this is what an owner reference's `apiVersion` and `kind` mean, in whatever version.
    pub(crate) fn is(&self, api_version: &str, kind: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.group == group && self.kind == kind
    }
}

#[derive(Debug, Deserialize)]
struct Document {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    resource: String,
    response_kind: ResponseKind,
    scope: String,
    #[serde(default)]
    verbs: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct ResponseKind {
    kind: String,
}

/// All resources, each in its preferred version.
///
/// # Errors
/// When the server cannot say.
pub(crate) async fn discover(client: &Client) -> Result<Vec<Resource>, Error> {
    let mut all = Vec::new();
    for path in ["/api", "/apis"] {
        all.extend(preferred(read(client, path, ACCEPT).await?));
    }
    Ok(all)
}

/// Versions come in the order of preference: the first that has a resource is the one.
fn preferred(document: Document) -> Vec<Resource> {
    let mut found = Vec::new();
    for group in document.items {
        let mut seen = BTreeSet::new();
        for version in group.versions {
            for entry in version.resources {
                if seen.insert(entry.resource.clone()) {
                    found.push(Resource {
                        group: group.metadata.name.clone(),
                        version: version.version.clone(),
                        plural: entry.resource,
                        kind: entry.response_kind.kind,
                        namespaced: entry.scope == "Namespaced",
                        verbs: entry.verbs,
                    });
                }
            }
        }
    }
    found
}

/// GET in a form that is not the object itself (discovery, metadata only).
///
/// # Errors
/// As any request.
pub(crate) async fn read<T: DeserializeOwned>(client: &Client, path: &str, accept: &str) -> Result<T, Error> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::ACCEPT, accept)
        .body(Bytes::new())
        .map_err(|error| Error::Config(format!("invalid request {path}: {error}")))?;
    let response = client.raw(request).await?;
    client::rest::check(response.status(), response.body())?;
    serde_json::from_slice(response.body()).map_err(|source| Error::Decode { what: path.into(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn all() -> Vec<Resource> {
        let read = |core| preferred(serde_json::from_value(api::discovery::aggregated(core)).unwrap());
        let mut all: Vec<Resource> = read(true);
        all.extend(read(false));
        all
    }

    #[test]
    fn every_stored_kind_is_found_once_in_its_preferred_version() {
        let all = all();
        let find = |plural: &str, group: &str| {
            let mut found = all.iter().filter(|r| r.plural == plural && r.group == group);
            let first = found.next().unwrap_or_else(|| panic!("{plural}.{group}"));
            assert!(found.next().is_none(), "{plural}.{group} twice");
            first
        };
        assert_eq!(find("pods", "").collection("a"), "/api/v1/namespaces/a/pods");
        assert_eq!(find("pods", "").collection(""), "/api/v1/pods");
        assert_eq!(find("nodes", "").object("", "n"), "/api/v1/nodes/n");
        assert_eq!(find("deployments", "apps").object("a", "d"), "/apis/apps/v1/namespaces/a/deployments/d");
        assert_eq!(find("horizontalpodautoscalers", "autoscaling").version, "v2");
        assert!(find("configmaps", "").can(&["delete", "deletecollection", "list", "watch"]));
        assert!(!find("tokenreviews", "authentication.k8s.io").can(&["delete"]));
    }

    #[test]
    fn owners_are_recognized_in_any_version() {
        let all = all();
        let kind = |api_version: &str, kind: &str| {
            all.iter().find(|resource| resource.is(api_version, kind)).map(Resource::dotted)
        };
        assert_eq!(kind("apps/v1beta1", "ReplicaSet").as_deref(), Some("replicasets.apps"));
        assert_eq!(kind("v1", "Pod").as_deref(), Some("pods."));
        assert_eq!(kind("apps/v1", "Pod"), None);
    }

    #[test]
    fn a_resource_that_only_an_older_version_has_is_found_there() {
        let entry =
            |name: &str| json!({"resource": name, "responseKind": {"kind": "X"}, "scope": "Cluster", "verbs": ["get"]});
        let document = json!({"items": [{"metadata": {"name": "g"}, "versions": [
            {"version": "v1", "resources": [entry("a")]},
            {"version": "v1beta1", "resources": [entry("a"), entry("b")]},
        ]}]});
        let found: Vec<_> = preferred(serde_json::from_value(document).unwrap())
            .into_iter()
            .map(|resource| (resource.plural, resource.version))
            .collect();
        assert_eq!(found, [("a".into(), "v1".into()), ("b".into(), "v1beta1".to_string())]);
    }
}
