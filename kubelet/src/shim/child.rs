//! The side of a fork that becomes a container's process, or a command's in a container. One thread, no way back: it ends in exec, or by
//! telling the shim why it could not.
//!
//! To the shim it speaks by a socket that exec closes: `T` with the terminal's descriptor, `E` with an error; its end without an error
//! means that the program runs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Gid, Pid, Signal, Uid};
use rustix::pty::OpenptFlags;
use rustix::thread::{CapabilitySet, CapabilitySets, LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::wire::{ContainerConfig, SandboxConfig, recv_fds, send_fds};
use super::{capabilities, lookup, rootfs};
use crate::cgroup::Group;
use crate::sys::{Forked, default_signals, fork, unshare};

/// What a child tells before it is gone into exec.
pub const TERMINAL: u8 = b'T';
/// The rest of the message says why it could not start.
pub const ERROR: u8 = b'E';

/// A forked child.
#[derive(Debug)]
pub struct Child {
    /// For kill and status.
    pub pid: Pid,
    /// Readable when it has ended.
    pub handle: OwnedFd,
    /// Where it says how starting goes.
    pub status: OwnedFd,
}

/// What the child's standard streams are.
#[derive(Debug)]
pub enum Stdio {
    /// These.
    Files([OwnedFd; 3]),
    /// A terminal, made by the child in its own /dev/pts.
    Terminal,
}

/// The parts of a container that all its processes share.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its sandbox.
    pub sandbox: &'a SandboxConfig,
    /// The sandbox's directory.
    pub sandbox_directory: &'a Path,
    /// The container.
    pub config: &'a ContainerConfig,
    /// The container's directory.
    pub directory: &'a Path,
    /// The container's control group.
    pub cgroup: &'a Group,
}

/// Starts a container's first process: PID 1 of a new PID namespace.
pub fn container(place: Place<'_>, own_pids: BorrowedFd<'_>, stdio: Stdio) -> io::Result<Child> {
    unshare(UnshareFlags::NEWPID)?;
    let spec = &place.config.spec;
    spawn(
        own_pids,
        |status| {
            unshare(UnshareFlags::NEWNS).map_err(|error| format!("mount namespace: {error}"))?;
            rootfs::enter(place.sandbox, place.sandbox_directory, place.config, place.directory)?;
            streams(stdio, status)?;
            Err(execute(place, &place.config.argv, place.config.builtin, spec.tty))
        },
        place,
    )
}

/// Starts a command in a running container.
pub fn command(
    place: Place<'_>,
    own_pids: BorrowedFd<'_>,
    first: u32,
    command: &[String],
    stdio: Stdio,
) -> io::Result<Child> {
    let open = |kind: &str| {
        rustix::fs::open(format!("/proc/{first}/ns/{kind}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    };
    let (pids, mounts) = (open("pid")?, open("mnt")?);
    move_into_link_name_space(pids.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
    let tty = matches!(stdio, Stdio::Terminal);
    spawn(
        own_pids,
        |status| {
            rootfs::join(mounts.as_fd(), first).map_err(|error| format!("entering the container: {error}"))?;
            streams(stdio, status)?;
            Err(execute(place, command, false, tty))
        },
        place,
    )
}

/// Forks into the PID namespace that was chosen for children, and takes that choice back. `run` returns only with an error.
fn spawn(
    own_pids: BorrowedFd<'_>,
    run: impl FnOnce(BorrowedFd<'_>) -> Result<(), String>,
    place: Place<'_>,
) -> io::Result<Child> {
    let forked = (|| {
        let (ours, theirs) = rustix::net::socketpair(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::SEQPACKET,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )?;
        let cgroup = place.cgroup.birthplace();
        Ok::<_, io::Error>((fork(cgroup.as_ref().map(AsFd::as_fd))?, ours, theirs))
    })();
    if let Ok((Forked::Child, ours, theirs)) = forked {
        drop(ours);
        let become_it = || prepare(place).and_then(|()| run(theirs.as_fd()));
        let result =
            base::panics::catch(become_it).unwrap_or_else(|panic| Err(format!("panic while starting: {panic}")));
        if let Err(error) = result {
            let mut message = vec![ERROR];
            message.extend_from_slice(error.as_bytes());
            let _ = send_fds(theirs.as_fd(), &message, &[]);
        }
        std::process::exit(128);
    }
    move_into_link_name_space(own_pids, Some(LinkNameSpaceType::ProcessID))?;
    match forked? {
        (Forked::Parent(pid), status, _) => {
            let handle = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
            Ok(Child { pid, handle, status })
        }
        (Forked::Child, ..) => std::process::exit(128),
    }
}

/// What must happen while the node's file system is still there.
fn prepare(place: Place<'_>) -> Result<(), String> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    rustix::process::setsid().map_err(|error| format!("session: {error}"))?;
    place.cgroup.enter();
    let score = place.config.spec.resources.oom_score_adj.unwrap_or(0);
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Puts the standard streams in place.
fn streams(stdio: Stdio, status: BorrowedFd<'_>) -> Result<(), String> {
    let set = |stdin: BorrowedFd<'_>, stdout: BorrowedFd<'_>, stderr: BorrowedFd<'_>| {
        rustix::stdio::dup2_stdin(stdin)?;
        rustix::stdio::dup2_stdout(stdout)?;
        rustix::stdio::dup2_stderr(stderr)
    };
    match stdio {
        Stdio::Files([stdin, stdout, stderr]) => set(stdin.as_fd(), stdout.as_fd(), stderr.as_fd()),
        Stdio::Terminal => (|| {
            let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
            let master = rustix::fs::openat(CWD, "/dev/ptmx", flags, Mode::empty())?;
            rustix::pty::unlockpt(&master)?;
            let slave = rustix::pty::ioctl_tiocgptpeer(
                &master,
                OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
            )?;
            rustix::process::ioctl_tiocsctty(&slave)?;
            send_fds(status, &[TERMINAL], &[master.as_fd()]).map_err(|_| rustix::io::Errno::PIPE)?;
            set(slave.as_fd(), slave.as_fd(), slave.as_fd())
        })(),
    }
    .map_err(|error| format!("standard streams: {error}"))
}

/// Becomes the user and the program; returns why it could not.
fn execute(place: Place<'_>, argv: &[String], builtin: bool, tty: bool) -> String {
    let spec = &place.config.spec;
    if let Some(directory) = &spec.working_dir {
        if !directory.exists() {
            let _ = std::fs::create_dir_all(directory);
        }
        if let Err(error) = rustix::process::chdir(directory) {
            return format!("chdir to cwd ({:?}) set in config.json failed: {}", directory, io::Error::from(error));
        }
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut environment: Vec<(&str, &str)> =
        vec![("PATH", lookup::DEFAULT_PATH), ("HOSTNAME", &place.sandbox.spec.hostname)];
    if tty {
        environment.push(("TERM", "xterm"));
    }
    environment.push(("HOME", lookup::home(&passwd, spec.run_as_user.unwrap_or(0))));
    environment.extend(place.config.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));

    let Some(name) = argv.first() else { return "no command specified".to_owned() };
    let path = environment.iter().rev().find(|(name, _)| *name == "PATH").map_or("", |(_, value)| value);
    let program = if builtin {
        Path::new("/proc/self/exe").to_owned()
    } else {
        match lookup::executable(name, path, lookup::inspect) {
            Ok(program) => program,
            Err(error) => return error,
        }
    };
    if let Err(error) = become_user(place, &passwd) {
        return format!("setting the user failed: {error}");
    }
    default_signals();
    let error = Command::new(&program).arg0(name).args(&argv[1..]).env_clear().envs(environment).exec();
    match error.raw_os_error() {
        Some(libc::ENOEXEC) => format!("exec {}: exec format error", program.display()),
        Some(libc::ENOENT) => format!("exec {}: no such file or directory", program.display()),
        _ => format!("exec {}: {error}", program.display()),
    }
}

fn become_user(place: Place<'_>, passwd: &str) -> io::Result<()> {
    let spec = &place.config.spec;
    let kept = capabilities::set(&spec.add_capabilities, &spec.drop_capabilities).map_err(io::Error::other)?;
    if !spec.privileged {
        for capability in CapabilitySet::all().difference(kept) {
            // Fails only for those the kernel does not know.
            let _ = rustix::thread::remove_capability_from_bounding_set(capability);
        }
    }
    let uid = spec.run_as_user.unwrap_or(0);
    let gid = spec.run_as_group.unwrap_or_else(|| lookup::primary_group(passwd, uid));
    let mut groups = spec.supplemental_groups.clone();
    groups.push(gid);
    let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
    rustix::thread::set_thread_groups(&groups)?;
    let (gid, uid) = (Gid::from_raw(gid), Uid::from_raw(uid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    if !spec.privileged && uid.is_root() {
        let held = rustix::thread::capabilities(None)?.permitted.intersection(kept);
        let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
        rustix::thread::set_capabilities(None, sets)?;
    }
    if spec.no_new_privileges && !spec.privileged {
        rustix::thread::set_no_new_privs(true)?;
    }
    // A change of user forgets it.
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// What a starting child says next.
#[derive(Debug)]
pub enum Word {
    /// Its terminal.
    Terminal(OwnedFd),
    /// Why it cannot start.
    Error(String),
    /// It started, or is gone.
    End,
}

/// Reads the next word of a starting child; call it when its status socket is readable.
pub fn listen(status: BorrowedFd<'_>) -> Word {
    let (mut bytes, mut fds) = ([0u8; 4096], Vec::new());
    match recv_fds(status, &mut bytes, &mut fds) {
        Ok(length) => match (bytes[..length].first(), fds.pop()) {
            (Some(&TERMINAL), Some(terminal)) => Word::Terminal(terminal),
            (Some(&ERROR), _) => Word::Error(String::from_utf8_lossy(&bytes[1..length]).into_owned()),
            _ => Word::End,
        },
        Err(_) => Word::End,
    }
}
