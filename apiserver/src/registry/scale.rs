//! `/scale`: the replicas of a Deployment, ReplicaSet, StatefulSet or ReplicationController as an autoscaling/v1 Scale
//! (upstream: `scaleFromX` and `scaleUpdatedObjectInfo` in pkg/registry/apps/*/storage).

use api::field::{FieldError, Path};
use api::kinds::KindRef;
use api::selector;
use api::{Status, object};
use serde_json::{Map, Value, json};

use super::update::Change;
use super::{Call, Registry, conflict};
use crate::storage::Freshness;

impl Registry {
    /// The Scale of an object.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get_scale(&self, kind: KindRef, namespace: &str, name: &str) -> Result<Value, Status> {
        Ok(view(&self.get(kind, namespace, name, Freshness::Latest).await?.value()))
    }

    /// Changes the replicas by an edit of the Scale.
    ///
    /// # Errors
    /// As [`Registry::update`].
    pub async fn modify_scale(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        edit: &mut (dyn FnMut(Value) -> Result<Value, Status> + Send),
    ) -> Result<Value, Status> {
        let change = Change::of(kind, namespace, name);
        let mut apply = |old: &Value| {
            let scale = edit(view(old))?;
            put(kind, old, &scale)
        };
        let written = self.modify(call, &change, &mut apply).await?;
        Ok(view(&written.object.value()))
    }
}

/// The Scale of an object.
fn view(object: &Value) -> Value {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object::at(object, &format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    let mut spec = Map::new();
    // Go leaves out a zero here and keeps it in the status.
    if let Some(replicas) = object::integer(object, "/spec/replicas").filter(|replicas| *replicas != 0) {
        spec.insert("replicas".into(), json!(replicas));
    }
    let mut status = Map::new();
    status.insert("replicas".into(), json!(object::integer(object, "/status/replicas").unwrap_or(0)));
    let text = selector_text(object.pointer("/spec/selector"));
    if !text.is_empty() {
        status.insert("selector".into(), json!(text));
    }
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status})
}

/// A LabelSelector, or the plain map of a ReplicationController, in the form of a query.
fn selector_text(selector: Option<&Value>) -> String {
    let Some(Value::Object(map)) = selector else { return String::new() };
    if map.contains_key("matchLabels") || map.contains_key("matchExpressions") {
        let parsed = selector.map(selector::LabelSelector::from_value);
        return parsed.and_then(Result::ok).map(|selector| selector.to_string()).unwrap_or_default();
    }
    let pairs = map.iter().filter_map(|(key, value)| value.as_str().map(|value| (key.as_str(), value)));
    selector::LabelSelector::from_map(pairs).to_string()
}

/// The object with the replicas of a Scale; UID and version of the Scale must be those of the object.
fn put(kind: KindRef, old: &Value, scale: &Value) -> Result<Value, Status> {
    let name = object::name(old);
    let replicas = object::integer(scale, "/spec/replicas").unwrap_or(0);
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        let error = FieldError::invalid(&path, &json!(replicas), "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", name, &[error]));
    }
    let uid = object::uid(scale);
    if !uid.is_empty() && uid != object::uid(old) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object::uid(old));
        return Err(conflict(kind, name, &why));
    }
    let mut new = old.clone();
    object::set(&mut new, "/spec/replicas", json!(replicas));
    if let Some(version) = object::resource_version(scale) {
        object::set_resource_version(&mut new, version);
    }
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;

    #[test]
    fn a_scale_shows_and_sets_the_replicas() {
        let kind = kinds::find("apps", "v1", "deployments").unwrap().0;
        let object = json!({"metadata": {"name": "a", "namespace": "b", "resourceVersion": "7", "labels": {"x": "y"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}}, "status": {"replicas": 2}});
        let scale = view(&object);
        assert_eq!(scale["metadata"], json!({"name": "a", "namespace": "b", "resourceVersion": "7"}));
        assert_eq!(scale["spec"], json!({"replicas": 3}));
        assert_eq!(scale["status"], json!({"replicas": 2, "selector": "app=web"}));
        let new = put(kind, &object, &json!({"spec": {}})).unwrap();
        assert_eq!((new["spec"]["replicas"].clone(), new["metadata"].clone()), (json!(0), object["metadata"].clone()));
        assert_eq!(put(kind, &object, &json!({"spec": {"replicas": -1}})).unwrap_err().code, 422);
        assert_eq!(view(&new)["spec"], json!({}));
    }

    #[test]
    fn the_selector_of_a_replication_controller_is_a_map() {
        assert_eq!(selector_text(Some(&json!({"b": "2", "a": "1"}))), "a=1,b=2");
        assert_eq!(selector_text(None), "");
    }
}
