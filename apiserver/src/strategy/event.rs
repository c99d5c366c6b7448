//! Events: nearly everything is allowed (upstream: pkg/apis/core/validation/events.go).

use api::FieldError;
use api::object;
use serde_json::Value;

use super::Strategy;
use super::check::{At, run};

/// See the module.
pub struct Event;

impl Strategy for Event {
    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        let (namespace, involved) = (object::namespace(object), root.at("involvedObject.namespace"));
        run(|errors| {
            // Events about cluster-scoped objects live in the namespace `default`.
            let fits = if involved.text().is_empty() {
                matches!(namespace, "default" | "kube-system")
            } else {
                involved.text() == namespace
            };
            if !fits {
                errors.invalid_as(&involved, involved.text(), "does not match event.namespace");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_lives_with_its_object() {
        let event = |own: &str, of: &str| json!({"metadata": {"namespace": own}, "involvedObject": {"namespace": of}});
        assert!(Event.validate_create(&event("a", "a")).is_empty());
        assert!(Event.validate_create(&event("default", "")).is_empty());
        let apart = Event.validate_create(&event("a", "b"));
        assert_eq!(
            apart[0].to_string(),
            "involvedObject.namespace: Invalid value: \"b\": does not match event.namespace"
        );
    }
}
