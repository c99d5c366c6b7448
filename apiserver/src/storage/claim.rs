//! Records that an object holds: an address, a port. They are written in the object's own transaction, so that no write, and
//! no crash between two writes, leaves one without the other; whoever comes second finds the record there and nothing is
//! written. This is what keeps several servers on one store from giving out the same thing twice.

use api::Status;
use api::kinds::KindRef;
use bytes::Bytes;
use serde_json::Value;
use store::{Compare, KeyValue, Op, Order, Range, Revision, Target, Txn, prefix_end};

use super::{Storage, errors, write};

/// One record beside an object, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its key in the store.
    pub key: Bytes,
    /// The kind that has such keys, where the record is an object itself.
    pub kind: Option<KindRef>,
    /// The revision that it must still be at; 0 = it must not exist.
    pub expected: Revision,
    /// What it becomes; `None` = it goes.
    pub value: Option<Bytes>,
}

impl Claim {
    /// A record that is no object.
    pub fn record(key: impl Into<Bytes>, expected: Revision, value: Option<Bytes>) -> Self {
        Self { key: key.into(), kind: None, expected, value }
    }

    pub(super) fn compare(&self) -> Compare {
        unchanged(&self.key, self.expected)
    }

    pub(super) fn op(&self) -> Op {
        let key = self.key.clone();
        match &self.value {
            Some(value) => Op::Put { key, value: value.clone(), lease: 0 },
            None => Op::Delete { key, end: None },
        }
    }
}

/// The key is still at this revision.
pub(super) fn unchanged(key: &Bytes, revision: Revision) -> Compare {
    Compare { key: key.clone(), end: None, target: Target::ModRevision(revision), order: Order::Equal }
}

impl Storage {
    /// The record that is an object of `kind` without a namespace: made (`expected` 0), changed, or removed.
    ///
    /// # Errors
    /// An object that cannot be encoded.
    pub fn claim(
        &self,
        kind: KindRef,
        name: &str,
        expected: Revision,
        object: Option<&Value>,
    ) -> Result<Claim, Status> {
        let value = object.map(write::encode).transpose()?;
        Ok(Claim { key: self.cache(kind).key("", name), kind: Some(kind), expected, value })
    }

    /// Writes records without an object; `false` if one of them was not as expected, then none is written.
    ///
    /// # Errors
    /// What the store says.
    pub async fn settle(&self, claims: &[Claim]) -> Result<bool, Status> {
        let when = claims.iter().map(Claim::compare).collect();
        let then = claims.iter().map(Claim::op).collect();
        let reply = self.shared.kv.txn(Txn { when, then, otherwise: Vec::new() }).await.map_err(errors::from_store)?;
        self.claimed(claims, reply.revision);
        Ok(reply.succeeded)
    }

    /// Reads of the claimed kinds see what the transaction did, or what stood in its way.
    pub(super) fn claimed(&self, claims: &[Claim], revision: Revision) {
        for kind in claims.iter().filter_map(|claim| claim.kind) {
            self.cache(kind).wrote(revision);
        }
    }

    /// The records below a prefix, which no cache holds; without their values if those do not matter.
    ///
    /// # Errors
    /// What the store says.
    pub async fn records(&self, prefix: &str, keys_only: bool) -> Result<Vec<KeyValue>, Status> {
        let key = Bytes::copy_from_slice(prefix.as_bytes());
        let range = Range { end: prefix_end(&key), key, keys_only, ..Range::default() };
        Ok(self.shared.kv.range(range).await.map_err(errors::from_store)?.kvs)
    }

    /// The records from the first of these keys to the last, which is among them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn records_between(&self, first: Bytes, last: &Bytes) -> Result<Vec<KeyValue>, Status> {
        let range = Range { end: prefix_end(last), key: first, ..Range::default() };
        Ok(self.shared.kv.range(range).await.map_err(errors::from_store)?.kvs)
    }

    /// Writes a record, whatever stands there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn put_record(&self, key: &str, value: Bytes) -> Result<(), Status> {
        let put = Op::Put { key: Bytes::copy_from_slice(key.as_bytes()), value, lease: 0 };
        let txn = Txn { then: vec![put], ..Txn::default() };
        self.shared.kv.txn(txn).await.map(drop).map_err(errors::from_store)
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn forget_record(&self, key: &str) -> Result<(), Status> {
        let delete = Op::Delete { key: Bytes::copy_from_slice(key.as_bytes()), end: None };
        let txn = Txn { then: vec![delete], ..Txn::default() };
        self.shared.kv.txn(txn).await.map(drop).map_err(errors::from_store)
    }
}
