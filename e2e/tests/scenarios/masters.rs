//! Three masters, and the loss of one that leads, as a whole, in the middle of a rollout: first the one whose member leads the store,
//! then the one whose controllers lead. The machine runs on: what is lost is the processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use client::{Client, ListOptions};
use e2e::backing::Choice;
use e2e::{Cluster, Options, eventually, objects, program};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::faults::{all_there, rolled_out_to};
use crate::tour::EXAMPLE;
use crate::{PATIENCE, nodes, scenario};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leading_master_is_killed_in_the_middle_of_a_rollout() {
    lose_leaders("three masters", Choice::Environment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leading_master_is_killed_and_the_store_is_etcd() {
    if let Err(missing) = Choice::EtcdMembers.members() {
        program::say(&format!("SKIPPED: three masters on etcd: {missing:#}"));
        return;
    }
    lose_leaders("three masters on etcd", Choice::EtcdMembers).await;
}

async fn lose_leaders(name: &str, store: Choice) {
    let options = Options { servers: 3, store, ..nodes(2) };
    scenario(name, options, async |cluster| {
        let client = cluster.client()?;
        endpoints(&client, 3).await?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        for round in 0..2 {
            one_round(cluster, &client, round).await.with_context(|| format!("round {round}"))?;
        }
        Ok(())
    })
    .await;
}

async fn one_round(cluster: &Cluster, client: &Client, round: usize) -> anyhow::Result<()> {
    let controllers = leader(client).await?;
    let store = store_leader(cluster)?;
    let victim = if round == 0 { store.as_ref().unwrap_or(&controllers) } else { &controllers };
    let load = Load::start(cluster, round)?;
    eventually("the load has begun", PATIENCE, || async {
        ensure!(load.acknowledged().len() >= 20, "{} writes", load.acknowledged().len());
        Ok(())
    })
    .await?;
    let version = format!("masters-{round}");
    objects::set_env(client, "echo", "echo", "VERSION", &version).await?;

    let killed = cluster.kill_master(victim)?;
    let begun = Instant::now();
    eventually("the API answers again", PATIENCE, || async {
        let client = cluster.client()?;
        let name = format!("after-{round}");
        objects::apply(&client, &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")).await
    })
    .await?;
    let answered = begun.elapsed();

    rolled_out_to(cluster, &version).await.context("the rollout goes on without the killed master")?;
    let rolled_out = begun.elapsed();
    let (acknowledged, gap) = load.stop().await?;
    all_there(cluster, &acknowledged).await?;
    program::say(&format!(
        "kill -9 of {victim} ({} processes, leads {}): a new client's write acknowledged after {:.2} s, longest gap between \
         acknowledged writes of a running client {:.2} s, rolled out after {:.2} s; {} acknowledged writes, all there",
        killed.len(),
        match (store.as_ref() == Some(victim), controllers == *victim) {
            (true, true) => "the store and the controllers",
            (true, false) => "the store",
            _ => "the controllers",
        },
        answered.as_secs_f64(),
        gap.as_secs_f64(),
        rolled_out.as_secs_f64(),
        acknowledged.len()
    ));

    for (component, before) in &killed {
        eventually(&format!("{component} runs again"), PATIENCE, || async {
            ensure!(cluster.pid(component)? != *before, "still the killed one");
            Ok(())
        })
        .await?;
    }
    caught_up(cluster, victim, &acknowledged).await?;
    endpoints(client, 3).await
}

/// Who leads the controllers.
async fn leader(client: &Client) -> anyhow::Result<String> {
    eventually("a leader", PATIENCE, || async {
        let lease: Lease = client.get("kube-system", "kube-controller-manager").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        holder.context("nobody holds the lease")
    })
    .await
}

/// Whose member leads the store, by what their logs said last (those of mkube's own, or of etcd's); nobody's if the masters have none.
fn store_leader(cluster: &Cluster) -> anyhow::Result<Option<String>> {
    let members: Vec<_> = cluster.components()?.into_iter().filter(|name| name.starts_with("store-master-")).collect();
    for member in &members {
        let log = std::fs::read_to_string(cluster.layout().log(member)).with_context(|| format!("{member}'s log"))?;
        let told = log.lines().rfind(|line| line.contains("who leads role=") || line.contains(" became "));
        if told.is_some_and(|line| line.contains("role=Leader") || line.contains(" became leader")) {
            return Ok(member.strip_prefix("store-").map(str::to_owned));
        }
    }
    ensure!(members.is_empty(), "none of {members:?} says that it leads");
    Ok(None)
}

/// The endpoints of the Service `kubernetes` are so many.
async fn endpoints(client: &Client, wanted: usize) -> anyhow::Result<()> {
    eventually(&format!("{wanted} endpoints of the Service kubernetes"), PATIENCE, || async {
        let slice: EndpointSlice = client.get("default", "kubernetes").await?;
        let count = slice.endpoints.map_or(0, |endpoints| endpoints.len());
        ensure!(count == wanted, "{count} endpoints");
        Ok(())
    })
    .await
}

/// The API server that was killed shows, itself, everything that was acknowledged.
async fn caught_up(cluster: &Cluster, master: &str, names: &[String]) -> anyhow::Result<()> {
    let kubeconfig = cluster.layout().component_kubeconfig(&format!("scheduler-{master}"));
    let mut config = cluster.config()?;
    // The first server that its own components know; no other one.
    config.server = client::Config::from_kubeconfig(&kubeconfig)?.server;
    let client = Client::new(&config)?;
    eventually(&format!("{master} has caught up"), PATIENCE, || async {
        let all = client.list::<ConfigMap>("default", &ListOptions::default()).await?;
        let there = |name: &&String| all.items.iter().any(|map| map.metadata.name.as_ref() == Some(*name));
        let missing = names.iter().filter(|name| !there(name)).count();
        ensure!(missing == 0, "{missing} of {} are missing", names.len());
        Ok(())
    })
    .await
}

/// What the load has seen: names that were acknowledged, and the longest time between two of them.
#[derive(Default)]
struct Seen {
    names: Vec<String>,
    last: Option<Instant>,
    gap: Duration,
}

/// Writes objects one after the other, each under a new name, until it is stopped.
struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    fn start(cluster: &Cluster, round: usize) -> anyhow::Result<Self> {
        let (client, seen, stop) = (cluster.client()?, Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (noted, stopped) = (seen.clone(), stop.clone());
        let task = tokio::spawn(async move {
            for number in 0..1_000_000 {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let name = format!("load-{round}-{number}");
                let yaml = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
                // Not acknowledged: perhaps written, perhaps not; the next one has another name.
                if objects::apply(&client, &yaml).await.is_ok()
                    && let Ok(mut seen) = noted.lock()
                {
                    let now = Instant::now();
                    let gap = seen.last.replace(now).map_or(Duration::ZERO, |last| now - last);
                    seen.gap = seen.gap.max(gap);
                    seen.names.push(name);
                }
            }
        });
        Ok(Self { seen, stop, task })
    }

    fn acknowledged(&self) -> Vec<String> {
        self.seen.lock().map(|seen| seen.names.clone()).unwrap_or_default()
    }

    async fn stop(self) -> anyhow::Result<(Vec<String>, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the load ended badly")?;
        let seen = self.seen.lock().map_err(|_| anyhow::anyhow!("the load ended badly"))?;
        Ok((seen.names.clone(), seen.gap))
    }
}
