//! `mkube __in-namespace`: the last steps before a component's own code, in a process that has only one thread. Opens the
//! host's listener, moves into the component's network namespace, ties the process's life to its supervisor's, and becomes
//! the component. A socket that the supervisor keeps comes as standard input and is passed on like the host's listener.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use rustix::io::FdFlags;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::net::namespace;

/// The hidden subcommand's name.
pub const NAME: &str = "__in-namespace";
/// Says that standard input is a listener.
const KEPT: &str = "kept";
/// The first inherited socket, by systemd's protocol; the others follow.
const FIRST_SOCKET: i32 = 3;

/// Where and how to start a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Network namespace; none = the host's.
    pub namespace: Option<String>,
    /// Address on the host that the component gets as its first inherited socket (systemd's LISTEN_FDS protocol).
    pub listen: Option<SocketAddr>,
    /// A socket of the supervisor's, which the component inherits too.
    pub kept: Option<Kept>,
    /// What to become, as arguments to this executable; a path first is another program.
    pub arguments: Vec<String>,
}

/// A socket on which the supervisor listens as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Inside the component's namespace. Whoever connects while the component starts (again) waits instead of being refused
    /// and trying later: right for a component that nobody else can stand in for.
    Inside(SocketAddr),
    /// On the host, shared by all units that name the address: the kernel hands a connection to one that lives.
    OnHost(SocketAddr),
}

impl Launch {
    /// The command that launches; the inverse of [`run`]'s parsing.
    pub fn command(&self, executable: &PathBuf) -> Command {
        let mut command = Command::new(executable);
        command.arg(NAME).arg(std::process::id().to_string());
        command.arg(self.namespace.as_deref().unwrap_or("-"));
        command.arg(self.listen.map_or_else(|| "-".to_string(), |address| address.to_string()));
        command.arg(if self.kept.is_some() { KEPT } else { "-" });
        command.args(&self.arguments);
        command
    }
}

/// Becomes the component; returns only with an error.
///
/// # Errors
/// When the namespace or the listener is not to be had, or the supervisor is gone already.
pub fn run(arguments: &[String]) -> anyhow::Result<std::convert::Infallible> {
    let [supervisor, namespace, listen, kept, component @ ..] = arguments else {
        bail!("usage: mkube {NAME} SUPERVISOR NAMESPACE LISTEN KEPT COMPONENT [ARGUMENT]...");
    };
    // The signal is lost if the supervisor died before it was asked for: then it is not the parent any more.
    set_parent_process_death_signal(Some(Signal::KILL)).context("parent death signal")?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    ensure!(parent.as_deref() == Some(supervisor), "the supervisor is gone");

    let mut command = match component {
        [program, arguments @ ..] if program.starts_with('/') => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        own => {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("mkube").args(own);
            command
        }
    };
    let mut sockets: Vec<OwnedFd> = Vec::new();
    if listen != "-" {
        sockets.push(TcpListener::bind(listen).with_context(|| format!("listening on {listen}"))?.into());
    }
    if kept == KEPT {
        sockets.push(rustix::io::dup(std::io::stdin()).context("the kept socket")?);
        let null = std::fs::File::open("/dev/null").context("opening /dev/null")?;
        rustix::stdio::dup2_stdin(null).context("standard input")?;
    }
    for (number, socket) in (FIRST_SOCKET..).zip(&sockets) {
        ensure!(socket.as_raw_fd() == number, "descriptor {number} is taken");
        rustix::io::fcntl_setfd(socket, FdFlags::empty()).context("passing the socket on")?;
    }
    if !sockets.is_empty() {
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_PID", std::process::id().to_string());
    }
    if namespace != "-" {
        namespace::enter(&namespace::path(namespace)).with_context(|| format!("network namespace {namespace}"))?;
    }
    Err(command.exec()).context("exec")
}
