//! From the creation of a pod to the moment the API says that it runs.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use client::{Client, DeleteOptions, ListOptions, WatchEvent};
use futures::{StreamExt, TryStreamExt};
use http::Method;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::boot::until;
use crate::cluster::{Cluster, PATIENCE};
use crate::{Table, ms, quantile, secs};

const NAMESPACE: &str = "default";
const SINGLE: usize = 30;
const MANY: usize = 100;

/// Measures single pods, one after the other, then many at once.
pub async fn measure(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    let client = cluster.client().await?;
    // Pods are refused until their service account exists.
    until("service account", async || Ok(client.get::<ServiceAccount>(NAMESPACE, "default").await.ok())).await?;
    let mut single = Vec::new();
    for number in 0..SINGLE {
        let (took, _) = run(&client, &[format!("one-{number}")]).await?;
        single.extend(took);
        remove(&client).await?;
    }
    let shown = format!("p50 {}, p99 {}", ms(quantile(&mut single, 0.5)), ms(quantile(&mut single, 0.99)));
    table.row("1 pod, create → Running", shown, "aim p50 ≤ 50 ms; Kubernetes' objective p99 5 s");
    let names: Vec<String> = (0..MANY).map(|number| format!("many-{number}")).collect();
    let (mut many, whole) = run(&client, &names).await?;
    let (half, most) = (quantile(&mut many, 0.5), quantile(&mut many, 0.99));
    let shown = format!("p50 {}, p99 {}, all in {}", ms(half), ms(most), secs(whole));
    table.row(format!("{MANY} pods at once on 3 nodes, create → Running"), shown, "p99 5 s");
    remove(&client).await
}

/// Creates pods at once; how long each took until it ran, and all together.
async fn run(client: &Client, names: &[String]) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let pods = client.list::<Pod>(NAMESPACE, &ListOptions::default()).await?;
    let options =
        ListOptions { resource_version: pods.metadata.resource_version.unwrap_or_default(), ..Default::default() };
    let mut events = Box::pin(client.watch::<Pod>(NAMESPACE, &options).await?);
    let begun = Instant::now();
    let created = futures::stream::iter(names).map(|name| async move {
        let asked = Instant::now();
        let body = Bytes::from(serde_json::to_vec(&pod(name))?);
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        client.json::<Value>(Method::POST, &path, Some(("application/json", body))).await?;
        anyhow::Ok((name.clone(), asked))
    });
    let created = created.buffer_unordered(16).try_collect::<HashMap<String, Instant>>();
    let watched = async {
        let mut running = HashMap::new();
        while running.len() < names.len() {
            let event = events.next().await.context("the watch ended")??;
            let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
            if pod.status.and_then(|status| status.phase).as_deref() == Some("Running") {
                running.entry(pod.metadata.name.unwrap_or_default()).or_insert_with(Instant::now);
            }
        }
        anyhow::Ok(running)
    };
    let watched = tokio::time::timeout(PATIENCE * 2, watched);
    let (created, running) = tokio::join!(created, watched);
    let (created, running) = (created?, running.context("pods do not run")??);
    let took = created.iter().filter_map(|(name, asked)| Some(running.get(name)?.duration_since(*asked)));
    Ok((took.collect(), begun.elapsed()))
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "echo", "image": "mkube.local/echo"}], "terminationGracePeriodSeconds": 0},
    })
}

async fn remove(client: &Client) -> anyhow::Result<()> {
    let pods = client.list::<Pod>(NAMESPACE, &ListOptions::default()).await?;
    let options = DeleteOptions::default();
    for name in pods.items.iter().filter_map(|pod| pod.metadata.name.as_deref()) {
        match client.delete::<Pod>(NAMESPACE, name, &options).await {
            Err(error) if !error.is_not_found() => return Err(error).context("deleting a pod"),
            _ => {}
        }
    }
    until("the pods to go", async || {
        let left = client.list::<Pod>(NAMESPACE, &ListOptions::default()).await?;
        Ok(left.items.is_empty().then_some(()))
    })
    .await
}
