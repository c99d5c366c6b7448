//! Which config maps and secrets a pod refers to, and what they hold: fetched once before planning, so that environment and
//! volumes are pure functions of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

use crate::pod;

/// One config map or secret of the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A config map by name.
    ConfigMap(String),
    /// A secret by name.
    Secret(String),
}

/// Everything that a pod's environment and volumes refer to.
pub fn references(pod: &Pod) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for (_, container) in pod::all_containers(pod) {
        for source in container.env_from.iter().flatten() {
            found.extend(source.config_map_ref.iter().map(|r| Reference::ConfigMap(r.name.clone())));
            found.extend(source.secret_ref.iter().map(|r| Reference::Secret(r.name.clone())));
        }
        for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
            found.extend(source.config_map_key_ref.iter().map(|r| Reference::ConfigMap(r.name.clone())));
            found.extend(source.secret_key_ref.iter().map(|r| Reference::Secret(r.name.clone())));
        }
    }
    found.extend(in_volumes(pod));
    found
}

/// What its volumes refer to: these are updated live.
pub fn in_volumes(pod: &Pod) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        found.extend(volume.config_map.iter().map(|r| Reference::ConfigMap(r.name.clone())));
        found.extend(volume.secret.iter().filter_map(|r| r.secret_name.clone()).map(Reference::Secret));
        for source in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
            found.extend(source.config_map.iter().map(|r| Reference::ConfigMap(r.name.clone())));
            found.extend(source.secret.iter().map(|r| Reference::Secret(r.name.clone())));
        }
    }
    found
}

/// What was found; `None` = there is no such object.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    /// By name.
    pub config_maps: BTreeMap<String, Option<Arc<ConfigMap>>>,
    /// By name.
    pub secrets: BTreeMap<String, Option<Arc<Secret>>>,
}

impl Fetched {
    /// A config map; `None` if it is absent and `optional`.
    ///
    /// # Errors
    /// In the API's words when it is absent and needed.
    pub fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Option<&ConfigMap>, String> {
        match self.config_maps.get(name).and_then(Option::as_deref) {
            None if optional != Some(true) => Err(format!("configmap \"{name}\" not found")),
            found => Ok(found),
        }
    }

    /// A secret; `None` if it is absent and `optional`.
    ///
    /// # Errors
    /// In the API's words when it is absent and needed.
    pub fn secret(&self, name: &str, optional: Option<bool>) -> Result<Option<&Secret>, String> {
        match self.secrets.get(name).and_then(Option::as_deref) {
            None if optional != Some(true) => Err(format!("secret \"{name}\" not found")),
            found => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn finds_every_reference() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "s1"}}]}],
            "containers": [{"name": "c", "env": [
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m1", "key": "k"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}}]}],
            "volumes": [{"name": "v", "configMap": {"name": "m2"}}, {"name": "w", "secret": {"secretName": "s3"}},
                {"name": "x", "projected": {"sources": [{"configMap": {"name": "m3"}}, {"secret": {"name": "s4"}}]}}]}}))
        .unwrap();
        let maps = |names: &[&str]| names.iter().map(|n| Reference::ConfigMap(n.to_string())).collect::<Vec<_>>();
        let secrets = |names: &[&str]| names.iter().map(|n| Reference::Secret(n.to_string())).collect::<Vec<_>>();
        let all: Vec<_> = references(&pod).into_iter().collect();
        assert_eq!(all, [maps(&["m1", "m2", "m3"]), secrets(&["s1", "s2", "s3", "s4"])].concat());
        assert_eq!(in_volumes(&pod).len(), 4);
    }
}
