//! Lists: from the present snapshot, from one that an earlier page pinned, or from the store's history.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use api::Status;
use bytes::Bytes;
use store::{Error, Range, Revision};

use super::cache::{Cache, Snapshot};
use super::query::{Freshness, ListQuery, Listing, Predicate};
use super::{Entry, errors};

/// Keys read from the history at once, at least.
const CHUNK: usize = 500;

pub(super) async fn list(cache: &Cache, query: ListQuery<'_>) -> Result<Listing, Status> {
    cache.fresh(query.freshness).await?;
    let window = Window::new(cache, &query);
    let Freshness::Exact(revision) = query.freshness else {
        let snapshot = cache.snapshot();
        let listing = window.page(&snapshot, snapshot.revision);
        if listing.next.is_some() {
            cache.pin(snapshot);
        }
        return Ok(listing);
    };
    if revision < cache.shared.compacted.load(Ordering::Acquire) {
        return Err(errors::expired_list(query.after_key));
    }
    match cache.snapshot_at(revision) {
        Some(snapshot) => {
            let listing = window.page(&snapshot, revision);
            if listing.next.is_some() {
                cache.pin(Snapshot { revision, ..snapshot });
            }
            Ok(listing)
        }
        None => window.history(cache, revision).await.map_err(|error| match error {
            Error::Compacted(_) => errors::expired_list(query.after_key),
            other => errors::from_store(other),
        }),
    }
}

/// What part of the keys is listed, and how.
struct Window<'a> {
    /// What all keys begin with; [`Listing::next`] is relative to it.
    prefix: Bytes,
    start: Bytes,
    end: Bytes,
    limit: usize,
    predicate: &'a Predicate,
    plain: bool,
    /// The value that the indexed field must have: what else there is need not be looked at.
    value: Option<&'a str>,
}

impl<'a> Window<'a> {
    fn new(cache: &Cache, query: &'a ListQuery<'_>) -> Self {
        let (prefix, mut end) = cache.range(query.namespace);
        let mut start = match query.after_key {
            Some(after) => prefix.iter().copied().chain(after.bytes()).collect(),
            None => prefix.clone(),
        };
        let fields = &query.predicate.fields;
        let in_one_place = !cache.kind.namespaced || query.namespace.is_some_and(|namespace| !namespace.is_empty());
        if let Some(name) = fields.required("metadata.name").filter(|_| in_one_place) {
            // One key: what lies between it and the shortest key after it.
            let key: Bytes = prefix.iter().copied().chain(name.bytes()).collect();
            end = key.iter().copied().chain([0]).collect();
            start = start.max(key);
        }
        let plain = query.predicate.labels.is_everything() && fields.is_everything();
        let table = cache.shape.table;
        let indexed = table.index.and_then(|index| {
            fields.terms().iter().find(|term| !term.negated && table.find(&term.field) == Some(index))
        });
        let value = indexed.map(|term| term.value.as_str());
        Self { prefix, start, end, limit: query.limit, predicate: &query.predicate, plain, value }
    }

    /// Where the page after this last entry starts.
    fn after(&self, last: &Entry) -> String {
        let relative = last.key().get(self.prefix.len()..).unwrap_or_default();
        format!("{}\0", String::from_utf8_lossy(relative))
    }

    fn full(&self, entries: &[Arc<Entry>]) -> bool {
        self.limit > 0 && entries.len() >= self.limit
    }

    /// The entries between `start` and `end`, in key order: all of them, or those that the index knows.
    fn entries<'s>(&self, snapshot: &'s Snapshot) -> Box<dyn Iterator<Item = &'s Arc<Entry>> + 's> {
        let Snapshot { objects, by_value, .. } = snapshot;
        match self.value {
            None => {
                let range = (Bound::Included(&self.start[..]), Bound::Excluded(&self.end[..]));
                Box::new(objects.range::<_, [u8]>(range).map(|(_, entry)| entry))
            }
            Some(value) => {
                let (from, to) = ((value.into(), self.start.clone()), (value.into(), self.end.clone()));
                Box::new(by_value.range(from..to).filter_map(|(_, key)| objects.get(key)))
            }
        }
    }

    fn page(&self, snapshot: &Snapshot, revision: Revision) -> Listing {
        if self.start >= self.end {
            return Listing { entries: Vec::new(), revision, remaining: None, next: None };
        }
        let mut matching = self.entries(snapshot).filter(|entry| self.plain || entry.matches(self.predicate));
        let mut entries = Vec::with_capacity(if self.limit > 0 { self.limit.min(snapshot.objects.len()) } else { 0 });
        for entry in matching.by_ref() {
            entries.push(entry.clone());
            if self.full(&entries) {
                break;
            }
        }
        // One look ahead tells whether there is a next page; counting on is for lists without selectors only.
        let (mut next, mut remaining) = (None, None);
        if self.full(&entries) && matching.next().is_some() {
            next = entries.last().map(|last| self.after(last));
            remaining = self.plain.then(|| 1 + matching.count() as u64);
        }
        Listing { entries, revision, remaining, next }
    }

    /// The same from the store, at a revision that the cache has forgotten.
    async fn history(&self, cache: &Cache, revision: Revision) -> Result<Listing, Error> {
        let mut listing = Listing { entries: Vec::new(), revision, remaining: None, next: None };
        let mut range = Range { key: self.start.clone(), end: Some(self.end.clone()), revision, ..Range::default() };
        if self.limit > 0 {
            range.limit = (self.limit + 1).max(CHUNK);
        }
        while range.key < self.end {
            let page = cache.shared.kv.range(range.clone()).await?;
            let mut left = page.count;
            for kv in page.kvs {
                range.key = kv.key.iter().copied().chain([0]).collect();
                let entry = cache.shape.entry(kv).map_err(|damaged| Error::Corrupt(damaged.to_string()))?;
                if !self.plain && !entry.matches(self.predicate) {
                    continue;
                }
                if self.full(&listing.entries) {
                    listing.next = listing.entries.last().map(|last| self.after(last));
                    listing.remaining = self.plain.then_some(left);
                    return Ok(listing);
                }
                left -= 1;
                listing.entries.push(Arc::new(entry));
            }
            if !page.more {
                break;
            }
        }
        Ok(listing)
    }
}
