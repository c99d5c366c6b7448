//! Watches. A watch holds no queue: the state's history *is* the queue, shared by all, and a watch is a place in it
//! (`next`). So a slow reader costs nothing, holds nobody up and misses nothing; only compaction can pass it by.
//!
//! What the writer adds is a mark: the first revision since the reader last looked that touches its keys. A watch on quiet
//! keys is not woken, and when it is, it jumps over everything in between. Worked example, a watch of `/pods/` from 11:
//! ```text
//! entries: 11 /nodes/a   12 /pods/x   13 /nodes/b   14 /pods/y
//! writer:  -             mark 12,wake -             (already marked)
//! reader:  takes mark 12, reads history from 12: sends 12 and 14, next = 15
//! ```
//! Order that must be kept: the writer applies, then marks, then publishes the revision. A reader that sees revision r
//! published and then no mark has nothing unread up to r, and may say so ([`Signal::Progress`]).

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::{Instant, sleep_until};

use crate::kv::{Error, Range, Revision, Signal, WatchOptions};
use crate::marks::{Bell, Mark};
use crate::shared::{Core, Fault};
use crate::span::Span;

/// Changes looked at while the state is locked for reading.
const PORTION: usize = 64;

/// A watch as a place in the history: what its reader has not seen yet begins at `next`.
pub(crate) struct Cursor {
    core: Arc<Core>,
    mark: Arc<Mark>,
    /// Revisions below this have been read, or do not touch the span.
    next: Revision,
    /// Whether the history holds changes from `next` on that have not been looked at; then a mark says nothing new.
    behind: bool,
}

impl Cursor {
    /// Begins to watch: everything from now (or `from`) on will be seen, however late it is first read. Answers the
    /// revision that was current then. Marks ring `bell`.
    ///
    /// # Errors
    /// When `from` is compacted, or the store is closed.
    pub(crate) fn new(
        core: &Arc<Core>,
        range: &Range,
        from: Revision,
        bell: Arc<Bell>,
    ) -> Result<(Self, Revision), Error> {
        let span = if range.key.is_empty() {
            // etcd: an empty key means the first one (server/etcdserver/api/v3rpc/watch.go).
            Span::of(&bytes::Bytes::from_static(b"\0"), range.end.as_ref())
        } else {
            Span::of(&range.key, range.end.as_ref())
        };
        // Known to the writer first: what is applied after the look at the revision below will be marked.
        let mark = core.hub.add(span, bell);
        let now = core.state.read().revision();
        let next = if from == 0 { now + 1 } else { from };
        let cursor = Self { core: Arc::clone(core), mark, next, behind: next <= now };
        core.open()?;
        let compacted = core.state.read().compacted();
        if next < compacted { Err(Error::Compacted(compacted)) } else { Ok((cursor, now)) }
    }

    /// Its number among the store's watches: what the bell says.
    pub(crate) fn id(&self) -> u64 {
        self.mark.id
    }

    /// Whether there is more to read now, mark or not.
    pub(crate) fn behind(&self) -> bool {
        self.behind
    }

    /// Whether everything up to `revision`, published before this is asked, has been read. From then on it need not be
    /// looked for any more.
    pub(crate) fn caught_up(&mut self, revision: Revision) -> bool {
        // A watch from a future revision has nothing to say before it.
        let read = !self.behind && self.mark.unread() == 0 || self.core.planted(Fault::EarlyProgress);
        let caught_up = read && self.next <= revision + 1;
        if caught_up {
            self.next = revision + 1;
        }
        caught_up
    }

    /// Reads what is unread, up to a portion; what was there before each change only `with_prev`.
    ///
    /// # Errors
    /// When the history it stands in has been compacted, or the store is closed.
    pub(crate) fn read(&mut self, with_prev: bool) -> Result<Vec<Signal>, Error> {
        self.core.open()?;
        let unread = self.mark.take();
        let from = match unread {
            _ if self.behind => self.next,
            0 => return Ok(Vec::new()),
            unread => unread.max(self.next),
        };
        let state = self.core.state.read();
        if from < state.compacted() {
            return Err(Error::Compacted(state.compacted()));
        }
        let (signals, next) = state.signals(&self.mark.span, from, PORTION, with_prev);
        self.behind = next <= state.revision();
        self.next = next.max(self.next);
        Ok(signals)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.core.hub.remove(self.mark.id);
    }
}

/// A watch as a stream.
struct Watch {
    cursor: Cursor,
    bell: Arc<Bell>,
    ready: VecDeque<Signal>,
    /// When to speak up if nothing has happened by then.
    progress: Option<Instant>,
    ended: bool,
}

/// Begins to watch: everything from now (or `options.from`) on will be seen, however late the stream is first polled.
pub(crate) fn watch(
    core: Arc<Core>,
    range: &Range,
    options: WatchOptions,
) -> BoxStream<'static, Result<Signal, Error>> {
    let bell = Arc::new(Bell::default());
    match Cursor::new(&core, range, options.from, Arc::clone(&bell)) {
        Err(error) => stream::iter([Err(error)]).boxed(),
        Ok((cursor, now)) => {
            let progress = options.progress.then(|| Instant::now() + core.progress_interval);
            let ready = VecDeque::from([Signal::Started(now)]);
            let watch = Watch { cursor, bell, ready, progress, ended: false };
            stream::unfold(watch, |mut watch| async move { watch.next().await.map(|signal| (signal, watch)) }).boxed()
        }
    }
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        loop {
            if let Some(signal) = self.ready.pop_front() {
                self.progress = self.progress.map(|_| Instant::now() + self.cursor.core.progress_interval);
                return Some(Ok(signal));
            }
            if self.ended {
                return None;
            }
            match self.cursor.read(true) {
                Ok(signals) => self.ready.extend(signals),
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
            // While behind, on to the next portion at once: a poll that finds nothing says that there is nothing up to
            // the published revision (the contract of `Kv::local_revision`).
            if !self.cursor.behind && self.ready.is_empty() && !self.wait().await {
                self.say_progress();
            }
        }
    }

    /// Waits for a mark; `false` when it is time to speak up.
    async fn wait(&self) -> bool {
        let woken = self.bell.wait();
        match self.progress {
            None => woken.await,
            Some(at) => tokio::select! {
                () = woken => {}
                () = sleep_until(at) => return false,
            },
        }
        self.bell.take();
        true
    }

    fn say_progress(&mut self) {
        let published = self.cursor.core.published();
        if self.cursor.caught_up(published) {
            self.ready.push_back(Signal::Progress(published));
        } else if self.cursor.mark.unread() == 0 {
            self.progress = self.progress.map(|_| Instant::now() + self.cursor.core.progress_interval);
        }
    }
}

#[cfg(test)]
mod tests;
