//! What the storage costs: `cargo run --release -p apiserver --example storage [pods] [watchers] [writes]`. Prints time per get, per
//! list entry, per watch event and watcher, and the memory of a cached pod, on the in-process store without a disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::selector::FieldSelector;
use apiserver::storage::{Freshness, ListQuery, Predicate, Storage, WatchFrom, WatchItem, WatchQuery};
use base::Context;
use futures::StreamExt;
use serde_json::{Value, json};
use store::Store;

fn pod(index: usize, round: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name(index), "namespace": "default", "uid": "5c2f6a3e-9d1a-4f0e-8a7e-0d1f5b8f1c11",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "web", "pod-template-hash": "7c5ddbdf54", "round": round.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7c5ddbdf54",
                "uid": "0b9f6a3e-9d1a-4f0e-8a7e-0d1f5b8f1c12", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "containers": [{"name": "web", "image": "mkube.local/echo", "imagePullPolicy": "IfNotPresent",
                "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}],
            "dnsPolicy": "ClusterFirst", "nodeName": format!("node-{}", index % 100), "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "serviceAccountName": "default", "terminationGracePeriodSeconds": 30,
        },
        "status": {
            "phase": "Running", "podIP": "10.244.1.17", "podIPs": [{"ip": "10.244.1.17"}], "qosClass": "Guaranteed",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    })
}

fn name(index: usize) -> String {
    format!("web-7c5ddbdf54-{index:06}")
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn argument(index: usize, default: usize) -> usize {
    std::env::args().nth(index).and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (pods, watchers, writes) = (argument(1, 10_000), argument(2, 1000), argument(3, 2000));
    let kv = Store::in_memory();
    let kind = api::kinds::find("", "v1", "pods").ok_or_else(|| anyhow::anyhow!("no pods"))?.0;
    let filler = Storage::new(kv.clone(), Context::new());
    let filler = &filler;
    let began = Instant::now();
    let fill = (0..pods)
        .map(|index| async move { filler.create(kind, "default", &name(index), &pod(index, 0)).await.map(|_| ()) });
    let done: Vec<_> = futures::stream::iter(fill).buffer_unordered(64).collect().await;
    done.into_iter().collect::<Result<Vec<()>, _>>()?;
    println!("create           {:>9.1} µs each, 64 at a time", began.elapsed().as_secs_f64() * 1e6 / pods as f64);

    // A second storage over the same store: what its cache alone costs.
    let before = resident();
    let storage = Storage::new(kv, Context::new());
    let began = Instant::now();
    let listing = storage.list(kind, ListQuery::default()).await?;
    println!(
        "first list       {:>9.1} µs per pod, with building the cache",
        began.elapsed().as_secs_f64() * 1e6 / pods as f64
    );
    let json: usize = listing.entries.iter().map(|entry| entry.raw().len()).sum();
    drop(listing);
    println!(
        "memory           {:>9} bytes per cached pod beside its {} bytes of JSON (resident)",
        resident().saturating_sub(before) / pods,
        json / pods
    );
    reads(&storage, kind, pods).await?;
    fan_out(&storage, kind, pods, watchers, writes, false).await?;
    fan_out(&storage, kind, pods, watchers, writes, true).await
}

async fn reads(storage: &Storage, kind: api::kinds::KindRef, pods: usize) -> anyhow::Result<()> {
    let rounds = 200_000;
    let names: Vec<String> = (0..pods).map(name).collect();
    let began = Instant::now();
    let mut bytes = 0;
    for round in 0..rounds {
        let entry = storage.get(kind, "default", &names[round * 7919 % pods], Freshness::Latest).await?;
        bytes += entry.map_or(0, |entry| entry.json().len());
    }
    println!(
        "get              {:>9.0} ns with JSON ({} bytes)",
        began.elapsed().as_nanos() as f64 / rounds as f64,
        bytes / rounds
    );
    let queries = [
        ("list             ", Predicate::default()),
        (
            "list, by field   ",
            Predicate { fields: FieldSelector::equals("spec.nodeName", "node-7"), ..Predicate::default() },
        ),
    ];
    for (what, predicate) in queries {
        let (began, rounds) = (Instant::now(), 50);
        let mut out = Vec::new();
        for _ in 0..rounds {
            let listing =
                storage.list(kind, ListQuery { predicate: predicate.clone(), ..ListQuery::default() }).await?;
            out.clear();
            listing.entries.iter().for_each(|entry| entry.write_json(&mut out));
        }
        println!("{what}{:>9.0} ns per pod looked at", began.elapsed().as_nanos() as f64 / (rounds * pods) as f64);
    }
    Ok(())
}

/// All watchers see every change, or each the changes of one node only.
async fn fan_out(
    storage: &Arc<Storage>,
    kind: api::kinds::KindRef,
    pods: usize,
    watchers: usize,
    writes: usize,
    by_node: bool,
) -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for watcher in 0..watchers {
        let node = format!("node-{}", watcher % 100);
        let fields = if by_node { FieldSelector::equals("spec.nodeName", &node) } else { FieldSelector::default() };
        let query = WatchQuery {
            namespace: None,
            name: None,
            from: WatchFrom::Now,
            initial_events: false,
            bookmarks: true,
            predicate: Predicate { fields, ..Predicate::default() },
        };
        let mut items = storage.watch(kind, query).await?;
        let expected = (0..writes).filter(|write| !by_node || write % pods % 100 == watcher % 100).count();
        tasks.push(tokio::spawn(async move {
            let mut bytes = 0;
            let mut seen = 0;
            while seen < expected {
                match tokio::time::timeout(Duration::from_secs(60), items.next()).await {
                    Ok(Some(Ok(item @ WatchItem::Modified(_)))) => {
                        bytes += item.json_frame(kind).len();
                        seen += 1;
                    }
                    Ok(Some(Ok(_))) => {}
                    other => anyhow::bail!("after {seen} of {expected} events: {other:?}"),
                }
            }
            Ok((seen, bytes))
        }));
    }
    let began = Instant::now();
    let round = if by_node { 2 } else { 1 };
    let write = |write: usize| async move {
        let index = write % pods;
        let now = storage.get(kind, "default", &name(index), Freshness::Latest).await?;
        let revision = now.map_or(0, |entry| entry.revision());
        storage.update(kind, "default", &name(index), revision, &pod(index, round + write / pods)).await.map(|_| ())
    };
    let done: Vec<_> = futures::stream::iter((0..writes).map(write)).buffer_unordered(16).collect().await;
    done.into_iter().collect::<Result<Vec<()>, _>>()?;
    let mut events = 0;
    for task in tasks {
        events += task.await??.0;
    }
    let elapsed = began.elapsed();
    println!(
        "{} {:>9.0} ns per event and watcher, framed ({watchers} watchers, {events} events, {:.0} events/s)",
        if by_node { "watch, by node  " } else { "watch, all      " },
        elapsed.as_nanos() as f64 / events as f64,
        events as f64 / elapsed.as_secs_f64()
    );
    Ok(())
}
