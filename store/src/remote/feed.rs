//! One etcd watch, kept alive: whatever breaks, it goes on with the revision that is due, at another member if need be.
//!
//! Each feed has a stream of its own with one watch on it, so that a progress response can only be about that watch. Progress is
//! asked for while somebody wants to know a revision that has not been reached, and only of servers that tell it right.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::watch_request::RequestUnion;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status, Streaming};

use super::assemble::{Assembler, Heard};
use super::calls;
use super::convert::{Keys, signed};
use super::links::{Link, Links};
use super::pause::Pauses;
use crate::kv::{Error, Event, Range, Revision};

/// How long a member may take to confirm a watch.
const OPENING: Duration = Duration::from_secs(5);
/// Progress is asked for again so often, as upstream does.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// A stream that lived so long was no failed attempt.
const LIVED: Duration = Duration::from_secs(1);

/// Which keys are watched.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// Those that matter.
    pub(crate) range: Range,
    /// Whether to watch all keys there are where progress cannot be asked for: then every revision is seen, and is its own
    /// mark of progress.
    pub(crate) widen: bool,
}

/// What a feed says. Events in revision order, each once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Everything that one revision did to the range; other keys' events may be among them.
    Events(Revision, Vec<Event>),
    /// Nothing more up to here.
    Progress(Revision),
}

/// See the module's header.
pub(crate) struct Feed {
    links: Arc<Links>,
    keys: Arc<Keys>,
    scope: Scope,
    /// The revision that somebody waits for.
    wanted: watch::Receiver<Revision>,
    due: Revision,
    open: Option<Open>,
    heard: VecDeque<Heard>,
    pauses: Pauses,
}

struct Open {
    link: Link,
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
    assembler: Assembler,
    since: Instant,
}

impl Feed {
    /// A watch of `scope` from the revision `due` on.
    pub(crate) fn new(
        links: Arc<Links>,
        keys: Arc<Keys>,
        scope: Scope,
        due: Revision,
        wanted: watch::Receiver<Revision>,
    ) -> Self {
        Self { links, keys, scope, wanted, due, open: None, heard: VecDeque::new(), pauses: Pauses::default() }
    }

    /// The first revision that has not been said.
    pub(crate) fn due(&self) -> Revision {
        self.due
    }

    /// What comes next. May be dropped while it waits; nothing is lost.
    ///
    /// # Errors
    /// [`Error::Compacted`]; everything else is tried again, forever.
    pub(crate) async fn next(&mut self) -> Result<Said, Error> {
        loop {
            match self.heard.pop_front() {
                Some(Heard::Events(revision, events)) => {
                    self.due = revision + 1;
                    return Ok(Said::Events(revision, events));
                }
                Some(Heard::Progress(revision)) => {
                    self.due = revision + 1;
                    return Ok(Said::Progress(revision));
                }
                Some(Heard::Compacted(compacted)) => {
                    self.open = None;
                    return Err(Error::Compacted(compacted));
                }
                Some(Heard::Created(_)) => continue,
                Some(Heard::Ended(reason)) => self.broken(&reason).await,
                None => match self.listen().await {
                    Ok(()) => {}
                    Err(reason) => self.broken(&reason).await,
                },
            }
        }
    }

    /// Gives the stream up, pauses.
    async fn broken(&mut self, reason: &str) {
        if let Some(open) = self.open.take() {
            tracing::warn!(endpoint = %open.link.url, due = self.due, reason, "a watch of the store broke, going on");
            self.links.failed(open.link.id, reason);
            if open.since.elapsed() >= LIVED {
                self.pauses.reset();
                return;
            }
        }
        sleep(self.pauses.next()).await;
    }

    /// Takes one response in.
    async fn listen(&mut self) -> Result<(), String> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.begin().await?;
                self.open.insert(open)
            }
        };
        let response = hear(open, &mut self.wanted).await.map_err(|status| status.message().to_owned())?;
        let response = response.ok_or("the server ended the stream")?;
        open.assembler.take(&self.keys, response, &mut self.heard);
        Ok(())
    }

    async fn begin(&self) -> Result<Open, String> {
        let link = self.links.get(Instant::now() + OPENING).await.map_err(|error| error.to_string())?;
        let range = &self.scope.range;
        let wide = self.scope.widen && !link.progress;
        let all = || bytes::Bytes::from_static(b"\0");
        let create = pb::WatchCreateRequest {
            key: if wide { all() } else { self.keys.there(&range.key) },
            range_end: if wide {
                all()
            } else {
                range.end.as_ref().map(|end| self.keys.there(end)).unwrap_or_default()
            },
            start_revision: signed(self.due),
            prev_kv: true,
            fragment: true,
            ..pb::WatchCreateRequest::default()
        };
        let (requests, mut queue) = mpsc::channel(4);
        let first = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let later = futures::stream::poll_fn(move |cx| queue.poll_recv(cx));
        let mut request = Request::new(futures::stream::iter([first]).chain(later));
        // A member that loses its leader must end the stream instead of going silent.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        let opening = async {
            let mut client = calls::watch(link.channel.clone());
            let mut responses = client.watch(request).await?.into_inner();
            let response = responses.message().await?.ok_or_else(|| Status::unavailable("the stream ended"))?;
            Ok::<_, Status>((responses, response))
        };
        let opened = match timeout(OPENING, opening).await {
            Ok(opened) => opened.map_err(|status| (status.code() == Code::Unavailable, status.message().to_owned())),
            Err(_) => Err((true, "the watch was not confirmed in time".to_owned())),
        };
        let (responses, response) = opened.map_err(|(unusable, reason)| {
            if unusable {
                self.links.failed(link.id, &reason);
            }
            reason
        })?;
        let mut assembler = Assembler::new(self.due, link.progress);
        let mut heard = VecDeque::new();
        assembler.take(&self.keys, response, &mut heard);
        match heard.pop_front() {
            Some(Heard::Created(_)) => Ok(Open { link, requests, responses, assembler, since: Instant::now() }),
            // Said again by the stream's end; the reason is what matters.
            Some(Heard::Ended(reason)) => Err(reason),
            other => Err(format!("the watch began with {other:?}")),
        }
    }
}

/// The next response. Meanwhile asks for progress, as long as somebody waits for a revision that is still due.
async fn hear(open: &mut Open, wanted: &mut watch::Receiver<Revision>) -> Result<Option<pb::WatchResponse>, Status> {
    loop {
        let behind = open.link.progress && *wanted.borrow_and_update() >= open.assembler.due();
        if behind {
            let progress = RequestUnion::ProgressRequest(pb::WatchProgressRequest {});
            // Full: the server has enough of them to answer.
            let _ = open.requests.try_send(pb::WatchRequest { request_union: Some(progress) });
        }
        let again = async { if behind { sleep(ASK_AGAIN).await } else { std::future::pending().await } };
        let changed = async {
            if wanted.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            response = open.responses.message() => return response,
            () = changed => {}
            () = again => {}
        }
    }
}
