//! What the kubelet and a shim say to each other: length-prefixed JSON over a unix socket, file descriptors beside it, and the
//! files of a sandbox's directory that both read.
//!
//! ```text
//! <root>/sandboxes/<sandbox>/sandbox.json              what the kubelet asked for; written before the shim starts
//!                           /shim.json                 who the shim is; written by it when the sandbox is ready
//!                           /shim.sock                 where it listens
//!                           /containers/<id>/config.json   written by the kubelet at create
//!                                           /state.json    written by the shim at start and (fsynced) at exit
//!                                           /layer/upper /layer/work /rootfs   the overlay
//! ```
//! Keeps: a frame is at most [`MAX_FRAME`] bytes; file descriptors travel with the first byte of their frame.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::netns::PodNetwork;
use crate::runtime::{ContainerSpec, SandboxSpec};

/// The longest frame: a container's environment may be large, but not without end.
pub const MAX_FRAME: usize = 4 << 20;
/// File names in a sandbox's directory.
pub const SANDBOX_FILE: &str = "sandbox.json";
/// Who the shim is.
pub const SHIM_FILE: &str = "shim.json";
/// Where it listens.
pub const SOCKET: &str = "shim.sock";
/// Container directories.
pub const CONTAINERS: &str = "containers";
/// What a container is.
pub const CONFIG_FILE: &str = "config.json";
/// Where a container stands.
pub const STATE_FILE: &str = "state.json";

/// `sandbox.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SandboxConfig {
    /// Its ID.
    pub id: String,
    /// What was asked for.
    pub spec: SandboxSpec,
    /// When, in nanoseconds since 1970.
    pub created_at: i64,
    /// `None` with host network.
    pub network: Option<PodNetwork>,
    /// The pod's control group; sandboxes of the same pod that follow each other share it. See [`SandboxConfig::shim_cgroup`].
    pub cgroup: cgroup::Group,
    /// Directories of the node that containers see empty: keys, other pods.
    pub hide: Vec<PathBuf>,
}

impl SandboxConfig {
    /// The control group of the shim itself. Containers have theirs beside it, named by their IDs.
    pub fn shim_cgroup(&self) -> cgroup::Group {
        self.cgroup.child(&format!("shim-{}", self.id))
    }
}

/// A process that can be told from a later one with the same PID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// On the node.
    pub pid: u32,
    /// Field 22 of /proc/<pid>/stat.
    pub start_time: u64,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
}

/// `config.json` of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Its ID.
    pub id: String,
    /// What was asked for.
    pub spec: ContainerSpec,
    /// What runs: the image's entry point and arguments applied.
    pub argv: Vec<String>,
    /// Whether `argv[0]` is this very program (the built-in image).
    pub builtin: bool,
    /// Environment of the image and the container.
    pub env: Vec<(String, String)>,
    /// When it was made, in nanoseconds since 1970.
    pub created_at: i64,
}

/// Where a container stands on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Between fork and exec.
    Starting,
    /// Its program runs.
    Running,
    /// It ended, or never could start.
    Exited,
}

/// `state.json` of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// Its ID.
    pub id: String,
    /// Where it stands.
    pub phase: Phase,
    /// Its first process.
    pub process: Option<ProcessId>,
    /// Nanoseconds since 1970.
    pub started_at: Option<i64>,
    /// Nanoseconds since 1970.
    pub finished_at: Option<i64>,
    /// 128 + signal if a signal ended it.
    pub exit_code: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// What the kubelet asks for. `Exec` and `Attach` have a connection of their own, which ends the session when it closes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Tells where all containers stand, then every change as [`Push::Changed`].
    Subscribe,
    /// Starts a container whose `config.json` is there.
    Start(String),
    /// Sends a signal to a container's first process; none if it has ended.
    Signal(String, i32),
    /// Forgets an ended container.
    Forget(String),
    /// Kills every container, answers when all have ended, and ends.
    Stop,
    /// Runs a command in a container. File descriptors: those of stdin, stdout, stderr that are true; with `tty` none, the
    /// terminal's comes back with [`Answer::Started`].
    Exec {
        /// The container.
        id: String,
        /// Program and arguments.
        command: Vec<String>,
        /// Which of stdin, stdout, stderr come along.
        streams: [bool; 3],
        /// Make a terminal.
        tty: bool,
    },
    /// Copies the output of a container. File descriptors: of stdout and stderr if true. With [`Answer::Started`] comes the
    /// one that leads to its standard input (or its terminal), if it has one.
    Attach {
        /// The container.
        id: String,
        /// Which of stdout, stderr come along.
        streams: [bool; 2],
        /// Whether standard input is wanted.
        stdin: bool,
    },
}

/// A request with the number its answer will carry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// Chosen by the caller, not 0.
    pub seq: u64,
    /// What.
    pub request: Request,
}

/// What comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Answer {
    /// Done.
    Done,
    /// Where all containers stand.
    Records(Vec<ContainerRecord>),
    /// The container, command or attachment runs.
    Started,
    /// The command ended, or the container one is attached to.
    Ended(i32),
    /// The container or command cannot start.
    StartFailed(String),
    /// There is no such container, or it does not run.
    NotFound(String),
    /// Anything else.
    Failed(String),
}

/// A message from the shim.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Push {
    /// The answer to a call.
    Answer(u64, Answer),
    /// A container changed.
    Changed(ContainerRecord),
}

/// What the shim prints when the sandbox is ready, or why it is not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ready {
    /// It listens.
    Ok(ProcessId),
    /// It could not be made.
    Failed(String),
}

/// A message as a frame.
pub fn frame<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message to or from a shim is too long"));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Takes the next whole frame off the front of `buffer`.
pub fn next_frame<T: DeserializeOwned>(buffer: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some(head) = buffer.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*head) as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "frame too long"));
    }
    if buffer.len() < 4 + length {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[4..4 + length])?;
    buffer.drain(..4 + length);
    if buffer.is_empty() {
        *buffer = Vec::new();
    }
    Ok(Some(message))
}

/// Sends bytes with file descriptors beside the first of them; returns how many bytes went.
pub fn send_fds(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many file descriptors"));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives bytes and the file descriptors beside them; 0 bytes = the other side closed.
pub fn recv_fds(socket: BorrowedFd<'_>, bytes: &mut [u8], fds: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    Ok(got.bytes)
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

/// Writes a JSON file so that a reader sees the old or the new one; with `durable` also after a power cut.
pub fn write_json<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = std::fs::File::create(&temporary)?;
    io::Write::write_all(&mut file, &serde_json::to_vec(value)?)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&temporary, path)?;
    if durable && let Some(parent) = path.parent() {
        std::fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl ProcessId {
    /// Who `pid` is now; `None` if there is no such process or it is a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let (state, start_time) = stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        (state != 'Z' && state != 'X').then_some(Self { pid, start_time, boot_id })
    }

    /// Whether this very process still runs.
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Kills it, if it still is the same process.
    pub fn kill(&self) {
        // The pidfd pins the process between the check and the signal.
        let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) else { return };
        let Ok(handle) = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
        if self.alive() {
            let _ = rustix::process::pidfd_send_signal(&handle, rustix::process::Signal::KILL);
            // Readable when it has ended (also before its parent reaps it); 5 s, or it hangs in the kernel.
            let deadline = rustix::event::Timespec { tv_sec: 5, tv_nsec: 0 };
            let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            let _ = rustix::event::poll(&mut ended, Some(&deadline));
        }
    }
}

/// State and start time out of /proc/<pid>/stat; the name in parentheses may contain anything.
fn stat(line: &str) -> Option<(char, u64)> {
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_being_cut_anywhere() {
        let call = Call { seq: 7, request: Request::Signal("c1".into(), 15) };
        let bytes = frame(&call).unwrap();
        for cut in 0..bytes.len() {
            let mut buffer = bytes[..cut].to_vec();
            assert!(next_frame::<Call>(&mut buffer).unwrap().is_none(), "cut at {cut}");
            buffer.extend_from_slice(&bytes[cut..]);
            buffer.extend_from_slice(&bytes);
            let first: Call = next_frame(&mut buffer).unwrap().unwrap();
            assert_eq!((first.seq, buffer.len()), (7, bytes.len()));
        }
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        assert!(next_frame::<Call>(&mut vec![0xff; 8]).is_err());
    }

    #[test]
    fn process_names_may_contain_parentheses() {
        let line = "12 (a) b) c) S 1 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0";
        assert_eq!(stat(line), Some(('S', 4711)));
        assert_eq!(stat("garbage"), None);
    }

    #[test]
    fn a_process_is_itself_and_not_another() {
        let me = ProcessId::of(std::process::id()).unwrap();
        assert!(me.alive());
        assert!(!ProcessId { start_time: me.start_time + 1, ..me.clone() }.alive());
        assert!(!ProcessId { boot_id: "another".into(), ..me }.alive());
    }
}
