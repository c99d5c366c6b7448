//! Reads with an order of the client's choice, or filtered by revision. The store answers in key order; everything else
//! is done to its answer, so that neither the log nor the state knows of it. etcd: server/etcdserver/txn/range.go.

use proto::etcd::etcdserverpb::RangeRequest;
use proto::etcd::etcdserverpb::range_request::{SortOrder, SortTarget};
use tonic::Status;

use super::convert::unsigned;
use super::errors;
use crate::kv::{KeyValue, Page, Range};
use crate::span::end_of;

/// The range to ask the store for.
///
/// # Errors
/// As etcd's checkRangeRequest.
pub(super) fn to_range(request: &RangeRequest) -> Result<Range, Status> {
    if request.key.is_empty() {
        return Err(errors::invalid("key is not provided"));
    }
    if SortOrder::try_from(request.sort_order).is_err() || SortTarget::try_from(request.sort_target).is_err() {
        return Err(errors::invalid("invalid sort option"));
    }
    let limit = usize::try_from(request.limit).unwrap_or(0);
    Ok(Range {
        key: request.key.clone(),
        end: end_of(&request.range_end),
        limit: match () {
            () if needs_all(request) => 0,
            // etcd sorts one more than it answers, of the first by key.
            () if needs_work(request) && limit > 0 => limit.saturating_add(1),
            () => limit,
        },
        revision: unsigned(request.revision),
        // An order by value needs the values.
        keys_only: request.keys_only && !needs_work(request),
        count_only: request.count_only,
        serializable: request.serializable,
    })
}

/// Whether something is to be done to the store's answer.
fn needs_work(request: &RangeRequest) -> bool {
    needs_all(request) || request.sort_target() != SortTarget::Key
}

/// Whether the limit counts what is left after filtering and sorting. (A target without an order, of which etcd sorts only what
/// the limit lets through, does not need that.)
fn needs_all(request: &RangeRequest) -> bool {
    request.sort_order() != SortOrder::None || bounds(request).iter().any(|(low, high)| *low != 0 || *high != 0)
}

/// (least, greatest) of the mod and of the create revision; 0: none.
fn bounds(request: &RangeRequest) -> [(i64, i64); 2] {
    [(request.min_mod_revision, request.max_mod_revision), (request.min_create_revision, request.max_create_revision)]
}

/// Makes the store's answer what the client asked for.
pub(super) fn arrange(request: &RangeRequest, mut page: Page) -> Page {
    if !needs_work(request) {
        return page;
    }
    let [(min_mod, max_mod), (min_create, max_create)] = bounds(request);
    let within = |revision: u64, low: i64, high: i64| {
        (low == 0 || revision >= unsigned(low)) && (high == 0 || revision <= unsigned(high))
    };
    page.kvs
        .retain(|kv| within(kv.mod_revision, min_mod, max_mod) && within(kv.create_revision, min_create, max_create));
    let compare = |a: &KeyValue, b: &KeyValue| match request.sort_target() {
        SortTarget::Key => a.key.cmp(&b.key),
        SortTarget::Version => a.version.cmp(&b.version),
        SortTarget::Create => a.create_revision.cmp(&b.create_revision),
        SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
        SortTarget::Value => a.value.cmp(&b.value),
    };
    match request.sort_order() {
        SortOrder::Descend => page.kvs.sort_by(|a, b| compare(b, a)),
        // A target without an order means ascending.
        SortOrder::None | SortOrder::Ascend => page.kvs.sort_by(compare),
    }
    let limit = usize::try_from(request.limit).unwrap_or(0);
    if limit > 0 && page.kvs.len() > limit {
        page.kvs.truncate(limit);
        page.more = true;
    }
    if request.keys_only {
        page.kvs.iter_mut().for_each(|kv| kv.value = bytes::Bytes::new());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_filters() {
        let kv = |key: &'static str, value: &'static str, create_revision, mod_revision, version| KeyValue {
            key: key.into(),
            value: value.into(),
            create_revision,
            mod_revision,
            version,
            lease: 0,
        };
        let page = Page {
            kvs: vec![kv("a", "z", 2, 9, 3), kv("b", "y", 5, 5, 1), kv("c", "x", 3, 8, 2)],
            more: false,
            count: 3,
            revision: 9,
        };
        let request = RangeRequest { key: "a".into(), range_end: "d".into(), ..RangeRequest::default() };
        let sorted = |target: SortTarget, order: SortOrder, limit| RangeRequest {
            sort_target: target.into(),
            sort_order: order.into(),
            limit,
            ..request.clone()
        };
        // (request, keys, more)
        let table = [
            (request.clone(), "abc", false),
            (sorted(SortTarget::Key, SortOrder::Descend, 0), "cba", false),
            (sorted(SortTarget::Key, SortOrder::Descend, 2), "cb", true),
            (sorted(SortTarget::Mod, SortOrder::Ascend, 0), "bca", false),
            (sorted(SortTarget::Create, SortOrder::Descend, 1), "b", true),
            (sorted(SortTarget::Version, SortOrder::None, 3), "bca", false),
            (sorted(SortTarget::Value, SortOrder::Ascend, 0), "cba", false),
            (RangeRequest { min_mod_revision: 8, ..request.clone() }, "ac", false),
            (RangeRequest { max_mod_revision: 8, limit: 1, ..request.clone() }, "b", true),
            (RangeRequest { min_create_revision: 3, max_create_revision: 3, ..request.clone() }, "c", false),
        ];
        for (request, keys, more) in table {
            let arranged = arrange(&request, page.clone());
            let found: Vec<_> = arranged.kvs.iter().map(|kv| kv.key.clone()).collect();
            assert_eq!((found.concat().as_slice(), arranged.more), (keys.as_bytes(), more), "{request:?}");
            assert_eq!(arranged.count, 3, "what the range holds, not what is left of it");
        }
        let request = RangeRequest { keys_only: true, ..sorted(SortTarget::Value, SortOrder::Ascend, 1) };
        assert!(!to_range(&request).unwrap().keys_only);
        assert!(arrange(&request, page).kvs[0].value.is_empty());
        let wrong = RangeRequest { sort_target: 99, ..request };
        assert_eq!(to_range(&wrong).unwrap_err().message(), "etcdserver: invalid sort option");
    }
}
