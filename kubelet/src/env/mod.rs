//! The environment, command and arguments of a container. Pure: what it refers to has been fetched before.
//!
//! | file | what it does |
//! |---|---|
//! | [`expansion`] | `$(NAME)` in values, commands and arguments |
//! | [`fields`] | fieldRef and resourceFieldRef, also for downwardAPI volumes |
//! | [`services`] | the variables that tell of Services |

pub mod expansion;
pub mod fields;
pub mod services;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvFromSource, EnvVarSource, Pod, Service};

use crate::objects::Fetched;
use crate::pod;

/// What the values may refer to.
pub struct Scope<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Config maps and secrets of its namespace.
    pub fetched: &'a Fetched,
    /// Services whose variables are set (see [`services::visible`]).
    pub services: &'a [std::sync::Arc<Service>],
    /// Addresses and resources of the node.
    pub facts: &'a fields::Facts,
}

/// The environment of `container`: `envFrom`, then `env`, then services, each name once.
///
/// # Errors
/// In upstream's words; becomes CreateContainerConfigError.
pub fn environment(scope: &Scope<'_>, container: &Container) -> Result<Vec<(String, String)>, String> {
    let service_env: BTreeMap<String, String> = services::variables(scope.services).into_iter().collect();
    let mut order: Vec<String> = Vec::new();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |values: &mut BTreeMap<String, String>, name: String, value: String| {
        if values.insert(name.clone(), value).is_none() {
            order.push(name);
        }
    };
    for source in container.env_from.iter().flatten() {
        for (name, value) in from_source(scope, source)? {
            set(&mut values, name, value);
        }
    }
    for variable in container.env.iter().flatten() {
        let literal = variable.value.as_deref().unwrap_or_default();
        let value = if !literal.is_empty() {
            Some(expansion::expand(literal, |name| values.get(name).or_else(|| service_env.get(name)).cloned()))
        } else if let Some(source) = &variable.value_from {
            value_from(scope, container, source)?
        } else {
            Some(String::new())
        };
        if let Some(value) = value {
            set(&mut values, variable.name.clone(), value);
        }
    }
    for (name, value) in service_env {
        if !values.contains_key(&name) {
            set(&mut values, name, value);
        }
    }
    Ok(order.into_iter().map(|name| (name.clone(), values.remove(&name).unwrap_or_default())).collect())
}

/// `command` and `args` with `$(NAME)` replaced.
pub fn command(container: &Container, env: &[(String, String)]) -> (Vec<String>, Vec<String>) {
    let lookup = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let all = |words: &Option<Vec<String>>| words.iter().flatten().map(|w| expansion::expand(w, lookup)).collect();
    (all(&container.command), all(&container.args))
}

fn from_source(scope: &Scope<'_>, source: &EnvFromSource) -> Result<Vec<(String, String)>, String> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    if let Some(reference) = &source.config_map_ref
        && let Some(map) = scope.fetched.config_map(&reference.name, reference.optional)?
    {
        found.extend(map.data.iter().flatten().map(|(k, v)| (format!("{prefix}{k}"), v.clone())));
    }
    if let Some(reference) = &source.secret_ref
        && let Some(secret) = scope.fetched.secret(&reference.name, reference.optional)?
    {
        let text = |v: &[u8]| String::from_utf8_lossy(v).into_owned();
        found.extend(secret.data.iter().flatten().map(|(k, v)| (format!("{prefix}{k}"), text(&v.0))));
    }
    Ok(found)
}

/// `None` = the variable is not set (optional reference to something absent).
fn value_from(scope: &Scope<'_>, container: &Container, source: &EnvVarSource) -> Result<Option<String>, String> {
    let namespace = pod::namespace(scope.pod);
    if let Some(field) = &source.field_ref {
        return fields::field(scope.pod, &field.field_path, scope.facts).map(Some);
    }
    if let Some(resource) = &source.resource_field_ref {
        return fields::resource(scope.pod, Some(container), resource, scope.facts).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let Some(map) = scope.fetched.config_map(&reference.name, reference.optional)? else { return Ok(None) };
        return match map.data.as_ref().and_then(|d| d.get(&reference.key)) {
            Some(value) => Ok(Some(value.clone())),
            None if reference.optional == Some(true) => Ok(None),
            None => Err(format!("couldn't find key {} in ConfigMap {namespace}/{}", reference.key, reference.name)),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let Some(secret) = scope.fetched.secret(&reference.name, reference.optional)? else { return Ok(None) };
        return match secret.data.as_ref().and_then(|d| d.get(&reference.key)) {
            Some(value) => Ok(Some(String::from_utf8_lossy(&value.0).into_owned())),
            None if reference.optional == Some(true) => Ok(None),
            None => Err(format!("couldn't find key {} in Secret {namespace}/{}", reference.key, reference.name)),
        };
    }
    if source.file_key_ref.is_some() {
        return Err("fileKeyRef is not supported by this kubelet".into());
    }
    Ok(Some(String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn fetched() -> Fetched {
        let map = serde_json::from_value(json!({"data": {"A": "1", "B": "2"}})).unwrap();
        let secret = serde_json::from_value(json!({"data": {"KEY": "c2VjcmV0"}})).unwrap();
        let mut fetched = Fetched::default();
        fetched.config_maps.insert("map".into(), Some(Arc::new(map)));
        fetched.config_maps.insert("gone".into(), None);
        fetched.secrets.insert("sec".into(), Some(Arc::new(secret)));
        fetched.secrets.insert("gone".into(), None);
        fetched
    }

    fn run(container: serde_json::Value) -> Result<Vec<(String, String)>, String> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [container]}}))
        .unwrap();
        let service = serde_json::from_value(json!({"metadata": {"name": "my-svc", "namespace": "ns"},
            "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]}}))
        .unwrap();
        let facts = fields::Facts { pod_ips: vec!["10.1.0.2".parse().unwrap()], ..fields::Facts::default() };
        let fetched = fetched();
        let scope = Scope { pod: &pod, fetched: &fetched, services: &[Arc::new(service)], facts: &facts };
        environment(&scope, &pod::containers(&pod)[0])
    }

    fn get(env: &[(String, String)], name: &str) -> Option<String> {
        env.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }

    #[test]
    fn env_overrides_env_from_and_sees_what_came_before() {
        let env = run(json!({"name": "c",
            "envFrom": [{"configMapRef": {"name": "map"}}, {"prefix": "S_", "secretRef": {"name": "sec"}},
                {"configMapRef": {"name": "gone", "optional": true}}],
            "env": [
                {"name": "A", "value": "own-$(A)-$(B)"},
                {"name": "C", "value": "$(A) $(LATER) $$(A) $(MY_SVC_SERVICE_HOST)"},
                {"name": "LATER", "value": "x"},
                {"name": "K", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "KEY"}}},
                {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "x", "optional": true}}},
                {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]}))
        .unwrap();
        let expected = [
            ("A", "own-1-2"),
            ("B", "2"),
            ("S_KEY", "secret"),
            ("C", "own-1-2 $(LATER) $(A) 10.96.0.7"),
            ("K", "secret"),
            ("IP", "10.1.0.2"),
            ("APP", "web"),
            ("MY_SVC_SERVICE_PORT", "80"),
        ];
        for (name, value) in expected {
            assert_eq!(get(&env, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(get(&env, "NONE"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let table = [
            (
                json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "k"}}}]),
                "configmap \"gone\" not found",
            ),
            (
                json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "gone", "key": "k"}}}]),
                "secret \"gone\" not found",
            ),
            (
                json!([{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "k"}}}]),
                "couldn't find key k in ConfigMap ns/map",
            ),
            (
                json!([{"name": "X", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "k"}}}]),
                "couldn't find key k in Secret ns/sec",
            ),
        ];
        for (env, message) in table {
            assert_eq!(run(json!({"name": "c", "env": env})), Err(message.to_string()));
        }
    }

    #[test]
    fn commands_are_expanded() {
        let c: Container = serde_json::from_value(json!({"name": "c", "command": ["sh", "-c"],
            "args": ["echo $(A) $$(A) $HOME"]}))
        .unwrap();
        let (command, args) = command(&c, &[("A".into(), "1".into())]);
        assert_eq!((command, args), (vec!["sh".into(), "-c".into()], vec!["echo 1 $(A) $HOME".to_string()]));
    }
}
