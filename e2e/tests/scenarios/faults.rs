//! Faults in the middle of the work: components killed, a node cut off, everything killed at once. What was acknowledged
//! is there afterwards, what was desired becomes actual, and nobody's pods are restarted for it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use client::{Client, ListOptions};
use e2e::backing::Choice;
use e2e::cluster::node_condition;
use e2e::wait::consistently;
use e2e::{Cluster, Options, eventually, objects, program, web};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use store::testing::etcd;

use crate::tour::EXAMPLE;
use crate::{PATIENCE, nodes, scenario};

/// Every component but the supervisor; of those on each node, the first node's.
const COMPONENTS: &[&str] =
    &["apiserver", "scheduler", "controller-manager", "kubelet-node-1", "kube-proxy-node-1", "kube-proxy"];

fn rounds() -> usize {
    std::env::var("MKUBE_FAULT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_killed_in_the_middle_of_rollouts() {
    scenario("killed components", nodes(2), async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let mut acknowledged = Vec::new();
        for round in 0..rounds() {
            for component in COMPONENTS {
                let version = format!("{round}-{component}");
                objects::set_env(&client, "echo", "echo", "VERSION", &version).await?;
                acknowledged.push(write(&client, acknowledged.len()).await?);
                cluster.kill(component).await.with_context(|| version.clone())?;
                rolled_out_to(cluster, &version).await.with_context(|| format!("after kill -9 of {component}"))?;
            }
            kubelet_returns(cluster).await?;
        }
        all_there(cluster, &acknowledged).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_killed_in_the_middle_of_rollouts() {
    if !etcd::is_installed() {
        program::say("SKIPPED killed store: no etcd in the PATH (Debian: etcd-server)");
        return;
    }
    scenario("killed store", Options { store: Choice::Etcd, ..nodes(2) }, async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let mut acknowledged = Vec::new();
        for round in 0..rounds().max(3) {
            let version = format!("{round}-store");
            objects::set_env(&client, "echo", "echo", "VERSION", &version).await?;
            acknowledged.push(write(&client, acknowledged.len()).await?);
            for member in cluster.store() {
                member.run().context("starting the store again")?;
            }
            rolled_out_to(cluster, &version)
                .await
                .with_context(|| format!("round {round} after kill -9 of the store"))?;
        }
        all_there(cluster, &acknowledged).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_killed_at_once() {
    scenario("everything killed", nodes(2), async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let service = objects::service(&client, "echo").await?;
        let mut acknowledged = Vec::new();
        for _ in 0..rounds() {
            acknowledged.push(write(&client, acknowledged.len()).await?);
            settled(cluster).await?;
            let before = identities(cluster).await?;
            cluster.kill_all().await?;
            web::get(service, "/hostname").await.context("pods and Services live without their components")?;
            cluster.up()?;
            cluster.nodes_ready(PATIENCE).await?;
            unchanged(cluster, &before).await?;
            all_there(cluster, &acknowledged).await?;
            objects::set_env(&cluster.client()?, "echo", "echo", "VERSION", &acknowledged.len().to_string()).await?;
            rolled_out_to(cluster, &acknowledged.len().to_string()).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_cut_off_and_back() {
    let grace = "controller-manager=--node-monitor-grace-period=15s".to_string();
    let options = Options { component_arguments: vec![grace], ..nodes(2) };
    scenario("a node cut off", options, async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, &impatient()).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        for _ in 0..rounds() {
            cluster.cut("node-2")?;
            let moved = away(&client).await;
            cluster.heal("node-2")?;
            moved?;
            cluster.nodes_ready(PATIENCE).await?;
            settled(cluster).await?;
            objects::rolled_out(&client, "echo", PATIENCE).await?;
            // Spread over both nodes again for the next round.
            objects::set_env(&client, "echo", "echo", "ROUND", &rand::random::<u32>().to_string()).await?;
            objects::rolled_out(&client, "echo", PATIENCE).await?;
            settled(cluster).await?;
        }
        Ok(())
    })
    .await;
}

/// The example, with pods that leave a lost node at once.
fn impatient() -> String {
    let taint = |name: &str| {
        format!(
            "        - {{key: node.kubernetes.io/{name}, operator: Exists, effect: NoExecute, tolerationSeconds: 1}}\n"
        )
    };
    let tolerations = format!("      tolerations:\n{}{}", taint("unreachable"), taint("not-ready"));
    EXAMPLE.replace("      containers:\n", &format!("{tolerations}      containers:\n"))
}

/// Waits until the node counts as lost and its pods have been replaced elsewhere.
async fn away(client: &Client) -> anyhow::Result<()> {
    eventually("node-2 counts as lost", PATIENCE, || async {
        let node: Node = client.get("", "node-2").await?;
        let ready = node_condition(&node, "Ready");
        ensure!(ready == "Unknown", "Ready is {ready}");
        Ok(())
    })
    .await?;
    eventually("pods replaced elsewhere", PATIENCE, || async {
        let pods = objects::pods(client, "app=echo").await?;
        let elsewhere = |pod: &&Pod| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            objects::is_ready(pod) && node == Some("node-1")
        };
        let count = pods.iter().filter(elsewhere).count();
        ensure!(count == 3, "{count} of 3 ready pods on node-1");
        Ok(())
    })
    .await
}

/// Writes an object; returns its name once the server has acknowledged it.
pub async fn write(client: &Client, number: usize) -> anyhow::Result<String> {
    let name = format!("acknowledged-{number}");
    objects::apply(client, &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")).await?;
    Ok(name)
}

pub async fn all_there(cluster: &Cluster, names: &[String]) -> anyhow::Result<()> {
    let client = cluster.client()?;
    for name in names {
        client.get::<ConfigMap>("default", name).await.with_context(|| format!("acknowledged, and lost: {name}"))?;
    }
    Ok(())
}

pub async fn rolled_out_to(cluster: &Cluster, version: &str) -> anyhow::Result<()> {
    let client = cluster.client()?;
    objects::rolled_out(&client, "echo", PATIENCE).await?;
    settled(cluster).await?;
    let service = objects::service(&client, "echo").await?;
    eventually("the Service answers with the new version", PATIENCE, || async {
        let env = web::get(service, "/env").await?;
        ensure!(env.lines().any(|line| line == format!("VERSION={version}")), "{env}");
        Ok(())
    })
    .await
}

/// Waits until there are the desired pods, all ready, and no others.
async fn settled(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client()?;
    eventually("three ready pods and no other", PATIENCE, || async {
        let all = client.list::<Pod>("default", &ListOptions::labels("app=echo")).await?.items;
        let ready = all.iter().filter(|pod| objects::is_ready(pod)).count();
        ensure!((all.len(), ready) == (3, 3), "{} pods, {ready} ready", all.len());
        Ok(())
    })
    .await
}

async fn identities(cluster: &Cluster) -> anyhow::Result<Vec<(String, Vec<(String, i32)>)>> {
    Ok(objects::identities(&objects::pods(&cluster.client()?, "app=echo").await?))
}

/// A killed kubelet finds its pods again and leaves them alone.
async fn kubelet_returns(cluster: &Cluster) -> anyhow::Result<()> {
    let before = identities(cluster).await?;
    for kubelet in ["kubelet-node-1", "kubelet-node-2"] {
        cluster.kill(kubelet).await?;
    }
    cluster.nodes_ready(PATIENCE).await?;
    unchanged(cluster, &before).await
}

/// Nothing is restarted or replaced, neither now nor a little later.
async fn unchanged(cluster: &Cluster, before: &[(String, Vec<(String, i32)>)]) -> anyhow::Result<()> {
    settled(cluster).await?;
    consistently("pods keep their containers", Duration::from_secs(3), || async {
        let now = identities(cluster).await?;
        ensure!(now == before, "{before:?} became {now:?}");
        Ok(())
    })
    .await
}
