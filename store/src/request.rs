//! Requests as the log stores them.
//!
//! A request is encoded once, in the caller's task; the log writes those bytes, and the state keeps its keys and values
//! as parts of the same bytes. So one put costs one allocation for key, value and envelope, and nothing that the caller
//! holds (a request body, say) is kept alive. A transaction of several puts gives each its own copy instead: otherwise
//! one surviving key would hold the values of all.

use bytes::Bytes;
use prost::Message;
use proto::log;

use crate::kv::{Compare, Op, Order, Range, Revision, Target, Txn};

/// What an entry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Txn(Txn),
    Compact(Revision),
    LeaseGrant(log::LeaseGrant),
    LeaseRevoke(log::LeaseRevoke),
    Alarm(log::AlarmChange),
    Member(log::MemberUpdate),
}

/// Whether no branch writes: such a transaction needs no entry.
pub(crate) fn reads_only(txn: &Txn) -> bool {
    txn.then.iter().chain(&txn.otherwise).all(|op| match op {
        Op::Range(_) => true,
        Op::Txn(inner) => reads_only(inner),
        Op::Put { .. } | Op::Update { .. } | Op::Delete { .. } => false,
    })
}

/// The bytes of a transaction.
pub(crate) fn encode_txn(txn: &Txn) -> Bytes {
    encode(log::request::Body::Txn(txn_to_log(txn)))
}

/// The bytes of a compaction.
pub(crate) fn encode_compaction(revision: Revision) -> Bytes {
    encode(log::request::Body::Compaction(log::Compaction { revision }))
}

/// The bytes of a request that the log has a message for.
pub(crate) fn encode(body: log::request::Body) -> Bytes {
    log::Request { body: Some(body) }.encode_to_vec().into()
}

/// Reads a request back; `None` for one without a body (an entry that only begins a term).
pub(crate) fn decode(bytes: Bytes) -> Result<Option<Request>, String> {
    use log::request::Body;
    let request = log::Request::decode(bytes).map_err(|error| format!("the request cannot be decoded: {error}"))?;
    Ok(match request.body {
        None => None,
        Some(Body::Compaction(compaction)) => Some(Request::Compact(compaction.revision)),
        Some(Body::LeaseGrant(grant)) => Some(Request::LeaseGrant(grant)),
        Some(Body::LeaseRevoke(revoke)) => Some(Request::LeaseRevoke(revoke)),
        Some(Body::Alarm(change)) => Some(Request::Alarm(change)),
        Some(Body::Member(update)) => Some(Request::Member(update)),
        Some(Body::Txn(txn)) => {
            let own = puts(&txn) > 1;
            Some(Request::Txn(txn_from_log(txn, own)?))
        }
    })
}

fn puts(txn: &log::Txn) -> usize {
    let count = |op: &log::Op| match &op.op {
        Some(log::op::Op::Put(_) | log::op::Op::Update(_)) => 1,
        Some(log::op::Op::Txn(inner)) => puts(inner),
        _ => 0,
    };
    txn.then.iter().chain(&txn.otherwise).map(count).sum()
}

fn txn_to_log(txn: &Txn) -> log::Txn {
    log::Txn {
        when: txn.when.iter().map(compare_to_log).collect(),
        then: txn.then.iter().map(op_to_log).collect(),
        otherwise: txn.otherwise.iter().map(op_to_log).collect(),
    }
}

fn txn_from_log(txn: log::Txn, own: bool) -> Result<Txn, String> {
    let ops = |ops: Vec<log::Op>| ops.into_iter().map(|op| op_from_log(op, own)).collect::<Result<_, _>>();
    Ok(Txn {
        when: txn.when.into_iter().map(compare_from_log).collect::<Result<_, _>>()?,
        then: ops(txn.then)?,
        otherwise: ops(txn.otherwise)?,
    })
}

fn compare_to_log(compare: &Compare) -> log::Compare {
    use log::compare::Target as T;
    let target = match &compare.target {
        Target::ModRevision(revision) => T::ModRevision(*revision),
        Target::CreateRevision(revision) => T::CreateRevision(*revision),
        Target::Version(version) => T::Version(*version),
        Target::Value(value) => T::Value(value.clone()),
        Target::Lease(lease) => T::Lease(*lease),
    };
    let order = match compare.order {
        Order::Equal => log::Order::Equal,
        Order::NotEqual => log::Order::NotEqual,
        Order::Greater => log::Order::Greater,
        Order::Less => log::Order::Less,
    };
    log::Compare { key: compare.key.clone(), end: compare.end.clone(), order: order.into(), target: Some(target) }
}

fn compare_from_log(compare: log::Compare) -> Result<Compare, String> {
    use log::compare::Target as T;
    let order = match compare.order() {
        log::Order::Equal => Order::Equal,
        log::Order::NotEqual => Order::NotEqual,
        log::Order::Greater => Order::Greater,
        log::Order::Less => Order::Less,
    };
    let target = match compare.target {
        Some(T::ModRevision(revision)) => Target::ModRevision(revision),
        Some(T::CreateRevision(revision)) => Target::CreateRevision(revision),
        Some(T::Version(version)) => Target::Version(version),
        Some(T::Value(value)) => Target::Value(value),
        Some(T::Lease(lease)) => Target::Lease(lease),
        None => return Err("a compare has no target that this program knows".into()),
    };
    Ok(Compare { key: compare.key, end: compare.end, target, order })
}

fn op_to_log(op: &Op) -> log::Op {
    let op = match op {
        Op::Range(range) => log::op::Op::Range(log::Range {
            key: range.key.clone(),
            end: range.end.clone(),
            limit: range.limit as u64,
            revision: range.revision,
            keys_only: range.keys_only,
            count_only: range.count_only,
        }),
        Op::Put { key, value, lease } => {
            log::op::Op::Put(log::Put { key: key.clone(), value: value.clone(), lease: *lease })
        }
        Op::Update { key, value, lease } => {
            log::op::Op::Update(log::Update { key: key.clone(), value: value.clone(), lease: *lease })
        }
        Op::Delete { key, end } => log::op::Op::Delete(log::Delete { key: key.clone(), end: end.clone() }),
        Op::Txn(inner) => log::op::Op::Txn(txn_to_log(inner)),
    };
    log::Op { op: Some(op) }
}

fn op_from_log(op: log::Op, own: bool) -> Result<Op, String> {
    let keep = |bytes: Bytes| if own { Bytes::copy_from_slice(&bytes) } else { bytes };
    Ok(match op.op {
        Some(log::op::Op::Range(range)) => Op::Range(Range {
            key: range.key,
            end: range.end,
            limit: usize::try_from(range.limit).unwrap_or(usize::MAX),
            revision: range.revision,
            keys_only: range.keys_only,
            count_only: range.count_only,
            serializable: false,
        }),
        Some(log::op::Op::Put(put)) => Op::Put { key: keep(put.key), value: keep(put.value), lease: put.lease },
        Some(log::op::Op::Update(update)) => {
            Op::Update { key: keep(update.key), value: update.value.map(keep), lease: update.lease }
        }
        Some(log::op::Op::Delete(delete)) => Op::Delete { key: delete.key, end: delete.end },
        Some(log::op::Op::Txn(inner)) => Op::Txn(txn_from_log(inner, own)?),
        None => return Err("a step is of a kind that this program does not know".into()),
    })
}
