//! Reading: single objects, long lists, and many watchers of the same objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use client::Client;
use futures::StreamExt;
use http::{Request, header};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::time::Instant;

use crate::boot::until;
use crate::cluster::{Cluster, cpu, pss};
use crate::load::{self, Limit, NAMESPACE};
use crate::{Table, median, ms};

const OBJECTS: usize = 1_000;
const PODS: usize = 10_000;
const PAGE: u32 = 500;
const WATCHERS: usize = 1_000;
/// Watchers that share a connection: servers allow about a hundred streams on one.
const STREAMS: usize = 50;

/// GETs of single ConfigMaps.
pub async fn gets(cluster: &Cluster, time: Duration, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let every = Limit { time: Duration::from_secs(60), count: OBJECTS };
    let create = |number| load::post("configmaps", &load::config_map(&format!("get-{number}")));
    load::run(cluster, 16, every, create).await?;
    for clients in [1, 64] {
        let get = |number| {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/get-{}", number * 7919 % OBJECTS);
            Ok(Request::get(path).body(Bytes::new())?)
        };
        let mut outcomes = Vec::new();
        for _ in 0..rounds.clamp(1, 20) {
            outcomes.push(load::run(cluster, clients, Limit { time, count: 2_000_000 }, get).await?);
        }
        let beside = if clients == 64 { "etcd linearizable get, 64: 28k/s" } else { "" };
        table.row(format!("GET a ConfigMap, {clients} client(s)"), load::shown(&outcomes), beside);
    }
    Ok(())
}

/// Lists of 10,000 pods in every form.
pub async fn lists(cluster: &Cluster, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    load::service_account(cluster).await?;
    let client = cluster.client().await?;
    let present = client.list::<Pod>(NAMESPACE, &client::ListOptions::labels("app=load")).await?.items.len();
    let limit = Limit { time: Duration::from_secs(120), count: PODS.saturating_sub(present) };
    if limit.count > 0 {
        let made =
            load::run(cluster, 64, limit, |number| load::post("pods", &load::pod(&format!("list-{number}")))).await?;
        ensure!(made.count >= limit.count, "only {} pods made in time", made.count);
    }
    let count = present.max(PODS);
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Dload");
    let forms = [
        ("JSON", "application/json", 0),
        ("JSON in pages of 500", "application/json", PAGE),
        ("Table", "application/json;as=Table;v=v1;g=meta.k8s.io", 0),
        ("protobuf", "application/vnd.kubernetes.protobuf", 0),
    ];
    for (form, accept, limit) in forms {
        let pid = cluster.api_server()?;
        let (mut took, mut bytes) = (Vec::new(), 0);
        let before = cpu(pid)?;
        for _ in 0..rounds.clamp(1, 20) {
            let begun = Instant::now();
            bytes = list(&client, &path, accept, limit).await?;
            took.push(begun.elapsed());
        }
        let used = cpu(pid)?.saturating_sub(before) / u32::try_from(took.len())?;
        let size = bytes as f64 / 1e6;
        let shown = format!("{}, {size:.2} MB, {} server CPU", ms(median(&mut took)), ms(used));
        table.row(format!("LIST {count} pods, {form}"), shown, "");
    }
    Ok(())
}

/// What the API server's memory grows by with each pod, beside the pod's JSON.
pub async fn memory(cluster: &Cluster, table: &mut Table) -> anyhow::Result<()> {
    load::service_account(cluster).await?;
    let (client, pid) = (cluster.client().await?, cluster.api_server()?);
    let resident = || anyhow::Ok(pss(pid)? as f64 * 1024.0);
    let (empty, mut present) = (resident()?, 0);
    for count in [PODS, 5 * PODS] {
        let limit = Limit { time: Duration::from_secs(300), count: count - present };
        let create = |number| load::post("pods", &load::pod(&format!("kept-{}", present + number)));
        let made = load::run(cluster, 64, limit, create).await?.count;
        ensure!(made >= limit.count, "only {made} pods made in time");
        present = count;
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
        let json = list(&client, &path, "application/json", PAGE).await? as f64 / count as f64;
        let now = resident()?;
        let each = (now - empty) / count as f64;
        let shown = format!("{:.1} MB PSS, {each:.0} bytes per pod whose JSON has {json:.0}", now / 1e6);
        table.row(format!("API server with {count} pods"), shown, "");
    }
    Ok(())
}

/// Reads a whole list, page by page if `limit` says so; how many bytes came.
async fn list(client: &Client, path: &str, accept: &str, limit: u32) -> anyhow::Result<usize> {
    let (mut bytes, mut after) = (0, String::new());
    // No more pages than a list of this size can have.
    for _ in 0..1_000 {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = if limit == 0 { String::new() } else { format!("{joint}limit={limit}&continue={after}") };
        let request = Request::get(format!("{path}{page}")).header(header::ACCEPT, accept).body(Bytes::new())?;
        let answer = client.raw(request).await?;
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
        bytes += answer.body().len();
        if limit == 0 {
            break;
        }
        #[derive(serde::Deserialize)]
        struct Page {
            metadata: Value,
        }
        let page: Page = serde_json::from_slice(answer.body()).context("page")?;
        after = page.metadata["continue"].as_str().unwrap_or_default().to_string();
        if after.is_empty() {
            break;
        }
    }
    Ok(bytes)
}

/// 1,000 watchers of all ConfigMaps while 4 clients create some as fast as they can.
pub async fn fan_out(cluster: &Cluster, time: Duration, table: &mut Table) -> anyhow::Result<()> {
    let config = cluster.config().await?;
    let first = Client::new(&config)?;
    let present = first.list::<ConfigMap>(NAMESPACE, &client::ListOptions { limit: 1, ..Default::default() }).await?;
    let version = present.metadata.resource_version.unwrap_or_default();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps?watch=true&resourceVersion={version}");
    let seen = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS / STREAMS {
        let client = Client::new(&config)?;
        for _ in 0..STREAMS {
            let stream = client.watch_path::<IgnoredAny>(&path, "application/json").await?;
            let seen = seen.clone();
            tasks.spawn(stream.for_each(move |event| {
                seen.fetch_add(usize::from(event.is_ok()), Ordering::Relaxed);
                std::future::ready(())
            }));
        }
    }
    let pid = cluster.api_server()?;
    let (before, begun) = (cpu(pid)?, Instant::now());
    let create = |number| load::post("configmaps", &load::config_map(&format!("watched-{number}")));
    let made = load::run(cluster, 4, Limit { time, count: 20_000 }, create).await?.count;
    until("all events", async || Ok((seen.load(Ordering::Relaxed) >= made * WATCHERS).then_some(()))).await?;
    let (passed, used) = (begun.elapsed(), cpu(pid)?.saturating_sub(before));
    let events = made * WATCHERS;
    let (rate, each) = (events as f64 / passed.as_secs_f64(), used.as_secs_f64() * 1e6 / events as f64);
    let writes = made as f64 / passed.as_secs_f64();
    let shown = format!("{rate:.0} events/s ({writes:.0} writes/s), {each:.2} µs server CPU each");
    table.row(format!("{WATCHERS} watchers"), shown, "etcd: 58k events/s, 14.5 µs each");
    tasks.shutdown().await;
    Ok(())
}
