//! Reads, revisions, deletes, compaction.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};

use super::{Check, delete, everything, prefix, put, single, text};
use crate::kv::{Error, KeyValue, Kv, OpReply, Range};

pub(super) const CHECKS: &[(&str, Check)] = &[
    ("an_empty_store", an_empty_store),
    ("versions_of_a_key", versions_of_a_key),
    ("ranges", ranges),
    ("reads_at_old_revisions", reads_at_old_revisions),
    ("compaction", compaction),
    ("deletion_of_a_range", deletion_of_a_range),
    ("bad_requests", bad_requests),
    ("long_ranges", long_ranges),
];

fn an_empty_store(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        assert_eq!(kv.revision().await, Ok(1));
        let page = kv.range(everything(0)).await.expect("range");
        assert_eq!((page.kvs.len(), page.count, page.more, page.revision), (0, 0, false, 1));
        assert_eq!(delete(&*kv, "a").await.expect("delete").revision, 1, "deleting nothing changes nothing");
        assert_eq!(put(&*kv, "a", "1").await.expect("put").revision, 2);
        assert_eq!(kv.revision().await, Ok(2));
        assert_eq!(kv.local_revision(), 2);
    }
    .boxed()
}

fn versions_of_a_key(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        let kv_at = |value: &str, create, modified, version| KeyValue {
            key: Bytes::from_static(b"k"),
            value: Bytes::copy_from_slice(value.as_bytes()),
            create_revision: create,
            mod_revision: modified,
            version,
            lease: 0,
        };
        let reply = put(&*kv, "k", "a").await.expect("put");
        assert_eq!(reply.replies, [OpReply::Put(None)]);
        let reply = put(&*kv, "k", "b").await.expect("put");
        assert_eq!(reply.replies, [OpReply::Put(Some(kv_at("a", 2, 2, 1)))]);
        let page = kv.range(single("k", 0)).await.expect("range");
        assert_eq!(page.kvs, [kv_at("b", 2, 3, 2)]);
        let reply = delete(&*kv, "k").await.expect("delete");
        assert_eq!(reply.replies, [OpReply::Delete(vec![kv_at("b", 2, 3, 2)])]);
        assert_eq!(kv.range(single("k", 0)).await.expect("range").kvs, []);
        let reply = put(&*kv, "k", "").await.expect("put");
        assert_eq!(reply.replies, [OpReply::Put(None)], "a deleted key begins anew");
        assert_eq!(kv.range(single("k", 0)).await.expect("range").kvs, [kv_at("", 5, 5, 1)]);
    }
    .boxed()
}

fn ranges(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        for key in ["b", "a", "c", "b/2", "b/1", "b0"] {
            put(&*kv, key, "v").await.expect("put");
        }
        let page = kv.range(prefix("b/", 0)).await.expect("range");
        assert_eq!(text(&page), "b/1=v@6 b/2=v@5");
        let page = kv.range(everything(0)).await.expect("range");
        assert_eq!(text(&page), "a=v@3 b=v@2 b/1=v@6 b/2=v@5 b0=v@7 c=v@4");
        let page = kv.range(Range { limit: 2, ..everything(0) }).await.expect("range");
        assert_eq!((text(&page), page.more, page.count), ("a=v@3 b=v@2".into(), true, 6));
        let page = kv.range(Range { limit: 6, ..everything(0) }).await.expect("range");
        assert_eq!((page.kvs.len(), page.more), (6, false));
        let page = kv.range(Range { count_only: true, ..prefix("b", 0) }).await.expect("range");
        assert_eq!((page.kvs.len(), page.more, page.count), (0, false, 4));
        let page = kv.range(Range { keys_only: true, limit: 1, ..prefix("c", 0) }).await.expect("range");
        assert_eq!((text(&page), page.count), ("c=@4".into(), 1));
        let backwards = Range { key: "c".into(), end: Some("a".into()), ..Range::default() };
        assert_eq!(kv.range(backwards).await.expect("range").count, 0);
    }
    .boxed()
}

fn reads_at_old_revisions(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "a", "1").await.expect("put"); // 2
        put(&*kv, "b", "1").await.expect("put"); // 3
        put(&*kv, "a", "2").await.expect("put"); // 4
        delete(&*kv, "b").await.expect("delete"); // 5
        put(&*kv, "b", "3").await.expect("put"); // 6
        let expected = ["", "a=1@2", "a=1@2 b=1@3", "a=2@4 b=1@3", "a=2@4", "a=2@4 b=3@6"];
        for (at, expected) in expected.iter().enumerate() {
            let page = kv.range(everything(at as u64 + 1)).await.expect("range");
            assert_eq!((text(&page).as_str(), page.revision), (*expected, 6), "at {}", at + 1);
        }
        assert_eq!(kv.range(everything(7)).await, Err(Error::Future(6)));
        assert_eq!(text(&kv.range(single("b", 3)).await.expect("range")), "b=1@3");
    }
    .boxed()
}

fn compaction(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        put(&*kv, "a", "1").await.expect("put"); // 2
        put(&*kv, "b", "1").await.expect("put"); // 3
        put(&*kv, "a", "2").await.expect("put"); // 4
        delete(&*kv, "b").await.expect("delete"); // 5
        put(&*kv, "c", "1").await.expect("put"); // 6
        assert_eq!(kv.compact(7).await, Err(Error::Future(6)));
        assert_eq!(kv.compact(4).await, Ok(()));
        assert_eq!(kv.compact(4).await, Err(Error::Compacted(4)));
        assert_eq!(kv.compact(2).await, Err(Error::Compacted(4)));
        assert_eq!(kv.range(everything(3)).await, Err(Error::Compacted(4)));
        assert_eq!(text(&kv.range(everything(4)).await.expect("range")), "a=2@4 b=1@3");
        assert_eq!(text(&kv.range(everything(5)).await.expect("range")), "a=2@4");
        assert_eq!(kv.compact(6).await, Ok(()));
        assert_eq!(kv.range(everything(5)).await, Err(Error::Compacted(6)));
        assert_eq!(text(&kv.range(everything(6)).await.expect("range")), "a=2@4 c=1@6");
        assert_eq!(kv.revision().await, Ok(6), "compaction makes no revision");
        put(&*kv, "b", "2").await.expect("put");
        let page = kv.range(single("b", 0)).await.expect("range");
        assert_eq!((page.kvs[0].create_revision, page.kvs[0].version), (7, 1));
    }
    .boxed()
}

fn deletion_of_a_range(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        for key in ["a", "b/1", "b/2", "c"] {
            put(&*kv, key, "v").await.expect("put");
        }
        let range = prefix("b/", 0);
        let op = crate::Op::Delete { key: range.key, end: range.end };
        let reply = kv.txn(crate::Txn { then: vec![op], ..Default::default() }).await.expect("txn");
        assert_eq!(reply.revision, 6);
        let OpReply::Delete(deleted) = &reply.replies[0] else { panic!("{reply:?}") };
        assert_eq!(deleted.iter().map(|kv| kv.key.as_ref()).collect::<Vec<_>>(), [b"b/1".as_ref(), b"b/2"]);
        assert_eq!(text(&kv.range(everything(0)).await.expect("range")), "a=v@2 c=v@5");
    }
    .boxed()
}

fn bad_requests(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        assert_eq!(kv.range(Range::default()).await, Err(Error::EmptyKey));
        assert_eq!(put(&*kv, "", "v").await, Err(Error::EmptyKey));
        assert_eq!(put(&*kv, "big", vec![0; 1 << 22]).await, Err(Error::TooLarge));
        let leased = crate::Op::Put { key: "k".into(), value: "v".into(), lease: 4711 };
        let txn = crate::Txn { then: vec![leased], ..Default::default() };
        assert_eq!(kv.txn(txn).await, Err(Error::NoLease));
        assert_eq!(kv.revision().await, Ok(1));
    }
    .boxed()
}

/// More keys than a store would read in one go, while they change.
fn long_ranges(kv: Arc<dyn Kv>) -> BoxFuture<'static, ()> {
    async move {
        const KEYS: usize = 5000;
        let name = |at: usize| format!("k{at:05}");
        for first in (0..KEYS).step_by(100) {
            let then = (first..first + 100).map(|at| super::put_op(name(at), "1")).collect();
            kv.txn(crate::Txn { then, ..Default::default() }).await.expect("txn");
        }
        let at = kv.revision().await.expect("revision");
        let writer = async {
            for round in 0..50 {
                put(&*kv, name(round * 97), "2").await.expect("put");
            }
        };
        let reader = async {
            for _ in 0..20 {
                let page = kv.range(prefix("k", at)).await.expect("range");
                assert_eq!(page.count, KEYS as u64);
                assert!(page.kvs.iter().all(|kv| kv.value == "1"), "a read at a revision sees no later write");
                let now = kv.range(prefix("k", 0)).await.expect("range");
                let newest = now.kvs.iter().map(|kv| kv.mod_revision).max();
                assert!(newest <= Some(now.revision), "a read says as of when it is");
            }
        };
        futures::join!(writer, reader);
    }
    .boxed()
}
