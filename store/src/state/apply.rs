//! How an entry changes the state. etcd: server/etcdserver/txn/txn.go and server/storage/mvcc/kvstore_txn.go.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use bytes::Bytes;

use super::{Change, State, Versions};
use crate::kv::{Compare, Error, KeyValue, Op, OpReply, Order, Revision, Target, Txn, TxnReply};
use crate::request::Request;
use crate::span::Span;

/// The answer to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Txn(TxnReply),
    Compacted,
}

impl State {
    /// Applies the request of entry number `entry`. A request that fails changes nothing.
    pub(crate) fn apply(&mut self, entry: u64, request: Request) -> Result<Outcome, Error> {
        match request {
            Request::Txn(txn) => self.txn(entry, txn).map(Outcome::Txn),
            Request::Compact(upto) => self.compact(entry, upto).map(|()| Outcome::Compacted),
        }
    }

    fn txn(&mut self, entry: u64, txn: Txn) -> Result<TxnReply, Error> {
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { txn.then } else { txn.otherwise };
        self.check_steps(&ops)?;
        let next = self.revision + 1;
        let mut now = self.revision;
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(match op {
                Op::Range(range) => OpReply::Range(self.page(&range, now)?),
                Op::Put { key, value, lease } => {
                    now = next;
                    OpReply::Put(self.put(entry, next, key, value, lease))
                }
                Op::Delete { key, end } => {
                    let deleted = self.delete(entry, next, &Span::of(&key, end.as_ref()));
                    if !deleted.is_empty() {
                        now = next;
                    }
                    OpReply::Delete(deleted)
                }
            });
        }
        self.revision = now;
        Ok(TxnReply { succeeded, revision: now, replies })
    }

    /// Runs a transaction that only reads.
    pub(crate) fn read_txn(&self, txn: &Txn) -> Result<TxnReply, Error> {
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        self.check_steps(ops)?;
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            if let Op::Range(range) = op {
                replies.push(OpReply::Range(self.page(range, self.revision)?));
            }
        }
        Ok(TxnReply { succeeded, revision: self.revision, replies })
    }

    /// Everything about the steps that can fail, before the first of them is done.
    fn check_steps(&self, ops: &[Op]) -> Result<(), Error> {
        ops.iter().try_for_each(|op| match op {
            Op::Range(range) => self.readable(range.revision).map(|_| ()),
            // No lease has been granted yet: no lease can be found.
            Op::Put { lease, .. } if *lease != 0 => Err(Error::NoLease),
            Op::Put { .. } | Op::Delete { .. } => Ok(()),
        })
    }

    fn holds(&self, compare: &Compare) -> bool {
        let item = self.current(&compare.key);
        let ordering = match &compare.target {
            Target::ModRevision(target) => item.map_or(0, |item| item.mod_revision).cmp(target),
            Target::CreateRevision(target) => item.map_or(0, |item| item.create_revision).cmp(target),
            Target::Version(target) => item.map_or(0, |item| item.version).cmp(target),
            Target::Lease(target) => item.map_or(0, |item| item.lease).cmp(target),
            Target::Value(target) => match item {
                Some(item) => item.value.cmp(target),
                None => return false,
            },
        };
        match compare.order {
            Order::Equal => ordering.is_eq(),
            Order::NotEqual => ordering.is_ne(),
            Order::Greater => ordering.is_gt(),
            Order::Less => ordering.is_lt(),
        }
    }

    fn put(&mut self, entry: u64, revision: Revision, key: Bytes, value: Bytes, lease: i64) -> Option<KeyValue> {
        self.live_bytes += (key.len() + value.len()) as u64;
        let mut item = KeyValue { key, value, create_revision: revision, mod_revision: revision, version: 1, lease };
        let prev = match self.index.entry(item.key.clone()) {
            Entry::Vacant(place) => {
                let item = Arc::new(item);
                place.insert(Versions::One(Arc::clone(&item)));
                self.history.push_back(Change { item, prev: None, entry });
                return None;
            }
            Entry::Occupied(mut place) => {
                let prev = place.get().at(Revision::MAX).cloned();
                if let Some(prev) = &prev {
                    (item.create_revision, item.version) = (prev.create_revision, prev.version + 1);
                }
                let item = Arc::new(item);
                place.get_mut().push(Arc::clone(&item));
                self.history.push_back(Change { item, prev: prev.clone(), entry });
                prev?
            }
        };
        self.live_bytes -= (prev.key.len() + prev.value.len()) as u64;
        Some((*prev).clone())
    }

    fn delete(&mut self, entry: u64, revision: Revision, span: &Span) -> Vec<KeyValue> {
        let Some(bounds) = span.bounds(None) else { return Vec::new() };
        let mut deleted = Vec::new();
        for (key, versions) in self.index.range_mut::<[u8], _>(bounds) {
            let Some(prev) = versions.at(Revision::MAX).cloned() else { continue };
            let item = Arc::new(KeyValue {
                key: key.clone(),
                value: Bytes::new(),
                create_revision: 0,
                mod_revision: revision,
                version: 0,
                lease: 0,
            });
            versions.push(Arc::clone(&item));
            self.live_bytes -= (prev.key.len() + prev.value.len()) as u64;
            deleted.push((*prev).clone());
            self.history.push_back(Change { item, prev: Some(prev), entry });
        }
        deleted
    }

    fn compact(&mut self, entry: u64, upto: Revision) -> Result<(), Error> {
        self.check_compaction(upto)?;
        self.compacted = upto;
        self.compactions.push_back((entry, upto));
        self.forget_compactions();
        Ok(())
    }

    /// Whether a compaction up to `upto` is possible now.
    pub(crate) fn check_compaction(&self, upto: Revision) -> Result<(), Error> {
        match upto {
            gone if gone <= self.compacted => Err(Error::Compacted(self.compacted)),
            future if future > self.revision => Err(Error::Future(self.revision)),
            _ => Ok(()),
        }
    }
}
