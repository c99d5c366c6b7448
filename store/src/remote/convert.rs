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

/// etcd's wire type for revisions, counts and versions is signed; what is negative means 0 (never compacted is -1).
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

    #[test]
    fn requests_go_out_as_etcd_reads_them() {
        let keys = Keys { ours: bytes("/r"), theirs: bytes("/c/a") };
        // (range; key, end, limit, revision there)
        let all = Range { key: bytes("/r/"), end: Some(bytes("/r0")), ..Range::default() };
        let table = [
            (Range { end: None, ..all.clone() }, ("/c/a/", "", 0, 0)),
            (all.clone(), ("/c/a/", "/c/a0", 0, 0)),
            (Range { limit: 7, revision: 9, ..all.clone() }, ("/c/a/", "/c/a0", 7, 9)),
            (Range { limit: usize::MAX, revision: u64::MAX, ..all.clone() }, ("/c/a/", "/c/a0", i64::MAX, i64::MAX)),
            (Range { key: bytes("x"), end: Some(bytes("\0")), ..Range::default() }, ("x", "\0", 0, 0)),
        ];
        for (range, (key, end, limit, revision)) in table {
            let found = keys.range(&range);
            assert_eq!((&found.key[..], &found.range_end[..]), (key.as_bytes(), end.as_bytes()), "{range:?}");
            assert_eq!((found.limit, found.revision), (limit, revision), "{range:?}");
        }
        let flags = keys.range(&Range { keys_only: true, count_only: true, serializable: true, ..all });
        assert!(flags.keys_only && flags.count_only && flags.serializable);
        assert_eq!((flags.sort_order, flags.sort_target, flags.min_mod_revision), (0, 0, 0));
    }

    #[test]
    fn updates_say_what_stays() {
        use pb::request_op::Request;
        let update =
            |value: Option<&'static str>, lease| Op::Update { key: bytes("k"), value: value.map(bytes), lease };
        // (step; value, lease, ignored)
        let table = [
            (Op::Put { key: bytes("k"), value: bytes("v"), lease: 7 }, ("v", 7, (false, false))),
            (update(Some("v"), Some(7)), ("v", 7, (false, false))),
            (update(None, Some(7)), ("", 7, (true, false))),
            (update(Some("v"), None), ("v", 0, (false, true))),
            (update(None, None), ("", 0, (true, true))),
        ];
        for (op, (value, lease, ignored)) in table {
            let Some(Request::RequestPut(put)) = Keys::default().op(&op).request else { panic!("{op:?}") };
            assert_eq!((&put.value[..], put.lease, put.prev_kv), (value.as_bytes(), lease, true), "{op:?}");
            assert_eq!((put.ignore_value, put.ignore_lease), ignored, "{op:?}");
        }
    }

    #[test]
    fn transactions_go_out_whole_and_answers_come_back() {
        use pb::compare::{CompareResult, CompareTarget, TargetUnion};
        let keys = Keys { ours: bytes("/r"), theirs: bytes("/c") };
        let compares = [
            (Target::ModRevision(5), CompareTarget::Mod, TargetUnion::ModRevision(5)),
            (Target::CreateRevision(u64::MAX), CompareTarget::Create, TargetUnion::CreateRevision(i64::MAX)),
            (Target::Version(0), CompareTarget::Version, TargetUnion::Version(0)),
            (Target::Value(bytes("/r")), CompareTarget::Value, TargetUnion::Value(bytes("/r"))),
            (Target::Lease(-1), CompareTarget::Lease, TargetUnion::Lease(-1)),
        ];
        let orders = [
            (Order::Equal, CompareResult::Equal),
            (Order::NotEqual, CompareResult::NotEqual),
            (Order::Greater, CompareResult::Greater),
            (Order::Less, CompareResult::Less),
        ];
        for (target, theirs, union) in compares {
            for (order, result) in orders {
                let compare = Compare { key: bytes("/r/k"), end: Some(bytes("/r0")), target: target.clone(), order };
                let found = keys.compare(&compare);
                assert_eq!((found.target(), found.result(), found.target_union), (theirs, result, Some(union.clone())));
                assert_eq!((&found.key[..], &found.range_end[..]), (&b"/c/k"[..], &b"/c0"[..]), "a value is no key");
            }
        }
        let inner = Txn { otherwise: vec![Op::Delete { key: bytes("/r/d"), end: None }], ..Txn::default() };
        let outer = keys.txn(&Txn { then: vec![Op::Txn(inner)], ..Txn::default() });
        let Some(pb::request_op::Request::RequestTxn(inner)) = &outer.success[0].request else { panic!("{outer:?}") };
        let Some(pb::request_op::Request::RequestDeleteRange(delete)) = &inner.failure[0].request else {
            panic!("{inner:?}")
        };
        assert_eq!((&delete.key[..], delete.prev_kv), (&b"/c/d"[..], true));

        let header = |revision| Some(pb::ResponseHeader { revision, ..Default::default() });
        let kv = |key: &'static str| mvccpb::KeyValue { key: bytes(key), mod_revision: 4, ..Default::default() };
        use pb::response_op::Response;
        let inner = pb::TxnResponse { succeeded: false, header: header(0), responses: Vec::new() };
        let responses = [
            Response::ResponseRange(pb::RangeResponse {
                header: header(9),
                kvs: vec![kv("/c/a")],
                more: true,
                count: 3,
            }),
            Response::ResponsePut(pb::PutResponse { header: header(9), prev_kv: Some(kv("/c/b")) }),
            Response::ResponsePut(pb::PutResponse::default()),
            Response::ResponseDeleteRange(pb::DeleteRangeResponse {
                prev_kvs: vec![kv("/c/d"), kv("x")],
                ..Default::default()
            }),
            Response::ResponseTxn(inner),
        ];
        let responses = responses.map(|response| pb::ResponseOp { response: Some(response) }).to_vec();
        let answer = pb::TxnResponse { header: header(9), succeeded: true, responses: responses.clone() };
        let reply = keys.reply(answer.clone()).unwrap();
        let [
            OpReply::Range(page),
            OpReply::Put(Some(prev)),
            OpReply::Put(None),
            OpReply::Delete(gone),
            OpReply::Txn(inner),
        ] = &reply.replies[..]
        else {
            panic!("{reply:?}")
        };
        assert_eq!((reply.revision, reply.succeeded, inner.succeeded), (9, true, false));
        assert_eq!((page.kvs[0].key.as_ref(), page.more, page.count, page.revision), (&b"/r/a"[..], true, 3, 9));
        assert_eq!((prev.key.as_ref(), prev.mod_revision), (&b"/r/b"[..], 4));
        assert_eq!(gone.iter().map(|kv| kv.key.clone()).collect::<Vec<_>>(), [bytes("/r/d"), bytes("x")]);
        let nothing = [responses, vec![pb::ResponseOp { response: None }]].concat();
        assert!(matches!(keys.reply(pb::TxnResponse { responses: nothing, ..answer }), Err(Error::Corrupt(_))));
    }

    #[test]
    fn events_come_back_or_are_none() {
        let keys = Keys { ours: bytes("/r"), theirs: bytes("/c") };
        let kv = mvccpb::KeyValue {
            key: bytes("/c/a"),
            value: bytes("v"),
            mod_revision: 7,
            version: -1,
            ..Default::default()
        };
        for (number, kind) in [(0, EventKind::Put), (1, EventKind::Delete)] {
            let event = mvccpb::Event { r#type: number, kv: Some(kv.clone()), prev_kv: Some(kv.clone()) };
            let found = keys.event(&event).unwrap();
            assert_eq!((found.kind, found.kv.key.as_ref(), found.kv.mod_revision), (kind, &b"/r/a"[..], 7));
            assert_eq!((found.kv.version, found.prev.map(|prev| prev.key)), (0, Some(bytes("/r/a"))));
        }
        assert_eq!(keys.event(&mvccpb::Event::default()), None);
    }
}
