//! The shim: a tiny process per pod that holds the pod's namespaces and is the parent of all its containers, so that the kubelet can
//! die and return without touching them.
//!
//! ```text
//! kubelet --spawns--> __shim <directory> --forks--> container processes (own PID and mount namespaces)
//!    \--unix socket-->   |  holds network, UTS and IPC namespace; pumps output into log files;
//!                        |  writes exit records, fsynced; dies with nothing left when told to stop
//! ```
//! | file | what |
//! |---|---|
//! | [`wire`] | messages, file descriptors beside them, files on disk |
//! | [`serve`] | the poll loop and what it holds |
//! | [`client`] | one connection from a kubelet |
//! | `containers` | from start to exit record |
//! | `sessions` | exec and attach |
//! | [`output`] | container output into logs and to those attached |
//! | [`child`] | from fork to exec |
//! | [`rootfs`] | what a container sees as its file system |
//! | [`lookup`] | which file a command names (pure) |
//! | [`sys`] | the unsafe calls |
//!
//! One thread, no tokio, little memory. If a shim dies, the kernel kills its containers with it (parent death signal).

pub mod capabilities;
pub mod child;
pub mod client;
mod containers;
pub mod lookup;
pub mod output;
pub mod rootfs;
pub mod serve;
mod sessions;
pub mod wire;

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::sys::Forked;
use rustix::thread::UnshareFlags;
use wire::{ProcessId, Ready, SandboxConfig};

/// The subcommands that must run before anything starts a thread. Call it first thing in `main`; `Some` is the exit code.
pub fn dispatch(arguments: impl IntoIterator<Item = OsString>) -> Option<i32> {
    let mut arguments = arguments.into_iter().skip(1);
    let first = arguments.next()?;
    match first.to_str()? {
        "__shim" => Some(main(arguments.next())),
        "__echo" => {
            Some(crate::runtime::echo::main(arguments.map(|text| text.to_string_lossy().into_owned()).collect()))
        }
        _ => None,
    }
}

/// `__shim <sandbox directory>`: prints one JSON line ([`Ready`]), closes its output and stays.
fn main(directory: Option<OsString>) -> i32 {
    let Some(directory) = directory else {
        eprintln!("__shim is started by mkubelet, with the directory of a sandbox");
        return 64;
    };
    let directory = Path::new(&directory);
    let config: SandboxConfig = match wire::read_json(&directory.join(wire::SANDBOX_FILE)) {
        Ok(config) => config,
        Err(error) => return report(&Ready::Failed(format!("sandbox.json: {error}"))),
    };
    // The kubelet need not be our parent: it may die, and it should not have to reap us.
    let cgroup = config.shim_cgroup().birthplace();
    match crate::sys::fork(cgroup.as_ref().map(AsFd::as_fd)) {
        Ok(Forked::Parent(_)) => return 0,
        Ok(Forked::Child) => {}
        Err(error) => return report(&Ready::Failed(format!("fork: {error}"))),
    }
    drop(cgroup);
    match prepare(directory, config) {
        // A kubelet that died meanwhile has not heard of this sandbox: it ends, and the next kubelet finds it dead.
        Ok(shim) => ready().map_or(1, |()| shim.run()),
        Err(error) => report(&Ready::Failed(error)),
    }
}

fn report(ready: &Ready) -> i32 {
    let line = serde_json::to_string(ready).unwrap_or_default();
    let _ = writeln!(io::stdout(), "{line}");
    1
}

/// Says that it is ready, and lets go of the pipe.
fn ready() -> io::Result<()> {
    let me = ProcessId::of(std::process::id()).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    let mut line = serde_json::to_vec(&Ready::Ok(me))?;
    line.push(b'\n');
    io::stdout().write_all(&line)?;
    io::stdout().flush()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

/// Makes what the pod's containers share.
fn prepare(directory: &Path, config: SandboxConfig) -> Result<serve::Shim, String> {
    let because = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| format!("{what}: {error}")
    };
    rustix::process::setsid().map_err(|error| format!("session: {error}"))?;
    let _ = rustix::thread::set_name(c"mkube-shim");
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // As the kubelet gives the pause container: killed last.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-998");
    config.shim_cgroup().enter();

    // A socket's address holds 107 bytes; a data directory's name may be longer.
    let bind = || {
        rustix::process::chdir(directory)?;
        let _ = std::fs::remove_file(wire::SOCKET);
        let listener = UnixListener::bind(wire::SOCKET)?;
        listener.set_nonblocking(true)?;
        rustix::process::chdir("/")?;
        Ok(listener)
    };
    let listener = bind().map_err(because("socket"))?;

    crate::sys::unshare(UnshareFlags::NEWIPC).map_err(because("IPC namespace"))?;
    if let Some(network) = &config.network {
        network.enter_new().map_err(because("network namespace"))?;
        crate::sys::unshare(UnshareFlags::NEWUTS).map_err(because("UTS namespace"))?;
        rustix::system::sethostname(config.spec.hostname.as_bytes()).map_err(|error| format!("host name: {error}"))?;
    }
    for (name, value) in &config.spec.sysctls {
        // A slash inside a name stands for a dot that is none of its separators.
        let file: String = name
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect();
        std::fs::write(Path::new("/proc/sys").join(file), value).map_err(because(&format!("sysctl {name}")))?;
    }
    let me = ProcessId::of(std::process::id()).ok_or("/proc is not mounted")?;
    wire::write_json(&directory.join(wire::SHIM_FILE), &me, false).map_err(because("shim.json"))?;
    serve::Shim::new(directory, config, listener).map_err(because("shim"))
}
