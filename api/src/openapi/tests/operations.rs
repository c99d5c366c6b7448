//! Operations and schemas in the words of upstream's documents (api/openapi-spec): what generators and kubectl make of them.

use serde_json::{Value, json};

use super::{document, schema};
use crate::openapi::v2_document;

/// Document, path, method, operation id, action, kind of the body or answer.
#[test]
fn operations() {
    let table = [
        ("api/v1", "/api/v1/pods", "get", "listCoreV1PodForAllNamespaces", "list"),
        ("api/v1", "/api/v1/nodes", "get", "listCoreV1Node", "list"),
        ("api/v1", "/api/v1/nodes", "post", "createCoreV1Node", "post"),
        ("api/v1", "/api/v1/nodes", "delete", "deleteCoreV1CollectionNode", "deletecollection"),
        ("api/v1", "/api/v1/nodes/{name}", "get", "readCoreV1Node", "get"),
        ("api/v1", "/api/v1/nodes/{name}", "put", "replaceCoreV1Node", "put"),
        ("api/v1", "/api/v1/nodes/{name}", "patch", "patchCoreV1Node", "patch"),
        ("api/v1", "/api/v1/nodes/{name}", "delete", "deleteCoreV1Node", "delete"),
        ("api/v1", "/api/v1/nodes/{name}/status", "patch", "patchCoreV1NodeStatus", "patch"),
        ("api/v1", "/api/v1/namespaces/{namespace}/pods", "get", "listCoreV1NamespacedPod", "list"),
        ("api/v1", "/api/v1/namespaces/{namespace}/pods", "post", "createCoreV1NamespacedPod", "post"),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods",
            "delete",
            "deleteCoreV1CollectionNamespacedPod",
            "deletecollection",
        ),
        ("api/v1", "/api/v1/namespaces/{namespace}/pods/{name}", "delete", "deleteCoreV1NamespacedPod", "delete"),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods/{name}/binding",
            "post",
            "createCoreV1NamespacedPodBinding",
            "post",
        ),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/pods/{name}/eviction",
            "post",
            "createCoreV1NamespacedPodEviction",
            "post",
        ),
        (
            "api/v1",
            "/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            "post",
            "createCoreV1NamespacedServiceAccountToken",
            "post",
        ),
        ("api/v1", "/api/v1/namespaces/{name}/finalize", "put", "replaceCoreV1NamespaceFinalize", "put"),
        ("api/v1", "/api/v1/namespaces/{name}", "get", "readCoreV1Namespace", "get"),
        ("apis/apps/v1", "/apis/apps/v1/deployments", "get", "listAppsV1DeploymentForAllNamespaces", "list"),
        (
            "apis/apps/v1",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "get",
            "readAppsV1NamespacedDeploymentScale",
            "get",
        ),
        (
            "apis/apps/v1",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
            "put",
            "replaceAppsV1NamespacedDeploymentScale",
            "put",
        ),
        (
            "apis/autoscaling/v2",
            "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}",
            "get",
            "readAutoscalingV2NamespacedHorizontalPodAutoscaler",
            "get",
        ),
        (
            "apis/autoscaling/v1",
            "/apis/autoscaling/v1/namespaces/{namespace}/horizontalpodautoscalers/{name}",
            "get",
            "readAutoscalingV1NamespacedHorizontalPodAutoscaler",
            "get",
        ),
        (
            "apis/rbac.authorization.k8s.io/v1",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}",
            "put",
            "replaceRbacAuthorizationV1ClusterRole",
            "put",
        ),
        (
            "apis/authorization.k8s.io/v1",
            "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            "post",
            "createAuthorizationV1SubjectAccessReview",
            "post",
        ),
        (
            "apis/authorization.k8s.io/v1",
            "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews",
            "post",
            "createAuthorizationV1NamespacedLocalSubjectAccessReview",
            "post",
        ),
        (
            "apis/certificates.k8s.io/v1",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}/approval",
            "put",
            "replaceCertificatesV1CertificateSigningRequestApproval",
            "put",
        ),
        (
            "apis/flowcontrol.apiserver.k8s.io/v1",
            "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/{name}/status",
            "put",
            "replaceFlowcontrolApiserverV1FlowSchemaStatus",
            "put",
        ),
        (
            "apis/apiextensions.k8s.io/v1",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            "post",
            "createApiextensionsV1CustomResourceDefinition",
            "post",
        ),
    ];
    for (name, path, method, id, action) in table {
        let document = document(name);
        let operation = &document["paths"][path][method];
        assert_eq!(
            (&operation["operationId"], &operation["x-kubernetes-action"]),
            (&json!(id), &json!(action)),
            "{path}"
        );
    }
}

#[test]
fn what_is_not_there() {
    let core = document("api/v1");
    let paths = core["paths"].as_object().unwrap();
    // Namespaces are not deleted all at once, bindings only posted, and streams no operations.
    assert!(paths["/api/v1/namespaces"].get("delete").is_none());
    let bindings = paths["/api/v1/namespaces/{namespace}/bindings"].as_object().unwrap();
    assert_eq!(bindings.keys().collect::<Vec<_>>(), ["parameters", "post"]);
    assert!(!paths.contains_key("/api/v1/namespaces/{namespace}/bindings/{name}"));
    for stream in ["attach", "exec", "log", "portforward", "proxy"] {
        assert!(!paths.contains_key(&format!("/api/v1/namespaces/{{namespace}}/pods/{{name}}/{stream}")), "{stream}");
    }
    assert!(!paths.keys().any(|path| path.contains("tokenrequests") || path.contains("scales")));
}

/// Parameters by action, and those of the path.
#[test]
fn parameters() {
    let core = document("api/v1");
    let names = |parameters: &Value, place: &str| -> Vec<String> {
        let all = parameters.as_array().unwrap().iter().filter(|p| p["in"] == place);
        all.map(|p| p["name"].as_str().unwrap().to_string()).collect()
    };
    let one = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
    let many = &core["paths"]["/api/v1/namespaces/{namespace}/pods"];
    assert_eq!(names(&one["parameters"], "path"), ["name", "namespace"]);
    assert_eq!(names(&many["parameters"], "path"), ["namespace"]);
    assert!(one["parameters"].as_array().unwrap().iter().all(|p| p["required"] == true));
    assert!(core["paths"]["/api/v1/nodes"].get("parameters").is_none());
    let write = ["dryRun", "fieldManager", "fieldValidation", "pretty"];
    assert_eq!(names(&many["post"]["parameters"], "query"), write);
    assert_eq!(names(&one["put"]["parameters"], "query"), write);
    assert_eq!(names(&one["patch"]["parameters"], "query"), [write.as_slice(), &["force"]].concat());
    let delete = ["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"];
    assert_eq!(names(&one["delete"]["parameters"], "query"), delete);
    assert!(names(&many["get"]["parameters"], "query").contains(&"labelSelector".to_string()));
    assert!(names(&many["get"]["parameters"], "query").contains(&"watch".to_string()));
}

#[test]
fn bodies_and_answers() {
    let core = document("api/v1");
    let reference = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let json = |content: &Value| content["application/json"]["schema"].clone();
    let one = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
    let many = &core["paths"]["/api/v1/namespaces/{namespace}/pods"];
    let (pod, meta) = ("io.k8s.api.core.v1.Pod", "io.k8s.apimachinery.pkg.apis.meta.v1");
    let answer = |operation: &Value| json(&operation["responses"]["200"]["content"]);
    assert_eq!(answer(&many["get"]), reference("io.k8s.api.core.v1.PodList"));
    assert_eq!((answer(&one["get"]), answer(&one["put"])), (reference(pod), reference(pod)));
    assert_eq!(answer(&one["delete"]), reference(&format!("{meta}.Status")));
    assert_eq!(json(&many["post"]["requestBody"]["content"]), reference(pod));
    assert_eq!(many["post"]["requestBody"]["required"], true);
    assert_eq!(json(&one["delete"]["requestBody"]["content"]), reference(&format!("{meta}.DeleteOptions")));
    assert_eq!(one["delete"]["requestBody"]["required"], false);
    let patches: Vec<&String> = one["patch"]["requestBody"]["content"].as_object().unwrap().keys().collect();
    assert_eq!(
        patches,
        ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"]
    );
    let eviction = &core["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/eviction"]["post"];
    assert_eq!(json(&eviction["requestBody"]["content"]), reference("io.k8s.api.policy.v1.Eviction"));
    let gvk = json!({"group": "policy", "version": "v1", "kind": "Eviction"});
    assert_eq!(eviction["x-kubernetes-group-version-kind"], gvk);
}

/// Definition, field, its schema in version 3.
#[test]
fn fields() {
    let core = document("api/v1");
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let table = [
        ("PodSpec", "nodeName", json!({"type": "string"})),
        ("PodSpec", "hostNetwork", json!({"type": "boolean"})),
        ("PodSpec", "priority", json!({"type": "integer", "format": "int32"})),
        ("PodSpec", "activeDeadlineSeconds", json!({"type": "integer", "format": "int64"})),
        (
            "PodSpec",
            "nodeSelector",
            json!({"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"}),
        ),
        (
            "Container",
            "args",
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"}),
        ),
        (
            "Container",
            "ports",
            json!({"type": "array", "items": of("io.k8s.api.core.v1.ContainerPort"), "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["containerPort", "protocol"], "x-kubernetes-patch-merge-key": "containerPort",
                "x-kubernetes-patch-strategy": "merge"}),
        ),
        ("Container", "livenessProbe", of("io.k8s.api.core.v1.Probe")),
        ("Secret", "data", json!({"type": "object", "additionalProperties": {"type": "string", "format": "byte"}})),
        (
            "ResourceRequirements",
            "limits",
            json!({"type": "object", "additionalProperties": of("io.k8s.apimachinery.pkg.api.resource.Quantity")}),
        ),
        ("ServicePort", "targetPort", json!({"allOf": [of("io.k8s.apimachinery.pkg.util.intstr.IntOrString")]})),
    ];
    for (definition, field, expected) in table {
        let found = &schema(&core, &format!("io.k8s.api.core.v1.{definition}"))["properties"][field];
        assert_eq!(*found, expected, "{definition}.{field}");
    }
    let table = [
        ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", json!({"type": "string", "format": "date-time"})),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", json!({"type": "object"})),
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
        (
            "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
            json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
        ),
    ];
    for (name, expected) in table {
        assert_eq!(*schema(&core, name), expected, "{name}");
    }
}

#[test]
fn the_old_form_differs_where_its_version_does() {
    let document = v2_document();
    let definitions = &document["definitions"];
    let intstr = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    assert_eq!(definitions[intstr], json!({"type": "string", "format": "int-or-string"}));
    let target = &definitions["io.k8s.api.core.v1.ServicePort"]["properties"]["targetPort"];
    assert_eq!(*target, json!({"$ref": format!("#/definitions/{intstr}")}));
    let create = &document["paths"]["/api/v1/nodes"]["post"];
    let media = json!(["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"]);
    assert_eq!((&create["consumes"], &create["produces"]), (&media, &media));
    let body = create["parameters"].as_array().unwrap().last().unwrap();
    assert_eq!(
        *body,
        json!({"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/io.k8s.api.core.v1.Node"}})
    );
    assert_eq!(create["responses"]["200"]["schema"]["$ref"], "#/definitions/io.k8s.api.core.v1.Node");
    assert_eq!((&document["swagger"], &document["info"]["title"]), (&json!("2.0"), &json!("Kubernetes")));
}
