//! Pods that are refused, and why: one edit of a good pod per row, and the exact messages.

mod containers;
mod env;
mod placement;
mod probes;
mod resources;
mod spec;
mod updates;
mod volumes;
mod warnings;

use api::kinds;

use super::*;
use crate::strategy::defaults;
use crate::strategy::testing::texts;

fn good() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "emptyDir": {}}]}})
}

fn defaulted(mut pod: Value) -> Value {
    defaults::apply(kinds::find("", "v1", "pods").unwrap().0, &mut pod);
    pod
}

/// The good pod with `value` at `pointer`, after defaulting.
fn with(pointer: &str, value: &Value) -> Value {
    let mut pod = good();
    object::set(&mut pod, pointer, value.clone());
    defaulted(pod)
}

fn refused(pod: &Value) -> Vec<String> {
    let mut errors = Pod.validate(pod);
    errors.extend(Pod.validate_create(pod));
    texts(&errors)
}

fn check(table: &[(&str, Value, &[&str])]) {
    for (pointer, value, expected) in table {
        assert_eq!(refused(&with(pointer, value)), *expected, "{pointer} = {value}");
    }
}

/// Rows of what is added to the good pod's container, and what is then wrong below `spec.containers[0].`.
fn check_container(table: &[(Value, &[&str])]) {
    for (more, expected) in table {
        let expected: Vec<String> = expected.iter().map(|error| format!("spec.containers[0].{error}")).collect();
        assert_eq!(refused(&with("/spec/containers", &container(more.clone()))), expected, "{more}");
    }
}

/// `{"name": "c", "image": "i"}` and more.
fn container(more: Value) -> Value {
    let mut container = json!({"name": "c", "image": "i"});
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([container])
}

#[test]
fn a_good_pod_passes() {
    assert_eq!(refused(&defaulted(good())), Vec::<String>::new());
}
