//! The watches of a remote store: places in the hub, and history fetched from the store where the hub does not reach back.
//!
//! A watch that is behind takes history from a feed of its own up to where the hub was when it began, then goes on in the hub, as
//! often as it falls behind again. It says [`Signal::Started`] when it first is in the hub: from then on a look finds
//! everything up to the hub's head without waiting, unless it falls behind; then the history comes as fast as the store sends it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::Shared;
use super::feed::{Feed, Said, Scope};
use super::hub::{Look, Place};
use crate::kv::{Error, Event, Range, Revision, Signal, WatchOptions};
use crate::span::Span;

/// Revisions taken out of the hub at once.
const PORTION: usize = 64;
/// History that stays away for so long will not come.
const SILENCE: Duration = Duration::from_secs(30);

struct Watch {
    shared: Arc<Shared>,
    range: Range,
    span: Span,
    place: Place,
    history: Option<History>,
    /// The revision to start at, until it is said.
    start: Option<Start>,
    ready: VecDeque<Signal>,
    /// When to speak up if nothing has happened by then.
    progress: Option<Instant>,
    ended: bool,
}

enum Start {
    At(Revision),
    AtHead,
}

struct History {
    feed: Feed,
    /// Where the hub takes over.
    target: Revision,
    /// Tells the feed that the target is waited for.
    _wanted: watch::Sender<Revision>,
}

/// Begins to watch: what happens after everything that this process knows of, or `options.from`, on.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    range: Range,
    options: WatchOptions,
) -> BoxStream<'static, Result<Signal, Error>> {
    // etcd: an empty key means the first one (server/etcdserver/api/v3rpc/watch.go).
    let range = if range.key.is_empty() { Range { key: "\0".into(), ..range } } else { range };
    let span = Span::of(&range.key, range.end.as_ref());
    let (next, start) = match options.from {
        0 => (shared.hub.known() + 1, Start::At(shared.hub.known())),
        from => (from, Start::AtHead),
    };
    let watch = Watch {
        place: shared.hub.add(span.clone(), next),
        shared: Arc::clone(shared),
        range,
        span,
        history: None,
        start: Some(start),
        ready: VecDeque::new(),
        progress: options.progress.then(|| Instant::now() + shared.progress_interval),
        ended: false,
    };
    stream::unfold(watch, |mut watch| async move { watch.next().await.map(|signal| (signal, watch)) }).boxed()
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        loop {
            if let Some(signal) = self.ready.pop_front() {
                self.progress = self.progress.map(|_| Instant::now() + self.shared.progress_interval);
                return Some(Ok(signal));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.step().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    /// Makes something ready, or waits for a reason to try again.
    async fn step(&mut self) -> Result<(), Error> {
        if self.history.is_some() {
            return self.fetch().await;
        }
        let head = self.shared.hub.head();
        match self.place.look(PORTION) {
            Look::Behind => {
                self.begin_history(head);
                return Ok(());
            }
            Look::Events(found) => {
                self.say_started(head);
                self.ready.extend(found.into_iter().map(|(revision, events)| Signal::Events(revision, events)));
            }
            Look::Nothing => self.say_started(head),
        }
        if self.ready.is_empty() && !self.wait().await {
            self.say_progress();
        }
        Ok(())
    }

    fn say_started(&mut self, head: Revision) {
        match self.start.take() {
            Some(Start::At(revision)) => self.ready.push_back(Signal::Started(revision)),
            Some(Start::AtHead) => self.ready.push_back(Signal::Started(head)),
            None => {}
        }
    }

    fn begin_history(&mut self, target: Revision) {
        let (wanted, receiver) = watch::channel(target);
        let scope = Scope { range: self.range.clone(), widen: true };
        let (links, keys) = (self.shared.links.clone(), self.shared.keys.clone());
        let feed = Feed::new(links, keys, scope, self.place.next(), receiver);
        self.history = Some(History { feed, target, _wanted: wanted });
    }

    async fn fetch(&mut self) -> Result<(), Error> {
        let Some(history) = &mut self.history else { return Ok(()) };
        let said = timeout(SILENCE, history.feed.next()).await;
        let said = said.map_err(|_| Error::Unavailable("the store does not send its history".into()))??;
        let next = history.feed.due();
        let reached = next > history.target;
        if let Said::Events(revision, events) = said {
            let events: Vec<Event> = events.into_iter().filter(|event| self.span.contains(&event.kv.key)).collect();
            if !events.is_empty() {
                self.ready.push_back(Signal::Events(revision, events));
            }
        }
        if reached {
            self.history = None;
            self.place.resume(next);
        }
        Ok(())
    }

    /// Waits for something unread; `false` when it is time to speak up.
    async fn wait(&self) -> bool {
        match self.progress {
            None => self.place.woken().await,
            Some(at) => tokio::select! {
                () = self.place.woken() => {}
                () = sleep_until(at) => return false,
            },
        }
        true
    }

    fn say_progress(&mut self) {
        let head = self.shared.hub.head();
        // A watch from a future revision has nothing to say before it.
        if self.place.is_read() && self.place.next() <= head + 1 {
            self.ready.push_back(Signal::Progress(head));
        } else {
            self.progress = self.progress.map(|_| Instant::now() + self.shared.progress_interval);
        }
    }
}
