//! `create deployment`, `create configmap` and the others; `run`; `expose`; `create token`.

use http::Method;
use serde_json::{Value, json};

use super::make;
use crate::cmd::apply::annotated;
use crate::cmd::write::{DryRun, Report, Write};
use crate::error::{Result, fail};
use crate::line::Call;
use crate::locate;
use crate::session::{JSON, Session, line};

/// Sends what was made, says so. `what` is how errors call it.
async fn submit(call: &Call, object: Value, what: &str, word: &str) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let mut report = Report::of(flags)?;
    let manager = flags.some("field-manager").unwrap_or("kubectl-create");
    let write = Write { manager, dry: DryRun::of(flags)?, validation: "Strict" };
    let resources = session.resources().await?;
    let (api_version, kind) = (api::object::api_version(&object), api::object::kind(&object));
    let resource = resources
        .of_kind(api_version, kind)
        .ok_or_else(|| fail!("no matches for kind {kind:?} in version {api_version:?}"))?;
    let mut object = if flags.is("save-config") { annotated(&object) } else { object };
    if write.dry != DryRun::Client {
        let namespace = session.namespace()?;
        let made = write.create(session, &resource, &namespace, &object).await;
        object = made.map_err(|error| match what.is_empty() || error.is("Invalid") {
            true => error,
            false => error.plain(&format!("failed to create {what}: ")),
        })?;
    }
    report.say(&resource, &object, word)
}

/// The namespace to write into the object: the one said, or the configured one where it is not the default.
fn place(session: &Session) -> Result<String> {
    if session.namespace_given() {
        return session.namespace();
    }
    let namespace = session.namespace()?;
    Ok(if namespace == "default" { String::new() } else { namespace })
}

/// Runs `create namespace`.
pub async fn namespace(call: Call) -> Result<()> {
    let object = make::namespace(call.exactly_one_name()?);
    submit(&call, object, "", "created").await
}

/// Runs `create serviceaccount`.
pub async fn service_account(call: Call) -> Result<()> {
    let object = make::service_account(call.exactly_one_name()?, &place(&call.session)?);
    submit(&call, object, "serviceaccount", "created").await
}

/// Runs `create deployment`.
pub async fn deployment(call: Call) -> Result<()> {
    if call.session.flags.list("image").is_empty() {
        return Err(fail!("required flag(s) \"image\" not set"));
    }
    let before = call.dash.unwrap_or(call.args.len());
    let (names, command) = call.args.split_at(before.min(call.args.len()));
    let [name] = names else { return Err(call.usage(&format!("exactly one NAME is required, got {}", names.len()))) };
    let object = make::deployment(name, &place(&call.session)?, &call.session.flags, command)?;
    submit(&call, object, "deployment", "created").await
}

/// Runs `create configmap`.
pub async fn config_map(call: Call) -> Result<()> {
    let object = make::config_map(call.exactly_one_name()?, &place(&call.session)?, &call.session.flags)?;
    submit(&call, object, "configmap", "created").await
}

/// Runs `create secret generic`.
pub async fn secret(call: Call) -> Result<()> {
    let object = make::secret(call.exactly_one_name()?, &place(&call.session)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

/// Runs `create secret tls`.
pub async fn tls_secret(call: Call) -> Result<()> {
    let object = make::tls_secret(call.exactly_one_name()?, &place(&call.session)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

/// Runs `create secret docker-registry`.
pub async fn registry_secret(call: Call) -> Result<()> {
    let object = make::registry_secret(call.exactly_one_name()?, &place(&call.session)?, &call.session.flags)?;
    submit(&call, object, "secret", "created").await
}

/// Runs `create service clusterip` and its siblings, by the last word of the command.
pub async fn service(call: Call) -> Result<()> {
    let kind = match call.path.rsplit(' ').next().unwrap_or_default() {
        "nodeport" => "NodePort",
        "loadbalancer" => "LoadBalancer",
        "externalname" => "ExternalName",
        _ => "ClusterIP",
    };
    let object = make::service(call.exactly_one_name()?, &place(&call.session)?, kind, &call.session.flags)?;
    submit(&call, object, &format!("{kind} service"), "created").await
}

/// Runs `create role` and `create clusterrole`.
pub async fn role(call: Call) -> Result<()> {
    let cluster = call.path.ends_with("clusterrole");
    let (kind, namespace) = if cluster { ("ClusterRole", String::new()) } else { ("Role", place(&call.session)?) };
    let resources = call.session.resources().await?;
    let group = |word: &str| resources.find(word).map(|found| (found.group.clone(), found.plural.clone()));
    let object = make::role(call.exactly_one_name()?, &namespace, kind, &call.session.flags, group)?;
    submit(&call, object, &kind.to_lowercase(), "created").await
}

/// Runs `create rolebinding` and `create clusterrolebinding`.
pub async fn binding(call: Call) -> Result<()> {
    let cluster = call.path.ends_with("clusterrolebinding");
    let namespace = if cluster { String::new() } else { place(&call.session)? };
    let object = make::binding(call.exactly_one_name()?, &namespace, cluster, &call.session.flags)?;
    submit(&call, object, if cluster { "clusterrolebinding" } else { "rolebinding" }, "created").await
}

/// Runs `create token`.
pub async fn token(call: Call) -> Result<()> {
    let session = &call.session;
    let name = call.exactly_one_name()?;
    let mut spec = json!({"audiences": session.flags.list("audience")});
    let seconds = session.flags.duration("duration").as_secs();
    if seconds > 0 {
        spec["expirationSeconds"] = json!(seconds);
    }
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec});
    let accounts = session.resources().await?.find("serviceaccounts")?;
    let path = format!("{}/token", accounts.path(&session.namespace()?, name));
    let answer = session.json(Method::POST, &path, JSON, Some((JSON, &body))).await;
    let answer = answer.map_err(|error| error.plain("failed to create token: "))?;
    line(api::object::text(&answer, "/status/token"));
    Ok(())
}

/// Runs `run`.
pub async fn run(call: Call) -> Result<()> {
    let flags = &call.session.flags;
    if flags.some("image").is_none() {
        return Err(fail!("required flag(s) \"image\" not set"));
    }
    let Some((name, words)) = call.args.split_first() else { return Err(call.usage("NAME is required for run")) };
    for unsupported in ["rm", "attach"] {
        if flags.is(unsupported) {
            return Err(fail!("--{unsupported} is not supported by mkubectl yet; use attach and delete"));
        }
    }
    let object = make::pod(name, &place(&call.session)?, flags, words)?;
    submit(&call, object, "", "created").await
}

/// Runs `expose`.
pub async fn expose(call: Call) -> Result<()> {
    if call.args.is_empty() {
        return Err(fail!("You must provide one or more resources by argument or filename."));
    }
    let found = locate::one(&call.session, &call.args, "").await?;
    let name = call.session.flags.some("name").unwrap_or(&found.name).to_string();
    let object = make::exposed(&found.object, &name, &place(&call.session)?, &call.session.flags)?;
    submit(&call, object, "", "exposed").await
}
