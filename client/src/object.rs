//! Typed objects, their keys and their paths.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ListMeta, ObjectMeta};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A Kubernetes type that components read and write.
pub trait Object:
    k8s_openapi::Resource
    + k8s_openapi::Metadata<Ty = ObjectMeta>
    + DeserializeOwned
    + Serialize
    + Clone
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// Namespace and name.
    fn key(&self) -> Key {
        let meta = self.metadata();
        Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
    }

    /// The UID; empty before the object is created.
    fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// The resource version as a number: the store's revision. 0 if there is none.
    fn revision(&self) -> u64 {
        self.metadata().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
    }
}

impl<K> Object for K where
    K: k8s_openapi::Resource
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + DeserializeOwned
        + Serialize
        + Clone
        + fmt::Debug
        + Send
        + Sync
        + 'static
{
}

/// Namespace and name of an object; the namespace is empty for cluster-scoped kinds. Sorts by namespace, then name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Key {
    /// Namespace, or empty.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

impl FromStr for Key {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new("", text),
        })
    }
}

/// A list as the server sends it.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound(deserialize = "K: DeserializeOwned"))]
pub struct ListOf<K> {
    /// Version of the list, continue token.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The objects.
    #[serde(default = "Vec::new", deserialize_with = "null_as_empty")]
    pub items: Vec<K>,
}

// Go servers write an empty list as null.
fn null_as_empty<'de, D, K>(deserializer: D) -> Result<Vec<K>, D::Error>
where
    D: serde::Deserializer<'de>,
    K: DeserializeOwned,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl<K> ListOf<K> {
    /// The resource version of the list as a number.
    pub fn revision(&self) -> u64 {
        self.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
    }
}

/// The path of a collection: `/apis/apps/v1/namespaces/default/deployments`; an empty namespace means all of them, or
/// a cluster-scoped kind.
pub fn collection_path<K: k8s_openapi::Resource>(namespace: &str) -> String {
    let prefix = if K::GROUP.is_empty() { "/api" } else { "/apis" };
    if namespace.is_empty() {
        format!("{prefix}/{}/{}", K::API_VERSION, K::URL_PATH_SEGMENT)
    } else {
        format!("{prefix}/{}/namespaces/{namespace}/{}", K::API_VERSION, K::URL_PATH_SEGMENT)
    }
}

/// The path of one object.
pub fn object_path<K: k8s_openapi::Resource>(namespace: &str, name: &str) -> String {
    format!("{}/{name}", collection_path::<K>(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Node, Pod};

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(collection_path::<Pod>(""), "/api/v1/pods");
        assert_eq!(collection_path::<Pod>("default"), "/api/v1/namespaces/default/pods");
        assert_eq!(object_path::<Node>("", "n1"), "/api/v1/nodes/n1");
        assert_eq!(object_path::<Deployment>("a", "d"), "/apis/apps/v1/namespaces/a/deployments/d");
    }

    #[test]
    fn keys_print_and_parse() {
        for text in ["default/web", "node-1"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn null_items_are_no_items() {
        let list: ListOf<Pod> = serde_json::from_str(r#"{"metadata":{"resourceVersion":"7"},"items":null}"#).unwrap();
        assert_eq!((list.items.len(), list.revision()), (0, 7));
    }
}
