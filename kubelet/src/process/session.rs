//! Streams to a command in a container, or to a container itself: a connection of its own to the shim, and pipes that lead past it.
//!
//! Keeps: when a session is dropped its connection closes, and the shim ends what it was for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::link;
use crate::runtime::{Error, Result, Session, Streams};
use crate::shim::output::to_the_end;
use crate::shim::wire::{self, Answer, Call, Push, Request};

/// The connection of one session.
struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
    fds: Vec<OwnedFd>,
}

fn other(what: &str) -> impl FnOnce(io::Error) -> Error + '_ {
    move |source| Error::Other { what: what.to_owned(), source }
}

impl Connection {
    fn open(directory: &Path, request: Request, fds: &[BorrowedFd<'_>]) -> io::Result<Self> {
        let stream = link::socket(directory)?;
        let bytes = wire::frame(&Call { seq: 1, request })?;
        let mut sent = wire::send_fds(stream.as_fd(), &bytes, fds)?;
        while sent < bytes.len() {
            sent += wire::send_fds(stream.as_fd(), &bytes[sent..], &[])?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream: UnixStream::from_std(stream)?, buffer: Vec::new(), fds: Vec::new() })
    }

    async fn answer(&mut self) -> io::Result<Answer> {
        loop {
            if let Some(push) = wire::next_frame::<Push>(&mut self.buffer)? {
                match push {
                    Push::Answer(_, answer) => return Ok(answer),
                    Push::Changed(_) => continue,
                }
            }
            self.stream.readable().await?;
            let (mut bytes, fds) = ([0u8; 4096], &mut self.fds);
            let got = self.stream.try_io(Interest::READABLE, || wire::recv_fds(self.stream.as_fd(), &mut bytes, fds));
            match got {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the pod's shim is gone")),
                Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Runs a command in a container.
pub async fn exec(directory: &Path, id: &str, command: &[String], streams: Streams) -> Result<Session> {
    let mut pipes = Pipes::default();
    let wanted = if streams.tty { [false; 3] } else { [streams.stdin, streams.stdout, streams.stderr] };
    let theirs = pipes.make(wanted).map_err(other("making pipes"))?;
    let request = Request::Exec { id: id.to_owned(), command: command.to_vec(), streams: wanted, tty: streams.tty };
    let session = open(directory, request, &theirs, pipes, streams, true).await;
    drop(theirs);
    session
}

/// Connects to a container's first process.
pub async fn attach(directory: &Path, id: &str, streams: Streams, tty: bool) -> Result<Session> {
    let mut pipes = Pipes::default();
    let wanted = [false, streams.stdout, streams.stderr && !tty];
    let theirs = pipes.make(wanted).map_err(other("making pipes"))?;
    let request = Request::Attach { id: id.to_owned(), streams: [wanted[1], wanted[2]], stdin: streams.stdin };
    open(directory, request, &theirs, pipes, Streams { tty, ..streams }, false).await
}

/// Our ends of the pipes.
#[derive(Default)]
struct Pipes {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Pipes {
    /// Makes the pipes that are wanted; returns the other side's ends.
    fn make(&mut self, wanted: [bool; 3]) -> io::Result<Vec<OwnedFd>> {
        let mut theirs = Vec::new();
        if wanted[0] {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            theirs.push(read);
            self.stdin = Some(write);
        }
        for (slot, _) in
            [(&mut self.stdout, wanted[1]), (&mut self.stderr, wanted[2])].into_iter().filter(|(_, on)| *on)
        {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            theirs.push(write);
            *slot = Some(read);
        }
        Ok(theirs)
    }
}

async fn open(
    directory: &Path,
    request: Request,
    theirs: &[OwnedFd],
    mut pipes: Pipes,
    streams: Streams,
    own_terminal: bool,
) -> Result<Session> {
    let fds: Vec<BorrowedFd<'_>> = theirs.iter().map(AsFd::as_fd).collect();
    let mut connection = Connection::open(directory, request, &fds).map_err(other("connecting to the pod's shim"))?;
    let first = tokio::time::timeout(link::ANSWER_DEADLINE, connection.answer()).await;
    match first.map_err(|_| Error::Timeout(link::ANSWER_DEADLINE))?.map_err(other("asking the pod's shim"))? {
        Answer::Started => {}
        answer => return Err(refused(answer)),
    }
    let returned = connection.fds.pop();
    let (mut stdin, mut stdout, mut resize) = (None, None, None);
    match returned {
        Some(master) if streams.tty => {
            let terminal = Terminal::new(master).map_err(other("opening the terminal"))?;
            resize = Some(resizer(terminal.clone()));
            stdin = streams.stdin.then(|| Box::new(terminal.clone()) as Box<dyn AsyncWrite + Send + Unpin>);
            // Of a container's own terminal only the shim reads, for the log, and copies to the pipe.
            stdout = own_terminal.then(|| Box::new(terminal) as Box<dyn AsyncRead + Send + Unpin>);
        }
        Some(pipe) => pipes.stdin = Some(pipe).filter(|_| streams.stdin),
        None => {}
    }
    let pipe = |fd: Option<OwnedFd>| fd.map(pipe::Receiver::from_owned_fd).transpose().map_err(other("opening a pipe"));
    let boxed = |pipe: pipe::Receiver| Box::new(pipe) as Box<dyn AsyncRead + Send + Unpin>;
    if let Some(fd) = pipes.stdin.take() {
        let sender = pipe::Sender::from_owned_fd(fd).map_err(other("opening a pipe"))?;
        stdin = Some(Box::new(sender) as Box<dyn AsyncWrite + Send + Unpin>);
    }
    let stdout = pipe(pipes.stdout)?.map(boxed).or(stdout);
    let stderr = pipe(pipes.stderr)?.map(boxed);
    let exit = Box::pin(async move {
        match connection.answer().await.map_err(other("waiting for the end"))? {
            Answer::Ended(code) => Ok(code),
            answer => Err(refused(answer)),
        }
    });
    Ok(Session { stdin, stdout, stderr, resize, exit })
}

/// An answer that is a refusal, as an error.
pub fn refused(answer: Answer) -> Error {
    match answer {
        Answer::StartFailed(message) => Error::Start(message),
        Answer::NotFound(id) => Error::NotFound(format!("container {id}")),
        Answer::Failed(message) => Error::Other { what: message, source: io::Error::from(io::ErrorKind::Other) },
        other => Error::Other {
            what: format!("unexpected answer from a shim: {other:?}"),
            source: io::Error::from(io::ErrorKind::InvalidData),
        },
    }
}

/// Sets the terminal to each size that arrives, until nobody sends any more.
fn resizer(terminal: Terminal) -> mpsc::Sender<(u16, u16)> {
    let (sender, mut receiver) = mpsc::channel::<(u16, u16)>(4);
    tokio::spawn(async move {
        while let Some((columns, rows)) = receiver.recv().await {
            let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
            let _ = rustix::termios::tcsetwinsize(terminal.file.get_ref(), size);
        }
    });
    sender
}

/// Our side of a terminal.
#[derive(Clone)]
struct Terminal {
    file: Arc<AsyncFd<OwnedFd>>,
}

impl Terminal {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&fd, true)?;
        // Deprecated for types that may give their descriptor away while registered; an OwnedFd does not.
        #[allow(deprecated)]
        let file = AsyncFd::new(fd)?;
        Ok(Self { file: Arc::new(file) })
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.file.poll_read_ready(cx))?;
            let read = |file: &AsyncFd<OwnedFd>| {
                Ok(to_the_end(|| rustix::io::read(file.get_ref(), buffer.initialize_unfilled()))?)
            };
            match guard.try_io(read) {
                Ok(Ok(length)) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_) => {}
            }
        }
    }
}

impl AsyncWrite for Terminal {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.file.poll_write_ready(cx))?;
            if let Ok(result) = guard.try_io(|file| Ok(rustix::io::write(file.get_ref(), bytes)?)) {
                return Poll::Ready(result);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
