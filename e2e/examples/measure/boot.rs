//! From `mkube up` to an API server that is ready, to nodes that are ready, to an application that answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use client::{Client, ListOptions};
use http::{Method, Request};
use k8s_openapi::api::core::v1::{Node, Service};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cluster::{Cluster, PATIENCE};
use crate::{Table, median, secs};

const NODES: u8 = 3;
const EXAMPLE: &str = include_str!("../../../manifests/examples/deploy.yaml");
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(4);

/// One boot, as durations since `mkube up` was typed.
struct Boot {
    ready: Duration,
    nodes: Duration,
    answers: Duration,
}

/// Boots `rounds` new clusters, one after the other.
pub async fn measure(program: &Path, dir: &Path, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let mut boots = Vec::new();
    for round in 0..rounds.clamp(1, 50) {
        let begun = Instant::now();
        let (cluster, mut up) = Cluster::start(program, &dir.join(format!("boot-{round}")), NODES)?;
        // Whichever fails first ends both.
        let (boot, ()) = tokio::try_join!(boot(&cluster, begun), cluster.started(&mut up))?;
        boots.push(boot);
        cluster.down().await?;
    }
    let of = |pick: fn(&Boot) -> Duration| secs(median(&mut boots.iter().map(pick).collect::<Vec<_>>()));
    table.row("mkube up → /readyz", of(|boot| boot.ready), "aim ≤ 0.3 s; etcd alone 0.9 s");
    table.row(format!("mkube up → {NODES} nodes Ready"), of(|boot| boot.nodes), "kind 12-17 s, k3d 33 s");
    table.row("mkube up → example answers at its Service", of(|boot| boot.answers), "aim ≤ 1.5 s");
    Ok(())
}

async fn boot(cluster: &Cluster, begun: Instant) -> anyhow::Result<Boot> {
    let client = cluster.client().await?;
    let ready = until("/readyz", async || {
        let answer = client.raw(Request::get("/readyz").body(Bytes::new())?).await?;
        Ok(answer.status().is_success().then_some(()))
    });
    ready.await?;
    let ready = begun.elapsed();
    let (nodes, answers) = tokio::join!(nodes_ready(&client, begun), example_answers(&client, begun));
    Ok(Boot { ready, nodes: nodes?, answers: answers? })
}

async fn nodes_ready(client: &Client, begun: Instant) -> anyhow::Result<Duration> {
    until("nodes", async || {
        let nodes = client.list::<Node>("", &ListOptions::default()).await?;
        let ready = nodes.items.iter().filter(|node| {
            let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
        Ok((ready.count() == usize::from(NODES)).then_some(()))
    })
    .await?;
    Ok(begun.elapsed())
}

/// What a script would do: apply as soon as the API server is ready, then ask the Service until it answers.
async fn example_answers(client: &Client, begun: Instant) -> anyhow::Result<Duration> {
    let documents = api::yaml::read_documents(EXAMPLE).map_err(|error| anyhow::anyhow!("example: {error}"))?;
    for document in documents {
        let path = match document["kind"].as_str() {
            Some("ConfigMap") => "/api/v1/namespaces/default/configmaps",
            Some("Service") => "/api/v1/namespaces/default/services",
            Some("Deployment") => "/apis/apps/v1/namespaces/default/deployments",
            other => bail!("unknown kind in the example: {other:?}"),
        };
        let body = Bytes::from(serde_json::to_vec(&document)?);
        client.json::<Value>(Method::POST, path, Some(("application/json", body))).await?;
    }
    let service = client.get::<Service>("default", "echo").await?;
    let address = service.spec.and_then(|spec| spec.cluster_ip).context("the Service has no address")?;
    until("the example", async || Ok(answers(&address).await.unwrap_or(false).then_some(()))).await?;
    Ok(begun.elapsed())
}

async fn answers(address: &str) -> anyhow::Result<bool> {
    // A lost SYN is sent again only after a second: rather try anew.
    let whole = async {
        let mut stream = TcpStream::connect((address, 80)).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(1 << 16).read_to_end(&mut answer).await?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    tokio::time::timeout(Duration::from_millis(100), whole).await?
}

/// Asks until there is an answer; errors on the way are what is still missing.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = probe().await;
        if let Ok(Some(value)) = outcome {
            return Ok(value);
        }
        if Instant::now() > deadline {
            outcome.with_context(|| format!("waiting for {what}"))?;
            bail!("{what}: not in {PATIENCE:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}
