//! Sockets for other members; over https, who connects must show a certificate of the peers' authority.

use std::convert::Infallible;
use std::io;
use std::net::ToSocketAddrs;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::panics;
use futures::Stream;
use futures::stream;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tonic::transport::server::Connected;

use super::hear::hear;
use super::{Inner, PROBE, frames};
use crate::options::TlsError;
use crate::remote::dial::Io;
use crate::tls::{self, TlsFiles};

/// A handshake that takes longer is none.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Connections that wait to be served.
const WAITING: usize = 32;

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

    /// Connections, greeted by TLS. In a tokio runtime. `open` is held as long as a socket is open.
    /// Whoever wants to talk is heard meanwhile; the others call.
    pub(super) fn connections(
        self,
        open: &mpsc::Sender<Infallible>,
        inner: &Arc<Inner>,
    ) -> impl Stream<Item = io::Result<Accepted>> + use<> {
        let (accepted, waiting) = mpsc::channel(WAITING);
        for (listener, tls) in self.listeners {
            let (accepted, open, inner) = (accepted.clone(), open.clone(), Arc::clone(inner));
            tokio::spawn(async move {
                accept(listener, tls, accepted, inner).await;
                drop(open);
            });
        }
        stream::unfold(waiting, |mut waiting: mpsc::Receiver<Accepted>| async move {
            waiting.recv().await.map(|connection| (Ok(connection), waiting))
        })
    }
}

async fn accept(
    listener: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    accepted: mpsc::Sender<Accepted>,
    inner: Arc<Inner>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot listen for other members"),
    };
    loop {
        let (stream, from) = tokio::select! {
            connection = base::tcp::accept(&listener) => connection,
            // Nobody serves any more.
            () = accepted.closed() => return,
        };
        // What has come from one that vanished, perhaps half a message, goes with it.
        let _ = base::tcp::probe(&stream, PROBE);
        let (tls, accepted, inner) = (tls.clone(), accepted.clone(), Arc::clone(&inner));
        panics::spawn(async move {
            match tokio::time::timeout(HANDSHAKE, greet(stream, tls)).await {
                Ok(Ok((frames::TALK, connection))) => hear(inner, connection).await,
                Ok(Ok((first, connection))) => {
                    let _ = accepted.send(Accepted { first: Some(first), connection }).await;
                }
                Ok(Err(error)) => tracing::debug!(%from, %error, "a caller is no peer"),
                Err(_) => {}
            }
        });
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

/// A connection of another member.
pub(super) struct Accepted {
    /// What was read of it, and is to be read again.
    first: Option<u8>,
    connection: Box<dyn Io>,
}

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(first) = self.first.take()
        {
            buffer.put_slice(&[first]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.connection).poll_read(context, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(context)
    }
}
