//! The poll loop of a shim and what it holds: clients, containers, commands, attachments.
//!
//! Each turn: poll everything, then handle what is ready. Nothing blocks but fsync of an exit record. A container's states:
//! `Starting` (forked) → `Running` (its program was executed) → `Exited`, each written to its `state.json` before anybody is told.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::child::{self, Child, Place, Stdio, Word};
use super::client::Client;
use super::output::{Read, Source, Tap};
use super::wire::{
    Answer, CONFIG_FILE, CONTAINERS, Call, ContainerConfig, ContainerRecord, Phase, ProcessId, Push, Request,
    STATE_FILE, SandboxConfig, next_frame, now, read_json, write_json,
};
use crate::cgroup::Group;
use crate::logs::write::Stream;

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

pub(super) struct Container {
    pub(super) record: ContainerRecord,
    pub(super) config: ContainerConfig,
    pub(super) cgroup: Group,
    pub(super) process: Option<Starting>,
    pub(super) sources: [Option<Source>; 2],
    pub(super) log: File,
    /// The writing end of its standard input, or its terminal.
    pub(super) stdin: Option<OwnedFd>,
    /// Who asked for the start: client and call.
    pub(super) asked: Option<(u64, u64)>,
}

/// A child, and how its start goes.
pub(super) struct Starting {
    pub(super) handle: OwnedFd,
    pub(super) status: Option<OwnedFd>,
    pub(super) error: Option<String>,
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

    fn signal(&self, id: &str, signal: i32) -> Answer {
        let Some(container) = self.containers.get(id) else { return Answer::NotFound(id.to_owned()) };
        let Some(process) = &container.process else { return Answer::Done };
        let Some(signal) = Signal::from_named_raw(signal) else {
            return Answer::Failed(format!("no such signal: {signal}"));
        };
        match pidfd_send_signal(&process.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Answer::Done,
            Err(error) => Answer::Failed(format!("signal: {error}")),
        }
    }

    /// Forks a container's first process. The answer follows when it runs or cannot.
    fn start(&mut self, id: &str, asked: (u64, u64)) -> Option<Answer> {
        if let Some(container) = self.containers.get_mut(id) {
            return match container.record.phase {
                Phase::Starting => {
                    container.asked = Some(asked);
                    None
                }
                Phase::Running => Some(Answer::Started),
                Phase::Exited => Some(Answer::Failed(format!("container {id} has ended"))),
            };
        }
        if self.stopping.is_some() || id.contains('/') || id.starts_with('.') {
            return Some(Answer::Failed(format!("cannot start {id}: the sandbox is being stopped")));
        }
        match self.spawn(id, asked) {
            Ok(container) => {
                self.containers.insert(id.to_owned(), container);
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Answer::NotFound(id.to_owned())),
            Err(error) => Some(Answer::Failed(error.to_string())),
        }
    }

    fn spawn(&self, id: &str, asked: (u64, u64)) -> io::Result<Container> {
        let directory = self.directory.join(CONTAINERS).join(id);
        let config: ContainerConfig = read_json(&directory.join(CONFIG_FILE))?;
        let cgroup = self.sandbox.cgroup.child(id);
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&config.spec.log_path)
            .map_err(|error| io::Error::other(format!("log file {}: {error}", config.spec.log_path.display())))?;
        let mut sources = [None, None];
        let mut stdin = None;
        let stdio = if config.spec.tty {
            Stdio::Terminal
        } else {
            let (out_read, out_write) = pipe_with(PipeFlags::CLOEXEC)?;
            let (err_read, err_write) = pipe_with(PipeFlags::CLOEXEC)?;
            sources = [Some(Source::new(out_read, Stream::Stdout)?), Some(Source::new(err_read, Stream::Stderr)?)];
            let input = if config.spec.stdin {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                stdin = Some(write);
                read
            } else {
                File::open("/dev/null")?.into()
            };
            Stdio::Files([input, out_write, err_write])
        };
        let place = Place {
            sandbox: &self.sandbox,
            sandbox_directory: &self.directory,
            config: &config,
            directory: &directory,
            cgroup: &cgroup,
        };
        let Child { pid, handle, status } = child::container(place, self.own_pids.as_fd(), stdio)?;
        let record = ContainerRecord {
            id: id.to_owned(),
            phase: Phase::Starting,
            process: ProcessId::of(pid.as_raw_nonzero().get().unsigned_abs()),
            started_at: None,
            finished_at: None,
            exit_code: None,
            reason: String::new(),
            message: String::new(),
        };
        let process = Some(Starting { handle, status: Some(status), error: None });
        Ok(Container { record, config, cgroup, process, sources, log, stdin, asked: Some(asked) })
    }

    /// A starting container says how it goes.
    fn status(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(process) = &mut container.process else { return };
        let Some(status) = &process.status else { return };
        match child::listen(status.as_fd()) {
            Word::Terminal(master) => {
                container.sources[0] = rustix::io::fcntl_dupfd_cloexec(&master, 0)
                    .map_err(io::Error::from)
                    .and_then(|copy| Source::new(copy, Stream::Stdout))
                    .ok();
                container.stdin = Some(master);
            }
            Word::Error(error) => process.error = Some(error),
            Word::End => {
                process.status = None;
                if process.error.is_none() {
                    container.record.phase = Phase::Running;
                    container.record.started_at = Some(now());
                    self.changed(id, Answer::Started);
                }
            }
        }
    }

    /// Writes a container's state down, tells everybody, and answers who asked for the start.
    fn changed(&mut self, id: &str, answer: Answer) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let path = self.directory.join(CONTAINERS).join(id).join(STATE_FILE);
        if let Err(error) = write_json(&path, &container.record, container.record.phase == Phase::Exited) {
            eprintln!("{}: {error}", path.display());
        }
        let push = Push::Changed(container.record.clone());
        let asked = container.asked.take();
        // Who asked hears of the change before the answer.
        let told: Vec<u64> = self.clients.iter().filter(|(_, client)| client.subscribed).map(|(id, _)| *id).collect();
        for client in told {
            if !self.clients.get_mut(&client).is_some_and(|client| client.send(&push, None)) {
                self.disconnect(client);
            }
        }
        if let Some((client, seq)) = asked {
            self.answer(client, seq, &answer, None);
        }
    }

    /// Moves output on; true while there may be more.
    fn output(&mut self, id: &str, stream: usize) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        let Some(source) = &mut container.sources[stream] else { return false };
        match source.pump(&mut container.log) {
            Read::Later => false,
            Read::End => {
                container.sources[stream] = None;
                false
            }
            Read::Some(bytes) => {
                for attached in self.attached.values_mut().filter(|attached| attached.container == id) {
                    if let Some(tap) = &mut attached.taps[stream]
                        && !tap.give(&bytes)
                    {
                        attached.taps[stream] = None;
                    }
                }
                true
            }
        }
    }

    fn exited(&mut self, id: &str) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let Some(code) = container.process.as_ref().and_then(|process| reap(&process.handle)) else { return };
        // Starting may have failed without us having been told yet.
        while self.containers.get(id).is_some_and(|c| c.process.as_ref().is_some_and(|p| p.status.is_some())) {
            self.status(id);
        }
        for stream in 0..2 {
            while self.output(id, stream) {}
        }
        let Some(container) = self.containers.get_mut(id) else { return };
        for source in container.sources.iter_mut().flatten() {
            source.finish(&mut container.log);
        }
        container.sources = [None, None];
        container.stdin = None;
        let error = container.process.take().and_then(|process| process.error);
        let record = &mut container.record;
        record.phase = Phase::Exited;
        record.finished_at = Some(now());
        let answer = match error {
            Some(error) => {
                record.exit_code = Some(128);
                record.reason = "StartError".to_owned();
                record.message.clone_from(&error);
                Answer::StartFailed(error)
            }
            None => {
                let oom = code != 0 && container.cgroup.oom_killed();
                let reason = if oom {
                    "OOMKilled"
                } else if code == 0 {
                    "Completed"
                } else {
                    "Error"
                };
                record.exit_code = Some(code);
                record.reason = reason.to_owned();
                Answer::Started
            }
        };
        let code = record.exit_code.unwrap_or(code);
        self.changed(id, answer);
        let clients: Vec<u64> =
            self.attached.iter().filter(|(_, attached)| attached.container == id).map(|(id, _)| *id).collect();
        for client in clients {
            if let Some(attached) = self.attached.get_mut(&client) {
                attached.ended = Some(code);
            }
            self.flush(client);
        }
    }
}

/// The exit code of a child that has ended: 128 + signal if one ended it.
pub(super) fn reap(handle: &OwnedFd) -> Option<i32> {
    let status = waitid(WaitId::PidFd(handle.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG).ok()??;
    Some(status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0)))
}
