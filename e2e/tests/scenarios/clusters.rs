//! Clusters beside each other, and one that comes back after it was down.

use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::{Cluster, eventually, objects, web};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};

use crate::tour::EXAMPLE;
use crate::{PATIENCE, nodes, scenario};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clusters_live_beside_each_other_and_one_comes_back() {
    scenario("two clusters", nodes(1), async |one| {
        let (mut other, third) = two_at_once()?;
        ensure!(other.facts().ranges != third.facts().ranges, "both took {:?}", third.facts().ranges);
        drop(third);
        ensure!(one.facts().id != other.facts().id && one.facts().ranges.pods != other.facts().ranges.pods);
        for (cluster, greeting) in [(&*one, "from one"), (&other, "from the other")] {
            let client = cluster.client()?;
            objects::apply(&client, &EXAMPLE.replace("hello from mkube", greeting)).await?;
        }
        answers(one, "from one").await?;
        answers(&other, "from the other").await?;

        conflicts(one, &other)?;

        other.down()?;
        answers(one, "from one").await?;
        drop(other);
        comes_back(one).await
    })
    .await;
}

/// Two that choose their address ranges at the same moment.
fn two_at_once() -> anyhow::Result<(Cluster, Cluster)> {
    let start = || Cluster::start(nodes(1));
    std::thread::scope(|scope| {
        let both = [scope.spawn(start), scope.spawn(start)];
        let [one, other] =
            both.map(|thread| thread.join().map_err(|_| anyhow::anyhow!("the harness panicked")).flatten());
        Ok((one?, other?))
    })
}

async fn answers(cluster: &Cluster, greeting: &str) -> anyhow::Result<()> {
    let client = cluster.client()?;
    objects::rolled_out(&client, "echo", PATIENCE).await?;
    let service = objects::service(&client, "echo").await?;
    eventually(&format!("the Service answers {greeting}"), PATIENCE, || async {
        let env = web::get(service, "/env").await?;
        ensure!(env.contains(&format!("GREETING={greeting}")), "{env}");
        Ok(())
    })
    .await
}

/// What is in the way is named.
fn conflicts(one: &Cluster, other: &Cluster) -> anyhow::Result<()> {
    let up = |cluster: &Cluster, dir: &std::path::Path, port: u16| {
        let mut command = Command::new(cluster.program());
        command.args(["up", "--detach", "--nodes", "1", "--port", &port.to_string(), "--data-dir"]).arg(dir);
        command.output().map(|output| (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let empty = tempfile::tempdir()?;
    let port = other.facts().port;
    let (code, said) = up(one, empty.path(), port)?;
    ensure!(code == Some(1) && said.contains(&format!("port {port} on 127.0.0.1 is in use")), "{code:?} {said}");
    let (code, said) = up(one, one.layout().root(), 0)?;
    ensure!(code == Some(1) && said.contains("is already running (pid "), "{code:?} {said}");
    Ok(())
}

/// As if the machine had been rebooted: the same objects, the same address, and pods that run again.
async fn comes_back(cluster: &mut Cluster) -> anyhow::Result<()> {
    let before = objects_of(cluster).await?;
    let address = objects::service(&cluster.client()?, "echo").await?;
    cluster.down()?;
    ensure!(web::get(address, "/").await.is_err(), "answers though the cluster is down");
    cluster.up()?;
    let after = objects_of(cluster).await?;
    ensure!(before == after, "{before:?} became {after:?}");
    ensure!(objects::service(&cluster.client()?, "echo").await? == address, "another address");
    answers(cluster, "from one").await
}

/// UIDs: an object made anew would have another.
async fn objects_of(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let client = cluster.client()?;
    let metas = [
        client.get::<Deployment>("default", "echo").await?.metadata,
        client.get::<Service>("default", "echo").await?.metadata,
        client.get::<ConfigMap>("default", "echo").await?.metadata,
    ];
    metas.into_iter().map(|meta| meta.uid.context("no UID")).collect()
}
