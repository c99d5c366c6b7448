//! Nodes (upstream: ValidateNode, ValidateNodeUpdate in pkg/apis/core/validation).

use api::field::FieldError;
use api::names;
use serde_json::{Value, json};

use super::Strategy;
use super::check::{At, Errors, run};
use super::pod::affinity::EFFECTS;
use super::pod::{resources, warnings};

/// See the module.
pub struct Node;

impl Strategy for Node {
    fn default(&self, object: &mut Value) {
        // The older field is kept equal to the first of the newer list.
        let Some(spec) = object.get_mut("spec").filter(|spec| spec.is_object()) else { return };
        let first = spec.pointer("/podCIDRs/0").cloned();
        match (spec.get("podCIDR").and_then(Value::as_str), first) {
            (Some(one), None) if !one.is_empty() => spec["podCIDRs"] = json!([one]),
            (None | Some(""), Some(first)) => spec["podCIDR"] = first,
            _ => {}
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            // The path of taints is upstream's.
            let list = root.at("spec.taints");
            taints(&At { path: root.at("metadata.taints").path, ..list }, errors);
            amounts(&root, errors);
            cidrs(&root.at("spec.podCIDRs"), errors);
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new), At::root(old));
        run(|errors| {
            let (cidrs, before) = (new.at("spec.podCIDRs"), old.at("spec.podCIDRs"));
            if before.len() > 0 && cidrs.value != before.value {
                errors.forbidden(&cidrs, "node updates may not change podCIDR except from \"\" to valid");
            }
            let (provider, before) = (new.at("spec.providerID"), old.at("spec.providerID"));
            if !before.text().is_empty() && provider.text() != before.text() {
                errors.forbidden(&provider, "node updates may not change providerID except from \"\" to valid");
            }
            addresses(&new, errors);
        })
    }

    fn validate_status_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        let new = At::root(new);
        run(|errors| {
            amounts(&new, errors);
            addresses(&new, errors);
        })
    }

    fn warnings(&self, object: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() {
            return Vec::new();
        }
        let taints = At::root(object).at("spec.taints");
        taints
            .items()
            .filter_map(|taint| {
                let key = taint.get("key");
                warnings::of_node_label(key.text()).map(|advice| format!("{}: {advice}", key.path))
            })
            .collect()
    }
}

fn taints(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for taint in list.items() {
        let (key, value, effect) = (taint.get("key"), taint.get("value"), taint.get("effect"));
        errors.named(&key, names::qualified_name);
        let complaints = names::label_value(value.text());
        if !complaints.is_empty() {
            errors.invalid(&value, complaints.join(";"));
        }
        errors.one_of(&effect, EFFECTS);
        let pair = (key.text(), effect.text());
        if seen.contains(&pair) {
            let shown = format!(
                "{{\"Key\":{:?},\"Value\":{:?},\"Effect\":{:?},\"TimeAdded\":null}}",
                key.text(),
                value.text(),
                effect.text()
            );
            errors.duplicate_struct(&taint, &shown, "taints must be unique by key and effect pair");
        }
        seen.push(pair);
    }
}

fn amounts(root: &At<'_>, errors: &mut Errors) {
    for list in ["status.capacity", "status.allocatable"] {
        let list = root.at(list);
        for (name, value) in list.entries() {
            // Upstream writes the key as if it were a field.
            let place = At { value: value.value, path: list.path.child(name.to_string()) };
            resources::amount(&place, name, errors);
        }
    }
}

fn cidrs(list: &At<'_>, errors: &mut Errors) {
    for cidr in list.items() {
        errors.cidr(&cidr);
    }
    let families: Vec<bool> = list.items().map(|cidr| cidr.text().contains(':')).collect();
    if families.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        errors.invalid(list, "may specify no more than one CIDR for each IP family");
    }
    let mut seen = Vec::new();
    for cidr in list.items() {
        if seen.contains(&cidr.text()) {
            errors.duplicate(&cidr);
        }
        seen.push(cidr.text());
    }
}

fn addresses(root: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for address in root.at("status.addresses").items() {
        if seen.contains(&address.value) {
            errors.duplicate(&address);
        }
        seen.push(address.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;

    #[test]
    fn nodes() {
        let table = [
            (json!({"spec": {"podCIDRs": ["10.0.0.0/24"]}}), vec![]),
            (json!({"spec": {"taints": [{"key": "a"}]}}), vec!["metadata.taints[0].effect: Required value"]),
            (
                json!({"spec": {"taints": [{"key": "a", "effect": "x"}]}}),
                vec![
                    "metadata.taints[0].effect: Unsupported value: \"x\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                ],
            ),
            (
                json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}]}}),
                vec![
                    "metadata.taints[1]: Duplicate value: {\"Key\":\"a\",\"Value\":\"\",\"Effect\":\"NoSchedule\",\"TimeAdded\":null}: taints must be unique by key and effect pair",
                ],
            ),
            (
                json!({"spec": {"podCIDRs": ["10.0.0.0"]}}),
                vec![
                    "spec.podCIDRs[0]: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
                ],
            ),
            (
                json!({"status": {"capacity": {"cpu": "-1"}}}),
                vec!["status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (
                json!({"status": {"capacity": {"pods": "1500m"}}}),
                vec!["status.capacity.pods: Invalid value: \"1500m\": must be an integer"],
            ),
        ];
        for (node, expected) in table {
            assert_eq!(texts(&Node.validate(&node)), expected, "{node}");
        }
        let old = json!({"spec": {"podCIDRs": ["10.0.0.0/24"], "providerID": "a"}});
        assert_eq!(
            texts(&Node.validate_update(&json!({"spec": {}}), &old)),
            [
                "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
                "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"
            ]
        );
        assert!(Node.validate_update(&old, &json!({"spec": {}})).is_empty());
    }

    #[test]
    fn both_fields_of_the_range_agree() {
        let mut node = json!({"spec": {"podCIDR": "10.0.0.0/24"}});
        Node.default(&mut node);
        assert_eq!(node["spec"]["podCIDRs"], json!(["10.0.0.0/24"]));
        let mut node = json!({"spec": {"podCIDRs": ["10.0.0.0/24"]}});
        Node.default(&mut node);
        assert_eq!(node["spec"]["podCIDR"], "10.0.0.0/24");
    }
}
