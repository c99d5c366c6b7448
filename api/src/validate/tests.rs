//! Unknown fields, wrong types, canonical forms.

use serde_json::json;

use super::*;
use crate::schema::def;

mod tables;

fn pruned(name: &str, mut value: Value) -> Result<(Value, Vec<String>), String> {
    let reports = prune(def(name).unwrap(), &mut value)?;
    Ok((value, reports))
}

const POD: &str = "io.k8s.api.core.v1.Pod";
const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

#[test]
fn unknown_fields_are_dropped_and_reported_with_their_path() {
    let (value, reports) = pruned(
        POD,
        json!({"kind": "Pod", "apiVersion": "v1", "foo": 1, "Spec": {},
            "metadata": {"name": "p", "labels": {"any": "thing"}},
            "spec": {"containers": [{"name": "a", "x": 1}, {"name": "b", "env": [{"name": "e", "y": {}}]}],
                     "volumes": [{"name": "v", "emptyDir": {"z": 1}}], "overhead": {"cpu": "1"}}}),
    )
    .unwrap();
    assert_eq!(
        reports,
        [
            "unknown field \"Spec\"",
            "unknown field \"foo\"",
            "unknown field \"spec.containers[0].x\"",
            "unknown field \"spec.containers[1].env[0].y\"",
            "unknown field \"spec.volumes[0].emptyDir.z\"",
        ]
    );
    assert!(value.get("foo").is_none() && value["spec"]["containers"][0].get("x").is_none());
    assert_eq!(value["spec"]["volumes"], json!([{"name": "v", "emptyDir": {}}]));
}

#[test]
fn wrong_types_are_refused_in_gos_words() {
    let field = "json: cannot unmarshal";
    let table = [
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": "3"}}),
            "string into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": 1.5}}),
            "number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            DEPLOYMENT,
            json!({"spec": {"replicas": 3_000_000_000u64}}),
            "number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32",
        ),
        (
            POD,
            json!({"metadata": {"labels": {"a": 1}}}),
            "number into Go struct field ObjectMeta.metadata.labels of type string",
        ),
        (
            POD,
            json!({"metadata": {"labels": "a"}}),
            "string into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (POD, json!({"metadata": []}), "array into Go struct field Pod.metadata of type v1.ObjectMeta"),
        (
            POD,
            json!({"spec": {"containers": {}}}),
            "object into Go struct field PodSpec.spec.containers of type []v1.Container",
        ),
        (
            POD,
            json!({"spec": {"containers": [1]}}),
            "number into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            POD,
            json!({"spec": {"containers": [{"env": [{"value": true}]}]}}),
            "bool into Go struct field EnvVar.spec.containers.env.value of type string",
        ),
        (
            POD,
            json!({"spec": {"containers": [{"ports": [{"protocol": 6}]}]}}),
            "number into Go struct field ContainerPort.spec.containers.ports.protocol of type v1.Protocol",
        ),
        (POD, json!([]), "array into Go value of type v1.Pod"),
    ];
    for (name, value, error) in table {
        assert_eq!(pruned(name, value).unwrap_err(), format!("{field} {error}"));
    }
}

#[test]
fn types_with_a_form_of_their_own_have_their_own_errors() {
    let table = [
        (
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}),
            "quantities must match the regular expression",
        ),
        (
            json!({"metadata": {"creationTimestamp": "today"}}),
            "parsing time \"today\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"today\" as \"2006\"",
        ),
        (json!({"metadata": {"creationTimestamp": "2024-01-01 00:00"}}), "cannot parse \" 00:00\" as \"T\""),
        (json!({"metadata": {"creationTimestamp": 5}}), "json: cannot unmarshal number into Go value of type string"),
        (
            json!({"spec": {"containers": [{"livenessProbe": {"httpGet": {"port": true}}}]}}),
            "json: cannot unmarshal bool into Go value of type int32",
        ),
    ];
    for (value, error) in table {
        let found = pruned(POD, value).unwrap_err();
        assert!(found.contains(error), "{found}");
    }
    let secret = pruned("io.k8s.api.core.v1.Secret", json!({"data": {"a": "no base64!"}}));
    assert_eq!(secret.unwrap_err(), "illegal base64 data at input byte 2");
}

#[test]
fn objects_come_out_as_go_writes_them() {
    let (value, _) = pruned(
        POD,
        json!({"metadata": {"name": "p", "labels": {}, "namespace": null, "annotations": {"a": null},
                    "creationTimestamp": "2024-01-01T01:00:00.5+01:00"},
               "spec": {"hostNetwork": false, "nodeName": "", "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "args": [null, "x"], "ports": [],
                        "resources": {"requests": {"cpu": "0.50", "memory": 1024}}}]}}),
    )
    .unwrap();
    assert_eq!(
        value,
        json!({"metadata": {"name": "p", "annotations": {"a": ""}, "creationTimestamp": "2024-01-01T00:00:00Z"},
               "spec": {"terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "args": ["", "x"],
                        "resources": {"requests": {"cpu": "500m", "memory": "1024"}}}]},
               "status": {}})
    );
    let (value, _) = pruned(DEPLOYMENT, json!({"spec": {"replicas": 0}})).unwrap();
    assert_eq!(
        value,
        json!({"metadata": {}, "spec": {"replicas": 0, "strategy": {}, "template": {"metadata": {}, "spec": {}}},
               "status": {}})
    );
}

#[test]
fn validation_levels_differ_only_in_what_they_do_about_reports() {
    let def = def("io.k8s.api.core.v1.ConfigMap").unwrap();
    let body = json!({"data": {}, "foo": 1});
    let run = |validation| {
        let mut value = body.clone();
        validate_decoded(def, &mut value, &["data".into()], validation).map(|warnings| (value, warnings))
    };
    assert_eq!(run(FieldValidation::Ignore).unwrap(), (json!({"metadata": {}}), vec![]));
    let warnings = vec!["duplicate field \"data\"".to_owned(), "unknown field \"foo\"".to_owned()];
    assert_eq!(run(FieldValidation::Warn).unwrap().1, warnings);
    let status = run(FieldValidation::Strict).unwrap_err();
    assert_eq!((status.code, status.reason.as_str()), (400, "BadRequest"));
    assert_eq!(
        status.message,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: duplicate field \
         \"data\", unknown field \"foo\""
    );
}

#[test]
fn options_are_objects_and_null_is_a_time() {
    let table = [
        ("io.k8s.apimachinery.pkg.apis.meta.v1.CreateOptions", json!({"apiVersion": "v1", "kind": "CreateOptions"})),
        (
            "io.k8s.api.policy.v1.PodDisruptionBudgetStatus",
            json!({"disruptedPods": {"p": null},
            "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}),
        ),
    ];
    for (name, value) in table {
        assert_eq!(pruned(name, value.clone()).unwrap(), (value, vec![]));
    }
}

/// An object in which nothing is set but what contains something: one empty element in each list and map.
fn hollow(def: &'static Def, depth: u32) -> Value {
    let inner = |ty: Type| match ty {
        Type::Def(id) if id.get().form == Form::Object => hollow(id.get(), depth - 1),
        ty => zero(ty),
    };
    let mut object = Map::new();
    for field in def.all_fields().filter(|field| depth > 0 && field.number != 0) {
        let value = match field.ty {
            Type::Def(id) if id.get().form == Form::Object => inner(field.ty),
            Type::List(element) => json!([inner(*element)]),
            Type::Map(element) => json!({"k": inner(*element)}),
            _ => continue,
        };
        object.insert(field.name.into(), value);
    }
    Value::Object(object)
}

/// JSON and protobuf bodies lead to the same object, whatever was left out.
#[test]
fn the_check_and_the_transcoder_agree_on_what_is_empty() {
    for kind in crate::kinds::KINDS {
        for served in kind.all_served() {
            let def = def(served.definition).unwrap();
            for depth in [0, 2, 7] {
                let (value, reports) = pruned(served.definition, hollow(def, depth)).unwrap();
                assert!(reports.is_empty());
                let bytes = crate::protobuf::encode_message(def, &value).unwrap();
                let decoded = crate::protobuf::decode_message(def, &bytes).unwrap();
                assert_eq!(drop_nulls(decoded), drop_nulls(value), "{}", served.definition);
            }
        }
    }
}

fn drop_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            object.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, drop_nulls(v))).collect()
        }
        Value::Array(array) => array.into_iter().map(drop_nulls).collect(),
        other => other,
    }
}

#[test]
fn custom_resource_schemas_pass() {
    let schema = json!({"type": "object", "additionalProperties": true, "x-kubernetes-int-or-string": true,
        "properties": {"a": {"items": {"type": "string"}, "default": {"deep": [null]}}}});
    let body = json!({"spec": {"group": "g", "names": {"kind": "K", "plural": "ks"}, "scope": "Cluster",
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}});
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
    let (value, reports) = pruned(name, body.clone()).unwrap();
    assert!(reports.is_empty(), "{reports:?}");
    assert_eq!(value["spec"], body["spec"]);
    let bad = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"additionalProperties": 1}}}]}});
    assert_eq!(pruned(name, bad).unwrap_err(), "boolean or JSON schema expected");
}
