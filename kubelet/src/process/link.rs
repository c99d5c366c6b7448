//! The kubelet's end of the connection to a shim: numbered calls, and what the shim tells unasked.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use crate::shim::wire::{self, Answer, Call, ContainerRecord, Push, Request};

/// A shim that does not answer within this time hangs in the kernel, on a volume whose server is gone for example.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(120);

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// What a shim tells unasked.
#[derive(Debug)]
pub enum News {
    /// A container changed.
    Changed(ContainerRecord),
    /// The shim is gone.
    Lost,
}

/// A connection to a shim.
#[derive(Debug)]
pub struct Link {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    pending: Pending,
    next: AtomicU64,
    alive: Arc<AtomicBool>,
}

/// Connects to the socket in a sandbox's directory, whose name may be longer than a socket's address can be.
pub fn socket(directory: &Path) -> io::Result<std::os::unix::net::UnixStream> {
    let handle = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    std::os::unix::net::UnixStream::connect(format!("/proc/self/fd/{}/{}", handle.as_fd().as_raw_fd(), wire::SOCKET))
}

impl Link {
    /// Connects; `news` is called for what the shim tells, in order, and with `Lost` once at the end.
    pub async fn connect(
        directory: &Path,
        news: impl Fn(News) + Send + Sync + 'static,
    ) -> io::Result<(Self, Vec<ContainerRecord>)> {
        let stream = socket(directory)?;
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        let pending = Pending::default();
        let alive = Arc::new(AtomicBool::new(true));
        let link = Self {
            writer: tokio::sync::Mutex::new(writer),
            pending: pending.clone(),
            next: AtomicU64::new(1),
            alive: alive.clone(),
        };
        tokio::spawn(async move {
            if let Err(error) = read(reader, &pending, &news).await {
                tracing::warn!(%error, "connection to a shim broke");
            }
            alive.store(false, Ordering::SeqCst);
            // Whoever still waits for an answer learns that there will be none.
            pending.lock().clear();
            news(News::Lost);
        });
        match link.call(Request::Subscribe).await? {
            Answer::Records(records) => Ok((link, records)),
            other => Err(io::Error::other(format!("unexpected answer from a shim: {other:?}"))),
        }
    }

    /// Whether the shim is still there.
    pub fn alive(&self) -> bool {
        self.alive.load(Ordering::SeqCst)
    }

    /// Asks, and waits for the answer.
    pub async fn call(&self, request: Request) -> io::Result<Answer> {
        let seq = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = wire::frame(&Call { seq, request })?;
        let (sender, receiver) = oneshot::channel();
        self.pending.lock().insert(seq, sender);
        // Looked at after the insertion, so that an answer that can never come is not waited for.
        if !self.alive() {
            self.pending.lock().remove(&seq);
        }
        let sent = self.writer.lock().await.write_all(&bytes).await;
        if let Err(error) = sent {
            self.pending.lock().remove(&seq);
            return Err(error);
        }
        let answer = tokio::time::timeout(ANSWER_DEADLINE, receiver).await.map_err(|_| {
            self.pending.lock().remove(&seq);
            io::Error::new(io::ErrorKind::TimedOut, "the pod's shim does not answer")
        })?;
        answer.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the pod's shim is gone"))
    }
}

async fn read(mut reader: OwnedReadHalf, pending: &Pending, news: &(impl Fn(News) + Send + Sync)) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        while let Some(push) = wire::next_frame::<Push>(&mut buffer)? {
            match push {
                Push::Changed(record) => news(News::Changed(record)),
                Push::Answer(seq, answer) => {
                    let waiting = pending.lock().remove(&seq);
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(answer);
                    }
                }
            }
        }
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}
