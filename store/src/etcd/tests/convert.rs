//! Requests as the store's values and answers back: etcd's tests of key.go and of txn's answers.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcd::etcdserverpb::request_op::Request;
use proto::etcd::etcdserverpb::response_op::Response;

use super::super::convert::{delete, event, put, signed, txn, txn_body, unsigned};
use crate::kv::{Compare, Event, EventKind, KeyValue, Op, OpReply, Order, Page, Target, Txn, TxnReply};

fn step(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn kv(key: &'static str, mod_revision: u64) -> KeyValue {
    KeyValue { key: key.into(), value: "v".into(), create_revision: 2, mod_revision, version: 3, lease: 4 }
}

#[test]
fn puts_that_keep_something_are_updates() {
    let request = pb::PutRequest { key: "k".into(), value: "v".into(), lease: 7, ..Default::default() };
    let update =
        |value: Option<&'static str>, lease| Op::Update { key: "k".into(), value: value.map(Into::into), lease };
    // (request, step, or why not)
    let table = [
        (request.clone(), Ok(Op::Put { key: "k".into(), value: "v".into(), lease: 7 })),
        (pb::PutRequest { value: "".into(), ignore_value: true, ..request.clone() }, Ok(update(None, Some(7)))),
        (pb::PutRequest { lease: 0, ignore_lease: true, ..request.clone() }, Ok(update(Some("v"), None))),
        (
            pb::PutRequest { value: "".into(), lease: 0, ignore_value: true, ignore_lease: true, ..request.clone() },
            Ok(update(None, None)),
        ),
        (pb::PutRequest { ignore_value: true, ..request.clone() }, Err("value is provided")),
        (pb::PutRequest { ignore_lease: true, ..request.clone() }, Err("lease is provided")),
        (pb::PutRequest { ignore_value: true, ignore_lease: true, ..request.clone() }, Err("value is provided")),
        (pb::PutRequest { key: "".into(), ..request.clone() }, Err("key is not provided")),
        (pb::PutRequest { key: "".into(), ignore_value: true, ..request }, Err("key is not provided")),
    ];
    for (request, expected) in table {
        let found = put(&request).map_err(|status| {
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
            status.message().trim_start_matches("etcdserver: ").to_owned()
        });
        assert_eq!(found, expected.map_err(str::to_owned), "{request:?}");
    }
    let range = |key: &'static str, end: &'static str| pb::DeleteRangeRequest {
        key: key.into(),
        range_end: end.into(),
        ..Default::default()
    };
    for (end, expected) in [("", None), ("z", Some("z")), ("\0", Some("\0")), ("a", Some("a"))] {
        let expected = Op::Delete { key: "k".into(), end: expected.map(Into::into) };
        assert_eq!(delete(&range("k", end)).ok(), Some(expected));
    }
    assert!(delete(&range("", "z")).is_err());
}

#[test]
fn compares_mean_what_etcd_means() {
    let compare = |result: i32, target: CompareTarget, union: Option<TargetUnion>| {
        let compare =
            pb::Compare { result, target: target.into(), key: "k".into(), target_union: union, range_end: "".into() };
        txn(&pb::TxnRequest { compare: vec![compare], ..Default::default() }).map(|txn| txn.when[0].clone())
    };
    let orders = [
        (CompareResult::Equal, Order::Equal),
        (CompareResult::Greater, Order::Greater),
        (CompareResult::Less, Order::Less),
        (CompareResult::NotEqual, Order::NotEqual),
    ];
    for (result, order) in orders {
        // (target, what is said, what is meant): what is not said, or said of another target, is zero.
        let table = [
            (CompareTarget::Version, Some(TargetUnion::Version(5)), Target::Version(5)),
            (CompareTarget::Create, Some(TargetUnion::CreateRevision(5)), Target::CreateRevision(5)),
            (CompareTarget::Mod, Some(TargetUnion::ModRevision(5)), Target::ModRevision(5)),
            (CompareTarget::Lease, Some(TargetUnion::Lease(5)), Target::Lease(5)),
            (CompareTarget::Lease, Some(TargetUnion::Lease(-5)), Target::Lease(-5)),
            (CompareTarget::Value, Some(TargetUnion::Value("x".into())), Target::Value("x".into())),
            (CompareTarget::Version, None, Target::Version(0)),
            (CompareTarget::Create, None, Target::CreateRevision(0)),
            (CompareTarget::Mod, Some(TargetUnion::Version(5)), Target::ModRevision(0)),
            (CompareTarget::Lease, None, Target::Lease(0)),
            (CompareTarget::Value, None, Target::Value("".into())),
            (CompareTarget::Value, Some(TargetUnion::Version(5)), Target::Value("".into())),
        ];
        for (target, said, meant) in table {
            let expected = Compare { key: "k".into(), end: None, target: meant, order };
            assert_eq!(
                compare(result.into(), target, said.clone()).ok(),
                Some(expected),
                "{result:?} {target:?} {said:?}"
            );
        }
    }
    // A number below zero is below all that there is.
    for number in [0_u64, 1, 7, u64::MAX] {
        for (result, holds) in orders.map(|(result, _)| result).into_iter().zip([false, true, false, true]) {
            for union in [TargetUnion::Version(-1), TargetUnion::CreateRevision(i64::MIN), TargetUnion::ModRevision(-7)]
            {
                let target = match union {
                    TargetUnion::Version(_) => CompareTarget::Version,
                    TargetUnion::CreateRevision(_) => CompareTarget::Create,
                    _ => CompareTarget::Mod,
                };
                let found = compare(result.into(), target, Some(union.clone())).unwrap();
                let (Target::Version(bound) | Target::CreateRevision(bound) | Target::ModRevision(bound)) =
                    found.target
                else {
                    panic!("{found:?}")
                };
                // No revision is ever the largest number.
                let number = number.min(u64::MAX - 1);
                let said = match found.order {
                    Order::Equal => number == bound,
                    Order::NotEqual => number != bound,
                    Order::Greater => number > bound,
                    Order::Less => number < bound,
                };
                assert_eq!(said, holds, "{number} {result:?} {union:?}");
            }
        }
    }
    assert!(compare(9, CompareTarget::Mod, None).is_err());
}

#[test]
fn transactions_keep_their_shape() {
    let get = |key: &'static str| Request::RequestRange(pb::RangeRequest { key: key.into(), ..Default::default() });
    let inner = pb::TxnRequest { success: vec![step(get("i"))], ..Default::default() };
    let request = pb::TxnRequest {
        success: vec![step(get("a")), step(Request::RequestTxn(inner))],
        failure: vec![step(Request::RequestPut(pb::PutRequest { key: "b".into(), ..Default::default() }))],
        ..Default::default()
    };
    let found = txn(&request).unwrap();
    assert_eq!((found.when.len(), found.then.len(), found.otherwise.len()), (0, 2, 1));
    assert!(
        matches!(&found.then[1], Op::Txn(Txn { then, .. }) if matches!(&then[0], Op::Range(range) if range.key == "i"))
    );
    // What is wrong anywhere is refused.
    let bad = [
        step(get("")),
        step(Request::RequestPut(pb::PutRequest::default())),
        step(Request::RequestDeleteRange(pb::DeleteRangeRequest::default())),
        pb::RequestOp { request: None },
    ];
    for bad in bad {
        let nested = pb::TxnRequest { failure: vec![bad.clone()], ..Default::default() };
        for request in [
            pb::TxnRequest { success: vec![step(get("a")), bad.clone()], ..Default::default() },
            pb::TxnRequest { failure: vec![bad.clone()], ..Default::default() },
            pb::TxnRequest { success: vec![step(Request::RequestTxn(nested))], ..Default::default() },
        ] {
            let expected =
                if bad.request.is_none() { "etcdserver: key not found" } else { "etcdserver: key is not provided" };
            assert_eq!(txn(&request).unwrap_err().message(), expected, "{request:?}");
        }
    }
}

#[test]
fn answers_say_what_was_asked_for() {
    let page = Page { kvs: vec![kv("a", 5)], more: true, count: 9, revision: 8 };
    let get = pb::RangeRequest { key: "a".into(), ..Default::default() };
    let with = |prev_kv| {
        (
            pb::PutRequest { key: "p".into(), prev_kv, ..Default::default() },
            pb::DeleteRangeRequest { key: "d".into(), prev_kv, ..Default::default() },
        )
    };
    for prev_kv in [false, true] {
        let (put, delete) = with(prev_kv);
        let inner = pb::TxnRequest { failure: vec![step(Request::RequestPut(put.clone()))], ..Default::default() };
        let request = pb::TxnRequest {
            success: vec![
                step(Request::RequestRange(get.clone())),
                step(Request::RequestPut(put)),
                step(Request::RequestDeleteRange(delete)),
                step(Request::RequestTxn(inner)),
            ],
            ..Default::default()
        };
        let inner = TxnReply { succeeded: false, revision: 9, replies: vec![OpReply::Put(None)] };
        let replies = vec![
            OpReply::Range(page.clone()),
            OpReply::Put(Some(kv("p", 4))),
            OpReply::Delete(vec![kv("d", 3), kv("e", 3)]),
            OpReply::Txn(inner),
        ];
        let answer = txn_body(&request, TxnReply { succeeded: true, revision: 9, replies });
        let responses: Vec<Response> = answer.responses.into_iter().filter_map(|op| op.response).collect();
        let [
            Response::ResponseRange(range),
            Response::ResponsePut(put),
            Response::ResponseDeleteRange(delete),
            Response::ResponseTxn(inner),
        ] = &responses[..]
        else {
            panic!("{responses:?}")
        };
        assert!(answer.succeeded && !inner.succeeded);
        assert_eq!((range.count, range.more, range.kvs.len()), (9, true, 1));
        // Each says as of when; the inner transaction's header is there and says nothing.
        let revision = |header: &Option<pb::ResponseHeader>| header.map(|header| header.revision);
        assert_eq!(
            (revision(&range.header), revision(&put.header), revision(&delete.header)),
            (Some(8), Some(9), Some(9))
        );
        assert_eq!(inner.header, Some(pb::ResponseHeader::default()));
        assert_eq!(put.prev_kv.is_some(), prev_kv);
        assert_eq!((delete.deleted, delete.prev_kvs.len()), (2, if prev_kv { 2 } else { 0 }));
        assert_eq!(range.kvs[0].mod_revision, 5);
    }
    // An answer to another question is left out, not made up.
    let request = pb::TxnRequest { success: vec![step(Request::RequestRange(get))], ..Default::default() };
    let reply = TxnReply { succeeded: true, revision: 9, replies: vec![OpReply::Put(None)] };
    assert_eq!(txn_body(&request, reply).responses, []);
}

#[test]
fn steps_answer_as_of_what_was_done_before_them() {
    let put = step(Request::RequestPut(pb::PutRequest { key: "p".into(), ..Default::default() }));
    let delete = step(Request::RequestDeleteRange(pb::DeleteRangeRequest { key: "d".into(), ..Default::default() }));
    let inner = |steps: &[&pb::RequestOp]| {
        let success = steps.iter().map(|step| (*step).clone()).collect();
        step(Request::RequestTxn(pb::TxnRequest { success, ..Default::default() }))
    };
    let (gone, nothing) = (OpReply::Delete(vec![kv("d", 3)]), OpReply::Delete(Vec::new()));
    let within = |revision, replies| OpReply::Txn(TxnReply { succeeded: true, revision, replies });
    // (steps, answers, revisions that the puts and deletions say): the transaction is revision 9, if it changes anything.
    let table = [
        (vec![delete.clone()], vec![nothing.clone()], vec![9]),
        (vec![delete.clone()], vec![gone.clone()], vec![9]),
        (vec![delete.clone(), put.clone()], vec![nothing.clone(), OpReply::Put(None)], vec![8, 9]),
        (vec![put.clone(), delete.clone()], vec![OpReply::Put(None), nothing.clone()], vec![9, 9]),
        (
            vec![delete.clone(), inner(&[&delete, &put]), delete.clone()],
            vec![nothing.clone(), within(9, vec![nothing.clone(), OpReply::Put(None)]), nothing.clone()],
            vec![8, 8, 9, 9],
        ),
        (vec![inner(&[&delete]), inner(&[&delete])], vec![within(8, vec![nothing]), within(9, vec![gone])], vec![8, 9]),
    ];
    for (success, replies, expected) in table {
        let request = pb::TxnRequest { success, ..Default::default() };
        let answer = txn_body(&request, TxnReply { succeeded: true, revision: 9, replies });
        let mut said = Vec::new();
        revisions(&answer, &mut said);
        assert_eq!(said, expected, "{request:?}");
    }
}

fn revisions(answer: &pb::TxnResponse, said: &mut Vec<i64>) {
    for response in answer.responses.iter().filter_map(|op| op.response.as_ref()) {
        let header = match response {
            Response::ResponseRange(range) => range.header,
            Response::ResponsePut(put) => put.header,
            Response::ResponseDeleteRange(delete) => delete.header,
            Response::ResponseTxn(inner) => {
                revisions(inner, said);
                continue;
            }
        };
        said.extend(header.map(|header| header.revision));
    }
}

#[test]
fn events_and_numbers() {
    for (kind, number) in [(EventKind::Put, 0), (EventKind::Delete, 1)] {
        for with_prev in [false, true] {
            let told = event(Event { kind, kv: kv("k", 7), prev: Some(kv("k", 6)) }, with_prev);
            assert_eq!((told.r#type, told.kv.as_ref().map(|kv| kv.mod_revision)), (number, Some(7)));
            assert_eq!(told.prev_kv.map(|kv| kv.mod_revision), with_prev.then_some(6));
        }
    }
    for (ours, theirs) in [(0, 0), (7, 7), (u64::try_from(i64::MAX).unwrap(), i64::MAX), (u64::MAX, i64::MAX)] {
        assert_eq!(signed(ours), theirs);
    }
    for (theirs, ours) in [(0, 0), (7, 7), (-1, 0), (i64::MIN, 0)] {
        assert_eq!(unsigned(theirs), ours);
    }
}
