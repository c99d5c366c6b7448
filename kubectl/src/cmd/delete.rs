//! `delete` (kubectl, pkg/cmd/delete/delete.go), with waiting until what was deleted is gone.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::write::DryRun;
use crate::cmd::get::events;
use crate::error::{Error, Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Options, Target};
use crate::resources::{Resource, ResourceRef};
use crate::session::{JSON, Session, line, with_query};

/// Longest wait where none is said: a week.
const WEEK: Duration = Duration::from_secs(168 * 3600);

/// Runs `delete`.
pub async fn run(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    if let Some(path) = flags.some("raw") {
        let answer = session.send(Method::DELETE, path, "*/*", None).await?;
        crate::session::say(&String::from_utf8_lossy(answer.body()));
        return Ok(());
    }
    let options = Options::of(session);
    if options.everything && !options.labels.is_empty() {
        return Err(fail!("cannot set --all and --selector at the same time"));
    }
    if options.everything && !options.fields.is_empty() {
        return Err(fail!("cannot set --all and --field-selector at the same time"));
    }
    if options.everything && call.args.iter().any(|word| word.contains('/')) {
        return Err(fail!("setting 'all' parameter but found a non empty selector. "));
    }
    let grace = grace_period(flags.int("grace-period"), flags.is("now"), flags.is("force"))?;
    let named = match flags.text("output") {
        "" => false,
        "name" => true,
        other => return Err(fail!("unexpected -o output mode: {other}. We only support '-o name'")),
    };
    if call.args.is_empty() && flags.list("filename").is_empty() {
        return Err(fail!(
            "You must provide one or more resources by argument or filename.\nExample resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'"
        ));
    }
    let (targets, mut errors) = targets(session, &call.args, &options).await?;
    if targets.is_empty() && errors.is_empty() {
        line("No resources found");
        return Ok(());
    }
    let delete = Delete {
        grace,
        policy: policy(flags.text("cascade"))?,
        force: flags.is("force"),
        dry: DryRun::of(flags)?,
        named,
    };
    if delete.force && grace == Some(0) {
        eprintln!(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely."
        );
    }
    let mut waits = Vec::new();
    for target in targets {
        let name = target.name.clone().unwrap_or_default();
        match delete.one(session, &target.resource, &target.namespace, &name).await {
            Ok(uid) => waits.push((target, uid)),
            Err(error) if error.is("NotFound") && flags.is("ignore-not-found") => {}
            Err(error) => errors.push(error),
        }
    }
    let wait = flags.is("wait") && delete.dry == DryRun::No && (!delete.force || flags.given("wait"));
    if wait {
        let limit = Duration::try_from(flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
        for (target, uid) in &waits {
            let name = target.name.as_deref().unwrap_or_default();
            if let Err(error) = gone(session, &target.resource, &target.namespace, name, uid, limit).await {
                errors.push(error);
            }
        }
    }
    all(errors)
}

/// What to delete, by name each.
async fn targets(session: &Session, words: &[String], options: &Options) -> Result<(Vec<Target>, Vec<Error>)> {
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    if !session.flags.list("filename").is_empty() {
        for found in locate::local(session).await? {
            targets.push(Target { resource: found.resource, namespace: found.namespace, name: Some(found.name) });
        }
    }
    let namespace = session.namespace()?;
    for target in locate::targets(words, session.resources().await?, &namespace, options)? {
        if target.name.is_some() {
            targets.push(target);
            continue;
        }
        match locate::fetch(session, &target, options, JSON, &[]).await {
            Ok(pages) => {
                for found in pages.into_iter().flat_map(|page| locate::unlist(&target.resource, page)) {
                    targets.push(Target {
                        resource: found.resource,
                        namespace: found.namespace,
                        name: Some(found.name),
                    });
                }
            }
            Err(error) => errors.push(error),
        }
    }
    Ok((targets, errors))
}

/// The grace period that the flags mean; `None` is the object's own.
fn grace_period(given: i64, now: bool, force: bool) -> Result<Option<i64>> {
    let mut grace = given;
    if now {
        if grace != -1 {
            return Err(fail!("--now and --grace-period cannot be specified together"));
        }
        grace = 1;
    }
    if force && grace < 0 {
        grace = 0;
    }
    if force && grace > 0 {
        return Err(fail!("--force and --grace-period greater than 0 cannot be specified together"));
    }
    // A pod deleted without force gets the chance to be gone before it is forgotten.
    if grace == 0 && !force {
        grace = 1;
    }
    Ok((grace >= 0).then_some(grace))
}

/// The propagation policy that `--cascade` means.
pub fn policy(cascade: &str) -> Result<&'static str> {
    match cascade {
        "background" | "true" => Ok("Background"),
        "foreground" => Ok("Foreground"),
        "orphan" | "false" => Ok("Orphan"),
        other => Err(fail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")),
    }
}

struct Delete {
    grace: Option<i64>,
    policy: &'static str,
    force: bool,
    dry: DryRun,
    named: bool,
}

impl Delete {
    /// Deletes one object, says so; returns its UID if the server told.
    async fn one(&self, session: &Session, resource: &Resource, namespace: &str, name: &str) -> Result<String> {
        let mut uid = String::new();
        if self.dry != DryRun::Client {
            let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": self.policy});
            if let Some(grace) = self.grace {
                options["gracePeriodSeconds"] = json!(grace);
            }
            let path = with_query(&resource.path(namespace, name), &[("dryRun", self.dry.query())]);
            let answer = session.json(Method::DELETE, &path, JSON, Some((JSON, &options))).await?;
            uid = uid_of(&answer);
        }
        if self.named {
            line(&format!("{}/{name}", resource.one()));
            return Ok(uid);
        }
        let word = if self.force && self.grace == Some(0) { "force deleted" } else { "deleted" };
        line(&format!("{} \"{name}\" {word}{}", resource.one(), self.dry.suffix()));
        Ok(uid)
    }
}

fn uid_of(answer: &Value) -> String {
    let pointer = if answer["kind"] == "Status" { "/details/uid" } else { "/metadata/uid" };
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// Waits until the object, or the one with this UID, is gone.
pub async fn gone(
    session: &Session,
    resource: &ResourceRef,
    namespace: &str,
    name: &str,
    uid: &str,
    limit: Option<Duration>,
) -> Result<()> {
    let waiting = async {
        let target = Target { resource: resource.clone(), namespace: namespace.into(), name: Some(name.into()) };
        loop {
            let fields = Options { fields: format!("metadata.name={name}"), ..Options::default() };
            let list = Target { name: None, ..target.clone() };
            let list = locate::fetch(session, &list, &fields, JSON, &[]).await;
            let list = match list {
                Err(error) if error.is("NotFound") || error.is("Forbidden") || error.is("MethodNotAllowed") => {
                    return Ok(());
                }
                other => other?.remove(0),
            };
            let there = |item: &&Value| uid.is_empty() || api::object::uid(item) == uid;
            if !list["items"].as_array().is_some_and(|items| items.iter().any(|item| there(&item))) {
                return Ok(());
            }
            let version = api::object::resource_version(&list).unwrap_or_default();
            let mut lines = events(session, &target, &Options::default(), JSON, version).await?;
            while let Some(event) = lines.next().await? {
                let event: Value =
                    serde_json::from_slice(&event).map_err(|error| fail!("decoding a watch event: {error}"))?;
                match event["type"].as_str() {
                    Some("DELETED") => return Ok(()),
                    Some("ERROR") => break,
                    _ => {}
                }
            }
        }
    };
    let waited = tokio::time::timeout(limit.unwrap_or(WEEK), waiting).await;
    waited.unwrap_or_else(|_| Err(fail!("timed out waiting for the condition on {}/{name}", resource.plural)))
}

/// Deletes one object quietly, e.g. for `replace --force`.
pub async fn quietly(
    session: &Session,
    resource: &ResourceRef,
    namespace: &str,
    name: &str,
    grace: Option<i64>,
) -> Result<String> {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
    if let Some(grace) = grace {
        options["gracePeriodSeconds"] = json!(grace);
    }
    let answer = session.json(Method::DELETE, &resource.path(namespace, name), JSON, Some((JSON, &options))).await?;
    Ok(uid_of(&answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_periods() {
        for (given, now, force, expected) in [
            (-1, false, false, Ok(None)),
            (-1, true, false, Ok(Some(1))),
            (-1, false, true, Ok(Some(0))),
            (0, false, false, Ok(Some(1))),
            (0, false, true, Ok(Some(0))),
            (30, false, false, Ok(Some(30))),
            (30, true, false, Err("--now and --grace-period cannot be specified together")),
            (30, false, true, Err("--force and --grace-period greater than 0 cannot be specified together")),
        ] {
            let got = grace_period(given, now, force).map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_string), "{given} {now} {force}");
        }
    }

    #[test]
    fn policies() {
        assert_eq!(policy("background").unwrap(), "Background");
        assert_eq!(policy("false").unwrap(), "Orphan");
        assert!(policy("x").is_err());
    }

    #[test]
    fn uids_come_from_the_status_or_the_object() {
        assert_eq!(uid_of(&json!({"kind": "Status", "details": {"uid": "u"}})), "u");
        assert_eq!(uid_of(&json!({"kind": "Pod", "metadata": {"uid": "v"}})), "v");
    }
}
