//! Discovery documents of the built-in kinds and of further ones.

use super::*;

mod documents;

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn groups_are_ordered_and_know_their_preferred_version() {
    let list = group_list();
    let names: Vec<&str> = list["groups"].as_array().unwrap().iter().filter_map(|g| g["name"].as_str()).collect();
    assert_eq!(names[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
    assert_eq!(names.len(), GROUPS.len() - 1, "core is not in it");
    let autoscaling = named(&list["groups"], "autoscaling");
    assert_eq!(autoscaling["preferredVersion"], json!({"groupVersion": "autoscaling/v2", "version": "v2"}));
    assert_eq!(autoscaling["versions"].as_array().unwrap().len(), 2);
    let apps = Discovery::default().group("apps").unwrap();
    assert_eq!((&apps["kind"], &apps["name"]), (&json!("APIGroup"), &json!("apps")));
    assert!(Discovery::default().group("nothing").is_none() && Discovery::default().group("").is_none());
}

#[test]
fn resource_lists_are_those_of_upstream() {
    let core = resource_list("", "v1").unwrap();
    assert!(core.get("apiVersion").is_none() && core["groupVersion"] == "v1");
    let resources = &core["resources"];
    assert_eq!(
        named(resources, "pods"),
        &json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "shortNames": ["po"],
            "categories": ["all"],
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]})
    );
    assert_eq!(
        named(resources, "pods/eviction"),
        &json!({"name": "pods/eviction", "singularName": "", "namespaced": true, "group": "policy", "version": "v1",
            "kind": "Eviction", "verbs": ["create"]})
    );
    assert_eq!(named(resources, "serviceaccounts/token")["kind"], "TokenRequest");
    assert_eq!(named(resources, "pods/exec")["kind"], "PodExecOptions");
    assert_eq!(named(resources, "bindings")["verbs"], json!(["create"]));
    assert!(!named(resources, "namespaces")["verbs"].as_array().unwrap().contains(&json!("deletecollection")));
    let apps = resource_list("apps", "v1").unwrap();
    assert_eq!((&apps["apiVersion"], &apps["groupVersion"]), (&json!("v1"), &json!("apps/v1")));
    assert_eq!(named(&apps["resources"], "deployments/scale")["group"], "autoscaling");
    assert!(resource_list("apps", "v2").is_none());
    assert_eq!(resource_list("events.k8s.io", "v1").unwrap()["resources"].as_array().unwrap().len(), 1);
}

#[test]
fn aggregated_documents_say_the_same() {
    let core = aggregated(true);
    assert_eq!(core["items"].as_array().unwrap().len(), 1);
    let pods = core["items"][0]["versions"][0]["resources"].as_array().unwrap();
    let pods = pods.iter().find(|entry| entry["resource"] == "pods").unwrap();
    assert_eq!(pods["responseKind"], json!({"group": "", "version": "v1", "kind": "Pod"}));
    assert_eq!((&pods["scope"], &pods["singularResource"]), (&json!("Namespaced"), &json!("pod")));
    let log = &pods["subresources"].as_array().unwrap()[5];
    assert_eq!((&log["subresource"], &log["responseKind"]["kind"]), (&json!("log"), &json!("Pod")));
    let others = aggregated(false);
    assert_eq!(others["items"].as_array().unwrap().len(), GROUPS.len() - 1);
    assert_eq!(others["items"][0]["metadata"]["name"], "apiregistration.k8s.io");
}

#[test]
fn every_served_version_is_told() {
    for kind in KINDS.iter().filter(|kind| kind.verbs != Verbs::BodyOnly) {
        for served in kind.all_served() {
            let list = resource_list(served.group, served.version).unwrap();
            assert_eq!(named(&list["resources"], kind.plural)["kind"], kind.kind);
        }
    }
}

#[test]
fn versions_are_ordered_by_maturity() {
    let mut versions = ["v1alpha1", "v1", "v2beta1", "v1beta2", "v10", "v2", "x"];
    versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
    assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "x"]);
}
