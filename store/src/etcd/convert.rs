//! etcd's messages as the store's values and back.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcd::etcdserverpb::request_op::Request;
use proto::etcd::etcdserverpb::response_op::Response;
use proto::etcd::mvccpb;
use tonic::Status;

use super::Service;
use super::errors::invalid;
use super::range::{arrange, to_range};
use crate::kv::{Compare, Event, EventKind, KeyValue, Op, OpReply, Order, Page, Target, Txn, TxnReply};
pub(super) use crate::remote::{signed, unsigned};
use crate::span::end_of;

pub(super) fn kv(kv: KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key,
        value: kv.value,
        create_revision: signed(kv.create_revision),
        mod_revision: signed(kv.mod_revision),
        version: signed(kv.version),
        lease: kv.lease,
    }
}

pub(super) fn event(event: Event, with_prev: bool) -> mvccpb::Event {
    let kind = match event.kind {
        EventKind::Put => mvccpb::event::EventType::Put,
        EventKind::Delete => mvccpb::event::EventType::Delete,
    };
    let prev_kv = event.prev.filter(|_| with_prev).map(kv);
    mvccpb::Event { r#type: kind.into(), kv: Some(kv(event.kv)), prev_kv }
}

/// # Errors
/// As etcd's checkPutRequest.
pub(super) fn put(request: &pb::PutRequest) -> Result<Op, Status> {
    if request.key.is_empty() {
        return Err(invalid("key is not provided"));
    }
    if request.ignore_value && !request.value.is_empty() {
        return Err(invalid("value is provided"));
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(invalid("lease is provided"));
    }
    let (key, value, lease) = (request.key.clone(), request.value.clone(), request.lease);
    Ok(if request.ignore_value || request.ignore_lease {
        let value = (!request.ignore_value).then_some(value);
        Op::Update { key, value, lease: (!request.ignore_lease).then_some(lease) }
    } else {
        Op::Put { key, value, lease }
    })
}

/// # Errors
/// As etcd's checkDeleteRequest.
pub(super) fn delete(request: &pb::DeleteRangeRequest) -> Result<Op, Status> {
    if request.key.is_empty() {
        return Err(invalid("key is not provided"));
    }
    Ok(Op::Delete { key: request.key.clone(), end: end_of(&request.range_end) })
}

/// # Errors
/// As etcd's checkTxnRequest, as far as the store itself does not check it.
pub(super) fn txn(request: &pb::TxnRequest) -> Result<Txn, Status> {
    let ops = |ops: &[pb::RequestOp]| ops.iter().map(op).collect::<Result<_, _>>();
    Ok(Txn {
        when: request.compare.iter().map(compare).collect::<Result<_, _>>()?,
        then: ops(&request.success)?,
        otherwise: ops(&request.failure)?,
    })
}

fn op(op: &pb::RequestOp) -> Result<Op, Status> {
    match &op.request {
        Some(Request::RequestRange(range)) => to_range(range).map(Op::Range),
        Some(Request::RequestPut(request)) => put(request),
        Some(Request::RequestDeleteRange(request)) => delete(request),
        Some(Request::RequestTxn(request)) => txn(request).map(Op::Txn),
        None => Err(invalid("key not found")),
    }
}

fn compare(compare: &pb::Compare) -> Result<Compare, Status> {
    let unknown = |_| invalid("invalid compare option");
    let order = match CompareResult::try_from(compare.result).map_err(unknown)? {
        CompareResult::Equal => Order::Equal,
        CompareResult::Greater => Order::Greater,
        CompareResult::Less => Order::Less,
        CompareResult::NotEqual => Order::NotEqual,
    };
    let target = CompareTarget::try_from(compare.target).map_err(unknown)?;
    let (key, end) = (compare.key.clone(), end_of(&compare.range_end));
    // A target without its value, or with another's, means zero.
    let number = match (&compare.target_union, target) {
        (Some(TargetUnion::Version(number)), CompareTarget::Version)
        | (Some(TargetUnion::CreateRevision(number)), CompareTarget::Create)
        | (Some(TargetUnion::ModRevision(number)), CompareTarget::Mod)
        | (Some(TargetUnion::Lease(number)), CompareTarget::Lease) => *number,
        _ => 0,
    };
    let (order, unsigned) = against_negative(order, number);
    let target = match target {
        CompareTarget::Version => Target::Version(unsigned),
        CompareTarget::Create => Target::CreateRevision(unsigned),
        CompareTarget::Mod => Target::ModRevision(unsigned),
        CompareTarget::Lease => return Ok(Compare { key, end, target: Target::Lease(number), order: plain(compare) }),
        CompareTarget::Value => match &compare.target_union {
            Some(TargetUnion::Value(value)) => Target::Value(value.clone()),
            _ => Target::Value(bytes::Bytes::new()),
        },
    };
    Ok(Compare { key, end, target, order })
}

fn plain(compare: &pb::Compare) -> Order {
    match compare.result() {
        CompareResult::Equal => Order::Equal,
        CompareResult::Greater => Order::Greater,
        CompareResult::Less => Order::Less,
        CompareResult::NotEqual => Order::NotEqual,
    }
}

/// The store's numbers are never negative: a comparison with one that is has a fixed result, said with numbers that are not.
fn against_negative(order: Order, number: i64) -> (Order, u64) {
    match (u64::try_from(number), order) {
        (Ok(number), order) => (order, number),
        (Err(_), Order::Equal) => (Order::Equal, u64::MAX),
        (Err(_), Order::NotEqual | Order::Greater) => (Order::NotEqual, u64::MAX),
        (Err(_), Order::Less) => (Order::Less, 0),
    }
}

impl Service {
    pub(super) fn range_response(&self, request: &pb::RangeRequest, page: Page) -> pb::RangeResponse {
        let page = arrange(request, page);
        pb::RangeResponse {
            header: self.header(page.revision),
            kvs: page.kvs.into_iter().map(kv).collect(),
            more: page.more,
            count: signed(page.count),
        }
    }

    /// The answer to a transaction. Inner headers name a revision only, as etcd's do.
    pub(super) fn txn_response(&self, request: &pb::TxnRequest, reply: TxnReply) -> pb::TxnResponse {
        let revision = reply.revision;
        pb::TxnResponse { header: self.header(revision), ..txn_body(request, reply) }
    }
}

fn revision_only(revision: u64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { revision: signed(revision), ..pb::ResponseHeader::default() })
}

/// The body of the answer to a whole transaction.
pub(super) fn txn_body(request: &pb::TxnRequest, reply: TxnReply) -> pb::TxnResponse {
    let changes = reply.replies.iter().any(changed);
    steps_body(request, &mut reply.revision.saturating_sub(u64::from(changes)), reply)
}

/// Whether a step has changed something.
fn changed(reply: &OpReply) -> bool {
    match reply {
        OpReply::Range(_) => false,
        OpReply::Put(_) => true,
        OpReply::Delete(prevs) => !prevs.is_empty(),
        OpReply::Txn(inner) => inner.replies.iter().any(changed),
    }
}

/// `now` is the revision as of which the next step answers: the transaction's own once a step has changed something (etcd:
/// server/storage/mvcc/kvstore_txn.go; a deletion of nothing answers as of before).
fn steps_body(request: &pb::TxnRequest, now: &mut u64, reply: TxnReply) -> pb::TxnResponse {
    let ops = if reply.succeeded { &request.success } else { &request.failure };
    let then = reply.revision;
    let responses = ops.iter().zip(reply.replies).filter_map(|(op, reply)| {
        if !matches!(reply, OpReply::Txn(_)) && changed(&reply) {
            *now = then;
        }
        let response = match (op.request.as_ref()?, reply) {
            (Request::RequestRange(request), OpReply::Range(page)) => {
                let page = arrange(request, page);
                Response::ResponseRange(pb::RangeResponse {
                    header: revision_only(page.revision),
                    kvs: page.kvs.into_iter().map(kv).collect(),
                    more: page.more,
                    count: signed(page.count),
                })
            }
            (Request::RequestPut(request), OpReply::Put(prev)) => Response::ResponsePut(put_body(request, prev, *now)),
            (Request::RequestDeleteRange(request), OpReply::Delete(prevs)) => {
                Response::ResponseDeleteRange(delete_body(request, prevs, *now))
            }
            (Request::RequestTxn(request), OpReply::Txn(inner)) => {
                let body = steps_body(request, now, inner);
                Response::ResponseTxn(pb::TxnResponse { header: Some(pb::ResponseHeader::default()), ..body })
            }
            _ => return None,
        };
        Some(pb::ResponseOp { response: Some(response) })
    });
    pb::TxnResponse { header: None, succeeded: reply.succeeded, responses: responses.collect() }
}

pub(super) fn put_body(request: &pb::PutRequest, prev: Option<KeyValue>, revision: u64) -> pb::PutResponse {
    pb::PutResponse { header: revision_only(revision), prev_kv: prev.filter(|_| request.prev_kv).map(kv) }
}

pub(super) fn delete_body(
    request: &pb::DeleteRangeRequest,
    prevs: Vec<KeyValue>,
    revision: u64,
) -> pb::DeleteRangeResponse {
    let deleted = signed(prevs.len() as u64);
    let prev_kvs = if request.prev_kv { prevs.into_iter().map(kv).collect() } else { Vec::new() };
    pb::DeleteRangeResponse { header: revision_only(revision), deleted, prev_kvs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_are_checked_as_etcd_checks_them() {
        let request = pb::PutRequest { key: "k".into(), ..pb::PutRequest::default() };
        let refusal = |request: &pb::PutRequest| put(request).unwrap_err().message().to_owned();
        assert_eq!(refusal(&pb::PutRequest::default()), "etcdserver: key is not provided");
        let both = pb::PutRequest { ignore_value: true, value: "v".into(), ..request.clone() };
        assert_eq!(refusal(&both), "etcdserver: value is provided");
        let both = pb::PutRequest { ignore_lease: true, lease: 1, ..request.clone() };
        assert_eq!(refusal(&both), "etcdserver: lease is provided");
        let kept = pb::PutRequest { ignore_lease: true, value: "v".into(), ..request };
        assert_eq!(put(&kept).unwrap(), Op::Update { key: "k".into(), value: Some("v".into()), lease: None });
    }

    #[test]
    fn compares_with_negative_numbers_have_their_fixed_result() {
        for (result, holds) in [
            (CompareResult::Equal, false),
            (CompareResult::NotEqual, true),
            (CompareResult::Greater, true),
            (CompareResult::Less, false),
        ] {
            let request = pb::Compare {
                result: result.into(),
                target: CompareTarget::Mod.into(),
                key: "k".into(),
                target_union: Some(TargetUnion::ModRevision(-1)),
                range_end: bytes::Bytes::new(),
            };
            let compare = compare(&request).unwrap();
            let Target::ModRevision(number) = compare.target else { panic!("{compare:?}") };
            let found = match compare.order {
                Order::Equal => 5 == number,
                Order::NotEqual => 5 != number,
                Order::Greater => 5 > number,
                Order::Less => 5 < number,
            };
            assert_eq!(found, holds, "{result:?}");
        }
    }
}
