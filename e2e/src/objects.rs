//! Manifests in, pods out: what scenarios ask of the API, with as little ceremony as possible.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::http::{Method, Request};
use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use client::{Client, ListOptions};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod, Service};
use serde_json::Value;

use crate::wait::eventually;

/// Creates every object of a manifest, or merges it into the one that exists.
///
/// # Errors
/// With the server's answer.
pub async fn apply(client: &Client, yaml: &str) -> anyhow::Result<()> {
    for object in api::yaml::read_documents(yaml).map_err(|error| anyhow::anyhow!("{error}"))? {
        apply_object(client, &object).await?;
    }
    Ok(())
}

async fn apply_object(client: &Client, object: &Value) -> anyhow::Result<()> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let (row, _) = api::kinds::by_api_version(&version, &kind).with_context(|| format!("no kind {version} {kind}"))?;
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let namespace = match text("/metadata/namespace") {
        namespace if namespace.is_empty() => "default".to_string(),
        namespace => namespace,
    };
    let collection = match row.namespaced {
        true => format!("{root}/namespaces/{namespace}/{}", row.plural),
        false => format!("{root}/{}", row.plural),
    };
    let body = || Bytes::from(object.to_string());
    let created: client::Result<Value> =
        client.json(Method::POST, &collection, Some(("application/json", body()))).await;
    match created {
        Err(error) if error.is_already_exists() => {
            let path = format!("{collection}/{name}");
            let merge = Some(("application/merge-patch+json", body()));
            client
                .json::<Value>(Method::PATCH, &path, merge)
                .await
                .with_context(|| format!("patching {kind} {name}"))?;
            Ok(())
        }
        created => created.map(drop).with_context(|| format!("creating {kind} {name}")),
    }
}

/// The body of a GET, as text.
///
/// # Errors
/// When the answer is not 2xx: with its body.
pub async fn text(client: &Client, path: &str) -> anyhow::Result<String> {
    let answer = client.raw(Request::get(path).body(Bytes::new())?).await?;
    let body = String::from_utf8_lossy(answer.body()).into_owned();
    ensure!(answer.status().is_success(), "{path}: {} {body}", answer.status());
    Ok(body)
}

/// What a container of a pod wrote.
///
/// # Errors
/// As any request.
pub async fn logs(client: &Client, pod: &str, more: &str) -> anyhow::Result<String> {
    text(client, &format!("/api/v1/namespaces/default/pods/{pod}/log{more}")).await
}

/// The pods with these labels, sorted by name, those that are being deleted left out.
///
/// # Errors
/// As any request.
pub async fn pods(client: &Client, labels: &str) -> anyhow::Result<Vec<Pod>> {
    let mut pods = client.list::<Pod>("default", &ListOptions::labels(labels)).await?.items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    Ok(pods)
}

/// A pod, once `test` holds for it.
///
/// # Errors
/// When it takes longer than `within`: with the pod's state.
pub async fn pod_when(
    client: &Client,
    name: &str,
    what: &str,
    within: Duration,
    test: impl Fn(&Pod) -> bool,
) -> anyhow::Result<Pod> {
    eventually(&format!("pod {name}: {what}"), within, || async {
        let pod: Pod = client.get("default", name).await?;
        ensure!(test(&pod), "{}", serde_json::to_string(&pod.status)?);
        Ok(pod)
    })
    .await
}

/// A pod's phase.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether a pod's Ready condition holds.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// The status of a pod's only, or first, container.
pub fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// The reason in a container's state: why it waits or how it ended.
pub fn reason(state: Option<&ContainerState>) -> &str {
    let Some(state) = state else { return "" };
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref());
    waiting.or_else(|| state.terminated.as_ref()?.reason.as_deref()).unwrap_or_default()
}

/// What must not change of pods that nobody wanted changed: name, container IDs, restart counts.
pub fn identities(pods: &[Pod]) -> Vec<(String, Vec<(String, i32)>)> {
    let of = |pod: &Pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let ids = statuses.map(|status| (status.container_id.clone().unwrap_or_default(), status.restart_count));
        (pod.metadata.name.clone().unwrap_or_default(), ids.collect())
    };
    pods.iter().map(of).collect()
}

/// Waits until a Deployment's rollout is complete, as `kubectl rollout status` sees it, and no other pods are left.
///
/// # Errors
/// When it takes longer than `within`.
pub async fn rolled_out(client: &Client, name: &str, within: Duration) -> anyhow::Result<()> {
    eventually(&format!("rollout of {name}"), within, || async {
        let deployment: Deployment = client.get("default", name).await?;
        let status = deployment.status.clone().unwrap_or_default();
        let wanted = deployment.spec.replicas.unwrap_or(1);
        ensure!(status.observed_generation >= deployment.metadata.generation, "not observed yet");
        let counts = (status.replicas, status.updated_replicas, status.available_replicas);
        let counts = (counts.0.unwrap_or(0), counts.1.unwrap_or(0), counts.2.unwrap_or(0));
        ensure!(counts == (wanted, wanted, wanted), "replicas, updated, available: {counts:?} of {wanted}");
        Ok(())
    })
    .await
}

/// The address and first port of a Service.
///
/// # Errors
/// When it has none.
pub async fn service(client: &Client, name: &str) -> anyhow::Result<SocketAddr> {
    let service: Service = client.get("default", name).await?;
    let spec = service.spec.context("no spec")?;
    let ip: IpAddr = spec.cluster_ip.context("no address")?.parse()?;
    let port = spec.ports.unwrap_or_default().first().map(|port| port.port).context("no port")?;
    Ok(SocketAddr::new(ip, u16::try_from(port)?))
}

/// Sets an environment variable in the first container of a Deployment's template: a new version of it.
///
/// # Errors
/// As any request.
pub async fn set_env(client: &Client, name: &str, container: &str, variable: &str, value: &str) -> anyhow::Result<()> {
    let env = serde_json::json!([{"name": variable, "value": value}]);
    let containers = serde_json::json!([{"name": container, "env": env}]);
    let patch = serde_json::json!({"spec": {"template": {"spec": {"containers": containers}}}});
    client.patch::<Deployment>("default", name, &client::Patch::Strategic(patch)).await?;
    Ok(())
}

/// Changes how many copies a Deployment has.
///
/// # Errors
/// As any request.
pub async fn scale(client: &Client, name: &str, replicas: i32) -> anyhow::Result<()> {
    let patch = client::Patch::Merge(serde_json::json!({"spec": {"replicas": replicas}}));
    let scaled: Deployment = client.patch("default", name, &patch).await?;
    if scaled.spec.replicas != Some(replicas) {
        bail!("{name} has {:?} replicas", scaled.spec.replicas);
    }
    Ok(())
}
