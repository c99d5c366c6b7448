//! Reading the state: pages of keys at a revision, and changes from a revision on. Large reads go in portions, so that no
//! reader holds the lock for long; because versions stay until they are compacted, the portions of one read still add up
//! to one consistent answer.

use std::sync::Arc;

use bytes::Bytes;

use super::{Change, State};
use crate::kv::{Error, Event, EventKind, KeyValue, Page, Range, Revision, Signal};
use crate::span::Span;

/// A read of a range, in progress.
pub(crate) struct Scan {
    span: Span,
    at: Revision,
    limit: usize,
    keys_only: bool,
    count_only: bool,
    /// The last key seen.
    resume: Option<Bytes>,
    page: Page,
}

impl State {
    /// Begins a read.
    pub(crate) fn scan(&self, range: &Range) -> Result<Scan, Error> {
        Ok(Scan::new(range, self.readable(range.revision)?, self.revision))
    }

    /// Goes on for at most `budget` keys. Returns whether the read is complete.
    pub(crate) fn advance(&self, scan: &mut Scan, budget: usize) -> Result<bool, Error> {
        if scan.at < self.compacted {
            return Err(Error::Compacted(self.compacted));
        }
        if let Some(key) = scan.span.single() {
            if let Some(item) = self.index.get(key).and_then(|versions| versions.at(scan.at)) {
                scan.take(item);
            }
            return Ok(true);
        }
        let Some(bounds) = scan.span.bounds(scan.resume.as_deref()) else { return Ok(true) };
        let mut last = None;
        let mut seen = 0;
        // `take` needs the scan while the bounds borrow its span.
        let (mut page, limit, keys_only, count_only) =
            (std::mem::take(&mut scan.page), scan.limit, scan.keys_only, scan.count_only);
        for (key, versions) in self.index.range::<[u8], _>(bounds) {
            if let Some(item) = versions.at(scan.at) {
                take(&mut page, item, limit, keys_only, count_only);
            }
            seen += 1;
            if seen == budget {
                last = Some(key.clone());
                break;
            }
        }
        scan.page = page;
        let complete = last.is_none();
        scan.resume = last;
        Ok(complete)
    }

    /// Reads a range at once; `now` is the revision that 0 means and that the answer names.
    pub(super) fn page(&self, range: &Range, now: Revision) -> Result<Page, Error> {
        let at = if range.revision == 0 { now } else { range.revision };
        let mut scan = Scan::new(range, at, now);
        self.advance(&mut scan, usize::MAX)?;
        Ok(scan.finish())
    }

    /// The changes of revisions from `from` on.
    pub(crate) fn changes(&self, from: Revision) -> impl Iterator<Item = &Change> + Clone {
        let before = |change: &Change| change.item.mod_revision < from;
        // Most who ask have read everything but the last change.
        let last = self.history.len().saturating_sub(1);
        let start = match self.history.get(last.wrapping_sub(1)) {
            Some(change) if before(change) => last + usize::from(before(&self.history[last])),
            _ => self.history.partition_point(before),
        };
        self.history.range(start..)
    }

    /// The signals for a watch of `span` from revision `from` on, up to about `budget` changes looked at, and the
    /// revision to go on from. What was there before is only told `with_prev`.
    pub(crate) fn signals(
        &self,
        span: &Span,
        from: Revision,
        budget: usize,
        with_prev: bool,
    ) -> (Vec<Signal>, Revision) {
        let mut signals: Vec<Signal> = Vec::new();
        let mut events = Vec::new();
        let mut revision = from;
        for (seen, change) in self.changes(from).enumerate() {
            if change.item.mod_revision != revision {
                if !events.is_empty() {
                    signals.push(Signal::Events(revision, std::mem::take(&mut events)));
                }
                revision = change.item.mod_revision;
                // Only between revisions: what one revision did goes in one signal.
                if seen >= budget {
                    return (signals, revision);
                }
            }
            if span.contains(&change.item.key) {
                events.push(event(change, with_prev));
            }
        }
        if !events.is_empty() {
            signals.push(Signal::Events(revision, events));
        }
        (signals, self.revision + 1)
    }
}

impl Scan {
    fn new(range: &Range, at: Revision, now: Revision) -> Self {
        Self {
            span: Span::of(&range.key, range.end.as_ref()),
            at,
            limit: if range.limit == 0 { usize::MAX } else { range.limit },
            keys_only: range.keys_only,
            count_only: range.count_only,
            resume: None,
            page: Page { revision: now, ..Page::default() },
        }
    }

    fn take(&mut self, item: &Arc<KeyValue>) {
        take(&mut self.page, item, self.limit, self.keys_only, self.count_only);
    }

    /// The answer.
    pub(crate) fn finish(self) -> Page {
        self.page
    }
}

fn take(page: &mut Page, item: &KeyValue, limit: usize, keys_only: bool, count_only: bool) {
    page.count += 1;
    if count_only {
        return;
    }
    if page.kvs.len() >= limit {
        page.more = true;
        return;
    }
    page.kvs.push(if keys_only {
        KeyValue { key: item.key.clone(), value: Bytes::new(), ..*item }
    } else {
        item.clone()
    });
}

fn event(change: &Change, with_prev: bool) -> Event {
    let kind = if change.item.version == 0 { EventKind::Delete } else { EventKind::Put };
    let prev = change.prev.as_deref().filter(|_| with_prev).cloned();
    Event { kind, kv: (*change.item).clone(), prev }
}
