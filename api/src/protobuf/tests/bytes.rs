//! Messages byte by byte, as protobuf's own tools write them, and what is said of damaged ones.

use serde_json::{Value, json};

use super::hex;
use crate::protobuf::{decode, decode_message, encode, encode_message, frame, open, wrap};
use crate::schema::def;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";
const CORE: &str = "io.k8s.api.core.v1";

fn message(name: &str, value: &Value, bytes: &str) {
    let def = def(name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(encode_message(def, value).unwrap(), hex(bytes), "{value}");
    assert_eq!(decode_message(def, &hex(bytes)).unwrap(), *value, "{bytes}");
}

#[test]
fn fields_of_every_type() {
    // Texts, with lengths.
    message(&format!("{CORE}.LocalObjectReference"), &json!({"name": "ab"}), "0a 02 6162");
    message(&format!("{CORE}.LocalObjectReference"), &json!({"name": "é"}), "0a 02 c3a9");
    // Numbers: small, of two bytes, negative ones of ten.
    let port = |port: i64| json!({"containerPort": port});
    let name = format!("{CORE}.ContainerPort");
    message(&name, &port(1), "0a00 1000 1801 2200 2a00");
    message(&name, &port(300), "0a00 1000 18ac02 2200 2a00");
    message(&name, &port(-1), "0a00 1000 18ffffffffffffffffff01 2200 2a00");
    // Pointers are there only when they are set, to zero too.
    let user = format!("{CORE}.PodSecurityContext");
    message(&user, &json!({}), "");
    message(&user, &json!({"runAsUser": 0}), "1000");
    message(&user, &json!({"runAsNonRoot": false}), "1800");
    message(&user, &json!({"runAsNonRoot": true, "runAsUser": 1}), "1001 1801");
    // Lists repeat their field.
    message(&user, &json!({"supplementalGroups": [1, 2]}), "2001 2002");
    // Maps are lists of pairs, in the order of their keys.
    let config = format!("{CORE}.ConfigMapEnvSource");
    message(&config, &json!({"name": "n", "optional": true}), "0a03 0a016e 1001");
    let selector = format!("{META}.LabelSelector");
    message(&selector, &json!({"matchLabels": {"a": "1", "b": ""}}), "0a06 0a0161 120131 0a05 0a0162 1200");
    // Bytes are base64 in JSON.
    let secret = format!("{CORE}.Secret");
    let bytes = encode_message(def(&secret).unwrap(), &json!({"data": {"k": "AAEC"}})).unwrap();
    assert!(bytes.windows(10).any(|part| part == hex("12 08 0a016b 1203 000102")), "{bytes:x?}");
}

#[test]
fn forms_of_their_own() {
    let time = format!("{META}.Time");
    message(&time, &json!("1970-01-01T00:00:01Z"), "0801 1000");
    message(&time, &json!("1969-12-31T23:59:59Z"), "08ffffffffffffffffff01 1000");
    message(&format!("{META}.MicroTime"), &json!("1970-01-01T00:00:01.000002Z"), "0801 10d00f");
    message("io.k8s.apimachinery.pkg.api.resource.Quantity", &json!("1Gi"), "0a03 314769");
    let port = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    message(port, &json!(80), "0800 1050 1a00");
    message(port, &json!("http"), "0801 1000 1a04 68747470");
    message(&format!("{META}.FieldsV1"), &json!({"f:a": {}}), "0a0a 7b22663a61223a7b7d7d");
    // Nothing at all.
    let decoded = |name: &str| decode_message(def(name).unwrap(), b"").unwrap();
    assert_eq!(decoded(&time), Value::Null);
    assert_eq!(decoded("io.k8s.apimachinery.pkg.api.resource.Quantity"), json!("0"));
    assert_eq!(decoded(port), json!(0));
    // The zero time of Go is none.
    let zero = hex("08 8092b8c398feffffff01 1000");
    assert_eq!(decode_message(def(&time).unwrap(), &zero).unwrap(), Value::Null);
}

#[test]
fn times_are_cut_to_what_their_type_keeps() {
    let encoded =
        |name: &str, text: &str| encode_message(def(&format!("{META}.{name}")).unwrap(), &json!(text)).unwrap();
    assert_eq!(encoded("Time", "1970-01-01T00:00:01.999Z"), hex("0801 1000"));
    assert_eq!(encoded("MicroTime", "1970-01-01T00:00:01.0000029Z"), hex("0801 10d00f"));
    assert_eq!(encoded("Time", "1970-01-01T01:00:01+01:00"), hex("0801 1000"));
    assert_eq!(encoded("Time", "0001-01-01T00:00:00Z"), b"");
}

#[test]
fn envelopes() {
    let body = wrap("v1", "Binding", b"");
    assert_eq!(body, [b"k8s\0".as_slice(), &hex("0a0d 0a02 7631 1207 42696e64696e67 1200 1a00 2200")].concat());
    let envelope = open(&body).unwrap();
    assert_eq!(
        (envelope.api_version.as_str(), envelope.kind.as_str(), envelope.raw),
        ("v1", "Binding", b"".as_slice())
    );
    // JSON in an envelope.
    let json =
        [b"k8s\0".as_slice(), &hex("0a0b 0a02 7631 1205 5468696e67 1207 7b2261223a317d 2210"), b"application/json"]
            .concat();
    assert_eq!(decode(&json).unwrap(), json!({"apiVersion": "v1", "kind": "Thing", "a": 1}));
    // What is compressed is not read.
    let packed = [b"k8s\0".as_slice(), &hex("1a04 677a6970")].concat();
    assert_eq!(open(&packed).unwrap_err(), "the content encoding is not supported");
    assert_eq!(frame(&[7; 300])[..4], [0, 0, 1, 44]);
    assert_eq!(frame(b""), [0; 4]);
}

/// Kind, damaged message, complaint.
#[test]
fn damage() {
    let table = [
        ("Pod", "0a", "metadata: unexpected EOF"),
        ("Pod", "0a05 0a", "metadata: unexpected EOF"),
        ("Pod", "0a02 0a05", "metadata.name: unexpected EOF"),
        ("Pod", "0a03 0a01ff", "metadata.name: proto: field contains invalid UTF-8"),
        ("Pod", "08 01", "metadata: proto: wrong wireType = 0 for field 1"),
        ("Pod", "0a02 3801", ""),
        ("Pod", "0a03 3a0101", "metadata.generation: proto: wrong wireType = 2 for field 7"),
        ("Pod", "00", "proto: illegal tag 0 (wire type 0)"),
        ("Pod", "ffffffffffffffffffff01", "proto: integer overflow"),
        ("Pod", "5f", "proto: illegal wireType 7"),
        ("Pod", "0f", "metadata: proto: wrong wireType = 7 for field 1"),
        ("ConfigMap", "1203 0a0161", ""),
        ("ConfigMap", "1202 0a05", "data: unexpected EOF"),
    ];
    for (kind, bytes, complaint) in table {
        let found = decode(&wrap("v1", kind, &hex(bytes)));
        match complaint {
            "" => assert!(found.is_ok(), "{bytes}: {found:?}"),
            _ => assert_eq!(found.unwrap_err(), complaint, "{bytes}"),
        }
    }
    for (body, complaint) in [
        (b"".to_vec(), "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (b"k8s".to_vec(), "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"),
        (
            b"{\"kind\":\"Pod\"}".to_vec(),
            "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]",
        ),
        (wrap("v2", "Pod", b""), "no kind \"Pod\" is registered for version \"v2\""),
        (wrap("", "", b""), "no kind \"\" is registered for version \"\""),
    ] {
        assert_eq!(decode(&body).unwrap_err(), complaint);
    }
}

/// What does not fit its type is refused when it is written.
#[test]
fn values_that_do_not_fit() {
    let pod = |spec: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": spec});
    let table = [
        (json!({"nodeName": 5}), "spec: nodeName: expected string"),
        (json!({"hostNetwork": "yes"}), "spec: hostNetwork: expected bool"),
        (json!({"priority": 2_147_483_648_i64}), "spec: priority: 2147483648 does not fit into 32 bits"),
        (json!({"priority": 1.5}), "spec: priority: expected an integer"),
        (json!({"containers": {}}), "spec: containers: expected a list"),
        (json!({"containers": [5]}), "spec: containers: expected an object"),
        (json!({"nodeSelector": []}), "spec: nodeSelector: expected a map"),
        (json!({"overhead": {"cpu": true}}), "spec: overhead: expected a quantity"),
        (
            json!({"containers": [{"livenessProbe": {"httpGet": {"port": []}}}]}),
            "spec: containers: livenessProbe: httpGet: port: expected an integer or a string",
        ),
    ];
    for (spec, complaint) in table {
        assert_eq!(encode(&pod(spec.clone())).unwrap_err(), complaint, "{spec}");
    }
    // Whole numbers in another spelling do fit, and null is nothing.
    assert_eq!(encode(&pod(json!({"priority": 1e3}))), encode(&pod(json!({"priority": 1000}))));
    assert_eq!(encode(&pod(json!({"priority": null, "containers": null}))), encode(&pod(json!({}))));
    assert!(encode(&json!({"spec": {}})).is_err());
}
