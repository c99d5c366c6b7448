//! Kinds with a handful of rules: Lease, PriorityClass, PodDisruptionBudget, LimitRange, ResourceQuota,
//! ControllerRevision (upstream: pkg/apis/{coordination,scheduling,policy,core,apps}/validation).

use api::field::FieldError;
use api::quantity::Quantity;
use api::{names, object, selector};
use serde_json::{Value, json};

use super::check::{At, Errors, NEGATIVE, run};
use super::pod::resources;
use super::{Cx, Strategy};

/// Above it is room for what the system itself needs.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;
const LIMIT_TYPES: &[&str] = &["Container", "PersistentVolumeClaim", "Pod"];
const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];

/// See the module.
pub struct Lease;
/// See the module.
pub struct PriorityClass;
/// See the module.
pub struct PodDisruptionBudget;
/// See the module.
pub struct LimitRange;
/// See the module.
pub struct ResourceQuota;
/// See the module.
pub struct ControllerRevision;

impl Strategy for Lease {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            let duration = spec.get("leaseDurationSeconds");
            if duration.int().is_some_and(|seconds| seconds <= 0) {
                errors.invalid(&duration, "must be greater than 0");
            }
            errors.non_negative(&spec.get("leaseTransitions"));
            let (strategy, holder) = (spec.get("strategy"), spec.get("preferredHolder"));
            if strategy.present() {
                // The path is upstream's.
                let at = At { path: strategy.get("strategy").path, ..strategy.clone() };
                if strategy.text().contains('/') {
                    errors.named(&at, names::qualified_name);
                } else {
                    errors.supported(&at, &["OldestEmulationVersion"]);
                }
            }
            if !holder.text().is_empty() && strategy.text().is_empty() {
                errors.forbidden(&holder, "may only be specified if `strategy` is defined");
            }
        })
    }
}

impl Strategy for PriorityClass {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        let (name, value) = (object::name(object), root.get("value").int().unwrap_or_default());
        run(|errors| {
            if name.starts_with("system-") {
                if let Some(why) = not_of_the_system(name, value, root.get("globalDefault").flag()) {
                    let detail = format!(
                        "priority class names with 'system-' prefix are reserved for system use only. error: {why}"
                    );
                    errors.forbidden(&root.at("metadata.name"), detail);
                }
            } else if value > HIGHEST_PRIORITY {
                let detail = format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}");
                errors.forbidden(&root.get("value"), detail);
            }
            if root.get("preemptionPolicy").present() {
                errors.one_of(&root.get("preemptionPolicy"), &["PreemptLowerPriority", "Never"]);
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| {
            let (value, before) = (new.get("value"), old.get("value"));
            if value.int().unwrap_or_default() != before.int().unwrap_or_default() {
                errors.forbidden(&value, "may not be changed in an update.");
            }
            errors.unchanged(&new.get("preemptionPolicy"), &old.get("preemptionPolicy"));
        })
    }
}

/// Why a class of that name is none of the two that exist from the start.
fn not_of_the_system(name: &str, value: i64, is_default: bool) -> Option<String> {
    let wanted = match name {
        "system-node-critical" => 2_000_001_000,
        "system-cluster-critical" => 2_000_000_000,
        _ => return Some(format!("{name} is not a known system priority class")),
    };
    if value != wanted {
        return Some(format!("value of {name} PriorityClass must be {wanted}"));
    }
    is_default.then(|| format!("globalDefault of {name} PriorityClass must be false"))
}

impl Strategy for PodDisruptionBudget {
    fn prepare_create(&self, _cx: &Cx<'_>, object: &mut Value) {
        // Numbers that Go writes even when they are zero.
        object["status"] =
            json!({"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0});
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            let (least, most) = (spec.get("minAvailable"), spec.get("maxUnavailable"));
            if least.present() && most.present() {
                errors.invalid(&spec, "minAvailable and maxUnavailable cannot be both set");
            }
            for share in [least, most].iter().filter(|share| share.present()) {
                errors.count_or_percent(share);
                errors.at_most_all(share);
            }
            let labels = spec.get("selector");
            errors.0.extend(selector::validate(labels.value, &labels.path));
            let policy = spec.get("unhealthyPodEvictionPolicy");
            if policy.present() {
                errors.supported(&policy, &["AlwaysAllow", "IfHealthyBudget"]);
            }
        })
    }

    fn validate_status_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        let status = At::root(new).get("status");
        run(|errors| {
            for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
                errors.non_negative(&status.get(field));
            }
        })
    }
}

impl Strategy for LimitRange {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        run(|errors| {
            let mut seen = Vec::new();
            for limit in At::root(object).at("spec.limits").items() {
                let kind = limit.get("type");
                let before = errors.0.len();
                errors.named(&kind, names::qualified_name);
                let own = kind.text().contains('/') || LIMIT_TYPES.contains(&kind.text());
                if errors.0.len() == before && !own {
                    errors.invalid(&kind, "must be a standard limit type or fully qualified");
                }
                if seen.contains(&kind.text()) {
                    errors.duplicate(&kind);
                }
                seen.push(kind.text());
                one_limit(&limit, kind.text(), errors);
            }
        })
    }
}

fn one_limit(limit: &At<'_>, kind: &str, errors: &mut Errors) {
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let at = limit.get(list);
        if kind == "Pod" && list.starts_with("default") {
            if at.len() > 0 {
                errors.forbidden(&at, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (name, amount) in at.entries() {
            resources::name(&amount, name, errors);
        }
    }
    let storage = |list: &'static str| limit.get(list).value.get("storage").is_some();
    if kind == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&limit.get("limits"), detail);
    }
    // Pairs of lists of which the first may not hold more than the second, and how upstream says so.
    let pairs = [
        ("min", "max", "min", "min value", "max value"),
        ("min", "defaultRequest", "defaultRequest", "min value", "default request value"),
        ("defaultRequest", "max", "defaultRequest", "default request value", "max value"),
        ("defaultRequest", "default", "defaultRequest", "default request value", "default limit value"),
        ("min", "default", "default", "min value", "default value"),
        ("default", "max", "default", "default value", "max value"),
    ];
    for (low, high, place, low_word, high_word) in pairs {
        for (name, amount) in limit.get(low).entries() {
            let bound = limit.get(high).value.get(name).and_then(|bound| Quantity::from_value(bound).ok());
            let (Ok(amount), Some(bound)) = (Quantity::from_value(amount.value), bound) else { continue };
            if amount > bound {
                let at = limit.get(place);
                let at = At { value: at.value, path: at.path.key(name) };
                let shown = if place == low { amount } else { bound };
                let detail = format!("{low_word} {amount} is greater than {high_word} {bound}");
                errors.invalid_as(&at, shown.to_string(), detail);
            }
        }
    }
}

impl Strategy for ResourceQuota {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let spec = At::root(object).get("spec");
        run(|errors| {
            for (name, amount) in spec.get("hard").entries() {
                resources::name(&amount, name, errors);
                resources::amount(&amount, name, errors);
            }
            let scopes = spec.get("scopes");
            let has = |scope: &str| scopes.items().any(|one| one.text() == scope);
            if scopes.items().any(|scope| !SCOPES.contains(&scope.text())) {
                errors.invalid(&scopes, "unsupported scope");
            }
            if (has("BestEffort") && has("NotBestEffort")) || (has("Terminating") && has("NotTerminating")) {
                errors.invalid(&scopes, "conflicting scopes");
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new).at("spec.scopes"), At::root(old).at("spec.scopes"));
        let sorted = |at: &At<'_>| {
            let mut scopes: Vec<String> = at.items().map(|scope| scope.text().to_string()).collect();
            scopes.sort();
            scopes
        };
        run(|errors| {
            if sorted(&new) != sorted(&old) {
                errors.unchanged(&new, &old)
            }
        })
    }
}

impl Strategy for ControllerRevision {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            if !root.get("data").present() {
                errors.required(&root.get("data"), "data is mandatory");
            }
            if root.get("revision").int().is_some_and(|revision| revision < 0) {
                errors.invalid(&root.get("revision"), NEGATIVE);
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| errors.unchanged(&new.get("data"), &old.get("data")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;

    #[test]
    fn refusals() {
        let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
        let table: Vec<(&dyn Strategy, Value, Vec<&str>)> = vec![
            (&Lease, json!({"spec": {"leaseDurationSeconds": 40}}), vec![]),
            (
                &Lease,
                json!({"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}}),
                vec![
                    "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
                    "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
                ],
            ),
            (&PriorityClass, class("a", 1_000_000_000), vec![]),
            (
                &PriorityClass,
                class("a", 1_000_000_001),
                vec!["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
            ),
            (&PriorityClass, class("system-node-critical", 2_000_001_000), vec![]),
            (
                &PriorityClass,
                class("system-mine", 1),
                vec![
                    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
                ],
            ),
            (
                &PodDisruptionBudget,
                json!({"spec": {"minAvailable": "120%"}}),
                vec!["spec.minAvailable: Invalid value: \"120%\": must not be greater than 100%"],
            ),
            (
                &PodDisruptionBudget,
                json!({"spec": {"minAvailable": 1, "maxUnavailable": 1}}),
                vec![
                    "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":1}: minAvailable and maxUnavailable cannot be both set",
                ],
            ),
            (
                &LimitRange,
                json!({"spec": {"limits": [{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}}),
                vec!["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
            ),
            (
                &LimitRange,
                json!({"spec": {"limits": [{"type": "Pod", "default": {"cpu": "2"}}]}}),
                vec!["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
            ),
            (
                &ResourceQuota,
                json!({"spec": {"hard": {"pods": "10", "count/jobs.batch": "1", "requests.cpu": "1"}}}),
                vec![],
            ),
            (
                &ResourceQuota,
                json!({"spec": {"hard": {"pods": "-1"}}}),
                vec!["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (
                &ResourceQuota,
                json!({"spec": {"scopes": ["BestEffort", "NotBestEffort"]}}),
                vec!["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"],
            ),
            (&ControllerRevision, json!({"revision": 1}), vec!["data: Required value: data is mandatory"]),
        ];
        for (strategy, object, expected) in table {
            assert_eq!(texts(&strategy.validate(&object)), expected, "{object}");
        }
    }

    #[test]
    fn what_stays() {
        let changed = PriorityClass.validate_update(&json!({"value": 1}), &json!({"value": 2}));
        assert_eq!(texts(&changed), ["value: Forbidden: may not be changed in an update."]);
        let changed = ControllerRevision.validate_update(&json!({"data": 1}), &json!({"data": 2}));
        assert_eq!(texts(&changed), ["data: Invalid value: 1: field is immutable"]);
    }
}
