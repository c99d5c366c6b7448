//! The image `mkube.local/echo`: a server for examples and tests, so that neither needs a registry. Answers over HTTP, TCP and UDP with
//! where it runs and what it was asked.
//!
//! ```text
//! __echo [--http PORT]… [--tcp PORT]… [--udp PORT]… [--linger 2s]        (without any port: --http 8080)
//! GET  /            pod, node, address, client, request and headers     GET /hostname   the pod's name only
//! GET  /env /headers /healthz                                           GET /sleep?ms=N  answers later
//! POST /fail[?for=10s]   /healthz answers 503, for that long            POST /exit?code=N  ends the process
//! TCP: a line about itself, then everything back.      UDP: the same line and the datagram.
//! ```
//! On SIGTERM it goes on accepting for `--linger`, because proxies learn of its end a moment later, but keeps no connection alive; then
//! it finishes what runs. One thread;
//! what a client sends is bounded.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Longest request head, and longest body that is read (and not kept).
const MAX_HEAD: usize = 32 << 10;
const MAX_BODY: u64 = 1 << 20;
/// A silent connection is closed.
const IDLE: Duration = Duration::from_secs(75);

/// What it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    http: Vec<u16>,
    tcp: Vec<u16>,
    udp: Vec<u16>,
    linger: Duration,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { http: Vec::new(), tcp: Vec::new(), udp: Vec::new(), linger: Duration::from_secs(2) };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), arguments.next().cloned()),
            };
            let value = value.ok_or_else(|| format!("{name} needs a value"))?;
            let port = || value.parse::<u16>().map_err(|_| format!("{name} {value:?}: not a port"));
            match name {
                "--http" => options.http.push(port()?),
                "--tcp" => options.tcp.push(port()?),
                "--udp" => options.udp.push(port()?),
                "--linger" => {
                    options.linger = duration(&value).ok_or_else(|| format!("--linger {value:?}: not a duration"))?
                }
                _ => {
                    return Err(format!(
                        "unknown argument {name:?}; there are --http --tcp --udp PORT and --linger 2s"
                    ));
                }
            }
        }
        if options.http.is_empty() && options.tcp.is_empty() && options.udp.is_empty() {
            options.http.push(8080);
        }
        Ok(options)
    }
}

/// `2s`, `500ms`, `1m` or plain seconds.
fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = (text[..split].parse::<u64>().ok()?, &text[split..]);
    match unit {
        "" | "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

/// Its life after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// As usual.
    Serving,
    /// Answers as usual, but tells clients to open a new connection next time, which leads elsewhere.
    Draining,
    /// Connections end at once if they are between requests.
    Stopping,
}

/// Who it is, and how it is told to behave.
struct State {
    environment: BTreeMap<String, String>,
    failing_until: Mutex<Option<Instant>>,
    phase: watch::Sender<Phase>,
}

impl State {
    fn variable(&self, names: &[&str]) -> String {
        names.iter().find_map(|name| self.environment.get(*name)).cloned().unwrap_or_default()
    }

    fn pod(&self) -> String {
        self.variable(&["POD_NAME", "MKUBE_POD_NAME", "HOSTNAME"])
    }

    fn node(&self) -> String {
        self.variable(&["NODE_NAME", "MKUBE_NODE_NAME"])
    }

    /// One line, for TCP and UDP.
    fn line(&self, local: SocketAddr, client: SocketAddr) -> String {
        format!("pod {} node {} address {local} client {client}\n", self.pod(), self.node())
    }
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    keep_alive: bool,
    body: u64,
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, target, version) = (request.next()?, request.next()?, request.next()?);
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let header = |wanted: &str| {
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        let keep_alive = match header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => version == "HTTP/1.1",
        };
        if !version.starts_with("HTTP/1.") || header("transfer-encoding").is_some() {
            return None;
        }
        let body = header("content-length").map_or(Some(0), |value| value.parse().ok())?;
        Some(Self { method: method.to_owned(), target: target.to_owned(), headers, keep_alive, body })
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn query(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What to do about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Answer(u16, String),
    Later(Duration, String),
    Fail(Option<Duration>),
    Exit(i32),
}

/// The decision: pure but for what `state` was told before.
fn decide(head: &Head, state: &State, local: SocketAddr, client: SocketAddr, now: Instant) -> Action {
    let headers = || head.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
    match (head.method.as_str(), head.path()) {
        (_, "/fail") => match head.query("for").map(duration) {
            Some(None) => Action::Answer(400, "for: not a duration\n".to_owned()),
            length => Action::Fail(length.flatten()),
        },
        (_, "/exit") => match head.query("code").map_or(Ok(0), str::parse) {
            Ok(code) => Action::Exit(code),
            Err(_) => Action::Answer(400, "code: not a number\n".to_owned()),
        },
        (_, "/sleep") => match head.query("ms").map(str::parse) {
            Some(Ok(ms)) => Action::Later(Duration::from_millis(ms), format!("slept {ms} ms\n")),
            _ => Action::Answer(400, "ms: how many milliseconds?\n".to_owned()),
        },
        (_, "/healthz") => {
            let failing = state.failing_until.lock().is_some_and(|until| now < until);
            if failing {
                Action::Answer(503, "failing, as told\n".to_owned())
            } else {
                Action::Answer(200, "ok\n".to_owned())
            }
        }
        (_, "/hostname") => Action::Answer(200, format!("{}\n", state.pod())),
        (_, "/env") => {
            Action::Answer(200, state.environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect())
        }
        (_, "/headers") => Action::Answer(200, headers()),
        _ => Action::Answer(
            200,
            format!(
                "pod: {}\nnamespace: {}\nnode: {}\naddress: {local}\nclient: {client}\nrequest: {} {}\n\n{}",
                state.pod(),
                state.variable(&["POD_NAMESPACE", "MKUBE_POD_NAMESPACE"]),
                state.node(),
                head.method,
                head.target,
                headers()
            ),
        ),
    }
}

fn response(code: u16, body: &str, keep_alive: bool) -> Vec<u8> {
    let reason = match code {
        200 => "OK",
        400 => "Bad Request",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n"
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Serves one HTTP connection until it ends.
async fn http(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    local: SocketAddr,
    client: SocketAddr,
    state: Arc<State>,
) -> std::io::Result<()> {
    let mut phase = state.phase.subscribe();
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            if buffer.len() > MAX_HEAD {
                return stream.write_all(&response(431, "too long\n", false)).await;
            }
            let read = tokio::select! {
                read = tokio::time::timeout(IDLE, stream.read_buf(&mut buffer)) => read.unwrap_or(Ok(0))?,
                // Between requests the end is now.
                _ = phase.wait_for(|phase| *phase == Phase::Stopping), if buffer.is_empty() => 0,
            };
            if read == 0 {
                return Ok(());
            }
        };
        let Some(head) = Head::parse(&String::from_utf8_lossy(&buffer[..end])) else {
            return stream.write_all(&response(400, "malformed request\n", false)).await;
        };
        if head.body > MAX_BODY {
            return stream.write_all(&response(413, "too long\n", false)).await;
        }
        buffer.drain(..end + 4);
        while (buffer.len() as u64) < head.body {
            if tokio::time::timeout(IDLE, stream.read_buf(&mut buffer)).await.unwrap_or(Ok(0))? == 0 {
                return Ok(());
            }
        }
        buffer.drain(..head.body as usize);
        let (code, body) = match decide(&head, &state, local, client, Instant::now()) {
            Action::Answer(code, body) => (code, body),
            Action::Later(delay, body) => {
                tokio::time::sleep(delay).await;
                (200, body)
            }
            Action::Fail(length) => {
                let forever = Duration::from_secs(100 * 365 * 24 * 3600);
                *state.failing_until.lock() = Instant::now().checked_add(length.unwrap_or(forever));
                (200, "the health check fails from now on\n".to_owned())
            }
            Action::Exit(code) => {
                let _ = stream.write_all(&response(200, "exiting\n", false)).await;
                std::process::exit(code);
            }
        };
        let keep_alive = head.keep_alive && *phase.borrow() == Phase::Serving;
        stream.write_all(&response(code, &body, keep_alive)).await?;
        if !keep_alive {
            return stream.shutdown().await;
        }
    }
}

/// A line about itself, then everything back.
async fn tcp(mut stream: tokio::net::TcpStream, hello: String) -> std::io::Result<()> {
    stream.write_all(hello.as_bytes()).await?;
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await.map(|_| ())
}

async fn udp(socket: UdpSocket, state: Arc<State>) {
    let mut buffer = vec![0u8; 64 << 10];
    let Ok(local) = socket.local_addr() else { return };
    while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
        let mut answer = state.line(plain(local), plain(client)).into_bytes();
        answer.extend_from_slice(&buffer[..length]);
        let _ = socket.send_to(&answer, client).await;
    }
}

/// An IPv4 client of an IPv6 socket, as the IPv4 address it is.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(("0.0.0.0", port)).await,
    }
}

async fn serve(options: Options) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let state = Arc::new(State {
        environment: std::env::vars().collect(),
        failing_until: Mutex::default(),
        phase: watch::Sender::new(Phase::Serving),
    });
    // Dropping the last sender tells that every connection is done.
    let (busy, mut idle) = tokio::sync::mpsc::channel::<()>(1);
    let mut acceptors = tokio::task::JoinSet::new();
    let ports = options.http.iter().map(|port| (*port, true)).chain(options.tcp.iter().map(|port| (*port, false)));
    for (port, is_http) in ports {
        let listener = bind(port).await?;
        let (state, busy) = (state.clone(), busy.clone());
        acceptors.spawn(async move {
            loop {
                // Out of descriptors: connections wait in the backlog until others end.
                let Ok((stream, client)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let Ok(local) = stream.local_addr() else { continue };
                let (local, client, state, busy) = (plain(local), plain(client), state.clone(), busy.clone());
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let _busy = busy;
                    let _ = if is_http {
                        http(stream, local, client, state).await
                    } else {
                        tcp(stream, state.line(local, client)).await
                    };
                });
            }
        });
    }
    for port in &options.udp {
        let socket = match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, *port)).await {
            Ok(socket) => socket,
            Err(_) => UdpSocket::bind(("0.0.0.0", *port)).await?,
        };
        acceptors.spawn(udp(socket, state.clone()));
    }
    println!("echo {} serves http {:?} tcp {:?} udp {:?}", state.pod(), options.http, options.tcp, options.udp);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("told to stop; accepting for {:?} more", options.linger);
    state.phase.send_replace(Phase::Draining);
    tokio::time::sleep(options.linger).await;
    acceptors.shutdown().await;
    state.phase.send_replace(Phase::Stopping);
    drop(busy);
    let _ = tokio::time::timeout(Duration::from_secs(10), idle.recv()).await;
    Ok(())
}

/// Runs it; returns the exit code.
pub fn main(arguments: Vec<String>) -> i32 {
    let _ = rustix::thread::set_name(c"echo");
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("echo: {error}");
            return 64;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(options))) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("echo: {error}");
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let environment = [("MKUBE_POD_NAME", "web-1"), ("MKUBE_NODE_NAME", "n1"), ("A", "b")];
        State {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            failing_until: Mutex::default(),
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ask(state: &State, request: &str) -> Action {
        let head = Head::parse(&format!("{request} HTTP/1.1\r\nHost: x\r\nX-Y: z")).unwrap();
        decide(&head, state, address("10.0.0.2:8080"), address("10.0.0.1:999"), Instant::now())
    }

    #[test]
    fn arguments() {
        let parse = |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("").unwrap().http, [8080]);
        let many = parse("--http 80 --http=81 --tcp 9000 --udp 9001 --linger 500ms").unwrap();
        assert_eq!((many.http, many.tcp, many.udp), (vec![80, 81], vec![9000], vec![9001]));
        assert_eq!(many.linger, Duration::from_millis(500));
        assert!(parse("--tcp 9000").unwrap().http.is_empty());
        for bad in ["--http", "--http x", "--http 70000", "--linger fast", "--what 1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn heads() {
        let head = Head::parse("POST /a?b=c&d=e HTTP/1.1\r\nContent-Length: 5\r\nconnection: close").unwrap();
        assert_eq!((head.path(), head.query("d"), head.query("x")), ("/a", Some("e"), None));
        assert_eq!((head.keep_alive, head.body), (false, 5));
        assert!(!Head::parse("GET / HTTP/1.0").unwrap().keep_alive);
        for bad in [
            "",
            "GET",
            "GET /",
            "GET / SPDY",
            "GET / HTTP/1.1\r\nContent-Length: x",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked",
        ] {
            assert_eq!(Head::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn answers() {
        let state = state();
        let Action::Answer(200, text) = ask(&state, "GET /where?x=1") else { panic!() };
        for expected in [
            "pod: web-1\n",
            "node: n1\n",
            "address: 10.0.0.2:8080\n",
            "client: 10.0.0.1:999\n",
            "request: GET /where?x=1\n",
            "X-Y: z\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert_eq!(ask(&state, "GET /hostname"), Action::Answer(200, "web-1\n".into()));
        assert!(matches!(ask(&state, "GET /env"), Action::Answer(200, text) if text.starts_with("A=b\n")));
        assert_eq!(ask(&state, "GET /sleep?ms=5"), Action::Later(Duration::from_millis(5), "slept 5 ms\n".into()));
        assert_eq!(ask(&state, "POST /exit?code=3"), Action::Exit(3));
        assert_eq!(ask(&state, "POST /fail?for=10s"), Action::Fail(Some(Duration::from_secs(10))));
        assert_eq!(ask(&state, "POST /fail"), Action::Fail(None));
        for bad in ["GET /sleep", "GET /sleep?ms=x", "GET /exit?code=x", "GET /fail?for=x"] {
            assert!(matches!(ask(&state, bad), Action::Answer(400, _)), "{bad}");
        }
    }

    #[test]
    fn health_fails_as_long_as_told() {
        let state = state();
        assert_eq!(ask(&state, "GET /healthz"), Action::Answer(200, "ok\n".into()));
        *state.failing_until.lock() = Some(Instant::now() + Duration::from_secs(60));
        assert!(matches!(ask(&state, "GET /healthz"), Action::Answer(503, _)));
        *state.failing_until.lock() = Some(Instant::now() - Duration::from_millis(1));
        assert!(matches!(ask(&state, "GET /healthz"), Action::Answer(200, _)));
    }

    #[tokio::test]
    async fn a_connection_carries_several_requests_and_ends_when_told_to_stop() {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        let state = Arc::new(state());
        let served = tokio::spawn(http(theirs, address("10.0.0.2:80"), address("10.0.0.1:9"), state.clone()));
        let mut buffer = vec![0; 4096];
        for _ in 0..2 {
            ours.write_all(b"POST /hostname HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").await.unwrap();
            let length = ours.read(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("\r\n\r\nweb-1\n"), "{text}");
        }
        state.phase.send_replace(Phase::Draining);
        ours.write_all(b"GET /hostname HTTP/1.1\r\n\r\n").await.unwrap();
        let length = ours.read(&mut buffer).await.unwrap();
        assert!(String::from_utf8_lossy(&buffer[..length]).contains("\r\nConnection: close\r\n"));
        served.await.unwrap().unwrap();
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);

        let (mut ours, theirs) = tokio::io::duplex(4096);
        let idle = tokio::spawn(http(theirs, address("10.0.0.2:80"), address("10.0.0.1:9"), state.clone()));
        state.phase.send_replace(Phase::Stopping);
        idle.await.unwrap().unwrap();
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
    }
}
