//! What callers ask of the storage and what they get: values only.
//!
//! The semantics of `resourceVersion` and `resourceVersionMatch` are upstream's table (docs: reference/using-api/api-concepts,
//! "Semantics for get, list and watch"); the handlers translate query parameters into [`Freshness`] and [`WatchFrom`].

use std::sync::Arc;

use api::selector::{FieldSelector, LabelSelector};
use store::Revision;

use super::Entry;

/// How recent an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// Whatever the cache holds (`resourceVersion=0`).
    Any,
    /// Everything that this process has acknowledged to a writer of the kind. Asks the store nothing: what other servers wrote
    /// may be missing.
    Own,
    /// At least this revision (`resourceVersion=N`, for lists with `NotOlderThan`). Waits up to 3 s for it.
    AtLeast(Revision),
    /// Exactly this revision (`resourceVersionMatch=Exact` and continued lists). 410 if it is compacted. Lists only;
    /// elsewhere like [`Freshness::AtLeast`].
    Exact(Revision),
    /// Everything that was acknowledged before the call (`resourceVersion` unset).
    #[default]
    Latest,
}

/// Which objects: both selectors must match.
#[derive(Debug, Clone, Default)]
pub struct Predicate {
    /// By label.
    pub labels: LabelSelector,
    /// By field; pass it through [`super::fields::check`] first, which refuses labels that the kind does not have.
    pub fields: FieldSelector,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery<'a> {
    /// Only this namespace; `None` = all (and cluster-scoped kinds).
    pub namespace: Option<&'a str>,
    /// How recent.
    pub freshness: Freshness,
    /// At most so many; 0 = all.
    pub limit: usize,
    /// Where the last page ended: [`Listing::next`] of it, through [`super::token`].
    pub after_key: Option<&'a str>,
    /// Which.
    pub predicate: Predicate,
}

/// Answer to a [`ListQuery`].
#[derive(Debug, Clone)]
pub struct Listing {
    /// In key order.
    pub entries: Vec<Arc<Entry>>,
    /// The revision of the whole answer (`metadata.resourceVersion` of the list).
    pub revision: Revision,
    /// How many follow; known only if `limit` cut the answer and no selector was given, as upstream.
    pub remaining: Option<u64>,
    /// Set if `limit` cut the answer: goes into the continue token ([`super::token::encode`]).
    pub next: Option<String>,
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchFrom {
    /// The present objects as [`WatchItem::Added`], then changes (`resourceVersion` unset, `0`, or any with
    /// `sendInitialEvents=true`).
    State(Freshness),
    /// Changes only, from the present on (`sendInitialEvents=false` without a version).
    Now,
    /// Changes after this revision. 410 if they are not known any more.
    Revision(Revision),
}

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchQuery {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only the object of this name.
    pub name: Option<String>,
    /// Where to begin.
    pub from: WatchFrom,
    /// Say `Bookmark { initial_end: true }` once the present objects have been sent (`sendInitialEvents=true`). Only with
    /// [`WatchFrom::State`].
    pub initial_events: bool,
    /// Send bookmarks, about one a minute.
    pub bookmarks: bool,
    /// Which objects. An object that begins to match is `Added`, one that ceases to is `Deleted`.
    pub predicate: Predicate,
}

/// Outcome of a conditional write.
#[derive(Debug, Clone)]
pub enum Updated {
    /// Written; the object as it is now, or for a delete as it was last, at the revision of the deletion.
    Done(Arc<Entry>),
    /// The expected revision is not the present one: nothing was written. The present object, `None` if there is none.
    Changed(Option<Arc<Entry>>),
}
