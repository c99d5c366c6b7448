//! Commands about nodes: `cordon`, `uncordon`, `drain`, `taint` (kubectl, pkg/drain, pkg/cmd/drain and taint).

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::delete::gone;
use super::write::{DryRun, MERGE, Report, STRATEGIC, Write};
use crate::error::{Error, Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found, Options, Target};
use crate::resources::ResourceRef;
use crate::session::{JSON, Session, line};

/// How long to wait before an eviction is tried again that a disruption budget forbids.
const AGAIN: Duration = Duration::from_secs(5);

async fn nodes(call: &Call) -> Result<(Vec<Found>, Vec<Error>)> {
    let options = Options::of(&call.session);
    if call.args.is_empty() && options.labels.is_empty() {
        let command = call.path.rsplit(' ').next().unwrap_or_default();
        return Err(call.usage(&format!("USAGE: {command} NODE [flags]")));
    }
    if !call.args.is_empty() && !options.labels.is_empty() {
        return Err(fail!("error: cannot specify both a node name and a --selector option"));
    }
    let mut words = vec!["nodes".to_string()];
    words
        .extend(call.args.iter().map(|word| word.trim_start_matches("node/").trim_start_matches("nodes/").to_string()));
    locate::live(&call.session, &words, &options).await
}

/// Runs `cordon`.
pub async fn cordon(call: Call) -> Result<()> {
    both(call, true).await
}

/// Runs `uncordon`.
pub async fn uncordon(call: Call) -> Result<()> {
    both(call, false).await
}

async fn both(call: Call, wanted: bool) -> Result<()> {
    let (found, mut errors) = nodes(&call).await?;
    for node in found {
        if let Err(error) = mark(&call.session, &node, wanted).await {
            errors.push(error);
        }
    }
    all(errors)
}

async fn mark(session: &Session, node: &Found, wanted: bool) -> Result<()> {
    let word = if wanted { "cordoned" } else { "uncordoned" };
    let dry = DryRun::of(&session.flags)?;
    if api::object::flag(&node.object, "/spec/unschedulable") == wanted {
        line(&format!("node/{} already {word}{}", node.name, dry.suffix()));
        return Ok(());
    }
    let patch = json!({"spec": {"unschedulable": if wanted { json!(true) } else { Value::Null }}});
    if dry != DryRun::Client {
        let write = Write { manager: "", dry, validation: "" };
        write.patch(session, &node.path(), STRATEGIC, &patch).await?;
    }
    line(&format!("node/{} {word}{}", node.name, dry.suffix()));
    Ok(())
}

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
    force: bool,
    daemon_sets: bool,
    empty_dirs: bool,
}

/// Which pods go, which stay, which forbid it (kubectl, pkg/drain/filters.go). Pods are named `namespace/name`.
fn plan(pods: &[Value], allowed: Allowed) -> Plan {
    let mut plan = Plan::default();
    let (mut daemons, mut alone, mut local): (Vec<String>, Vec<String>, Vec<String>) = Default::default();
    for pod in pods {
        let name = format!("{}/{}", api::object::namespace(pod), api::object::name(pod));
        let ended = matches!(api::object::text(pod, "/status/phase"), "Succeeded" | "Failed");
        if api::object::annotation(pod, "kubernetes.io/config.mirror").is_some() {
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

/// Runs `drain`.
pub async fn drain(call: Call) -> Result<()> {
    let session = &call.session;
    let flags = &session.flags;
    let (found, mut errors) = nodes(&call).await?;
    for node in &found {
        mark(session, node, true).await?;
    }
    let allowed = Allowed {
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
    let plan = plan(&all, allowed);
    if !plan.errors.is_empty() {
        let errors =
            if plan.errors.len() == 1 { plan.errors[0].clone() } else { format!("[{}]", plan.errors.join(", ")) };
        return Err(fail!("{errors}"));
    }
    if !plan.warnings.is_empty() {
        eprintln!("Warning: {}", plan.warnings.join("; "));
    }
    let limit = Duration::try_from(session.flags.duration("timeout")).ok().filter(|limit| !limit.is_zero());
    let mut evicted = Vec::new();
    for name in &plan.evict {
        let Some(pod) =
            all.iter().find(|pod| format!("{}/{}", api::object::namespace(pod), api::object::name(pod)) == *name)
        else {
            continue;
        };
        if DryRun::of(&session.flags)? == DryRun::Client {
            line(&format!("evicting pod {name} (dry run)"));
            continue;
        }
        eprintln!("evicting pod {name}");
        evict(session, &pods, pod).await?;
        evicted.push(pod);
    }
    for pod in evicted {
        let (namespace, name) = (api::object::namespace(pod), api::object::name(pod));
        gone(session, &pods, namespace, name, api::object::uid(pod), limit).await?;
        line(&format!("pod/{name} evicted"));
    }
    Ok(())
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

/// A change to a node's taints.
#[derive(Debug, PartialEq)]
struct Taint {
    key: String,
    value: String,
    effect: String,
    remove: bool,
}

fn taint_of(text: &str) -> Result<Taint> {
    let (text, remove) = text.strip_suffix('-').map_or((text, false), |text| (text, true));
    let (pair, effect) = text.split_once(':').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    let known = ["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&effect);
    if !(known || remove && effect.is_empty()) {
        return Err(fail!("invalid taint spec: {text}"));
    }
    Ok(Taint { key: key.into(), value: value.into(), effect: effect.into(), remove })
}

/// Runs `taint`.
pub async fn taint(call: Call) -> Result<()> {
    let session = &call.session;
    let is_taint = |word: &&String| word.contains(['=', ':']) || word.ends_with('-');
    let words: Vec<String> = call.args.iter().take_while(|word| !is_taint(word)).cloned().collect();
    let taints: Vec<Taint> = call.args[words.len()..].iter().map(|word| taint_of(word)).collect::<Result<_>>()?;
    if words.is_empty() {
        return Err(fail!("one or more resources must be specified as <resource> <name>"));
    }
    if taints.is_empty() {
        return Err(fail!("at least one taint update is required"));
    }
    let (found, mut errors) = locate::live(session, &words, &Options::of(session)).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: "kubectl-taint", dry: DryRun::of(&session.flags)?, validation: "" };
    for node in found {
        let result = async {
            let (new, word) = tainted(
                api::object::list(&node.object, "/spec/taints"),
                &taints,
                session.flags.is("overwrite"),
                &node.name,
            )?;
            if write.dry != DryRun::Client {
                write.patch(session, &node.path(), MERGE, &json!({"spec": {"taints": new}})).await?;
            }
            report.say(&node.resource, &node.object, word)
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}

/// The taints afterwards, and what happened to them.
fn tainted(old: &[Value], changes: &[Taint], overwrite: bool, node: &str) -> Result<(Vec<Value>, &'static str)> {
    let mut new = old.to_vec();
    let (mut removed, mut replaced, mut added) = (false, false, false);
    for change in changes {
        let same = |taint: &Value| {
            taint["key"] == change.key.as_str()
                && (change.effect.is_empty() || taint["effect"] == change.effect.as_str())
        };
        let known = new.iter().any(same);
        if change.remove {
            if !known {
                let effect = if change.effect.is_empty() { String::new() } else { format!(":{}", change.effect) };
                return Err(fail!("taint \"{}{effect}\" not found", change.key));
            }
            new.retain(|taint| !same(taint));
            removed = true;
            continue;
        }
        if known && !overwrite {
            return Err(fail!(
                "node {node} already has {} taint(s) with same effect(s) and --overwrite is false",
                change.key
            ));
        }
        new.retain(|taint| !same(taint));
        (replaced, added) = (replaced || known, added || !known);
        let mut taint = json!({"key": change.key, "effect": change.effect});
        if !change.value.is_empty() {
            taint["value"] = json!(change.value);
        }
        new.push(taint);
    }
    let word = match (removed, replaced || added, replaced) {
        (true, true, _) | (false, true, true) => "modified",
        (true, false, _) => "untainted",
        _ => "tainted",
    };
    Ok((new, word))
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
        let pods = [pod("a", Some("ReplicaSet")), pod("d", Some("DaemonSet")), pod("x", None)];
        let strict = plan(&pods, Allowed::default());
        assert_eq!(
            strict.errors,
            [
                "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore): n/d",
                "cannot delete Pods that declare no controller (use --force to override): n/x"
            ]
        );
        let open = plan(&pods, Allowed { force: true, daemon_sets: true, empty_dirs: false });
        assert_eq!(open.evict, ["n/a", "n/x"]);
        assert_eq!(
            open.warnings,
            ["ignoring DaemonSet-managed Pods: n/d", "deleting Pods that declare no controller: n/x"]
        );
    }

    #[test]
    fn taints_come_and_go() {
        let old = [json!({"key": "a", "effect": "NoSchedule"})];
        let change = |text: &str| [taint_of(text).unwrap()];
        assert_eq!(tainted(&old, &change("b=1:NoExecute"), false, "n").unwrap().1, "tainted");
        assert_eq!(tainted(&old, &change("a-"), false, "n").unwrap(), (vec![], "untainted"));
        assert_eq!(tainted(&old, &change("a=2:NoSchedule"), true, "n").unwrap().1, "modified");
        assert!(tainted(&old, &change("a=2:NoSchedule"), false, "n").is_err());
        assert_eq!(
            tainted(&old, &change("c:NoSchedule-"), false, "n").unwrap_err().to_string(),
            "taint \"c:NoSchedule\" not found"
        );
        assert!(taint_of("a=b:Foo").is_err());
    }
}
