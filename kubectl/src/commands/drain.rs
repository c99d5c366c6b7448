//! `drain`: evicts the pods of a node, or says which of them forbid it (kubectl, pkg/drain, pkg/cmd/drain).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::cordon::{mark, nodes};
use crate::command::{Call, Command, command, run};
use crate::common::{CHUNK, DRY, LABELS};
use crate::error::{Error, Result, all, fail};
use crate::flags::Takes::{Bool, Duration as Time, Int, Text};
use crate::flags::{Flag, flag};
use crate::locate::{self, Found, Options, Target};
use crate::removal::{Removal, gone};
use crate::resources::ResourceRef;
use crate::session::{JSON, Session, line};
use crate::write::DryRun;

const FLAGS: &[Flag] = &[
    flag("delete-emptydir-data", "", Bool(false), "Also drain pods with emptyDir volumes, whose data is lost."),
    flag("disable-eviction", "", Bool(false), "Delete pods instead of evicting them: no disruption budget is asked."),
    flag("force", "", Bool(false), "Also drain pods that no controller creates anew."),
    flag("grace-period", "", Int(-1), "Seconds that pods get to end; -1 for their own choice."),
    flag("ignore-daemonsets", "", Bool(false), "Leave pods of DaemonSets where they are."),
    flag("pod-selector", "", Text(""), "Only pods with these labels."),
    flag(
        "skip-wait-for-delete-timeout",
        "",
        Int(0),
        "Do not wait for pods that have been ending for longer than so many seconds.",
    ),
    flag("timeout", "", Time("0s"), "How long to wait; 0 for as long as it takes."),
];

/// `drain`.
pub const COMMAND: Command =
    command("drain", "NODE", "Drain node in preparation for maintenance", FLAGS, &[LABELS, DRY, CHUNK], run!(drain));

/// How long to wait before an eviction is tried again that a disruption budget forbids.
const AGAIN: Duration = Duration::from_secs(5);

/// What is to be done with the pods of a node.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    evict: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
}

/// What drain's flags allow.
#[derive(Debug, Clone, Copy, Default)]
struct Allowed {
    /// Pods that have been ending for longer than so many seconds are left alone; 0 for none.
    ended_for: i64,
    force: bool,
    daemon_sets: bool,
    empty_dirs: bool,
}

/// Whether a pod has been ending for longer than so many seconds.
fn ending(pod: &Value, seconds: i64, now: jiff::Timestamp) -> bool {
    let since = api::object::deletion_timestamp(pod).and_then(|at| at.parse::<jiff::Timestamp>().ok());
    seconds > 0
        && since.is_some_and(|since| (now - since).total(jiff::Unit::Second).is_ok_and(|age| age > seconds as f64))
}

/// Which pods go, which stay, which forbid it (kubectl, pkg/drain/filters.go). Pods are named `namespace/name`.
fn plan(pods: &[Value], allowed: Allowed, now: jiff::Timestamp) -> Plan {
    let mut plan = Plan::default();
    let (mut daemons, mut alone, mut local): (Vec<String>, Vec<String>, Vec<String>) = Default::default();
    for pod in pods {
        let name = format!("{}/{}", api::object::namespace(pod), api::object::name(pod));
        let ended = matches!(api::object::text(pod, "/status/phase"), "Succeeded" | "Failed");
        if api::object::annotation(pod, "kubernetes.io/config.mirror").is_some() || ending(pod, allowed.ended_for, now)
        {
            continue;
        }
        let owner = api::object::controller_of(pod).and_then(|owner| owner["kind"].as_str());
        if owner == Some("DaemonSet") && !ended {
            daemons.push(name);
            continue;
        }
        let empty_dir = api::object::list(pod, "/spec/volumes").iter().any(|volume| volume.get("emptyDir").is_some());
        if empty_dir && !ended {
            local.push(name.clone());
        }
        if owner.is_none() && !ended {
            alone.push(name.clone());
        }
        plan.evict.push(name);
    }
    let mut judge = |pods: &[String], allowed: bool, warning: &str, error: &str| {
        if pods.is_empty() {
            return;
        }
        match allowed {
            true if warning.is_empty() => {}
            true => plan.warnings.push(format!("{warning}: {}", pods.join(", "))),
            false => plan.errors.push(format!("{error}: {}", pods.join(", "))),
        }
    };
    judge(
        &daemons,
        allowed.daemon_sets,
        "ignoring DaemonSet-managed Pods",
        "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)",
    );
    judge(
        &local,
        allowed.empty_dirs,
        "",
        "cannot delete Pods with local storage (use --delete-emptydir-data to override)",
    );
    judge(
        &alone,
        allowed.force,
        "deleting Pods that declare no controller",
        "cannot delete Pods that declare no controller (use --force to override)",
    );
    plan
}

async fn drain(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let (found, mut errors) = nodes(&call).await?;
    for node in &found {
        mark(session, node, true).await?;
    }
    let allowed = Allowed {
        ended_for: flags.int("skip-wait-for-delete-timeout"),
        force: flags.is("force"),
        daemon_sets: flags.is("ignore-daemonsets"),
        empty_dirs: flags.is("delete-emptydir-data"),
    };
    for (index, node) in found.iter().enumerate() {
        match empty(session, node, allowed).await {
            Ok(()) => line(&format!("node/{} drained{}", node.name, DryRun::of(flags)?.suffix())),
            Err(error) => {
                let rest: Vec<&str> = found[index..].iter().map(|node| node.name.as_str()).collect();
                eprintln!("error: unable to drain node {:?} due to error: {error}, continuing command...", node.name);
                eprintln!("There are pending nodes to be drained:\n {}", rest.join("\n "));
                errors.push(match error {
                    Error::Text(text) => fail!("{text}"),
                    other => other,
                });
            }
        }
    }
    all(errors)
}

async fn empty(session: &Session, node: &Found, allowed: Allowed) -> Result<()> {
    let pods = session.resources().await?.find("pods")?;
    let options = Options {
        fields: format!("spec.nodeName={}", node.name),
        labels: session.flags.text("pod-selector").into(),
        ..Options::default()
    };
    let target = Target { resource: pods.clone(), namespace: String::new(), name: None };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    let all: Vec<Value> =
        pages.into_iter().flat_map(|page| locate::unlist(&pods, page)).map(|found| found.object).collect();
    let plan = plan(&all, allowed, jiff::Timestamp::now());
    if !plan.errors.is_empty() {
        let errors =
            if plan.errors.len() == 1 { plan.errors[0].clone() } else { format!("[{}]", plan.errors.join(", ")) };
        return Err(fail!("{errors}"));
    }
    if !plan.warnings.is_empty() {
        eprintln!("Warning: {}", plan.warnings.join("; "));
    }
    let limit = Duration::try_from(session.flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
    let deletes = session.flags.is("disable-eviction");
    let (doing, done) = if deletes { ("deleting", "deleted") } else { ("evicting", "evicted") };
    let mut evicted = Vec::new();
    for name in &plan.evict {
        let Some(pod) =
            all.iter().find(|pod| format!("{}/{}", api::object::namespace(pod), api::object::name(pod)) == *name)
        else {
            continue;
        };
        if DryRun::of(&session.flags)? == DryRun::Client {
            line(&format!("{doing} pod {name} (dry run)"));
            continue;
        }
        eprintln!("{doing} pod {name}");
        match deletes {
            true => delete(session, &pods, pod).await?,
            false => evict(session, &pods, pod).await?,
        }
        evicted.push(pod);
    }
    for pod in evicted {
        gone(session, &Found::live(&pods, pod.clone()).target(), api::object::uid(pod), limit).await?;
        line(&format!("pod/{} {done}", api::object::name(pod)));
    }
    Ok(())
}

/// Deletes a pod without asking whether a budget allows it.
async fn delete(session: &Session, pods: &ResourceRef, pod: &Value) -> Result<()> {
    let grace = Some(session.flags.int("grace-period")).filter(|grace| *grace >= 0);
    let removal = Removal { grace, policy: "Background", dry: DryRun::of(&session.flags)? };
    match removal.delete(session, &Found::live(pods, pod.clone()).target()).await {
        Err(error) if !error.is("NotFound") => Err(error),
        _ => Ok(()),
    }
}

/// Evicts a pod; a budget that forbids it now may allow it later.
async fn evict(session: &Session, pods: &ResourceRef, pod: &Value) -> Result<()> {
    let (namespace, name) = (api::object::namespace(pod), api::object::name(pod));
    let mut body =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}});
    if session.flags.int("grace-period") >= 0 {
        body["deleteOptions"] = json!({"gracePeriodSeconds": session.flags.int("grace-period")});
    }
    let path = format!("{}/eviction", pods.path(namespace, name));
    loop {
        match session.json(Method::POST, &path, JSON, Some((JSON, &body))).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is("NotFound") => return Ok(()),
            Err(error) if error.is("TooManyRequests") => {
                eprintln!("error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {error}");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.plain(&format!("error when evicting pods/{name:?} -n {namespace:?}: "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, owner: Option<&str>) -> Value {
        let owners = owner.map(|kind| json!([{"kind": kind, "controller": true}])).unwrap_or(json!([]));
        json!({"metadata": {"name": name, "namespace": "n", "ownerReferences": owners}, "status": {"phase": "Running"}})
    }

    #[test]
    fn which_pods_may_go() {
        let now: jiff::Timestamp = "2026-11-20T20:10:00Z".parse().unwrap();
        let mut ending = pod("e", Some("ReplicaSet"));
        ending["metadata"]["deletionTimestamp"] = json!("2026-11-20T20:00:00Z");
        let patient = Allowed { ended_for: 3600, ..Allowed::default() };
        assert_eq!(plan(std::slice::from_ref(&ending), patient, now).evict, ["n/e"]);
        let hasty = Allowed { ended_for: 60, ..Allowed::default() };
        assert!(plan(&[ending], hasty, now).evict.is_empty());
        let pods = [pod("a", Some("ReplicaSet")), pod("d", Some("DaemonSet")), pod("x", None)];
        let strict = plan(&pods, Allowed::default(), now);
        assert_eq!(
            strict.errors,
            [
                "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): n/d",
                "cannot delete Pods that declare no controller (use --force to override): n/x"
            ]
        );
        let open = plan(&pods, Allowed { force: true, daemon_sets: true, ..Allowed::default() }, now);
        assert_eq!(open.evict, ["n/a", "n/x"]);
        assert_eq!(
            open.warnings,
            ["ignoring DaemonSet-managed Pods: n/d", "deleting Pods that declare no controller: n/x"]
        );
    }
}
