//! Orders, filters and limits of Range, against the definition: etcd's tests of server/etcdserver/txn and kv_test.go.

use proto::etcd::etcdserverpb::RangeRequest;
use proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};

use super::super::range::{arrange, to_range};
use crate::kv::{KeyValue, Page};

/// key, value, create, mod, version
type Row = (&'static str, &'static str, u64, u64, u64);
const ROWS: &[Row] =
    &[("a", "3", 2, 9, 4), ("b", "1", 3, 3, 1), ("c", "2", 4, 8, 2), ("d", "1", 5, 6, 2), ("e", "0", 7, 7, 1)];

/// What the store answers to what it is asked.
fn store(request: &RangeRequest) -> Page {
    let range = to_range(request).unwrap();
    let kvs = ROWS.iter().map(|(key, value, create_revision, mod_revision, version)| KeyValue {
        key: (*key).into(),
        value: if range.keys_only { "".into() } else { (*value).into() },
        create_revision: *create_revision,
        mod_revision: *mod_revision,
        version: *version,
        lease: 0,
    });
    let most = if range.limit == 0 { usize::MAX } else { range.limit };
    let kvs: Vec<_> = if range.count_only { Vec::new() } else { kvs.take(most).collect() };
    let more = !range.count_only && kvs.len() < ROWS.len();
    Page { kvs, more, count: ROWS.len() as u64, revision: 9 }
}

fn answer(request: &RangeRequest) -> (String, bool) {
    let page = arrange(request, store(request));
    assert_eq!((page.count, page.revision), (ROWS.len() as u64, 9), "{request:?}");
    let keys: Vec<u8> = page.kvs.iter().flat_map(|kv| kv.key.to_vec()).collect();
    (String::from_utf8(keys).unwrap(), page.more)
}

fn request() -> RangeRequest {
    RangeRequest { key: "a".into(), range_end: "z".into(), ..RangeRequest::default() }
}

#[test]
fn orders() {
    use SortOrder::{Ascend, Descend, None};
    use SortTarget::{Create, Key, Mod, Value, Version};
    // (target, order, limit; keys, more). Equals stay in the order of their keys.
    let table = [
        (Key, None, 0, "abcde", false),
        (Key, None, 2, "ab", true),
        (Key, Ascend, 0, "abcde", false),
        (Key, Ascend, 5, "abcde", false),
        (Key, Descend, 0, "edcba", false),
        (Key, Descend, 2, "ed", true),
        (Create, Ascend, 0, "abcde", false),
        (Create, Descend, 3, "edc", true),
        (Mod, Ascend, 0, "bdeca", false),
        (Mod, Ascend, 1, "b", true),
        (Mod, Descend, 0, "acedb", false),
        (Version, Ascend, 0, "becda", false),
        (Version, Descend, 0, "acdbe", false),
        (Version, Descend, 3, "acd", true),
        (Value, Ascend, 0, "ebdca", false),
        (Value, Descend, 2, "ac", true),
        // A target without an order: ascending, of what the limit and one more let through.
        (Mod, None, 0, "bdeca", false),
        (Mod, None, 5, "bdeca", false),
        (Mod, None, 2, "bc", true),
        (Value, None, 1, "b", true),
        (Version, None, 3, "bcd", true),
    ];
    for (target, order, limit, keys, more) in table {
        let request = RangeRequest { sort_target: target.into(), sort_order: order.into(), limit, ..request() };
        assert_eq!(answer(&request), (keys.into(), more), "{target:?} {order:?} {limit}");
    }
}

#[test]
fn filters() {
    // (mod from, to; create from, to; limit; keys, more)
    let table = [
        (0, 0, 0, 0, 0, "abcde", false),
        (7, 0, 0, 0, 0, "ace", false),
        (0, 7, 0, 0, 0, "bde", false),
        (6, 8, 0, 0, 0, "cde", false),
        (0, 0, 4, 0, 0, "cde", false),
        (0, 0, 0, 4, 0, "abc", false),
        (0, 0, 3, 5, 0, "bcd", false),
        (7, 0, 3, 5, 0, "c", false),
        (10, 0, 0, 0, 0, "", false),
        (0, 1, 0, 0, 0, "", false),
        (8, 7, 0, 0, 0, "", false),
        // The limit counts what is left.
        (7, 0, 0, 0, 2, "ac", true),
        (7, 0, 0, 0, 3, "ace", false),
        // What is negative bounds from below nothing, from above everything.
        (-1, 0, 0, 0, 0, "abcde", false),
        (0, -1, 0, 0, 0, "", false),
        (0, 0, -5, 0, 0, "abcde", false),
        (0, 0, 0, -5, 0, "", false),
    ];
    for (min_mod_revision, max_mod_revision, min_create_revision, max_create_revision, limit, keys, more) in table {
        let request = RangeRequest {
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
            limit,
            ..request()
        };
        assert_eq!(answer(&request), (keys.into(), more), "{request:?}");
    }
}

#[test]
fn what_is_asked_of_the_store() {
    let base = request();
    let with_order = RangeRequest { sort_order: SortOrder::Descend.into(), ..base.clone() };
    let by_value = RangeRequest { sort_target: SortTarget::Value.into(), ..base.clone() };
    let filtered = RangeRequest { max_mod_revision: 5, ..base.clone() };
    // (request, limit, keys only)
    let table = [
        (RangeRequest { limit: 7, keys_only: true, ..base.clone() }, 7, true),
        (RangeRequest { limit: -7, ..base.clone() }, 0, false),
        (RangeRequest { limit: 7, keys_only: true, ..with_order }, 0, false),
        (RangeRequest { limit: 7, keys_only: true, ..filtered }, 0, false),
        (RangeRequest { limit: 7, keys_only: true, ..by_value.clone() }, 8, false),
        (RangeRequest { limit: 0, ..by_value.clone() }, 0, false),
        (RangeRequest { limit: i64::MAX, ..by_value }, 1 << 63, false),
    ];
    for (request, limit, keys_only) in table {
        let range = to_range(&request).unwrap();
        assert_eq!((range.limit, range.keys_only), (limit, keys_only), "{request:?}");
    }
    // (revision, range end; as the store takes them)
    for (revision, end, as_revision, as_end) in [
        (0, "", 0, None),
        (-1, "z", 0, Some("z")),
        (i64::MIN, "\0", 0, Some("\0")),
        (7, "a", 7, Some("a")),
        (i64::MAX, "z", u64::try_from(i64::MAX).unwrap(), Some("z")),
    ] {
        let request =
            RangeRequest { revision, range_end: end.into(), serializable: true, count_only: true, ..request() };
        let range = to_range(&request).unwrap();
        assert_eq!((range.revision, range.end.as_deref()), (as_revision, as_end.map(str::as_bytes)));
        assert!(range.serializable && range.count_only);
    }
}

#[test]
fn values_are_left_out_last() {
    for target in [SortTarget::Key, SortTarget::Value, SortTarget::Mod] {
        let request = RangeRequest {
            sort_target: target.into(),
            sort_order: SortOrder::Ascend.into(),
            keys_only: true,
            ..request()
        };
        let page = arrange(&request, store(&request));
        assert!(page.kvs.iter().all(|kv| kv.value.is_empty()) && page.kvs.len() == 5, "{target:?}");
        let count = RangeRequest { count_only: true, ..request };
        let page = arrange(&count, store(&count));
        assert_eq!((page.kvs.len(), page.count, page.more), (0, 5, false), "{target:?}");
    }
}

#[test]
fn ranges_that_cannot_be() {
    let refused = |request: RangeRequest| to_range(&request).unwrap_err().message().to_owned();
    assert_eq!(refused(RangeRequest { key: "".into(), ..request() }), "etcdserver: key is not provided");
    assert_eq!(refused(RangeRequest { key: "".into(), sort_order: 9, ..request() }), "etcdserver: key is not provided");
    for (order, target) in [(3, 0), (-1, 0), (0, 5), (0, -1)] {
        let wrong = RangeRequest { sort_order: order, sort_target: target, ..request() };
        assert_eq!(refused(wrong), "etcdserver: invalid sort option", "{order} {target}");
    }
}
