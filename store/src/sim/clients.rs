//! What clients ask for: writes with and without conditions, reads, compactions, watches.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

use super::world::World;
use crate::kv::{Compare, Error, Op, Order, Range, Revision, Signal, Target, Txn, WatchOptions};
use crate::member::Input;
use crate::request;
use crate::watch;

const KEYS: u64 = 8;

type Stream = BoxStream<'static, Result<Signal, Error>>;

/// A client that watches everything, on one member after another.
pub(super) struct Watcher {
    /// Where, in which life of it, and the stream.
    on: Option<(u64, u64, Stream)>,
    pub(super) next: Revision,
}

/// All keys.
pub(super) fn everything() -> Range {
    Range { key: Bytes::from_static(b"\0"), end: Some(Bytes::from_static(b"\xff")), ..Range::default() }
}

impl World {
    pub(super) fn watchers(count: usize) -> Vec<Watcher> {
        (0..count).map(|_| Watcher { on: None, next: 2 }).collect()
    }

    /// One client asks for something.
    pub(super) fn client(&mut self) -> Result<(), String> {
        let leads = self.chance(60);
        let Some(id) = self.somebody(leads) else { return Ok(()) };
        match self.random.below(20) {
            0..=6 => {
                let op = self.put();
                self.write(id, Txn { then: vec![op], ..Txn::default() })
            }
            7..=8 => {
                let key = self.key();
                self.write(id, Txn { then: vec![Op::Delete { key, end: None }], ..Txn::default() })
            }
            9..=12 => {
                let key = self.key();
                let now = self.history.keys().get(&key).map_or(0, |kv| kv.mod_revision);
                let wanted = if self.chance(80) { now } else { now.saturating_sub(1) };
                let compare = Compare { key, end: None, target: Target::ModRevision(wanted), order: Order::Equal };
                let then = vec![self.put()];
                self.write(id, Txn { when: vec![compare], then, otherwise: Vec::new() })
            }
            13..=16 => {
                let number = self.history.begin(None);
                self.input(id, Input::Read(number))
            }
            17..=18 => self.read_locally(id),
            _ => {
                let upto = self.history.last().saturating_sub(self.random.below(30));
                self.note("compaction asked for");
                self.input(id, Input::Propose(request::encode_compaction(upto), u64::MAX))
            }
        }
    }

    fn key(&mut self) -> Bytes {
        format!("k{}", self.random.below(KEYS)).into()
    }

    fn put(&mut self) -> Op {
        let key = self.key();
        let size = self.random.below(100) as usize;
        Op::Put { key, value: vec![b'v'; size].into(), lease: 0 }
    }

    fn write(&mut self, id: u64, txn: Txn) -> Result<(), String> {
        let number = self.history.begin(Some(txn));
        self.trace(|| format!("operation {number} asks {id:x}"));
        let Some(txn) = self.history.operation(number).txn.clone() else { return Ok(()) };
        self.input(id, Input::Propose(request::encode_txn(&txn), number))
    }

    /// May be old, but must have been so.
    fn read_locally(&mut self, id: u64) -> Result<(), String> {
        let Some(life) = self.hosts.get(&id).and_then(|host| host.life.as_ref()) else { return Ok(()) };
        let page = life.read(&everything()).map_err(|error| error.to_string())?;
        let number = self.history.begin(None);
        self.history.read(number, &page, false)
    }

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
            let Some(id) = self.somebody(false).filter(|id| members.contains(id)) else { return Ok(()) };
            let Some(host) = self.hosts.get(&id) else { return Ok(()) };
            let Some(life) = &host.life else { return Ok(()) };
            let options = WatchOptions { from: watcher.next, progress: false };
            let stream = watch::watch(life.core.clone(), &everything(), options);
            watcher.on = Some((id, host.lives, stream));
            self.note("watch begun");
        }
        let Some((id, _, stream)) = &mut watcher.on else { return Ok(()) };
        while let Some(Some(signal)) = stream.next().now_or_never() {
            match signal {
                Ok(signal) => watcher.next = self.history.watched(watcher.next, &signal)?,
                Err(Error::Compacted(oldest)) if oldest > watcher.next => {
                    // Told so: the gap is known. What it missed is read instead.
                    watcher.next = oldest;
                    watcher.on = None;
                    *self.seen.entry("watch passed by compaction").or_default() += 1;
                    return Ok(());
                }
                Err(error) => return Err(format!("a watch on {id:x} from {} ends with {error:?}", watcher.next)),
            }
        }
        Ok(())
    }
}
