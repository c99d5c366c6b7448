//! ServiceCIDRs: protected while addresses of theirs are in use, and what they say of themselves.

use client::{DeleteOptions, Object};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use serde_json::json;

use crate::rig::Rig;

const ALONE: &str = "service-cidr-controller";
const PROTECTION: &str = "networking.k8s.io/service-cidr-finalizer";

async fn cidr(rig: &Rig, name: &str, range: &str) {
    let object = serde_json::from_value::<ServiceCIDR>(json!({"metadata": {"name": name}, "spec": {"cidrs": [range]}}));
    rig.client.create("", &object.unwrap()).await.unwrap_or_else(|error| panic!("{}", error.chain()));
}

async fn find(rig: &Rig, name: &str) -> Option<ServiceCIDR> {
    match rig.client.get::<ServiceCIDR>("", name).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => panic!("{}", error.chain()),
    }
}

/// An address that a Service holds, or that somebody made by hand.
async fn address(rig: &Rig, name: &str, of_service: bool) {
    let by = if of_service { "ipallocator.k8s.io" } else { "somebody" };
    let object = json!({
        "metadata": {"name": name, "labels": {"ipaddress.kubernetes.io/managed-by": by,
            "ipaddress.kubernetes.io/ip-family": "IPv4"}},
        "spec": {"parentRef": {"group": "", "resource": "services", "namespace": "default", "name": "web"}},
    });
    let object = serde_json::from_value::<IPAddress>(object).unwrap();
    rig.client.create("", &object).await.unwrap_or_else(|error| panic!("{}", error.chain()));
}

async fn delete<K: Object>(rig: &Rig, name: &str) {
    rig.client.delete::<K>("", name, &DeleteOptions::default()).await.unwrap();
}

/// Status and reason of the condition Ready.
async fn says(rig: &Rig, name: &str, status: &str, reason: &str) {
    rig.eventually(&format!("{name} says {status} {reason}"), async || {
        let conditions = find(rig, name).await?.status?.conditions?;
        let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready")?;
        (ready.status == status && ready.reason == reason).then_some(())
    })
    .await;
}

async fn is_protected(rig: &Rig, name: &str) {
    rig.eventually(&format!("{name} is protected"), async || {
        find(rig, name).await?.metadata.finalizers?.contains(&PROTECTION.to_string()).then_some(())
    })
    .await;
}

async fn is_gone(rig: &Rig, name: &str) {
    rig.eventually(&format!("{name} is gone"), async || find(rig, name).await.is_none().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_range_is_protected_and_ready_and_goes_after_a_moment() {
    let rig = Rig::start(ALONE).await;
    cidr(&rig, "extra", "10.97.0.0/24").await;
    is_protected(&rig, "extra").await;
    says(&rig, "extra", "True", "").await;
    delete::<ServiceCIDR>(&rig, "extra").await;
    // An API server may still give out an address of it.
    rig.pass(8).await;
    assert!(find(&rig, "extra").await.is_some());
    rig.pass(4).await;
    is_gone(&rig, "extra").await;
}

#[tokio::test(start_paused = true)]
async fn a_range_whose_addresses_are_in_use_stays_until_the_last_is_free() {
    let rig = Rig::start(ALONE).await;
    cidr(&rig, "extra", "10.97.0.0/24").await;
    is_protected(&rig, "extra").await;
    address(&rig, "10.97.0.7", true).await;
    // Neither an address elsewhere nor one that no Service holds keeps it.
    address(&rig, "10.98.0.7", true).await;
    address(&rig, "10.97.0.8", false).await;
    rig.settle().await;
    delete::<ServiceCIDR>(&rig, "extra").await;
    says(&rig, "extra", "False", "Terminating").await;
    rig.pass(60).await;
    assert!(find(&rig, "extra").await.is_some());
    delete::<IPAddress>(&rig, "10.97.0.7").await;
    is_gone(&rig, "extra").await;
}

#[tokio::test(start_paused = true)]
async fn another_range_that_holds_the_same_addresses_lets_it_go() {
    let rig = Rig::start(ALONE).await;
    cidr(&rig, "small", "10.97.0.0/24").await;
    is_protected(&rig, "small").await;
    address(&rig, "10.97.0.7", true).await;
    rig.settle().await;
    delete::<ServiceCIDR>(&rig, "small").await;
    says(&rig, "small", "False", "Terminating").await;
    rig.pass(20).await;
    cidr(&rig, "large", "10.97.0.0/16").await;
    is_gone(&rig, "small").await;
    is_protected(&rig, "large").await;
    assert!(rig.client.get::<IPAddress>("", "10.97.0.7").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_began_before_the_controller_is_finished_and_protection_is_put_back() {
    let mut rig = Rig::start(ALONE).await;
    cidr(&rig, "going", "10.97.0.0/24").await;
    cidr(&rig, "bare", "10.98.0.0/24").await;
    is_protected(&rig, "going").await;
    is_protected(&rig, "bare").await;
    rig.restart(&["--controllers=replicaset-controller"]).await;
    delete::<ServiceCIDR>(&rig, "going").await;
    let none = client::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    rig.client.patch::<ServiceCIDR>("", "bare", &none).await.unwrap();
    rig.pass(20).await;
    assert!(find(&rig, "going").await.is_some());
    rig.restart(&["--controllers=service-cidr-controller"]).await;
    is_gone(&rig, "going").await;
    is_protected(&rig, "bare").await;
}
