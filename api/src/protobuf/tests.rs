//! Known bytes, round trips of every kind, damage.

use serde_json::json;

use super::*;
use crate::kinds::KINDS;

mod bytes;
mod filled;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_config_map_in_known_bytes() {
    // typeMeta {v1, ConfigMap}; metadata {name: "a", the other plain strings empty, generation 0, creationTimestamp 0};
    // data {k: v}.
    let bytes = hex("6b387300 0a0f 0a02 7631 1209 436f6e6669674d6170 121f \
         0a15 0a0161 1200 1a00 2200 2a00 3200 3800 4200 4a00 \
         12 06 0a016b 120176 1a00 2200");
    let value = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let encoded = encode(&value).unwrap();
    let decoded = decode(&encoded).unwrap();
    assert_eq!(decoded, value);
    // generateName, namespace, selfLink, uid and resourceVersion are plain strings, generation and creationTimestamp
    // plain values: always on the wire. What is a pointer or a list is not.
    let expected = hex("6b387300 0a0f 0a02 7631 1209 436f6e6669674d6170 \
         121b 0a11 0a0161 1200 1a00 2200 2a00 3200 3800 4200 1206 0a016b 120176 1a00 2200");
    assert_eq!(encoded, expected);
    assert!(decode(&bytes).is_err(), "lengths that do not fit");
}

#[test]
fn zeros_behind_pointers_are_kept_and_others_dropped() {
    let value = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {"replicas": 0, "paused": false, "minReadySeconds": 0, "revisionHistoryLimit": 0,
                 "template": {"spec": {"containers": [{"name": "", "image": "", "tty": false}],
                                       "hostNetwork": false, "automountServiceAccountToken": false}}}});
    let decoded = decode(&encode(&value).unwrap()).unwrap();
    let spec = &decoded["spec"];
    assert_eq!((&spec["replicas"], &spec["revisionHistoryLimit"]), (&json!(0), &json!(0)));
    assert!(spec.get("paused").is_none() && spec.get("minReadySeconds").is_none());
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert!(pod.get("hostNetwork").is_none());
    // Structs that are no pointers are always there, as Go writes them; `name` has no omitempty.
    assert_eq!(pod["containers"], json!([{"name": "", "resources": {}}]));
    assert_eq!((&spec["strategy"], &decoded["status"]), (&json!({}), &json!({})));
}

#[test]
fn special_forms_round_trip() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "p", "creationTimestamp": "2024-02-29T12:34:56Z", "labels": {"b": "2", "a": "1"},
            "managedFields": [{"manager": "m", "fieldsV1": {"f:metadata": {}}, "time": "1969-12-31T23:59:59Z"}]},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "100m", "memory": "1Gi"}},
                    "livenessProbe": {"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 5},
                    "readinessProbe": {"tcpSocket": {"port": 8080}}}],
                 "volumes": [{"name": "v", "emptyDir": {}},
                             {"name": "w", "projected": {"sources": [{"configMap": {"name": "x"}}]}}]},
        "status": {}});
    let decoded = decode(&encode(&pod).unwrap()).unwrap();
    assert_eq!(decoded, pod);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"renewTime": "2024-02-29T12:34:56.123456Z", "leaseTransitions": 0}});
    assert_eq!(decode(&encode(&lease).unwrap()).unwrap(), lease);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {"a": "AAEC/w==", "e": ""}});
    assert_eq!(decode(&encode(&secret).unwrap()).unwrap(), secret);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
        "spec": {"user": "u", "extra": {"k": ["a", "b"]}}, "status": {"allowed": false}});
    assert_eq!(decode(&encode(&review).unwrap()).unwrap(), review);
}

#[test]
fn unions_of_custom_resource_schemas_round_trip() {
    let schema = json!({"type": "object", "default": {"a": [1, null]}, "enum": ["x", 1], "maximum": 1.5,
        "properties": {"p": {"type": "array", "items": {"type": "string"}, "additionalProperties": false},
                       "q": {"items": [{"type": "string"}], "additionalProperties": {"type": "integer"},
                             "x-kubernetes-preserve-unknown-fields": false, "minLength": 0}},
        "dependencies": {"d": ["a", "b"], "e": {"type": "object"}}});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "c"},
        "spec": {"group": "g", "names": {"plural": "p", "kind": "K"}, "scope": "Cluster",
                 "versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": schema}}]},
        "status": {"acceptedNames": {"plural": "", "kind": ""}}});
    assert_eq!(decode(&encode(&crd).unwrap()).unwrap(), crd);
}

#[test]
fn every_kind_and_its_list_round_trip() {
    for kind in KINDS {
        for served in kind.all_served() {
            let value = json!({"apiVersion": served.api_version(), "kind": kind.kind, "metadata": {"name": "n"}});
            let bytes = encode(&value).unwrap_or_else(|error| panic!("{}: {error}", kind.kind));
            let decoded = decode(&bytes).unwrap();
            assert_eq!(decoded["metadata"]["name"], "n", "{}", kind.kind);
            assert_eq!(encode(&decoded).unwrap(), bytes, "{}", kind.kind);
            if kind.list_kind.is_empty() {
                continue;
            }
            let list = json!({"apiVersion": served.api_version(), "kind": kind.list_kind,
                "metadata": {"resourceVersion": "7"}, "items": []});
            assert_eq!(decode(&encode(&list).unwrap()).unwrap(), list, "{}", kind.list_kind);
        }
    }
}

#[test]
fn lists_and_watch_events_are_put_together_from_parts() {
    let def = crate::schema::def("io.k8s.api.core.v1.ConfigMap").unwrap();
    let items: Vec<Vec<u8>> =
        ["a", "b"].iter().map(|n| encode_message(def, &json!({"metadata": {"name": n}})).unwrap()).collect();
    let mut body = Vec::new();
    items.iter().for_each(|item| append_item(item, &mut body));
    assert_eq!(body.len(), items.iter().map(|item| item_len(item.len())).sum::<usize>());
    let (head, tail) = list_frame("v1", "ConfigMapList", &json!({"resourceVersion": "5"}), body.len()).unwrap();
    let parts = [head, body, tail].concat();
    let whole = json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "5"},
        "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]});
    assert_eq!(parts, encode(&whole).unwrap());
    assert_eq!(decode(&parts).unwrap(), whole);

    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let event = encode_watch_event("ADDED", &encode(&object).unwrap());
    let def = crate::schema::def("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent").unwrap();
    assert_eq!(decode_message(def, &event).unwrap(), json!({"type": "ADDED", "object": object}));
    assert_eq!(frame(b"ab"), [0, 0, 0, 2, b'a', b'b']);
}

/// Bodies that kubectl 1.33 sent (see `examples/capture.rs`): `create deployment web --image=nginx --replicas=3`,
/// `create configmap a --from-literal=k=v`, `create token default`, `auth can-i list pods`.
#[test]
fn what_kubectl_sends_goes_through_json_unchanged() {
    let metadata = json!({"labels": {"app": "web"}});
    let pod = json!({"containers": [{"image": "nginx", "name": "nginx", "resources": {}}]});
    let table: [(&[u8], Value); 4] = [
        (
            include_bytes!("fixtures/create-deployment.pb"),
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"labels": {"app": "web"}, "name": "web"},
                "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "strategy": {},
                         "template": {"metadata": metadata, "spec": pod}},
                "status": {}}),
        ),
        (
            include_bytes!("fixtures/create-configmap.pb"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}),
        ),
        (
            include_bytes!("fixtures/create-token.pb"),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {},
                "status": {"token": ""}}),
        ),
        (
            include_bytes!("fixtures/auth-can-i.pb"),
            json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
                "spec": {"resourceAttributes": {"namespace": "default", "resource": "pods", "verb": "list"}},
                "status": {"allowed": false}}),
        ),
    ];
    for (bytes, value) in table {
        assert_eq!(decode(bytes).unwrap(), value);
        assert_eq!(encode(&value).unwrap(), bytes);
    }
}

#[test]
fn options_and_status_are_known() {
    let table = [
        json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
               "propagationPolicy": "Foreground", "preconditions": {"uid": "u"}, "orphanDependents": false}),
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions", "dryRun": ["All"], "fieldManager": "m"}),
        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "code": 404,
               "details": {"name": "x", "retryAfterSeconds": 1}}),
        json!({"apiVersion": "v1", "kind": "PodExecOptions", "command": ["a", "b"], "stdin": true}),
    ];
    for value in table {
        assert_eq!(decode(&encode(&value).unwrap()).unwrap(), value);
    }
    assert!(encode(&json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table"})).is_err());
}

#[test]
fn unknown_fields_are_skipped_and_packed_lists_read() {
    let def = crate::schema::def("io.k8s.api.core.v1.PodSecurityContext").unwrap();
    let mut bytes = encode_message(def, &json!({"supplementalGroups": [1, -1]})).unwrap();
    bytes.extend(hex("f83f 01 fa3f 02 0102")); // field 1023, varint and bytes
    assert_eq!(decode_message(def, &bytes).unwrap(), json!({"supplementalGroups": [1, -1]}));
    assert_eq!(decode_message(def, &hex("22 02 01 02")).unwrap(), json!({"supplementalGroups": [1, 2]}));
}

#[test]
fn wrong_types_are_errors_with_a_path() {
    let def = crate::schema::def("io.k8s.api.apps.v1.Deployment").unwrap();
    let table = [
        (json!({"spec": {"replicas": "x"}}), "spec: replicas: expected int32"),
        (json!({"spec": {"replicas": 3_000_000_000u64}}), "spec: replicas: 3000000000 does not fit into 32 bits"),
        (json!({"spec": []}), "spec: expected an object"),
        (json!({"metadata": {"labels": []}}), "metadata: labels: expected a map"),
        (json!({"metadata": {"creationTimestamp": "today"}}), "metadata: creationTimestamp: \"today\" is not a time"),
    ];
    for (value, error) in table {
        assert_eq!(encode_message(def, &value).unwrap_err(), error);
    }
}

#[test]
fn damage_is_an_error() {
    assert!(decode(b"").unwrap_err().contains("does not appear to be a protobuf message"));
    assert!(decode(b"{}").is_err());
    assert!(decode(&wrap("v1", "Nothing", b"")).unwrap_err().contains("no kind \"Nothing\" is registered"));
    let good = encode(&json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c"}]}})).unwrap();
    for cut in 0..good.len() {
        let _ = decode(&good[..cut]);
    }
    // Schemas in schemas in schemas.
    let props = crate::schema::def("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps").unwrap();
    let mut deep = vec![];
    for _ in 0..1000 {
        let mut writer = Writer::default();
        writer.bytes(28, &deep); // not
        deep = writer.done();
    }
    assert!(decode_message(props, &deep).is_err());
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = decode(&[MAGIC, &bytes].concat());
        let _ = decode(&wrap("v1", "Pod", &bytes));
        let _ = decode(&wrap("apiextensions.k8s.io/v1", "CustomResourceDefinition", &bytes));
    }
}
