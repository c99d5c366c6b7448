//! Tables for `rbac.rs`.

use serde_json::json;

use super::*;

fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> Rule {
    let list = |text: &str| text.split(',').filter(|s| *s != "-").map(str::to_string).collect();
    Rule {
        verbs: list(verbs),
        api_groups: list(groups),
        resources: list(resources),
        resource_names: list(names),
        non_resource_urls: vec![],
    }
}

fn urls(verbs: &str, urls: &str) -> Rule {
    let list = |text: &str| text.split(',').map(str::to_string).collect();
    Rule { verbs: list(verbs), non_resource_urls: list(urls), ..Rule::default() }
}

fn ask(verb: &str, group: &str, resource: &str, name: &str) -> Attributes {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    Attributes {
        verb: verb.into(),
        group: group.into(),
        resource: resource.into(),
        subresource: subresource.into(),
        name: name.into(),
        is_resource: true,
        ..Attributes::default()
    }
}

#[test]
fn rules_allow_what_they_name() {
    let table = [
        (rule("*", "*", "*", "-"), ask("get", "apps", "deployments/scale", "a"), true),
        (rule("get", "", "pods", "-"), ask("get", "", "pods", "a"), true),
        (rule("get", "", "pods", "-"), ask("list", "", "pods", ""), false),
        (rule("get", "", "pods", "-"), ask("get", "apps", "pods", "a"), false),
        (rule("get", "", "pods", "-"), ask("get", "", "pods/log", "a"), false),
        (rule("get", "", "pods/log", "-"), ask("get", "", "pods/log", "a"), true),
        (rule("get", "", "pods/log", "-"), ask("get", "", "pods", "a"), false),
        (rule("get", "*", "*/scale", "-"), ask("get", "apps", "deployments/scale", "a"), true),
        (rule("get", "*", "*/scale", "-"), ask("get", "apps", "deployments", "a"), false),
        (rule("get", "", "configmaps", "a,b"), ask("get", "", "configmaps", "b"), true),
        (rule("get", "", "configmaps", "a,b"), ask("get", "", "configmaps", "c"), false),
        (rule("list", "", "configmaps", "a"), ask("list", "", "configmaps", ""), false),
        (urls("get", "*"), ask("get", "", "pods", "a"), false),
    ];
    for (rule, asked, expected) in table {
        assert_eq!(rule.allows(&asked), expected, "{rule:?} {asked:?}");
    }
}

#[test]
fn path_rules_end_in_wildcards() {
    let table = [
        ("/metrics", "/metrics", true),
        ("/apis/*", "/apis/apps", true),
        ("/apis/*", "/apis", false),
        ("*", "/x", true),
        ("/api", "/apis", false),
    ];
    for (pattern, path, expected) in table {
        let asked = Attributes { verb: "get".into(), path: path.into(), ..Attributes::default() };
        assert_eq!(urls("get", pattern).allows(&asked), expected, "{pattern} {path}");
    }
}

#[test]
fn granting_needs_holding() {
    let held = [
        rule("get,list", "", "pods", "-"),
        rule("*", "apps", "*", "-"),
        rule("get", "", "secrets", "a"),
        urls("get", "/a/*"),
    ];
    let table = [
        (rule("get", "", "pods", "-"), 0),
        (rule("get,list,watch", "", "pods", "-"), 1),
        (rule("get", "", "pods", "x"), 0),
        (rule("delete", "apps", "deployments,deployments/scale", "-"), 0),
        (rule("get", "", "secrets", "-"), 1),
        (rule("get", "", "secrets", "a,b"), 1),
        (rule("*", "*", "*", "-"), 1),
        (urls("get", "/a/b"), 0),
        (urls("get", "/b"), 1),
    ];
    for (wanted, missing) in table {
        assert_eq!(uncovered(&held, std::slice::from_ref(&wanted)).len(), missing, "{wanted:?}");
    }
    assert_eq!(rule("get", "", "pods", "-").compact(), "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}");
}

fn policy() -> Policy {
    let role = |value: Value| ClusterRole::of(&value);
    let roles = BTreeMap::from([
        ("reader".to_string(), role(json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}))),
        (
            "sum".to_string(),
            role(json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": "sum"}}]}})),
        ),
        (
            "part".to_string(),
            role(json!({"metadata": {"labels": {"into": "sum"}},
                "rules": [{"verbs": ["list"], "apiGroups": ["apps"], "resources": ["deployments"]}]})),
        ),
    ]);
    let bind = |name: &str, role: &str, subjects: Value| {
        let kind = if role == "local" { "Role" } else { "ClusterRole" };
        Arc::new(Binding::of(
            &json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role}, "subjects": subjects}),
        ))
    };
    let local: Arc<[Rule]> = Arc::from(vec![rule("delete", "", "pods", "-")]);
    Policy::new(
        &roles,
        HashMap::from([(("a".to_string(), "local".to_string()), local)]),
        vec![
            bind("everywhere", "reader", json!([{"kind": "User", "name": "ann"}])),
            bind("summed", "sum", json!([{"kind": "Group", "name": "devs"}])),
            bind("dangling", "nothing", json!([{"kind": "User", "name": "ann"}])),
        ],
        HashMap::from([(
            "a".to_string(),
            vec![
                bind("here", "reader", json!([{"kind": "ServiceAccount", "name": "robot", "namespace": "a"}])),
                bind("local", "local", json!([{"kind": "ServiceAccount", "name": "robot"}])),
            ],
        )]),
    )
}

#[test]
fn bindings_say_who_may_where() {
    let robot = "system:serviceaccount:a:robot";
    let table = [
        (
            "ann",
            "",
            "get",
            "pods",
            "a",
            Some("RBAC: allowed by ClusterRoleBinding \"everywhere\" of ClusterRole \"reader\" to User \"ann\""),
        ),
        (
            "ann",
            "",
            "get",
            "pods",
            "",
            Some("RBAC: allowed by ClusterRoleBinding \"everywhere\" of ClusterRole \"reader\" to User \"ann\""),
        ),
        ("ann", "", "list", "pods", "a", None),
        (
            "bob",
            "devs",
            "list",
            "deployments",
            "b",
            Some("RBAC: allowed by ClusterRoleBinding \"summed\" of ClusterRole \"sum\" to Group \"devs\""),
        ),
        ("bob", "", "list", "deployments", "b", None),
        (
            robot,
            "",
            "get",
            "pods",
            "a",
            Some("RBAC: allowed by RoleBinding \"here/a\" of ClusterRole \"reader\" to ServiceAccount \"robot/a\""),
        ),
        (robot, "", "get", "pods", "b", None),
        (robot, "", "get", "pods", "", None),
        (
            robot,
            "",
            "delete",
            "pods",
            "a",
            Some("RBAC: allowed by RoleBinding \"local/a\" of Role \"local\" to ServiceAccount \"robot/\""),
        ),
    ];
    let policy = policy();
    for (user, group, verb, resource, namespace, expected) in table {
        let mut asked = ask(verb, if resource == "deployments" { "apps" } else { "" }, resource, "");
        (asked.user, asked.namespace) = (User::new(user, &[group]), namespace.into());
        assert_eq!(policy.allowed(&asked).as_deref(), expected, "{user} {verb} {resource} {namespace}");
    }
}

#[test]
fn rules_of_a_user_are_the_sum_of_its_bindings() {
    let policy = policy();
    assert_eq!(policy.rules_for(&User::new("system:serviceaccount:a:robot", &[]), "a").len(), 2);
    assert_eq!(policy.rules_for(&User::new("system:serviceaccount:a:robot", &[]), "").len(), 0);
    assert_eq!(policy.role("ClusterRole", "", "sum").map(<[Rule]>::len), Some(1));
    assert!(policy.role("Role", "b", "local").is_none());
}
