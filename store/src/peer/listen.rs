//! Sockets for other members; over https, who connects must show a certificate of the peers' authority.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base::panics;
use rustls::ServerConfig;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::hear::hear;
use super::serve::answer;
use super::{Inner, PROBE, frames};
use crate::options::TlsError;
use crate::remote::dial::Io;
use crate::tls::{self, TlsFiles};

/// Who has not greeted by TLS, and said a first byte, by then is nobody.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Open sockets.
pub(crate) struct Door {
    listeners: Vec<(std::net::TcpListener, Option<TlsAcceptor>)>,
}

impl Door {
    /// Opens the sockets for these URLs.
    pub(crate) fn open(urls: &[String], tls: &TlsFiles) -> Result<Self, TlsError> {
        let mut listeners = Vec::new();
        for url in urls {
            let listen = |source| TlsError::Listen { url: url.clone(), source };
            let bad = || listen(io::Error::new(io::ErrorKind::InvalidInput, "not http(s)://HOST:PORT"));
            let uri: http::Uri = url.parse().map_err(|_| bad())?;
            let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else { return Err(bad()) };
            let acceptor = match uri.scheme_str() {
                Some("https") => Some(TlsAcceptor::from(Arc::new(server_config(tls)?))),
                Some("http") => None,
                _ => return Err(bad()),
            };
            let host = host.trim_matches(['[', ']']);
            let address = (host, port).to_socket_addrs().map_err(listen)?.next().ok_or_else(bad)?;
            let listener = std::net::TcpListener::bind(address).map_err(listen)?;
            listener.set_nonblocking(true).map_err(listen)?;
            listeners.push((listener, acceptor));
        }
        Ok(Self { listeners })
    }

    /// Attends to who connects, in a tokio runtime, until the member stops. `open` is held as long as a socket is open.
    pub(super) fn serve(self, inner: &Arc<Inner>, open: &mpsc::Sender<Infallible>) {
        for (listener, tls) in self.listeners {
            tokio::spawn(accept(listener, tls, Arc::clone(inner), open.clone()));
        }
    }
}

async fn accept(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    inner: Arc<Inner>,
    open: mpsc::Sender<Infallible>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen for other members"),
    };
    let mut stopped = inner.stopped.subscribe();
    loop {
        let (stream, from) = tokio::select! {
            connection = base::tcp::accept(&listener) => connection,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        // What has come from one that vanished, perhaps half a message, goes with it.
        let _ = base::tcp::probe(&stream, PROBE);
        let (tls, inner, open, mut stopped) = (tls.clone(), Arc::clone(&inner), open.clone(), stopped.clone());
        panics::spawn(async move {
            // Not gracefully: a snapshot on its way would be waited for.
            tokio::select! {
                () = attend(inner, stream, tls, from) => {}
                _ = stopped.wait_for(|stopped| *stopped) => {}
            }
            drop(open);
        });
    }
}

/// Somebody who connects either talks, or calls.
async fn attend(inner: Arc<Inner>, stream: TcpStream, tls: Option<TlsAcceptor>, from: SocketAddr) {
    match tokio::time::timeout(HANDSHAKE, greet(stream, tls)).await {
        Ok(Ok((frames::TALK, connection))) => hear(&inner, connection).await,
        Ok(Ok((first, connection))) => {
            let (read, write) = tokio::io::split(connection);
            answer(inner, tokio::io::join(Cursor::new([first]).chain(read), write)).await;
        }
        Ok(Err(error)) => tracing::debug!(%from, %error, "a caller is no peer"),
        Err(_) => {}
    }
}

/// The connection, encrypted if it shall be, and its first byte.
async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<(u8, Box<dyn Io>)> {
    let mut connection: Box<dyn Io> = match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.accept(stream).await?),
    };
    let first = connection.read_u8().await?;
    Ok((first, connection))
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let (Some(ca), Some(cert), Some(key)) = (&files.ca, &files.cert, &files.key) else {
        return Err(TlsError::Incomplete);
    };
    let mut config = tls::server(cert, key, Some(ca))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
