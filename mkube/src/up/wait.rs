//! Waiting for a cluster to become ready: conditions and deadlines, with the last state in the message when one passes.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use client::{Client, ListOptions};
use http::Request;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Service};

use crate::layout::Layout;

/// Asks `probe` again and again until it says yes; its `Err` is what is still missing.
async fn until<F, Fut>(what: &str, patience: Duration, mut probe: F) -> anyhow::Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let Err(missing) = probe().await else { return Ok(()) };
        if tokio::time::Instant::now() >= deadline {
            bail!("{what} not ready after {} s: {missing}", patience.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for the API server.
///
/// # Errors
/// When it takes too long.
pub async fn api_server(client: &Client, patience: Duration) -> anyhow::Result<()> {
    until("API server", patience, || async {
        let request = Request::get("/readyz").body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = client.raw(request).await.map_err(|error| error.chain())?;
        match answer.status().is_success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(answer.body()).into_owned()),
        }
    })
    .await
}

/// Waits until all nodes named are Ready.
///
/// # Errors
/// When it takes too long.
pub async fn nodes(client: &Client, names: &[String], patience: Duration) -> anyhow::Result<()> {
    until("nodes", patience, || async {
        let nodes = client.list::<Node>("", &ListOptions::default()).await.map_err(|error| error.chain())?;
        let ready: Vec<&str> = nodes.items.iter().filter(|node| is_ready(node)).filter_map(name).collect();
        let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !ready.contains(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
    })
    .await
}

fn name(node: &Node) -> Option<&str> {
    node.metadata.name.as_deref()
}

/// Whether a node's Ready condition holds.
pub(crate) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Waits until every Deployment has all its replicas available.
///
/// # Errors
/// When it takes too long.
pub async fn deployments(client: &Client, patience: Duration) -> anyhow::Result<()> {
    until("deployments", patience, || async {
        let all = client.list::<Deployment>("", &ListOptions::default()).await.map_err(|error| error.chain())?;
        let waiting: Vec<String> = all.items.iter().filter_map(unavailable).collect();
        if waiting.is_empty() { Ok(()) } else { Err(waiting.join(", ")) }
    })
    .await
}

fn unavailable(deployment: &Deployment) -> Option<String> {
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let status = deployment.status.as_ref();
    let available = status.and_then(|status| status.available_replicas).unwrap_or(0);
    let name = deployment.metadata.name.as_deref().unwrap_or_default();
    (available < wanted).then(|| format!("{name} {available}/{wanted}"))
}

/// Applies a manifest with our own kubectl.
///
/// # Errors
/// With what it says.
pub async fn apply(layout: &Layout, manifest: &Path) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("/proc/self/exe")
        .arg("kubectl")
        .arg("--kubeconfig")
        .arg(layout.kubeconfig())
        .args(["apply", "-f"])
        .arg(manifest)
        .output()
        .await
        .context("running kubectl")?;
    if !output.status.success() {
        bail!("applying {}: {}", manifest.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Name and URL of every Service that people may want to look at.
///
/// # Errors
/// As any request.
pub async fn urls(client: &Client) -> anyhow::Result<Vec<(String, String)>> {
    let services = client.list::<Service>("", &ListOptions::default()).await?;
    let shown = services.items.iter().filter_map(|service| {
        let meta = &service.metadata;
        let (namespace, name) = (meta.namespace.as_deref()?, meta.name.as_deref()?);
        if (namespace, name) == ("default", "kubernetes") {
            return None;
        }
        let spec = service.spec.as_ref()?;
        let address = spec.cluster_ip.as_deref().filter(|ip| !ip.is_empty() && *ip != "None")?;
        let port = spec.ports.as_ref()?.first()?;
        let tcp = port.protocol.as_deref().unwrap_or("TCP") == "TCP";
        tcp.then(|| (name.to_string(), format!("http://{address}:{}/", port.port)))
    });
    Ok(shown.collect())
}
