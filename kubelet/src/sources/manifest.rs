//! From the text of a manifest to a static pod (pkg/kubelet/config/common.go). Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Toleration};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::pod;

/// Reads a manifest. `path` and `node` make pods of equal manifests differ.
///
/// # Errors
/// Why the text is no pod that could run.
pub fn read(text: &str, path: &str, node: &str, now: Timestamp) -> Result<Pod, String> {
    let value: Value = api::yaml::read(text).map_err(|error| error.to_string())?;
    let what = (value["apiVersion"].as_str().unwrap_or_default(), value["kind"].as_str().unwrap_or_default());
    if what != ("v1", "Pod") {
        return Err(format!("invalid pod: apiVersion {:?} kind {:?}, expected v1 Pod", what.0, what.1));
    }
    let canonical = value.to_string();
    let mut pod: Pod = serde_json::from_value(value).map_err(|error| error.to_string())?;
    validate(&pod)?;
    let hash = hash(&[node, path, &canonical]);
    let name = format!("{}-{}", pod::name(&pod), node.to_lowercase());
    let namespace = pod::namespace(&pod).to_string();
    let meta = &mut pod.metadata;
    (meta.name, meta.namespace, meta.uid) = (Some(name), Some(namespace), Some(hash.clone()));
    (meta.resource_version, meta.deletion_timestamp) = (None, None);
    let annotations = meta.annotations.get_or_insert_default();
    annotations.remove(pod::MIRROR);
    annotations.insert(pod::HASH.into(), hash);
    annotations.insert(pod::SOURCE.into(), "file".into());
    annotations.insert(pod::SEEN.into(), now.to_string());
    let spec = pod.spec.get_or_insert_default();
    spec.node_name = Some(node.into());
    // Static pods are not evicted by taints: nobody would bring them back.
    spec.tolerations.get_or_insert_default().push(Toleration {
        effect: Some("NoExecute".into()),
        operator: Some("Exists".into()),
        ..Toleration::default()
    });
    pod.status = None;
    Ok(pod)
}

fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn validate(pod: &Pod) -> Result<(), String> {
    let name = pod::name(pod);
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(format!("invalid pod: metadata.name: Invalid value: {name:?}"));
    }
    if pod::containers(pod).is_empty() {
        return Err("invalid pod: spec.containers: Required value".into());
    }
    let mut seen = BTreeSet::new();
    for (_, container) in pod::all_containers(pod) {
        if !is_label(&container.name) {
            return Err(format!("invalid pod: container name: Invalid value: {:?}", container.name));
        }
        if !seen.insert(&container.name) {
            return Err(format!("invalid pod: container name: Duplicate value: {:?}", container.name));
        }
        if pod::image(container).is_empty() {
            return Err(format!("invalid pod: image of container {:?}: Required value", container.name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n  - name: c\n    image: i\n";

    fn run(text: &str) -> Result<Pod, String> {
        read(text, "/etc/m/web.yaml", "Node-1", Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_static_pod_has_its_nodes_name_and_its_hash_as_uid() {
        let pod = run(GOOD).unwrap();
        assert_eq!((pod::name(&pod), pod::namespace(&pod)), ("web-node-1", "default"));
        assert_eq!(pod::uid(&pod).len(), 32);
        assert_eq!(pod::annotation(&pod, pod::HASH), Some(pod::uid(&pod)));
        assert!(pod::is_static(&pod) && !pod::is_mirror(&pod));
        let commented = run(&format!("# a comment\n{GOOD}")).unwrap();
        assert_eq!(pod::uid(&commented), pod::uid(&pod), "a comment changes nothing");
        let other = run(&GOOD.replace("image: i", "image: j")).unwrap();
        assert_ne!(pod::uid(&other), pod::uid(&pod));
        let elsewhere = read(GOOD, "/etc/m/other.yaml", "Node-1", Timestamp::UNIX_EPOCH).unwrap();
        assert_ne!(pod::uid(&elsewhere), pod::uid(&pod));
    }

    #[test]
    fn what_is_no_pod_is_refused() {
        let table = [
            ("{", "yaml"),
            ("kind: Pod", "expected v1 Pod"),
            ("apiVersion: v1\nkind: ConfigMap", "expected v1 Pod"),
            (&GOOD.replace("name: web", "name: We_b"), "metadata.name: Invalid value: \"We_b\""),
            (&GOOD.replace("image: i", "image: ''"), "image of container \"c\": Required value"),
            (&GOOD.replace("\n  - name: c\n    image: i\n", " []\n"), "spec.containers: Required value"),
            (&format!("{GOOD}  - name: c\n    image: i\n"), "Duplicate value: \"c\""),
            (&GOOD.replace("containers:", "containers: 3\n  x:"), "invalid type"),
        ];
        for (text, expected) in table {
            let error = run(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
