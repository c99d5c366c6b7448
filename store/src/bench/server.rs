//! The servers that are measured: processes of our own on loopback, one or several members, seen from outside through /proc; or
//! whatever answers at an endpoint.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Error, load};

/// /proc counts CPU in these parts of a second, whatever the kernel's own clock (USER_HZ).
const TICKS: u32 = 100;
/// What our own is called.
pub(super) const OURS: &str = "mkube-store";
const PATIENCE: Duration = Duration::from_secs(120);
/// Members that have joined and gone whose files may lie there during a load.
const MOST_LEFT: u32 = 8;

/// What can be started.
pub(super) struct Program {
    pub(super) name: String,
    how: How,
}

#[derive(Clone)]
enum How {
    /// A program with its first arguments; it understands etcd's flags.
    Command(Vec<String>),
    /// It runs already.
    Running(String),
}

/// A server that answers, of one or several members. Ended when dropped.
pub(super) struct Server {
    pub(super) name: String,
    /// Of the clients: the leader's first.
    pub(super) urls: Vec<String>,
    /// From the start of the processes until every member has answered.
    pub(super) started_in: Duration,
    members: Vec<Member>,
    /// What started them, for another member.
    command: Vec<String>,
    dir: PathBuf,
    /// Members that have joined, and whose files are still there.
    joined: u32,
}

/// A process.
struct Member {
    child: Child,
    client: String,
    peer: String,
}

impl Program {
    pub(super) fn command(name: &str, command: Vec<String>) -> Self {
        Self { name: name.to_owned(), how: How::Command(command) }
    }

    pub(super) fn running(name: &str, url: &str) -> Self {
        Self { name: name.to_owned(), how: How::Running(url.to_owned()) }
    }

    /// The same, told to write checkpoints as often as it can.
    pub(super) fn eager(&self) -> Self {
        let flags = match self.name.as_str() {
            OURS => &["--log-trim-bytes=1", "--log-file-bytes=4194304"][..],
            _ => &["--snapshot-count=10000"],
        };
        let mut how = self.how.clone();
        if let How::Command(words) = &mut how {
            words.extend(flags.iter().map(|flag| (*flag).to_owned()));
        }
        Self { name: self.name.clone(), how }
    }

    /// Starts it, as so many members, on its files in `dir`, and waits until all answer.
    pub(super) async fn start(&self, dir: &Path, members: usize) -> Result<Server, Error> {
        let begun = Instant::now();
        let failed = |error| Error::Server(self.name.clone(), error);
        let (urls, command) = match &self.how {
            How::Running(url) => (vec![url.clone()], Vec::new()),
            How::Command(command) => (Vec::new(), command.clone()),
        };
        // Owned from here on, so that it ends even if it never answers.
        let name = self.name.clone();
        let mut server = Server {
            name,
            urls,
            started_in: Duration::ZERO,
            members: Vec::new(),
            command,
            dir: dir.to_owned(),
            joined: 0,
        };
        if !server.command.is_empty() {
            server.found(members.max(1)).map_err(failed)?;
        }
        for url in &server.urls {
            load::ready(url, PATIENCE).await.map_err(|status| failed(io::Error::other(status)))?;
        }
        server.started_in = begun.elapsed();
        load::leader_first(&mut server.urls).await.map_err(|status| failed(io::Error::other(status)))?;
        Ok(server)
    }
}

/// URLs of clients and of peers that are free now.
fn free() -> io::Result<(String, String)> {
    // Both held until both are known.
    let sockets = (TcpListener::bind(("127.0.0.1", 0))?, TcpListener::bind(("127.0.0.1", 0))?);
    let url = |socket: &TcpListener| Ok::<_, io::Error>(format!("http://{}", socket.local_addr()?));
    Ok((url(&sockets.0)?, url(&sockets.1)?))
}

impl Server {
    fn found(&mut self, members: usize) -> io::Result<()> {
        let urls = (0..members).map(|_| free()).collect::<io::Result<Vec<_>>>()?;
        let all: Vec<String> = urls.iter().enumerate().map(|(at, (_, peer))| format!("m{at}={peer}")).collect();
        for (at, (client, peer)) in urls.into_iter().enumerate() {
            self.spawn(&format!("m{at}"), client, peer, &format!("--initial-cluster={}", all.join(",")))?;
        }
        self.urls = self.members.iter().map(|member| member.client.clone()).collect();
        Ok(())
    }

    fn spawn(&mut self, name: &str, client: String, peer: String, cluster: &str) -> io::Result<()> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        let (program, first) = self.command.split_first().ok_or_else(|| io::Error::other("no program"))?;
        let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log"))?;
        let child = Command::new(program)
            .args(first)
            .args([format!("--name={name}"), format!("--data-dir={}", dir.join("data").display())])
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(cluster)
            .args(cluster.contains(",joining-").then_some("--initial-cluster-state=existing"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.members.push(Member { child, client, peer });
        Ok(())
    }

    /// Addresses for a member that is to be added; none where the processes are not ours.
    pub(super) fn place(&mut self) -> io::Result<Option<Place>> {
        if self.members.is_empty() {
            return Ok(None);
        }
        let (client, peer) = free()?;
        let all: Vec<String> =
            self.members.iter().enumerate().map(|(at, member)| format!("m{at}={}", member.peer)).collect();
        // A directory of its own: to remove a former one's makes everybody wait whose files lie beside it. But not without end.
        if self.joined >= MOST_LEFT {
            self.clear()?;
        }
        self.joined += 1;
        let name = format!("joining-{}", self.joined);
        let cluster = format!("--initial-cluster={},{name}={peer}", all.join(","));
        Ok(Some(Place { name, client, peer, cluster }))
    }

    /// Starts a member that was added, without anything.
    pub(super) fn join(&mut self, place: &Place) -> io::Result<()> {
        self.spawn(&place.name, place.client.clone(), place.peer.clone(), &place.cluster)
    }

    /// Ends the member that joined last.
    pub(super) async fn part(&mut self) {
        if let Some(member) = self.members.pop() {
            // Elsewhere: the load's end is to be seen meanwhile. Fails only where that panics.
            let _ = tokio::task::spawn_blocking(move || end(member.child)).await;
        }
    }

    /// Removes what members have left that joined and went.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        for number in 1..=std::mem::take(&mut self.joined) {
            fs::remove_dir_all(self.dir.join(format!("joining-{number}")))?;
        }
        Ok(())
    }

    /// Its processes, as they are now.
    pub(super) fn processes(&self) -> Processes {
        Processes(self.members.iter().map(|member| member.child.id()).collect())
    }

    /// Resident memory of the first process: its own, and what it shares with files.
    pub(super) fn memory(&self) -> String {
        let status = self.members.first().map(|member| format!("/proc/{}/status", member.child.id()));
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

    /// What the files of the first member take on the disk.
    pub(super) fn disk(&self) -> String {
        let (mut blocks, mut dirs) = (0, vec![self.dir.join("m0/data")]);
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
                let Ok(data) = entry.metadata() else { continue };
                blocks += std::os::unix::fs::MetadataExt::blocks(&data);
                if data.is_dir() {
                    dirs.push(entry.path());
                }
            }
        }
        // In units of 512 bytes, whatever the file system's blocks (stat(2)).
        format!("{} MiB", blocks >> 11)
    }

    /// The checkpoints of the first member; an etcd's snapshots.
    pub(super) fn checkpoints(&self) -> BTreeSet<std::ffi::OsString> {
        let dirs = ["m0/data", "m0/data/member/snap"].map(|dir| fs::read_dir(self.dir.join(dir)));
        let names = dirs.into_iter().flatten().flatten().flatten().map(|entry| entry.file_name());
        let is_one = |name: &std::ffi::OsString| {
            let name = name.to_string_lossy();
            name.starts_with("checkpoint-") && !name.ends_with(".tmp") || name.ends_with(".snap")
        };
        names.filter(is_one).collect()
    }

    /// Ends it as its operator would.
    pub(super) fn end(&mut self) {
        self.members.drain(..).for_each(|member| end(member.child));
    }
}

/// Where a new member will be.
pub(super) struct Place {
    name: String,
    pub(super) client: String,
    pub(super) peer: String,
    cluster: String,
}

/// Processes of a server.
pub(super) struct Processes(Vec<u32>);

impl Processes {
    /// CPU that they have used, in sum. `None`: there are none, or one is gone.
    pub(super) fn cpu(&self) -> Option<Duration> {
        if self.0.is_empty() { None } else { self.0.iter().map(|pid| cpu(*pid)).sum() }
    }
}

fn cpu(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 14 and 15; the program's name before may hold anything but a last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(user + system) / TICKS)
}

/// A signal, then patience.
fn end(mut child: Child) {
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

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
