//! Namespaces: what each is given, and how it is emptied.

use client::{DeleteOptions, ListOptions, Object, Patch};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, NamespaceCondition, Pod, ServiceAccount};
use serde_json::json;

use crate::rig::{Rig, pod};

async fn make(rig: &Rig, name: &str) {
    rig.create::<Namespace>(json!({"metadata": {"name": name}})).await;
    let _ = rig.try_create::<ServiceAccount>(json!({"metadata": {"name": "default", "namespace": name}})).await;
}

async fn delete(rig: &Rig, name: &str) {
    rig.client.delete::<Namespace>("", name, &DeleteOptions::default()).await.unwrap();
}

async fn condition(rig: &Rig, name: &str, kind: &str) -> Option<NamespaceCondition> {
    let conditions = rig.get::<Namespace>(name).await?.status?.conditions?;
    conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

async fn is_gone(rig: &Rig, name: &str) {
    rig.eventually(&format!("{name} is gone"), async || rig.get::<Namespace>(name).await.is_none().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_namespace_goes_at_once_and_others_stay() {
    let rig = Rig::start("namespace-controller").await;
    make(&rig, "one").await;
    make(&rig, "two").await;
    rig.create::<ConfigMap>(json!({"metadata": {"name": "m", "namespace": "one"}})).await;
    rig.create::<ConfigMap>(json!({"metadata": {"name": "m", "namespace": "two"}})).await;
    delete(&rig, "one").await;
    is_gone(&rig, "one").await;
    assert!(rig.client.get::<ConfigMap>("two", "m").await.is_ok());
    assert!(rig.client.list::<ConfigMap>("one", &ListOptions::default()).await.unwrap().items.is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_go_before_everything_else() {
    let rig = Rig::start("namespace-controller").await;
    make(&rig, "ns").await;
    rig.create::<ConfigMap>(json!({"metadata": {"name": "m", "namespace": "ns"}})).await;
    let made = rig.create::<Pod>(pod("p", json!({"metadata": {"namespace": "ns"}}))).await;
    rig.bind(&made, "n1").await;
    delete(&rig, "ns").await;
    let condition =
        rig.eventually("what remains", async || condition(&rig, "ns", "NamespaceContentRemaining").await).await;
    assert_eq!(condition.message.as_deref(), Some("Some resources are remaining: pods. has 1 resource instances"));
    // The kubelet takes its time: until then what the pod may need is there.
    assert!(rig.client.get::<ConfigMap>("ns", "m").await.is_ok());
    rig.client.delete::<Pod>("ns", "p", &DeleteOptions::default().grace(0)).await.unwrap();
    is_gone(&rig, "ns").await;
}

#[tokio::test(start_paused = true)]
async fn a_finalizer_inside_holds_the_namespace_and_is_named() {
    let rig = Rig::start("namespace-controller").await;
    make(&rig, "ns").await;
    rig.create::<ConfigMap>(
        json!({"metadata": {"name": "held", "namespace": "ns", "finalizers": ["example.com/hold"]}}),
    )
    .await;
    delete(&rig, "ns").await;
    let found =
        rig.eventually("the finalizer", async || condition(&rig, "ns", "NamespaceFinalizersRemaining").await).await;
    let message = "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances";
    assert_eq!((found.reason.as_deref(), found.message.as_deref()), (Some("SomeFinalizersRemain"), Some(message)));
    assert_eq!(rig.get::<Namespace>("ns").await.unwrap().status.unwrap().phase.as_deref(), Some("Terminating"));
    rig.client
        .patch::<ConfigMap>("ns", "held", &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    // Nothing tells of it: it is looked for again after half of what finalizers are expected to take.
    rig.pass(10).await;
    is_gone(&rig, "ns").await;
}

#[tokio::test(start_paused = true)]
async fn finalizers_of_others_keep_an_empty_namespace() {
    let rig = Rig::start("namespace-controller").await;
    let spec = json!({"metadata": {"name": "ns", "finalizers": ["example.com/mine"]}});
    rig.create::<Namespace>(spec).await;
    delete(&rig, "ns").await;
    rig.eventually("our own finalizer goes", async || {
        let spec = rig.get::<Namespace>("ns").await?.spec?;
        spec.finalizers.unwrap_or_default().is_empty().then_some(())
    })
    .await;
    rig.settle().await;
    assert!(rig.get::<Namespace>("ns").await.is_some());
    rig.patch::<Namespace>("ns", json!({"metadata": {"finalizers": null}})).await;
    is_gone(&rig, "ns").await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_began_before_the_controller_is_finished() {
    let mut rig = Rig::start("-namespace-controller").await;
    make(&rig, "ns").await;
    rig.create::<ConfigMap>(json!({"metadata": {"name": "m", "namespace": "ns"}})).await;
    delete(&rig, "ns").await;
    rig.settle().await;
    assert!(rig.get::<Namespace>("ns").await.is_some());
    rig.restart(&["--controllers=namespace-controller"]).await;
    is_gone(&rig, "ns").await;
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_its_default_account_for_as_long_as_it_lives() {
    let rig = Rig::start("serviceaccount-controller").await;
    rig.create::<Namespace>(json!({"metadata": {"name": "ns"}})).await;
    let account = async |namespace: &str| rig.client.get::<ServiceAccount>(namespace, "default").await.ok();
    let first = rig.eventually("an account", async || account("ns").await).await;
    assert!(account("kube-system").await.is_some());
    rig.client.delete::<ServiceAccount>("ns", "default", &DeleteOptions::default()).await.unwrap();
    rig.eventually("another one", async || account("ns").await.filter(|second| second.uid() != first.uid())).await;
    delete(&rig, "ns").await;
    rig.client.delete::<ServiceAccount>("ns", "default", &DeleteOptions::default()).await.unwrap();
    rig.settle().await;
    assert!(account("ns").await.is_none(), "a namespace on its way out gets no account");
}

#[tokio::test(start_paused = true)]
async fn every_namespace_has_the_authoritys_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ca.crt");
    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let flag = format!("--root-ca-file={}", file.display());
    let rig = Rig::with(&["--controllers=root-ca-certificate-publisher-controller", &flag]).await;
    rig.create::<Namespace>(json!({"metadata": {"name": "ns"}})).await;
    let map = async || rig.client.get::<ConfigMap>("ns", "kube-root-ca.crt").await.ok();
    let is_right = |map: &ConfigMap| {
        map.data.as_ref().is_some_and(|data| data.len() == 1 && data["ca.crt"].starts_with("-----BEGIN"))
    };
    rig.eventually("the certificate", async || map().await.filter(|map| is_right(map))).await;
    // Neither changed nor additional entries stay, nor does its absence.
    for broken in [json!({"data": {"ca.crt": "x"}}), json!({"data": {"more": "y"}})] {
        rig.client.patch::<ConfigMap>("ns", "kube-root-ca.crt", &Patch::Merge(broken)).await.unwrap();
        rig.eventually("the certificate again", async || map().await.filter(|map| is_right(map))).await;
    }
    rig.client.delete::<ConfigMap>("ns", "kube-root-ca.crt", &DeleteOptions::default()).await.unwrap();
    rig.eventually("the map again", async || map().await.filter(|map| is_right(map))).await;
}
