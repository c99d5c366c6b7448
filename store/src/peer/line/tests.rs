//! Who writes what, and what becomes of it where there is no way, or one that ends.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proto::peer::{Forward, Placed, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

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

/// A task that keeps it, and waits by now.
async fn idle(line: &Arc<Line>) -> JoinHandle<End> {
    let polls = Arc::new(AtomicUsize::new(0));
    let (polled, polling) = (Arc::clone(&polls), Arc::clone(line));
    let going_on = poll_fn(move |context| {
        polled.fetch_add(1, Ordering::SeqCst);
        polling.poll(context)
    });
    let task = tokio::spawn(going_on);
    while polls.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    task
}

fn unsent(line: &Line) -> usize {
    match &*line.0.lock() {
        State::Up(connection) => connection.unsent.len(),
        State::Down(_) => 0,
    }
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

#[tokio::test(start_paused = true)]
async fn what_is_waited_for_waits_for_a_way() {
    let line = Line::new();
    let parcel = |body| Parcel { body: Some(body) };
    assert!(line.send(vec![parcel(Body::Raft(Default::default())), forward(1, 0)], true));
    assert!(line.send(vec![parcel(Body::Placed(Placed::default())), parcel(Body::Refused(Refused::default()))], true));
    if let State::Down(waiting) = &mut *line.0.lock() {
        let long_ago = Instant::now().checked_sub(FRESH).unwrap();
        waiting.0.push_front((long_ago, forward(0, 0)));
    }
    let mut far = connected(&line, 1 << 10);
    assert!(line.send(vec![parcel(Body::Raft(Default::default())), forward(2, 0), forward(3, 0)], true));
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
    let task = idle(&line).await;
    let (sending, count) = (Arc::clone(&line), 16);
    let sent = std::thread::spawn(move || (1..=count).all(|ticket| sending.send(vec![forward(ticket, 1 << 20)], true)));
    assert!(sent.join().unwrap());
    assert!(unsent(&line) > 1 << 20, "the socket took it all: {}", unsent(&line));
    let said = tokio::time::timeout(Duration::from_secs(60), said(&mut far, count)).await;
    assert_eq!(said.unwrap()[1..], (1..count).map(|ticket| ticket.to_string()).collect::<Vec<_>>());
    // Written to the end, and the memory given back.
    let State::Up(connection) = &mut *line.0.lock() else { panic!("it is up") };
    assert!(connection.unsent.is_empty() && !connection.unsent.try_reclaim(KEPT + 1));
    task.abort();
}

#[tokio::test]
async fn where_many_write_the_task_does() {
    let line = Arc::new(Line::new());
    let mut far = connected(&line, 1 << 10);
    let task = idle(&line).await;
    assert!(line.send(vec![forward(1, 10)], true));
    assert_eq!(unsent(&line), 0);
    assert!(line.send(vec![forward(2, 10)], false));
    assert!(unsent(&line) > 10);
    let said = tokio::time::timeout(Duration::from_secs(60), said(&mut far, 2)).await;
    assert_eq!(said.unwrap().join(" "), "hello from 2 1");
    task.abort();
}

#[tokio::test(start_paused = true)]
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
            assert!(line.send(vec![forward(1, 0)], true));
            assert!(line.send(vec![forward(2, 0)], true));
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
    assert!(
        !line.send((0..=WAITING as u64).map(|ticket| forward(ticket, 0)).collect(), true),
        "too many wait for a way"
    );
    let _far = connected(&line, 100);
    let large = || vec![forward(1, 1 << 20)];
    let sent = (0..100).filter(|_| line.send(large(), true)).count();
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
        assert!(line.send(vec![forward(1, 10)], true));
        assert_eq!(format!("{:?}", end(&line).await), expected);
        assert!(matches!(&*line.0.lock(), State::Down(_)));
    }
    let line = Line::new();
    let mut far = connected(&line, 1 << 10);
    let (end, ()) = tokio::join!(end(&line), async { far.shutdown().await.unwrap() });
    assert_eq!(format!("{end:?}"), "Lost(\"the member has ended the stream\")");
}
