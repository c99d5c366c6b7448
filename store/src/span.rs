//! Which keys a request is about. One place for etcd's rules on `range_end` (api/etcdserverpb/rpc.proto, RangeRequest).

use std::ops::Bound;

use bytes::Bytes;

/// Bounds for `BTreeMap::range`.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A set of neighbouring keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    start: Bytes,
    end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    /// Just the start.
    Single,
    /// Up to, not with, this key.
    Before(Bytes),
    /// All keys from the start on: an end of one zero byte says so.
    Open,
}

/// The end that a request of etcd's API means: an empty one is none.
pub(crate) fn end_of(range_end: &Bytes) -> Option<Bytes> {
    (!range_end.is_empty()).then(|| range_end.clone())
}

impl Span {
    /// The span that a request's `key` and `end` mean.
    pub(crate) fn of(key: &Bytes, end: Option<&Bytes>) -> Self {
        let end = match end {
            None => End::Single,
            Some(end) if end.as_ref() == b"\0" => End::Open,
            Some(end) => End::Before(end.clone()),
        };
        Self { start: key.clone(), end }
    }

    /// Whether it is one key by definition.
    pub(crate) fn single(&self) -> Option<&Bytes> {
        (self.end == End::Single).then_some(&self.start)
    }

    /// Whether `key` is in it.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Single => key == self.start,
            End::Before(end) => *self.start <= *key && *key < **end,
            End::Open => *self.start <= *key,
        }
    }

    /// As bounds for an ordered map, beginning after `resume` if given; `None` if no key can be inside.
    pub(crate) fn bounds<'a>(&'a self, resume: Option<&'a [u8]>) -> Option<Bounds<'a>> {
        let low = resume.map_or(Bound::Included(&*self.start), Bound::Excluded);
        let from = resume.unwrap_or(&self.start);
        match &self.end {
            End::Single => resume.is_none().then_some((low, Bound::Included(&*self.start))),
            End::Before(end) => (from < &**end).then_some((low, Bound::Excluded(&**end))),
            End::Open => Some((low, Bound::Unbounded)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_hold_what_etcd_says() {
        // (key, end, inside, outside)
        type Case = (&'static str, Option<&'static str>, &'static [&'static str], &'static [&'static str]);
        let table: &[Case] = &[
            ("b", None, &["b"], &["a", "ba", "c"]),
            ("b", Some("d"), &["b", "ba", "c"], &["a", "d"]),
            ("b", Some("\0"), &["b", "zzz"], &["a"]),
            ("b", Some("b"), &[], &["a", "b", "c"]),
            ("d", Some("b"), &[], &["b", "c", "d"]),
        ];
        for (key, end, inside, outside) in table {
            let span = Span::of(
                &Bytes::from_static(key.as_bytes()),
                end.map(|end| Bytes::from_static(end.as_bytes())).as_ref(),
            );
            let map: std::collections::BTreeMap<&[u8], ()> =
                inside.iter().chain(*outside).map(|key| (key.as_bytes(), ())).collect();
            for key in *inside {
                assert!(span.contains(key.as_bytes()), "{key} in {span:?}");
            }
            for key in *outside {
                assert!(!span.contains(key.as_bytes()), "{key} not in {span:?}");
            }
            let found = span.bounds(None).map_or(0, |bounds| map.range::<[u8], _>(bounds).count());
            assert_eq!(found, inside.len(), "{span:?}");
        }
    }
}
