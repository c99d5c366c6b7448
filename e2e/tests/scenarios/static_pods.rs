//! Static pods: a file appears, changes, breaks, is mended, vanishes; the mirror pod follows; without the API server they run.

use std::path::Path;

use anyhow::ensure;
use e2e::objects::{self, phase, pod_when};
use e2e::{Cluster, eventually};
use k8s_openapi::api::core::v1::Pod;

use crate::{PATIENCE, nodes, scenario};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_pods_follow_their_files() {
    scenario("static pods", nodes(1), async |cluster| {
        let client = cluster.client()?;
        let manifests = cluster.layout().manifests("node-1");
        let said = cluster.layout().root().join("said");
        std::fs::create_dir(&said)?;
        let file = manifests.join("web.yaml");

        std::fs::write(&file, manifest("web", "one", &said))?;
        pod_when(&client, "web-node-1", "runs", PATIENCE, |pod| phase(pod) == "Running").await?;
        says(&said, "web", "one").await?;

        std::fs::write(&file, manifest("web", "two", &said))?;
        says(&said, "web", "two").await?;
        let log = || async {
            let log = objects::logs(&client, "web-node-1", "").await?;
            ensure!(log == "two\n", "{log:?}");
            Ok(())
        };
        eventually("the mirror pod's log is the new pod's", PATIENCE, log).await?;

        // A broken file harms no other, and mending it helps.
        std::fs::write(&file, "apiVersion: v1\nkind: Pod\nmetadata: {name: [}\n")?;
        std::fs::write(manifests.join("other.yaml"), manifest("other", "fine", &said))?;
        says(&said, "other", "fine").await?;
        std::fs::write(&file, manifest("web", "three", &said))?;
        says(&said, "web", "three").await?;

        without_api_server(cluster, &said).await?;

        std::fs::remove_file(&file)?;
        eventually("the mirror pod is gone", PATIENCE, || async {
            let pod = client.get::<Pod>("default", "web-node-1").await;
            ensure!(pod.is_err_and(|error| error.is_not_found()), "still there");
            Ok(())
        })
        .await
    })
    .await;
}

/// A pod whose file appears while nobody answers runs all the same; its mirror comes later.
async fn without_api_server(cluster: &Cluster, said: &Path) -> anyhow::Result<()> {
    cluster.stop("apiserver")?;
    let file = cluster.layout().manifests("node-1").join("alone.yaml");
    let alone = match std::fs::write(file, manifest("alone", "here", said)) {
        Ok(()) => says(said, "alone", "here").await,
        Err(error) => Err(error.into()),
    };
    cluster.cont("apiserver")?;
    alone?;
    let client = cluster.client()?;
    pod_when(&client, "alone-node-1", "mirrored", PATIENCE, |pod| phase(pod) == "Running").await?;
    pod_when(&client, "other-node-1", "still runs", PATIENCE, |pod| phase(pod) == "Running").await?;
    Ok(())
}

async fn says(said: &Path, name: &str, what: &str) -> anyhow::Result<()> {
    eventually(&format!("static pod {name} says {what}"), PATIENCE, || async {
        let text = std::fs::read_to_string(said.join(name)).unwrap_or_default();
        ensure!(text.trim() == what, "says {text:?}");
        Ok(())
    })
    .await
}

fn manifest(name: &str, says: &str, said: &Path) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  \
         volumes: [{{name: said, hostPath: {{path: {}}}}}]\n  containers:\n  - name: main\n    image: mkube.local/host\n    \
         command: [sh, -c, \"echo {says}; echo {says} > /said/{name}; exec sleep 100000\"]\n    \
         volumeMounts: [{{name: said, mountPath: /said}}]\n",
        said.display()
    )
}
