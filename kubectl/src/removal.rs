//! Deleting one object, and waiting until it is gone: for `delete`, `drain`, `replace --force`, `wait --for=delete`.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::error::{Result, fail};
use crate::flags::Flags;
use crate::locate::Target;
use crate::session::{JSON, Session, with_query};
use crate::watch::follow;
use crate::write::DryRun;

/// Longest wait where none is said: a week.
const WEEK: Duration = Duration::from_secs(168 * 3600);

/// How to delete.
#[derive(Debug, Clone, Copy)]
pub struct Removal {
    /// Seconds to end in; `None` is the object's own choice.
    pub grace: Option<i64>,
    /// What becomes of what the object owns.
    pub policy: &'static str,
    /// Whether it is for real.
    pub dry: DryRun,
}

impl Removal {
    /// By `--grace-period`, `--now`, `--force`, `--cascade` and `--dry-run`.
    pub fn of(flags: &Flags) -> Result<Self> {
        let grace = grace_period(flags.int("grace-period"), flags.is("now"), flags.is("force"))?;
        Ok(Self { grace, policy: policy(flags.text("cascade"))?, dry: DryRun::of(flags)? })
    }

    /// Asks for an object's deletion; its UID if the server told.
    pub async fn delete(&self, session: &Session, target: &Target) -> Result<String> {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": self.policy});
        if let Some(grace) = self.grace {
            options["gracePeriodSeconds"] = json!(grace);
        }
        let path = with_query(&target.path(), &[("dryRun", self.dry.query())]);
        let answer = session.json(Method::DELETE, &path, JSON, Some((JSON, &options))).await?;
        Ok(uid_of(&answer))
    }
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
fn policy(cascade: &str) -> Result<&'static str> {
    match cascade {
        "background" | "true" => Ok("Background"),
        "foreground" => Ok("Foreground"),
        "orphan" | "false" => Ok("Orphan"),
        other => Err(fail!("invalid cascade value ({other}). Must be \"background\", \"foreground\", or \"orphan\"")),
    }
}

fn uid_of(answer: &Value) -> String {
    let pointer = if answer["kind"] == "Status" { "/details/uid" } else { "/metadata/uid" };
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// Waits until the object, or the one with this UID, is gone.
pub async fn gone(session: &Session, target: &Target, uid: &str, limit: Option<Duration>) -> Result<()> {
    let there = |object: &Value| uid.is_empty() || api::object::uid(object) == uid;
    let waiting = follow(session, target, |object| Ok(!object.is_some_and(there)));
    match tokio::time::timeout(limit.unwrap_or(WEEK), waiting).await {
        // What may not be looked at cannot be waited for.
        Ok(Err(error)) if error.is("NotFound") || error.is("Forbidden") || error.is("MethodNotAllowed") => Ok(()),
        Ok(ended) => ended,
        Err(_) => Err(target.late()),
    }
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
