//! A door on loopback before a server, which tests shut, open, or let nothing out of.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How the door stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    /// The server behind it; none: closed.
    target: Option<String>,
    /// Connections made before this count was reached are cut.
    cuts: u64,
    hold_answers: bool,
}

/// See the module's header. Gone with its last clone.
#[derive(Clone)]
pub struct Gate {
    address: SocketAddr,
    state: Arc<watch::Sender<State>>,
    target: String,
}

impl Gate {
    /// An open door before the server at `url`.
    pub async fn before(url: &str) -> Self {
        let mut gate = Self::listening("127.0.0.1:0".parse().unwrap()).await;
        gate.target = host(url);
        gate.open();
        gate
    }

    /// A closed door at `address`.
    pub async fn listening(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(watch::Sender::new(State::default()));
        let doors = state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let target = doors.borrow().target.clone();
                if let Some(target) = target {
                    tokio::spawn(pass(client, target, doors.clone()));
                }
            }
        });
        Self { address, state, target: String::new() }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens it before another server.
    #[allow(dead_code)] // Each test file uses a part.
    pub fn to(&self, url: &str) {
        self.state.send_modify(|state| state.target = Some(host(url)));
    }

    pub fn open(&self) {
        self.state.send_modify(|state| state.target = Some(self.target.clone()));
    }

    /// Cuts every connection; new ones are dropped.
    pub fn close(&self) {
        self.state.send_modify(|state| (state.target, state.cuts) = (None, state.cuts + 1));
    }

    /// Cuts every connection; new ones are let through.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Lets requests in and no answers out.
    pub fn hold_answers(&self, hold: bool) {
        self.state.send_modify(|state| state.hold_answers = hold);
    }
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

async fn pass(client: TcpStream, target: String, mut doors: watch::Receiver<State>) {
    let cuts = doors.borrow().cuts;
    let Ok(server) = TcpStream::connect(target).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let mut answers = doors.clone();
    let outwards = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            // One look at both: what is held when a connection is cut never comes out.
            let stands = answers.wait_for(|state| !state.hold_answers || state.cuts != cuts).await;
            let open = stands.is_ok_and(|state| state.cuts == cuts);
            if !open || to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let inwards = async move { drop(tokio::io::copy(&mut from_client, &mut to_server).await) };
    let cut = doors.wait_for(|state| state.cuts != cuts);
    tokio::select! {
        () = outwards => {}
        () = inwards => {}
        _ = cut => {}
    }
}
