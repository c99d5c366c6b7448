//! Watch: many watches on one stream. etcd: server/etcdserver/api/v3rpc/watch.go.
//!
//! The response stream is pulled: nothing is read out of the history before the client has taken what came before, so a
//! slow client costs a place in the history, not memory. All watches of a stream ring one bell.
//!
//! Progress is told when every watch of the stream has seen everything up to a revision that was published before that was
//! looked at (etcd #15220, #17507). A request for progress that comes too early waits for that moment.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use futures::{Stream, StreamExt, stream};
use proto::etcd::etcdserverpb::watch_request::RequestUnion;
use proto::etcd::etcdserverpb::watch_server::Watch;
use proto::etcd::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::time::{Instant, sleep_until};
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use super::errors::{no_leader, status};
use super::events::{Manner, compacted, progress, refused, responses};
use crate::kv::{Error, Range};
use crate::marks::Bell;
use crate::span::end_of;
use crate::watch::Cursor;

/// Requests taken between two rounds of reading.
const REQUESTS: usize = 16;
/// Watches read, a portion of each, between two looks at what the client asks for; fewer if so many responses have come of them.
const ROUND: usize = 16;
/// The ID by which a response speaks for all watches of its stream.
const ALL: i64 = -1;

type Responses = Pin<Box<dyn Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Watch for Service {
    type WatchStream = Responses;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Responses>, Status> {
        let needs_leader = request.metadata().get("hasleader").is_some_and(|value| value == "true");
        // In a box: the stream moves it for each response.
        let mut session = Box::new(Session::new(self.clone(), request.into_inner()));
        if needs_leader {
            let store = Arc::clone(&self.store);
            session.leader_lost = Some(async move { store.leader_lost().await }.boxed());
        }
        let stream = stream::unfold(session, |mut session| async move {
            let response = session.next().await?;
            Some((response, session))
        });
        Ok(Response::new(stream.boxed()))
    }
}

/// One watch.
struct One {
    cursor: Cursor,
    manner: Manner,
    /// Whether it is told its progress now and then; `Some(true)` if nothing was sent since the last time.
    idle: Option<bool>,
    /// Whether it stands in the queue of those to be read.
    queued: bool,
}

/// One stream.
struct Session {
    service: Service,
    /// `None` once the client has nothing more to ask.
    requests: Option<Streaming<WatchRequest>>,
    bell: Arc<Bell>,
    watches: BTreeMap<i64, One>,
    /// Watch IDs by the store's numbers.
    ids: HashMap<u64, i64>,
    next_id: i64,
    /// To be read, in turn.
    unread: VecDeque<i64>,
    out: VecDeque<WatchResponse>,
    /// Whether the client waits to hear how far all watches are.
    asked: bool,
    /// For a client that rather goes elsewhere than waits here without a leader.
    leader_lost: Option<BoxFuture<'static, ()>>,
    /// When to tell the watches that want it how far they are.
    tick: Instant,
    ended: bool,
}

impl Session {
    fn new(service: Service, requests: Streaming<WatchRequest>) -> Self {
        Self {
            tick: Instant::now() + service.store.progress_interval(),
            service,
            requests: Some(requests),
            bell: Arc::default(),
            watches: BTreeMap::new(),
            ids: HashMap::new(),
            next_id: 0,
            unread: VecDeque::new(),
            out: VecDeque::new(),
            asked: false,
            leader_lost: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Option<Result<WatchResponse, Status>> {
        loop {
            if let Some(response) = self.out.pop_front() {
                return Some(Ok(response));
            }
            if self.ended {
                return None;
            }
            // Before the bell is looked at: what was published by now has rung it.
            let published = self.service.store.local();
            for number in self.bell.take() {
                if let Some(id) = self.ids.get(&number).copied() {
                    self.queue(id);
                }
            }
            if !self.unread.is_empty() {
                if let Err(end) = self.take_ready() {
                    self.ended = true;
                    return end.map(Err);
                }
                if !self.out.is_empty() {
                    continue;
                }
            }
            if !self.unread.is_empty() {
                if let Err(error) = self.read_round() {
                    self.ended = true;
                    return Some(Err(status(error)));
                }
                continue;
            }
            if self.asked && self.all_caught_up(published) {
                self.asked = false;
                self.out.push_back(progress(ALL, self.service.header(published)));
                continue;
            }
            if let Err(end) = self.wait().await {
                self.ended = true;
                return end.map(Err);
            }
        }
    }

    /// Reads a portion of each of the next watches.
    fn read_round(&mut self) -> Result<(), Error> {
        for _ in 0..ROUND {
            if self.out.len() >= ROUND {
                break;
            }
            let Some(id) = self.unread.pop_front() else { break };
            self.read(id)?;
        }
        Ok(())
    }

    /// Once: one that falls behind must not take its neighbours' turns.
    fn queue(&mut self, id: i64) {
        if let Some(one) = self.watches.get_mut(&id).filter(|one| !one.queued) {
            one.queued = true;
            self.unread.push_back(id);
        }
    }

    /// Reads a portion of one watch's history.
    fn read(&mut self, id: i64) -> Result<(), Error> {
        let Some(one) = self.watches.get_mut(&id) else { return Ok(()) };
        one.queued = false;
        match one.cursor.read(one.manner.prev_kv) {
            Ok(signals) => {
                if one.cursor.behind() {
                    one.queued = true;
                    self.unread.push_back(id);
                }
                let service = &self.service;
                let most = service.max_request_bytes + super::OVERHEAD;
                let made = responses(id, one.manner, signals, |revision| service.header(revision), most);
                if !made.is_empty() {
                    one.idle = one.idle.map(|_| false);
                }
                self.out.extend(made);
                Ok(())
            }
            Err(Error::Compacted(revision)) => {
                self.forget(id);
                self.out.push_back(compacted(id, self.service.header_now(), revision));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn all_caught_up(&mut self, published: u64) -> bool {
        // Without watches nobody is answered, as by etcd.
        !self.watches.is_empty() && self.watches.values_mut().all(|one| one.cursor.caught_up(published))
    }

    /// Waits for something to do. `Err` ends the stream.
    async fn wait(&mut self) -> Result<(), Option<Status>> {
        let wants_ticks = self.watches.values().any(|one| one.idle.is_some());
        let requests = self.requests.as_mut();
        let next = async {
            match requests {
                Some(requests) => requests.next().await,
                None => std::future::pending().await,
            }
        };
        let leader_lost = self.leader_lost.as_mut();
        let lost = async {
            match leader_lost {
                Some(lost) => lost.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.bell.wait() => Ok(()),
            () = lost => Err(Some(no_leader())),
            () = sleep_until(self.tick), if wants_ticks => {
                self.tick();
                Ok(())
            }
            request = next => self.hear(request),
        }
    }

    /// Takes what the client has asked for by now: however much there is to read, it does not wait, and what it cancels is
    /// not read to the end.
    fn take_ready(&mut self) -> Result<(), Option<Status>> {
        for _ in 0..REQUESTS {
            let next = self.requests.as_mut().map(|requests| requests.next().now_or_never());
            match next.flatten() {
                Some(request) => self.hear(request)?,
                None => break,
            }
        }
        Ok(())
    }

    /// The next request, or the end of them. `Err` ends the stream.
    fn hear(&mut self, request: Option<Result<WatchRequest, Status>>) -> Result<(), Option<Status>> {
        match request {
            Some(Ok(request)) => self.take(request),
            // The client is gone.
            Some(Err(_)) => return Err(None),
            None => self.requests = None,
        }
        Ok(())
    }

    fn tick(&mut self) {
        self.tick = Instant::now() + self.service.store.progress_interval();
        let published = self.service.store.local();
        for (id, one) in &mut self.watches {
            if one.idle == Some(true) && one.cursor.caught_up(published) {
                self.out.push_back(progress(*id, self.service.header(published)));
            }
            one.idle = one.idle.map(|_| true);
        }
    }

    fn take(&mut self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(&create),
            Some(RequestUnion::CancelRequest(cancel)) => self.cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.asked = !self.watches.is_empty(),
            None => {}
        }
    }

    fn cancel(&mut self, watch_id: i64) {
        if self.forget(watch_id) {
            let header = self.service.header_now();
            self.out.push_back(WatchResponse { header, watch_id, canceled: true, ..WatchResponse::default() });
        }
    }

    fn create(&mut self, request: &WatchCreateRequest) {
        let header = self.service.header_now();
        let end = end_of(&request.range_end);
        let open = end.as_deref() == Some(b"\0");
        let reason = if request.start_revision < 0 {
            "etcdserver: mvcc: required revision has been compacted"
        } else if request.watch_id != 0 && self.watches.contains_key(&request.watch_id) {
            "mvcc: duplicate watch ID provided on the WatchStream"
        } else if !open && end.as_ref().is_some_and(|end| request.key >= *end) {
            "mvcc: watcher range is empty"
        } else {
            ""
        };
        if !reason.is_empty() {
            self.out.push_back(refused(header, reason));
            return;
        }
        let id = self.choose_id(request.watch_id);
        let range = Range { key: request.key.clone(), end, ..Range::default() };
        let from = super::convert::unsigned(request.start_revision);
        let created = |header| WatchResponse { header, watch_id: id, created: true, ..WatchResponse::default() };
        match Cursor::new(self.service.store.core(), &range, from, Arc::clone(&self.bell)) {
            Ok((cursor, now)) => {
                self.out.push_back(created(self.service.header(now)));
                self.ids.insert(cursor.id(), id);
                let (idle, behind) = (request.progress_notify.then_some(true), cursor.behind());
                self.watches.insert(id, One { cursor, manner: Manner::of(request), idle, queued: false });
                if behind {
                    self.queue(id);
                }
            }
            Err(Error::Compacted(revision)) => {
                self.out.push_back(created(header));
                self.out.push_back(compacted(id, header, revision));
            }
            Err(error) => self.out.push_back(refused(header, &format!("etcdserver: {error}"))),
        }
    }

    fn choose_id(&mut self, asked: i64) -> i64 {
        if asked != 0 {
            return asked;
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    fn forget(&mut self, id: i64) -> bool {
        let gone = self.watches.remove(&id);
        if let Some(one) = &gone {
            self.ids.remove(&one.cursor.id());
        }
        gone.is_some()
    }
}
