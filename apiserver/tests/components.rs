//! The components' own client against a whole server: HTTP/2, informer caches under the rights that their users have, and
//! a service account's token from inside a pod.
#![allow(clippy::unwrap_used)] // Only tests are here.

mod common;

use std::time::Duration;

use client::{Caches, Change, Client, Config, ListOptions, Patch};
use common::Server;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

/// A client with the certificate of `name`.
fn client(server: &Server, name: &str, group: Option<&str>) -> Client {
    let pair = server.certificate(name, group);
    let file = name.replace(':', "-");
    pair.write(&server.dir.path().join("pki"), &file).unwrap();
    let pki = server.dir.path().join("pki");
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "m",
        "clusters": [{"name": "m", "cluster": {"server": format!("https://{}", server.address()), "certificate-authority": pki.join("ca.crt")}}],
        "users": [{"name": "u", "user": {"client-certificate": pki.join(format!("{file}.crt")), "client-key": pki.join(format!("{file}.key"))}}],
        "contexts": [{"name": "m", "context": {"cluster": "m", "user": "u"}}]});
    let path = server.dir.path().join(format!("{file}.kubeconfig"));
    std::fs::write(&path, text.to_string()).unwrap();
    Client::new(&Config::from_kubeconfig(&path).unwrap()).unwrap()
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_follow_over_http2() {
    let server = Server::start().await;
    let admin = client(&server, "root", Some("system:masters"));
    let context = base::Context::new();
    let caches = Caches::new(admin.clone(), context.clone());
    let maps = caches.of::<ConfigMap>();
    maps.synced().await;
    let mut changes = maps.subscribe(16);
    let made = admin.create("default", &map("a")).await.unwrap();
    // A subscription begins with what there is.
    let seen = async {
        while let Some(change) = changes.recv().await {
            if matches!(&change, Change::Added(object) if object.metadata.uid == made.metadata.uid) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), seen).await.unwrap();
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    admin.patch::<ConfigMap>("default", "a", &patch).await.unwrap();
    common::eventually("the cache sees the patch", async || {
        maps.namespace("default").iter().any(|map| map.data.as_ref().is_some_and(|data| data["k"] == "v"))
    })
    .await;
    context.shutdown(Duration::from_secs(5)).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn components_may_do_their_work() {
    let server = Server::start().await;
    let root = client(&server, "root", Some("system:masters"));
    let account =
        serde_json::from_value::<k8s_openapi::api::core::v1::ServiceAccount>(json!({"metadata": {"name": "default"}}));
    root.create("default", &account.unwrap()).await.unwrap();
    let lease = |name: &str| {
        serde_json::from_value::<Lease>(json!({"metadata": {"name": name}, "spec": {"holderIdentity": "me"}})).unwrap()
    };
    let renew = Patch::Merge(json!({"spec": {"holderIdentity": "me2"}}));

    // The kubelet.
    let kubelet = client(&server, "system:node:n1", Some("system:nodes"));
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1"}})).unwrap();
    kubelet.create("", &node).await.unwrap();
    kubelet.patch_status::<Node>("", "n1", &Patch::Merge(json!({"status": {"capacity": {"cpu": "1"}}}))).await.unwrap();
    kubelet.create("kube-node-lease", &lease("n1")).await.unwrap();
    kubelet.patch::<Lease>("kube-node-lease", "n1", &renew).await.unwrap();
    kubelet.list::<Service>("", &ListOptions::default()).await.unwrap();
    kubelet.list::<Pod>("", &ListOptions::fields("spec.nodeName=n1")).await.unwrap();
    let mirror = json!({"metadata": {"name": "static-n1", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "h"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "a", "image": "i"}]}});
    kubelet.create("default", &serde_json::from_value::<Pod>(mirror).unwrap()).await.unwrap();

    // The scheduler.
    let pod = json!({"metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "a", "image": "i",
        "env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}]}});
    let pod = root.create("default", &serde_json::from_value::<Pod>(pod).unwrap()).await.unwrap();
    root.create("default", &serde_json::from_value::<Secret>(json!({"metadata": {"name": "s"}})).unwrap())
        .await
        .unwrap();
    let scheduler = client(&server, "system:kube-scheduler", None);
    scheduler.create("kube-system", &lease("kube-scheduler")).await.unwrap();
    scheduler.patch::<Lease>("kube-system", "kube-scheduler", &renew).await.unwrap();
    scheduler.patch_status::<Pod>("default", "p", &Patch::Merge(json!({"status": {"message": "x"}}))).await.unwrap();
    scheduler.bind("default", "p", pod.metadata.uid.as_deref().unwrap(), "n1").await.unwrap();
    assert!(scheduler.list::<Secret>("", &ListOptions::default()).await.is_err());

    // The kubelet again, now that a pod refers to the secret.
    kubelet.get::<Secret>("default", "s").await.unwrap();
    kubelet.list::<Secret>("default", &ListOptions::fields("metadata.name=s")).await.unwrap();
    kubelet
        .patch_status::<Pod>("default", "p", &Patch::Strategic(json!({"status": {"phase": "Running"}})))
        .await
        .unwrap();
    let event = json!({"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"},
        "reason": "Started", "type": "Normal", "message": "m"});
    kubelet.create("default", &serde_json::from_value::<Event>(event).unwrap()).await.unwrap();

    // The proxy and the controllers.
    let proxy = client(&server, "system:kube-proxy", None);
    proxy.list::<EndpointSlice>("", &ListOptions::default()).await.unwrap();
    proxy.list::<Node>("", &ListOptions::default()).await.unwrap();
    let manager = client(&server, "system:kube-controller-manager", None);
    manager.create("default", &map("kube-root-ca.crt")).await.unwrap();
    manager
        .patch::<Node>(
            "",
            "n1",
            &Patch::Merge(json!({"spec": {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}})),
        )
        .await
        .unwrap();
    manager.patch::<Pod>("default", "p", &Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}))).await.unwrap();
    manager.delete::<Pod>("default", "p", &client::DeleteOptions::default()).await.unwrap();
    server.stop().await;
}
