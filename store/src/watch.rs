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
use crate::marks::Mark;
use crate::shared::Core;
use crate::span::Span;

/// Changes looked at while the state is locked for reading.
const PORTION: usize = 64;

/// The reader's side.
struct Watch {
    core: Arc<Core>,
    id: u64,
    mark: Arc<Mark>,
    /// Revisions below this have been sent, or do not touch the span.
    next: Revision,
    /// Whether the history holds changes from `next` on that have not been looked at; then a mark says nothing new.
    behind: bool,
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
    let span = if range.key.is_empty() {
        // etcd: an empty key means the first one (server/etcdserver/api/v3rpc/watch.go).
        Span::of(&bytes::Bytes::from_static(b"\0"), range.end.as_ref())
    } else {
        Span::of(&range.key, range.end.as_ref())
    };
    // Known to the writer first: what is applied after the look at the revision below will be marked.
    let (id, mark) = core.hub.add(span);
    let now = core.state.read().revision();
    let next = if options.from == 0 { now + 1 } else { options.from };
    let progress = options.progress.then(|| Instant::now() + core.progress_interval);
    let ready = VecDeque::from([Signal::Started(now)]);
    let mut watch = Watch { core, id, mark, next, behind: next <= now, ready, progress, ended: false };
    if let Err(error) = watch.check(next) {
        watch.ended = true;
        return stream::iter([Err(error)]).boxed();
    }
    stream::unfold(watch, |mut watch| async move { watch.next().await.map(|signal| (signal, watch)) }).boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        loop {
            if let Some(signal) = self.ready.pop_front() {
                self.progress = self.progress.map(|_| Instant::now() + self.core.progress_interval);
                return Some(Ok(signal));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.core.open().and_then(|()| self.read()) {
                self.ended = true;
                return Some(Err(error));
            }
            // While behind, on to the next portion at once: a poll that finds nothing says that there is nothing up to
            // the published revision (the contract of `Kv::local_revision`).
            if !self.behind && self.ready.is_empty() && !self.wait().await {
                self.say_progress();
            }
        }
    }

    /// Takes what is unread, up to a portion, out of the history.
    fn read(&mut self) -> Result<(), Error> {
        let unread = self.mark.take();
        let from = match unread {
            _ if self.behind => self.next,
            0 => return Ok(()),
            unread => unread.max(self.next),
        };
        let state = self.core.state.read();
        if from < state.compacted() {
            return Err(Error::Compacted(state.compacted()));
        }
        let (signals, next) = state.signals(&self.mark.span, from, PORTION);
        self.behind = next <= state.revision();
        self.next = next.max(self.next);
        self.ready.extend(signals);
        Ok(())
    }

    /// Waits for a mark; `false` when it is time to speak up.
    async fn wait(&self) -> bool {
        let woken = self.mark.wake.notified();
        match self.progress {
            None => woken.await,
            Some(at) => tokio::select! {
                () = woken => {}
                () = sleep_until(at) => return false,
            },
        }
        true
    }

    fn say_progress(&mut self) {
        let published = self.core.published();
        if self.mark.unread() == 0 {
            // A watch from a future revision has nothing to say before it.
            if self.next <= published + 1 {
                self.next = published + 1;
                self.ready.push_back(Signal::Progress(published));
            } else {
                self.progress = self.progress.map(|_| Instant::now() + self.core.progress_interval);
            }
        }
    }

    fn check(&self, from: Revision) -> Result<(), Error> {
        self.core.open()?;
        let state = self.core.state.read();
        if from < state.compacted() { Err(Error::Compacted(state.compacted())) } else { Ok(()) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.core.hub.remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::State;

    #[tokio::test]
    async fn a_dropped_watch_is_forgotten() {
        let core = Arc::new(Core::new(State::default(), Duration::from_secs(5)));
        let range = Range { key: "k".into(), ..Range::default() };
        let begin = || watch(Arc::clone(&core), &range, WatchOptions::default());
        let (mut one, two) = (begin(), begin());
        assert!(one.next().await.is_some());
        drop(one);
        assert!(!core.hub.is_empty());
        drop(two);
        assert!(core.hub.is_empty());
        core.close();
        assert!(begin().next().await.is_some_and(|signal| signal.is_err()));
        assert!(core.hub.is_empty(), "one that was refused is forgotten too");
    }
}
