//! `mkube-store` as a process on loopback, ended with its owner.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use store::testing::free_ports;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// See the module's header.
pub(crate) struct Server {
    dir: PathBuf,
    port: u16,
    peer: u16,
    further: Vec<String>,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start(dir: &Path, further: &[&str]) -> Self {
        Self::start_as(dir, free_ports(1)[0], further)
    }

    /// A member whose peers know it by this port.
    pub(crate) fn start_as(dir: &Path, peer: u16, further: &[&str]) -> Self {
        let further = further.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { dir: dir.to_owned(), port: free_ports(1)[0], peer, further, child: None };
        server.run();
        server
    }

    /// Starts it (again), and waits until it accepts connections.
    pub(crate) fn run(&mut self) {
        self.kill();
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let scheme = if self.further.iter().any(|flag| flag.starts_with("--cert-file")) { "https" } else { "http" };
        let url = format!("{scheme}://{}", self.endpoint());
        let child = Command::new(env!("CARGO_BIN_EXE_mkube-store"))
            .arg(format!("--data-dir={}", self.dir.join("data").display()))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{}", self.peer))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{}", self.peer))
            .args(&self.further)
            .env("RUST_LOG", std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(self.endpoint()).is_err() {
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            let log = || std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "mkube-store does not run: {}", log());
            std::thread::yield_now();
        }
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.endpoint())
    }

    /// See [`http`].
    pub(crate) async fn http(&self, method: &str, path: &str) -> (u16, String) {
        http(&self.endpoint(), method, path).await
    }

    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        tonic::transport::Endpoint::from_shared(self.url()).unwrap().connect().await.unwrap()
    }
}

/// The answer to a request over HTTP/1.0, which comes in one piece: its status, and what follows the head.
pub(crate) async fn http(endpoint: &str, method: &str, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(endpoint).await.unwrap();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.dir.join("log")).unwrap_or_default());
        }
    }
}
