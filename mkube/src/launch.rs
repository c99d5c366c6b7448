//! `mkube __in-namespace`: the last steps before a component's own code, in a process that has only one thread. Opens the
//! host's listener, moves into the component's network namespace, ties the process's life to its supervisor's, and becomes
//! the component.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use rustix::io::FdFlags;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::net::namespace;

/// The hidden subcommand's name.
pub const NAME: &str = "__in-namespace";

/// Where and how to start a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Network namespace; none = the host's.
    pub namespace: Option<String>,
    /// Address on the host that the component gets as its first inherited socket (systemd's LISTEN_FDS protocol).
    pub listen: Option<SocketAddr>,
    /// What to become, as arguments to this executable.
    pub arguments: Vec<String>,
}

impl Launch {
    /// The command that launches; the inverse of [`run`]'s parsing.
    pub fn command(&self, executable: &PathBuf) -> Command {
        let mut command = Command::new(executable);
        command.arg(NAME).arg(std::process::id().to_string());
        command.arg(self.namespace.as_deref().unwrap_or("-"));
        command.arg(self.listen.map_or_else(|| "-".to_string(), |address| address.to_string()));
        command.args(&self.arguments);
        command
    }
}

/// Becomes the component; returns only with an error.
///
/// # Errors
/// When the namespace or the listener is not to be had, or the supervisor is gone already.
pub fn run(arguments: &[String]) -> anyhow::Result<std::convert::Infallible> {
    let [supervisor, namespace, listen, component @ ..] = arguments else {
        bail!("usage: mkube {NAME} SUPERVISOR NAMESPACE LISTEN COMPONENT [ARGUMENT]...");
    };
    // The signal is lost if the supervisor died before it was asked for: then it is not the parent any more.
    set_parent_process_death_signal(Some(Signal::KILL)).context("parent death signal")?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    ensure!(parent.as_deref() == Some(supervisor), "the supervisor is gone");

    let mut command = Command::new("/proc/self/exe");
    command.arg0("mkube").args(component);
    let listener = match listen.as_str() {
        "-" => None,
        address => Some(TcpListener::bind(address).with_context(|| format!("listening on {address}"))?),
    };
    if let Some(listener) = &listener {
        ensure!(listener.as_raw_fd() == 3, "descriptor 3 is taken");
        rustix::io::fcntl_setfd(listener, FdFlags::empty()).context("passing the listener on")?;
        command.env("LISTEN_FDS", "1").env("LISTEN_PID", std::process::id().to_string());
    }
    if namespace != "-" {
        namespace::enter(&namespace::path(namespace)).with_context(|| format!("network namespace {namespace}"))?;
    }
    Err(command.exec()).context("exec")
}
