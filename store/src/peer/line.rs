//! What is said to one member: written to the connection by whoever says it, as far as the connection takes it at once; the rest by
//! the task that keeps the way. The writer's thread thus wakes nobody, and waits only while that task writes.
//!
//! What comes while there is no way is not all lost: a message of raft's would be old, but a request that was handed on has not
//! left yet, and its client waits. A member may hear who leads before it can reach that one, as in the first moments of a cluster.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, BytesMut};
use parking_lot::Mutex;
use proto::peer::parcel::Body;
use proto::peer::{Hello, Parcel, Refusal};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames;
use crate::remote::dial::Io;

/// For how long a request that was handed on, or word of one, is worth sending: less than its client waits, which is 50
/// heartbeat intervals and two election timeouts (5 s and 2 s by default).
const FRESH: Duration = Duration::from_millis(500);
/// Parcels that wait for a way; more are dropped.
const WAITING: usize = 4096;
/// Bytes that wait for the connection; while there are more, what comes is dropped.
const UNSENT: usize = 64 << 20;
/// A buffer that has once been longer is not kept.
const KEPT: usize = 1 << 20;
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

    /// Sends parcels as far as possible; the rest later. Whether they have not been dropped: the member does not keep up.
    pub(super) fn send(&self, parcels: Vec<Parcel>) -> bool {
        match &mut *self.0.lock() {
            State::Down(waiting) => waiting.keep(parcels),
            State::Up(connection) if connection.broken.is_some() => connection.waiting.keep(parcels),
            State::Up(connection) => {
                if connection.unsent.len() > UNSENT {
                    return false;
                }
                parcels.iter().for_each(|parcel| frames::put(parcel, &mut connection.unsent));
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
                State::Down(waiting) => waiting.take(),
                State::Up(_) => VecDeque::new(),
            };
            if waiting.is_empty() {
                *state = State::Up(connection);
                return;
            }
            // It may be much: others go on meanwhile.
            drop(state);
            waiting.iter().for_each(|parcel| frames::put(parcel, &mut connection.unsent));
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

    fn take(&mut self) -> VecDeque<Parcel> {
        self.forget_old();
        std::mem::take(&mut self.0).into_iter().map(|(_, parcel)| parcel).collect()
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
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proto::peer::{Forward, Placed, Refused};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const HELLO: Hello = Hello { cluster: 1, from: 2, to: 3, nonce: 4 };

    fn forward(ticket: u64, bytes: usize) -> Parcel {
        let request = vec![7; bytes].into();
        Parcel { body: Some(Body::Forward(Forward { ticket, request, ..Forward::default() })) }
    }

    fn connected(line: &Line, room: usize) -> DuplexStream {
        let (near, far) = tokio::io::duplex(room);
        line.connected(Box::new(near), HELLO);
        far
    }

    async fn end(line: &Line) -> End {
        poll_fn(|context| line.poll(context)).await
    }

    /// What was said until the end of the connection, or until the ticket `last`.
    async fn said(far: &mut (impl AsyncRead + Unpin), last: u64) -> Vec<String> {
        let (mut buffer, mut said) = (BytesMut::new(), Vec::new());
        assert_eq!(far.read_u8().await.unwrap(), frames::TALK);
        loop {
            while let Some((parcel, _)) = frames::take::<Parcel>(&mut buffer, UNSENT).unwrap() {
                said.push(match parcel.body {
                    Some(Body::Hello(hello)) => format!("hello from {}", hello.from),
                    Some(Body::Forward(forward)) if forward.ticket == last => return said,
                    Some(Body::Forward(forward)) => forward.ticket.to_string(),
                    Some(Body::Placed(_)) => "placed".into(),
                    Some(Body::Refused(_)) => "refused".into(),
                    _ => "raft".into(),
                });
            }
            if far.read_buf(&mut buffer).await.unwrap() == 0 {
                return said;
            }
        }
    }

    #[tokio::test]
    async fn what_is_waited_for_waits_for_a_way() {
        let line = Line::new();
        let parcel = |body| Parcel { body: Some(body) };
        assert!(line.send(vec![parcel(Body::Raft(Default::default())), forward(1, 0)]));
        assert!(line.send(vec![parcel(Body::Placed(Placed::default())), parcel(Body::Refused(Refused::default()))]));
        if let State::Down(waiting) = &mut *line.0.lock() {
            let long_ago = Instant::now().checked_sub(FRESH).unwrap();
            waiting.0.push_front((long_ago, forward(0, 0)));
        }
        let mut far = connected(&line, 1 << 10);
        assert!(line.send(vec![parcel(Body::Raft(Default::default())), forward(2, 0), forward(3, 0)]));
        let said = tokio::select! {
            end = end(&line) => panic!("{end:?}"),
            said = said(&mut far, 3) => said,
        };
        assert_eq!(said.join(" "), "hello from 2 1 placed refused raft 2");
    }

    /// Over a real socket, by a thread that is none of the runtime's; the task that goes on is idle until then.
    #[tokio::test]
    async fn what_the_connection_does_not_take_at_once_is_written_later() {
        let line = Arc::new(Line::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        line.connected(Box::new(near), HELLO);
        let polls = Arc::new(AtomicUsize::new(0));
        let (polled, polling) = (Arc::clone(&polls), Arc::clone(&line));
        let going_on = poll_fn(move |context| {
            polled.fetch_add(1, Ordering::SeqCst);
            polling.poll(context)
        });
        let task = tokio::spawn(going_on);
        while polls.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        let (sending, count) = (Arc::clone(&line), 16);
        let sent = std::thread::spawn(move || (1..=count).all(|ticket| sending.send(vec![forward(ticket, 1 << 20)])));
        assert!(sent.join().unwrap());
        let left = |line: &Line| match &*line.0.lock() {
            State::Up(connection) => connection.unsent.len(),
            State::Down(_) => 0,
        };
        assert!(left(&line) > 1 << 20, "the socket took it all: {}", left(&line));
        let said = tokio::time::timeout(Duration::from_secs(60), said(&mut far, count)).await;
        assert_eq!(said.unwrap()[1..], (1..count).map(|ticket| ticket.to_string()).collect::<Vec<_>>());
        // Written to the end, and the memory given back.
        let State::Up(connection) = &mut *line.0.lock() else { panic!("it is up") };
        assert!(connection.unsent.is_empty() && !connection.unsent.try_reclaim(KEPT + 1));
        task.abort();
    }

    #[tokio::test]
    async fn who_finds_the_connection_broken_says_so_and_keeps_the_rest() {
        let line = Line::new();
        let (near, far) = tokio::io::duplex(1 << 10);
        let mut far = Some(far);
        line.connected(Box::new(OnlyWrites(near)), HELLO);
        let mut sent = false;
        let found = poll_fn(|context| {
            let end = line.poll(context);
            // Idle by now: only who sends can find out, and must wake it.
            if !std::mem::replace(&mut sent, true) {
                drop(far.take());
                assert!(line.send(vec![forward(1, 0)]));
                assert!(line.send(vec![forward(2, 0)]));
            }
            end
        });
        let end = tokio::time::timeout(Duration::from_secs(60), found).await.unwrap();
        assert_eq!(format!("{end:?}"), "Lost(\"broken pipe\")");
        let mut far = connected(&line, 1 << 10);
        let said = tokio::select! {
            end = self::end(&line) => panic!("{end:?}"),
            said = said(&mut far, 2) => said,
        };
        assert_eq!(said.join(" "), "hello from 2", "the first may have left");
    }

    /// Nothing is heard on it, not even its end.
    struct OnlyWrites(DuplexStream);

    impl AsyncRead for OnlyWrites {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for OnlyWrites {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(context, data)
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_a_member_does_not_take_is_dropped() {
        let line = Line::new();
        assert!(!line.send((0..=WAITING as u64).map(|ticket| forward(ticket, 0)).collect()), "too many wait for a way");
        let _far = connected(&line, 100);
        let large = || vec![forward(1, 1 << 20)];
        let sent = (0..100).filter(|_| line.send(large())).count();
        assert!((64..66).contains(&sent), "{sent}");
    }

    #[tokio::test]
    async fn the_end_says_why() {
        let refusal = Refusal { code: 7, reason: "no".into() };
        let mut frame = BytesMut::new();
        frames::put(&refusal, &mut frame);
        // (what the other member says before it closes, the end)
        let table = [
            (&frame[..], "Refused(Refusal { code: 7, reason: \"no\" })"),
            (&frame[..5], "Lost(\"broken pipe\")"),
            (&[0, 1, 0, 0][..], "Lost(\"a message of 65536 bytes\")"),
            (&[][..], "Lost(\"broken pipe\")"),
        ];
        for (says, expected) in table {
            let line = Line::new();
            let mut far = connected(&line, 1 << 10);
            far.write_all(says).await.unwrap();
            drop(far);
            // Found out by writing, too: what was said before that is heard all the same.
            assert!(line.send(vec![forward(1, 10)]));
            assert_eq!(format!("{:?}", end(&line).await), expected);
            assert!(matches!(&*line.0.lock(), State::Down(_)));
        }
        let line = Line::new();
        let mut far = connected(&line, 1 << 10);
        let (end, ()) = tokio::join!(end(&line), async { far.shutdown().await.unwrap() });
        assert_eq!(format!("{end:?}"), "Lost(\"the member has ended the stream\")");
    }
}
