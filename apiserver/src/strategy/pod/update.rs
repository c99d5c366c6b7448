//! What may change in a pod once it exists (upstream: ValidatePodUpdate, ValidatePodStatusUpdate in
//! pkg/apis/core/validation).

use std::fmt::Write;

use serde_json::Value;

use crate::strategy::check::{At, Errors, IMMUTABLE};
use crate::strategy::semantic;

const SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const MIRROR: &str = "kubernetes.io/config.mirror";
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
/// Lines of differences that a message shows at most.
const MOST_LINES: usize = 40;

/// A change of a pod by its main path.
pub fn pod(new: &Value, old: &Value, errors: &mut Errors) {
    let (root, before) = (At::root(new), At::root(old));
    mirror(&root, &before, errors);
    let (spec, old_spec) = (root.get("spec"), before.get("spec"));
    for list in ["containers", "initContainers"] {
        if spec.get(list).len() != old_spec.get(list).len() {
            return errors.forbidden(&spec.get(list), "pod updates may not add or remove containers");
        }
    }
    if !deadline(&spec.get("activeDeadlineSeconds"), &old_spec.get("activeDeadlineSeconds"), errors) {
        return;
    }
    added_tolerations(&spec.get("tolerations"), &old_spec.get("tolerations"), errors);
    let gates: Vec<&str> = old_spec.get("schedulingGates").items().map(|gate| gate.get("name").text()).collect();
    for gate in spec.get("schedulingGates").items() {
        let name = gate.get("name");
        if !gates.contains(&name.text()) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", name.text());
            errors.forbidden(&name, detail);
        }
    }
    rest(&spec, &old_spec, !gates.is_empty(), errors);
}

fn mirror(new: &At<'_>, old: &At<'_>, errors: &mut Errors) {
    let note = |pod: &At<'_>| pod.value.pointer("/metadata/annotations").and_then(|notes| notes.get(MIRROR)).cloned();
    let notes = new.at("metadata.annotations");
    let at = At { value: notes.value, path: notes.path.key(MIRROR) };
    match (note(new), note(old)) {
        (after, Some(before)) if after.as_ref() != Some(&before) => {
            errors.forbidden(&at, "may not remove or update mirror pod annotation");
        }
        (Some(_), None) => errors.forbidden(&at, "may not add mirror pod annotation"),
        _ => {}
    }
}

/// Answers whether it makes sense to look further.
fn deadline(new: &At<'_>, old: &At<'_>, errors: &mut Errors) -> bool {
    match (new.int(), old.int()) {
        (Some(after), _) if !(0..=i64::from(i32::MAX)).contains(&after) => {
            errors.invalid(new, format!("must be between 0 and {}, inclusive", i32::MAX));
            false
        }
        (Some(after), Some(before)) if after > before => {
            errors.invalid(new, "must be less than or equal to previous value");
            false
        }
        (None, Some(_)) => {
            errors.invalid(new, "must not update from a positive integer to nil value");
            true
        }
        _ => true,
    }
}

fn added_tolerations(new: &At<'_>, old: &At<'_>, errors: &mut Errors) {
    let bare = |toleration: &Value| {
        let mut bare = semantic::canonical("io.k8s.api.core.v1.Toleration", toleration);
        if let Some(map) = bare.as_object_mut() {
            map.remove("tolerationSeconds");
        }
        bare
    };
    let present: Vec<Value> = new.items().map(|toleration| bare(toleration.value)).collect();
    if old.items().any(|toleration| !present.contains(&bare(toleration.value))) {
        errors.forbidden(new, "existing toleration can not be modified except its tolerationSeconds");
    }
}

/// Everything else must be as it was.
fn rest(new: &At<'_>, old: &At<'_>, gated: bool, errors: &mut Errors) {
    let mut munged = new.value.clone();
    for list in ["containers", "initContainers"] {
        let before: Vec<Value> = old.get(list).items().map(|container| container.get("image").value.clone()).collect();
        let after = munged.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for (container, image) in after.zip(before) {
            container["image"] = image;
        }
    }
    let mut kept = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    let grace = |spec: &At<'_>| spec.get("terminationGracePeriodSeconds").int();
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(new) == Some(1) {
        kept.push("terminationGracePeriodSeconds");
    }
    if gated {
        // A pod that the scheduler may not see yet may be narrowed down.
        let narrowed = old
            .get("nodeSelector")
            .entries()
            .all(|(key, value)| new.get("nodeSelector").value.get(key) == Some(value.value));
        if !narrowed {
            let at = new.get("nodeSelector");
            errors.invalid(&at, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
        }
        kept.push("nodeSelector");
    }
    for field in kept {
        munged[field] = old.get(field).value.clone();
    }
    let (after, before) = (semantic::canonical(SPEC, &munged), semantic::canonical(SPEC, old.value));
    if after != before {
        let shown = difference(&before, &after);
        errors.forbidden(new, format!("pod updates may not change fields other than {UPDATABLE}\n{shown}"));
    }
}

/// The difference in lines, somewhat like upstream's go-cmp prints it.
fn difference(old: &Value, new: &Value) -> String {
    let mut lines = Vec::new();
    collect("", old, new, &mut lines);
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.truncate(MOST_LINES);
    let mut text = String::from("  core.PodSpec{\n  \t... // identical fields\n");
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    if more > 0 {
        let _ = writeln!(text, "  \t... // {more} more lines");
    }
    text + "  }\n"
}

fn collect(path: &str, old: &Value, new: &Value, lines: &mut Vec<String>) {
    match (old, new) {
        _ if old == new => {}
        (Value::Object(before), Value::Object(after)) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let null = Value::Null;
                collect(&path, before.get(key).unwrap_or(&null), after.get(key).unwrap_or(&null), lines);
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (before, after)) in before.iter().zip(after).enumerate() {
                collect(&format!("{path}[{index}]"), before, after, lines);
            }
        }
        _ => {
            lines.push(format!("- \t{path}: {},", shown(old)));
            lines.push(format!("+ \t{path}: {},", shown(new)));
        }
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { "nil".into() } else { value.to_string() }
}

/// A change of `/status`.
pub fn status(new: &Value, old: &Value, errors: &mut Errors) {
    let (root, before) = (At::root(new), At::root(old));
    mirror(&root, &before, errors);
    let (status, old_status) = (root.get("status"), before.get("status"));
    let (class, old_class) = (status.get("qosClass"), old_status.get("qosClass"));
    if class.text() != old_class.text() && !old_class.text().is_empty() {
        errors.invalid_as(&class, class.text(), IMMUTABLE);
    }
    let restart = before.at("spec.restartPolicy").text();
    for list in ["containerStatuses", "ephemeralContainerStatuses"] {
        let restart = if list == "containerStatuses" { restart } else { "Never" };
        transitions(&status.get(list), &old_status.get(list), restart, &[], errors);
    }
    let init = before.at("spec.initContainers");
    let sidecars: Vec<&str> = init
        .items()
        .filter(|container| container.get("restartPolicy").text() == "Always")
        .map(|container| container.get("name").text())
        .collect();
    let list = "initContainerStatuses";
    transitions(&status.get(list), &old_status.get(list), restart, &sidecars, errors);
    for (field, key) in [("podIPs", "ip"), ("hostIPs", "ip")] {
        for entry in status.get(field).items() {
            let place = At { path: entry.path.clone(), ..entry.get(key) };
            errors.ip(&place);
        }
    }
}

/// A container that has ended for good does not come back.
fn transitions(new: &At<'_>, old: &At<'_>, restart: &str, sidecars: &[&str], errors: &mut Errors) {
    if restart == "Always" {
        return;
    }
    for before in old.items() {
        let ended = before.at("state.terminated");
        let name = before.get("name").text();
        let failed = ended.get("exitCode").int().unwrap_or_default() != 0;
        if !ended.present() || (failed && restart == "OnFailure") || sidecars.contains(&name) {
            continue;
        }
        let revived = |after: &At<'_>| after.get("name").text() == name && !after.at("state.terminated").present();
        if new.items().any(|after| revived(&after)) {
            // The index is that of the old status, as upstream has it.
            let index = old.items().position(|status| status.get("name").text() == name).unwrap_or_default();
            let at = At { value: new.value, path: new.path.index(index).child("state") };
            errors.forbidden(&at, "may not be transitioned to non-terminated state");
        }
    }
}
