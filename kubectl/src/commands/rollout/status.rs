//! `rollout status` (kubectl, pkg/cmd/rollout/rollout_status.go, pkg/polymorphichelpers/rollout_status.go).

use std::time::Duration;

use serde_json::Value;

use super::workloads;
use crate::command::{Call, Command, command, run};
use crate::common::{FILES, LABELS};
use crate::describe::REVISION;
use crate::error::{Result, fail};
use crate::flags::Takes::{Bool, Duration as Time, Int};
use crate::flags::{Flag, flag};
use crate::locate::{Found, each};
use crate::session::{Session, line};
use crate::watch::follow;

const FLAGS: &[Flag] = &[
    flag("watch", "w", Bool(true), "Wait until the rollout is done."),
    flag("revision", "", Int(0), "The revision that must be rolling out; 0 for any."),
    flag("timeout", "", Time("0s"), "How long to wait; 0 for as long as it takes."),
];

/// `rollout status`.
pub const COMMAND: Command = command(
    "status",
    "(TYPE NAME | TYPE/NAME)",
    "Show the status of the rollout",
    FLAGS,
    &[FILES, LABELS],
    run!(status),
);

async fn status(call: Call) -> Result<()> {
    let (found, errors) = workloads(&call, "status").await?;
    let limit = Duration::try_from(call.session.flags.duration("timeout")).unwrap_or_default();
    each(found, errors, async |found| {
        let watching = watch(&call.session, &found);
        match limit.is_zero() {
            true => watching.await,
            false => {
                let ended = tokio::time::timeout(limit, watching).await;
                ended.unwrap_or_else(|_| Err(fail!("timed out waiting for the condition")))
            }
        }
    })
    .await
}

async fn watch(session: &Session, found: &Found) -> Result<()> {
    let (revision, waits) = (session.flags.int("revision"), session.flags.is("watch"));
    follow(session, &found.target(), |object| {
        let Some(object) = object else { return Err(fail!("object has been deleted")) };
        let (said, done) = match progress(&found.resource.plural, object, revision)? {
            Progress::Done(said) => (said, true),
            Progress::Waiting(said) => (said, false),
        };
        line(&said);
        Ok(done || !waits)
    })
    .await
}

/// How far a rollout is.
#[derive(Debug, PartialEq)]
enum Progress {
    Waiting(String),
    Done(String),
}

/// The state of a rollout in a sentence.
fn progress(plural: &str, object: &Value, revision: i64) -> Result<Progress> {
    match plural {
        "daemonsets" => daemon_set(object),
        "statefulsets" => stateful_set(object),
        _ => deployment(object, revision),
    }
}

fn number(object: &Value, pointer: &str) -> i64 {
    api::object::integer(object, pointer).unwrap_or(0)
}

fn daemon_set(object: &Value) -> Result<Progress> {
    let name = api::object::name(object);
    if api::object::text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Err(fail!("rollout status is only available for RollingUpdate strategy type"));
    }
    if api::object::generation(object) > number(object, "/status/observedGeneration") {
        return Ok(Progress::Waiting("Waiting for daemon set spec update to be observed...".into()));
    }
    let waiting =
        |what: String| Ok(Progress::Waiting(format!("Waiting for daemon set {name:?} rollout to finish: {what}...")));
    let (updated, wanted) =
        (number(object, "/status/updatedNumberScheduled"), number(object, "/status/desiredNumberScheduled"));
    if updated < wanted {
        return waiting(format!("{updated} out of {wanted} new pods have been updated"));
    }
    let available = number(object, "/status/numberAvailable");
    if available < wanted {
        return waiting(format!("{available} of {wanted} updated pods are available"));
    }
    Ok(Progress::Done(format!("daemon set {name:?} successfully rolled out")))
}

fn stateful_set(object: &Value) -> Result<Progress> {
    if api::object::text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Err(fail!("rollout status is only available for RollingUpdate strategy type"));
    }
    let observed = number(object, "/status/observedGeneration");
    if observed == 0 || api::object::generation(object) > observed {
        return Ok(Progress::Waiting("Waiting for statefulset spec update to be observed...".into()));
    }
    let wanted = api::object::integer(object, "/spec/replicas").unwrap_or(1);
    let ready = number(object, "/status/readyReplicas");
    if ready < wanted {
        return Ok(Progress::Waiting(format!("Waiting for {} pods to be ready...", wanted - ready)));
    }
    let updated = number(object, "/status/updatedReplicas");
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        let rest = wanted - partition;
        return Ok(match updated < rest {
            true => Progress::Waiting(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {rest} new pods have been updated..."
            )),
            false => Progress::Done(format!("partitioned roll out complete: {updated} new pods have been updated...")),
        });
    }
    let (target, current) =
        (api::object::text(object, "/status/updateRevision"), api::object::text(object, "/status/currentRevision"));
    if target != current {
        return Ok(Progress::Waiting(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {target}..."
        )));
    }
    let count = number(object, "/status/currentReplicas");
    Ok(Progress::Done(format!("statefulset rolling update complete {count} pods at revision {current}...")))
}

fn deployment(object: &Value, revision: i64) -> Result<Progress> {
    let name = api::object::name(object);
    if revision > 0 {
        let current: i64 = api::object::annotation(object, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0);
        if current != revision {
            return Err(fail!("desired revision ({revision}) is different from the running revision ({current})"));
        }
    }
    if api::object::generation(object) > number(object, "/status/observedGeneration") {
        return Ok(Progress::Waiting("Waiting for deployment spec update to be observed...".into()));
    }
    let late = api::object::list(object, "/status/conditions")
        .iter()
        .any(|one| one["type"] == "Progressing" && one["reason"] == "ProgressDeadlineExceeded");
    if late {
        return Err(fail!("deployment {name:?} exceeded its progress deadline"));
    }
    let (wanted, updated) =
        (api::object::integer(object, "/spec/replicas").unwrap_or(1), number(object, "/status/updatedReplicas"));
    let (all, available) = (number(object, "/status/replicas"), number(object, "/status/availableReplicas"));
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

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            assert_eq!(progress("deployments", &object, 0).unwrap(), expected);
        }
        let mut unseen = state(3, 3, 3, 3);
        unseen["metadata"]["generation"] = json!(3);
        assert_eq!(
            progress("deployments", &unseen, 0).unwrap(),
            Progress::Waiting("Waiting for deployment spec update to be observed...".into())
        );
        let mut late = state(3, 1, 3, 3);
        late["status"]["conditions"] = json!([{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]);
        let daemons = |updated: i64, available: i64| {
            json!({"metadata": {"name": "d", "generation": 1}, "spec": {"updateStrategy": {"type": "RollingUpdate"}}, "status": {"observedGeneration": 1,
                "desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available}})
        };
        for (object, expected) in [
            (daemons(1, 1), "Waiting for daemon set \"d\" rollout to finish: 1 out of 2 new pods have been updated..."),
            (daemons(2, 1), "Waiting for daemon set \"d\" rollout to finish: 1 of 2 updated pods are available..."),
        ] {
            assert_eq!(progress("daemonsets", &object, 0).unwrap(), Progress::Waiting(expected.into()));
        }
        assert_eq!(
            progress("daemonsets", &daemons(2, 2), 0).unwrap(),
            Progress::Done("daemon set \"d\" successfully rolled out".into())
        );
        assert_eq!(
            progress("deployments", &late, 0).unwrap_err().to_string(),
            "deployment \"d\" exceeded its progress deadline"
        );
    }
}
