//! Where a pod may run: affinities, tolerations, spreading (upstream: validateAffinity, ValidateTolerations,
//! validateTopologySpreadConstraints in pkg/apis/core/validation).

use api::{names, selector};

use crate::strategy::check::{At, Errors};

/// What a taint does.
pub const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `affinity` of a pod.
pub fn affinity(affinity: &At<'_>, errors: &mut Errors) {
    let node = affinity.get("nodeAffinity");
    if node.get(REQUIRED).present() {
        node_selector(&node.get(REQUIRED), errors);
    }
    for preferred in node.get(PREFERRED).items() {
        weight(&preferred, errors);
        node_term(&preferred.get("preference"), true, errors);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let kind = affinity.get(kind);
        for term in kind.get(REQUIRED).items() {
            pod_term(&term, errors);
        }
        for preferred in kind.get(PREFERRED).items() {
            weight(&preferred, errors);
            pod_term(&preferred.get("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &At<'_>, errors: &mut Errors) {
    let weight = term.get("weight").int().unwrap_or_default();
    if !(1..=100).contains(&weight) {
        errors.invalid_as(&term.get("weight"), weight, "must be in the range 1-100");
    }
}

/// A node selector: at least one term.
pub fn node_selector(selector: &At<'_>, errors: &mut Errors) {
    let terms = selector.get("nodeSelectorTerms");
    if terms.len() == 0 {
        errors.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_term(&term, false, errors);
    }
}

fn node_term(term: &At<'_>, any_value: bool, errors: &mut Errors) {
    for requirement in term.get("matchExpressions").items() {
        let (operator, values) = (requirement.get("operator"), requirement.get("values"));
        match operator.text() {
            "In" | "NotIn" if values.len() == 0 => {
                errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "Exists" | "DoesNotExist" if values.len() > 0 => {
                errors.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
            }
            "Gt" | "Lt" if values.len() != 1 => {
                errors.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.invalid_as(&operator, other, "not a valid selector operator"),
        }
        errors.named(&requirement.get("key"), names::qualified_name);
        for value in values.items().filter(|_| !any_value) {
            errors.named(&value, names::label_value);
        }
    }
    for requirement in term.get("matchFields").items() {
        let (operator, values, key) = (requirement.get("operator"), requirement.get("values"), requirement.get("key"));
        if !matches!(operator.text(), "In" | "NotIn") {
            errors.invalid_as(&operator, operator.text(), "not a valid selector operator");
        } else if values.len() != 1 {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.required(&values, detail);
        }
        if key.text() == "metadata.name" {
            for value in values.items() {
                errors.named(&value, names::dns1123_subdomain);
            }
        } else {
            errors.invalid_as(&key, key.text(), "not a valid field selector key");
        }
    }
}

fn pod_term(term: &At<'_>, errors: &mut Errors) {
    for field in ["labelSelector", "namespaceSelector"] {
        let field = term.get(field);
        if field.present() {
            errors.0.extend(selector::validate(field.value, &field.path));
        }
    }
    for namespace in term.get("namespaces").items() {
        // The path is upstream's: it names neither the list nor the index.
        let path = term.get("namespace").path;
        errors.0.extend(names::invalid(&path, namespace.text(), names::dns1123_label(namespace.text())));
    }
    let key = term.get("topologyKey");
    if key.text().is_empty() {
        errors.required(&key, "can not be empty");
    }
    errors.named(&key, names::qualified_name);
}

/// `tolerations` of a pod.
pub fn tolerations(list: &At<'_>, errors: &mut Errors) {
    for toleration in list.items() {
        let (key, operator) = (toleration.get("key"), toleration.get("operator"));
        let (value, effect) = (toleration.get("value"), toleration.get("effect"));
        errors.named_if_any(&key, names::qualified_name);
        if key.text().is_empty() && operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid_as(&operator, operator.text(), detail);
        }
        if toleration.get("tolerationSeconds").present() && effect.text() != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.invalid_as(&effect, effect.text(), detail);
        }
        match operator.text() {
            "Equal" | "" => {
                let complaints = names::label_value(value.text());
                if !complaints.is_empty() {
                    errors.invalid_as(&operator, value.text(), complaints.join(";"));
                }
            }
            "Exists" if !value.text().is_empty() => {
                errors.invalid_as(&operator, value.text(), "value must be empty when `operator` is 'Exists'");
            }
            _ => errors.supported(&operator, &["Equal", "Exists"]),
        }
        if !effect.text().is_empty() {
            errors.supported(&effect, EFFECTS);
        }
    }
}

/// `topologySpreadConstraints` of a pod.
pub fn spreading(list: &At<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for constraint in list.items() {
        let skew = constraint.get("maxSkew");
        if skew.int().unwrap_or_default() <= 0 {
            errors.invalid_as(&skew, skew.int().unwrap_or_default(), "must be greater than zero");
        }
        let (key, action) = (constraint.get("topologyKey"), constraint.get("whenUnsatisfiable"));
        if key.text().is_empty() {
            errors.required(&key, "can not be empty");
        } else {
            errors.named(&key, names::qualified_name);
        }
        errors.supported(&action, &["DoNotSchedule", "ScheduleAnyway"]);
        let pair = (key.text(), action.text());
        if seen.contains(&pair) {
            let place = constraint.get("{topologyKey, whenUnsatisfiable}");
            errors.0.push(api::FieldError::duplicate(&place.path, &format!("{{{}, {}}}", pair.0, pair.1).into()));
        }
        seen.push(pair);
        let domains = constraint.get("minDomains");
        if domains.int().is_some_and(|least| least <= 0) {
            errors.invalid(&domains, "must be greater than zero");
        }
        if domains.present() && action.text() != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}", action.text());
            errors.invalid(&domains, detail);
        }
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.get(policy);
            if policy.present() {
                errors.supported(&policy, &["Honor", "Ignore"]);
            }
        }
        let labels = constraint.get("labelSelector");
        if labels.present() {
            errors.0.extend(selector::validate(labels.value, &labels.path));
        }
    }
}
