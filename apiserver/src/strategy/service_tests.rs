//! Services that are refused, and why.

use super::*;
use crate::strategy::defaults;
use crate::strategy::testing::texts;
use api::{kinds, object};

fn good() -> Value {
    json!({"metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}, "ports": [{"name": "x", "port": 80}]}})
}

fn defaulted(mut service: Value) -> Value {
    defaults::apply(kinds::find("", "v1", "services").unwrap().0, &mut service);
    service
}

#[test]
fn refusals() {
    let range = "must be between 1 and 65535, inclusive";
    let table: Vec<(Value, Vec<String>)> = vec![
        (json!({}), vec![]),
        (json!({"ports": []}), vec!["spec.ports: Required value".into()]),
        (json!({"ports": [], "clusterIP": "None", "clusterIPs": ["None"]}), vec![]),
        (json!({"ports": [{"port": 0}]}), vec![
            format!("spec.ports[0].port: Invalid value: 0: {range}"),
            format!("spec.ports[0].targetPort: Invalid value: 0: {range}"),
        ]),
        (json!({"ports": [{"port": 80}, {"port": 81, "name": "y"}]}), vec!["spec.ports[0].name: Required value".into()]),
        (
            json!({"ports": [{"port": 80, "name": "y"}, {"port": 81, "name": "y"}]}),
            vec!["spec.ports[1].name: Duplicate value: \"y\"".into()],
        ),
        (
            json!({"ports": [{"port": 80, "name": "x"}, {"port": 80, "name": "y"}]}),
            vec!["spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":80,\"TargetPort\":0,\"NodePort\":0}".into()],
        ),
        (
            json!({"ports": [{"port": 80, "protocol": "HTTP"}]}),
            vec!["spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"SCTP\", \"TCP\", \"UDP\"".into()],
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30000}]}),
            vec!["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'".into()],
        ),
        (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30000}]}), vec![]),
        (
            json!({"type": "NodePort", "clusterIP": "None", "clusterIPs": ["None"]}),
            vec!["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services".into()],
        ),
        (
            json!({"type": "Magic"}),
            vec!["spec.type: Unsupported value: \"Magic\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\"".into()],
        ),
        (json!({"type": "ExternalName"}), vec!["spec.externalName: Required value".into()]),
        (json!({"type": "ExternalName", "externalName": "a.example."}), vec![]),
        (
            json!({"type": "ExternalName", "externalName": "a", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}),
            vec!["spec.clusterIPs: Forbidden: may not be set for ExternalName services".into()],
        ),
        (
            json!({"clusterIP": "10.0.0", "clusterIPs": ["10.0.0"]}),
            vec!["spec.clusterIPs[0]: Invalid value: \"10.0.0\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".into()],
        ),
        (
            json!({"sessionAffinity": "Cookie"}),
            vec!["spec.sessionAffinity: Unsupported value: \"Cookie\": supported values: \"ClientIP\", \"None\"".into()],
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 0}}}),
            vec!["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400".into()],
        ),
        (
            json!({"externalIPs": ["127.0.0.1"]}),
            vec!["spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)".into()],
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            vec!["spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services".into()],
        ),
        (
            json!({"internalTrafficPolicy": "x"}),
            vec!["spec.internalTrafficPolicy: Unsupported value: \"x\": supported values: \"Cluster\", \"Local\"".into()],
        ),
        (
            json!({"loadBalancerSourceRanges": ["10.0.0.0"]}),
            vec![
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'".into(),
                "spec.LoadBalancerSourceRanges[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into(),
            ],
        ),
    ];
    for (more, expected) in table {
        let mut service = good();
        service["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(texts(&Service.validate(&defaulted(service))), expected, "{more}");
    }
}

#[test]
fn addresses_are_kept() {
    let at = |ip: &str| {
        let mut service = good();
        object::set(&mut service, "/spec/clusterIP", json!(ip));
        object::set(&mut service, "/spec/clusterIPs", json!([ip]));
        defaulted(service)
    };
    let (old, new) = (at("10.0.0.1"), at("10.0.0.2"));
    assert_eq!(
        texts(&Service.validate_update(&new, &old)),
        ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]
    );
    assert!(Service.validate_update(&old, &old).is_empty());
}

#[test]
fn a_type_takes_its_fields_along() {
    let user = crate::request::User::loopback();
    let (kind, _) = kinds::find("", "v1", "services").unwrap();
    let cx = Cx { kind, user: &user, now: jiff::Timestamp::UNIX_EPOCH };
    let mut old = good();
    old["spec"]["type"] = json!("NodePort");
    old["spec"]["ports"][0]["nodePort"] = json!(30000);
    let old = defaulted(old);
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    Service.prepare_update(&cx, &mut new, &old);
    assert_eq!(new["spec"]["ports"][0].get("nodePort"), None);
    assert_eq!(new["spec"].get("externalTrafficPolicy"), None);
    assert_eq!(texts(&Service.validate(&new)), Vec::<String>::new());
    // Node ports of the new object → whether they go with the type: as long as none of them is new.
    let table: [(&[i64], bool); 4] = [(&[30000], true), (&[0, 30000], true), (&[], true), (&[30001], false)];
    for (numbers, go) in table {
        let mut new = old.clone();
        new["spec"]["type"] = json!("ClusterIP");
        new["spec"]["ports"] = numbers.iter().map(|number| json!({"port": 80, "nodePort": number})).collect();
        Service.prepare_update(&cx, &mut new, &old);
        let left = new["spec"]["ports"].as_array().unwrap().iter().any(|port| port.get("nodePort").is_some());
        assert_eq!(!left, go, "{numbers:?}");
    }
}
