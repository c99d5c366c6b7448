//! Roles and their bindings (upstream: pkg/apis/rbac/validation).

use api::field::FieldError;
use api::{names, selector};
use serde_json::{Value, json};

use super::Strategy;
use super::check::{At, Errors, run};

const GROUP: &str = "rbac.authorization.k8s.io";

/// A Role, or a ClusterRole.
pub struct Role {
    /// Whether it belongs to a namespace.
    pub namespaced: bool,
}

/// A RoleBinding, or a ClusterRoleBinding.
pub struct Binding {
    /// Whether it belongs to a namespace.
    pub namespaced: bool,
}

impl Strategy for Role {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        run(|errors| {
            for rule in root.get("rules").items() {
                policy_rule(&rule, self.namespaced, errors);
            }
            for choice in root.at("aggregationRule.clusterRoleSelectors").items() {
                errors.0.extend(selector::validate(choice.value, &choice.path));
            }
            let aggregation = root.get("aggregationRule");
            if aggregation.present() && aggregation.get("clusterRoleSelectors").len() == 0 {
                errors.required(
                    &aggregation.get("clusterRoleSelectors"),
                    "at least one clusterRoleSelector required if aggregationRule is non-nil",
                );
            }
        })
    }
}

fn policy_rule(rule: &At<'_>, namespaced: bool, errors: &mut Errors) {
    let (urls, groups, resources) = (rule.get("nonResourceURLs"), rule.get("apiGroups"), rule.get("resources"));
    if rule.get("verbs").len() == 0 {
        errors.required(&rule.get("verbs"), "verbs must contain at least one value");
    }
    if urls.len() > 0 {
        if namespaced {
            errors.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
        }
        if groups.len() + resources.len() + rule.get("resourceNames").len() > 0 {
            errors.invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if groups.len() == 0 {
        errors.required(&groups, "resource rules must supply at least one api group");
    }
    if resources.len() == 0 {
        errors.required(&resources, "resource rules must supply at least one resource");
    }
}

impl Strategy for Binding {
    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let root = At::root(object);
        let role = root.get("roleRef");
        run(|errors| {
            errors.supported(&role.get("apiGroup"), &[GROUP]);
            let kinds: &[&str] = if self.namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
            errors.supported(&role.get("kind"), kinds);
            errors.named_required(&role.get("name"), names::path_segment);
            for one in root.get("subjects").items() {
                subject(&one, self.namespaced, errors);
            }
        })
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (At::root(new).get("roleRef"), At::root(old).get("roleRef"));
        run(|errors| {
            if new.value != old.value {
                // Upstream prints the struct under the names it has in Go.
                let text = |field| new.get(field).text();
                let shown = json!({"APIGroup": text("apiGroup"), "Kind": text("kind"), "Name": text("name")});
                errors.invalid_as(&new, shown, "cannot change roleRef");
            }
        })
    }
}

fn subject(subject: &At<'_>, namespaced: bool, errors: &mut Errors) {
    let (name, group) = (subject.get("name"), subject.get("apiGroup"));
    errors.filled(&name);
    match subject.get("kind").text() {
        "ServiceAccount" => {
            errors.named_if_any(&name, names::dns1123_subdomain);
            if !group.text().is_empty() {
                errors.supported(&group, &[""]);
            }
            if !namespaced {
                errors.filled(&subject.get("namespace"));
            }
        }
        kind @ ("User" | "Group") => {
            if name.text().is_empty() {
                errors.invalid_as(&name, json!(""), format!("{} name cannot be empty", kind.to_lowercase()));
            }
            errors.supported(&group, &[GROUP]);
        }
        _ => errors.supported(&subject.get("kind"), &["ServiceAccount", "User", "Group"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::testing::texts;

    #[test]
    fn rules() {
        let table = [
            (true, json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), vec![]),
            (
                true,
                json!({"apiGroups": [""], "resources": ["pods"]}),
                vec!["rules[0].verbs: Required value: verbs must contain at least one value"],
            ),
            (
                true,
                json!({"verbs": ["get"]}),
                vec![
                    "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                    "rules[0].resources: Required value: resource rules must supply at least one resource",
                ],
            ),
            (
                true,
                json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}),
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs",
                ],
            ),
            (false, json!({"verbs": ["get"], "nonResourceURLs": ["/x"]}), vec![]),
            (
                false,
                json!({"verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"]}),
                vec![
                    "rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and non-resource URLs",
                ],
            ),
        ];
        for (namespaced, rule, expected) in table {
            assert_eq!(texts(&Role { namespaced }.validate(&json!({"rules": [rule]}))), expected, "{rule}");
        }
    }

    #[test]
    fn bindings() {
        let role = json!({"apiGroup": GROUP, "kind": "Role", "name": "r"});
        let cluster_role = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": "r"});
        let table = [
            (true, json!({"roleRef": role}), vec![]),
            (
                false,
                json!({"roleRef": role}),
                vec!["roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\""],
            ),
            (
                true,
                json!({"roleRef": {"apiGroup": "x", "kind": "Role"}}),
                vec![
                    "roleRef.apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\"",
                    "roleRef.name: Required value",
                ],
            ),
            (
                false,
                json!({"roleRef": cluster_role, "subjects": [{"kind": "ServiceAccount", "name": "s"}]}),
                vec!["subjects[0].namespace: Required value"],
            ),
            (
                false,
                json!({"roleRef": cluster_role, "subjects": [{"kind": "User", "apiGroup": GROUP}]}),
                vec![
                    "subjects[0].name: Required value",
                    "subjects[0].name: Invalid value: \"\": user name cannot be empty",
                ],
            ),
            (
                false,
                json!({"roleRef": cluster_role, "subjects": [{"kind": "Robot", "name": "r"}]}),
                vec![
                    "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
                ],
            ),
        ];
        for (namespaced, binding, expected) in table {
            assert_eq!(texts(&Binding { namespaced }.validate(&binding)), expected, "{binding}");
        }
        let changed =
            Binding { namespaced: true }.validate_update(&json!({"roleRef": cluster_role}), &json!({"roleRef": role}));
        assert!(changed[0].message.ends_with("cannot change roleRef"), "{changed:?}");
    }
}
