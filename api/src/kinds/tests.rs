//! The table of kinds agrees with itself.

use std::collections::HashSet;

use super::*;

mod resources;

#[test]
fn rows_are_found_by_every_name() {
    let pods = find("", "v1", "pods").unwrap().0;
    assert_eq!((pods.kind, pods.singular, pods.list_kind, pods.namespaced), ("Pod", "pod", "PodList", true));
    assert!(std::ptr::eq(pods, by_kind("", "v1", "Pod").unwrap().0));
    assert!(std::ptr::eq(pods, by_definition("io.k8s.api.core.v1.Pod").unwrap().0));
    assert!(std::ptr::eq(pods, of::<k8s_openapi::api::core::v1::Pod>().unwrap()));
    assert_eq!(by_api_version("apps/v1", "Deployment").unwrap().0.plural, "deployments");
    assert!(find("", "v1", "deployments").is_none());
    assert!(find("authentication.k8s.io", "v1", "token").is_none(), "a body is no resource");
    assert!(by_kind("authentication.k8s.io", "v1", "TokenRequest").is_some());
}

#[test]
fn shared_storage_is_one_row() {
    let (core, _) = find("", "v1", "events").unwrap();
    let (events, served) = find("events.k8s.io", "v1", "events").unwrap();
    assert!(std::ptr::eq(core, events));
    assert_eq!(served.definition, "io.k8s.api.events.v1.Event");
    let (v2, _) = find("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
    assert!(std::ptr::eq(v2, find("autoscaling", "v1", "horizontalpodautoscalers").unwrap().0));
}

#[test]
fn keys_are_prefix_free() {
    assert_eq!(find("", "v1", "pods").unwrap().0.key("default", "a"), "/registry/pods/default/a");
    assert_eq!(find("", "v1", "nodes").unwrap().0.key("ignored", "n"), "/registry/nodes/n");
    assert_eq!(find("apps", "v1", "deployments").unwrap().0.key("d", "a"), "/registry/apps/deployments/d/a");
    let prefixes: Vec<String> = stored().map(Kind::storage_prefix).collect();
    for (i, a) in prefixes.iter().enumerate() {
        for (j, b) in prefixes.iter().enumerate() {
            assert!(i == j || !a.starts_with(b.as_str()), "{a} lies in {b}");
        }
    }
}

#[test]
fn no_name_means_two_kinds() {
    let (mut triples, mut names) = (HashSet::new(), HashSet::new());
    for kind in KINDS {
        for served in kind.all_served() {
            assert!(triples.insert((served.group, served.version, kind.kind)), "{served:?} twice");
            assert!(GROUPS.contains(&served.group), "{} has no place in the order of groups", served.group);
        }
        for name in kind.short.iter().copied().chain([kind.singular, kind.plural]) {
            if kind.verbs != Verbs::BodyOnly {
                assert!(names.insert(name) || name == kind.plural, "{name} twice");
            }
        }
        assert_eq!(kind.singular, kind.kind.to_lowercase());
        assert_eq!(kind.list_kind.is_empty(), !kind.verbs.stored());
        assert!(kind.subresources.is_sorted_by_key(|s| s.name()), "{}: subresources not sorted", kind.kind);
    }
}
