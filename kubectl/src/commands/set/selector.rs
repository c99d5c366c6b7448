//! `set selector`, `set serviceaccount` and `set subject` (kubectl, pkg/cmd/set).

use serde_json::{Value, json};

use super::{pod_spec, update};
use crate::command::{Call, Command, command, run};
use crate::common::{ALL, DRY, FILES, FILES_BELOW, LABELS, LOCAL, PRINT, manager};
use crate::error::{Result, fail};
use crate::flags::Takes::{Array, Text};
use crate::flags::{Flags, flag};
use crate::pairs::map_of;

/// `set selector`.
pub const SELECTOR: Command = command(
    "selector",
    "(-f FILENAME | TYPE NAME) EXPRESSIONS [--resource-version=version]",
    "Set the selector on a resource",
    &[manager("kubectl-set"), flag("resource-version", "", Text(""), "Only change an object of this version.")],
    &[PRINT, FILES_BELOW, ALL, DRY, LOCAL],
    run!(selector),
);
/// `set serviceaccount`.
pub const SERVICE_ACCOUNT: Command = command(
    "serviceaccount",
    "(-f FILENAME | TYPE NAME) SERVICE_ACCOUNT",
    "Update the service account of a resource",
    &[manager("kubectl-set")],
    &[PRINT, FILES, ALL, DRY, LOCAL],
    run!(service_account),
)
.also(&["sa"]);
/// `set subject`.
pub const SUBJECT: Command = command(
    "subject",
    "(-f FILENAME | TYPE NAME) [--user=username] [--group=groupname] [--serviceaccount=namespace:serviceaccountname]",
    "Update the user, group, or service account in a role binding or cluster role binding",
    &[
        manager("kubectl-set"),
        flag("user", "", Array, "User to bind."),
        flag("group", "", Array, "Group to bind."),
        flag("serviceaccount", "", Array, "Service account to bind, NAMESPACE:NAME."),
    ],
    &[PRINT, FILES, LABELS, ALL, DRY, LOCAL],
    run!(subject),
);

async fn selector(call: Call) -> Result<()> {
    let Some((pairs, words)) = call.args.split_last().filter(|(last, _)| last.contains('=')) else {
        return Err(fail!("one resource and one selector are required"));
    };
    let labels = map_of(std::slice::from_ref(pairs))?;
    let version = call.session.flags.some("resource-version").map(str::to_string);
    update(&call, words, "selector", "selector updated", |object| {
        let mut wanted = object.clone();
        match api::object::kind(object) {
            "Service" | "ReplicationController" => api::object::set(&mut wanted, "/spec/selector", labels.clone()),
            kind => return Err(fail!("setting a selector is only supported for Services, not for {kind}")),
        }
        if let Some(version) = &version {
            api::object::set_resource_version(&mut wanted, version);
        }
        Ok(wanted)
    })
    .await
}

async fn service_account(call: Call) -> Result<()> {
    let Some((name, words)) = call.args.split_last() else { return Err(fail!("serviceaccount is required")) };
    if words.is_empty() && call.session.flags.list("filename").is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name> or <resource>/<name>"));
    }
    update(&call, words, "service account", "serviceaccount updated", |object| {
        let mut wanted = object.clone();
        let base = pod_spec(object)?;
        for field in ["serviceAccountName", "serviceAccount"] {
            api::object::set(&mut wanted, &format!("{base}/{field}"), json!(name));
        }
        Ok(wanted)
    })
    .await
}

async fn subject(call: Call) -> Result<()> {
    let new = subjects(&call.session.flags)?;
    if new.is_empty() {
        return Err(fail!("you must specify at least one value of user, group or serviceaccount"));
    }
    update(&call, &call.args, "subjects", "subjects updated", |object| {
        if !["RoleBinding", "ClusterRoleBinding"].contains(&api::object::kind(object)) {
            return Err(fail!("setting subjects is only supported for RoleBinding/ClusterRoleBinding"));
        }
        let mut all = api::object::list(object, "/subjects").to_vec();
        all.extend(new.iter().filter(|one| !api::object::list(object, "/subjects").contains(one)).cloned());
        let mut wanted = object.clone();
        wanted["subjects"] = Value::Array(all);
        Ok(wanted)
    })
    .await
}

/// Who the flags name.
pub fn subjects(flags: &Flags) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for (flag, kind) in [("user", "User"), ("group", "Group")] {
        let of = |name: &String| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
        all.extend(flags.list(flag).iter().map(of));
    }
    for account in flags.list("serviceaccount") {
        let Some((namespace, name)) = account.split_once(':') else {
            return Err(fail!("serviceaccount must be <namespace>:<name>"));
        };
        all.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
    }
    Ok(all)
}
