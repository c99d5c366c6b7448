//! Servers of etcd's API as processes on loopback, for tests: started, killed, stopped and continued by what they are, ended
//! with their owner. What they keep is in the directory they are given.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::free_ports;

/// The etcd in the PATH, or what `MKUBE_ETCD` names: another program that takes etcd's flags, with arguments that come before
/// them, e.g. `target/debug/mkube store`.
pub fn program() -> Vec<String> {
    let named = std::env::var("MKUBE_ETCD").unwrap_or_default();
    let words: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() { vec!["etcd".into()] } else { words }
}

/// Whether [`program`] can be run.
pub fn is_installed() -> bool {
    let program = program();
    let mut command = Command::new(&program[0]);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
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
    /// The program, then its arguments.
    command: Vec<String>,
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
        Self::cluster(&program(), dir, 1, None)?.pop().ok_or_else(|| io::Error::other("no member"))
    }

    /// A cluster of several, each a process of `program`.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn cluster(
        program: &[String],
        dir: &Path,
        members: usize,
        tls: Option<&ServingFiles>,
    ) -> io::Result<Vec<Self>> {
        let ports = free_ports(members * 2);
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
            ];
            let mut command = program.to_vec();
            command.extend(flags.iter().map(|(flag, value)| format!("--{flag}={value}")));
            if let Some(files) = tls {
                let names =
                    [("cert-file", &files.cert), ("key-file", &files.key), ("trusted-ca-file", &files.client_ca)];
                command.extend(names.map(|(flag, path)| format!("--{flag}={}", path.display())));
                command.push("--client-cert-auth".into());
            }
            let log = dir.join(format!("{}.log", name(number)));
            let mut member = Self { command, log, url: served(client), child: None };
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
        let (program, arguments) = self.command.split_first().ok_or_else(|| io::Error::other("no program"))?;
        let mut command = Command::new(program);
        command.args(arguments).env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH);
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

    /// How it has ended by itself, if it has, and the end of what it said.
    fn last_words(&mut self) -> String {
        let ended = match self.child.as_mut().map(Child::try_wait) {
            Some(Ok(Some(status))) => format!("has ended by itself, {status}"),
            Some(_) => "runs".into(),
            None => "was killed".into(),
        };
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        format!("{} {ended}; it said last:\n{}", self.url, lines[lines.len().saturating_sub(10)..].join("\n"))
    }
}

impl Drop for Etcd {
    /// A test that fails tells what became of it: its log goes with the test's directory.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.last_words());
        }
        self.kill();
    }
}
