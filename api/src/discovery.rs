//! Discovery: what is served, as documents. Pure functions of the table of kinds, and of further kinds that the caller
//! knows (custom resources).
//!
//! Two forms of the same facts: the old one, a document per group and version, and the aggregated one
//! (apidiscovery.k8s.io/v2) that kubectl since 1.26 asks for, two documents in all (`/api`, `/apis`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kinds::{GROUPS, KINDS, Kind, KindRef, Subresource, Verbs, api_version};

/// The kinds to tell about.
#[derive(Debug, Clone)]
pub struct Discovery {
    kinds: Vec<KindRef>,
}

impl Default for Discovery {
    fn default() -> Self {
        Self::with(&[])
    }
}

impl Discovery {
    /// The built-in kinds and others.
    pub fn with(others: &[KindRef]) -> Self {
        let shown = |kind: &&'static Kind| kind.verbs != Verbs::BodyOnly;
        Self { kinds: KINDS.iter().chain(others.iter().copied()).filter(shown).collect() }
    }

    /// Groups in the order of preference, each with its versions in the order of preference.
    fn groups(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for served in self.kinds.iter().flat_map(|kind| kind.all_served()) {
            let known = versions.entry(served.group).or_default();
            if !known.contains(&served.version) {
                known.push(served.version);
            }
        }
        let mut groups: Vec<_> = versions.into_iter().collect();
        let place = |group: &str| GROUPS.iter().position(|known| *known == group).unwrap_or(GROUPS.len());
        groups.sort_by_key(|(group, _)| (place(group), *group));
        for (_, versions) in &mut groups {
            versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        }
        groups
    }

    /// What is served under a group and version, by name.
    fn resources(&self, group: &str, version: &str) -> Vec<KindRef> {
        let mut kinds: Vec<KindRef> =
            self.kinds.iter().copied().filter(|kind| kind.served_as(group, version).is_some()).collect();
        kinds.sort_by_key(|kind| kind.plural);
        kinds
    }

    /// `/apis`, without core.
    pub fn group_list(&self) -> Value {
        let groups = self.groups().into_iter().filter(|(group, _)| !group.is_empty());
        let groups: Vec<Value> = groups.map(|(group, versions)| group_document(group, &versions)).collect();
        json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
    }

    /// `/apis/<group>`.
    pub fn group(&self, group: &str) -> Option<Value> {
        let (name, versions) = self.groups().into_iter().find(|(name, _)| *name == group && !name.is_empty())?;
        let mut document = group_document(name, &versions);
        document["kind"] = "APIGroup".into();
        document["apiVersion"] = "v1".into();
        Some(document)
    }

    /// `/api/v1` and `/apis/<group>/<version>`.
    pub fn resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let kinds = self.resources(group, version);
        if kinds.is_empty() {
            return None;
        }
        let mut resources = vec![];
        for kind in kinds {
            resources.push(resource(kind));
            resources.extend(kind.subresources.iter().map(|subresource| subresource_entry(kind, *subresource)));
        }
        let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version(group, version)});
        if !group.is_empty() {
            list["apiVersion"] = "v1".into();
        }
        list["resources"] = resources.into();
        Some(list)
    }

    /// Both aggregated documents: of `/api` with `core`, of `/apis` without.
    pub fn aggregated(&self, core: bool) -> Value {
        let groups = self.groups().into_iter().filter(|(group, _)| group.is_empty() == core);
        let items: Vec<Value> = groups.map(|(group, versions)| self.aggregated_group(group, &versions)).collect();
        json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
    }

    fn aggregated_group(&self, group: &str, versions: &[&str]) -> Value {
        let mut metadata = json!({"creationTimestamp": null});
        if !group.is_empty() {
            metadata["name"] = group.into();
        }
        let version = |version: &&str| {
            let resources: Vec<Value> = self
                .resources(group, version)
                .into_iter()
                .map(|kind| aggregated_resource(kind, group, version))
                .collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        };
        json!({"metadata": metadata, "versions": versions.iter().map(version).collect::<Vec<_>>()})
    }
}

/// `/api`; `address` is where clients reach the server.
pub fn api_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// `/apis` for the built-in kinds.
pub fn group_list() -> Value {
    Discovery::default().group_list()
}

/// `/api/v1` and `/apis/<group>/<version>` for the built-in kinds.
pub fn resource_list(group: &str, version: &str) -> Option<Value> {
    Discovery::default().resource_list(group, version)
}

/// The aggregated documents for the built-in kinds: of `/api` with `core`, of `/apis` without.
pub fn aggregated(core: bool) -> Value {
    Discovery::default().aggregated(core)
}

/// `v2` before `v1` before `v1beta2` before `v1alpha1` (apimachinery, pkg/version CompareKubeAwareVersionStrings).
fn version_rank(version: &str) -> (u8, u32, u32) {
    let Some(rest) = version.strip_prefix('v') else { return (0, 0, 0) };
    let number = |text: &str| text.parse().unwrap_or(0);
    if let Some((major, minor)) = rest.split_once("beta") {
        (2, number(major), number(minor))
    } else if let Some((major, minor)) = rest.split_once("alpha") {
        (1, number(major), number(minor))
    } else {
        (3, number(rest), 0)
    }
}

fn group_document(group: &str, versions: &[&str]) -> Value {
    let entry = |version: &&str| json!({"groupVersion": api_version(group, version), "version": version});
    let entries: Vec<Value> = versions.iter().map(entry).collect();
    json!({"name": group, "preferredVersion": entries.first(), "versions": entries})
}

fn resource(kind: &Kind) -> Value {
    let mut entry = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced,
        "kind": kind.kind, "verbs": kind.verbs.names()});
    if !kind.short.is_empty() {
        entry["shortNames"] = json!(kind.short);
    }
    if !kind.categories.is_empty() {
        entry["categories"] = json!(kind.categories);
    }
    entry
}

fn subresource_entry(kind: &Kind, subresource: Subresource) -> Value {
    let mut entry = json!({"name": format!("{}/{}", kind.plural, subresource.name()), "singularName": "",
        "namespaced": kind.namespaced, "kind": kind.kind, "verbs": subresource.verbs()});
    if let Some((group, version, body)) = subresource.body(kind) {
        entry["kind"] = body.into();
        if group != kind.group {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
    }
    entry
}

fn aggregated_resource(kind: &Kind, group: &str, version: &str) -> Value {
    let response = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = Map::new();
    entry.insert("resource".into(), kind.plural.into());
    entry.insert("responseKind".into(), response(group, version, kind.kind));
    entry.insert("scope".into(), if kind.namespaced { "Namespaced" } else { "Cluster" }.into());
    entry.insert("singularResource".into(), kind.singular.into());
    entry.insert("verbs".into(), json!(kind.verbs.names()));
    for (key, names) in [("shortNames", kind.short), ("categories", kind.categories)] {
        if !names.is_empty() {
            entry.insert(key.into(), json!(names));
        }
    }
    if !kind.subresources.is_empty() {
        let subresource = |subresource: &Subresource| {
            let (group, version, kind) = subresource.body(kind).unwrap_or((group, version, kind.kind));
            json!({"subresource": subresource.name(), "responseKind": response(group, version, kind),
                "verbs": subresource.verbs()})
        };
        entry.insert("subresources".into(), kind.subresources.iter().map(subresource).collect());
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests;
