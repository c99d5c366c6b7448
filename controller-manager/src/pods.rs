//! What controllers of pods share: who owns a pod, whether it counts, which one to delete first.

use client::{Client, Error, Object, Patch};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCondition, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

/// The owner reference that controls an object.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// Whether `owner` controls the object.
pub(crate) fn is_controlled_by(meta: &ObjectMeta, owner_uid: &str) -> bool {
    controller_of(meta).is_some_and(|owner| owner.uid == owner_uid)
}

/// The reference by which `owner` controls what it creates.
pub(crate) fn controller_reference<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.into(),
        kind: K::KIND.into(),
        name: owner.key().name,
        uid: owner.uid().into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Whether the pod has not ended and is not on its way out.
pub(crate) fn is_active(pod: &Pod) -> bool {
    !matches!(phase(pod), "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_none()
}

/// `status.phase`.
pub(crate) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// A condition of the pod.
pub(crate) fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == name)
}

/// Whether the Ready condition holds.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Since when the pod is ready.
pub(crate) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready").filter(|c| c.status == "True")?.last_transition_time.as_ref().map(|time| time.0)
}

/// Ready for at least `min_ready_seconds`.
pub(crate) fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    is_ready(pod)
        && (min_ready_seconds <= 0
            || ready_since(pod).is_some_and(|since| now.as_second() - since.as_second() >= min_ready_seconds.into()))
}

/// The node, or empty.
pub(crate) fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// A number of pods, given as such or in percent of `total`.
pub(crate) fn scaled(value: &IntOrString, total: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => (*number).max(0),
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let hundredths = percent.max(0) * i64::from(total);
            let rounded = if up { (hundredths + 99) / 100 } else { hundredths / 100 };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

/// The pod's node, for a `by("node", name)` index.
pub(crate) fn index_by_node(pod: &Pod) -> Vec<String> {
    Some(node_name(pod)).filter(|node| !node.is_empty()).map(str::to_string).into_iter().collect()
}

/// Writes into a pod's status that it is about to be deleted by the system: condition DisruptionTarget with this reason and
/// message. `fail`: also that it has failed, unless it has ended. A pod that is gone meanwhile is no error.
///
/// # Errors
/// As any request.
pub(crate) async fn mark_disrupted(
    client: &Client,
    pod: &Pod,
    why: (&str, &str),
    fail: bool,
    now: Timestamp,
) -> Result<(), Error> {
    let mut status = json!({});
    if fail && !matches!(phase(pod), "Succeeded" | "Failed") {
        status["phase"] = json!("Failed");
    }
    // The transition counts from the first time that this was said.
    if condition(pod, "DisruptionTarget").is_none_or(|known| known.reason.as_deref() != Some(why.0)) {
        status["conditions"] = json!([{
            "type": "DisruptionTarget", "status": "True", "reason": why.0, "message": why.1,
            "lastTransitionTime": Time(now),
        }]);
    }
    patch_status(client, pod, &status).await
}

/// Writes into a pod's status that it has failed, unless it has ended.
///
/// # Errors
/// As any request.
pub(crate) async fn fail(client: &Client, pod: &Pod) -> Result<(), Error> {
    let ended = matches!(phase(pod), "Succeeded" | "Failed");
    patch_status(client, pod, &if ended { json!({}) } else { json!({"phase": "Failed"}) }).await
}

async fn patch_status(client: &Client, pod: &Pod, status: &Value) -> Result<(), Error> {
    if status.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(());
    }
    let key = pod.key();
    let patch = Patch::Strategic(json!({"metadata": {"uid": pod.uid()}, "status": status}));
    match client.patch_status::<Pod>(&key.namespace, &key.name, &patch).await {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}

/// A pod made from a template, controlled by `owner`.
pub(crate) fn from_template<K: Object>(template: &PodTemplateSpec, owner: &K) -> Pod {
    let meta = template.metadata.clone().unwrap_or_default();
    Pod {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", owner.key().name)),
            namespace: Some(owner.key().namespace),
            labels: meta.labels,
            annotations: meta.annotations,
            finalizers: meta.finalizers,
            owner_references: Some(vec![controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        ..Pod::default()
    }
}

/// The controller's key of an object it owns, for a `by("controller", uid)` index.
pub(crate) fn index_by_controller<K: Object>(object: &K) -> Vec<String> {
    controller_of(object.metadata()).map(|owner| owner.uid.clone()).into_iter().collect()
}

/// Objects by namespace, for those without a controller: candidates for adoption.
pub(crate) fn index_orphans<K: Object>(object: &K) -> Vec<String> {
    let meta = object.metadata();
    let orphan = controller_of(meta).is_none();
    orphan.then(|| meta.namespace.clone().unwrap_or_default()).into_iter().collect()
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
