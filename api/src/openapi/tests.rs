//! The documents say what clients look for.

use serde_json::Value;

use super::*;
use crate::kinds::Verbs;

mod operations;

fn document(path: &str) -> Value {
    serde_json::from_slice(&v3_document(path).unwrap()).unwrap()
}

fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

/// Every `$ref` of a document leads to something in it.
fn assert_closed(value: &Value, document: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.trim_start_matches('#');
                assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            object.values().for_each(|value| assert_closed(value, document));
        }
        Value::Array(array) => array.iter().for_each(|value| assert_closed(value, document)),
        _ => {}
    }
}

#[test]
fn the_index_leads_to_every_document() {
    let index = v3_index();
    let paths = index["paths"].as_object().unwrap();
    assert_eq!(paths.len(), GROUPS.len() + 1, "autoscaling has two versions");
    for (path, entry) in paths {
        let url = entry["serverRelativeURL"].as_str().unwrap();
        assert!(url.starts_with(&format!("/openapi/v3/{path}?hash=")), "{url}");
        let document = document(path);
        assert_closed(&document, &document);
    }
    assert!(v3_document("apis/nothing/v1").is_none() && v3_document("x").is_none() && v3_document("api/v2").is_none());
    assert_eq!(v3_index(), index, "hashes are stable");
}

#[test]
fn schemas_carry_keys_strategies_and_kinds() {
    let core = document("api/v1");
    let pod = schema(&core, "io.k8s.api.core.v1.Pod");
    assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "version": "v1", "kind": "Pod"}]));
    let spec = schema(&core, "io.k8s.api.core.v1.PodSpec");
    assert_eq!(spec["required"], json!(["containers"]));
    assert_eq!(
        spec["properties"]["containers"],
        json!({"type": "array", "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name"})
    );
    assert_eq!(spec["properties"]["volumes"]["x-kubernetes-patch-strategy"], "merge,retainKeys");
    assert_eq!(
        pod["properties"]["metadata"],
        json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}], "default": {}})
    );
    let volume = schema(&core, "io.k8s.api.core.v1.Volume");
    assert!(volume["properties"]["emptyDir"].is_object(), "inline fields belong to the object");
    assert_eq!(schema(&core, "io.k8s.api.core.v1.ObjectReference")["x-kubernetes-map-type"], "atomic");
    assert_eq!(schema(&core, "io.k8s.apimachinery.pkg.util.intstr.IntOrString")["format"], "int-or-string");
    let review = document("apis/authorization.k8s.io/v1");
    let extra = &schema(&review, "io.k8s.api.authorization.v1.SubjectAccessReviewSpec")["properties"]["extra"];
    assert_eq!(extra["additionalProperties"], json!({"type": "array", "items": {"type": "string"}}));
}

#[test]
fn every_resource_has_the_paths_kubectl_looks_for() {
    for (group, version) in group_versions() {
        let document = document(&path_of(group, version));
        for kind in kinds_of(group, version) {
            if kind.verbs == Verbs::BodyOnly {
                continue;
            }
            let scope = if kind.namespaced { "namespaces/{namespace}/" } else { "" };
            let path = format!("/{}/{scope}{}", path_of(group, version), kind.plural);
            let post = &document["paths"][&path]["post"];
            let gvk = json!({"group": group, "version": version, "kind": kind.kind});
            assert_eq!(post["x-kubernetes-group-version-kind"], gvk, "{path}");
            if !kind.verbs.stored() {
                continue;
            }
            let patch = &document["paths"][&format!("{path}/{{name}}")]["patch"];
            assert_eq!(
                (&patch["x-kubernetes-action"], &patch["x-kubernetes-group-version-kind"]),
                (&json!("patch"), &gvk)
            );
            for name in ["fieldValidation", "dryRun"] {
                let parameters = patch["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|p| p["name"] == name && p["in"] == "query"), "{path} {name}");
            }
        }
    }
}

#[test]
fn operations_are_named_once_and_as_upstream_names_them() {
    let mut seen = BTreeSet::new();
    for (group, version) in group_versions() {
        let document = document(&path_of(group, version));
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values().filter_map(|o| o.get("operationId")) {
                assert!(seen.insert(operation.as_str().unwrap().to_owned()), "{operation} twice");
            }
        }
    }
    for id in [
        "listCoreV1NamespacedPod",
        "listCoreV1PodForAllNamespaces",
        "createAppsV1NamespacedDeployment",
        "deleteCoreV1CollectionNamespacedConfigMap",
        "replaceCoreV1NodeStatus",
        "patchAppsV1NamespacedDeploymentScale",
        "createCoreV1NamespacedPodEviction",
        "readRbacAuthorizationV1ClusterRole",
    ] {
        assert!(seen.contains(id), "{id}");
    }
}

#[test]
fn version_two_is_one_document_in_two_forms() {
    let document: Value = serde_json::from_slice(&v2()).unwrap();
    assert_closed(&document, &document);
    assert_eq!(document["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"], json!({"type": "string"}));
    assert_eq!(document["paths"]["/api/v1/nodes"]["get"]["x-kubernetes-action"], "list");
    let bytes = v2_protobuf();
    let mut reader = crate::protobuf::wire::Reader::new(&bytes);
    let (mut version, mut definitions) = (String::new(), 0);
    while let Some(tag) = reader.tag().unwrap() {
        match tag.field {
            1 => version = reader.string(tag).unwrap(),
            9 => {
                let mut inner = crate::protobuf::wire::Reader::new(reader.bytes(tag).unwrap());
                while let Some(tag) = inner.tag().unwrap() {
                    inner.skip(tag).unwrap();
                    definitions += 1;
                }
            }
            _ => reader.skip(tag).unwrap(),
        }
    }
    assert_eq!((version.as_str(), definitions), ("2.0", document["definitions"].as_object().unwrap().len()));
}
