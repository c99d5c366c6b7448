//! Claims of volumes (upstream: ValidatePersistentVolumeClaim in pkg/apis/core/validation,
//! pkg/registry/core/persistentvolumeclaim).

use api::field::FieldError;
use api::quantity::Quantity;
use api::{names, selector};
use serde_json::{Value, json};

use super::check::{At, Errors, run};
use super::{Cx, Strategy, semantic};

const SPEC: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// See the module.
pub struct Claim;

impl Strategy for Claim {
    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        object["status"] = json!({"phase": "Pending"});
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            access_modes(&spec.get("accessModes"), errors);
            let labels = spec.get("selector");
            if labels.present() {
                errors.0.extend(selector::validate(labels.value, &labels.path));
            }
            let storage = spec.at("resources.requests").value.get("storage");
            match storage.and_then(|amount| Quantity::from_value(amount).ok()) {
                // The path lacks `requests`, as upstream has it.
                None => {
                    errors.required(&At { value: &Value::Null, path: spec.get("resources").path.key("storage") }, "")
                }
                Some(amount) if amount.sign() <= 0 => {
                    let path = spec.at("resources.requests").path.key("storage");
                    errors.invalid_as(
                        &At { value: &Value::Null, path },
                        amount.to_string(),
                        "must be greater than zero",
                    );
                }
                Some(_) => {}
            }
            errors.named_if_any(&spec.get("storageClassName"), names::dns1123_subdomain);
            if spec.get("volumeMode").present() {
                errors.supported(&spec.get("volumeMode"), &["Block", "Filesystem"]);
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let bound = old.pointer("/status/phase").is_some_and(|phase| phase == "Bound");
        let bare = |object: &Value| {
            let mut spec = semantic::canonical(SPEC, &object["spec"]);
            if let Some(map) = spec.as_object_mut() {
                // The controller writes the volume that it has found, once.
                if old.pointer("/spec/volumeName").and_then(Value::as_str).unwrap_or_default().is_empty() {
                    map.remove("volumeName");
                }
                if bound {
                    map.remove("volumeAttributesClassName");
                    if let Some(requests) = map.get_mut("resources").and_then(|all| all.get_mut("requests")) {
                        *requests = Value::Null;
                    }
                }
            }
            spec
        };
        run(|errors| {
            let spec = At::root(new).get("spec");
            if bare(new) != bare(old) {
                let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
                errors.forbidden(&spec, detail);
            }
            let asked = |object: &Value| {
                object.pointer("/spec/resources/requests/storage").and_then(|amount| Quantity::from_value(amount).ok())
            };
            if let (Some(after), Some(before)) = (asked(new), asked(old))
                && after < before
            {
                errors.forbidden(&spec.at("resources.requests.storage"), "field can not be less than previous value");
            }
        })
    }
}

fn access_modes(modes: &At<'_>, errors: &mut Errors) {
    if modes.len() == 0 {
        errors.required(modes, "at least 1 access mode is required");
    }
    for mode in modes.items() {
        errors.supported(&At { path: modes.path.clone(), ..mode }, MODES);
    }
    if modes.len() > 1 && modes.items().any(|mode| mode.text() == "ReadWriteOncePod") {
        errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;

    fn claim(modes: Value, storage: &str) -> Value {
        json!({"spec": {"accessModes": modes, "resources": {"requests": {"storage": storage}}}})
    }

    #[test]
    fn claims() {
        let table = [
            (claim(json!(["ReadWriteOnce"]), "1Gi"), vec![]),
            (claim(json!([]), "1Gi"), vec!["spec.accessModes: Required value: at least 1 access mode is required"]),
            (
                claim(json!(["Write"]), "0"),
                vec![
                    "spec.accessModes: Unsupported value: \"Write\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
                    "spec.resources.requests[storage]: Invalid value: \"0\": must be greater than zero",
                ],
            ),
            (json!({"spec": {"accessModes": ["ReadWriteOnce"]}}), vec!["spec.resources[storage]: Required value"]),
        ];
        for (claim, expected) in table {
            assert_eq!(texts(&Claim.validate(&claim)), expected, "{claim}");
        }
    }

    #[test]
    fn a_bound_claim_may_only_grow() {
        let bound = |storage: &str| {
            let mut claim = claim(json!(["ReadWriteOnce"]), storage);
            claim["status"] = json!({"phase": "Bound"});
            claim
        };
        assert!(Claim.validate_update(&bound("2Gi"), &bound("1Gi")).is_empty());
        let shrunk = texts(&Claim.validate_update(&bound("1Gi"), &bound("2Gi")));
        assert_eq!(shrunk, ["spec.resources.requests.storage: Forbidden: field can not be less than previous value"]);
        let modes =
            Claim.validate_update(&claim(json!(["ReadWriteMany"]), "1Gi"), &claim(json!(["ReadWriteOnce"]), "1Gi"));
        assert!(modes[0].message.starts_with("Forbidden: spec is immutable after creation"), "{modes:?}");
    }
}
