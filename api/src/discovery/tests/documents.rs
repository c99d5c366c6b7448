//! Discovery documents in full, where clients depend on each word.

use serde_json::{Value, json};

use super::super::*;

fn resource<'a>(document: &'a Value, name: &str) -> &'a Value {
    let found = document["resources"].as_array().unwrap().iter().find(|resource| resource["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn groups() {
    assert_eq!(
        api_versions("10.0.0.1:6443"),
        json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "10.0.0.1:6443"}]})
    );
    let discovery = Discovery::default();
    assert_eq!(
        discovery.group("apps").unwrap(),
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": "apps",
            "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
            "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"}})
    );
    assert_eq!(
        discovery.group("autoscaling").unwrap()["versions"],
        json!([{"groupVersion": "autoscaling/v2", "version": "v2"}, {"groupVersion": "autoscaling/v1", "version": "v1"}])
    );
    let list = group_list();
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("APIGroupList"), &json!("v1")));
    let names: Vec<&str> = list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "apiregistration.k8s.io",
            "apps",
            "events.k8s.io",
            "authentication.k8s.io",
            "authorization.k8s.io",
            "autoscaling",
            "batch",
            "certificates.k8s.io",
            "networking.k8s.io",
            "policy",
            "rbac.authorization.k8s.io",
            "storage.k8s.io",
            "admissionregistration.k8s.io",
            "apiextensions.k8s.io",
            "scheduling.k8s.io",
            "coordination.k8s.io",
            "node.k8s.io",
            "discovery.k8s.io",
            "flowcontrol.apiserver.k8s.io",
            "resource.k8s.io",
            "storagemigration.k8s.io",
        ]
    );
}

/// Document, resource, group and version of the body where they are another's, kind, verbs.
#[test]
fn subresources() {
    let table = [
        ("v1", "pods/attach", None, "PodAttachOptions", "create,get"),
        ("v1", "pods/binding", None, "Binding", "create"),
        ("v1", "pods/ephemeralcontainers", None, "Pod", "get,patch,update"),
        ("v1", "pods/eviction", Some(("policy", "v1")), "Eviction", "create"),
        ("v1", "pods/exec", None, "PodExecOptions", "create,get"),
        ("v1", "pods/log", None, "Pod", "get"),
        ("v1", "pods/portforward", None, "PodPortForwardOptions", "create,get"),
        ("v1", "pods/proxy", None, "PodProxyOptions", "create,delete,get,patch,update"),
        ("v1", "pods/resize", None, "Pod", "get,patch,update"),
        ("v1", "pods/status", None, "Pod", "get,patch,update"),
        ("v1", "nodes/proxy", None, "NodeProxyOptions", "create,delete,get,patch,update"),
        ("v1", "nodes/status", None, "Node", "get,patch,update"),
        ("v1", "services/proxy", None, "ServiceProxyOptions", "create,delete,get,patch,update"),
        ("v1", "namespaces/finalize", None, "Namespace", "update"),
        ("v1", "namespaces/status", None, "Namespace", "get,patch,update"),
        ("v1", "replicationcontrollers/scale", Some(("autoscaling", "v1")), "Scale", "get,patch,update"),
        ("v1", "serviceaccounts/token", Some(("authentication.k8s.io", "v1")), "TokenRequest", "create"),
        ("apps/v1", "deployments/scale", Some(("autoscaling", "v1")), "Scale", "get,patch,update"),
        ("apps/v1", "statefulsets/status", None, "StatefulSet", "get,patch,update"),
        (
            "certificates.k8s.io/v1",
            "certificatesigningrequests/approval",
            None,
            "CertificateSigningRequest",
            "get,patch,update",
        ),
    ];
    for (version, name, elsewhere, kind, verbs) in table {
        let (group, bare) = crate::kinds::split_api_version(version);
        let document = resource_list(group, bare).unwrap();
        let found = resource(&document, name);
        assert_eq!((&found["kind"], &found["singularName"]), (&json!(kind), &json!("")), "{name}");
        assert_eq!(found["verbs"], json!(verbs.split(',').collect::<Vec<_>>()), "{name}");
        let parent = resource(&document, name.split('/').next().unwrap());
        assert_eq!(found["namespaced"], parent["namespaced"], "{name}");
        let place = elsewhere.map_or((Value::Null, Value::Null), |(group, version)| (json!(group), json!(version)));
        assert_eq!((&found["group"], &found["version"]), (&place.0, &place.1), "{name}");
    }
}

#[test]
fn the_aggregated_form_of_one_kind() {
    let document = aggregated(false);
    let group = document["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "apps").unwrap();
    assert_eq!(group["metadata"], json!({"name": "apps", "creationTimestamp": null}));
    let version = &group["versions"][0];
    assert_eq!((&version["version"], &version["freshness"]), (&json!("v1"), &json!("Current")));
    let deployments = version["resources"].as_array().unwrap().iter().find(|r| r["resource"] == "deployments").unwrap();
    let own = json!({"group": "apps", "version": "v1", "kind": "Deployment"});
    assert_eq!(
        deployments,
        &json!({"resource": "deployments", "responseKind": own, "scope": "Namespaced", "singularResource": "deployment",
            "shortNames": ["deploy"], "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "subresources": [
                {"subresource": "scale", "verbs": ["get", "patch", "update"],
                 "responseKind": {"group": "autoscaling", "version": "v1", "kind": "Scale"}},
                {"subresource": "status", "verbs": ["get", "patch", "update"], "responseKind": own}]})
    );
    let core = aggregated(true);
    assert_eq!(core["items"][0]["metadata"], json!({"creationTimestamp": null}), "core has no name");
    assert_eq!(
        (&core["kind"], &core["apiVersion"]),
        (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2"))
    );
}

/// A kind that comes at run time stands behind the built-in ones, in a group of its own or in theirs.
#[test]
fn further_kinds() {
    let kind = |group: &'static str, version: &'static str| -> KindRef {
        Box::leak(Box::new(Kind {
            group,
            version,
            kind: "Widget",
            list_kind: "WidgetList",
            plural: "widgets",
            singular: "widget",
            namespaced: false,
            definition: "",
            short: &["wd"],
            categories: &[],
            subresources: &[Subresource::Status],
            verbs: Verbs::Full,
            also: &[],
            columns: crate::columns::NAME_AGE,
        }))
    };
    let discovery =
        Discovery::with(&[kind("zoo.example.com", "v1alpha1"), kind("art.example.com", "v1"), kind("apps", "v1")]);
    let list = discovery.group_list();
    let names: Vec<&str> = list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names[names.len() - 2..], ["art.example.com", "zoo.example.com"]);
    let own = discovery.resource_list("zoo.example.com", "v1alpha1").unwrap();
    assert_eq!(own["groupVersion"], "zoo.example.com/v1alpha1");
    assert_eq!(resource(&own, "widgets")["shortNames"], json!(["wd"]));
    assert_eq!(resource(&own, "widgets/status")["kind"], "Widget");
    let apps = discovery.resource_list("apps", "v1").unwrap();
    assert!(resource(&apps, "widgets")["namespaced"] == false && resource(&apps, "deployments")["namespaced"] == true);
    assert!(discovery.resource_list("zoo.example.com", "v1").is_none());
    let item = discovery.aggregated(false);
    let item =
        item["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "art.example.com").unwrap();
    assert_eq!(item["versions"][0]["resources"][0]["scope"], "Cluster");
}

#[test]
fn order_of_versions() {
    let sorted = |versions: &[&'static str]| {
        let mut versions = versions.to_vec();
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        versions
    };
    let table: [(&[&str], &[&str]); 5] = [
        (&["v1", "v2"], &["v2", "v1"]),
        (&["v1beta1", "v1"], &["v1", "v1beta1"]),
        (&["v1alpha1", "v1beta1", "v1beta2", "v1alpha2"], &["v1beta2", "v1beta1", "v1alpha2", "v1alpha1"]),
        (&["v2alpha1", "v1beta1"], &["v1beta1", "v2alpha1"]),
        (
            &["v3beta1", "v12alpha1", "v12alpha2", "v10beta3", "v1", "v11alpha2", "v11beta2", "v2", "v10"],
            &["v10", "v2", "v1", "v11beta2", "v10beta3", "v3beta1", "v12alpha2", "v12alpha1", "v11alpha2"],
        ),
    ];
    for (given, expected) in table {
        assert_eq!(sorted(given), expected);
    }
}
