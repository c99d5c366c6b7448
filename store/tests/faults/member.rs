//! One member: its process in its namespace, its files, and what it says of itself.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Context;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use rustix::process::{Pid, Signal, kill_process};
use store::remote::{Options, Remote};
use tonic::transport::{Channel, Endpoint};

use super::net::{address, within};

/// For one question.
const SOON: Duration = Duration::from_millis(1500);
/// The file system of the member whose disk is filled.
const SMALL_DISK: &str = "size=400m";

/// See the module's header.
pub(crate) struct Member {
    pub(crate) number: u8,
    dir: PathBuf,
    url: String,
    all: String,
    child: Option<Child>,
    pub(crate) stopped: bool,
}

/// What a member says of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) leader: u64,
    pub(crate) term: u64,
}

impl Member {
    /// One that does not run yet, with an empty directory below `dir`; that of the last one is a small disk of its own.
    pub(crate) fn new(number: u8, members: u8, dir: &Path) -> Self {
        let peer = |number: u8| format!("m{number}=http://{}:2380", address(number));
        let all = (1..=members).map(peer).collect::<Vec<_>>().join(",");
        let dir = dir.join(format!("m{number}"));
        std::fs::create_dir(&dir).unwrap();
        if number == members {
            let mut mount = std::process::Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", SMALL_DISK, "none"]).arg(&dir);
            assert!(mount.status().unwrap().success(), "a small disk is mounted");
        }
        let url = format!("http://{}:2379", address(number));
        Self { number, dir, url, all, child: None, stopped: false }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn peer_url(&self) -> String {
        format!("http://{}:2380", address(self.number))
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        // Not on the disk that is filled.
        self.dir.with_extension("log")
    }

    /// Starts it; `joins`: as one that was added to a cluster that runs.
    pub(crate) fn start(&mut self, joins: bool) {
        let program =
            std::env::var("STORE_FAULTS_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mkube-store").into());
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let (client, peer) = (self.url.clone(), self.peer_url());
        let child = within(self.number, &program)
            .arg(format!("--name=m{}", self.number))
            .arg(format!("--data-dir={}", self.data().display()))
            .arg(format!("--listen-client-urls={client}"))
            .arg(format!("--advertise-client-urls={client}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .arg(format!("--initial-cluster={}", self.all))
            .arg(format!("--initial-cluster-state={}", if joins { "existing" } else { "new" }))
            // Small, so that files are left behind, snapshots written and sent.
            .args(["--log-file-bytes=16384", "--log-trim-bytes=32768"])
            // Of a panic, but not of an error that says all there is to say.
            .env("RUST_BACKTRACE", "1")
            .env("RUST_LIB_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        (self.child, self.stopped) = (Some(child), false);
    }

    pub(crate) fn runs(&self) -> bool {
        self.child.is_some()
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.ended() {
            Some(status) => {
                Err(format!("member {} ended by itself: {status}; it said last:\n{}", self.number, self.said()))
            }
            None => Ok(()),
        }
    }

    /// How it ended, if it has, by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// The end of its log.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.as_ref().and_then(|child| Pid::from_raw(child.id() as i32));
        if let Some(pid) = pid {
            kill_process(pid, signal).unwrap();
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.stopped = false;
    }

    /// Tells it to end, and waits.
    pub(crate) async fn end(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ended() {
                Some(status) if status.success() => break,
                Some(status) => {
                    return Err(format!("member {} was told to end: {status}:\n{}", self.number, self.said()));
                }
                None if Instant::now() > deadline => {
                    return Err(format!("member {} does not end:\n{}", self.number, self.said()));
                }
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        self.child = None;
        Ok(())
    }

    /// SIGSTOP.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::STOP);
        self.stopped = self.child.is_some();
    }

    /// SIGCONT.
    pub(crate) fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.stopped = false;
    }

    /// Loses its disk.
    pub(crate) fn wipe(&self) {
        match std::fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }

    /// Its files, those that lie in directories of their own included, without the lock.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut dirs) = (Vec::new(), vec![self.data()]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.metadata().is_ok_and(|file| file.len() > 0) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Takes all room of its disk but so many bytes.
    pub(crate) fn fill(&self, but: u64) {
        let disk = rustix::fs::statvfs(&self.dir).unwrap();
        let free = (disk.f_bavail * disk.f_frsize).saturating_sub(but);
        let balloon = std::fs::File::create(self.dir.join("balloon")).unwrap();
        // Another file may have taken some of it meanwhile: then it is full, too.
        let _ = rustix::fs::fallocate(&balloon, rustix::fs::FallocateFlags::empty(), 0, free.max(1));
    }

    /// Gives the room back.
    pub(crate) fn free(&self) {
        let _ = std::fs::remove_file(self.dir.join("balloon"));
    }

    /// A connection for single calls.
    pub(crate) async fn channel(&self) -> Result<Channel, String> {
        connect(&self.url).await
    }

    /// A client of this member alone.
    pub(crate) async fn client(&self) -> Result<(Context, Arc<Remote>), String> {
        let context = Context::new();
        let options = Options::new([self.url.as_str()]);
        let kv =
            Remote::connect(options, &context, Duration::from_secs(30)).await.map_err(|error| error.to_string())?;
        Ok((context, kv))
    }

    pub(crate) async fn status(&self) -> Option<Status> {
        status(&self.url).await
    }

    /// Whether a read through it is answered: it is a member, and has caught up with what was acknowledged.
    pub(crate) async fn answers(&self) -> Result<(), String> {
        let ask = async {
            let request = pb::RangeRequest { key: "health".into(), ..pb::RangeRequest::default() };
            let mut client = pb::kv_client::KvClient::new(self.channel().await?);
            client.range(request).await.map(|_| ()).map_err(|status| status.message().to_owned())
        };
        tokio::time::timeout(SOON * 2, ask).await.unwrap_or_else(|_| Err("no answer".into()))
    }

    /// Waits until it [answers](Member::answers).
    pub(crate) async fn works(&self, end: Instant) -> Result<(), String> {
        loop {
            match self.answers().await {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() > end => {
                    return Err(format!("member {} does not work: {why}; it said last:\n{}", self.number, self.said()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    pub(crate) async fn cluster(&self) -> Result<ClusterClient<Channel>, String> {
        Ok(ClusterClient::new(self.channel().await?))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn connect(url: &str) -> Result<Channel, String> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| error.to_string())?;
    endpoint.connect_timeout(SOON).connect().await.map_err(|error| error.to_string())
}

/// What the member at a URL says, if it says something soon.
pub(crate) async fn status(url: &str) -> Option<Status> {
    let ask = async {
        let mut client = MaintenanceClient::new(connect(url).await.ok()?);
        let status = client.status(pb::StatusRequest {}).await.ok()?.into_inner();
        Some(Status { id: status.header?.member_id, leader: status.leader, term: status.raft_term })
    };
    tokio::time::timeout(SOON, ask).await.ok()?
}
