//! The files of configMap, secret, downwardAPI and projected volumes. Pure: everything they hold was fetched before.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use crate::env::{Scope, fields};

/// The default of `defaultMode` (core/v1 defaults).
const DEFAULT_MODE: i32 = 0o644;

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
}

/// Files by path relative to the volume.
pub type Payload = BTreeMap<String, File>;

/// Tokens by volume and path.
pub type Tokens = BTreeMap<(String, String), String>;

/// The service account tokens that a volume wants.
pub fn tokens_wanted(volume: &Volume) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    let sources = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
    sources.filter_map(|s| s.service_account_token.as_ref())
}

/// The files of `volume`, or `None` if it is not made of files.
///
/// # Errors
/// In upstream's words, when something it refers to is missing.
pub fn payload(volume: &Volume, scope: &Scope<'_>, tokens: &Tokens) -> Result<Option<Payload>, String> {
    let mut files = Payload::new();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let map = scope.fetched.config_map(&source.name, source.optional)?;
        config_map(map, &source.items, source.optional, mode, &mut files)?;
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let secret_object = scope.fetched.secret(name, source.optional)?;
        secret(secret_object, &source.items, source.optional, mode, &mut files)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        downward(source.items.as_deref().unwrap_or_default(), mode, scope, &mut files)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        for part in source.sources.iter().flatten() {
            projection(&volume.name, part, mode, scope, tokens, &mut files)?;
        }
    } else {
        return Ok(None);
    }
    files.keys().try_for_each(|path| check_path(path))?;
    Ok(Some(files))
}

fn projection(
    volume: &str,
    part: &VolumeProjection,
    mode: i32,
    scope: &Scope<'_>,
    tokens: &Tokens,
    files: &mut Payload,
) -> Result<(), String> {
    if let Some(source) = &part.config_map {
        let map = scope.fetched.config_map(&source.name, source.optional)?;
        config_map(map, &source.items, source.optional, mode, files)?;
    }
    if let Some(source) = &part.secret {
        let object = scope.fetched.secret(&source.name, source.optional)?;
        secret(object, &source.items, source.optional, mode, files)?;
    }
    if let Some(source) = &part.downward_api {
        downward(source.items.as_deref().unwrap_or_default(), mode, scope, files)?;
    }
    if let Some(source) = &part.service_account_token {
        let token = tokens.get(&(volume.to_string(), source.path.clone()));
        let token = token.ok_or_else(|| "failed to fetch token".to_string())?;
        put(files, &source.path, token.clone().into_bytes(), None, mode);
    }
    let unsupported = [
        (part.cluster_trust_bundle.is_some(), "clusterTrustBundle"),
        (part.pod_certificate.is_some(), "podCertificate"),
    ];
    match unsupported.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(format!("projected source {what} is not supported by this kubelet")),
        None => Ok(()),
    }
}

fn put(files: &mut Payload, path: &str, data: Vec<u8>, mode: Option<i32>, default: i32) {
    let mode = u32::try_from(mode.unwrap_or(default)).unwrap_or(0o644) & 0o7777;
    files.insert(path.to_string(), File { data, mode });
}

fn config_map(
    map: Option<&ConfigMap>,
    items: &Option<Vec<KeyToPath>>,
    optional: Option<bool>,
    mode: i32,
    files: &mut Payload,
) -> Result<(), String> {
    let Some(map) = map else { return Ok(()) };
    let text = map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    let missing = |key: &str| format!("configmap references non-existent config key: {key}");
    select(text.chain(binary).collect(), items, optional, mode, files, missing)
}

fn secret(
    secret: Option<&Secret>,
    items: &Option<Vec<KeyToPath>>,
    optional: Option<bool>,
    mode: i32,
    files: &mut Payload,
) -> Result<(), String> {
    let Some(secret) = secret else { return Ok(()) };
    let data = secret.data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice())).collect();
    let missing = |key: &str| format!("references non-existent secret key: {key}");
    select(data, items, optional, mode, files, missing)
}

/// All keys, or those that `items` name.
fn select(
    data: BTreeMap<&str, &[u8]>,
    items: &Option<Vec<KeyToPath>>,
    optional: Option<bool>,
    mode: i32,
    files: &mut Payload,
    missing: impl Fn(&str) -> String,
) -> Result<(), String> {
    let items = items.as_deref().unwrap_or_default();
    if items.is_empty() {
        data.iter().for_each(|(key, value)| put(files, key, value.to_vec(), None, mode));
        return Ok(());
    }
    for item in items {
        match data.get(item.key.as_str()) {
            Some(value) => put(files, &item.path, value.to_vec(), item.mode, mode),
            None if optional == Some(true) => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(())
}

fn downward(items: &[DownwardAPIVolumeFile], mode: i32, scope: &Scope<'_>, files: &mut Payload) -> Result<(), String> {
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => fields::field(scope.pod, &field.field_path, scope.facts)?,
            (None, Some(resource)) => fields::resource(scope.pod, None, resource, scope.facts)?,
            (None, None) => String::new(),
        };
        put(files, &item.path, value.into_bytes(), item.mode, mode);
    }
    Ok(())
}

/// A path must stay inside its volume and not look like the writer's own entries.
fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() || path.starts_with('/') {
        return Err(format!("invalid path: {path:?} must be relative"));
    }
    if path.starts_with("..") || path.split('/').any(|part| part == "..") {
        return Err(format!("invalid path: {path:?} must not start with or contain '..'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::Fetched;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn run(volume: Value) -> Result<Vec<(String, String, u32)>, String> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "ns",
            "labels": {"a": "1"}}, "spec": {"containers": [{"name": "c",
            "resources": {"limits": {"cpu": "2"}}}]}}))
        .unwrap();
        let map: ConfigMap = serde_json::from_value(json!({"data": {"k1": "v1", "k2": "v2"},
            "binaryData": {"b": "AAE="}}))
        .unwrap();
        let secret: Secret = serde_json::from_value(json!({"data": {"pw": "cHc="}})).unwrap();
        let mut fetched = Fetched::default();
        fetched.config_maps.insert("map".into(), Some(Arc::new(map)));
        fetched.secrets.insert("sec".into(), Some(Arc::new(secret)));
        let facts = fields::Facts::default();
        let scope = Scope { pod: &pod, fetched: &fetched, services: &[], facts: &facts };
        let tokens = [(("v".to_string(), "token".to_string()), "jwt".to_string())].into();
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let files = payload(&volume, &scope, &tokens)?.unwrap_or_default();
        let text = |data: Vec<u8>| String::from_utf8_lossy(&data).into_owned();
        Ok(files.into_iter().map(|(path, file)| (path, text(file.data), file.mode)).collect())
    }

    fn file(path: &str, data: &str, mode: u32) -> (String, String, u32) {
        (path.into(), data.into(), mode)
    }

    #[test]
    fn files_of_each_kind_of_volume() {
        let table = [
            (
                json!({"name": "v", "configMap": {"name": "map"}}),
                vec![file("b", "\0\u{1}", 0o644), file("k1", "v1", 0o644), file("k2", "v2", 0o644)],
            ),
            (
                json!({"name": "v", "configMap": {"name": "map", "defaultMode": 0o400,
                "items": [{"key": "k1", "path": "d/e", "mode": 0o600}, {"key": "k2", "path": "f"}]}}),
                vec![file("d/e", "v1", 0o600), file("f", "v2", 0o400)],
            ),
            (json!({"name": "v", "configMap": {"name": "none", "optional": true}}), vec![]),
            (
                json!({"name": "v", "secret": {"secretName": "sec", "defaultMode": 0o440}}),
                vec![file("pw", "pw", 0o440)],
            ),
            (
                json!({"name": "v", "downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu"}}]}}),
                vec![file("cpu", "2", 0o644), file("labels", "a=\"1\"", 0o644)],
            ),
            (
                json!({"name": "v", "projected": {"sources": [
                {"serviceAccountToken": {"path": "token"}},
                {"configMap": {"name": "map", "items": [{"key": "k1", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [{"path": "namespace",
                    "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}}),
                vec![file("ca.crt", "v1", 0o644), file("namespace", "ns", 0o644), file("token", "jwt", 0o644)],
            ),
        ];
        for (volume, expected) in table {
            assert_eq!(run(volume.clone()), Ok(expected), "{volume}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            (json!({"name": "v", "configMap": {"name": "none"}}), "configmap \"none\" not found"),
            (json!({"name": "v", "secret": {"secretName": "none"}}), "secret \"none\" not found"),
            (
                json!({"name": "v", "configMap": {"name": "map", "items": [{"key": "x", "path": "x"}]}}),
                "configmap references non-existent config key: x",
            ),
            (
                json!({"name": "v", "configMap": {"name": "map", "items": [{"key": "k1", "path": "../x"}]}}),
                "invalid path: \"../x\" must not start with or contain '..'",
            ),
            (
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "other"}}]}}),
                "failed to fetch token",
            ),
        ];
        for (volume, message) in table {
            assert_eq!(run(volume.clone()), Err(message.to_string()), "{volume}");
        }
    }
}
