//! Services through the handlers: what they are given, what they give back, what they cannot have.

use std::collections::BTreeSet;

use super::*;

const SERVICES: &str = "/api/v1/namespaces/default/services";

/// With a range of addresses.
async fn rig() -> Rig {
    let rig = Rig::new().await;
    let range = json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16"]}});
    let answer = rig.post("/apis/networking.k8s.io/v1/servicecidrs", range).await;
    assert_eq!(answer.code, 201, "{}", answer.message());
    rig
}

fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

fn ports(numbers: std::ops::Range<u16>) -> Value {
    numbers.map(|number| json!({"name": format!("p{number}"), "port": number})).collect()
}

fn node_ports(service: &Value) -> BTreeSet<u16> {
    let ports = service["spec"]["ports"].as_array().unwrap().iter();
    ports.filter_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok()).collect()
}

/// The ports that are recorded, and whose they are.
async fn recorded(rig: &Rig) -> Vec<(u16, String)> {
    let records = rig.registry.allocator().node_port_records().await.unwrap();
    records.all().map(|(port, owner)| (port, owner.to_string())).collect()
}

#[tokio::test]
async fn a_service_of_hundreds_of_node_ports_comes_changes_and_goes() {
    let rig = rig().await;
    let url = format!("{SERVICES}/many");
    let made = rig.post(SERVICES, service("many", json!({"type": "NodePort", "ports": ports(1..201)}))).await;
    assert_eq!(made.code, 201, "{}", made.message());
    let first = node_ports(&made.json());
    assert_eq!((first.len(), recorded(&rig).await.len()), (200, 200));
    assert!(recorded(&rig).await.iter().all(|(port, owner)| first.contains(port) && owner == "default/many"));
    // Half of them go, others come.
    let mut changed = made.json();
    changed["spec"]["ports"] = ports(101..301);
    let changed = rig.put(&url, changed).await;
    assert_eq!(changed.code, 200, "{}", changed.message());
    let second = node_ports(&changed.json());
    assert_eq!(second.len(), 200);
    assert!(first.intersection(&second).count() >= 100, "ports that stay keep their node port");
    assert_eq!(recorded(&rig).await.into_iter().map(|(port, _)| port).collect::<BTreeSet<_>>(), second);
    assert_eq!(rig.delete(&url, Value::Null).await.code, 200);
    assert_eq!(recorded(&rig).await, []);
}

#[tokio::test]
async fn services_made_side_by_side_share_no_node_port() {
    let rig = rig().await;
    let made = (0..40).map(|number| {
        let spec = json!({"type": "NodePort", "ports": ports(1..4)});
        let (rig, name) = (&rig, format!("s{number}"));
        async move { rig.post(SERVICES, service(&name, spec)).await }
    });
    for answer in futures::future::join_all(made).await {
        assert_eq!(answer.code, 201, "{}", answer.message());
    }
    let all = recorded(&rig).await;
    assert_eq!((all.len(), all.iter().map(|(port, _)| port).collect::<BTreeSet<_>>().len()), (120, 120));
    let gone = (0..40).map(|number| {
        let (rig, url) = (&rig, format!("{SERVICES}/s{number}"));
        async move { rig.delete(&url, Value::Null).await.code }
    });
    assert!(futures::future::join_all(gone).await.iter().all(|code| *code == 200));
    assert_eq!(recorded(&rig).await, []);
}

#[tokio::test]
async fn a_port_whose_number_changes_keeps_its_node_port() {
    let rig = rig().await;
    let spec = json!({"type": "NodePort", "ports": [{"name": "http", "port": 80}]});
    let mut changed = rig.post(SERVICES, service("web", spec)).await.json();
    let given = node_ports(&changed);
    changed["spec"]["ports"] = json!([{"name": "http", "port": 8080}]);
    let changed = rig.put(&format!("{SERVICES}/web"), changed).await;
    assert_eq!((changed.code, node_ports(&changed.json())), (200, given));
    // The node ports go with the type.
    let patch = json!({"spec": {"type": "ClusterIP"}});
    let plain = rig.patch(&format!("{SERVICES}/web"), "merge", patch).await;
    assert_eq!((plain.code, node_ports(&plain.json()).len(), recorded(&rig).await.len()), (200, 0, 0));
}

#[tokio::test]
async fn addresses_of_a_family_that_the_cluster_has_not_are_refused() {
    let rig = rig().await;
    let port = json!([{"port": 80}]);
    let table = [
        (
            json!({"clusterIP": "fd00::1", "ports": port}),
            "spec.clusterIPs[0]: Invalid value: [\"fd00::1\"]: IPv6 is not configured on this cluster",
        ),
        (
            json!({"ipFamilies": ["IPv6"], "ports": port}),
            "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
        ),
        (
            json!({"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1", "10.96.1.2"], "ports": port}),
            "spec.clusterIPs: Invalid value: [\"10.96.1.1\",\"10.96.1.2\"]: may specify no more than one IP for each IP family",
        ),
        (
            json!({"clusterIP": "nonsense", "ports": port}),
            "spec.clusterIPs[0]: Invalid value: \"nonsense\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        ),
    ];
    for (spec, why) in table {
        let answer = rig.post(SERVICES, service("s", spec.clone())).await;
        let expected = format!("Service \"s\" is invalid: {why}");
        assert_eq!((answer.code, answer.message()), (422, expected), "{spec}");
    }
    // Nobody gives this one an address, so it may have endpoints of either family.
    let free = rig.post(SERVICES, service("free", json!({"clusterIP": "None"}))).await.json();
    assert_eq!(
        (&free["spec"]["ipFamilyPolicy"], &free["spec"]["ipFamilies"]),
        (&json!("RequireDualStack"), &json!(["IPv4", "IPv6"]))
    );
    let mut labelled = free.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let labelled = rig.put(&format!("{SERVICES}/free"), labelled).await;
    assert_eq!((labelled.code, labelled.json()["spec"].clone()), (200, free["spec"].clone()));
}
