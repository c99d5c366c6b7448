//! Changes: what watchers are told, the frames they share, and the rings that remember recent changes.
//!
//! One [`Event`] exists for each change; every watcher holds the same one. What a watcher makes of it depends on its selectors
//! ([`decide`]), but the bytes of a frame depend only on the type and the encoding, so they are made once and shared.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::kinds::KindRef;
use bytes::Bytes;
use parking_lot::Mutex;
use store::Revision;
use tokio::time::Instant;

use super::Entry;
use super::query::Predicate;

/// One change of one object.
#[derive(Debug)]
pub struct Event {
    pub(super) revision: Revision,
    /// The object after the change; `None` if it was deleted.
    pub(super) now: Option<Arc<Entry>>,
    /// The object before the change; `None` if it was created.
    pub(super) before: Option<Arc<Entry>>,
    /// `before` at the revision of this change, for watchers to whom the object is gone.
    gone: OnceLock<Arc<Entry>>,
    frames: Mutex<Frames>,
    pub(super) at: Instant,
}

/// Encoded forms of an event. Only for as long as watchers are likely to ask again: afterwards each encodes for itself, so
/// that the memory of frames does not grow with the window.
#[derive(Debug)]
enum Frames {
    Shared(Vec<((Type, u32), Bytes)>),
    Retired,
}

/// What an event is to a watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Added,
    Modified,
    Deleted,
}

impl Event {
    pub(super) fn new(revision: Revision, before: Option<Arc<Entry>>, now: Option<Arc<Entry>>) -> Self {
        let (gone, frames) = (OnceLock::new(), Mutex::new(Frames::Retired));
        Self { revision, now, before, gone, frames, at: Instant::now() }
    }

    /// From now on frames are kept.
    pub(super) fn share(&self) {
        *self.frames.lock() = Frames::Shared(Vec::new());
    }

    /// Forgets the frames.
    pub(super) fn retire(&self) {
        *self.frames.lock() = Frames::Retired;
    }

    /// The object that the change is about.
    pub(super) fn entry(&self) -> Option<&Arc<Entry>> {
        self.now.as_ref().or(self.before.as_ref())
    }

    fn gone(&self, before: &Arc<Entry>) -> Arc<Entry> {
        self.gone.get_or_init(|| before.at(self.revision)).clone()
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.entry().map_or(0, |entry| entry.weight())
    }
}

/// What a watcher with these selectors is told of an event: an object that begins to match is added, one that ceases to
/// match is deleted, with the last state that matched at the revision of the change (apiserver, storage/cacher, `convertToWatchEvent`).
pub(super) fn decide(event: &Arc<Event>, predicate: &Predicate) -> Option<WatchItem> {
    let matches = |entry: &&Arc<Entry>| entry.matches(predicate);
    let now = event.now.as_ref().filter(matches);
    let before = event.before.as_ref().filter(matches);
    let change = |entry: Arc<Entry>| Change { entry, event: Some(event.clone()) };
    match (before, now) {
        (None, None) => None,
        (None, Some(now)) => Some(WatchItem::Added(change(now.clone()))),
        (Some(_), Some(now)) => Some(WatchItem::Modified(change(now.clone()))),
        (Some(before), None) => Some(WatchItem::Deleted(change(event.gone(before)))),
    }
}

/// An object as a watcher is told of it.
#[derive(Debug, Clone)]
pub struct Change {
    entry: Arc<Entry>,
    /// The event whose frames are shared; initial objects have none.
    event: Option<Arc<Event>>,
}

impl Change {
    /// An object of the initial state.
    pub(super) fn initial(entry: Arc<Entry>) -> Self {
        Self { entry, event: None }
    }

    /// The object.
    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

impl Deref for Change {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

/// What a watch says.
#[derive(Debug, Clone)]
pub enum WatchItem {
    /// There is a new object, or one that begins to match.
    Added(Change),
    /// An object changed.
    Modified(Change),
    /// An object was deleted or ceased to match: its last state, at the revision of the change.
    Deleted(Change),
    /// Everything up to this revision has been said.
    Bookmark {
        /// The revision to go on from.
        revision: Revision,
        /// This one ends the initial state: it carries the annotation `k8s.io/initial-events-end: "true"`.
        initial_end: bool,
    },
}

/// Key of the frames of [`WatchItem::json_frame`]; other encodings use other keys.
const JSON: u32 = u32::MAX;

impl WatchItem {
    /// `type` in a watch event.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Added(_) => "ADDED",
            Self::Modified(_) => "MODIFIED",
            Self::Deleted(_) => "DELETED",
            Self::Bookmark { .. } => "BOOKMARK",
        }
    }

    /// The object; bookmarks have none.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Self::Added(change) | Self::Modified(change) | Self::Deleted(change) => Some(change),
            Self::Bookmark { .. } => None,
        }
    }

    /// The revision: of the object, or of the bookmark.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Bookmark { revision, .. } => *revision,
            Self::Added(change) | Self::Modified(change) | Self::Deleted(change) => change.revision(),
        }
    }

    /// The whole line of a JSON watch, in the storage version of the kind.
    pub fn json_frame(&self, kind: KindRef) -> Bytes {
        self.frame(JSON, |item| item.write_json_frame(kind))
    }

    fn write_json_frame(&self, kind: KindRef) -> Bytes {
        match self {
            Self::Bookmark { revision, initial_end } => bookmark(kind, *revision, *initial_end),
            Self::Added(change) | Self::Modified(change) | Self::Deleted(change) => {
                let mut out = Vec::with_capacity(change.json_len() + 40);
                out.extend_from_slice(b"{\"type\":\"");
                out.extend_from_slice(self.type_name().as_bytes());
                out.extend_from_slice(b"\",\"object\":");
                change.write_json(&mut out);
                out.extend_from_slice(b"}\n");
                out.into()
            }
        }
    }

    /// Any other encoding of this item. It is made once for all watchers that give the same `key`, so it must depend on
    /// nothing but the item and the key. `u32::MAX` is taken.
    pub fn frame(&self, key: u32, encode: impl FnOnce(&Self) -> Bytes) -> Bytes {
        let (kind, event) = match self {
            Self::Added(Change { event: Some(event), .. }) => (Type::Added, event),
            Self::Modified(Change { event: Some(event), .. }) => (Type::Modified, event),
            Self::Deleted(Change { event: Some(event), .. }) => (Type::Deleted, event),
            _ => return encode(self),
        };
        // Encoding under the lock: who comes second at the same time waits for the bytes instead of making them again.
        let mut frames = event.frames.lock();
        match &mut *frames {
            Frames::Retired => {
                drop(frames);
                encode(self)
            }
            Frames::Shared(frames) => match frames.iter().find(|(known, _)| *known == (kind, key)) {
                Some((_, bytes)) => bytes.clone(),
                None => {
                    let bytes = encode(self);
                    frames.push(((kind, key), bytes.clone()));
                    bytes
                }
            },
        }
    }
}

fn bookmark(kind: KindRef, revision: Revision, initial_end: bool) -> Bytes {
    let annotations = if initial_end { "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}," } else { "" };
    let (name, version) = (kind.kind, kind.api_version());
    Bytes::from(format!(
        "{{\"type\":\"BOOKMARK\",\"object\":{{\"apiVersion\":\"{version}\",\"kind\":\"{name}\",\"metadata\":{{{annotations}\"resourceVersion\":\"{revision}\"}}}}}}\n"
    ))
}

/// Bounds of a [`Ring`].
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Most events.
    pub events: usize,
    /// Most bytes, counting each event's object.
    pub bytes: usize,
    /// Oldest event.
    pub age: Duration,
}

/// The last events, in order and without gaps after `since`.
#[derive(Debug)]
pub(super) struct Ring {
    /// Every event after this revision is in the ring.
    pub(super) since: Revision,
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

/// What a ring has for a reader.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Something: the batch was filled up to and with this revision.
    Some(Revision),
    /// Nothing new.
    Nothing,
    /// The reader is behind what the ring remembers.
    Behind,
}

impl Ring {
    pub(super) fn new(since: Revision) -> Self {
        Self { since, events: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, event: Arc<Event>, bounds: &Bounds) {
        self.bytes += event.weight();
        self.events.push_back(event);
        self.trim(bounds);
    }

    /// Drops what is out of bounds. Events of one revision go together.
    pub(super) fn trim(&mut self, bounds: &Bounds) {
        while let Some(first) = self.events.front() {
            let fits =
                self.events.len() <= bounds.events && self.bytes <= bounds.bytes && first.at.elapsed() <= bounds.age;
            if fits && first.revision > self.since {
                return;
            }
            self.since = self.since.max(first.revision);
            self.bytes -= first.weight();
            self.events.pop_front();
        }
    }

    /// The event that is `back` places before the newest.
    pub(super) fn back(&self, back: usize) -> Option<&Arc<Event>> {
        self.events.len().checked_sub(back + 1).and_then(|index| self.events.get(index))
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Appends events after `cursor` to `batch`: about `most`, but never part of a revision.
    pub(super) fn read(&self, cursor: Revision, most: usize, batch: &mut Vec<Arc<Event>>) -> Read {
        if cursor < self.since {
            return Read::Behind;
        }
        let start = self.events.partition_point(|event| event.revision <= cursor);
        let mut upto = None;
        for event in self.events.range(start..) {
            if batch.len() >= most && upto != Some(event.revision) {
                break;
            }
            upto = Some(event.revision);
            batch.push(event.clone());
        }
        upto.map_or(Read::Nothing, Read::Some)
    }
}

#[cfg(test)]
mod tests;
