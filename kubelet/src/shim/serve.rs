//! The poll loop of a shim and what it holds: clients, containers, commands, attachments.
//!
//! Each turn: poll everything, then handle what is ready. Nothing blocks but fsync of an exit record.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Signal, pidfd_send_signal};

use super::client::Client;
use super::containers::{Container, Starting};
use super::output::Tap;
use super::wire::{Answer, Call, Push, Request, SandboxConfig, next_frame};

/// The shim.
pub struct Shim {
    pub(super) directory: PathBuf,
    pub(super) sandbox: SandboxConfig,
    pub(super) listener: UnixListener,
    pub(super) own_pids: OwnedFd,
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) containers: BTreeMap<String, Container>,
    pub(super) commands: BTreeMap<u64, RunningCommand>,
    pub(super) attached: BTreeMap<u64, Attached>,
    pub(super) next_client: u64,
    pub(super) stopping: Option<(u64, u64)>,
}

pub(super) struct RunningCommand {
    pub(super) seq: u64,
    pub(super) process: Starting,
    pub(super) terminal: Option<OwnedFd>,
}

pub(super) struct Attached {
    pub(super) seq: u64,
    pub(super) container: String,
    pub(super) taps: [Option<Tap>; 2],
    pub(super) ended: Option<i32>,
}

/// What a file descriptor in the poll set is.
#[derive(Debug, Clone)]
enum Token {
    Listener,
    Client(u64),
    Status(String),
    Exit(String),
    Output(String, usize),
    Tap(u64),
    CommandStatus(u64),
    CommandExit(u64),
}

impl Shim {
    /// A shim that listens.
    pub fn new(directory: &Path, sandbox: SandboxConfig, listener: UnixListener) -> io::Result<Self> {
        let own_pids = rustix::fs::open("/proc/self/ns/pid", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self {
            directory: directory.to_owned(),
            sandbox,
            listener,
            own_pids,
            clients: BTreeMap::new(),
            containers: BTreeMap::new(),
            commands: BTreeMap::new(),
            attached: BTreeMap::new(),
            next_client: 1,
            stopping: None,
        })
    }

    /// Serves until told to stop; returns the exit code.
    pub fn run(mut self) -> i32 {
        loop {
            let ready = match self.wait() {
                Ok(ready) => ready,
                Err(error) => {
                    eprintln!("poll: {error}");
                    return 1;
                }
            };
            for (token, flags) in ready {
                self.handle(token, flags);
            }
            if let Some((client, seq)) = self.stopping
                && self.containers.values().all(|container| container.process.is_none())
            {
                self.answer(client, seq, &Answer::Done, None);
                return 0;
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<(Token, PollFlags)>> {
        let watched = self.watched();
        let mut fds: Vec<PollFd<'_>> =
            watched.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
        loop {
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => break,
            }
        }
        let ready = watched.iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|((token, ..), fd)| (token.clone(), fd.revents())).collect())
    }

    /// Everything to wait for, in the order it is handled: output before exits, so that a log is whole when the end is told.
    fn watched(&self) -> Vec<(Token, BorrowedFd<'_>, PollFlags)> {
        let mut watched = vec![(Token::Listener, self.listener.as_fd(), PollFlags::IN)];
        for (id, container) in &self.containers {
            for (stream, source) in container.sources.iter().enumerate() {
                let blocked = self.attached.values().any(|attached| {
                    attached.container == *id && attached.taps[stream].as_ref().is_some_and(Tap::blocked)
                });
                if let (Some(source), false) = (source, blocked) {
                    watched.push((Token::Output(id.clone(), stream), source.fd.as_fd(), PollFlags::IN));
                }
            }
        }
        for (id, container) in &self.containers {
            let Some(process) = &container.process else { continue };
            if let Some(status) = &process.status {
                watched.push((Token::Status(id.clone()), status.as_fd(), PollFlags::IN));
            }
            watched.push((Token::Exit(id.clone()), process.handle.as_fd(), PollFlags::IN));
        }
        for (client, command) in &self.commands {
            if let Some(status) = &command.process.status {
                watched.push((Token::CommandStatus(*client), status.as_fd(), PollFlags::IN));
            }
            watched.push((Token::CommandExit(*client), command.process.handle.as_fd(), PollFlags::IN));
        }
        for (client, attached) in &self.attached {
            for tap in attached.taps.iter().flatten().filter(|tap| tap.blocked()) {
                watched.push((Token::Tap(*client), tap.as_fd(), PollFlags::OUT));
            }
        }
        for (id, client) in &self.clients {
            let flags = if client.output.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            watched.push((Token::Client(*id), client.socket.as_fd(), flags));
        }
        watched
    }

    /// Handles one that is ready. What it refers to may be gone since the poll; then there is nothing to do.
    fn handle(&mut self, token: Token, flags: PollFlags) {
        match token {
            Token::Listener => self.accept(),
            Token::Client(id) => self.client(id, flags),
            Token::Status(id) => self.status(&id),
            Token::Exit(id) => self.exited(&id),
            Token::Output(id, stream) => {
                self.output(&id, stream);
            }
            Token::Tap(client) => self.flush(client),
            Token::CommandStatus(client) => self.command_status(client),
            Token::CommandExit(client) => self.command_exited(client),
        }
    }

    fn accept(&mut self) {
        // Only root can reach the socket: it is in the kubelet's data directory.
        let Ok((socket, _)) = self.listener.accept() else { return };
        if socket.set_nonblocking(true).is_ok() {
            let client = Client {
                socket: socket.into(),
                input: Vec::new(),
                fds: Vec::new(),
                output: Vec::new(),
                subscribed: false,
                closing: false,
            };
            self.clients.insert(self.next_client, client);
            self.next_client += 1;
        }
    }

    fn client(&mut self, id: u64, flags: PollFlags) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let mut open = true;
        if flags.contains(PollFlags::OUT) {
            open = client.flush();
        }
        let mut calls = Vec::new();
        if open && flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            open = client.read();
            loop {
                match next_frame::<Call>(&mut client.input) {
                    Ok(Some(call)) => calls.push((call, std::mem::take(&mut client.fds))),
                    Ok(None) => break,
                    Err(error) => {
                        eprintln!("client {id}: {error}");
                        open = false;
                        break;
                    }
                }
            }
        }
        for (call, fds) in calls {
            self.call(id, call, fds);
        }
        let done = self.clients.get(&id).is_some_and(|client| client.closing && client.output.is_empty());
        if !open || done {
            self.disconnect(id);
        }
    }

    /// A closed connection ends the command or the attachment it was for.
    pub(super) fn disconnect(&mut self, id: u64) {
        self.clients.remove(&id);
        if let Some(command) = self.commands.get(&id) {
            let _ = pidfd_send_signal(&command.process.handle, Signal::KILL);
        }
        self.attached.remove(&id);
    }

    fn call(&mut self, client: u64, call: Call, fds: Vec<OwnedFd>) {
        let seq = call.seq;
        let answer = match call.request {
            Request::Subscribe => {
                if let Some(client) = self.clients.get_mut(&client) {
                    client.subscribed = true;
                }
                Some(Answer::Records(self.containers.values().map(|container| container.record.clone()).collect()))
            }
            Request::Start(id) => self.start(&id, (client, seq)),
            Request::Signal(id, signal) => Some(self.signal(&id, signal)),
            Request::Forget(id) => {
                if self.containers.get(&id).is_none_or(|container| container.process.is_none()) {
                    self.containers.remove(&id);
                    Some(Answer::Done)
                } else {
                    Some(Answer::Failed(format!("container {id} has not ended")))
                }
            }
            Request::Stop => {
                for container in self.containers.values() {
                    if let Some(process) = &container.process {
                        let _ = pidfd_send_signal(&process.handle, Signal::KILL);
                    }
                }
                self.stopping = Some((client, seq));
                None
            }
            Request::Exec { id, command, streams, tty } => {
                self.exec(client, seq, &id, &command, streams, tty, fds).map_or_else(Some, |()| None)
            }
            Request::Attach { id, streams, stdin } => {
                self.attach(client, seq, id, streams, stdin, fds).map_or_else(Some, |()| None)
            }
        };
        if let Some(answer) = answer {
            self.answer(client, seq, &answer, None);
        }
    }

    /// Sends an answer, a file descriptor beside it if there is one.
    pub(super) fn answer(&mut self, client: u64, seq: u64, answer: &Answer, fd: Option<BorrowedFd<'_>>) {
        let Some(to) = self.clients.get_mut(&client) else { return };
        if !to.send(&Push::Answer(seq, answer.clone()), fd) {
            self.disconnect(client);
        }
    }
}
