//! What reaches the state: entries of the log, as a disk or another member gives them, and calls of clients.

use prost::Message;
use proto::etcd::etcdserverpb as pb;
use proto::log::{
    AlarmChange, Entry, EntryKind, LeaseGrant, LeaseRevoke, Member, MemberUpdate, MembershipChange, Published, request,
};

use super::{Input, Target};
use crate::check;
use crate::etcd::fuzz::{answer, asked};
use crate::kv::{Compare, Op, Order, Range, Target as Aspect, Txn};
use crate::member::replay;
use crate::raft::ChangeKind;
use crate::request::{decode, encode, encode_compaction, encode_txn};
use crate::span::Span;
use crate::state::{At, State};

pub(super) const ENTRIES: Target = Target { name: "entries", seeds: entries, mend: |_| {}, read: apply_entries };
pub(super) const CALLS: Target = Target { name: "calls", seeds: calls, mend: |_| {}, read: take_calls };

/// Portions of sweeps, scans and watches.
const PORTION: usize = 64;

fn everything() -> Range {
    Range { key: b"\0".as_slice().into(), end: Some(b"\0".as_slice().into()), ..Range::default() }
}

/// Requests of every kind, encoded.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let put = |key: &'static str, value: &'static str, lease| Op::Put { key: key.into(), value: value.into(), lease };
    let one = |op: Op| encode_txn(&Txn { then: vec![op], ..Txn::default() }).to_vec();
    let compare = |target| Compare { key: "a".into(), end: None, target, order: Order::Equal };
    let inner = Txn {
        when: vec![compare(Aspect::Value("1".into())), compare(Aspect::Version(1)), compare(Aspect::Lease(7))],
        then: vec![put("c", "3", 0), Op::Range(everything())],
        otherwise: vec![Op::Update { key: "b".into(), value: None, lease: Some(7) }],
    };
    let outer = Txn {
        when: vec![compare(Aspect::ModRevision(2)), compare(Aspect::CreateRevision(2))],
        then: vec![put("a", "2", 0), Op::Txn(inner.clone())],
        otherwise: vec![Op::Delete { key: "a".into(), end: Some("c".into()) }, Op::Txn(inner)],
    };
    let published = Published { name: "m".into(), client_urls: vec!["http://c:1".into()], nonce: 9 };
    let update = MemberUpdate { id: 5, peer_urls: vec!["http://p:1".into()], published: Some(published) };
    let body = |body| encode(body).to_vec();
    vec![
        body(request::Body::LeaseGrant(LeaseGrant { id: 7, ttl: 60 })),
        one(put("a", "1", 7)),
        one(put("b", "1", 0)),
        encode_txn(&outer).to_vec(),
        one(Op::Update { key: "a".into(), value: Some("5".into()), lease: None }),
        one(Op::Delete { key: "b".into(), end: None }),
        encode_compaction(3).to_vec(),
        body(request::Body::LeaseRevoke(LeaseRevoke { id: 7, expired_in_term: Some(1) })),
        body(request::Body::Alarm(AlarmChange { member: 5, kind: 1, on: true })),
        body(request::Body::Alarm(AlarmChange { member: 5, kind: 1, on: false })),
        body(request::Body::Member(update)),
        one(put("a", "6", 0)),
    ]
}

fn entries() -> Vec<Input> {
    let change = |kind: ChangeKind, id| {
        let info = Member { id, name: "m".into(), peer_urls: vec![format!("http://{id}:1")], ..Member::default() };
        let change = MembershipChange { kind: kind.into(), id, context: info.encode_to_vec().into() };
        ("change".to_owned(), change.encode_to_vec())
    };
    let mut first = vec![change(ChangeKind::AddVoter, 5), change(ChangeKind::AddLearner, 6)];
    first.extend(samples().into_iter().map(|request| ("request".to_owned(), request)));
    first.push(change(ChangeKind::Promote, 6));
    first.push(change(ChangeKind::Remove, 5));
    let mut second = first.clone();
    second.reverse();
    vec![Input(first), Input(second)]
}

/// Applies entries, and uses the state that they make in every way.
fn apply_entries(input: &Input) -> String {
    let mut state = State::default();
    let mut outcome = String::new();
    for (index, (name, bytes)) in (1..).zip(&input.0) {
        let kind = if name == "change" { EntryKind::Membership } else { EntryKind::Request };
        let entry = Entry { term: 1, index, request: bytes.clone().into(), kind: kind.into() };
        match replay(&mut state, entry) {
            Ok(()) => outcome.push('.'),
            Err(what) => outcome.push_str(&what),
        }
        state.sweep(PORTION);
    }
    use_state(&mut state);
    outcome
}

/// Reads, hashes, watches and sweeps a state.
pub(super) fn use_state(state: &mut State) {
    let revision = state.revision();
    for revision in [0, 1, revision / 2, revision, revision.saturating_add(1)] {
        if let Ok(mut scan) = state.scan(&Range { revision, ..everything() }) {
            while state.advance(&mut scan, PORTION) == Ok(false) {}
            drop(scan.finish());
        }
        if let Ok(mut scan) = state.begin_hash(revision) {
            while state.advance_hash(&mut scan, PORTION) == Ok(false) {}
            let _ = scan.finish();
        }
    }
    let range = everything();
    let span = Span::of(&range.key, range.end.as_ref());
    let mut from = state.compacted().max(1);
    loop {
        let (_, next) = state.signals(&span, from, PORTION, true);
        if next <= from {
            break;
        }
        from = next;
    }
    while state.sweep(PORTION) {}
}

fn calls() -> Vec<Input> {
    let kv = |key: &'static str, value: &'static str| pb::PutRequest {
        key: key.into(),
        value: value.into(),
        prev_kv: true,
        ..pb::PutRequest::default()
    };
    let range = |key: &'static str, end: &'static str| pb::RangeRequest {
        key: key.into(),
        range_end: end.into(),
        limit: 2,
        ..pb::RangeRequest::default()
    };
    let ordered = pb::RangeRequest { sort_order: 2, sort_target: 4, min_mod_revision: 2, ..range("a", "\0") };
    let delete = pb::DeleteRangeRequest { key: "a".into(), range_end: "b".into(), prev_kv: true };
    let op = |request| pb::RequestOp { request: Some(request) };
    let compare = pb::Compare {
        result: 1,
        target: 3,
        key: "a".into(),
        range_end: "c".into(),
        target_union: Some(pb::compare::TargetUnion::Value("0".into())),
    };
    let inner = pb::TxnRequest {
        compare: vec![compare.clone()],
        success: vec![op(pb::request_op::Request::RequestPut(kv("x", "y")))],
        failure: vec![op(pb::request_op::Request::RequestRange(ordered.clone()))],
    };
    let outer = pb::TxnRequest {
        compare: vec![compare],
        success: vec![
            op(pb::request_op::Request::RequestDeleteRange(delete.clone())),
            op(pb::request_op::Request::RequestTxn(inner.clone())),
        ],
        failure: vec![op(pb::request_op::Request::RequestTxn(inner))],
    };
    let pieces = vec![
        ("put", kv("a", "1").encode_to_vec()),
        ("put", kv("b", "2").encode_to_vec()),
        ("range", range("a", "\0").encode_to_vec()),
        ("range", ordered.encode_to_vec()),
        ("txn", outer.encode_to_vec()),
        ("delete", delete.encode_to_vec()),
        ("txn", pb::TxnRequest::default().encode_to_vec()),
        ("range", range("a", "z").encode_to_vec()),
    ];
    vec![Input(pieces.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect())]
}

/// Takes calls as the server does: checks them, logs them, reads them from the log, applies them, answers.
fn take_calls(input: &Input) -> String {
    let mut state = State::default();
    let mut outcome = String::new();
    for (index, (name, bytes)) in (1..).zip(&input.0) {
        let (call, txn) = match asked(name, bytes) {
            Ok(asked) => asked,
            Err(why) => {
                outcome.push_str(&why);
                continue;
            }
        };
        if let Err(error) = check::check(&txn, 128) {
            outcome.push_str(&error.to_string());
            continue;
        }
        let read = decode(encode_txn(&txn));
        let Ok(Some(request)) = read else { panic!("{txn:?} was accepted, and is read from the log as {read:?}") };
        match state.apply(At { index, term: 1 }, request) {
            Ok(crate::state::Outcome::Txn(reply)) => outcome.push_str(&answer(&call, reply)),
            Ok(other) => panic!("a transaction is answered {other:?}"),
            Err(error) => outcome.push_str(&error.to_string()),
        }
    }
    use_state(&mut state);
    outcome
}
