//! `rollout`: status, history, undo, restart, pause, resume of Deployments (kubectl, pkg/polymorphichelpers and
//! pkg/cmd/rollout).

use std::time::Duration;

use serde_json::{Value, json};

use super::pods;
use super::write::{DryRun, OPERATIONS, Report, STRATEGIC, Write};
use crate::cmd::get::events;
use crate::describe::pod::template;
use crate::describe::simple::REVISION;
use crate::describe::text::Out;
use crate::error::{Result, all, fail};
use crate::line::Call;
use crate::locate::{self, Found, Options, Target};
use crate::output::tab::Tabs;
use crate::session::{JSON, Session, line, say};

const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// Labels a template when its pods are to be replaced without any other change.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
const HASH: &str = "pod-template-hash";

/// How far a rollout is.
#[derive(Debug, PartialEq)]
enum Progress {
    Waiting(String),
    Done(String),
}

/// The state of a Deployment's rollout in a sentence.
fn progress(object: &Value, revision: i64) -> Result<Progress> {
    let name = api::object::name(object);
    let number = |pointer: &str| api::object::integer(object, pointer).unwrap_or(0);
    if revision > 0 {
        let current: i64 = api::object::annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0);
        if current != revision {
            return Err(fail!("desired revision ({revision}) is different from the running revision ({current})"));
        }
    }
    if api::object::generation(object) > number("/status/observedGeneration") {
        return Ok(Progress::Waiting("Waiting for deployment spec update to be observed...".into()));
    }
    let late = api::object::list(object, "/status/conditions")
        .iter()
        .any(|one| one["type"] == "Progressing" && one["reason"] == "ProgressDeadlineExceeded");
    if late {
        return Err(fail!("deployment {name:?} exceeded its progress deadline"));
    }
    let (wanted, updated) =
        (api::object::integer(object, "/spec/replicas").unwrap_or(1), number("/status/updatedReplicas"));
    let (all, available) = (number("/status/replicas"), number("/status/availableReplicas"));
    let waiting =
        |what: String| Ok(Progress::Waiting(format!("Waiting for deployment {name:?} rollout to finish: {what}...")));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new replicas have been updated"));
    }
    if all > updated {
        return waiting(format!("{} old replicas are pending termination", all - updated));
    }
    if available < updated {
        return waiting(format!("{available} of {updated} updated replicas are available"));
    }
    Ok(Progress::Done(format!("deployment {name:?} successfully rolled out")))
}

/// The objects meant, which must be Deployments.
async fn deployments(call: &Call, verb: &str) -> Result<(Vec<Found>, Vec<crate::error::Error>)> {
    if call.args.is_empty() && call.session.flags.list("filename").is_empty() {
        return Err(fail!("required resource not specified"));
    }
    let (found, mut errors) = locate::live(&call.session, &call.args, &Options::of(&call.session)).await?;
    let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.resource.is("apps", "deployments"));
    for found in bad {
        let (plural, name) = (&found.resource.plural, &found.name);
        errors.push(match verb {
            "status" => fail!("no status viewer has been implemented for {}", found.resource.kind),
            "history" => fail!("no history viewer has been implemented for {:?}", found.resource.kind),
            "undo" => fail!("no rollbacker has been implemented for {:?}", found.resource.kind),
            verb => fail!("{plural} {name:?} {verb} is not supported"),
        });
    }
    Ok((good, errors))
}

/// Runs `rollout status`.
pub async fn status(call: Call) -> Result<()> {
    let (found, mut errors) = deployments(&call, "status").await?;
    for found in found {
        let watching = watch(&call.session, &found);
        let limit = Duration::try_from(call.session.flags.duration("timeout")).unwrap_or_default();
        let result = match limit.is_zero() {
            true => watching.await,
            false => tokio::time::timeout(limit, watching)
                .await
                .unwrap_or_else(|_| Err(fail!("timed out waiting for the condition"))),
        };
        if let Err(error) = result {
            errors.push(error);
        }
    }
    all(errors)
}

async fn watch(session: &Session, found: &Found) -> Result<()> {
    let revision = session.flags.int("revision");
    let target =
        Target { resource: found.resource.clone(), namespace: found.namespace.clone(), name: Some(found.name.clone()) };
    let mut object = found.object.clone();
    loop {
        let mut lines = None;
        loop {
            match progress(&object, revision)? {
                Progress::Done(said) => {
                    line(&said);
                    return Ok(());
                }
                Progress::Waiting(said) => line(&said),
            }
            if !session.flags.is("watch") {
                return Ok(());
            }
            if lines.is_none() {
                let version = api::object::resource_version(&object).unwrap_or_default();
                lines = Some(events(session, &target, &Options::default(), JSON, version).await?);
            }
            let Some(lines) = &mut lines else { break };
            let Some(event) = lines.next().await? else { break };
            let event: Value =
                serde_json::from_slice(&event).map_err(|error| fail!("decoding a watch event: {error}"))?;
            match event["type"].as_str() {
                Some("DELETED") => return Err(fail!("object has been deleted")),
                Some("ERROR") => break,
                Some("BOOKMARK") => {}
                _ => object = event["object"].clone(),
            }
        }
        object = session.get(&found.path()).await?;
    }
}

/// The ReplicaSets of a Deployment by revision, oldest first.
async fn revisions(session: &Session, found: &Found) -> Result<Vec<(i64, Value)>> {
    let resource = session.resources().await?.find("replicasets.apps")?;
    let options = Options { labels: pods::selector(&found.object)?, ..Options::default() };
    let target = Target { resource: resource.clone(), namespace: found.namespace.clone(), name: None };
    let pages = locate::fetch(session, &target, &options, JSON, &[]).await?;
    let uid = api::object::uid(&found.object);
    let sets = pages.into_iter().flat_map(|page| locate::unlist(&resource, page)).map(|set| set.object);
    let ours = sets.filter(|set| api::object::controller_of(set).is_some_and(|owner| owner["uid"] == uid));
    let numbered = ours.filter_map(|set| Some((api::object::annotation(&set, REVISION)?.parse().ok()?, set)));
    let mut all: Vec<(i64, Value)> = numbered.collect();
    all.sort_by_key(|(revision, _)| *revision);
    Ok(all)
}

/// Runs `rollout history`.
pub async fn history(call: Call) -> Result<()> {
    let wanted = call.session.flags.int("revision");
    if wanted < 0 {
        return Err(fail!("revision must be a positive integer: {wanted}"));
    }
    let (found, mut errors) = deployments(&call, "history").await?;
    for found in found {
        let all = revisions(&call.session, &found).await?;
        match told(&all, wanted) {
            Ok(text) => {
                let with = if wanted > 0 { format!("with revision #{wanted}") } else { String::new() };
                say(&format!("{} {with}\n{text}\n", found.title()));
            }
            Err(error) => errors.push(error),
        }
    }
    all(errors)
}

fn told(all: &[(i64, Value)], wanted: i64) -> Result<String> {
    if all.is_empty() {
        return Ok("No rollout history found.".into());
    }
    if wanted > 0 {
        let Some((_, set)) = all.iter().find(|(revision, _)| *revision == wanted) else {
            return Err(fail!("unable to find the specified revision"));
        };
        let mut out = Out::default();
        let mut copy = set["spec"]["template"].clone();
        if let Some(cause) = api::object::annotation(set, CHANGE_CAUSE) {
            api::object::set_annotation(&mut copy, CHANGE_CAUSE, cause);
        }
        template(&mut out, &copy);
        // This one kubectl prints without aligning its columns.
        return Ok(out.0);
    }
    let mut text = "REVISION\tCHANGE-CAUSE\n".to_string();
    for (revision, set) in all {
        text += &format!("{revision}\t{}\n", api::object::annotation(set, CHANGE_CAUSE).unwrap_or("<none>"));
    }
    Ok(Tabs::describe().align(&text))
}

/// Runs `rollout undo`.
pub async fn undo(call: Call) -> Result<()> {
    let session = &call.session;
    let wanted = session.flags.int("to-revision");
    if wanted < 0 {
        return Err(fail!("revision must be a positive integer: {wanted}"));
    }
    let (found, mut errors) = deployments(&call, "undo").await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: "", dry: DryRun::of(&session.flags)?, validation: "" };
    for found in found {
        let result = async {
            let all = revisions(session, &found).await?;
            let (revision, set) = back_to(&found, &all, wanted)?;
            let template = without_hash(&set["spec"]["template"]);
            if template == without_hash(&found.object["spec"]["template"]) {
                let said = format!("skipped rollback (current template already matches revision {revision})");
                return report.say(&found.resource, &found.object, &said);
            }
            let mut annotations = api::object::annotations(set).cloned().unwrap_or_default();
            let kept = api::object::annotations(&found.object);
            annotations.retain(|key, _| !OWN.contains(&key.as_str()));
            for key in OWN {
                if let Some(value) = kept.and_then(|kept| kept.get(key)) {
                    annotations.insert(key.to_string(), value.clone());
                }
            }
            let patch = json!([
                {"op": "replace", "path": "/spec/template", "value": template},
                {"op": "replace", "path": "/metadata/annotations", "value": annotations},
            ]);
            if write.dry != DryRun::Client {
                write
                    .patch(session, &found.path(), OPERATIONS, &patch)
                    .await
                    .map_err(|error| error.plain("failed restoring revision: "))?;
            }
            report.say(&found.resource, &found.object, "rolled back")
        };
        if let Err(error) = result.await {
            errors.push(error);
        }
    }
    all(errors)
}

/// Annotations that belong to the Deployment and not to one of its templates.
const OWN: [&str; 6] = [
    super::apply::LAST_APPLIED,
    REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
];

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(HASH);
    }
    template
}

/// The revision to go back to: the one asked for, or the one before the latest.
fn back_to<'a>(found: &Found, all: &'a [(i64, Value)], wanted: i64) -> Result<(i64, &'a Value)> {
    if found.object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return Err(fail!(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
        ));
    }
    let chosen = match wanted {
        0 if all.len() < 2 => return Err(fail!("no rollout history found for deployment {:?}", found.name)),
        0 => all.get(all.len() - 2),
        wanted => all.iter().find(|(revision, _)| *revision == wanted),
    };
    let chosen = chosen.ok_or_else(|| fail!("unable to find specified revision {wanted} in history"));
    chosen.map(|(revision, set)| (*revision, set))
}

/// Runs `rollout restart`.
pub async fn restart(call: Call) -> Result<()> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
    change(call, "restarting", "restarted", patch, |object| match paused(object) {
        true => Some("can't restart paused deployment (run rollout resume first)".into()),
        false => None,
    })
    .await
}

/// Runs `rollout pause`.
pub async fn pause(call: Call) -> Result<()> {
    change(call, "pausing", "paused", json!({"spec": {"paused": true}}), |object| {
        paused(object).then(|| "is already paused".to_string())
    })
    .await
}

/// Runs `rollout resume`.
pub async fn resume(call: Call) -> Result<()> {
    change(call, "resuming", "resumed", json!({"spec": {"paused": null}}), |object| {
        (!paused(object)).then(|| "is not paused".to_string())
    })
    .await
}

fn paused(object: &Value) -> bool {
    api::object::flag(object, "/spec/paused")
}

async fn change(call: Call, verb: &str, done: &str, patch: Value, refuse: fn(&Value) -> Option<String>) -> Result<()> {
    let session = &call.session;
    let (found, mut errors) = deployments(&call, verb).await?;
    let mut report = Report::of(&session.flags)?;
    let write = Write { manager: "kubectl-rollout", dry: DryRun::No, validation: "" };
    for found in found {
        if let Some(why) = refuse(&found.object) {
            let (resource, name) = (found.resource.qualified(), &found.name);
            errors.push(fail!("{resource} {name:?} {why}"));
            continue;
        }
        match write.patch(session, &found.path(), STRATEGIC, &patch).await {
            Ok(object) => report.say(&found.resource, &object, done)?,
            Err(error) => errors.push(error.plain("failed to patch: ")),
        }
    }
    all(errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(spec: i64, updated: i64, all: i64, available: i64) -> Value {
        json!({"metadata": {"name": "d", "generation": 2}, "spec": {"replicas": spec},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": all, "availableReplicas": available}})
    }

    #[test]
    fn progress_in_words() {
        let rest = |what: &str| Progress::Waiting(format!("Waiting for deployment \"d\" rollout to finish: {what}..."));
        for (object, expected) in [
            (state(3, 1, 3, 3), rest("1 out of 3 new replicas have been updated")),
            (state(3, 3, 4, 3), rest("1 old replicas are pending termination")),
            (state(3, 3, 3, 2), rest("2 of 3 updated replicas are available")),
            (state(3, 3, 3, 3), Progress::Done("deployment \"d\" successfully rolled out".into())),
        ] {
            assert_eq!(progress(&object, 0).unwrap(), expected);
        }
        let mut unseen = state(3, 3, 3, 3);
        unseen["metadata"]["generation"] = json!(3);
        assert_eq!(
            progress(&unseen, 0).unwrap(),
            Progress::Waiting("Waiting for deployment spec update to be observed...".into())
        );
        let mut late = state(3, 1, 3, 3);
        late["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        assert_eq!(progress(&late, 0).unwrap_err().to_string(), "deployment \"d\" exceeded its progress deadline");
    }

    #[test]
    fn going_back_means_the_one_before() {
        let resource = crate::resources::tests::served().find("deploy").unwrap();
        let found = Found::live(&resource, json!({"metadata": {"name": "d"}}));
        let all = vec![(1, json!(1)), (2, json!(2)), (4, json!(4))];
        assert_eq!(back_to(&found, &all, 0).unwrap().0, 2);
        assert_eq!(back_to(&found, &all, 1).unwrap().0, 1);
        assert!(back_to(&found, &all, 3).unwrap_err().to_string().contains("unable to find specified revision 3"));
        assert!(back_to(&found, &all[..1], 0).is_err());
    }
}
