//! Transactions: compares, steps that see each other, what is refused.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};

use super::{Check, delete_op, everything, prefix, put, put_op, single, text};
use crate::kv::{Compare, Error, Kv, Op, OpReply, Order, Target, Txn};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("compares", compares),
    ("steps_see_each_other", steps_see_each_other),
    ("duplicate_keys", duplicate_keys),
    ("a_failed_transaction_changes_nothing", a_failed_transaction_changes_nothing),
    ("compare_and_swap_under_contention", compare_and_swap_under_contention),
];

fn compare(key: &'static str, target: Target, order: Order) -> Compare {
    Compare { key: Bytes::from_static(key.as_bytes()), end: None, target, order }
}

fn compares(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    use Order::{Equal, Greater, Less, NotEqual};
    use Target::{CreateRevision, Lease, ModRevision, Value, Version};
    async move {
        put(&*kv, "k", "b").await.expect("put"); // create 2
        put(&*kv, "k", "m").await.expect("put"); // mod 3, version 2
        // (compare, whether it holds)
        let table = [
            (compare("k", ModRevision(3), Equal), true),
            (compare("k", ModRevision(2), Equal), false),
            (compare("k", ModRevision(2), Greater), true),
            (compare("k", ModRevision(4), Less), true),
            (compare("k", ModRevision(3), Less), false),
            (compare("k", ModRevision(3), NotEqual), false),
            (compare("k", CreateRevision(2), Equal), true),
            (compare("k", CreateRevision(0), NotEqual), true),
            (compare("k", Version(2), Equal), true),
            (compare("k", Version(2), Greater), false),
            (compare("k", Value("m".into()), Equal), true),
            (compare("k", Value("a".into()), Greater), true),
            (compare("k", Value("z".into()), Less), true),
            (compare("k", Lease(0), Equal), true),
            (compare("none", ModRevision(0), Equal), true),
            (compare("none", CreateRevision(0), Equal), true),
            (compare("none", Version(0), Equal), true),
            (compare("none", Version(1), Less), true),
            (compare("none", Lease(0), Equal), true),
            (compare("none", Value("".into()), Equal), false),
            (compare("none", Value("x".into()), NotEqual), false),
        ];
        for (when, holds) in table {
            let read = |key| vec![Op::Range(single(key, 0))];
            let txn = Txn { when: vec![when.clone()], then: read("k"), otherwise: vec![] };
            let reply = kv.txn(txn).await.expect("txn");
            assert_eq!((reply.succeeded, reply.replies.len()), (holds, usize::from(holds)), "{when:?}");
            // The same where the other branch could write, so that it goes the way of writes.
            let otherwise = if holds { vec![put_op("no", "no")] } else { read("k") };
            let then = if holds { read("k") } else { vec![put_op("no", "no")] };
            let reply = kv.txn(Txn { when: vec![when.clone()], then, otherwise }).await.expect("txn");
            assert_eq!((reply.succeeded, reply.revision), (holds, 3), "{when:?}");
        }
        let both = vec![compare("k", Version(2), Equal), compare("k", Version(3), Equal)];
        let reply = kv.txn(Txn { when: both, ..Txn::default() }).await.expect("txn");
        assert!(!reply.succeeded, "all compares must hold");
    }
    .boxed()
}

fn steps_see_each_other(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "a", "0").await.expect("put"); // 2
        put(&*kv, "z", "0").await.expect("put"); // 3
        let all = || Op::Range(everything(0));
        let then =
            vec![all(), put_op("a", "1"), all(), delete_op("z"), put_op("b", "1"), all(), Op::Range(everything(3))];
        let reply = kv.txn(Txn { then, ..Txn::default() }).await.expect("txn");
        assert_eq!(reply.revision, 4);
        let pages: Vec<_> = reply
            .replies
            .iter()
            .filter_map(|reply| if let OpReply::Range(page) = reply { Some((text(page), page.revision)) } else { None })
            .collect();
        let expected = [
            ("a=0@2 z=0@3".to_owned(), 3),
            ("a=1@4 z=0@3".to_owned(), 4),
            ("a=1@4 b=1@4".to_owned(), 4),
            ("a=0@2 z=0@3".to_owned(), 4),
        ];
        assert_eq!(pages, expected);
        assert_eq!(text(&kv.range(everything(0)).await.expect("range")), "a=1@4 b=1@4");
        let reply = kv.txn(Txn { then: vec![all()], ..Txn::default() }).await.expect("txn");
        assert_eq!(reply.revision, 4, "a transaction that only reads makes no revision");
    }
    .boxed()
}

fn duplicate_keys(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        let range = |p: &str| {
            let range = prefix(p, 0);
            Op::Delete { key: range.key, end: range.end }
        };
        // (steps, whether they are refused)
        let table = [
            (vec![put_op("a", "1"), put_op("a", "2")], true),
            (vec![put_op("a", "1"), delete_op("a")], true),
            (vec![delete_op("a"), put_op("a", "1")], true),
            (vec![range("a"), put_op("ab", "1")], true),
            (vec![put_op("b", "1"), range("a")], false),
            (vec![delete_op("a"), delete_op("a"), range("a")], false),
            (vec![put_op("a", "1"), put_op("b", "1")], false),
        ];
        for (then, refused) in table {
            let result = kv.txn(Txn { then: then.clone(), ..Txn::default() }).await;
            assert_eq!(result.err(), refused.then_some(Error::DuplicateKey), "{then:?}");
        }
        let txn = Txn { when: vec![], then: vec![put_op("x", "1")], otherwise: vec![put_op("x", "2")] };
        assert!(kv.txn(txn).await.is_ok(), "the branches do not count together");
        let many = (0..129).map(|at| put_op(format!("m{at}"), "")).collect();
        assert_eq!(kv.txn(Txn { then: many, ..Txn::default() }).await, Err(Error::TooManyOps));
    }
    .boxed()
}

fn a_failed_transaction_changes_nothing(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "a", "1").await.expect("put"); // 2
        put(&*kv, "a", "2").await.expect("put"); // 3
        kv.compact(3).await.expect("compact");
        for (revision, error) in [(9, Error::Future(3)), (2, Error::Compacted(3))] {
            let then = vec![put_op("b", "1"), Op::Range(everything(revision))];
            assert_eq!(kv.txn(Txn { then, ..Txn::default() }).await, Err(error));
        }
        assert_eq!(text(&kv.range(everything(0)).await.expect("range")), "a=2@3");
        assert_eq!(put(&*kv, "b", "1").await.expect("put").revision, 4);
    }
    .boxed()
}

fn compare_and_swap_under_contention(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "n", "0").await.expect("put");
        let add_ten = || async {
            let mut done = 0;
            while done < 10 {
                let page = kv.range(single("n", 0)).await.expect("range");
                let count: u32 = std::str::from_utf8(&page.kvs[0].value).expect("text").parse().expect("number");
                let when = vec![Compare {
                    end: None,
                    key: "n".into(),
                    target: Target::ModRevision(page.kvs[0].mod_revision),
                    order: Order::Equal,
                }];
                let then = vec![put_op("n", (count + 1).to_string())];
                let reply = kv.txn(Txn { when, then, otherwise: vec![] }).await.expect("txn");
                done += u32::from(reply.succeeded);
            }
        };
        futures::future::join_all((0..8).map(|_| add_ten())).await;
        let page = kv.range(single("n", 0)).await.expect("range");
        assert_eq!((page.kvs[0].value.as_ref(), page.kvs[0].version), (b"80".as_ref(), 81));
    }
    .boxed()
}
