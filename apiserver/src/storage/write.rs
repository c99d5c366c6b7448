//! Writes: one transaction each, conditional on the revision, that in the other case answers with what is there.

use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use bytes::Bytes;
use serde_json::Value;
use store::{KeyValue, Op, OpReply, Range, Revision, Txn, TxnReply};

use super::cache::Cache;
use super::claim::{Claim, unchanged};
use super::query::Updated;
use super::{Entry, Storage, errors, scan};

impl Storage {
    /// Writes a new object. Its `metadata.resourceVersion` is ignored.
    ///
    /// # Errors
    /// `AlreadyExists`.
    pub async fn create(&self, kind: KindRef, ns: &str, name: &str, object: &Value) -> Result<Arc<Entry>, Status> {
        let created = self.create_with(kind, ns, name, object, &[]).await?;
        created.ok_or_else(|| Status::already_exists(kind.group, kind.plural, name))
    }

    /// Writes a new object together with the records that it holds; `None` if one of those was not to be had.
    ///
    /// # Errors
    /// `AlreadyExists`.
    pub async fn create_with(
        &self,
        kind: KindRef,
        ns: &str,
        name: &str,
        object: &Value,
        claims: &[Claim],
    ) -> Result<Option<Arc<Entry>>, Status> {
        let cache = self.cache(kind);
        match self.put(&cache, cache.key(ns, name), 0, encode(object)?, claims).await? {
            Updated::Done(entry) => Ok(Some(entry)),
            Updated::Changed(None) if !claims.is_empty() => Ok(None),
            Updated::Changed(_) => Err(Status::already_exists(kind.group, kind.plural, name)),
        }
    }

    /// Replaces an object if it is still at the revision `expected`. What would change nothing is not written, and the object
    /// keeps its revision.
    ///
    /// # Errors
    /// What the store says; being too late is not an error but [`Updated::Changed`].
    pub async fn update(
        &self,
        kind: KindRef,
        ns: &str,
        name: &str,
        expected: Revision,
        object: &Value,
    ) -> Result<Updated, Status> {
        self.update_with(kind, ns, name, expected, object, &[]).await
    }

    /// The same, with changes of the records that the object holds: if one of those is not as expected, nothing is written
    /// and the answer is [`Updated::Changed`], though the object itself may be as it was.
    ///
    /// # Errors
    /// As [`Storage::update`].
    pub async fn update_with(
        &self,
        kind: KindRef,
        ns: &str,
        name: &str,
        expected: Revision,
        object: &Value,
        claims: &[Claim],
    ) -> Result<Updated, Status> {
        let (cache, value) = (self.cache(kind), encode(object)?);
        let key = cache.key(ns, name);
        if expected == 0 {
            // 0 would mean "must not exist" to the store; nothing is ever at revision 0.
            cache.own_writes().await?;
            return Ok(Updated::Changed(cache.get(&key)));
        }
        let same = |entry: &Arc<Entry>| claims.is_empty() && entry.revision() == expected && *entry.raw() == value;
        if let Some(present) = cache.get(&key).filter(same) {
            cache.own_writes().await?;
            if cache.get(&key).is_some_and(|entry| Arc::ptr_eq(&entry, &present)) {
                return Ok(Updated::Done(present));
            }
        }
        self.put(&cache, key, expected, value, claims).await
    }

    /// Deletes an object if it is still at the revision `expected`.
    ///
    /// # Errors
    /// As [`Storage::update`].
    pub async fn delete(&self, kind: KindRef, ns: &str, name: &str, expected: Revision) -> Result<Updated, Status> {
        self.delete_with(kind, ns, name, expected, &[]).await
    }

    /// The same, together with the records that the object held, as [`Storage::update_with`].
    ///
    /// # Errors
    /// As [`Storage::update`].
    pub async fn delete_with(
        &self,
        kind: KindRef,
        ns: &str,
        name: &str,
        expected: Revision,
        claims: &[Claim],
    ) -> Result<Updated, Status> {
        let cache = self.cache(kind);
        let key = cache.key(ns, name);
        let reply = self.write(&cache, &key, expected, Op::Delete { key: key.clone(), end: None }, claims).await?;
        match reply.replies.into_iter().next() {
            Some(OpReply::Delete(mut deleted)) if reply.succeeded && !deleted.is_empty() => {
                let last = deleted.remove(0);
                Ok(Updated::Done(entry(&cache, key, last.value, reply.revision)?))
            }
            Some(OpReply::Range(page)) => changed(&cache, page.kvs),
            // `expected` 0 and nothing there: the compare held and nothing was deleted.
            _ => Ok(Updated::Changed(None)),
        }
    }

    async fn put(
        &self,
        cache: &Cache,
        key: Bytes,
        expected: Revision,
        value: Bytes,
        claims: &[Claim],
    ) -> Result<Updated, Status> {
        let op = Op::Put { key: key.clone(), value: value.clone(), lease: 0 };
        let reply = self.write(cache, &key, expected, op, claims).await?;
        match reply.replies.into_iter().next() {
            Some(OpReply::Range(page)) if !reply.succeeded => changed(cache, page.kvs),
            _ => Ok(Updated::Done(entry(cache, key, value, reply.revision)?)),
        }
    }

    async fn write(
        &self,
        cache: &Cache,
        key: &Bytes,
        expected: Revision,
        op: Op,
        claims: &[Claim],
    ) -> Result<TxnReply, Status> {
        let when = std::iter::once(unchanged(key, expected)).chain(claims.iter().map(Claim::compare)).collect();
        let then = std::iter::once(op).chain(claims.iter().map(Claim::op)).collect();
        let present = Op::Range(Range { key: key.clone(), ..Range::default() });
        let txn = Txn { when, then, otherwise: vec![present] };
        let reply = self.shared.kv.txn(txn).await.map_err(errors::from_store)?;
        if reply.succeeded {
            cache.wrote(reply.revision);
        }
        self.claimed(claims, reply.revision);
        Ok(reply)
    }
}

/// What is stored of an object.
pub(super) fn encode(object: &Value) -> Result<Bytes, Status> {
    let mut json = serde_json::to_vec(object).map_err(Status::internal)?;
    scan::strip_resource_version(&mut json).map_err(Status::internal)?;
    Ok(json.into())
}

fn entry(cache: &Cache, key: Bytes, value: Bytes, revision: Revision) -> Result<Arc<Entry>, Status> {
    cache.shape.build(key, value, revision).map(Arc::new).map_err(Status::internal)
}

fn changed(cache: &Cache, present: Vec<KeyValue>) -> Result<Updated, Status> {
    let present = present.into_iter().next().map(|kv| cache.shape.entry(kv)).transpose();
    Ok(Updated::Changed(present.map_err(Status::internal)?.map(Arc::new)))
}
