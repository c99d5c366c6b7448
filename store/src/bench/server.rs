//! The servers that are measured: processes of our own on loopback, seen from outside through /proc, or whatever answers at
//! an endpoint.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Error, load};

/// /proc counts CPU in these parts of a second, whatever the kernel's own clock (USER_HZ).
const TICKS: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be started.
pub(super) struct Program {
    pub(super) name: String,
    how: How,
}

enum How {
    /// A program with its first arguments; it understands etcd's flags.
    Command(Vec<String>),
    /// It runs already.
    Running(String),
}

/// A server that answers. Ended when dropped.
pub(super) struct Server {
    pub(super) name: String,
    pub(super) url: String,
    /// From the start of the process to its first answer.
    pub(super) started_in: Duration,
    child: Option<Child>,
}

impl Program {
    pub(super) fn command(name: &str, command: Vec<String>) -> Self {
        Self { name: name.to_owned(), how: How::Command(command) }
    }

    pub(super) fn running(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), how: How::Running(url.to_owned()) }
    }

    /// Starts it on its files in `dir`, and waits until it answers.
    pub(super) async fn start(&self, dir: &Path) -> Result<Server, Error> {
        let begun = Instant::now();
        let failed = |error| Error::Server(self.name.clone(), error);
        let (url, child) = match &self.how {
            How::Running(url) => (url.clone(), None),
            How::Command(command) => {
                let (url, child) = spawn(command, dir).map_err(failed)?;
                (url, Some(child))
            }
        };
        // Owned from here on, so that it ends even if it never answers.
        let mut server = Server { name: self.name.clone(), url, started_in: Duration::ZERO, child };
        load::ready(&server.url, PATIENCE).await.map_err(|status| failed(io::Error::other(status)))?;
        server.started_in = begun.elapsed();
        Ok(server)
    }
}

fn spawn(command: &[String], dir: &Path) -> io::Result<(String, Child)> {
    fs::create_dir_all(dir)?;
    let free = || -> io::Result<u16> { Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port()) };
    let (client, peer) = (format!("http://127.0.0.1:{}", free()?), format!("http://127.0.0.1:{}", free()?));
    let (program, first) = command.split_first().ok_or_else(|| io::Error::other("no program"))?;
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log"))?;
    let child = Command::new(program)
        .args(first)
        .arg(format!("--data-dir={}", dir.join("data").display()))
        .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
        .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
        .arg(format!("--initial-cluster=default={peer}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok((client, child))
}

impl Server {
    /// CPU that the process has used.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.id())).ok()?;
        // Fields 14 and 15; the program's name before may hold anything but a last parenthesis.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_secs(user + system) / TICKS)
    }

    /// Resident memory: the process's own, and what it shares with files.
    pub(super) fn memory(&self) -> String {
        let status = self.child.as_ref().map(|child| format!("/proc/{}/status", child.id()));
        let status = status.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
        };
        match (field("RssAnon:"), field("RssFile:"), field("VmHWM:")) {
            (Some(anon), Some(file), Some(peak)) => {
                format!("{} + {} MiB (peak {})", anon >> 10, file >> 10, peak >> 10)
            }
            _ => "?".into(),
        }
    }

    /// Ends it as its operator would: a signal, then patience.
    pub(super) fn end(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // Fails if it has ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
