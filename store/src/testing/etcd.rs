//! Real etcd processes on loopback, for tests and measurements: started, killed, stopped and continued by what they are, ended
//! with their owner. Relies on an `etcd` in the PATH ([`is_installed`]); what it keeps is in the directory it is given.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Whether there is an etcd to start. `MKUBE_ETCD` names another program than the one in the PATH.
pub fn is_installed() -> bool {
    Command::new(program()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn program() -> PathBuf {
    std::env::var_os("MKUBE_ETCD").map_or_else(|| "etcd".into(), PathBuf::from)
}

/// Files (PEM) with which members serve clients by TLS and ask them for certificates.
pub struct ServingFiles {
    /// Certificate for 127.0.0.1.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authority of the clients' certificates.
    pub client_ca: PathBuf,
}

/// One member.
pub struct Etcd {
    arguments: Vec<String>,
    log: PathBuf,
    url: String,
    child: Option<Child>,
}

impl Etcd {
    /// A cluster of one, with its files in `dir`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(dir: &Path) -> io::Result<Self> {
        Self::cluster(dir, 1, None, &[])?.pop().ok_or_else(|| io::Error::other("no member"))
    }

    /// A cluster of several, each started with the further arguments.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn cluster(dir: &Path, members: usize, tls: Option<&ServingFiles>, further: &[&str]) -> io::Result<Vec<Self>> {
        let ports = free_ports(members * 2)?;
        let (clients, peers) = ports.split_at(members);
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let served = |port: &u16| format!("{}://127.0.0.1:{port}", if tls.is_some() { "https" } else { "http" });
        let name = |number: usize| format!("m{number}");
        let all: Vec<String> =
            peers.iter().enumerate().map(|(number, port)| format!("{}={}", name(number), url(port))).collect();
        let all = all.join(",");
        let mut started = Vec::new();
        for (number, (client, peer)) in clients.iter().zip(peers).enumerate() {
            let flags = [
                ("name", name(number)),
                ("data-dir", dir.join(name(number)).display().to_string()),
                ("listen-client-urls", served(client)),
                ("advertise-client-urls", served(client)),
                ("listen-peer-urls", url(peer)),
                ("initial-advertise-peer-urls", url(peer)),
                ("initial-cluster", all.clone()),
                ("logger", "zap".into()),
                ("log-level", "warn".into()),
            ];
            let own = flags.iter().map(|(flag, value)| format!("--{flag}={value}"));
            let mut arguments: Vec<String> = own.chain(further.iter().map(|more| (*more).to_owned())).collect();
            if let Some(files) = tls {
                let names =
                    [("cert-file", &files.cert), ("key-file", &files.key), ("trusted-ca-file", &files.client_ca)];
                arguments.extend(names.map(|(flag, path)| format!("--{flag}={}", path.display())));
                arguments.push("--client-cert-auth".into());
            }
            let log = dir.join(format!("{}.log", name(number)));
            let mut member = Self { arguments, log, url: served(client), child: None };
            member.run()?;
            started.push(member);
        }
        Ok(started)
    }

    /// Starts it again after [`Etcd::kill`], on its files.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&mut self) -> io::Result<()> {
        self.kill();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(program());
        command.args(&self.arguments).env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
        self.child = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Where clients reach it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Fails if it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP: it holds its connections and says nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Fails if it has ended, which its user sees soon enough.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports of loopback that nobody listens on.
fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    let open: io::Result<Vec<_>> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect();
    open?.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
