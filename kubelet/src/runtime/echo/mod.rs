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
//! it finishes what runs. One thread; what a client sends is bounded.
//!
//! `options` → this file accepts → `http` reads a `request` → `answer` decides, by the `state`.

mod answer;
mod http;
mod options;
mod request;
mod state;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use options::Options;
use state::{Phase, State};

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
        let listener = TcpListener::bind(&everywhere(port)[..]).await?;
        let (state, busy) = (state.clone(), busy.clone());
        acceptors.spawn(async move {
            loop {
                let (stream, client) = base::tcp::accept(&listener).await;
                let Ok(local) = stream.local_addr() else { continue };
                let (local, client, state, busy) = (plain(local), plain(client), state.clone(), busy.clone());
                tokio::spawn(async move {
                    let _busy = busy;
                    let _ = if is_http {
                        http::serve(stream, local, client, state).await
                    } else {
                        tcp(stream, state.line(local, client)).await
                    };
                });
            }
        });
    }
    for port in &options.udp {
        acceptors.spawn(udp(UdpSocket::bind(&everywhere(*port)[..]).await?, state.clone()));
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

/// All addresses; those of IPv4 alone where there is no IPv6. The first that can be bound is taken.
fn everywhere(port: u16) -> [SocketAddr; 2] {
    [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
}

#[cfg(test)]
mod testing {
    //! A server of which only the state is there.

    use super::*;

    pub(super) fn state() -> State {
        let environment = [("MKUBE_POD_NAME", "web-1"), ("MKUBE_NODE_NAME", "n1"), ("A", "b")];
        State {
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            failing_until: Mutex::default(),
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    pub(super) fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
