//! Tests of [`super`], as tables.

use super::*;

/// The specification that a Service ends up with, where others hold what `taken` holds.
fn allocated(taken: &Held, old: Option<&Value>, mut service: Value) -> Result<Value, String> {
    let free = Free {
        taken: &|address| taken.addresses.contains(&address),
        taken_ports: taken.ports.clone(),
        ranges: vec![Range::parse("10.96.0.0/29").unwrap()],
        node_ports: 30000..=30002,
        own_ports: old.map(|old| held(old).ports).unwrap_or_default(),
    };
    carry_over(&mut service, old);
    match fill(&mut service, old, &free, &|_| 0) {
        Ok(()) => Ok(service["spec"].take()),
        Err(Refusal::Invalid(errors)) => Err(api::field::aggregate(&errors)),
        Err(other) => Err(other.status("x").message),
    }
}

fn holding(spec: Value) -> Held {
    held(&json!({ "spec": spec }))
}

#[test]
fn the_first_free_address_is_given_and_all_fields_agree() {
    let taken = holding(json!({"clusterIPs": ["10.96.0.1"]}));
    let spec = allocated(&taken, None, json!({"spec": {"type": "ClusterIP"}})).unwrap();
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
        assert_eq!(allocated(&taken, None, service).unwrap_err(), message);
    }
}

#[test]
fn a_full_range_says_so_and_ones_own_is_ones_own() {
    let all: Vec<String> = (1..=6).map(|last| format!("10.96.0.{last}")).collect();
    let full = holding(json!({"clusterIPs": all}));
    let error = allocated(&full, None, json!({"spec": {"type": "ClusterIP"}})).unwrap_err();
    assert_eq!(error, "Internal error occurred: failed to allocate a serviceIP: range is full");
    // What one has one keeps, also where the range is another one by now.
    for own in ["10.96.0.3", "10.97.0.3"] {
        let old = json!({"spec": {"type": "ClusterIP", "clusterIP": own, "clusterIPs": [own]}});
        let kept = allocated(&full, Some(&old), json!({"spec": {"type": "ClusterIP"}})).unwrap();
        assert_eq!(kept["clusterIPs"], json!([own]));
    }
}

#[test]
fn node_ports_are_shared_between_protocols_of_one_port_only() {
    let ports =
        json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 54, "protocol": "TCP"}]);
    let spec = allocated(&Held::default(), None, json!({"spec": {"type": "NodePort", "ports": ports}})).unwrap();
    let given: Vec<i64> =
        object::list(&json!({"spec": spec}), "/spec/ports").iter().map(|p| p["nodePort"].as_i64().unwrap()).collect();
    assert_eq!(given, [30000, 30000, 30001]);
}

#[test]
fn headless_and_external_services_hold_nothing() {
    let headless =
        allocated(&Held::default(), None, json!({"spec": {"type": "ClusterIP", "clusterIP": "None"}})).unwrap();
    assert_eq!(headless["clusterIPs"], json!(["None"]));
    let external = allocated(&Held::default(), None, json!({"spec": {"type": "ExternalName"}})).unwrap();
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
}

#[test]
fn addresses_stated_in_one_field_are_stated_in_both() {
    let (one, other) = ("10.96.0.4", "10.96.0.5");
    let table = [
        // type, clusterIP and clusterIPs of the old, of the new → what those of the new become
        (None, ("ClusterIP", "", vec![]), ("", vec![])),
        (None, ("ClusterIP", one, vec![]), (one, vec![one])),
        (None, ("ClusterIP", "", vec![one]), ("", vec![one])),
        (Some(("ClusterIP", one, vec![one])), ("ClusterIP", "", vec![]), (one, vec![one])),
        (Some(("ClusterIP", one, vec![one])), ("ClusterIP", one, vec![]), (one, vec![one])),
        (Some(("ClusterIP", one, vec![one])), ("ClusterIP", other, vec![]), (other, vec![other])),
        (Some(("ClusterIP", one, vec![one])), ("ClusterIP", other, vec![one]), (other, vec![other])),
        (Some(("ClusterIP", one, vec![one])), ("ExternalName", one, vec![]), (one, vec![one])),
        (Some(("ClusterIP", one, vec![one])), ("ExternalName", "", vec![one]), ("", vec![])),
        (Some(("ExternalName", "", vec![])), ("ClusterIP", one, vec![]), (one, vec![one])),
        (Some(("ClusterIP", "None", vec!["None"])), ("ClusterIP", "", vec![]), ("None", vec!["None"])),
    ];
    for (old, new, expected) in table {
        let service = |(kind, ip, ips): &(&str, &str, Vec<&str>)| {
            let mut service = json!({"spec": {"type": kind, "clusterIP": ip, "clusterIPs": ips}});
            service["spec"].as_object_mut().unwrap().retain(|_, value| *value != json!("") && *value != json!([]));
            service
        };
        let mut filled = service(&new);
        carry_over(&mut filled, old.as_ref().map(service).as_ref());
        let ips: Vec<&str> = object::list(&filled, "/spec/clusterIPs").iter().map(|ip| ip.as_str().unwrap()).collect();
        assert_eq!((object::text(&filled, "/spec/clusterIP"), ips), expected, "{old:?} {new:?}");
    }
}

#[test]
fn node_ports_go_by_the_name_of_their_port() {
    let named = |ports: &[(&str, u16, u16)]| -> Value {
        ports
            .iter()
            .map(|(name, port, node)| match node {
                0 => json!({"name": name, "port": port, "protocol": "TCP"}),
                node => json!({"name": name, "port": port, "protocol": "TCP", "nodePort": node}),
            })
            .collect()
    };
    type Ports = &'static [(&'static str, u16, u16)];
    // type and ports of the old, of the new → node ports of the new; 0 = none yet
    let table: [(&str, Ports, &str, Ports, &[u16]); 9] = [
        ("NodePort", &[("a", 80, 30001)], "NodePort", &[("a", 80, 0)], &[30001]),
        // Another number, the same node port.
        ("NodePort", &[("a", 80, 30001)], "NodePort", &[("a", 8080, 0)], &[30001]),
        ("NodePort", &[("a", 80, 30001)], "LoadBalancer", &[("a", 80, 0)], &[30001]),
        // Another name, another port.
        ("NodePort", &[("a", 80, 30001)], "NodePort", &[("b", 80, 0)], &[0]),
        ("NodePort", &[("a", 80, 30001), ("b", 81, 30002)], "NodePort", &[("b", 80, 0), ("a", 81, 0)], &[30002, 30001]),
        // What the request says goes first, and is not given twice.
        ("NodePort", &[("a", 80, 30001)], "NodePort", &[("a", 80, 30002)], &[30002]),
        ("NodePort", &[("a", 80, 30001)], "NodePort", &[("a", 80, 0), ("b", 81, 30001)], &[0, 30001]),
        ("ClusterIP", &[("a", 80, 0)], "NodePort", &[("a", 80, 0)], &[0]),
        ("NodePort", &[("a", 80, 30001)], "ClusterIP", &[("a", 80, 0)], &[0]),
    ];
    for (old_kind, old_ports, kind, ports, expected) in table {
        let old = json!({"spec": {"type": old_kind, "ports": named(old_ports)}});
        let mut new = json!({"spec": {"type": kind, "ports": named(ports)}});
        carry_over(&mut new, Some(&old));
        let list = object::list(&new, "/spec/ports").iter();
        let numbers: Vec<u16> =
            list.map(|port| u16::try_from(port["nodePort"].as_i64().unwrap_or(0)).unwrap()).collect();
        assert_eq!(numbers, expected, "{old_kind} {old_ports:?} -> {kind} {ports:?}");
    }
}

#[test]
fn a_balanced_service_that_keeps_sources_gets_a_port_for_its_health() {
    let service = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "ports": [{"port": 80, "protocol": "TCP"}]}});
    let spec = allocated(&Held::default(), None, service.clone()).unwrap();
    assert_eq!((&spec["ports"][0]["nodePort"], &spec["healthCheckNodePort"]), (&json!(30000), &json!(30001)));
    assert_eq!(holding(spec.clone()).ports.into_iter().collect::<Vec<_>>(), [30000, 30001]);
    let mut again = json!({"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": []}});
    carry_over(&mut again, Some(&json!({ "spec": spec })));
    assert_eq!(again["spec"]["healthCheckNodePort"], 30001);
    let all = holding(json!({"ports": [{"nodePort": 30000}, {"nodePort": 30001}, {"nodePort": 30002}]}));
    let refused = allocated(&all, None, service).unwrap_err();
    assert_eq!(refused, "Internal error occurred: failed to allocate a nodePort: range is full");
}

#[test]
fn one_number_is_one_node_port_whatever_the_protocol() {
    let taken = holding(json!({"ports": [{"nodePort": 30000, "protocol": "UDP"}]}));
    let service = json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "protocol": "TCP", "nodePort": 30000}]}});
    let refused = allocated(&taken, None, service).unwrap_err();
    assert_eq!(refused, "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated");
}
