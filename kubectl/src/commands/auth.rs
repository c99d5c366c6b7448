//! `auth can-i` and `auth whoami` (kubectl, pkg/cmd/auth).

use api::object::list;
use http::Method;
use serde_json::json;

use super::missing::unsupported;
use crate::command::{Call, Command, command, parent, run};
use crate::common::{EVERYWHERE, PRINT};
use crate::describe;
use crate::error::{Error, Result, fail};
use crate::flags::Takes::{Bool, Text};
use crate::flags::{Flag, flag};
use crate::output::tab::Tabs;
use crate::output::{Documents, Format, go};
use crate::session::{JSON, line, say};

/// `auth`.
pub const COMMAND: Command = parent("auth", "Inspect authorization", &[CAN_I, RECONCILE, WHO_AM_I]);

const FLAGS: &[Flag] = &[
    flag("quiet", "q", Bool(false), "Answer by the exit code only."),
    flag("subresource", "", Text(""), "Ask about this subresource."),
    flag("list", "", Bool(false), "Print everything that is allowed."),
    flag("no-headers", "", Bool(false), "Print no first line."),
];
const CAN_I: Command = command(
    "can-i",
    "VERB [TYPE | TYPE/NAME | NONRESOURCEURL]",
    "Check whether an action is allowed",
    FLAGS,
    &[EVERYWHERE],
    run!(can_i),
);
const RECONCILE: Command = unsupported(
    "reconcile",
    "Reconciles rules for RBAC role, role binding, cluster role, and cluster role binding objects",
    "use apply",
);
const WHO_AM_I: Command =
    command("whoami", "", "Experimental: Check self subject attributes", &[], &[PRINT], run!(who_am_i));

async fn can_i(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if flags.is("list") {
        return listed(&call).await;
    }
    let (verb, what, name) = match call.args.as_slice() {
        [verb, what] => (verb, what, ""),
        [verb, what, name] => (verb, what, name.as_str()),
        _ => {
            return Err(fail!(
                "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples."
            ));
        }
    };
    let namespace = if flags.is("all-namespaces") { String::new() } else { session.namespace()? };
    let mut spec = json!({});
    if what.starts_with('/') {
        spec["nonResourceAttributes"] = json!({"verb": verb, "path": what});
    } else {
        let (word, slashed) = what.split_once('/').unwrap_or((what, ""));
        let name = if name.is_empty() { slashed } else { name };
        let (group, plural, namespaced) = match session.resources().await?.find(word) {
            Ok(found) => (found.group.clone(), found.plural.clone(), found.namespaced),
            Err(_) if word == "*" => ("*".into(), "*".into(), true),
            Err(_) => {
                eprintln!("Warning: the server doesn't have a resource type '{word}'\n");
                (String::new(), word.to_string(), true)
            }
        };
        if !namespaced && !plural.is_empty() {
            let group = if group.is_empty() { String::new() } else { format!(" in group '{group}'") };
            eprintln!("Warning: resource '{plural}' is not namespace scoped{group}\n");
        }
        spec["resourceAttributes"] = json!({"namespace": namespace, "verb": verb, "group": group, "resource": plural,
            "subresource": flags.text("subresource"), "name": name});
    }
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let answer = session.json(Method::POST, path, JSON, Some((JSON, &review))).await?;
    let allowed = api::object::flag(&answer, "/status/allowed");
    if !flags.is("quiet") {
        let mut said = if allowed { "yes".to_string() } else { "no".to_string() };
        for (pointer, before) in [("/status/reason", " - "), ("/status/evaluationError", " - ")] {
            let why = api::object::text(&answer, pointer);
            if !why.is_empty() && !allowed {
                said += &format!("{before}{why}");
            }
        }
        line(&said);
    }
    if allowed { Ok(()) } else { Err(Error::Exit(1, String::new())) }
}

async fn who_am_i(call: Call) -> Result<()> {
    let session = &call.session;
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = session.json(Method::POST, path, JSON, Some((JSON, &review))).await?;
    let format = Format::of(&session.flags)?;
    if !format.human() {
        say(&Documents::new(format, &session.flags).next(&answer)?);
        return Ok(());
    }
    let info = answer.pointer("/status/userInfo").cloned().unwrap_or_default();
    let mut text = "ATTRIBUTE\tVALUE\n".to_string();
    for (title, key) in [("Username", "username"), ("UID", "uid"), ("Groups", "groups")] {
        let shown = info.get(key).map(go).unwrap_or_default();
        if !shown.is_empty() && shown != "[]" {
            text.push_str(&format!("{title}\t{shown}\n"));
        }
    }
    for (key, value) in info["extra"].as_object().into_iter().flatten() {
        text.push_str(&format!("Extra: {key}\t{}\n", go(value)));
    }
    say(&Tabs::table().align(&text));
    Ok(())
}

/// `--list`: the rules as a table.
async fn listed(call: &Call) -> Result<()> {
    let session = &call.session;
    if !call.args.is_empty() {
        return Err(fail!("list option must be specified with no arguments"));
    }
    let spec = json!({"namespace": session.namespace()?});
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": spec});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let answer = session.json(Method::POST, path, JSON, Some((JSON, &review))).await?;
    if api::object::flag(&answer, "/status/incomplete") {
        let error = api::object::text(&answer, "/status/evaluationError");
        let error = if error.is_empty() { String::new() } else { format!(": {error}") };
        eprintln!("warning: the list may be incomplete{error}");
    }
    let mut text = String::new();
    if !session.flags.is("no-headers") {
        text.push_str("Resources\tNon-Resource URLs\tResource Names\tVerbs\n");
    }
    let rules = [list(&answer, "/status/resourceRules"), list(&answer, "/status/nonResourceRules")].concat();
    describe::rules(&rules).iter().for_each(|row| text.push_str(&format!("{row}\n")));
    say(&Tabs::table().align(&text));
    Ok(())
}
