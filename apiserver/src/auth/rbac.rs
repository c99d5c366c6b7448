//! Role-based access control as pure functions: rules, who is meant by a binding, and whether some rules cover others.
//!
//! Follows upstream's evaluation (pkg/apis/rbac/v1/evaluation_helpers.go, pkg/registry/rbac/validation). A [`Policy`] is an
//! immutable snapshot of all roles and bindings with aggregated ClusterRoles already resolved; `policy.rs` keeps one current.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::selector::LabelSelector;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attributes::Attributes;
use crate::request::User;

/// `rbac/v1 PolicyRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    /// Verbs; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
    /// API groups; `*` is all, empty is core.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `resource`, `resource/subresource`, `*/subresource` or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Only these names; empty is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; a trailing `*` matches what follows.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    /// Whether the rule allows it.
    pub fn allows(&self, asked: &Attributes) -> bool {
        if !has(&self.verbs, &asked.verb) {
            return false;
        }
        if !asked.is_resource {
            return self.non_resource_urls.iter().any(|url| url_matches(url, &asked.path));
        }
        has(&self.api_groups, &asked.group)
            && self.resources.iter().any(|r| resource_matches(r, &asked.resource, &asked.subresource))
            && (self.resource_names.is_empty() || self.resource_names.contains(&asked.name))
    }

    /// The parts of which a rule is the product; each is covered or not as one.
    fn parts(&self) -> Vec<Rule> {
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    let base = Rule {
                        verbs: vec![verb.clone()],
                        api_groups: vec![group.clone()],
                        resources: vec![resource.clone()],
                        ..Rule::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(base);
                    } else {
                        parts.extend(
                            self.resource_names
                                .iter()
                                .map(|name| Rule { resource_names: vec![name.clone()], ..base.clone() }),
                        );
                    }
                }
            }
            for url in &self.non_resource_urls {
                parts.push(Rule { verbs: vec![verb.clone()], non_resource_urls: vec![url.clone()], ..Rule::default() });
            }
        }
        parts
    }

    /// Whether this rule alone gives everything that `part` gives; `part` comes from [`Rule::parts`].
    fn covers(&self, part: &Rule) -> bool {
        let all = |mine: &[String], theirs: &[String]| theirs.iter().all(|item| has(mine, item));
        if !all(&self.verbs, &part.verbs) {
            return false;
        }
        if let Some(url) = part.non_resource_urls.first() {
            return self.non_resource_urls.iter().any(|mine| mine == "*" || mine == url || wildcard_covers(mine, url));
        }
        let resources = part.resources.iter().all(|wanted| {
            let (_, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
            self.resources.iter().any(|mine| {
                mine == "*"
                    || mine == wanted
                    || (!subresource.is_empty() && mine.strip_prefix("*/") == Some(subresource))
            })
        });
        let names = self.resource_names.is_empty()
            || (!part.resource_names.is_empty() && part.resource_names.iter().all(|n| self.resource_names.contains(n)));
        all(&self.api_groups, &part.api_groups) && resources && names
    }

    /// The rule as upstream's messages print it (pkg/apis/rbac/helpers.go: CompactString).
    pub fn compact(&self) -> String {
        let list = |items: &[String]| {
            format!("[{}]", items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" "))
        };
        let fields = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown: Vec<String> = fields
            .iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(name, items)| format!("{name}:{}", list(items)))
            .collect();
        format!("{{{}}}", shown.join(", "))
    }
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    match pattern.split_once('/') {
        _ if pattern == "*" => true,
        None => subresource.is_empty() && pattern == resource,
        Some((wanted, sub)) => !subresource.is_empty() && sub == subresource && (wanted == "*" || wanted == resource),
    }
}

fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || wildcard_covers(pattern, path)
}

fn wildcard_covers(pattern: &str, path: &str) -> bool {
    pattern.ends_with('*') && path.starts_with(pattern.trim_end_matches('*'))
}

/// The parts of `wanted` that no rule of `held` covers: empty if nobody gains anything.
pub fn uncovered(held: &[Rule], wanted: &[Rule]) -> Vec<Rule> {
    let parts = wanted.iter().flat_map(Rule::parts);
    parts.filter(|part| !held.iter().any(|rule| rule.covers(part))).collect()
}

/// The rules of a Role or ClusterRole object; what is no rule is left out.
pub fn rules_of(object: &Value) -> Vec<Rule> {
    let rules = object.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(|rule| serde_json::from_value(rule.clone()).ok()).collect()
}

/// `rbac/v1 Subject`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Namespace of a service account; in a RoleBinding its own if empty.
    pub namespace: String,
}

impl Subject {
    fn means(&self, user: &User, binding_namespace: &str) -> bool {
        match self.kind.as_str() {
            "User" => self.name == user.name,
            "Group" => user.in_group(&self.name),
            "ServiceAccount" => {
                let namespace = if self.namespace.is_empty() { binding_namespace } else { &self.namespace };
                !namespace.is_empty()
                    && user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
                        == Some((namespace, self.name.as_str()))
            }
            _ => false,
        }
    }

    fn described(&self) -> String {
        if self.kind == "ServiceAccount" {
            format!("ServiceAccount \"{}/{}\"", self.name, self.namespace)
        } else {
            format!("{} \"{}\"", self.kind, self.name)
        }
    }
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// `Role` or `ClusterRole`.
    pub role_kind: String,
    /// The role's name.
    pub role_name: String,
    /// Who is bound.
    pub subjects: Vec<Subject>,
}

impl Binding {
    /// Reads a binding object.
    pub fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
        let subjects = object.get("subjects").and_then(Value::as_array);
        let subjects = subjects.into_iter().flatten().filter_map(|s| serde_json::from_value(s.clone()).ok()).collect();
        Self {
            name: text("/metadata/name"),
            role_kind: text("/roleRef/kind"),
            role_name: text("/roleRef/name"),
            subjects,
        }
    }
}

/// A ClusterRole before aggregation.
#[derive(Debug, Clone, Default)]
pub struct ClusterRole {
    /// Its own rules.
    pub rules: Vec<Rule>,
    /// Its labels, by which others aggregate it.
    pub labels: BTreeMap<String, String>,
    /// What it aggregates: roles that match one of these.
    pub aggregates: Vec<LabelSelector>,
}

impl ClusterRole {
    /// Reads a ClusterRole object.
    pub fn of(object: &Value) -> Self {
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_string())))
            .collect();
        let selectors = object.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
        let aggregates = selectors.into_iter().flatten().filter_map(selector).collect();
        Self { rules: rules_of(object), labels, aggregates }
    }
}

/// A selector of an aggregation rule; one that does not parse selects nothing.
fn selector(value: &Value) -> Option<LabelSelector> {
    LabelSelector::from_value(value).ok()
}

/// All roles and bindings at one moment.
#[derive(Debug, Default)]
pub struct Policy {
    cluster_roles: HashMap<String, Arc<[Rule]>>,
    roles: HashMap<(String, String), Arc<[Rule]>>,
    cluster_bindings: Vec<Arc<Binding>>,
    bindings: HashMap<String, Vec<Arc<Binding>>>,
}

impl Policy {
    /// A snapshot; resolves aggregation (one level, as upstream: an aggregated role's result is its rules).
    pub fn new(
        cluster_roles: &BTreeMap<String, ClusterRole>,
        roles: HashMap<(String, String), Arc<[Rule]>>,
        cluster_bindings: Vec<Arc<Binding>>,
        bindings: HashMap<String, Vec<Arc<Binding>>>,
    ) -> Self {
        let cluster_roles =
            cluster_roles.keys().map(|name| (name.clone(), aggregate(cluster_roles, name).into())).collect();
        Self { cluster_roles, roles, cluster_bindings, bindings }
    }

    fn rules(&self, binding: &Binding, namespace: &str) -> &[Rule] {
        let found = match binding.role_kind.as_str() {
            "Role" => self.roles.get(&(namespace.to_string(), binding.role_name.clone())),
            _ => self.cluster_roles.get(&binding.role_name),
        };
        found.map_or(&[], |rules| rules)
    }

    /// Every binding that means `user` in `namespace`, with its rules and a description, until `visit` says stop.
    fn visit<'a>(
        &'a self,
        user: &User,
        namespace: &str,
        mut visit: impl FnMut(&'a [Rule], &dyn Fn() -> String) -> bool,
    ) {
        for binding in &self.cluster_bindings {
            let Some(subject) = binding.subjects.iter().find(|s| s.means(user, "")) else { continue };
            let describe = || {
                format!(
                    "RBAC: allowed by ClusterRoleBinding \"{}\" of ClusterRole \"{}\" to {}",
                    binding.name,
                    binding.role_name,
                    subject.described()
                )
            };
            if visit(self.rules(binding, ""), &describe) {
                return;
            }
        }
        if namespace.is_empty() {
            return;
        }
        for binding in self.bindings.get(namespace).into_iter().flatten() {
            let Some(subject) = binding.subjects.iter().find(|s| s.means(user, namespace)) else { continue };
            let describe = || {
                format!(
                    "RBAC: allowed by RoleBinding \"{}/{namespace}\" of {} \"{}\" to {}",
                    binding.name,
                    binding.role_kind,
                    binding.role_name,
                    subject.described()
                )
            };
            if visit(self.rules(binding, namespace), &describe) {
                return;
            }
        }
    }

    /// Why it is allowed; `None` if no rule allows it.
    pub fn allowed(&self, asked: &Attributes) -> Option<String> {
        let mut reason = None;
        self.visit(&asked.user, &asked.namespace, |rules, describe| {
            let allowed = rules.iter().any(|rule| rule.allows(asked));
            if allowed {
                reason = Some(describe());
            }
            allowed
        });
        reason
    }

    /// All rules that hold for `user` in `namespace` (and cluster-wide).
    pub fn rules_for(&self, user: &User, namespace: &str) -> Vec<Rule> {
        let mut all = Vec::new();
        self.visit(user, namespace, |rules, _| {
            all.extend_from_slice(rules);
            false
        });
        all
    }

    /// The rules of a role by reference; `None` if it does not exist.
    pub fn role(&self, kind: &str, namespace: &str, name: &str) -> Option<&[Rule]> {
        match kind {
            "Role" => self.roles.get(&(namespace.to_string(), name.to_string())).map(|rules| &**rules),
            _ => self.cluster_roles.get(name).map(|rules| &**rules),
        }
    }
}

/// A role's rules and those of the roles that it aggregates, through several levels; circles end.
fn aggregate(all: &BTreeMap<String, ClusterRole>, name: &str) -> Vec<Rule> {
    let (mut rules, mut seen, mut queue) = (Vec::new(), vec![name.to_string()], vec![name.to_string()]);
    while let Some(name) = queue.pop() {
        let Some(role) = all.get(&name) else { continue };
        for rule in &role.rules {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        for (other, candidate) in all {
            let label = |key: &str| candidate.labels.get(key).map(String::as_str);
            if !seen.contains(other) && role.aggregates.iter().any(|selector| selector.matches(label)) {
                seen.push(other.clone());
                queue.push(other.clone());
            }
        }
    }
    rules
}

#[cfg(test)]
#[path = "rbac_tests.rs"]
mod tests;
