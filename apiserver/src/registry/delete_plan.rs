//! What a delete comes to, as a pure function: the object goes at once, or stays marked for its grace period or its
//! finalizers (upstream: apiserver, pkg/registry/rest/delete.go `BeforeDelete`, and
//! pkg/registry/generic/registry/store.go `deletionFinalizersForGarbageCollection`, `updateForGracefulDeletionAndFinalizers`).

use api::kinds::KindRef;
use api::{Status, object};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::timestamp;
use crate::strategy::rules::{self, Dependents};
use crate::strategy::{self, generic};

/// What becomes of the dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are kept.
    Orphan,
    /// They are deleted after the object.
    Background,
    /// They are deleted before the object.
    Foreground,
}

/// What must hold for the delete to happen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// The object has this UID.
    pub uid: Option<String>,
    /// The object has this version.
    pub resource_version: Option<String>,
}

/// `meta/v1 DeleteOptions`, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    /// Grace asked for.
    pub grace_period_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Preconditions,
    /// Set by `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// The old form of the same.
    pub orphan_dependents: Option<bool>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Remove the object now; it looked like this last.
    Remove(Value),
    /// Store this: the object is marked and waits for its kubelet or its finalizers.
    Mark(Value),
    /// Nothing: a deletion at least as fast is under way.
    UnderWay,
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// Whether `existing` is the object that the request means.
///
/// # Errors
/// `Conflict`.
pub fn check(kind: KindRef, existing: &Value, preconditions: &Preconditions) -> Result<(), Status> {
    // Upstream names the kind here where it means the resource.
    let conflict = |why: String| Status::conflict(kind.group, kind.kind, object::name(existing), &why);
    let uid = object::uid(existing);
    if let Some(wanted) = preconditions.uid.as_deref().filter(|wanted| *wanted != uid) {
        return Err(conflict(format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
        )));
    }
    let version = object::resource_version(existing).unwrap_or_default();
    if let Some(wanted) = preconditions.resource_version.as_deref().filter(|wanted| *wanted != version) {
        return Err(conflict(format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
        )));
    }
    Ok(())
}

/// What deleting `existing` comes to.
pub fn plan(kind: KindRef, existing: &Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let strategy = strategy::of(kind);
    let mut object = existing.clone();
    let grace = grace(kind, &mut object, options, now);
    let finalizers = finalizers(kind, existing, options);
    let changed = !object::finalizers(existing).eq(finalizers.iter().map(String::as_str));
    let held = !finalizers.is_empty() || strategy.held(existing);
    object::set_finalizers(&mut object, finalizers);
    match grace {
        Grace::Pending if !changed => Plan::UnderWay,
        Grace::Pending => Plan::Mark(object),
        Grace::Set(0) if !held => Plan::Remove(object),
        Grace::Set(_) => Plan::Mark(object),
        Grace::None if !held => Plan::Remove(object),
        Grace::None => {
            mark(kind, &mut object, now);
            if &object == existing { Plan::UnderWay } else { Plan::Mark(object) }
        }
    }
}

enum Grace {
    /// The kind knows none, or the one there was is over.
    None,
    /// Deletion with grace is under way and not made faster.
    Pending,
    /// The object has been given this period.
    Set(i64),
}

fn grace(kind: KindRef, object: &mut Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    let strategy = strategy::of(kind);
    let requested = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    if let Some(since) = object::deletion_timestamp(object) {
        if strategy.graceful_deletion_seconds(object, requested).is_none() {
            return Grace::None;
        }
        let Some(running) = object::deletion_grace_period_seconds(object).filter(|seconds| *seconds > 0) else {
            return Grace::None;
        };
        let Some(period) = requested.filter(|period| *period < running) else { return Grace::Pending };
        let due = since.parse::<Timestamp>().unwrap_or(now);
        let due = due.checked_add(SignedDuration::from_secs(period.saturating_sub(running))).unwrap_or(now);
        set_deletion(object, due, period);
        return Grace::Set(period);
    }
    let Some(period) = strategy.graceful_deletion_seconds(object, requested) else { return Grace::None };
    let due = now.checked_add(SignedDuration::from_secs(period)).unwrap_or(Timestamp::MAX);
    set_deletion(object, due, period);
    bump_generation(object);
    Grace::Set(period)
}

fn set_deletion(object: &mut Value, due: Timestamp, period: i64) {
    object::set_meta(object, "deletionTimestamp", &timestamp(due));
    object::set(object, "/metadata/deletionGracePeriodSeconds", json!(period));
}

/// Marks an object without grace that has finalizers.
fn mark(kind: KindRef, object: &mut Value, now: Timestamp) {
    if object::deletion_timestamp(object).is_none() {
        object::set_meta(object, "deletionTimestamp", &timestamp(now));
        bump_generation(object);
        strategy::of(kind).mark_deleting(object);
    }
    // A namespace waits for its content, not for a period: upstream leaves the field out there.
    if !strategy::of(kind).held(object) {
        object::set(object, "/metadata/deletionGracePeriodSeconds", json!(0));
    }
}

/// Marking is a change that controllers should see as one.
fn bump_generation(object: &mut Value) {
    let generation = object::generation(object);
    if generation > 0 {
        generic::set_generation(object, Some(generation + 1));
    }
}

/// The finalizers that stay, with those by which the garbage collector hears what to do.
fn finalizers(kind: KindRef, existing: &Value, options: &DeleteOptions) -> Vec<String> {
    let default = rules::of(kind).dependents;
    if default == Dependents::Unsupported {
        return object::finalizers(existing).map(Into::into).collect();
    }
    let has = |name: &str| object::finalizers(existing).any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == Propagation::Orphan, policy == Propagation::Foreground),
        (None, None) if has(ORPHAN) => (true, has(FOREGROUND)),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (default == Dependents::Orphan, false),
    };
    let mut kept: Vec<String> = object::finalizers(existing)
        .filter(|finalizer| match *finalizer {
            ORPHAN => orphan,
            FOREGROUND => foreground,
            _ => true,
        })
        .map(Into::into)
        .collect();
    for (wanted, name) in [(orphan, ORPHAN), (foreground, FOREGROUND)] {
        if wanted && !has(name) {
            kept.push(name.into());
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;

    const NOW: &str = "2026-01-01T00:00:00Z";

    fn kind(plural: &str) -> KindRef {
        kinds::KINDS.iter().find(|kind| kind.plural == plural).unwrap()
    }

    fn run(plural: &str, existing: &Value, options: &DeleteOptions) -> Plan {
        plan(kind(plural), existing, options, NOW.parse().unwrap())
    }

    fn pod(metadata: Value) -> Value {
        json!({"metadata": metadata, "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30}})
    }

    fn graced(seconds: i64) -> DeleteOptions {
        DeleteOptions { grace_period_seconds: Some(seconds), ..DeleteOptions::default() }
    }

    fn policy(propagation: Propagation) -> DeleteOptions {
        DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() }
    }

    #[test]
    fn a_plain_object_goes_at_once() {
        let object = json!({"metadata": {"name": "a"}});
        assert_eq!(run("configmaps", &object, &DeleteOptions::default()), Plan::Remove(object));
    }

    #[test]
    fn a_bound_pod_gets_its_grace() {
        let Plan::Mark(marked) = run("pods", &pod(json!({"name": "a", "generation": 1})), &DeleteOptions::default())
        else {
            panic!("not marked")
        };
        assert_eq!(
            marked["metadata"],
            json!({"name": "a", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30})
        );
        assert!(matches!(run("pods", &pod(json!({"name": "a"})), &graced(0)), Plan::Remove(_)));
        let unbound = json!({"metadata": {"name": "a"}, "spec": {}});
        assert!(matches!(run("pods", &unbound, &DeleteOptions::default()), Plan::Remove(_)));
    }

    #[test]
    fn grace_only_shrinks() {
        let dying = pod(json!({"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}));
        assert_eq!(run("pods", &dying, &DeleteOptions::default()), Plan::UnderWay);
        assert_eq!(run("pods", &dying, &graced(60)), Plan::UnderWay);
        let Plan::Mark(faster) = run("pods", &dying, &graced(5)) else { panic!("not marked") };
        assert_eq!(
            faster["metadata"],
            json!({"deletionTimestamp": "2026-01-01T00:00:05Z", "deletionGracePeriodSeconds": 5})
        );
        assert!(matches!(run("pods", &dying, &graced(0)), Plan::Remove(_)));
        let Plan::Mark(forever) = run("pods", &pod(json!({})), &graced(i64::MAX)) else { panic!("not marked") };
        let Plan::Mark(soon) = run("pods", &forever, &graced(5)) else { panic!("not marked") };
        assert_eq!(soon["metadata"]["deletionGracePeriodSeconds"], 5);
        assert!(matches!(run("pods", &forever, &graced(0)), Plan::Remove(_)));
    }

    #[test]
    fn finalizers_keep_an_object() {
        let object = json!({"metadata": {"name": "a", "finalizers": ["x/y"]}});
        let Plan::Mark(marked) = run("configmaps", &object, &DeleteOptions::default()) else { panic!("not marked") };
        assert_eq!(
            marked["metadata"],
            json!({"name": "a", "finalizers": ["x/y"], "deletionTimestamp": NOW, "deletionGracePeriodSeconds": 0})
        );
        assert_eq!(run("configmaps", &marked, &DeleteOptions::default()), Plan::UnderWay);
        let namespace =
            json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
        let Plan::Mark(marked) = run("namespaces", &namespace, &DeleteOptions::default()) else { panic!("not marked") };
        assert_eq!(marked["status"]["phase"], "Terminating");
        assert_eq!(marked["metadata"], json!({"name": "a", "deletionTimestamp": NOW}));
    }

    #[test]
    fn propagation_is_told_by_finalizers() {
        let object = json!({"metadata": {"name": "a"}});
        let finalizers_after =
            |plural: &str, existing: &Value, options: DeleteOptions| match run(plural, existing, &options) {
                Plan::Mark(object) => object["metadata"]["finalizers"].clone(),
                Plan::Remove(_) => json!("removed"),
                Plan::UnderWay => json!("under way"),
            };
        assert_eq!(finalizers_after("replicasets", &object, policy(Propagation::Foreground)), json!([FOREGROUND]));
        assert_eq!(finalizers_after("replicasets", &object, policy(Propagation::Orphan)), json!([ORPHAN]));
        assert_eq!(finalizers_after("replicasets", &object, policy(Propagation::Background)), json!("removed"));
        assert_eq!(finalizers_after("jobs", &object, DeleteOptions::default()), json!([ORPHAN]));
        assert_eq!(finalizers_after("events", &object, policy(Propagation::Foreground)), json!("removed"));
        let waiting = json!({"metadata": {"name": "a", "finalizers": [FOREGROUND], "deletionTimestamp": NOW}});
        assert_eq!(finalizers_after("replicasets", &waiting, policy(Propagation::Background)), json!("removed"));
        assert_eq!(finalizers_after("replicasets", &waiting, policy(Propagation::Orphan)), json!([ORPHAN]));
        let old_form = DeleteOptions { orphan_dependents: Some(true), ..DeleteOptions::default() };
        assert_eq!(finalizers_after("replicasets", &object, old_form), json!([ORPHAN]));
    }

    #[test]
    fn preconditions() {
        let object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}});
        let with = |uid: Option<&str>, version: Option<&str>| Preconditions {
            uid: uid.map(Into::into),
            resource_version: version.map(Into::into),
        };
        assert!(check(kind("pods"), &object, &with(Some("u"), Some("7"))).is_ok());
        let error = check(kind("pods"), &object, &with(Some("v"), None)).unwrap_err();
        assert_eq!(error.code, 409);
        assert!(error.message.contains("the UID in the precondition (v) does not match the UID in record (u)"));
        assert!(check(kind("pods"), &object, &with(None, Some("6"))).is_err());
    }
}
