//! Binding: assigns a pod to a node, once (upstream: `BindingREST` and `assignPod` in pkg/registry/core/pod/storage).

use api::field::{FieldError, Path};
use api::kinds::KindRef;
use api::{Status, object};
use serde_json::{Value, json};

use super::update::{Change, Target};
use super::{Call, Preconditions, Registry, timestamp};

impl Registry {
    /// Binds the pod `name` to the target of a v1 Binding. `kind` is that of pods.
    ///
    /// # Errors
    /// `Conflict` if the pod is bound, gated or being deleted.
    pub async fn bind(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        binding: &Value,
    ) -> Result<(), Status> {
        let own = object::name(binding);
        if !own.is_empty() && own != name {
            return Err(Status::bad_request("name in URL does not match name in Binding object"));
        }
        let errors = validate(binding);
        if !errors.is_empty() {
            return Err(Status::invalid("", "Binding", name, &errors));
        }
        let uid = Some(object::uid(binding)).filter(|uid| !uid.is_empty()).map(Into::into);
        let change = Change {
            preconditions: Preconditions { uid, resource_version: None },
            ..Change::of(kind, namespace, name).target(Target::Internal)
        };
        let now = timestamp(self.now());
        let mut edit = |pod: &Value| assign(pod, binding, &now);
        self.modify(call, &change, &mut edit).await.map(drop)
    }
}

fn validate(binding: &Value) -> Vec<FieldError> {
    let target = Path::new("target");
    let mut errors = Vec::new();
    let kind = object::text(binding, "/target/kind");
    if !matches!(kind, "" | "Node") {
        errors.push(FieldError::not_supported(&target.child("kind"), &json!(kind), &["Node", "<empty>"]));
    }
    if object::text(binding, "/target/name").is_empty() {
        errors.push(FieldError::required(&target.child("name"), ""));
    }
    errors
}

/// The pod on its node, with the annotations of the binding.
fn assign(pod: &Value, binding: &Value, now: &str) -> Result<Value, Status> {
    let name = object::name(pod);
    let refuse = |why: String| Err(Status::conflict("", "pods/binding", name, &why));
    if object::deletion_timestamp(pod).is_some() {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = object::text(pod, "/spec/nodeName");
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !object::list(pod, "/spec/schedulingGates").is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut new = pod.clone();
    object::set(&mut new, "/spec/nodeName", json!(object::text(binding, "/target/name")));
    for (key, value) in object::annotations(binding).into_iter().flatten() {
        object::set_annotation(&mut new, key, value.as_str().unwrap_or_default());
    }
    set_condition(&mut new, json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null}), now);
    Ok(new)
}

/// Sets a condition of the status; the transition time changes only with the status of the condition.
pub fn set_condition(object: &mut Value, mut condition: Value, now: &str) {
    let mut conditions = object::list(object, "/status/conditions").to_vec();
    let place = conditions.iter().position(|old| old["type"] == condition["type"]);
    let same = place.filter(|place| conditions[*place]["status"] == condition["status"]);
    condition["lastTransitionTime"] = match same {
        Some(place) => conditions[place]["lastTransitionTime"].clone(),
        None => json!(now),
    };
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
    object::set(object, "/status/conditions", Value::Array(conditions));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_bound_once() {
        let binding = json!({"metadata": {"annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}});
        assert!(validate(&binding).is_empty());
        let bound = assign(&json!({"metadata": {"name": "p"}, "spec": {}}), &binding, "now").unwrap();
        assert_eq!(bound["spec"]["nodeName"], "n1");
        assert_eq!(bound["metadata"]["annotations"], json!({"a": "b"}));
        assert_eq!(
            bound["status"]["conditions"],
            json!([{"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": "now"}])
        );
        let again = assign(&bound, &binding, "now").unwrap_err();
        assert_eq!(
            again.message,
            "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\""
        );
        let gated = json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}});
        assert_eq!(assign(&gated, &binding, "now").unwrap_err().code, 409);
    }

    #[test]
    fn a_binding_names_a_node() {
        let texts = |binding: Value| validate(&binding).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            texts(json!({"target": {"kind": "Pod"}})),
            [
                "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"",
                "target.name: Required value"
            ]
        );
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_holds() {
        let mut object = json!({});
        set_condition(&mut object, json!({"type": "A", "status": "True"}), "t1");
        set_condition(&mut object, json!({"type": "A", "status": "True", "reason": "r"}), "t2");
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "t1");
        set_condition(&mut object, json!({"type": "A", "status": "False"}), "t3");
        assert_eq!(object["status"]["conditions"][0]["lastTransitionTime"], "t3");
    }
}
