//! The contract's values as etcd's messages and back.
//!
//! What comes back owns its memory: prost's `Bytes` are slices of the whole message, and one surviving value would hold all of
//! it. Keys may be stored under another prefix than they are asked for ([`Keys`]).

use bytes::Bytes;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::mvccpb;

use crate::kv::{
    Compare, Error, Event, EventKind, KeyValue, Op, OpReply, Order, Page, Range, Revision, Target, Txn, TxnReply,
};

/// Where keys are: those that begin with `ours` begin with `theirs` in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) ours: Bytes,
    pub(crate) theirs: Bytes,
}

impl Keys {
    /// A key, or the end of a range, as the store has it.
    pub(crate) fn there(&self, key: &Bytes) -> Bytes {
        if self.ours == self.theirs {
            return key.clone();
        }
        match key.strip_prefix(&*self.ours) {
            Some(rest) => [&self.theirs, rest].concat().into(),
            None => key.clone(),
        }
    }

    /// A key of the store as we have it.
    fn here(&self, key: &[u8]) -> Bytes {
        match key.strip_prefix(&*self.theirs) {
            Some(rest) if self.ours != self.theirs => [&self.ours, rest].concat().into(),
            _ => Bytes::copy_from_slice(key),
        }
    }

    fn end(&self, end: Option<&Bytes>) -> Bytes {
        end.map(|end| self.there(end)).unwrap_or_default()
    }

    pub(crate) fn range(&self, range: &Range) -> pb::RangeRequest {
        pb::RangeRequest {
            key: self.there(&range.key),
            range_end: self.end(range.end.as_ref()),
            limit: i64::try_from(range.limit).unwrap_or(i64::MAX),
            revision: signed(range.revision),
            keys_only: range.keys_only,
            count_only: range.count_only,
            serializable: range.serializable,
            ..pb::RangeRequest::default()
        }
    }

    pub(crate) fn page(&self, response: pb::RangeResponse) -> Page {
        Page {
            kvs: response.kvs.iter().map(|kv| self.kv(kv)).collect(),
            more: response.more,
            count: unsigned(response.count),
            revision: revision(response.header.as_ref()),
        }
    }

    pub(crate) fn txn(&self, txn: &Txn) -> pb::TxnRequest {
        pb::TxnRequest {
            compare: txn.when.iter().map(|compare| self.compare(compare)).collect(),
            success: txn.then.iter().map(|op| self.op(op)).collect(),
            failure: txn.otherwise.iter().map(|op| self.op(op)).collect(),
        }
    }

    fn compare(&self, compare: &Compare) -> pb::Compare {
        use pb::compare::{CompareResult, CompareTarget, TargetUnion};
        let result = match compare.order {
            Order::Equal => CompareResult::Equal,
            Order::NotEqual => CompareResult::NotEqual,
            Order::Greater => CompareResult::Greater,
            Order::Less => CompareResult::Less,
        };
        let (target, union) = match &compare.target {
            Target::ModRevision(revision) => (CompareTarget::Mod, TargetUnion::ModRevision(signed(*revision))),
            Target::CreateRevision(revision) => (CompareTarget::Create, TargetUnion::CreateRevision(signed(*revision))),
            Target::Version(version) => (CompareTarget::Version, TargetUnion::Version(signed(*version))),
            Target::Value(value) => (CompareTarget::Value, TargetUnion::Value(value.clone())),
            Target::Lease(lease) => (CompareTarget::Lease, TargetUnion::Lease(*lease)),
        };
        pb::Compare {
            result: result.into(),
            target: target.into(),
            key: self.there(&compare.key),
            target_union: Some(union),
            range_end: self.end(compare.end.as_ref()),
        }
    }

    fn op(&self, op: &Op) -> pb::RequestOp {
        use pb::request_op::Request;
        let request = match op {
            Op::Range(range) => Request::RequestRange(self.range(range)),
            Op::Put { key, value, lease } => Request::RequestPut(pb::PutRequest {
                key: self.there(key),
                value: value.clone(),
                lease: *lease,
                prev_kv: true,
                ..pb::PutRequest::default()
            }),
            Op::Delete { key, end } => Request::RequestDeleteRange(pb::DeleteRangeRequest {
                key: self.there(key),
                range_end: self.end(end.as_ref()),
                prev_kv: true,
            }),
            Op::Update { key, value, lease } => Request::RequestPut(pb::PutRequest {
                key: self.there(key),
                value: value.clone().unwrap_or_default(),
                lease: lease.unwrap_or(0),
                prev_kv: true,
                ignore_value: value.is_none(),
                ignore_lease: lease.is_none(),
            }),
            Op::Txn(inner) => Request::RequestTxn(self.txn(inner)),
        };
        pb::RequestOp { request: Some(request) }
    }

    /// # Errors
    /// When the server answers something that was not asked.
    pub(crate) fn reply(&self, response: pb::TxnResponse) -> Result<TxnReply, Error> {
        use pb::response_op::Response;
        let replies = response.responses.into_iter().map(|op| match op.response {
            Some(Response::ResponseRange(range)) => Ok(OpReply::Range(self.page(range))),
            Some(Response::ResponsePut(put)) => Ok(OpReply::Put(put.prev_kv.map(|kv| self.kv(&kv)))),
            Some(Response::ResponseDeleteRange(delete)) => {
                Ok(OpReply::Delete(delete.prev_kvs.iter().map(|kv| self.kv(kv)).collect()))
            }
            Some(Response::ResponseTxn(inner)) => self.reply(inner).map(OpReply::Txn),
            None => Err(Error::Corrupt("the store answered another question".into())),
        });
        Ok(TxnReply {
            succeeded: response.succeeded,
            revision: revision(response.header.as_ref()),
            replies: replies.collect::<Result<_, _>>()?,
        })
    }

    fn kv(&self, kv: &mvccpb::KeyValue) -> KeyValue {
        KeyValue {
            key: self.here(&kv.key),
            value: Bytes::copy_from_slice(&kv.value),
            create_revision: unsigned(kv.create_revision),
            mod_revision: unsigned(kv.mod_revision),
            version: unsigned(kv.version),
            lease: kv.lease,
        }
    }

    pub(crate) fn event(&self, event: &mvccpb::Event) -> Option<Event> {
        let delete = event.r#type() == mvccpb::event::EventType::Delete;
        Some(Event {
            kind: if delete { EventKind::Delete } else { EventKind::Put },
            kv: self.kv(event.kv.as_ref()?),
            prev: event.prev_kv.as_ref().map(|kv| self.kv(kv)),
        })
    }
}

/// The revision of a header.
pub(crate) fn revision(header: Option<&pb::ResponseHeader>) -> Revision {
    header.map_or(0, |header| unsigned(header.revision))
}

/// Revisions, counts and versions are never negative; etcd's wire type for them is.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// As [`unsigned`], the other way.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn keys_move_under_another_prefix_and_back() {
        let keys = Keys { ours: bytes("/registry"), theirs: bytes("/clusters/a") };
        // (ours, theirs)
        let table = [
            ("/registry/pods/ns/a", "/clusters/a/pods/ns/a"),
            ("/registry/pods0", "/clusters/a/pods0"),
            ("compact_rev_key", "compact_rev_key"),
            ("\0", "\0"),
        ];
        for (ours, theirs) in table {
            assert_eq!(keys.there(&bytes(ours)), theirs);
            assert_eq!(keys.here(theirs.as_bytes()), ours);
        }
        let same = Keys { ours: bytes("/registry"), theirs: bytes("/registry") };
        assert_eq!(same.there(&bytes("/registry/a")), "/registry/a");
        assert_eq!(Keys::default().here(b"/registry/a"), "/registry/a");
    }

    #[test]
    fn negative_numbers_do_not_wrap() {
        assert_eq!((unsigned(-1), unsigned(7), signed(u64::MAX), signed(7)), (0, 7, i64::MAX, 7));
    }
}
