//! `create role`, `clusterrole` and their bindings.

use serde_json::{Value, json};

use super::{MADE, bare, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::commands::set::subjects;
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Array, List, Text};
use crate::flags::{Flag, Flags, flag};
use crate::pairs::map_of;

/// The group of roles.
const RBAC: &str = "rbac.authorization.k8s.io";

const VERB: Flag = flag("verb", "", List, "What may be done.");
const RESOURCE: Flag = flag("resource", "", List, "With which resources.");
const NAMES: Flag = flag("resource-name", "", Array, "With objects of these names only.");
const USER: Flag = flag("user", "", Array, "User to bind.");
const GROUP: Flag = flag("group", "", Array, "Group to bind.");
const ACCOUNT: Flag = flag("serviceaccount", "", Array, "Service account to bind, NAMESPACE:NAME.");
const OF_CLUSTER: Flag = flag("clusterrole", "", Text(""), "ClusterRole to bind to.");

/// `create clusterrole`.
pub const CLUSTER_ROLE: Command = command(
    "clusterrole",
    "NAME --verb=verb --resource=resource.group",
    "Create a cluster role",
    &[
        VERB,
        RESOURCE,
        NAMES,
        flag("non-resource-url", "", List, "With which URLs."),
        flag("aggregation-rule", "", Text(""), "Take the rules of ClusterRoles with these labels: a=b,c=d."),
    ],
    MADE,
    run!(role),
);
/// `create clusterrolebinding`.
pub const CLUSTER_ROLE_BINDING: Command = command(
    "clusterrolebinding",
    "NAME --clusterrole=NAME [--user=username]",
    "Create a cluster role binding for a particular cluster role",
    &[OF_CLUSTER, USER, GROUP, ACCOUNT],
    MADE,
    run!(binding),
);
/// `create role`.
pub const ROLE: Command = command(
    "role",
    "NAME --verb=verb --resource=resource.group/subresource",
    "Create a role with single rule",
    &[VERB, RESOURCE, NAMES],
    MADE,
    run!(role),
);
/// `create rolebinding`.
pub const ROLE_BINDING: Command = command(
    "rolebinding",
    "NAME --clusterrole=NAME|--role=NAME [--user=username]",
    "Create a role binding for a particular role or cluster role",
    &[OF_CLUSTER, flag("role", "", Text(""), "Role to bind to."), USER, GROUP, ACCOUNT],
    MADE,
    run!(binding),
);

async fn role(call: Call) -> Result<()> {
    let name = call.exactly_one_name()?;
    let (kind, metadata) = match call.word() {
        "clusterrole" => ("ClusterRole", bare(name)),
        _ => ("Role", metadata(&call, name)?),
    };
    let resources = call.session.resources().await?;
    // kubectl says this one without its usual "error: ".
    let group = |word: &str| match resources.find(word) {
        Ok(found) => Ok((found.group.clone(), found.plural.clone())),
        Err(error) => Err(Error::Said(error.to_string())),
    };
    let object = make_role(metadata, kind, &call.session.flags, group)?;
    submit(&call, object, &kind.to_lowercase(), "created").await
}

async fn binding(call: Call) -> Result<()> {
    let name = call.exactly_one_name()?;
    let (kind, metadata) = match call.word() {
        "clusterrolebinding" => ("ClusterRoleBinding", bare(name)),
        _ => ("RoleBinding", metadata(&call, name)?),
    };
    let object = make_binding(metadata, kind, &call.session.flags)?;
    submit(&call, object, &kind.to_lowercase(), "created").await
}

/// A RoleBinding or ClusterRoleBinding.
fn make_binding(metadata: Value, kind: &str, flags: &Flags) -> Result<Value> {
    let role = match (flags.some("clusterrole"), flags.some("role")) {
        (Some(role), None) => json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role}),
        (None, Some(role)) => json!({"apiGroup": RBAC, "kind": "Role", "name": role}),
        _ => return Err(fail!("exactly one of clusterrole or role must be specified")),
    };
    let subjects = subjects(flags)?;
    let mut object = json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "roleRef": role});
    if !subjects.is_empty() {
        object["subjects"] = json!(subjects);
    }
    Ok(object)
}

/// A Role or ClusterRole with a rule per group of the resources.
fn make_role(
    metadata: Value,
    kind: &str,
    flags: &Flags,
    group: impl Fn(&str) -> Result<(String, String)>,
) -> Result<Value> {
    if let Some(labels) = flags.some("aggregation-rule") {
        if !flags.list("verb").is_empty() || !flags.list("resource").is_empty() {
            return Err(fail!(
                "aggregation rule must be specified without nonResourceURLs, resources or resourceNames"
            ));
        }
        let labels = map_of(&[labels.to_string()])?;
        return Ok(json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "rules": null,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]}}));
    }
    let verbs = flags.list("verb");
    if verbs.is_empty() {
        return Err(fail!("at least one verb must be specified"));
    }
    let (mut rules, resources) = (Vec::<Value>::new(), flags.list("resource"));
    for word in resources {
        let (word, sub) = word.split_once('/').map_or((word.as_str(), ""), |(word, sub)| (word, sub));
        let (group, plural) = group(word)?;
        let resource = if sub.is_empty() { plural } else { format!("{plural}/{sub}") };
        match rules.iter_mut().find(|rule| rule["apiGroups"][0] == group.as_str()) {
            Some(rule) => rule["resources"].as_array_mut().into_iter().for_each(|list| list.push(json!(resource))),
            None => rules.push(json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})),
        }
    }
    if !flags.list("resource-name").is_empty() {
        rules.iter_mut().for_each(|rule| rule["resourceNames"] = json!(flags.list("resource-name")));
    }
    if !flags.list("non-resource-url").is_empty() {
        rules.push(json!({"nonResourceURLs": flags.list("non-resource-url"), "verbs": verbs}));
    }
    if rules.is_empty() {
        return Err(fail!("at least one resource must be specified"));
    }
    Ok(json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "rules": rules}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn given(command: &Command, line: &str) -> Flags {
        parse(command.flags, &line.split_whitespace().map(str::to_string).collect::<Vec<_>>()).unwrap().flags
    }

    #[test]
    fn roles_have_a_rule_per_group() {
        let group =
            |word: &str| Ok((if word == "deploy" { "apps".to_string() } else { String::new() }, word.to_string()));
        let flags = given(&CLUSTER_ROLE, "--verb=get --resource=pods,pods/log,deploy --non-resource-url=/x");
        let made = make_role(json!({}), "ClusterRole", &flags, group).unwrap();
        assert_eq!(
            made["rules"],
            json!([
                {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]},
                {"apiGroups": ["apps"], "resources": ["deploy"], "verbs": ["get"]},
                {"nonResourceURLs": ["/x"], "verbs": ["get"]},
            ])
        );
        assert!(make_role(json!({}), "Role", &given(&ROLE, "--resource=pods"), group).is_err());
    }

    #[test]
    fn bindings_name_role_and_subjects() {
        let flags = given(&ROLE_BINDING, "--role=r --user=u --group=g --serviceaccount=n:a");
        let made = make_binding(json!({}), "RoleBinding", &flags).unwrap();
        assert_eq!(made["roleRef"], json!({"apiGroup": RBAC, "kind": "Role", "name": "r"}));
        assert_eq!(made["subjects"][2], json!({"kind": "ServiceAccount", "name": "a", "namespace": "n"}));
        for line in ["", "--role=r --clusterrole=c", "--role=r --serviceaccount=x"] {
            assert!(make_binding(json!({}), "RoleBinding", &given(&ROLE_BINDING, line)).is_err(), "{line}");
        }
    }
}
