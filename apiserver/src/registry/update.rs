//! Update: the loop that every change of a stored object goes through (upstream: apiserver, pkg/registry/rest/update.go
//! and `Store.Update`, over `GuaranteedUpdate`). Whoever removes the last finalizer of a dying object removes the object.

use std::sync::Arc;

use api::kinds::KindRef;
use api::{Status, object};
use serde_json::{Value, json};

use super::{Call, Object, Preconditions, Registry, Written, conflict, not_found};
use crate::admission::Operation;
use crate::storage::{Entry, Freshness, Updated};
use crate::strategy::{self, Cx, generic, meta, rules};

/// What upstream says to everybody who was too late.
pub const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

/// How often a change is made anew because somebody else's came between: each time somebody made progress, so that the
/// bound only keeps a single request from going on for ever.
const ATTEMPTS: usize = 500;

/// Which part of the object a write may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// All but the status, where that has a path of its own.
    Main,
    /// The status only.
    Status,
    /// What the edit itself sees to: subresources with their own rules.
    Raw,
    /// The same, as a part of another request that has been admitted as a whole (binding, eviction).
    Internal,
}

/// A change of one object.
pub struct Change<'a> {
    /// Its kind.
    pub kind: KindRef,
    /// Its namespace; empty for cluster-scoped kinds.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Which part.
    pub target: Target,
    /// What must hold.
    pub preconditions: Preconditions,
    /// Create the object if it is not there and its kind allows it; the edit is then given null.
    pub may_create: bool,
}

impl<'a> Change<'a> {
    /// A change of the main resource without preconditions.
    pub fn of(kind: KindRef, namespace: &'a str, name: &'a str) -> Self {
        let (target, preconditions) = (Target::Main, Preconditions::default());
        Self { kind, namespace, name, target, preconditions, may_create: false }
    }

    /// The same for another target.
    #[must_use]
    pub fn target(mut self, target: Target) -> Self {
        self.target = target;
        self
    }
}

/// Makes the new object out of the stored one (with its resourceVersion). Called again when somebody was faster.
pub type Edit<'a> = &'a mut (dyn FnMut(&Value) -> Result<Value, Status> + Send);

impl Registry {
    /// Replaces an object (PUT), in the storage version.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`, `Invalid`, and what admission says.
    pub async fn update(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        target: Target,
        object: Value,
    ) -> Result<Written, Status> {
        let change = Change { may_create: target == Target::Main, ..Change::of(kind, namespace, name).target(target) };
        self.modify(call, &change, &mut |_| Ok(object.clone())).await
    }

    /// Changes an object by `edit`, again and again until nobody else's change comes between.
    ///
    /// # Errors
    /// As [`Registry::update`], and what the edit says.
    pub async fn modify(&self, call: &Call, change: &Change<'_>, edit: Edit<'_>) -> Result<Written, Status> {
        let (kind, namespace, name) = (change.kind, change.namespace, change.name);
        let mut entry = self.storage.get(kind, namespace, name, Freshness::Latest).await?;
        for _ in 0..ATTEMPTS {
            let Some(current) = entry else { return self.create_missing(call, change, edit).await };
            let old = current.value();
            let new = edit(&old)?;
            entry = match self.write_over(call, change, &current, &old, new).await? {
                Ok(written) => return Ok(written),
                Err(changed) => changed,
            };
        }
        Err(conflict(kind, name, MODIFIED))
    }

    async fn create_missing(&self, call: &Call, change: &Change<'_>, edit: Edit<'_>) -> Result<Written, Status> {
        let kind = change.kind;
        if !change.may_create || !rules::of(kind).create_on_update {
            return Err(not_found(kind, change.name));
        }
        let mut object = edit(&Value::Null)?;
        let uid = object::uid(&object);
        if !uid.is_empty() {
            return Err(conflict(kind, change.name, &uid_differs(uid, "")));
        }
        object::set_resource_version(&mut object, "");
        let object = self.create(call, kind, change.namespace, object).await?;
        Ok(Written { object, created: true })
    }

    /// One attempt. The inner error is the present object when somebody was faster.
    async fn write_over(
        &self,
        call: &Call,
        change: &Change<'_>,
        current: &Arc<Entry>,
        old: &Value,
        mut new: Value,
    ) -> Result<Result<Written, Option<Arc<Entry>>>, Status> {
        let kind = change.kind;
        super::delete_plan::check(kind, old, &change.preconditions)?;
        check_identity(change, &mut new, old)?;
        restore_metadata(kind, &mut new, old);
        self.prepare(call, change, &mut new, old).await?;
        let written = |object| Ok(Ok(Written { object, created: false }));
        if new == *old {
            // Nothing changed: nothing is written, and the version stays.
            return written(Object::Stored(current.clone()));
        }
        let gone = finished(kind, &new);
        if call.dry_run {
            return written(Object::Made(new));
        }
        object::set_resource_version(&mut new, "");
        let (namespace, name, revision) = (change.namespace, change.name, current.revision());
        let Some(claims) = self.claims(kind, Some(&new).filter(|_| !gone), Some(old)).await? else {
            return Ok(Err(Some(current.clone())));
        };
        if gone {
            return match self.storage.delete_with(kind, namespace, name, revision, &claims).await? {
                Updated::Done(entry) => {
                    object::set_resource_version(&mut new, &entry.revision().to_string());
                    written(Object::Made(new))
                }
                Updated::Changed(entry) => Ok(Err(entry)),
            };
        }
        match self.storage.update_with(kind, namespace, name, revision, &new, &claims).await? {
            Updated::Done(entry) => written(Object::Stored(entry)),
            Updated::Changed(entry) => Ok(Err(entry)),
        }
    }

    /// Defaults, admission, strategy and validation.
    async fn prepare(&self, call: &Call, change: &Change<'_>, new: &mut Value, old: &Value) -> Result<(), Status> {
        let (kind, strategy) = (change.kind, strategy::of(change.kind));
        strategy::defaults::apply(kind, new);
        strategy.default(new);
        let mut attributes = self.attributes(call, Operation::Update, kind, change.namespace, change.name);
        attributes.old = Some(old);
        let admitted = change.target == Target::Internal;
        if !admitted {
            self.admission.admit(&attributes, new).await?;
        }
        if change.target == Target::Main && self.allocator.concerns(kind) {
            self.allocator.fill(new, Some(old)).await?;
        }
        let cx = Cx { kind, user: &call.user, now: self.now() };
        match change.target {
            Target::Main => {
                generic::prepare_update(&cx, new, old);
                strategy.prepare_update(&cx, new, old);
            }
            Target::Status => {
                generic::prepare_status_update(&cx, new, old);
                strategy.prepare_status_update(&cx, new, old);
            }
            Target::Raw | Target::Internal => {}
        }
        let mut errors = meta::validate_update(new, old);
        match change.target {
            Target::Main => {
                errors.extend(strategy::validate(kind, new));
                errors.extend(strategy.validate_update(new, old));
            }
            Target::Status => errors.extend(strategy.validate_status_update(new, old)),
            Target::Raw | Target::Internal => {}
        }
        if !errors.is_empty() {
            return Err(Status::invalid(kind.group, kind.kind, change.name, &errors));
        }
        if change.target == Target::Main {
            strategy.warnings(new, Some(old)).into_iter().for_each(|text| call.warn(text));
        }
        if admitted { Ok(()) } else { self.admission.validate(&attributes, new).await }
    }
}

/// UID and version, where the new object states them, are those of the stored one; where it may leave the version out
/// (`AllowUnconditionalUpdate`) it gets the stored one.
fn check_identity(change: &Change<'_>, new: &mut Value, old: &Value) -> Result<(), Status> {
    let (kind, name) = (change.kind, change.name);
    if !new.is_object() {
        return Err(Status::bad_request("the object provided is unrecognized: it is not a JSON object"));
    }
    let uid = object::uid(new);
    if !uid.is_empty() && uid != object::uid(old) {
        return Err(conflict(kind, name, &uid_differs(uid, object::uid(old))));
    }
    let stored = object::resource_version(old).unwrap_or_default();
    match object::resource_version(new) {
        Some(version) if version != stored && version != "0" => Err(conflict(kind, name, MODIFIED)),
        Some(version) if version != "0" => Ok(()),
        _ if rules::of(kind).unconditional_update => {
            object::set_resource_version(new, stored);
            Ok(())
        }
        _ => {
            let path = api::Path::new("metadata").child("resourceVersion");
            // Upstream names the resource here where it means the kind, and shows the version as a number.
            let error = api::FieldError::invalid(&path, &json!(0), "must be specified for an update");
            Err(Status::invalid(kind.group, kind.plural, name, &[error]))
        }
    }
}

fn uid_differs(wanted: &str, actual: &str) -> String {
    format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}")
}

/// What a client may leave out or cannot change is put back before anything looks at it.
fn restore_metadata(kind: KindRef, new: &mut Value, old: &Value) {
    let kept = |field: &str| old.pointer(&format!("/metadata/{field}")).cloned();
    let (uid, created, generation) = (kept("uid"), kept("creationTimestamp"), kept("generation"));
    let (deleted, grace) = (kept("deletionTimestamp"), kept("deletionGracePeriodSeconds"));
    let namespace = kept("namespace");
    let metadata = object::metadata_mut(new);
    metadata.remove("managedFields");
    metadata.remove("selfLink");
    for (field, value) in [("uid", uid), ("creationTimestamp", created), ("generation", generation)] {
        match value {
            Some(value) => metadata.insert(field.into(), value),
            None => metadata.remove(field),
        };
    }
    for (field, value) in [("deletionTimestamp", deleted), ("deletionGracePeriodSeconds", grace)] {
        if let Some(value) = value {
            metadata.insert(field.into(), value);
        }
    }
    match namespace {
        Some(namespace) if kind.namespaced => {
            metadata.entry("namespace").or_insert(namespace);
        }
        _ => {
            metadata.remove("namespace");
        }
    }
    let map = object::as_map(new);
    map.insert("apiVersion".into(), json!(kind.api_version()));
    map.insert("kind".into(), json!(kind.kind));
}

/// Whether the object was only waiting for this change to be removed (`ShouldDeleteDuringUpdate`).
fn finished(kind: KindRef, new: &Value) -> bool {
    object::deletion_timestamp(new).is_some()
        && object::finalizers(new).next().is_none()
        && object::deletion_grace_period_seconds(new).unwrap_or(0) == 0
        && !strategy::of(kind).held(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds;

    fn kind(plural: &str) -> KindRef {
        kinds::KINDS.iter().find(|kind| kind.plural == plural).unwrap()
    }

    #[test]
    fn identity() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}});
        let check = |plural: &str, metadata: Value| {
            let mut new = json!({"metadata": metadata});
            check_identity(&Change::of(kind(plural), "b", "a"), &mut new, &old).map(|()| new)
        };
        assert_eq!(check("configmaps", json!({})).unwrap()["metadata"]["resourceVersion"], "7");
        assert!(check("configmaps", json!({"resourceVersion": "7", "uid": "u"})).is_ok());
        let stale = check("configmaps", json!({"resourceVersion": "6"})).unwrap_err();
        assert_eq!((stale.code, stale.message.ends_with(MODIFIED)), (409, true));
        assert_eq!(check("configmaps", json!({"uid": "v"})).unwrap_err().code, 409);
        let unconditional = check("leases", json!({})).unwrap_err();
        assert_eq!(
            unconditional.message,
            "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        );
    }

    #[test]
    fn an_object_is_finished_when_nothing_holds_it() {
        let dead = json!({"metadata": {"deletionTimestamp": "x"}});
        assert!(finished(kind("configmaps"), &dead));
        let table = [
            ("configmaps", json!({"metadata": {}})),
            ("configmaps", json!({"metadata": {"deletionTimestamp": "x", "finalizers": ["a/b"]}})),
            ("pods", json!({"metadata": {"deletionTimestamp": "x", "deletionGracePeriodSeconds": 30}})),
            ("namespaces", json!({"metadata": {"deletionTimestamp": "x"}, "spec": {"finalizers": ["kubernetes"]}})),
        ];
        for (plural, object) in table {
            assert!(!finished(kind(plural), &object), "{object}");
        }
    }
}
