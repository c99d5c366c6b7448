//! The life of pods: ends and restarts, probes, configuration, volumes, init containers, graceful ends.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use client::DeleteOptions;
use e2e::objects::{self, container, phase, pod_when, reason};
use e2e::{Cluster, eventually, web};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::{PATIENCE, nodes, scenario};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_live_as_their_specs_say() {
    scenario("the life of pods", nodes(2), async |cluster| {
        let client = cluster.client()?;
        let host = cluster.layout().root().join("host");
        std::fs::create_dir(&host)?;
        let manifest = include_str!("pods.yaml").replace("HOST_DIRECTORY", &host.display().to_string());
        objects::apply(&client, &manifest).await?;
        ends(cluster).await?;
        waits(cluster).await?;
        configuration(cluster).await?;
        probes(cluster).await?;
        graceful(cluster, &host).await
    })
    .await;
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    container(pod)?.state.as_ref()?.terminated.as_ref()
}

/// Exit codes, phases, reasons, what init containers leave.
async fn ends(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client()?;
    for (name, wanted, code, why) in [("done", "Succeeded", 0, "Completed"), ("fails", "Failed", 3, "Error")] {
        let pod = pod_when(&client, name, wanted, PATIENCE, |pod| phase(pod) == wanted).await?;
        let ended = terminated(&pod).context("not terminated")?;
        ensure!(ended.exit_code == code && ended.reason.as_deref() == Some(why), "{name}: {ended:?}");
    }
    pod_when(&client, "init", "Succeeded", PATIENCE, |pod| phase(pod) == "Succeeded").await?;
    let log = objects::logs(&client, "init", "").await?;
    ensure!(log == "made by init\n", "{log:?}");
    Ok(())
}

/// Pods that cannot go on say why.
async fn waits(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let waiting = |pod: &Pod| container(pod).map(|one| reason(one.state.as_ref()).to_string()).unwrap_or_default();
    let crash = pod_when(&client, "crash", "CrashLoopBackOff", PATIENCE, |pod| waiting(pod) == "CrashLoopBackOff");
    let crash = crash.await?;
    let status = container(&crash).context("no status")?;
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()).context("no last state")?;
    ensure!(last.exit_code == 7 && phase(&crash) == "Running", "{status:?}");

    let refused = ["ErrImagePull", "ImagePullBackOff"];
    pod_when(&client, "image", "image refused", PATIENCE, |pod| refused.contains(&waiting(pod).as_str())).await?;

    let told = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let scheduled = conditions.filter(|condition| condition.type_ == "PodScheduled");
        let messages = scheduled.filter_map(|condition| condition.message.clone());
        messages.into_iter().any(|message| message.starts_with("0/2 nodes are available: 2 node(s) didn't match"))
    };
    pod_when(&client, "nowhere", "unschedulable", PATIENCE, told).await?;
    Ok(())
}

/// Environment out of fields and ConfigMaps; a volume that follows its ConfigMap.
async fn configuration(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let logged = |wanted: &'static str| {
        let client = client.clone();
        eventually("log of config", PATIENCE, move || {
            let client = client.clone();
            async move {
                let log = objects::logs(&client, "config", "").await?;
                ensure!(log.lines().any(|line| line == wanted), "no {wanted:?} in {log:?}");
                Ok(())
            }
        })
    };
    logged("env: config, from the map, config/from the map").await?;
    logged("file: first").await?;
    let change = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {file: second}\n";
    objects::apply(&client, change).await?;
    logged("file: second").await
}

/// Readiness takes a pod out and back in, liveness restarts it.
async fn probes(cluster: &Cluster) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let ready = pod_when(&client, "probed", "ready", PATIENCE, objects::is_ready).await?;
    web::post(address(&ready)?, "/fail?for=4s").await?;
    pod_when(&client, "probed", "not ready", PATIENCE, |pod| !objects::is_ready(pod)).await?;
    let again = pod_when(&client, "probed", "ready again", PATIENCE, objects::is_ready).await?;
    ensure!(container(&again).is_some_and(|status| status.restart_count == 0), "readiness must not restart");

    let alive = pod_when(&client, "alive", "ready", PATIENCE, objects::is_ready).await?;
    web::post(address(&alive)?, "/fail").await?;
    let restarted =
        |pod: &Pod| objects::is_ready(pod) && container(pod).is_some_and(|status| status.restart_count == 1);
    pod_when(&client, "alive", "restarted", PATIENCE, restarted).await?;
    Ok(())
}

fn address(pod: &Pod) -> anyhow::Result<SocketAddr> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no address")?;
    Ok(SocketAddr::new(ip.parse()?, 8080))
}

/// SIGTERM reaches the process, which ends in its own way; what it wrote on the host stays.
async fn graceful(cluster: &Cluster, host: &std::path::Path) -> anyhow::Result<()> {
    let client = cluster.client()?;
    let begun = || async {
        ensure!(std::fs::read_to_string(host.join("said")).unwrap_or_default() == "begun\n", "not begun");
        Ok(())
    };
    eventually("the graceful pod runs", PATIENCE, begun).await?;
    client.delete::<Pod>("default", "graceful", &DeleteOptions::default()).await?;
    eventually("the graceful pod is gone", PATIENCE, || async {
        let pod = client.get::<Pod>("default", "graceful").await;
        ensure!(pod.is_err_and(|error| error.is_not_found()), "still there");
        Ok(())
    })
    .await?;
    let said = std::fs::read_to_string(host.join("said"))?;
    ensure!(said == "begun\nbye\n", "{said:?}");
    Ok(())
}
