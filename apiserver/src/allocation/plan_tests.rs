//! Tests of [`super`], as tables.

use super::*;

/// The specification that a Service ends up with, where others hold what `taken` holds.
fn allocated(taken: &Held, own: &Held, mut service: Value) -> Result<Value, String> {
    let free = Free {
        taken: &|address| taken.addresses.contains(&address),
        taken_ports: taken.ports.clone(),
        ranges: vec![Range::parse("10.96.0.0/29").unwrap()],
        node_ports: 30000..=30002,
        own: own.clone(),
    };
    match fill(&mut service, &free, &|_| 0) {
        Ok(()) => Ok(service["spec"].take()),
        Err(Refusal::Invalid(error)) => Err(api::field::aggregate(&[error])),
        Err(other) => Err(other.status("x").message),
    }
}

fn holding(spec: Value) -> Held {
    held(&json!({ "spec": spec }))
}

#[test]
fn the_first_free_address_is_given_and_all_fields_agree() {
    let taken = holding(json!({"clusterIPs": ["10.96.0.1"]}));
    let spec = allocated(&taken, &Held::default(), json!({"spec": {"type": "ClusterIP"}})).unwrap();
    assert_eq!(
        spec,
        json!({"type": "ClusterIP", "clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2"],
               "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
    );
}

#[test]
fn what_cannot_be_had_is_refused_in_upstreams_words() {
    let taken = holding(json!({"clusterIPs": ["10.96.0.1"], "ports": [{"nodePort": 30000}]}));
    let table = [
        (
            json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1"}}),
            "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated",
        ),
        (
            json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1"}}),
            "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: \
             the provided network does not match the current range",
        ),
        (
            json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30000}]}}),
            "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated",
        ),
        (
            json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]}}),
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30002",
        ),
    ];
    for (service, message) in table {
        assert_eq!(allocated(&taken, &Held::default(), service).unwrap_err(), message);
    }
}

#[test]
fn a_full_range_says_so_and_ones_own_is_ones_own() {
    let all: Vec<String> = (1..=6).map(|last| format!("10.96.0.{last}")).collect();
    let full = holding(json!({"clusterIPs": all}));
    let error = allocated(&full, &Held::default(), json!({"spec": {"type": "ClusterIP"}})).unwrap_err();
    assert_eq!(error, "Internal error occurred: failed to allocate a serviceIP: range is full");
    let own = holding(json!({"clusterIPs": ["10.96.0.3"]}));
    assert!(allocated(&own, &own, json!({"spec": {"clusterIP": "10.96.0.3"}})).is_ok());
}

#[test]
fn node_ports_are_shared_between_protocols_of_one_port_only() {
    let ports =
        json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 54, "protocol": "TCP"}]);
    let spec =
        allocated(&Held::default(), &Held::default(), json!({"spec": {"type": "NodePort", "ports": ports}})).unwrap();
    let given: Vec<i64> =
        object::list(&json!({"spec": spec}), "/spec/ports").iter().map(|p| p["nodePort"].as_i64().unwrap()).collect();
    assert_eq!(given, [30000, 30000, 30001]);
}

#[test]
fn headless_and_external_services_hold_nothing() {
    let headless =
        allocated(&Held::default(), &Held::default(), json!({"spec": {"type": "ClusterIP", "clusterIP": "None"}}))
            .unwrap();
    assert_eq!(headless["clusterIPs"], json!(["None"]));
    let external = allocated(&Held::default(), &Held::default(), json!({"spec": {"type": "ExternalName"}})).unwrap();
    assert_eq!(external.get("clusterIP"), None);
}

#[test]
fn an_update_keeps_what_it_leaves_out() {
    let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.4", "clusterIPs": ["10.96.0.4"],
        "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
    let mut same = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
    carry_over(&mut same, Some(&old));
    assert_eq!(
        (&same["spec"]["clusterIP"], &same["spec"]["ports"][0]["nodePort"]),
        (&json!("10.96.0.4"), &json!(30001))
    );
    let mut plain = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.4", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
    carry_over(&mut plain, Some(&old));
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
    let mut external = json!({"spec": {"type": "ExternalName", "clusterIP": "10.96.0.4"}});
    carry_over(&mut external, Some(&old));
    assert_eq!(external["spec"].get("clusterIP"), None);
}

#[test]
fn a_balanced_service_that_keeps_sources_gets_a_port_for_its_health() {
    let service = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "protocol": "TCP"}]}});
    let spec = allocated(&Held::default(), &Held::default(), service.clone()).unwrap();
    assert_eq!((&spec["ports"][0]["nodePort"], &spec["healthCheckNodePort"]), (&json!(30000), &json!(30001)));
    assert_eq!(holding(spec.clone()).ports.into_iter().collect::<Vec<_>>(), [30000, 30001]);
    let mut again = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": []}});
    carry_over(&mut again, Some(&json!({ "spec": spec })));
    assert_eq!(again["spec"]["healthCheckNodePort"], 30001);
    let all = holding(json!({"ports": [{"nodePort": 30000}, {"nodePort": 30001}, {"nodePort": 30002}]}));
    let refused = allocated(&all, &Held::default(), service).unwrap_err();
    assert_eq!(refused, "Internal error occurred: failed to allocate a nodePort: range is full");
}

#[test]
fn one_number_is_one_node_port_whatever_the_protocol() {
    let taken = holding(json!({"ports": [{"nodePort": 30000, "protocol": "UDP"}]}));
    let service = json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "protocol": "TCP", "nodePort": 30000}]}});
    let refused = allocated(&taken, &Held::default(), service).unwrap_err();
    assert_eq!(refused, "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated");
}
