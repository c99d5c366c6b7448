//! Nobody grants what they do not have: a write of a role or binding needs every permission in it, or the verb `escalate` on
//! the role, or `bind` on what is bound (upstream: pkg/registry/rbac, policybased storage).

use std::sync::Arc;

use api::{Status, object};
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Admission, Attributes, Operation};
use crate::auth::rbac::{Binding, Policy, Rule, rules_of, uncovered};
use crate::auth::{self, MASTERS, policy};
use crate::request::User;
use crate::storage::Storage;

const GROUP: &str = "rbac.authorization.k8s.io";

struct Escalation {
    storage: Arc<Storage>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>) -> Box<dyn Admission> {
    Box::new(Escalation { storage: storage.clone() })
}

impl Admission for Escalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.kind.group == GROUP
            && attributes.subresource.is_empty()
            && matches!(attributes.operation, Operation::Create | Operation::Update)
            && !attributes.user.in_group(MASTERS)
    }

    fn validate<'a>(&'a self, attributes: &'a Attributes<'a>, object: &'a Value) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            // Read afresh: a permission that has just been taken away must not be granted on.
            let policy = policy::load(&self.storage).await?;
            check(&policy, attributes, object)
        })
    }
}

fn check(policy: &Policy, attributes: &Attributes<'_>, object: &Value) -> Result<(), Status> {
    let name = object::name(object);
    let refuse = |why: &str| Status::forbidden(GROUP, attributes.kind.plural, name, why);
    let may = |verb: &str, resource: &str, name: &str| {
        let asked = auth::Attributes {
            user: attributes.user.clone(),
            verb: verb.into(),
            group: GROUP.into(),
            version: "v1".into(),
            resource: resource.into(),
            namespace: attributes.namespace.into(),
            name: name.into(),
            is_resource: true,
            ..auth::Attributes::default()
        };
        policy.allowed(&asked).is_some()
    };
    let wanted: Vec<Rule> = if attributes.kind.plural.ends_with("bindings") {
        let unchanged = attributes.old.is_some_and(|old| {
            old.get("roleRef") == object.get("roleRef") && old.get("subjects") == object.get("subjects")
        });
        let binding = Binding::of(object);
        let resource = if binding.role_kind == "Role" { "roles" } else { "clusterroles" };
        if unchanged || may("bind", resource, &binding.role_name) {
            return Ok(());
        }
        let rules = policy.role(&binding.role_kind, attributes.namespace, &binding.role_name);
        rules.ok_or_else(|| Status::not_found(GROUP, resource, &binding.role_name))?.to_vec()
    } else {
        let aggregates = object.get("aggregationRule").filter(|rule| !rule.is_null());
        let unchanged = attributes
            .old
            .is_some_and(|old| old.get("rules") == object.get("rules") && old.get("aggregationRule") == aggregates);
        if unchanged || may("escalate", attributes.kind.plural, name) {
            return Ok(());
        }
        let mut wanted = rules_of(object);
        if aggregates.is_some() {
            let all = || vec!["*".to_string()];
            wanted.push(Rule { verbs: all(), api_groups: all(), resources: all(), ..Rule::default() });
            wanted.push(Rule { verbs: all(), non_resource_urls: all(), ..Rule::default() });
        }
        wanted
    };
    let held = policy.rules_for(attributes.user, attributes.namespace);
    let missing = uncovered(&held, &wanted);
    if missing.is_empty() { Ok(()) } else { Err(refuse(&words(attributes.user, &missing))) }
}

/// Upstream: pkg/registry/rbac/validation/rule.go, `ConfirmNoEscalation`.
fn words(user: &User, missing: &[Rule]) -> String {
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let mut lines: Vec<String> = compact(missing).iter().map(Rule::compact).collect();
    lines.sort();
    format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        lines.join("\n")
    )
}

/// Rules that differ in their verbs only, as one.
fn compact(rules: &[Rule]) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for rule in rules {
        let same = |other: &&mut Rule| Rule { verbs: rule.verbs.clone(), ..(**other).clone() } == *rule;
        match out.iter_mut().find(same) {
            Some(other) => other.verbs.extend(rule.verbs.iter().cloned()),
            None => out.push(rule.clone()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::rbac::ClusterRole;
    use api::kinds;
    use serde_json::json;
    use std::collections::{BTreeMap, HashMap};

    fn policy(rules: Value) -> Policy {
        let role = |rules: Value| ClusterRole::of(&json!({ "rules": rules }));
        let all = json!([{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]);
        let binding = json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "own"},
            "subjects": [{"kind": "User", "name": "ann"}]});
        let roles = BTreeMap::from([("own".to_string(), role(rules)), ("all".to_string(), role(all))]);
        Policy::new(&roles, HashMap::new(), vec![Arc::new(Binding::of(&binding))], HashMap::new())
    }

    fn ask(plural: &str, held: Value, object: &Value) -> Result<(), String> {
        let (kind, _) = kinds::find(GROUP, "v1", plural).unwrap();
        let user = User::new("ann", &["system:authenticated"]);
        let attributes = Attributes {
            operation: Operation::Create,
            kind,
            subresource: "",
            namespace: "a",
            name: "x",
            user: &user,
            dry_run: false,
            old: None,
        };
        check(&policy(held), &attributes, object).map_err(|status| status.message)
    }

    #[test]
    fn roles_need_what_they_grant() {
        let pods = json!([{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]);
        let role = json!({"metadata": {"name": "x"}, "rules": pods});
        assert_eq!(ask("roles", pods.clone(), &role), Ok(()));
        assert_eq!(
            ask("roles", json!([]), &role).unwrap_err(),
            "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"ann\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\"]}"
        );
        let escalate = json!([{"verbs": ["escalate"], "apiGroups": [GROUP], "resources": ["roles"]}]);
        assert_eq!(ask("roles", escalate, &role), Ok(()));
        let aggregated = json!({"metadata": {"name": "x"}, "aggregationRule": {"clusterRoleSelectors": []}});
        assert!(ask("clusterroles", pods, &aggregated).is_err());
    }

    #[test]
    fn bindings_need_what_their_role_grants() {
        let binding = |role: &str| {
            json!({"metadata": {"name": "x"}, "roleRef": {"kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "User", "name": "bob"}]})
        };
        let pods = json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]);
        assert_eq!(ask("rolebindings", pods.clone(), &binding("own")), Ok(()));
        assert!(ask("rolebindings", pods.clone(), &binding("all")).unwrap_err().contains("not currently held"));
        let bind =
            json!([{"verbs": ["bind"], "apiGroups": [GROUP], "resources": ["clusterroles"], "resourceNames": ["all"]}]);
        assert_eq!(ask("rolebindings", bind, &binding("all")), Ok(()));
        assert_eq!(
            ask("rolebindings", pods, &binding("none")).unwrap_err(),
            "clusterroles.rbac.authorization.k8s.io \"none\" not found"
        );
    }
}
