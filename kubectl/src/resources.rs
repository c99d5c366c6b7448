//! What the server serves, and which of it a word on the command line means (`po`, `deploy`, `pods.v1.`, `deployments.apps`,
//! `Service`). Pure: `session` asks for the documents.

use std::rc::Rc;

use serde_json::Value;

use crate::error::{Result, fail};

/// What to accept of a server that may aggregate its discovery.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// One served resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource {
    /// API group, empty for core.
    pub group: String,
    /// Its version.
    pub version: String,
    /// Name in paths.
    pub plural: String,
    /// Name for one.
    pub singular: String,
    /// Kind of its objects.
    pub kind: String,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// Abbreviations.
    pub short: Vec<String>,
    /// E.g. `all`.
    pub categories: Vec<String>,
    /// What can be done.
    pub verbs: Vec<String>,
    /// Names of the subresources.
    pub subresources: Vec<String>,
}

/// A shared resource.
pub type ResourceRef = Rc<Resource>;

impl Resource {
    /// `apps/v1`, `v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `deployments.apps`, `pods`.
    pub fn qualified(&self) -> String {
        dotted(&self.plural, &self.group)
    }

    /// `deployment.apps`, `pod`: what messages call one.
    pub fn one(&self) -> String {
        dotted(&self.kind.to_lowercase(), &self.group)
    }

    /// Path of the collection.
    pub fn collection(&self, namespace: &str) -> String {
        let root = if self.group.is_empty() { "/api".to_string() } else { format!("/apis/{}", self.group) };
        if self.namespaced && !namespace.is_empty() {
            format!("{root}/{}/namespaces/{namespace}/{}", self.version, self.plural)
        } else {
            format!("{root}/{}/{}", self.version, self.plural)
        }
    }

    /// Path of one object.
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let mut path = self.collection(namespace) + "/";
        client::rest::percent_encode(name, &mut path);
        path
    }

    /// The name of the schema of its objects, if it is a built-in one.
    pub fn definition(&self) -> Option<&'static str> {
        api::kinds::by_kind(&self.group, &self.version, &self.kind).map(|(_, served)| served.definition)
    }

    /// Whether it is this resource.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    fn named(&self, word: &str) -> bool {
        self.plural == word
            || self.singular == word
            || self.kind.to_lowercase() == word
            || self.short.iter().any(|short| short == word)
    }
}

fn dotted(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_string() } else { format!("{name}.{group}") }
}

/// All served resources; groups in the server's order, preferred versions first.
#[derive(Debug, Default)]
pub struct Resources {
    /// One each per group and version.
    pub all: Vec<ResourceRef>,
}

impl Resources {
    /// The resource that a word means.
    pub fn find(&self, word: &str) -> Result<ResourceRef> {
        let lower = word.to_lowercase();
        let mut parts = lower.splitn(2, '.');
        let (name, rest) = (parts.next().unwrap_or_default(), parts.next());
        let found = match rest {
            None => self.first(|resource| resource.named(name)),
            Some(rest) => {
                let (version, group) = rest.split_once('.').unwrap_or((rest, ""));
                let exact = self.first(|r| r.named(name) && r.version == version && r.group == group);
                let group = exact.or_else(|| self.first(|r| r.named(name) && r.group == rest));
                group.or_else(|| self.first(|r| r.named(name) && r.group.starts_with(&format!("{rest}."))))
            }
        };
        let typed = word.split('.').next().unwrap_or_default();
        found.ok_or_else(|| fail!("the server doesn't have a resource type {typed:?}"))
    }

    /// The resources in a category, if it is one.
    pub fn category(&self, word: &str) -> Vec<ResourceRef> {
        let mut found: Vec<ResourceRef> = Vec::new();
        for resource in &self.all {
            let known = found.iter().any(|known| known.is(&resource.group, &resource.plural));
            if !known && resource.categories.iter().any(|category| category == word) {
                found.push(resource.clone());
            }
        }
        found
    }

    /// The resource of a kind.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<ResourceRef> {
        self.first(|resource| resource.kind == kind && resource.api_version() == api_version)
    }

    fn first(&self, which: impl Fn(&Resource) -> bool) -> Option<ResourceRef> {
        self.all.iter().find(|resource| which(resource)).cloned()
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_string()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_string).collect()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Reads an APIGroupDiscoveryList.
pub fn aggregated(document: &Value, all: &mut Vec<ResourceRef>) {
    for group in items(document, "items") {
        let name = text(&group["metadata"], "name");
        for version in items(group, "versions") {
            for resource in items(version, "resources") {
                all.push(Rc::new(Resource {
                    group: name.clone(),
                    version: text(version, "version"),
                    plural: text(resource, "resource"),
                    singular: text(resource, "singularResource"),
                    kind: text(&resource["responseKind"], "kind"),
                    namespaced: resource["scope"] == "Namespaced",
                    short: texts(&resource["shortNames"]),
                    categories: texts(&resource["categories"]),
                    verbs: texts(&resource["verbs"]),
                    subresources: items(resource, "subresources").map(|sub| text(sub, "subresource")).collect(),
                }));
            }
        }
    }
}

/// The group versions that the older documents `/api` and `/apis` name, preferred ones first.
pub fn group_versions(document: &Value) -> Vec<(String, String)> {
    let core = texts(&document["versions"]).into_iter().map(|version| (String::new(), version));
    let groups = items(document, "groups");
    core.chain(
        groups
            .flat_map(|group| items(group, "versions").map(|version| (text(group, "name"), text(version, "version")))),
    )
    .collect()
}

/// Reads an APIResourceList.
pub fn resource_list(list: &Value, group: &str, version: &str) -> Vec<ResourceRef> {
    let names: Vec<String> = items(list, "resources").map(|resource| text(resource, "name")).collect();
    let whole = items(list, "resources").filter(|resource| !text(resource, "name").contains('/'));
    let read = whole.map(|resource| {
        let plural = text(resource, "name");
        let prefix = format!("{plural}/");
        Rc::new(Resource {
            group: group.to_string(),
            version: version.to_string(),
            singular: text(resource, "singularName"),
            kind: text(resource, "kind"),
            namespaced: resource["namespaced"] == true,
            short: texts(&resource["shortNames"]),
            categories: texts(&resource["categories"]),
            verbs: texts(&resource["verbs"]),
            subresources: names.iter().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_string).collect(),
            plural,
        })
    });
    read.collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What our own server serves.
    pub fn served() -> Resources {
        let mut all = Vec::new();
        aggregated(&api::discovery::aggregated(true), &mut all);
        aggregated(&api::discovery::aggregated(false), &mut all);
        Resources { all }
    }

    #[test]
    fn words_mean_resources() {
        let resources = served();
        for (word, expected) in [
            ("po", "pods"),
            ("Pod", "pods"),
            ("pods", "pods"),
            ("pods.v1.", "pods"),
            ("deploy", "deployments.apps"),
            ("deployments.apps", "deployments.apps"),
            ("deployments.v1.apps", "deployments.apps"),
            ("deploy.apps", "deployments.apps"),
            ("svc", "services"),
            ("ing", "ingresses.networking.k8s.io"),
            ("roles.rbac", "roles.rbac.authorization.k8s.io"),
            ("events", "events"),
            ("events.events.k8s.io", "events.events.k8s.io"),
        ] {
            assert_eq!(resources.find(word).unwrap().qualified(), expected, "{word}");
        }
        let error = resources.find("foo").unwrap_err();
        assert_eq!(error.to_string(), "the server doesn't have a resource type \"foo\"");
        let all: Vec<String> = resources.category("all").iter().map(|resource| resource.plural.clone()).collect();
        assert!(all.contains(&"pods".to_string()) && all.contains(&"deployments".to_string()), "{all:?}");
    }

    #[test]
    fn both_kinds_of_discovery_agree() {
        let resources = served();
        let list = api::discovery::resource_list("apps", "v1").unwrap();
        let older = resource_list(&list, "apps", "v1");
        let newer: Vec<_> = resources.all.iter().filter(|resource| resource.group == "apps").cloned().collect();
        let names = |list: &[ResourceRef]| {
            let mut names: Vec<_> = list.iter().map(|r| (r.plural.clone(), r.kind.clone(), r.namespaced)).collect();
            names.sort();
            names
        };
        assert_eq!(names(&older), names(&newer));
    }

    #[test]
    fn paths_have_group_version_and_namespace() {
        let resources = served();
        let deployments = resources.find("deploy").unwrap();
        assert_eq!(deployments.path("team", "x"), "/apis/apps/v1/namespaces/team/deployments/x");
        assert_eq!(deployments.collection(""), "/apis/apps/v1/deployments");
        assert_eq!(resources.find("nodes").unwrap().path("team", "n"), "/api/v1/nodes/n");
        assert_eq!(deployments.one(), "deployment.apps");
    }
}
