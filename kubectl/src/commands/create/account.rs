//! `create namespace`, `serviceaccount` and `token`.

use http::Method;
use serde_json::json;

use super::{MADE, bare, metadata, submit};
use crate::command::{Call, Command, command, run};
use crate::common::PRINT;
use crate::error::{Result, fail};
use crate::flags::Takes::{Array, Duration, Text};
use crate::flags::{Flag, flag};
use crate::output::{Documents, Format};
use crate::session::{JSON, line, say};

/// `create namespace`.
pub const NAMESPACE: Command =
    command("namespace", "NAME", "Create a namespace with the specified name", &[], MADE, run!(namespace))
        .also(&["ns"]);
/// `create serviceaccount`.
pub const SERVICE_ACCOUNT: Command = command(
    "serviceaccount",
    "NAME",
    "Create a service account with the specified name",
    &[],
    MADE,
    run!(service_account),
)
.also(&["sa"]);
/// `create token`.
pub const TOKEN: Command =
    command("token", "SERVICE_ACCOUNT_NAME", "Request a service account token", OF_TOKEN, &[PRINT], run!(token));

const OF_TOKEN: &[Flag] = &[
    flag("audience", "", Array, "For whom the token is meant."),
    flag("duration", "", Duration("0s"), "How long it is valid; 0 for the server's choice."),
    flag("bound-object-kind", "", Text(""), "Pod, Secret or Node: the token is valid as long as that lives."),
    flag("bound-object-name", "", Text(""), "Its name."),
    flag("bound-object-uid", "", Text(""), "Its UID."),
];

async fn namespace(call: Call) -> Result<()> {
    let metadata = bare(call.exactly_one_name()?);
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": {}, "status": {}});
    submit(&call, object, "", "created").await
}

async fn service_account(call: Call) -> Result<()> {
    let metadata = metadata(&call, call.exactly_one_name()?)?;
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata});
    submit(&call, object, "serviceaccount", "created").await
}

async fn token(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let name = call.exactly_one_name()?;
    let lifetime = flags.duration("duration");
    if lifetime.is_negative() {
        return Err(fail!("--duration must be greater than or equal to 0"));
    }
    if lifetime.subsec_nanos() != 0 {
        return Err(fail!("--duration cannot be expressed in units less than seconds"));
    }
    let mut spec = json!({"audiences": flags.list("audience")});
    if lifetime.as_secs() > 0 {
        spec["expirationSeconds"] = json!(lifetime.as_secs());
    }
    if let Some(reference) = bound(flags)? {
        spec["boundObjectRef"] = reference;
    }
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let accounts = session.resources().await?.find("serviceaccounts")?;
    let path = format!("{}/token", accounts.path(&session.namespace()?, name));
    let answer = session.json(Method::POST, &path, JSON, Some((JSON, &body))).await;
    let answer = answer.map_err(|error| error.plain("failed to create token: "))?;
    match Format::of(flags)? {
        format if format.human() => line(api::object::text(&answer, "/status/token")),
        format => say(&Documents::new(format, flags).next(&answer)?),
    }
    Ok(())
}

/// What the token is bound to.
fn bound(flags: &crate::flags::Flags) -> Result<Option<serde_json::Value>> {
    let (kind, name, uid) =
        (flags.text("bound-object-kind"), flags.text("bound-object-name"), flags.text("bound-object-uid"));
    if kind.is_empty() {
        for flag in ["bound-object-name", "bound-object-uid"] {
            if flags.some(flag).is_some() {
                return Err(fail!("--{flag} can only be set if --bound-object-kind is provided"));
            }
        }
        return Ok(None);
    }
    if !["Node", "Pod", "Secret"].contains(&kind) {
        return Err(fail!("supported --bound-object-kind values are Node, Pod, Secret"));
    }
    if name.is_empty() {
        return Err(fail!("--bound-object-name is required if --bound-object-kind is provided"));
    }
    let mut reference = json!({"apiVersion": "v1", "kind": kind, "name": name});
    if !uid.is_empty() {
        reference["uid"] = json!(uid);
    }
    Ok(Some(reference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    #[test]
    fn tokens_are_bound_to_what_exists() {
        let run = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
            bound(&parse(OF_TOKEN, &words).unwrap().flags)
        };
        assert_eq!(run("").unwrap(), None);
        assert_eq!(
            run("--bound-object-kind=Pod --bound-object-name=p --bound-object-uid=u").unwrap(),
            Some(json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}))
        );
        for line in ["--bound-object-name=p", "--bound-object-kind=Pod", "--bound-object-kind=X --bound-object-name=p"]
        {
            assert!(run(line).is_err(), "{line}");
        }
    }
}
