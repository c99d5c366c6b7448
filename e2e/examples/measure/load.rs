//! Many clients at once, each with its own connection and one request at a time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use client::Client;
use futures::future::try_join_all;
use http::{Method, Request, header};
use k8s_openapi::api::core::v1::ServiceAccount;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::boot::until;
use crate::cluster::{Cluster, cpu};
use crate::{Table, median, ms, quantile};

/// Namespace of all load.
pub const NAMESPACE: &str = "default";

/// What a load achieved.
pub struct Outcome {
    /// Answers.
    pub count: usize,
    rate: f64,
    cpu_each: Duration,
    p50: Duration,
    p99: Duration,
}

/// The medians of several rounds, for the table.
pub fn shown(rounds: &[Outcome]) -> String {
    let median_of = |pick: fn(&Outcome) -> Duration| median(&mut rounds.iter().map(pick).collect::<Vec<_>>());
    let mut rates: Vec<f64> = rounds.iter().map(|outcome| outcome.rate).collect();
    rates.sort_unstable_by(f64::total_cmp);
    let rate = rates.get(rates.len() / 2).copied().unwrap_or_default();
    let each = median_of(|outcome| outcome.cpu_each).as_micros();
    let (p50, p99) = (ms(median_of(|outcome| outcome.p50)), ms(median_of(|outcome| outcome.p99)));
    format!("{rate:.0}/s, {each} µs server CPU each, p50 {p50}, p99 {p99}")
}

/// When a load ends: whichever comes first.
#[derive(Clone, Copy)]
pub struct Limit {
    /// Time.
    pub time: Duration,
    /// Requests.
    pub count: usize,
}

/// Sends what `request` makes (it is given the request's number) from `clients` connections.
pub async fn run(
    cluster: &Cluster,
    clients: usize,
    limit: Limit,
    request: impl Fn(usize) -> anyhow::Result<Request<Bytes>>,
) -> anyhow::Result<Outcome> {
    let config = cluster.config().await?;
    let clients: Vec<Client> = (0..clients).map(|_| Client::new(&config)).collect::<Result<_, _>>()?;
    // Connections are no part of the measurement.
    try_join_all(clients.iter().map(|client| client.json::<Value>(Method::GET, "/version", None))).await?;
    let send = async |client: &Client, number: usize| {
        let answer = client.raw(request(number)?).await.context("request under load")?;
        if !answer.status().is_success() {
            bail!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
        }
        Ok(())
    };
    drive(&clients, cluster.api_server()?, limit, send).await
}

/// Has every client do `one` after the other until the limit, and looks at the CPU time of the process `pid` meanwhile.
pub async fn drive<C>(
    clients: &[C],
    pid: u32,
    limit: Limit,
    one: impl AsyncFn(&C, usize) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let (next, before, begun) = (AtomicUsize::new(0), cpu(pid)?, Instant::now());
    let work = async |client: &C| {
        let mut took = Vec::new();
        while begun.elapsed() < limit.time {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= limit.count {
                break;
            }
            let asked = Instant::now();
            one(client, number).await?;
            took.push(asked.elapsed());
        }
        anyhow::Ok(took)
    };
    let mut took: Vec<Duration> = try_join_all(clients.iter().map(work)).await?.into_iter().flatten().collect();
    let (passed, used) = (begun.elapsed(), cpu(pid)?.saturating_sub(before));
    let count = took.len().max(1);
    Ok(Outcome {
        count,
        rate: count as f64 / passed.as_secs_f64(),
        cpu_each: used / u32::try_from(count).unwrap_or(u32::MAX),
        p50: quantile(&mut took, 0.5),
        p99: quantile(&mut took, 0.99),
    })
}

/// A request that creates something in a collection.
pub fn post(collection: &str, object: &Value) -> anyhow::Result<Request<Bytes>> {
    let request = Request::post(format!("/api/v1/namespaces/{NAMESPACE}/{collection}"));
    Ok(request.header(header::CONTENT_TYPE, "application/json").body(Bytes::from(serde_json::to_vec(object)?))?)
}

/// A ConfigMap with 256 bytes of data.
pub fn config_map(name: &str) -> Value {
    let data = "0123456789abcdef".repeat(16);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"key": data}})
}

/// A pod that no scheduler looks at.
pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "load", "part": name}},
        "spec": {
            "schedulerName": "nobody",
            "containers": [{
                "name": "main", "image": "mkube.local/echo", "ports": [{"containerPort": 8080}],
                "env": [{"name": "GREETING", "value": "hello"}, {"name": "NAME", "value": name}],
                "resources": {"requests": {"cpu": "50m", "memory": "16Mi"}},
            }],
        },
    })
}

/// Pods are refused until their service account exists.
pub async fn service_account(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client().await?;
    until("service account", async || Ok(client.get::<ServiceAccount>(NAMESPACE, "default").await.ok())).await?;
    Ok(())
}

/// What is created: its name in the table, its collection, and how one is made.
type Kind = (&'static str, &'static str, fn(&str) -> Value);
const KINDS: &[Kind] = &[("ConfigMaps", "configmaps", config_map), ("Pods", "pods", pod)];

/// Creates, durably: an answer means that the write is on the disk.
pub async fn writes(cluster: &Cluster, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    service_account(cluster).await?;
    let limit = Limit { time, count: 200_000 };
    for (what, collection, make) in KINDS {
        for clients in [1, 16, 64] {
            let mut outcomes = Vec::new();
            for round in 0..rounds.clamp(1, 20) {
                let create = |number| post(collection, &make(&format!("n{clients}-{round}-{number}")));
                outcomes.push(run(cluster, clients, limit, create).await?);
            }
            let beside = match (*collection, clients) {
                ("configmaps", 1) => "etcd put, 1 client: 2.0k/s, 272 µs",
                ("configmaps", 64) => "aim ≥ 5,000/s; etcd put, 64 clients: 13.3k/s, 64 µs",
                _ => "",
            };
            table.row(format!("create {what}, {clients} client(s)"), shown(&outcomes), beside);
        }
    }
    Ok(())
}
