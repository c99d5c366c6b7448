//! Clients that watch, on one member after another: each sees what concerns it in order, once and completely, and goes on
//! elsewhere from where it was.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use super::world::World;
use crate::kv::{Error, Range, Revision, Signal, WatchOptions};
use crate::marks::Bell;
use crate::shared::Core;
use crate::watch::{self, Cursor};

/// See the module's header.
pub(super) struct Watcher {
    /// Which keys.
    range: Range,
    /// By a cursor, and asks for progress, as the watches of an etcd client do; or else by a stream.
    asks: bool,
    /// Where, in which life of it.
    on: Option<(u64, u64, Source)>,
    /// What it has not seen yet begins here.
    pub(super) next: Revision,
}

enum Source {
    Stream(BoxStream<'static, Result<Signal, Error>>),
    Cursor(Arc<Core>, Cursor, Arc<Bell>),
}

/// All keys.
pub(super) fn everything() -> Range {
    Range { key: Bytes::from_static(b"\0"), end: Some(Bytes::from_static(b"\xff")), ..Range::default() }
}

/// Those of all keys, and of some.
pub(super) fn watchers() -> Vec<Watcher> {
    let some = Range { key: Bytes::from_static(b"k2"), end: Some(Bytes::from_static(b"k5")), ..Range::default() };
    let watcher = |range, asks| Watcher { range, asks, on: None, next: 2 };
    vec![watcher(everything(), false), watcher(everything(), true), watcher(some, true)]
}

impl World {
    /// Lets all watchers take what there is.
    pub(super) fn watch(&mut self) -> Result<(), String> {
        let mut watchers = std::mem::take(&mut self.watchers);
        let result = watchers.iter_mut().try_for_each(|watcher| self.watch_one(watcher));
        self.watchers = watchers;
        result
    }

    fn watch_one(&mut self, watcher: &mut Watcher) -> Result<(), String> {
        let lives = |id: &u64| self.hosts.get(id).filter(|host| host.life.is_some()).map(|host| host.lives);
        let members = self.members();
        let over = |(id, life, _): &(u64, u64, _)| lives(id) != Some(*life) || !members.contains(id);
        if watcher.on.as_ref().is_some_and(over) || self.random.below(100) == 0 {
            watcher.on = None;
        }
        if watcher.on.is_none() {
            self.begin_to_watch(watcher, &members)?;
        }
        let early = self.chance(50);
        let Some((id, _, source)) = &mut watcher.on else { return Ok(()) };
        match source.take(early) {
            Ok(signals) => {
                for signal in signals {
                    watcher.next = self.history.watched_in(&watcher.range, watcher.next, &signal)?;
                    if matches!(signal, Signal::Progress(_)) {
                        *self.seen.entry("watch told its progress").or_default() += 1;
                    }
                }
            }
            Err(error) => {
                let what = format!("a watch on {id:x} from {} ends with {error:?}", watcher.next);
                (watcher.next, watcher.on) = (self.ended(watcher.next, &error).ok_or(what)?, None);
            }
        }
        Ok(())
    }

    fn begin_to_watch(&mut self, watcher: &mut Watcher, members: &[u64]) -> Result<(), String> {
        let Some(id) = self.somebody(false).filter(|id| members.contains(id)) else { return Ok(()) };
        let Some(host) = self.hosts.get(&id) else { return Ok(()) };
        let Some(core) = host.core() else { return Ok(()) };
        let source = if watcher.asks {
            let bell = Arc::new(Bell::default());
            match Cursor::new(core, &watcher.range, watcher.next, Arc::clone(&bell)) {
                Ok((cursor, _)) => Source::Cursor(Arc::clone(core), cursor, bell),
                Err(error) => {
                    let what = format!("a watch on {id:x} from {} is refused: {error:?}", watcher.next);
                    watcher.next = self.ended(watcher.next, &error).ok_or(what)?;
                    return Ok(());
                }
            }
        } else {
            let options = WatchOptions { from: watcher.next, progress: false };
            Source::Stream(watch::watch(Arc::clone(core), &watcher.range, options))
        };
        watcher.on = Some((id, host.lives, source));
        self.note("watch begun");
        Ok(())
    }

    /// A watch has ended: where to go on, if that is what it was told. The gap is known; what it missed is read instead.
    fn ended(&mut self, next: Revision, error: &Error) -> Option<Revision> {
        match error {
            Error::Compacted(oldest) if *oldest > next => {
                self.note("watch passed by compaction");
                Some(*oldest)
            }
            _ => None,
        }
    }
}

impl Source {
    /// What there is now. `early`: asks for progress before it has read anything.
    fn take(&mut self, early: bool) -> Result<Vec<Signal>, Error> {
        let mut signals = Vec::new();
        match self {
            Self::Stream(stream) => {
                while let Some(Some(signal)) = stream.next().now_or_never() {
                    signals.push(signal?);
                }
            }
            Self::Cursor(core, cursor, bell) => {
                let published = core.published();
                if early && cursor.caught_up(published) {
                    signals.push(Signal::Progress(published));
                }
                let mut rung = bell.take().contains(&cursor.id());
                while std::mem::take(&mut rung) || cursor.behind() {
                    signals.extend(cursor.read(true)?);
                }
                if cursor.caught_up(published) {
                    signals.push(Signal::Progress(published));
                }
            }
        }
        Ok(signals)
    }
}
