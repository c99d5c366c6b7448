//! Commands in containers and attachments to them: each on a connection of its own, whose end is theirs.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::child::{self, Place, Stdio, Word};
use super::containers::{Container, Starting, reap};
use super::output::Tap;
use super::serve::{Attached, RunningCommand, Shim};
use super::wire::{Answer, CONTAINERS, Phase};

impl Shim {
    /// Goes on giving output to somebody attached; tells the end when all is given.
    pub(super) fn flush(&mut self, client: u64) {
        let Some(attached) = self.attached.get_mut(&client) else { return };
        for tap in &mut attached.taps {
            if tap.as_mut().is_some_and(|tap| !tap.flush()) {
                *tap = None;
            }
        }
        if let Some(code) = attached.ended
            && !attached.taps.iter().flatten().any(Tap::blocked)
        {
            let seq = attached.seq;
            self.attached.remove(&client);
            self.finish(client, seq, &Answer::Ended(code));
        }
    }

    /// The last answer on a connection of its own.
    pub(super) fn finish(&mut self, client: u64, seq: u64, answer: &Answer) {
        self.answer(client, seq, answer, None);
        if let Some(to) = self.clients.get_mut(&client) {
            to.closing = true;
            if to.output.is_empty() {
                self.disconnect(client);
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // The fields of the request.
    pub(super) fn exec(
        &mut self,
        client: u64,
        seq: u64,
        id: &str,
        command: &[String],
        streams: [bool; 3],
        tty: bool,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Answer> {
        let failed = |error: io::Error| Answer::Failed(error.to_string());
        let container = self.containers.get(id).filter(|container| container.record.phase == Phase::Running);
        let container = container.ok_or_else(|| Answer::NotFound(id.to_owned()))?;
        let first = container.record.process.as_ref().map(|process| process.pid);
        let first = first.ok_or_else(|| Answer::NotFound(id.to_owned()))?;
        let stdio = if tty {
            Stdio::Terminal
        } else {
            let mut fds = fds.into_iter();
            let mut next = |given: bool| match given.then(|| fds.next()).flatten() {
                Some(fd) => Ok(fd),
                None => OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from),
            };
            Stdio::Files([
                next(streams[0]).map_err(failed)?,
                next(streams[1]).map_err(failed)?,
                next(streams[2]).map_err(failed)?,
            ])
        };
        let directory = self.directory.join(CONTAINERS).join(id);
        let place = Place {
            sandbox: &self.sandbox,
            sandbox_directory: &self.directory,
            config: &container.config,
            directory: &directory,
            cgroup: &container.cgroup,
        };
        let child = child::command(place, self.own_pids.as_fd(), first, command, stdio).map_err(failed)?;
        let process = Starting { handle: child.handle, status: Some(child.status), error: None };
        self.commands.insert(client, RunningCommand { seq, process, terminal: None });
        Ok(())
    }

    pub(super) fn command_status(&mut self, client: u64) {
        let Some(command) = self.commands.get_mut(&client) else { return };
        let Some(status) = &command.process.status else { return };
        match child::listen(status.as_fd()) {
            Word::Terminal(master) => command.terminal = Some(master),
            Word::Error(error) => command.process.error = Some(error),
            Word::End => {
                command.process.status = None;
                if command.process.error.is_none() {
                    let (seq, terminal) = (command.seq, command.terminal.take());
                    self.answer(client, seq, &Answer::Started, terminal.as_ref().map(AsFd::as_fd));
                }
            }
        }
    }

    pub(super) fn command_exited(&mut self, client: u64) {
        let Some(code) = self.commands.get(&client).and_then(|command| reap(&command.process.handle)) else { return };
        while self.commands.get(&client).is_some_and(|command| command.process.status.is_some()) {
            self.command_status(client);
        }
        let Some(command) = self.commands.remove(&client) else { return };
        let answer = command.process.error.map_or(Answer::Ended(code), Answer::StartFailed);
        self.finish(client, command.seq, &answer);
    }

    pub(super) fn attach(
        &mut self,
        client: u64,
        seq: u64,
        container_id: String,
        streams: [bool; 2],
        stdin: bool,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Answer> {
        let container = self.containers.get_mut(&container_id).filter(|container| container.process.is_some());
        let container = container.ok_or_else(|| Answer::NotFound(container_id.clone()))?;
        let mut fds = fds.into_iter();
        let mut taps = [None, None];
        for (tap, wanted) in taps.iter_mut().zip(streams) {
            if let Some(fd) = wanted.then(|| fds.next()).flatten() {
                *tap = Some(Tap::new(fd).map_err(|error| Answer::Failed(error.to_string()))?);
            }
        }
        let input = input_of(container, stdin);
        self.attached.insert(client, Attached { seq, container: container_id, taps, ended: None });
        self.answer(client, seq, &Answer::Started, input.as_ref().map(AsFd::as_fd));
        Ok(())
    }
}

/// The container's input for somebody who attaches. With stdinOnce the first one takes it along: it ends when the client
/// closes its side, even if the client goes on listening (`kubectl run -i` with input from a pipe), or is gone.
fn input_of(container: &mut Container, stdin: bool) -> Option<OwnedFd> {
    let spec = &container.config.spec;
    if spec.stdin_once && !spec.tty && stdin {
        return container.stdin.take();
    }
    let input = container.stdin.as_ref().filter(|_| stdin || spec.tty)?;
    rustix::io::fcntl_dupfd_cloexec(input, 0).ok()
}
