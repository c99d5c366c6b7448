//! A container's life in its shim: `Starting` (forked) → `Running` (its program was executed) → `Exited`, each written to its
//! `state.json` before anybody is told.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::child::{self, Child, Place, Stdio, Word};
use super::output::{Read, Source};
use super::serve::Shim;
use super::wire::{
    Answer, CONFIG_FILE, CONTAINERS, ContainerConfig, ContainerRecord, Phase, ProcessId, Push, STATE_FILE, now,
    read_json, write_json,
};
use crate::cgroup::Group;
use crate::logs::write::Stream;

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

impl Shim {
    pub(super) fn signal(&self, id: &str, signal: i32) -> Answer {
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
    pub(super) fn start(&mut self, id: &str, asked: (u64, u64)) -> Option<Answer> {
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
    pub(super) fn status(&mut self, id: &str) {
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
    pub(super) fn output(&mut self, id: &str, stream: usize) -> bool {
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

    pub(super) fn exited(&mut self, id: &str) {
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
