//! Keeps the units running: starts them, logs what they say into files, starts again what ends, later each time.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use base::Context;

use super::units::Unit;
use crate::launch::Kept;
use crate::layout::Layout;
use crate::net::namespace;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// A unit that ran this long has proved itself: the next restart comes at once again.
const PROVEN: Duration = Duration::from_secs(30);
/// How long a unit may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `unit` until `context` stops, then ends it.
pub async fn keep(
    unit: Unit,
    socket: Option<Arc<TcpListener>>,
    layout: Arc<Layout>,
    executable: Arc<PathBuf>,
    context: Context,
) {
    let mut wait = FIRST_WAIT;
    while !context.is_stopped() {
        let begun = Instant::now();
        match start(&unit, socket.as_deref(), &layout, &executable) {
            Ok(mut child) => {
                let ended = tokio::select! {
                    status = child.wait() => Some(status),
                    () = context.stopped() => None,
                };
                match ended {
                    Some(status) => {
                        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                        tracing::warn!(unit = unit.name, status, "ended, starting again");
                    }
                    None => stop(&unit, &mut child).await,
                }
            }
            Err(error) => tracing::error!(unit = unit.name, error = format!("{error:#}"), "cannot start"),
        }
        let _ = std::fs::remove_file(layout.pid(&unit.name));
        wait = if begun.elapsed() > PROVEN { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = context.stopped() => {}
        }
    }
}

/// The sockets that outlive the units' restarts.
#[derive(Default)]
pub struct Sockets {
    on_host: HashMap<SocketAddr, Arc<TcpListener>>,
}

impl Sockets {
    /// The one that the unit inherits, if it wants one.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub async fn of(&mut self, unit: &Unit) -> anyhow::Result<Option<Arc<TcpListener>>> {
        let what = || format!("socket of {}", unit.name);
        match unit.launch.kept {
            None => Ok(None),
            Some(Kept::Inside(address)) => {
                let name = unit.launch.namespace.as_deref().with_context(what)?;
                let path = namespace::path(name);
                let listen = || {
                    let path = path.clone();
                    namespace::on_thread(move || {
                        namespace::enter(&path)?;
                        TcpListener::bind(address)
                    })
                };
                opened(listen)
                    .await
                    .map(|socket| Some(Arc::new(socket)))
                    .with_context(|| format!("listening on {address} in namespace {name}"))
            }
            Some(Kept::OnHost(address)) => {
                if let Some(socket) = self.on_host.get(&address) {
                    return Ok(Some(socket.clone()));
                }
                let socket = opened(|| TcpListener::bind(address)).await;
                let socket = Arc::new(socket.with_context(|| format!("listening on {address}"))?);
                self.on_host.insert(address, socket.clone());
                Ok(Some(socket))
            }
        }
    }
}

/// What `listen` gives, once its address is free: that of a supervisor which was killed a moment ago is until its children are gone.
/// Nothing tells when. The units that were started already are looked after meanwhile.
async fn opened(listen: impl Fn() -> std::io::Result<TcpListener>) -> std::io::Result<TcpListener> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listen() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                tokio::time::sleep(FIRST_WAIT / 10).await;
            }
            outcome => return outcome,
        }
    }
}

fn start(unit: &Unit, socket: Option<&TcpListener>, layout: &Layout, executable: &PathBuf) -> anyhow::Result<Child> {
    let path = layout.log(&unit.name);
    let log = OpenOptions::new().create(true).append(true).open(&path).context("opening the log")?;
    let mut command = Command::from(unit.launch.command(executable));
    let input = match socket {
        Some(socket) => Stdio::from(OwnedFd::from(socket.try_clone().context("the kept socket")?)),
        None => Stdio::null(),
    };
    command.stdin(input).stdout(log.try_clone().context("log")?).stderr(log);
    let child = command.spawn().context("starting")?;
    if let Some(pid) = child.id() {
        base::files::write_atomic(&layout.pid(&unit.name), pid.to_string().as_bytes(), 0o600).context("PID file")?;
    }
    Ok(child)
}

async fn stop(unit: &Unit, child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        tracing::warn!(unit = unit.name, "did not end in time, killing");
        let _ = child.kill().await;
    }
}
