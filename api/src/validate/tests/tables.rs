//! What bodies become and what is said of them, by tables over many kinds.

use serde_json::{Value, json};

use super::pruned;
use crate::schema::def;
use crate::status::Status;
use crate::validate::{FieldValidation, validate_decoded, validate_fields};

const POD: &str = "io.k8s.api.core.v1.Pod";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

fn spec(value: Value) -> Result<Value, String> {
    pruned(POD, json!({"spec": value})).map(|(mut object, _)| object["spec"].take())
}

/// A field of a pod's spec as it is sent and as it is kept; null where it is gone.
#[test]
fn what_is_kept() {
    let table = [
        // Empty and false plain values are not written.
        ("nodeName", json!(""), json!(null)),
        ("nodeName", json!("n"), json!("n")),
        ("hostNetwork", json!(false), json!(null)),
        ("hostNetwork", json!(true), json!(true)),
        ("nodeName", json!(null), json!(null)),
        // What Go points to is written, empty or not.
        ("priority", json!(0), json!(0)),
        ("priority", json!(null), json!(null)),
        ("enableServiceLinks", json!(false), json!(false)),
        ("runtimeClassName", json!(""), json!("")),
        ("terminationGracePeriodSeconds", json!(0), json!(0)),
        // Empty lists and maps are gone, and so are empty structs only where Go says so.
        ("volumes", json!([]), json!(null)),
        ("nodeSelector", json!({}), json!(null)),
        ("securityContext", json!({}), json!({})),
        ("affinity", json!({}), json!({})),
        // Null in a list or a map is the zero value.
        ("nodeSelector", json!({"a": null}), json!({"a": ""})),
        ("imagePullSecrets", json!([null]), json!([{}])),
        ("overhead", json!({"cpu": null}), json!({"cpu": "0"})),
        // Quantities become canonical, whether they were texts or numbers.
        ("overhead", json!({"cpu": "0.10", "memory": "1024Mi"}), json!({"cpu": "100m", "memory": "1Gi"})),
        ("overhead", json!({"cpu": 2, "memory": 1.5}), json!({"cpu": "2", "memory": "1500m"})),
        ("overhead", json!({"cpu": " 1 "}), json!({"cpu": "1"})),
        ("overhead", json!({"cpu": ""}), json!({"cpu": "0"})),
        // Integers stay what they are.
        ("activeDeadlineSeconds", json!(9_223_372_036_854_775_807_i64), json!(9_223_372_036_854_775_807_i64)),
        ("priority", json!(-2_147_483_648), json!(-2_147_483_648)),
    ];
    for (field, sent, kept) in table {
        let found = spec(json!({field: sent})).unwrap_or_else(|error| panic!("{field}: {sent}: {error}"));
        assert_eq!(found[field], kept, "{field}: {sent}");
    }
}

/// A field of a pod's spec and Go's complaint about it.
#[test]
fn what_is_refused() {
    let at = |found: &str, place: &str, ty: &str| {
        format!("json: cannot unmarshal {found} into Go struct field {place} of type {ty}")
    };
    let bare = |found: &str, ty: &str| format!("json: cannot unmarshal {found} into Go value of type {ty}");
    let quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    let table = [
        (json!({"nodeName": 5}), at("number", "PodSpec.spec.nodeName", "string")),
        (json!({"nodeName": true}), at("bool", "PodSpec.spec.nodeName", "string")),
        (json!({"nodeName": {}}), at("object", "PodSpec.spec.nodeName", "string")),
        (json!({"nodeName": []}), at("array", "PodSpec.spec.nodeName", "string")),
        (json!({"hostNetwork": "true"}), at("string", "PodSpec.spec.hostNetwork", "bool")),
        (json!({"hostNetwork": 1}), at("number", "PodSpec.spec.hostNetwork", "bool")),
        (json!({"priority": "1"}), at("string", "PodSpec.spec.priority", "int32")),
        (json!({"priority": 1.5}), at("number 1.5", "PodSpec.spec.priority", "int32")),
        (json!({"priority": 2_147_483_648_i64}), at("number 2147483648", "PodSpec.spec.priority", "int32")),
        (
            json!({"activeDeadlineSeconds": 18_446_744_073_709_551_615_u64}),
            at("number 18446744073709551615", "PodSpec.spec.activeDeadlineSeconds", "int64"),
        ),
        (json!({"containers": "x"}), at("string", "PodSpec.spec.containers", "[]v1.Container")),
        (json!({"containers": ["x"]}), at("string", "PodSpec.spec.containers", "v1.Container")),
        (json!({"containers": [{"args": [1]}]}), at("number", "Container.spec.containers.args", "string")),
        (json!({"containers": [{"args": "x"}]}), at("string", "Container.spec.containers.args", "[]string")),
        (
            json!({"containers": [{"securityContext": 5}]}),
            at("number", "Container.spec.containers.securityContext", "v1.SecurityContext"),
        ),
        (json!({"nodeSelector": []}), at("array", "PodSpec.spec.nodeSelector", "map[string]string")),
        (json!({"nodeSelector": {"a": 1}}), at("number", "PodSpec.spec.nodeSelector", "string")),
        (json!({"restartPolicy": 1}), at("number", "PodSpec.spec.restartPolicy", "v1.RestartPolicy")),
        (json!({"overhead": {"cpu": "1x"}}), quantity.into()),
        (json!({"overhead": {"cpu": "1K"}}), "unable to parse quantity's suffix".into()),
        (json!({"overhead": {"cpu": {}}}), quantity.into()),
        (json!({"containers": [{"readinessProbe": {"tcpSocket": {"port": {}}}}]}), bare("object", "int32")),
        (
            json!({"containers": [{"readinessProbe": {"tcpSocket": {"port": 2_147_483_648_i64}}}]}),
            bare("number 2147483648", "int32"),
        ),
        (json!({"containers": [{"readinessProbe": {"tcpSocket": {"port": 1.5}}}]}), bare("number 1.5", "int32")),
    ];
    for (sent, complaint) in table {
        assert_eq!(spec(sent.clone()).unwrap_err(), complaint, "{sent}");
    }
}

#[test]
fn unknown_fields() {
    let table: &[(&str, Value, &[&str])] = &[
        (POD, json!({"spec": {"containers": [{"imagee": "x"}]}}), &["spec.containers[0].imagee"]),
        (POD, json!({"metadata": {"label": {}}}), &["metadata.label"]),
        // Case counts.
        (POD, json!({"Spec": {}, "SPEC": {}}), &["SPEC", "Spec"]),
        (POD, json!({"spec": {"nodename": "x"}}), &["spec.nodename"]),
        // Keys of maps are in the path, whatever they are.
        ("io.k8s.api.policy.v1.PodDisruptionBudgetStatus", json!({"x": 1, "y": 2}), &["x", "y"]),
        (
            "io.k8s.api.apps.v1.Deployment",
            json!({"spec": {"template": {"spec": {"x": 1}}, "y": 2}}),
            &["spec.template.spec.x", "spec.y"],
        ),
        ("io.k8s.api.core.v1.ConfigMap", json!({"data": {"any": "thing"}, "dat": {}}), &["dat"]),
        ("io.k8s.api.rbac.v1.Role", json!({"rules": [{}, {"resource": ["x"]}]}), &["rules[1].resource"]),
        // What may hold anything is not looked into.
        (&format!("{META}.ObjectMeta"), json!({"managedFields": [{"fieldsV1": {"f:any": {"thing": 1}}}]}), &[]),
        ("io.k8s.api.apps.v1.ControllerRevision", json!({"data": {"any": {"thing": 1}}, "revision": 1}), &[]),
        (
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
            json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"properties": {"a": {"typ": "x", "default": {"any": 1}}}}}}]}}),
            &["spec.versions[0].schema.openAPIV3Schema.properties.a.typ"],
        ),
    ];
    for (name, sent, unknown) in table {
        let expected: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        assert_eq!(pruned(name, sent.clone()).unwrap().1, expected, "{sent}");
    }
    // Reports end somewhere.
    let many: serde_json::Map<String, Value> = (0..500).map(|n| (format!("x{n}"), json!(1))).collect();
    assert_eq!(pruned(POD, many.into()).unwrap().1.len(), 100);
}

#[test]
fn times() {
    let kept = |name: &str, text: &str| {
        let body = if name == "Time" {
            json!({"metadata": {"creationTimestamp": text}})
        } else {
            json!({"spec": {"renewTime": text}})
        };
        let kind = if name == "Time" { POD } else { "io.k8s.api.coordination.v1.Lease" };
        let pointer = if name == "Time" { "/metadata/creationTimestamp" } else { "/spec/renewTime" };
        pruned(kind, body).map(|(object, _)| object.pointer(pointer).cloned().unwrap_or_default())
    };
    let table = [
        ("Time", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("Time", "2026-01-02T03:04:05.999Z", "2026-01-02T03:04:05Z"),
        ("Time", "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
        ("Time", "2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
        ("Time", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("Time", "1900-01-01T00:00:00Z", "1900-01-01T00:00:00Z"),
        ("MicroTime", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"),
        ("MicroTime", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05.123456Z"),
        ("MicroTime", "2026-01-02T03:04:05.1+01:00", "2026-01-02T02:04:05.100000Z"),
    ];
    for (name, sent, expected) in table {
        assert_eq!(kept(name, sent), Ok(json!(expected)), "{sent}");
    }
    let layout = "2006-01-02T15:04:05Z07:00";
    let table = [
        ("", "", "2006"),
        ("today", "today", "2006"),
        ("2026", "", "-"),
        ("2026-1-02T03:04:05Z", "1-02T03:04:05Z", "01"),
        ("2026/01/02", "/01/02", "-"),
        ("2026-01-02", "", "T"),
        ("2026-01-02 03:04:05Z", " 03:04:05Z", "T"),
        ("2026-01-02T03:04Z", "Z", ":"),
        ("2026-01-02T03:04:05", "", "Z07:00"),
        ("2026-01-02T03:04:05 UTC", " UTC", "Z07:00"),
    ];
    for (sent, rest, part) in table {
        let expected = format!("parsing time {sent:?} as {layout:?}: cannot parse {rest:?} as {part:?}");
        assert_eq!(kept("Time", sent), Err(expected), "{sent:?}");
    }
}

#[test]
fn bytes() {
    let data = |text: &str| {
        pruned("io.k8s.api.core.v1.Secret", json!({"data": {"k": text}})).map(|(object, _)| object["data"]["k"].clone())
    };
    for (sent, kept) in [
        ("", ""),
        ("aGk=", "aGk="),
        ("aGk=\n", "aGk="),
        ("aG\r\nk=", "aGk="),
        ("AAEC/w==", "AAEC/w=="),
        ("aGl=", "aGk="),
        ("aR==", "aQ=="),
    ] {
        assert_eq!(data(sent), Ok(json!(kept)), "{sent:?}");
    }
    for (sent, at) in [
        ("a", 0),
        ("aGk", 0),
        ("!!!!", 0),
        ("aGk=x", 4),
        ("aG k", 2),
        ("aGkx_-==", 4),
        ("=", 0),
        ("a=", 1),
        ("aG=", 3),
        ("aG=x", 2),
        ("aGk\n", 1),
        ("aG==\n=", 5),
    ] {
        assert_eq!(data(sent), Err(format!("illegal base64 data at input byte {at}")), "{sent:?}");
    }
}

#[test]
fn what_go_always_writes() {
    let table = [
        (POD, json!({}), json!({"metadata": {}, "spec": {}, "status": {}})),
        ("io.k8s.api.core.v1.ConfigMap", json!({}), json!({"metadata": {}})),
        ("io.k8s.api.core.v1.Container", json!({}), json!({"name": "", "resources": {}})),
        ("io.k8s.api.core.v1.ContainerPort", json!({}), json!({"containerPort": 0})),
        ("io.k8s.api.core.v1.ServicePort", json!({"port": 80}), json!({"port": 80})),
        (
            "io.k8s.api.apps.v1.StatefulSet",
            json!({}),
            json!({"metadata": {}, "spec": {"selector": null, "serviceName": "", "template": {"metadata": {}, "spec": {}}, "updateStrategy": {}}, "status": {"availableReplicas": 0, "replicas": 0}}),
        ),
        (&format!("{META}.OwnerReference"), json!({}), json!({"apiVersion": "", "kind": "", "name": "", "uid": ""})),
    ];
    for (name, sent, expected) in table {
        let (found, reports) = pruned(name, sent).unwrap();
        assert_eq!((super::drop_nulls(found), reports), (super::drop_nulls(expected), vec![]), "{name}");
    }
}

#[test]
fn what_is_done_about_reports() {
    let deployment = def("io.k8s.api.apps.v1.Deployment").unwrap();
    let run = |body: Value, duplicates: &[&str], validation| -> Result<Vec<String>, Status> {
        let duplicates: Vec<String> = duplicates.iter().map(|path| (*path).to_string()).collect();
        validate_decoded(deployment, &mut body.clone(), &duplicates, validation)
    };
    let body = || json!({"spec": {"replica": 1, "paused": true}});
    assert_eq!(run(body(), &["spec.paused"], FieldValidation::Ignore), Ok(vec![]));
    let warnings = ["duplicate field \"spec.paused\"".to_string(), "unknown field \"spec.replica\"".into()];
    assert_eq!(run(body(), &["spec.paused"], FieldValidation::Warn), Ok(warnings.to_vec()));
    let status = run(body(), &["spec.paused"], FieldValidation::Strict).unwrap_err();
    assert_eq!(
        status.message,
        "Deployment in version \"v1\" cannot be handled as a Deployment: strict decoding error: duplicate field \"spec.paused\", unknown field \"spec.replica\""
    );
    // A wrong type is refused at every level.
    for validation in [FieldValidation::Ignore, FieldValidation::Warn, FieldValidation::Strict] {
        let status = run(json!({"spec": 5}), &[], validation).unwrap_err();
        assert_eq!(
            (status.code, status.message.as_str()),
            (
                400,
                "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number into Go struct field Deployment.spec of type v1.DeploymentSpec"
            )
        );
        assert_eq!(run(json!({"spec": {"replicas": 1}}), &[], validation), Ok(vec![]));
    }
    assert_eq!(FieldValidation::default(), FieldValidation::Warn);
    let mut value = json!({"x": 1});
    assert_eq!(validate_fields(deployment, &mut value, FieldValidation::Ignore), Ok(vec![]));
    assert!(value.get("x").is_none());
}
