//! Roles and bindings as objects, out of the table in `manifests/bootstrap/rbac.yaml`. Pure; the table's header says how its
//! lines read. Labels and annotations are upstream's.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::rbac::Rule;

const TABLE: &str = include_str!("../../../manifests/bootstrap/rbac.yaml");
const RBAC: &str = "rbac.authorization.k8s.io";
const CONTROLLER_PREFIX: &str = "system:controller:";
const CONTROLLER_MANAGER: &str = "system:kube-controller-manager";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Table {
    cluster_roles: BTreeMap<String, Role>,
    cluster_role_bindings: BTreeMap<String, Bound>,
    controllers: BTreeMap<String, Vec<String>>,
    roles: BTreeMap<String, Vec<String>>,
    role_bindings: BTreeMap<String, Bound>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Role {
    rules: Vec<String>,
    aggregates: Vec<String>,
    into: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Bound {
    role: Option<String>,
    users: Vec<String>,
    groups: Vec<String>,
    service_accounts: Vec<String>,
}

fn table() -> Table {
    // The table is part of the program: a test reads it.
    serde_yaml::from_str(TABLE).unwrap_or_else(|error| {
        tracing::error!(%error, "the table of roles does not parse");
        Table::default()
    })
}

/// One line of the table; `None` if it does not read as one.
fn rule(line: &str) -> Option<Rule> {
    let list = |text: &str| text.split(',').map(str::to_string).collect::<Vec<_>>();
    let words: Vec<&str> = line.split_whitespace().collect();
    let groups = |text: &str| {
        text.split(',').map(|group| if group == "core" { String::new() } else { group.into() }).collect::<Vec<_>>()
    };
    match words.as_slice() {
        ["events"] => rule("create,update,patch core,events.k8s.io events"),
        [verbs, "url", urls] => Some(Rule { verbs: expand(verbs), non_resource_urls: list(urls), ..Rule::default() }),
        [verbs, among, resources, rest @ ..] if rest.len() <= 1 => Some(Rule {
            verbs: expand(verbs),
            api_groups: groups(among),
            resources: list(resources),
            resource_names: rest.first().map(|names| list(names)).unwrap_or_default(),
            ..Rule::default()
        }),
        _ => None,
    }
}

fn expand(verbs: &str) -> Vec<String> {
    let words = verbs.split(',').map(|verb| match verb {
        "read" => "get,list,watch",
        "write" => "create,delete,deletecollection,patch,update",
        other => other,
    });
    words.flat_map(|words| words.split(',')).map(str::to_string).collect()
}

/// Whether a role is one of mkube's own components, which patch where upstream's update.
fn of_component(name: &str) -> bool {
    [CONTROLLER_PREFIX, "system:kube-", "system::leader-locking-", "system:node"].iter().any(|p| name.starts_with(p))
}

fn rules(role: &str, lines: &[String]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = lines.iter().filter_map(|line| rule(line)).collect();
    if of_component(role) {
        for rule in &mut rules {
            let (updates, patches) =
                (rule.verbs.iter().any(|v| v == "update"), rule.verbs.iter().any(|v| v == "patch"));
            if updates && !patches {
                rule.verbs.push("patch".into());
            }
        }
    }
    rules
}

/// The rules of one ClusterRole of the table, without aggregation.
pub fn cluster_role_rules(name: &str) -> Vec<Rule> {
    table().cluster_roles.get(name).map(|role| rules(name, &role.rules)).unwrap_or_default()
}

fn metadata(name: &str, namespace: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    metadata
}

fn role_object(kind: &str, namespace: &str, name: &str, rules: &[Rule]) -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(name, namespace), "rules": rules})
}

fn binding_object(kind: &str, namespace: &str, name: &str, role: (&str, &str), bound: &Bound) -> Value {
    let of = |kind: &'static str| move |name: &String| json!({"kind": kind, "apiGroup": RBAC, "name": name});
    let mut subjects: Vec<Value> = bound.users.iter().map(of("User")).collect();
    subjects.extend(bound.groups.iter().map(of("Group")));
    subjects.extend(
        bound
            .service_accounts
            .iter()
            .filter_map(|account| account.split_once('/'))
            .map(|(namespace, name)| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})),
    );
    let mut object = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": role.0, "name": role.1},
    });
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    object
}

/// All roles and bindings.
pub fn objects() -> Vec<Value> {
    let table = table();
    let mut objects = Vec::new();
    for (name, role) in &table.cluster_roles {
        objects.push(cluster_role(&table, name, role));
    }
    for (name, bound) in &table.cluster_role_bindings {
        objects.push(binding_object("ClusterRoleBinding", "", name, ("ClusterRole", name), bound));
    }
    for (controller, lines) in &table.controllers {
        let name = format!("{CONTROLLER_PREFIX}{controller}");
        objects.push(role_object("ClusterRole", "", &name, &rules(&name, lines)));
        let bound = Bound {
            users: vec![CONTROLLER_MANAGER.into()],
            service_accounts: vec![format!("kube-system/{controller}")],
            ..Bound::default()
        };
        objects.push(binding_object("ClusterRoleBinding", "", &name, ("ClusterRole", &name), &bound));
    }
    for (key, lines) in &table.roles {
        if let Some((namespace, name)) = key.split_once('/') {
            objects.push(role_object("Role", namespace, name, &rules(name, lines)));
        }
    }
    for (key, bound) in &table.role_bindings {
        if let Some((namespace, name)) = key.split_once('/') {
            let role = bound.role.as_deref().unwrap_or(name);
            objects.push(binding_object("RoleBinding", namespace, name, ("Role", role), bound));
        }
    }
    objects
}

/// A ClusterRole; an aggregated one already has the rules of its parts, as upstream's aggregation controller writes them.
fn cluster_role(table: &Table, name: &str, role: &Role) -> Value {
    let mut object = role_object("ClusterRole", "", name, &collect(table, name, role));
    for target in &role.into {
        object["metadata"]["labels"][format!("rbac.authorization.k8s.io/aggregate-to-{target}")] = json!("true");
    }
    if !role.aggregates.is_empty() {
        let selectors: Vec<Value> = role
            .aggregates
            .iter()
            .map(|target| json!({"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{target}"): "true"}}))
            .collect();
        object["aggregationRule"] = json!({ "clusterRoleSelectors": selectors });
    }
    object
}

fn collect(table: &Table, name: &str, role: &Role) -> Vec<Rule> {
    let mut all = rules(name, &role.rules);
    for (other, part) in &table.cluster_roles {
        if part.into.iter().any(|target| role.aggregates.contains(target)) {
            for rule in collect(table, other, part) {
                if !all.contains(&rule) {
                    all.push(rule);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_reads() {
        let table: Table = serde_yaml::from_str(TABLE).unwrap();
        let lines = table.cluster_roles.values().flat_map(|role| &role.rules);
        let lines = lines.chain(table.controllers.values().flatten()).chain(table.roles.values().flatten());
        for line in lines {
            let rule = rule(line).unwrap_or_else(|| panic!("{line}"));
            assert!(!rule.verbs.is_empty(), "{line}");
        }
        for (name, bound) in &table.cluster_role_bindings {
            assert!(table.cluster_roles.contains_key(name), "{name} binds nothing");
            assert!(bound.role.is_none());
        }
        for (name, bound) in &table.role_bindings {
            let (namespace, own) = name.split_once('/').unwrap();
            let role = format!("{namespace}/{}", bound.role.as_deref().unwrap_or(own));
            assert!(table.roles.contains_key(&role), "{name} binds nothing");
        }
    }

    #[test]
    fn lines_are_rules() {
        let read = rule("read core,apps pods,pods/log a,b").unwrap();
        assert_eq!(read.verbs, ["get", "list", "watch"]);
        assert_eq!(
            (read.api_groups, read.resource_names),
            (vec![String::new(), "apps".into()], vec!["a".into(), "b".into()])
        );
        assert_eq!(rule("get url /a,/b/*").unwrap().non_resource_urls, ["/a", "/b/*"]);
        assert!(rule("get pods").is_none());
        assert!(cluster_role_rules("system:node").len() > 10);
    }

    #[test]
    fn aggregated_roles_hold_the_rules_of_their_parts() {
        let objects = objects();
        let find =
            |name: &str| objects.iter().find(|o| o["kind"] == "ClusterRole" && o["metadata"]["name"] == name).unwrap();
        let count = |name: &str| find(name)["rules"].as_array().unwrap().len();
        assert_eq!(count("view"), count("system:aggregate-to-view"));
        assert_eq!(count("edit"), count("view") + count("system:aggregate-to-edit"));
        assert_eq!(count("admin"), count("edit") + count("system:aggregate-to-admin"));
        assert_eq!(find("edit")["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"], "true");
    }

    #[test]
    fn components_may_patch_what_they_may_update() {
        let objects = objects();
        let role = objects.iter().find(|o| o["metadata"]["name"] == "system:controller:deployment-controller").unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let verbs = rule["verbs"].as_array().unwrap();
            assert!(!verbs.contains(&json!("update")) || verbs.contains(&json!("patch")), "{rule}");
        }
    }
}
