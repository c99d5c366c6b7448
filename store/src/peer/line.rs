//! What is said to one member: where few write, written to the connection by whoever says it, as far as the connection takes it at
//! once; all else by the task that keeps the way. So the writer's thread wakes nobody then, and waits only while that task
//! writes, or reads a refusal.
//!
//! What comes while there is no way is not all lost: a message of raft's would be old, but a request that was handed on has not
//! left yet, and its client waits. A member may hear who leads before it can reach that one, as in the first moments of a cluster.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use proto::peer::parcel::Body;
use proto::peer::{Hello, Parcel, Refusal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{KEPT, frames};
use crate::remote::dial::Io;

/// For how long a request that was handed on, or word of one, is worth sending: less than its client waits, which is 50
/// heartbeat intervals and two election timeouts (5 s and 2 s by default).
const FRESH: Duration = Duration::from_millis(500);
/// Parcels that wait for a way; more are dropped.
const WAITING: usize = 4096;
/// Bytes that wait for the connection; while there are more, what comes is dropped.
const UNSENT: usize = 64 << 20;
/// The longest refusal.
const REFUSAL: usize = 4 << 10;

/// See the module's header.
pub(super) struct Line(Mutex<State>);

enum State {
    Down(Waiting),
    Up(Connection),
}

/// What waits for a way, and since when.
#[derive(Default)]
struct Waiting(VecDeque<(Instant, Parcel)>);

struct Connection {
    io: Box<dyn Io>,
    unsent: BytesMut,
    heard: BytesMut,
    /// Of the task that keeps the way.
    waker: Waker,
    /// Why nothing can be written any more.
    broken: Option<io::Error>,
    /// What has come since, and waits for the next way.
    waiting: Waiting,
}

/// Why the other member has let go.
#[derive(Debug)]
pub(super) enum End {
    /// It said so.
    Refused(Refusal),
    /// The connection is at its end.
    Lost(String),
}

impl Line {
    /// Without a way.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Down(Waiting::default())))
    }

    /// Sends parcels, `at_once` as far as possible, and the rest when the task has its turn. False: they were dropped, as the member does
    /// not keep up.
    pub(super) fn send(&self, parcels: Vec<Parcel>, at_once: bool) -> bool {
        match &mut *self.0.lock() {
            State::Down(waiting) => waiting.keep(parcels),
            State::Up(connection) if connection.broken.is_some() => connection.waiting.keep(parcels),
            State::Up(connection) => {
                if connection.unsent.len() > UNSENT {
                    return false;
                }
                parcels.iter().for_each(|parcel| frames::put(parcel, &mut connection.unsent));
                if !at_once {
                    connection.waker.wake_by_ref();
                    return true;
                }
                let waker = connection.waker.clone();
                if let Err(error) = connection.write(&mut Context::from_waker(&waker)) {
                    connection.broken = Some(error);
                    waker.wake();
                }
                true
            }
        }
    }

    /// There is a way: this one. What waited goes first.
    pub(super) fn connected(&self, io: Box<dyn Io>, hello: Hello) {
        let mut unsent = BytesMut::new();
        unsent.put_u8(frames::TALK);
        frames::put(&Parcel { body: Some(Body::Hello(hello)) }, &mut unsent);
        let (heard, waker) = (BytesMut::new(), Waker::noop().clone());
        let mut connection = Connection { io, unsent, heard, waker, broken: None, waiting: Waiting::default() };
        loop {
            let mut state = self.0.lock();
            let waiting = match &mut *state {
                State::Down(waiting) if !waiting.0.is_empty() => std::mem::take(waiting),
                _ => {
                    *state = State::Up(connection);
                    return;
                }
            };
            // It may be much: others go on meanwhile.
            drop(state);
            waiting.fresh().for_each(|parcel| frames::put(&parcel, &mut connection.unsent));
        }
    }

    /// Goes on writing, and listens, until the connection ends: then there is no way any more.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<End> {
        let mut state = self.0.lock();
        let State::Up(connection) = &mut *state else { return Poll::Ready(End::Lost("there was no way".into())) };
        connection.waker.clone_from(context.waker());
        let end = ready!(connection.poll(context));
        let waiting = std::mem::take(&mut connection.waiting);
        let gone = std::mem::replace(&mut *state, State::Down(waiting));
        // Not while others wait for the lock: it closes a socket, and may be large.
        drop(state);
        drop(gone);
        Poll::Ready(end)
    }
}

impl Waiting {
    /// Keeps what is worth it. Whether there was room for that.
    fn keep(&mut self, parcels: Vec<Parcel>) -> bool {
        self.forget_old();
        self.0.extend(parcels.into_iter().filter(is_waited_for).map(|parcel| (Instant::now(), parcel)));
        let kept = self.0.len() <= WAITING;
        self.0.truncate(WAITING);
        kept
    }

    fn fresh(mut self) -> impl Iterator<Item = Parcel> {
        self.forget_old();
        self.0.into_iter().map(|(_, parcel)| parcel)
    }

    fn forget_old(&mut self) {
        while self.0.front().is_some_and(|(since, _)| since.elapsed() >= FRESH) {
            self.0.pop_front();
        }
    }
}

impl Connection {
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match Pin::new(&mut self.io).poll_write(context, &self.unsent) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => self.unsent.advance(written),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if self.unsent.try_reclaim(KEPT + 1) {
            self.unsent = BytesMut::new();
        }
        // TLS may still hold some of it.
        match Pin::new(&mut self.io).poll_flush(context) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let broken = self.broken.take().or_else(|| self.write(context).err());
        let read = self.read(context);
        // A refusal says more than that nobody listened any more.
        match frames::take::<Refusal>(&mut self.heard, REFUSAL) {
            Ok(Some((refusal, _))) => return Poll::Ready(End::Refused(refusal)),
            Err(error) => return Poll::Ready(End::Lost(error.to_string())),
            Ok(None) => {}
        }
        match (broken, read) {
            (Some(error), _) | (None, Poll::Ready(Err(error))) => Poll::Ready(End::Lost(error.to_string())),
            (None, Poll::Ready(Ok(()))) => Poll::Ready(End::Lost("the member has ended the stream".into())),
            (None, Poll::Pending) => Poll::Pending,
        }
    }

    /// Reads what has come; ready at the end.
    fn read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 512];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if self.heard.len() > REFUSAL {
                return Poll::Ready(Err(io::Error::other("the member says more than it may")));
            }
            self.heard.extend_from_slice(buffer.filled());
        }
    }
}

fn is_waited_for(parcel: &Parcel) -> bool {
    matches!(parcel.body, Some(Body::Forward(_) | Body::Placed(_) | Body::Refused(_)))
}

#[cfg(test)]
mod tests;
