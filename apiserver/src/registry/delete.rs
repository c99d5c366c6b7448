//! Delete and deletecollection: carries out the plan of [`super::delete_plan`].

use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use futures::stream::{self, TryStreamExt};
use serde_json::Value;

use super::delete_plan::{self, DeleteOptions, Plan};
use super::{Call, Object, Registry, not_found};
use crate::admission::Operation;
use crate::storage::{Entry, Freshness, ListQuery, Updated};
use crate::strategy::rules::{self, Dependents};

/// How many objects of a collection are deleted at a time.
const AT_A_TIME: usize = 16;

/// Outcome of a delete.
#[derive(Debug, Clone)]
pub struct Deleted {
    /// The object: as it was last, or as it is now that it is marked.
    pub object: Object,
    /// Whether it is gone.
    pub gone: bool,
}

impl Registry {
    /// Deletes an object, or marks it for deletion.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` where a precondition does not hold, and what admission says.
    pub async fn delete(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        self.delete_by(call, kind, namespace, name, options, true).await
    }

    /// The same as a part of a request that has been admitted as a whole (eviction).
    pub(super) async fn delete_admitted(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        self.delete_by(call, kind, namespace, name, options, false).await
    }

    async fn delete_by(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
        admit: bool,
    ) -> Result<Deleted, Status> {
        let mut entry = self.storage.get(kind, namespace, name, Freshness::Latest).await?;
        loop {
            let Some(current) = entry else { return Err(not_found(kind, name)) };
            let existing = current.value();
            delete_plan::check(kind, &existing, &options.preconditions)?;
            if admit {
                self.admit_delete(call, kind, namespace, name, &existing).await?;
            }
            let plan = delete_plan::plan(kind, &existing, options, self.now());
            entry = match self.carry_out(call, kind, &current, plan).await? {
                Ok(deleted) => return Ok(deleted),
                Err(changed) => changed,
            };
        }
    }

    async fn admit_delete(
        &self,
        call: &Call,
        kind: KindRef,
        namespace: &str,
        name: &str,
        existing: &Value,
    ) -> Result<(), Status> {
        let mut attributes = self.attributes(call, Operation::Delete, kind, namespace, name);
        attributes.old = Some(existing);
        self.admission.admit(&attributes, &mut Value::Null).await?;
        self.admission.validate(&attributes, &Value::Null).await
    }

    /// The inner error is the present object when somebody was faster.
    async fn carry_out(
        &self,
        call: &Call,
        kind: KindRef,
        current: &Arc<Entry>,
        plan: Plan,
    ) -> Result<Result<Deleted, Option<Arc<Entry>>>, Status> {
        let (namespace, name, revision) = (current.namespace(), current.name(), current.revision());
        let done = |object, gone| Ok(Ok(Deleted { object, gone }));
        let (outcome, gone) = match plan {
            Plan::UnderWay => return done(Object::Stored(current.clone()), false),
            Plan::Remove(last) if call.dry_run => return done(Object::Made(last), true),
            Plan::Mark(marked) if call.dry_run => return done(Object::Made(marked), false),
            Plan::Remove(last) => {
                let Some(claims) = self.claims(kind, None, Some(&last)).await? else {
                    return Ok(Err(Some(current.clone())));
                };
                (self.storage.delete_with(kind, namespace, name, revision, &claims).await?, true)
            }
            Plan::Mark(marked) => (self.storage.update(kind, namespace, name, revision, &marked).await?, false),
        };
        match outcome {
            Updated::Done(entry) => done(Object::Stored(entry), gone),
            Updated::Changed(entry) => Ok(Err(entry)),
        }
    }

    /// Deletes what a query matches; gives back what it found.
    ///
    /// # Errors
    /// The first error but `NotFound`.
    pub async fn delete_collection(
        &self,
        call: &Call,
        kind: KindRef,
        query: ListQuery<'_>,
        options: &DeleteOptions,
    ) -> Result<crate::storage::Listing, Status> {
        let listing = self.storage.list(kind, query).await?;
        stream::iter(listing.entries.iter().map(Ok))
            .try_for_each_concurrent(AT_A_TIME, |entry| async move {
                match self.delete(call, kind, entry.namespace(), entry.name(), options).await {
                    Err(status) if !status.is("NotFound") => Err(status),
                    _ => Ok(()),
                }
            })
            .await?;
        Ok(listing)
    }

    /// What the client should hear about a delete that does not say what becomes of the dependents.
    pub fn warn_of_orphans(&self, call: &Call, kind: KindRef, options: &DeleteOptions) {
        let silent = options.propagation.is_none() && options.orphan_dependents.is_none();
        if silent && kind.group == "batch" && rules::of(kind).dependents == Dependents::Orphan {
            call.warn(
                "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning",
            );
        }
    }
}
