//! What a visitor does: the example, its Service, scaling, a new version under load, and back.

use std::collections::BTreeSet;

use anyhow::ensure;
use client::Client;
use e2e::web::{self, Load, Seen};
use e2e::{eventually, objects, program};
use k8s_openapi::api::apps::v1::Deployment;

use crate::{PATIENCE, nodes, scenario};

/// The example that the README names, as it is.
pub const EXAMPLE: &str = include_str!("../../../manifests/examples/deploy.yaml");

const PER_SECOND: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_answers_and_rolls_without_a_failed_request() {
    scenario("the tour", nodes(3), async |cluster| {
        let client = cluster.client()?;
        objects::apply(&client, EXAMPLE).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;

        let pods = objects::pods(&client, "app=echo").await?;
        let on: BTreeSet<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
        ensure!(pods.len() == 3 && on.len() >= 2, "{} pods on {on:?}", pods.len());

        let service = objects::service(&client, "echo").await?;
        let answered = std::sync::Mutex::new(BTreeSet::new());
        eventually("answers of different pods through the Service", PATIENCE, || async {
            let pod = web::get(service, "/hostname").await?;
            let mut answered = answered.lock().unwrap();
            answered.insert(pod);
            ensure!(answered.len() >= 2, "only {answered:?}");
            Ok(())
        })
        .await?;
        let env = web::get(service, "/env").await?;
        ensure!(env.contains("GREETING=hello from mkube"), "{env}");

        let replicas = 10;
        objects::scale(&client, "echo", replicas).await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let (load, before) = (Load::start(service, PER_SECOND), std::time::Instant::now());
        objects::set_env(&client, "echo", "echo", "VERSION", "2").await?;
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        let took = before.elapsed();
        drained(&client, replicas).await?;
        let seen = load.end().await?;
        judge(&seen, replicas)?;
        program::say(&format!("rolled {replicas} pods in {took:.1?}: {} requests, none failed", seen.answered));
        ensure!(web::get(service, "/env").await?.contains("VERSION=2"), "not the new version");

        match program::kubectl("rollback") {
            Some(kubectl) => {
                cluster.kubectl(&kubectl, &["rollout", "undo", "deployment/echo"])?;
                cluster.kubectl(&kubectl, &["rollout", "status", "deployment/echo", "--timeout=90s"])?;
            }
            None => roll_back(&client).await?,
        }
        objects::rolled_out(&client, "echo", PATIENCE).await?;
        drained(&client, replicas).await?;
        let env = web::get(service, "/env").await?;
        ensure!(!env.contains("VERSION="), "still the second version: {env}");
        Ok(())
    })
    .await;
}

/// Waits until the pods of the old version are gone, too: until then the Service's endpoints change.
async fn drained(client: &Client, replicas: i32) -> anyhow::Result<()> {
    eventually("old pods gone", PATIENCE, || async {
        let options = client::ListOptions::labels("app=echo");
        let all = client.list::<k8s_openapi::api::core::v1::Pod>("default", &options).await?.items.len();
        ensure!(i32::try_from(all)? == replicas, "{all} pods");
        Ok(())
    })
    .await
}

fn judge(seen: &Seen, replicas: i32) -> anyhow::Result<()> {
    ensure!(seen.failures.is_empty(), "{} of {} failed: {:#?}", seen.failures.len(), seen.answered, seen.failures);
    ensure!(i32::try_from(seen.pods.len())? > replicas, "both versions should have answered: {:?}", seen.pods);
    Ok(())
}

async fn roll_back(client: &Client) -> anyhow::Result<()> {
    let env = serde_json::json!([{"name": "VERSION", "$patch": "delete"}]);
    let containers = serde_json::json!([{"name": "echo", "env": env}]);
    let patch = serde_json::json!({"spec": {"template": {"spec": {"containers": containers}}}});
    client.patch::<Deployment>("default", "echo", &client::Patch::Strategic(patch)).await?;
    Ok(())
}
