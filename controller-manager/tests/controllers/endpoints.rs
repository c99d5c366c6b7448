//! Endpoint slices and the older Endpoints: they follow the Services, their pods and what people do to them.

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use serde_json::{Value, json};

use crate::rig::{Rig, pod};
use client::Object;

const ALONE: &str = "endpointslice-controller";

fn service(spec: Value) -> Value {
    json!({"metadata": {"name": "web", "labels": {"team": "a"}}, "spec": spec})
}

fn web() -> Value {
    service(json!({"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}))
}

async fn slices(rig: &Rig) -> Vec<EndpointSlice> {
    let mut slices = rig.list::<EndpointSlice>().await;
    slices.retain(|slice| {
        slice.metadata.labels.as_ref().is_some_and(|l| l.get("kubernetes.io/service-name").is_some_and(|n| n == "web"))
    });
    slices
}

async fn endpoints(rig: &Rig) -> Vec<Endpoint> {
    slices(rig).await.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default()).collect()
}

/// (ready, serving, terminating) of each endpoint.
async fn conditions(rig: &Rig) -> Vec<(bool, bool, bool)> {
    let conditions = endpoints(rig).await.into_iter().filter_map(|endpoint| endpoint.conditions);
    conditions.map(|c| (c.ready.unwrap(), c.serving.unwrap(), c.terminating.unwrap())).collect()
}

async fn conditions_are(rig: &Rig, expected: &[(bool, bool, bool)]) {
    rig.eventually(&format!("conditions {expected:?}"), async || (conditions(rig).await == expected).then_some(()))
        .await;
}

/// Ready and waiting addresses of the older object.
async fn legacy(rig: &Rig) -> Option<(usize, usize)> {
    let subsets = rig.get::<Endpoints>("web").await?.subsets.unwrap_or_default();
    let count = |list: fn(&k8s_openapi::api::core::v1::EndpointSubset) -> usize| subsets.iter().map(list).sum();
    Some((
        count(|s| s.addresses.as_ref().map_or(0, Vec::len)),
        count(|s| s.not_ready_addresses.as_ref().map_or(0, Vec::len)),
    ))
}

async fn legacy_is(rig: &Rig, expected: (usize, usize)) {
    rig.eventually(&format!("addresses {expected:?}"), async || (legacy(rig).await? == expected).then_some(())).await;
}

/// A pod with an address on node n1.
async fn placed(rig: &Rig, name: &str, ready: bool) {
    let pod = rig.create::<Pod>(pod(name, json!({}))).await;
    rig.bind(&pod, "n1").await;
    rig.ready(name, ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_pods_has_one_empty_slice() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    let slice = rig.eventually("a slice", async || slices(&rig).await.into_iter().next()).await;
    let labels = slice.metadata.labels.clone().unwrap();
    assert_eq!(labels["endpointslice.kubernetes.io/managed-by"], "endpointslice-controller.k8s.io");
    assert_eq!(labels["team"], "a");
    assert_eq!(slice.address_type, "IPv4");
    assert!(slice.key().name.starts_with("web-") && slice.endpoints.unwrap_or_default().is_empty());
    let owner = &slice.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.controller), ("Service", "web", Some(true)));
    legacy_is(&rig, (0, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_pods_through_their_life() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    let waiting = rig.create::<Pod>(pod("a", json!({}))).await;
    rig.settle().await;
    assert!(endpoints(&rig).await.is_empty(), "a pod without address is no endpoint");
    rig.bind(&waiting, "n1").await;
    rig.ready("a", false).await;
    conditions_are(&rig, &[(false, false, false)]).await;
    legacy_is(&rig, (0, 1)).await;
    rig.ready("a", true).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    legacy_is(&rig, (1, 0)).await;
    let endpoint = endpoints(&rig).await.remove(0);
    assert_eq!(endpoint.node_name.as_deref(), Some("n1"));
    assert_eq!(endpoint.target_ref.unwrap().name.as_deref(), Some("a"));
    assert_eq!(slices(&rig).await[0].ports.as_ref().unwrap()[0].port, Some(8080));
    rig.delete::<Pod>("a", None).await;
    conditions_are(&rig, &[(false, true, true)]).await;
    legacy_is(&rig, (0, 0)).await;
    rig.reap().await;
    conditions_are(&rig, &[]).await;
    assert_eq!(slices(&rig).await.len(), 1, "the last slice stays");
}

#[tokio::test(start_paused = true)]
async fn unready_pods_count_where_the_service_says_so() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(service(
        json!({"selector": {"app": "web"}, "clusterIP": "None", "publishNotReadyAddresses": true}),
    ))
    .await;
    placed(&rig, "a", false).await;
    conditions_are(&rig, &[(true, false, false)]).await;
    legacy_is(&rig, (1, 0)).await;
    let slice = slices(&rig).await.remove(0);
    assert!(slice.metadata.labels.unwrap().contains_key("service.kubernetes.io/headless"));
    assert!(slice.ports.unwrap_or_default().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_that_have_ended_are_no_endpoints() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    placed(&rig, "a", true).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.patch_status::<Pod>("a", json!({"phase": "Succeeded"})).await;
    conditions_are(&rig, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn labels_and_selectors_decide_anew() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    placed(&rig, "a", true).await;
    placed(&rig, "b", true).await;
    conditions_are(&rig, &[(true, true, false); 2]).await;
    rig.patch::<Pod>("a", json!({"metadata": {"labels": {"app": "db"}}})).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.patch::<Service>("web", json!({"spec": {"selector": {"app": "db"}}})).await;
    rig.eventually("the other pod", async || {
        let names: Vec<_> = endpoints(&rig).await.into_iter().filter_map(|e| e.target_ref?.name).collect();
        (names == ["a"]).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn named_ports_split_slices_by_what_they_mean() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(service(json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]})))
        .await;
    for (name, port) in [("a", 8080), ("b", 9090)] {
        let ports = json!({"spec": {"containers": [{"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": port}]}]}});
        let pod = rig.create::<Pod>(pod(name, ports)).await;
        rig.bind(&pod, "n1").await;
        rig.ready(name, true).await;
    }
    rig.eventually("two slices", async || {
        let mut ports: Vec<_> =
            slices(&rig).await.iter().filter_map(|slice| slice.ports.as_ref()?.first()?.port).collect();
        ports.sort_unstable();
        (ports == [8080, 9090]).then_some(())
    })
    .await;
    // A pod without such a port has none there.
    let pod = rig.create::<Pod>(pod("c", json!({}))).await;
    rig.bind(&pod, "n1").await;
    rig.ready("c", true).await;
    rig.eventually("three endpoints", async || (endpoints(&rig).await.len() == 3).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_port_that_changes_changes_the_slices() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    placed(&rig, "a", true).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.patch::<Service>("web", json!({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 7070}]}})).await;
    rig.eventually("the new port alone", async || {
        let slices = slices(&rig).await;
        (slices.len() == 1 && slices[0].ports.as_ref()?.first()?.port == Some(7070)).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_others_break_is_made_right_again() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    placed(&rig, "a", true).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    let slice = slices(&rig).await.remove(0);
    rig.patch::<EndpointSlice>(&slice.key().name, json!({"endpoints": []})).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.delete::<EndpointSlice>(&slice.key().name, None).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.delete::<Endpoints>("web", None).await;
    legacy_is(&rig, (1, 0)).await;
    rig.patch::<Endpoints>("web", json!({"subsets": null})).await;
    legacy_is(&rig, (1, 0)).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_goes_takes_its_endpoints_along() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    placed(&rig, "a", true).await;
    legacy_is(&rig, (1, 0)).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    rig.delete::<Service>("web", None).await;
    rig.eventually("nothing left", async || {
        (slices(&rig).await.is_empty() && rig.get::<Endpoints>("web").await.is_none()).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_without_selector_is_somebody_elses_business() {
    let rig = Rig::start(ALONE).await;
    let own =
        json!({"metadata": {"name": "web"}, "subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 1}]}]});
    rig.create::<Endpoints>(own).await;
    rig.create::<Service>(service(json!({"ports": [{"port": 80}]}))).await;
    rig.settle().await;
    assert!(slices(&rig).await.is_empty());
    assert_eq!(legacy(&rig).await, Some((1, 0)));
    rig.delete::<Service>("web", None).await;
    rig.settle().await;
    assert_eq!(legacy(&rig).await, Some((1, 0)), "what somebody else wrote stays");
}

#[tokio::test(start_paused = true)]
async fn a_label_of_the_service_is_one_of_its_slices() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    rig.eventually("a slice", async || slices(&rig).await.into_iter().next()).await;
    rig.patch::<Service>("web", json!({"metadata": {"labels": {"team": null, "zone": "b"}}})).await;
    rig.eventually("labels of slice and Endpoints", async || {
        let of = |labels: Option<std::collections::BTreeMap<String, String>>| {
            let labels = labels.unwrap_or_default();
            labels.get("zone").is_some_and(|zone| zone == "b") && !labels.contains_key("team")
        };
        let slice = slices(&rig).await.remove(0);
        (of(slice.metadata.labels) && of(rig.get::<Endpoints>("web").await?.metadata.labels)).then_some(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pods_name_themselves_below_the_service_that_is_their_subdomain() {
    let rig = Rig::start(ALONE).await;
    rig.create::<Service>(web()).await;
    let named = json!({"spec": {"hostname": "first", "subdomain": "web"}});
    let pod = rig.create::<Pod>(pod("a", named)).await;
    rig.bind(&pod, "n1").await;
    rig.ready("a", true).await;
    conditions_are(&rig, &[(true, true, false)]).await;
    assert_eq!(endpoints(&rig).await[0].hostname.as_deref(), Some("first"));
}
