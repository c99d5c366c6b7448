//! A TCP connection that sends at once what its side has to say at one time.
//!
//! HTTP/2's library (h2) writes every frame of more than 256 bytes by itself, and wants each flushed: a system call, a walk
//! through the kernel's TCP, and with it a wake-up of the reader, per 16 KiB of an answer and per answer of many on a connection.
//! Here small writes are copied together and large ones handed to the kernel with `MSG_MORE`; what was held back goes when the
//! future that serves the connection has no more to say for now: [`Gather::serve`]. Nothing waits for a timer.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Writes of fewer bytes are copied: cheaper than to hand them over one by one.
const SMALL: usize = 4096;
/// No more is copied together.
const MOST: usize = 32 << 10;
/// A buffer that has grown beyond this is given back when it is empty: most connections never need so much.
const KEPT: usize = 4096;
/// How long the other side may take to make room for what is left at the end.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pieces of a write that go to the kernel in one call.
const PIECES: usize = 16;

/// One end of a connection; see the module. What is written is sent only by way of [`Gather::serve`].
#[derive(Debug)]
pub struct Gathered(Arc<Mutex<Inner>>);

/// Sends what a [`Gathered`] holds back.
#[derive(Debug)]
pub struct Gather(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    /// What was copied, of which the first `sent` bytes are gone.
    buffer: Vec<u8>,
    sent: usize,
    /// The kernel may hold back what it was given last.
    held: bool,
    /// Nothing is held back any more.
    served: bool,
    /// How sending has failed, perhaps what somebody was told had been written.
    failed: Option<io::ErrorKind>,
    /// Who waits to write.
    waiting: Option<Waker>,
}

/// Makes a connection gather what is written to it.
pub fn gather(stream: TcpStream) -> (Gathered, Gather) {
    let inner = Inner { stream, buffer: Vec::new(), sent: 0, held: false, served: false, failed: None, waiting: None };
    let inner = Arc::new(Mutex::new(inner));
    (Gathered(Arc::clone(&inner)), Gather(inner))
}

impl Gather {
    /// Runs the future that serves the connection, and sends what it has written each time that it waits. Afterwards nothing is held
    /// back any more (somebody else may have the connection now, as after an upgrade).
    pub async fn serve<F: Future>(self, serving: F) -> F::Output {
        let mut serving = pin!(serving);
        let output = poll_fn(|context| {
            let polled = serving.as_mut().poll(context);
            let mut inner = self.0.lock();
            let failed = inner.failed.is_some();
            if let Poll::Ready(Err(_)) = inner.poll_send_held(context)
                && !failed
            {
                // Who has been told that all was written looks again.
                context.waker().wake_by_ref();
            }
            polled
        });
        let output = output.await;
        self.0.lock().served = true;
        // A connection that was closed has sent everything. One that was handed on may have something left; one that failed
        // waits for nobody who does not read.
        let rest = poll_fn(|context| self.0.lock().poll_send_held(context));
        let _ = tokio::time::timeout(PATIENCE, rest).await;
        output
    }
}

impl Drop for Gather {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.served = true;
        // After a panic what was written before it goes, as far as there is room; one who fails has nobody to tell.
        if inner.sent < inner.buffer.len() {
            let _ = inner.try_send(&[], SendFlags::empty());
        }
        // A connection has one place for who waits to write: this task had it last.
        if let Some(writer) = inner.waiting.take() {
            writer.wake();
        }
    }
}

impl Inner {
    /// Sends all that was copied, and makes the kernel send what it holds back. Asks the socket itself, so that it is not
    /// put off because the task has done much (tokio's budget) before this, its last act.
    fn poll_send_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        while self.sent < self.buffer.len() {
            match self.try_send(&[], SendFlags::empty()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.stream.poll_write_ready(context))?;
                }
                sent => drop(sent?),
            }
        }
        if std::mem::take(&mut self.held) {
            // tcp(7): setting this option sends what waits.
            sockopt::set_tcp_nodelay(&self.stream, true)?;
        }
        Poll::Ready(Ok(()))
    }

    /// [`Inner::try_send`] when there is room.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
        more: SendFlags,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.try_send(parts, more) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Sends all that was copied, then as much of `parts` as there is room for. Returns how much of those.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room for anything; others are remembered.
    fn try_send(&mut self, parts: &[IoSlice<'_>], more: SendFlags) -> io::Result<usize> {
        loop {
            let copied = &self.buffer[self.sent..];
            let mut pieces = [IoSlice::new(&[]); PIECES];
            pieces[0] = IoSlice::new(copied);
            let mut count = 1;
            for part in parts.iter().filter(|part| !part.is_empty()).take(PIECES - 1) {
                pieces[count] = *part;
                count += 1;
            }
            let send = || {
                if count == 1 {
                    return Ok(rustix::net::send(&self.stream, copied, more | SendFlags::NOSIGNAL)?);
                }
                let mut control = SendAncillaryBuffer::default();
                Ok(sendmsg(&self.stream, &pieces[..count], &mut control, more | SendFlags::NOSIGNAL)?)
            };
            let sent = match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) => {
                    self.failed = Some(error.kind());
                    self.empty();
                    return Err(error);
                }
            };
            let left = copied.len();
            if sent < left {
                self.sent += sent;
                continue;
            }
            self.empty();
            self.held = !more.is_empty();
            if sent > left || count == 1 {
                return Ok(sent - left);
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check()?;
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        if bytes == 0 {
            return Poll::Ready(Ok(0));
        }
        if self.served {
            return self.poll_send(context, parts, SendFlags::empty());
        }
        if bytes >= SMALL {
            return self.poll_send(context, parts, SendFlags::MORE);
        }
        // Counts as much as a large one does: a task that has written much lets others go first.
        ready!(self.stream.poll_write_ready(context))?;
        if self.buffer.len() + bytes > MOST {
            ready!(self.poll_send(context, &[], SendFlags::MORE))?;
        }
        parts.iter().for_each(|part| self.buffer.extend_from_slice(part));
        Poll::Ready(Ok(bytes))
    }

    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn empty(&mut self) {
        self.buffer.clear();
        self.buffer.shrink_to(KEPT);
        self.sent = 0;
    }
}

impl AsyncRead for Gathered {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.lock().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gathered {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        let polled = inner.poll_write(context, parts);
        if polled.is_pending() {
            inner.waiting = Some(context.waker().clone());
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// It goes when whoever writes waits, which is before anybody could wait for it.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        if inner.served { inner.poll_send_held(context) } else { Poll::Ready(inner.check()) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.0.lock();
        ready!(inner.poll_send_held(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::yield_now;

    use super::*;

    /// A connection's end that gathers, and its other end, that does not wait.
    async fn connection() -> (Gathered, Gather, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let theirs = listener.accept().unwrap().0;
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let ours = TcpStream::from_std(ours).unwrap();
        ours.writable().await.unwrap();
        let (gathered, gather) = gather(ours);
        (gathered, gather, theirs)
    }

    /// How many bytes have come, or come now: the loopback may need a moment, but not as long as the kernel holds back what it
    /// was given with `MSG_MORE` (200 ms).
    fn come(theirs: &mut std::net::TcpStream, expected: usize) -> usize {
        let (begun, mut come) = (Instant::now(), 0);
        loop {
            match theirs.read(&mut vec![0; 1 << 20]) {
                Ok(count) => come += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            if come >= expected || begun.elapsed() > Duration::from_millis(100) {
                return come;
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_goes_when_the_writer_waits() {
        let (mut ours, gather, mut theirs) = connection().await;
        let serving = async {
            // Small ones are copied; the kernel keeps a large one, as it fills no segment of the loopback's; both at once.
            for sizes in [&[100, 200, 300][..], &[20_000], &[100, 20_000, 200], &[20_000, 100]] {
                for size in sizes {
                    ours.write_all(&vec![7; *size]).await.unwrap();
                    ours.flush().await.unwrap();
                }
                assert_eq!(come(&mut theirs, 0), 0, "{sizes:?}");
                yield_now().await;
                let all = sizes.iter().sum();
                assert_eq!(come(&mut theirs, all), all, "{sizes:?}");
            }
        };
        gather.serve(serving).await;
        // By somebody else.
        for size in [100, 20_000] {
            ours.write_all(&vec![7; size]).await.unwrap();
            assert_eq!(come(&mut theirs, size), size);
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_or_moved_when_the_reader_is_slow() {
        let (mut ours, gather, theirs) = connection().await;
        let mut theirs = TcpStream::from_std(theirs).unwrap();
        // A small one is the last: it goes with the shutdown.
        let sizes = || (0..=3000_usize).map(|n| [1, 300, 4095, 4096, 16_393, 70_000][n * n % 61 % 6]);
        let write = async move {
            let mut next = 0_u32;
            for size in sizes() {
                let bytes = (0..size).map(|_| {
                    next = next.wrapping_add(1);
                    (next >> 3) as u8
                });
                ours.write_all(&bytes.collect::<Vec<_>>()).await.unwrap();
            }
            ours.shutdown().await.unwrap();
        };
        let read = async move {
            let (mut all, mut some) = (Vec::new(), vec![0; 100_000]);
            loop {
                // The writer fills the socket first.
                for _ in 0..10 {
                    yield_now().await;
                }
                match theirs.read(&mut some).await.unwrap() {
                    0 => return all,
                    count => all.extend_from_slice(&some[..count]),
                }
            }
        };
        // Tasks of their own: each is only woken for its own reasons.
        let (written, all) = (tokio::spawn(gather.serve(write)), tokio::spawn(read));
        let all = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap().unwrap();
        written.await.unwrap();
        assert_eq!(all.len(), sizes().sum::<usize>());
        assert!(all.iter().zip(1_u32..).all(|(byte, n)| *byte == (n >> 3) as u8));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_holds_nobody_up_at_the_end() {
        let (mut ours, gather, _theirs) = connection().await;
        let serving = async {
            let fill = async {
                loop {
                    ours.write_all(&[7; 4000]).await.unwrap();
                }
            };
            assert!(tokio::time::timeout(PATIENCE, fill).await.is_err());
        };
        assert!(tokio::time::timeout(3 * PATIENCE, gather.serve(serving)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_handed_a_full_connection_goes_on_when_there_is_room() {
        let (mut ours, gather, theirs) = connection().await;
        let serving = async move {
            let fill = async {
                loop {
                    ours.write_all(&[7; 4000]).await.unwrap();
                }
            };
            assert!(tokio::time::timeout(PATIENCE, fill).await.is_err());
            // While what is left is still being sent.
            tokio::spawn(async move {
                ours.write_all(&[8; 100_000]).await.unwrap();
                ours.shutdown().await.unwrap();
            });
        };
        gather.serve(serving).await;
        let mut all = Vec::new();
        TcpStream::from_std(theirs).unwrap().read_to_end(&mut all).await.unwrap();
        assert_eq!(all.iter().filter(|byte| **byte == 8).count(), 100_000);
        assert!(all.is_sorted(), "in order");
    }

    #[tokio::test]
    async fn who_writes_hears_that_nobody_reads() {
        let (mut ours, gather, theirs) = connection().await;
        drop(theirs);
        let failed = gather.serve(async {
            loop {
                if let Err(error) = ours.write_all(&[7; 100]).await {
                    return error;
                }
                yield_now().await;
                // As a server does, that waits for requests.
                let mut request = [0; 10];
                if let Err(error) = ours.read(&mut request).await {
                    return error;
                }
            }
        });
        let kind = tokio::time::timeout(Duration::from_secs(60), failed).await.unwrap().kind();
        assert!(matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset), "{kind:?}");
    }
}
