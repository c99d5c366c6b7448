//! The schema table agrees with the table of kinds and with Go.

use super::*;
use crate::kinds::{KINDS, Subresource};

mod facts;
mod lookups;

#[test]
fn every_kind_has_a_definition() {
    for kind in KINDS {
        for served in kind.all_served() {
            let def = def(served.definition).unwrap_or_else(|| panic!("{}", served.definition));
            assert!(def.field("metadata").is_some(), "{}", served.definition);
            let list = format!("{}List", served.definition);
            assert_eq!(super::def(&list).is_some(), kind.verbs.stored(), "{list}");
            let has_status = def.field("status").is_some();
            assert!(has_status || !kind.has(Subresource::Status), "{} has no status", kind.kind);
        }
    }
}

#[test]
fn what_has_a_status_has_the_subresource() {
    // Upstream has no such path for these.
    let without = ["CSINode"];
    for kind in crate::kinds::stored() {
        let has_status = def(kind.definition).unwrap().field("status").is_some();
        let expected = kind.has(Subresource::Status) || without.contains(&kind.kind);
        assert!(!has_status || expected, "{}", kind.kind);
    }
}

#[test]
fn every_field_is_found_by_its_name_and_nothing_else_is() {
    let mut looked_at = 0;
    for def in all() {
        assert!(def.fields.len() <= MOST_FIELDS, "{}", def.short);
        for (at, field) in def.fields.iter().enumerate() {
            assert_eq!(def.position(field.name), Some(at), "{}.{}", def.short, field.name);
            // Of the same length, ends and middle.
            let mut other = field.name.to_string();
            other.insert(1.min(other.len()), '-');
            other.pop();
            assert_eq!(def.position(&other), None, "{}.{other}", def.short);
            let mut place = hash(field.name);
            while def.names.places[place & (def.names.places.len() - 1)] != at as u8 + 1 {
                (place, looked_at) = (place + 1, looked_at + 1);
            }
        }
        assert_eq!((def.position(""), def.position("no such field")), (None, None), "{}", def.short);
    }
    let fields: usize = all().map(|def| def.fields.len()).sum();
    assert!(looked_at < fields / 2, "{looked_at} detours to {fields} fields: a bad hash");
}

#[test]
fn inline_fields_are_found_with_their_facts() {
    let volume = def("io.k8s.api.core.v1.Volume").unwrap();
    assert_eq!(volume.field("emptyDir").unwrap().ty.def().unwrap().short, "EmptyDirVolumeSource");
    assert_eq!(volume.field("name").unwrap().number, 1);
    assert!(volume.field("volumeSource").is_none());
    let ephemeral = def("io.k8s.api.core.v1.EphemeralContainer").unwrap();
    let ports = ephemeral.field("ports").unwrap();
    assert_eq!((ports.list, ports.merge_key()), (ListType::Map, "containerPort"));
    assert_eq!(ports.keys(), ["containerPort", "protocol"]);
    assert!(ephemeral.all_fields().any(|field| field.name == "targetContainerName"));
    assert!(ephemeral.all_fields().any(|field| field.name == "image"));
}

#[test]
fn go_names_are_those_of_its_messages() {
    let of = |def_name: &str, field: &str| def(def_name).unwrap().field(field).unwrap().go_type();
    let table = [
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "labels", "map[string]string"),
        ("io.k8s.api.apps.v1.DeploymentSpec", "replicas", "int32"),
        ("io.k8s.api.core.v1.PodSpec", "containers", "[]v1.Container"),
        ("io.k8s.api.core.v1.ContainerPort", "protocol", "v1.Protocol"),
        ("io.k8s.api.core.v1.ResourceRequirements", "limits", "v1.ResourceList"),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "uid", "types.UID"),
    ];
    for (name, field, go) in table {
        assert_eq!(of(name, field), go);
    }
}

#[test]
fn objects_are_found_by_their_own_words() {
    let table = [
        ("v1", "Pod", "io.k8s.api.core.v1.Pod"),
        ("v1", "PodList", "io.k8s.api.core.v1.PodList"),
        ("v1", "PodExecOptions", "io.k8s.api.core.v1.PodExecOptions"),
        ("v1", "Status", "io.k8s.apimachinery.pkg.apis.meta.v1.Status"),
        ("apps/v1", "DeleteOptions", "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"),
        ("autoscaling/v1", "Scale", "io.k8s.api.autoscaling.v1.Scale"),
        ("events.k8s.io/v1", "EventList", "io.k8s.api.events.v1.EventList"),
    ];
    for (api_version, kind, name) in table {
        assert_eq!(of_object(api_version, kind).unwrap().name(), name);
    }
    assert!(of_object("v1", "Nothing").is_none());
}
