//! Writes: one transaction each, conditional on the revision, that in the other case answers with what is there.

use std::sync::Arc;

use api::Status;
use api::kinds::KindRef;
use bytes::Bytes;
use serde_json::Value;
use store::{Compare, KeyValue, Op, OpReply, Order, Range, Revision, Target, Txn, TxnReply};

use super::cache::Cache;
use super::query::Updated;
use super::{Entry, Storage, errors, scan};

impl Storage {
    /// Writes a new object. Its `metadata.resourceVersion` is ignored.
    ///
    /// # Errors
    /// `AlreadyExists`.
    pub async fn create(&self, kind: KindRef, ns: &str, name: &str, object: &Value) -> Result<Arc<Entry>, Status> {
        let cache = self.cache(kind);
        match self.put(&cache, cache.key(ns, name), 0, encode(object)?).await? {
            Updated::Done(entry) => Ok(entry),
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
        let (cache, value) = (self.cache(kind), encode(object)?);
        let key = cache.key(ns, name);
        if expected == 0 {
            // 0 would mean "must not exist" to the store; nothing is ever at revision 0.
            cache.own_writes().await?;
            return Ok(Updated::Changed(cache.get(&key)));
        }
        if let Some(present) = cache.get(&key).filter(|entry| entry.revision() == expected && *entry.raw() == value) {
            cache.own_writes().await?;
            if cache.get(&key).is_some_and(|entry| Arc::ptr_eq(&entry, &present)) {
                return Ok(Updated::Done(present));
            }
        }
        self.put(&cache, key, expected, value).await
    }

    /// Deletes an object if it is still at the revision `expected`.
    ///
    /// # Errors
    /// As [`Storage::update`].
    pub async fn delete(&self, kind: KindRef, ns: &str, name: &str, expected: Revision) -> Result<Updated, Status> {
        let cache = self.cache(kind);
        let key = cache.key(ns, name);
        let reply = self.write(&cache, &key, expected, Op::Delete { key: key.clone(), end: None }).await?;
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

    async fn put(&self, cache: &Cache, key: Bytes, expected: Revision, value: Bytes) -> Result<Updated, Status> {
        let op = Op::Put { key: key.clone(), value: value.clone(), lease: 0 };
        let reply = self.write(cache, &key, expected, op).await?;
        match reply.replies.into_iter().next() {
            Some(OpReply::Range(page)) if !reply.succeeded => changed(cache, page.kvs),
            _ => Ok(Updated::Done(entry(cache, key, value, reply.revision)?)),
        }
    }

    async fn write(&self, cache: &Cache, key: &Bytes, expected: Revision, op: Op) -> Result<TxnReply, Status> {
        let unchanged =
            Compare { key: key.clone(), end: None, target: Target::ModRevision(expected), order: Order::Equal };
        let present = Op::Range(Range { key: key.clone(), ..Range::default() });
        let txn = Txn { when: vec![unchanged], then: vec![op], otherwise: vec![present] };
        let reply = self.shared.kv.txn(txn).await.map_err(errors::from_store)?;
        if reply.succeeded {
            cache.wrote(reply.revision);
        }
        Ok(reply)
    }
}

/// What is stored of an object.
fn encode(object: &Value) -> Result<Bytes, Status> {
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
