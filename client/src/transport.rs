//! Bytes to and from the API servers: TLS with our identity, HTTP/2 where the server offers it (one connection, shared by
//! all requests and watches), HTTP/1.1 for upgrades. With several servers, a request that has not been sent, or that only
//! reads, goes on to the next one.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base::tls::{self, Trust};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::client::legacy::{Client as HyperClient, Error as HyperError};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::config::{Config, Identity};
use crate::error::{Error, Result};
use crate::servers::{Servers, Turn};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle HTTP/2 connection is pinged this often, so that a dead server is noticed (client-go: 30 s and 15 s).
const PING_EVERY: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Where there is another server to go to, less patience is needed with one that says nothing.
const HASTE: Duration = Duration::from_secs(3);
/// Flow-control windows: a watch that is slow for a moment must not stop the others on the connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// A connection to a server, encrypted or not.
pub enum Stream {
    /// `http://`
    Plain(TcpStream),
    /// `https://`
    Tls(Box<TlsStream<TcpStream>>),
}

/// Sends requests to the servers of one cluster as one identity.
#[derive(Clone)]
pub struct Transport {
    http: HyperClient<Connector, Full<Bytes>>,
    upgrade: Connector,
    headers: Arc<[(HeaderName, HeaderValue)]>,
    identity: Arc<Identity>,
    servers: Arc<Servers>,
}

impl Transport {
    /// A transport; connects at the first request.
    ///
    /// # Errors
    /// When the configuration names no usable server, certificate or key.
    pub fn new(config: &Config) -> Result<Self> {
        let servers = Servers::new(config)?;
        let several = servers.len() > 1;
        let (ping_every, ping_timeout) = if several { (HASTE, HASTE) } else { (PING_EVERY, PING_TIMEOUT) };
        let multiplexed = Connector::new(config, &[b"h2", b"http/1.1"])?;
        let upgrade = Connector::new(config, &[b"http/1.1"])?;
        let http = HyperClient::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_keep_alive_interval(ping_every)
            .http2_keep_alive_timeout(ping_timeout)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .build(multiplexed);
        Ok(Self {
            http,
            upgrade,
            headers: common_headers(config)?.into(),
            identity: Arc::new(config.identity.clone()),
            servers: Arc::new(servers),
        })
    }

    /// Sends a request whose URI is a path with query; the answer's head comes back, its body is a stream.
    ///
    /// # Errors
    /// Transport errors only; HTTP errors are answers.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Incoming>> {
        let mut left = self.servers.len();
        loop {
            let turn = self.servers.turn();
            let mut copy = request.clone();
            self.complete(&mut copy, turn)?;
            let context = format!("{} {}", copy.method(), copy.uri());
            match self.http.request(copy.map(Full::new)).await {
                Ok(response) => {
                    self.servers.answered(turn, response.status());
                    return Ok(response);
                }
                Err(error) => {
                    self.servers.failed(turn);
                    left -= 1;
                    // What has been sent and changes something may have been done.
                    if left == 0 || !(error.is_connect() || request.method().is_safe()) {
                        return Err(failed(context, error));
                    }
                }
            }
        }
    }

    /// A fresh connection for an upgrade, and the request made complete for it.
    ///
    /// # Errors
    /// Transport errors.
    pub async fn dial(&self, request: &mut Request<()>) -> Result<Stream> {
        let mut left = self.servers.len();
        loop {
            let turn = self.servers.turn();
            let mut copy = request.clone();
            self.complete(&mut copy, turn)?;
            match self.upgrade.connect(copy.uri()).await {
                Ok(stream) => {
                    *request = copy;
                    return Ok(stream);
                }
                Err(error) => {
                    self.servers.failed(turn);
                    left -= 1;
                    if left == 0 {
                        return Err(Error::transport(format!("connecting to {}", self.servers.url(turn)), error));
                    }
                }
            }
        }
    }

    fn complete<B>(&self, request: &mut Request<B>, turn: Turn) -> Result<()> {
        let base = self.servers.url(turn);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let prefix = base.path().trim_end_matches('/');
        let authority = base.authority().map_or("", |authority| authority.as_str());
        let scheme = base.scheme_str().unwrap_or("https");
        let uri = format!("{scheme}://{authority}{prefix}{path}");
        *request.uri_mut() = uri.parse().map_err(|error| Error::Config(format!("invalid URL \"{uri}\": {error}")))?;
        for (name, value) in self.headers.iter() {
            request.headers_mut().append(name.clone(), value.clone());
        }
        let token = match &*self.identity {
            Identity::Token(token) => Some(token.clone()),
            Identity::TokenFile(path) => Some(
                std::fs::read_to_string(path)
                    .map_err(|source| Error::transport(format!("reading token {}", path.display()), source))?,
            ),
            _ => None,
        };
        if let Some(token) = token {
            let value = sensitive(&format!("Bearer {}", token.trim()))?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

fn failed(context: String, error: HyperError) -> Error {
    Error::transport(context, error)
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text).map_err(|error| Error::Config(format!("invalid token: {error}")))?;
    value.set_sensitive(true);
    Ok(value)
}

fn common_headers(config: &Config) -> Result<Vec<(HeaderName, HeaderValue)>> {
    let agent = if config.user_agent.is_empty() { "mkube" } else { &config.user_agent };
    let mut pairs = vec![("user-agent", agent)];
    if let Some(user) = &config.impersonate {
        pairs.push(("impersonate-user", user));
    }
    pairs.extend(config.impersonate_groups.iter().map(|group| ("impersonate-group", group.as_str())));
    let parsed = pairs.into_iter().map(|(name, value)| {
        let value = HeaderValue::from_str(value).map_err(|error| Error::Config(format!("invalid {name}: {error}")))?;
        Ok((HeaderName::from_static(name), value))
    });
    parsed.collect()
}

/// Makes connections; a tower service, as hyper's client wants it.
#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    server_name: Option<String>,
    patience: Duration,
}

impl Connector {
    fn new(config: &Config, alpn: &[&[u8]]) -> Result<Self> {
        let mut tls = tls_config(config)?;
        tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let patience = if config.alternatives.is_empty() { CONNECT_TIMEOUT } else { HASTE };
        Ok(Self { tls: TlsConnector::from(Arc::new(tls)), server_name: config.server_name.clone(), patience })
    }

    async fn connect(&self, uri: &Uri) -> io::Result<Stream> {
        tokio::time::timeout(self.patience, self.connect_without_timeout(uri))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))?
    }

    async fn connect_without_timeout(&self, uri: &Uri) -> io::Result<Stream> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
        let encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        let tcp = TcpStream::connect((host.as_str(), port)).await?;
        base::tcp::prepare(&tcp);
        if !encrypted {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(self.server_name.clone().unwrap_or(host)).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(self.tls.connect(name, tcp).await?)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect(&uri).await.map(TokioIo::new) })
    }
}

fn tls_config(config: &Config) -> Result<ClientConfig> {
    let trust = match config.insecure {
        true => Trust::Anyone,
        false => Trust::Authorities(config.ca.as_deref().unwrap_or_default()),
    };
    let identity = match &config.identity {
        Identity::Certificate { cert, key } => Some(tls::Identity { chain: cert, key }),
        _ => None,
    };
    tls::client(trust, identity).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        Error::Config(format!("{error}{cause}"))
    })
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        match self {
            Self::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => connected.negotiated_h2(),
            _ => connected,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Method;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::{JoinHandle, JoinSet};

    use super::*;

    /// A server that says its name, or, with `mute`, hears a request and closes the connection. Counts requests. Aborting it
    /// closes everything, as a kill would.
    async fn serve(name: &'static str, mute: bool) -> (String, Arc<AtomicUsize>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let heard = Arc::new(AtomicUsize::new(0));
        let counter = heard.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = counter.clone();
                connections.spawn(async move {
                    let mut text = Vec::new();
                    let mut buffer = [0; 1024];
                    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                        text.extend_from_slice(&buffer[..read]);
                        if !text.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        text.clear();
                        counter.fetch_add(1, Ordering::Relaxed);
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
                        if mute || stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, heard, task)
    }

    fn transport(servers: [&str; 2]) -> Transport {
        let [server, other] = servers.map(String::from);
        Transport::new(&Config { server, alternatives: vec![other], ..Config::default() }).unwrap()
    }

    async fn ask(transport: &Transport, method: Method) -> Result<String> {
        let request = Request::builder().method(method).uri("/x").body(Bytes::new()).unwrap();
        let body = transport.send(request).await?.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_next_server_answers_when_one_is_killed() {
        let (one, _, killed) = serve("one", false).await;
        let (other, _, _running) = serve("other", false).await;
        let transport = transport([&one, &other]);
        assert_eq!(ask(&transport, Method::GET).await.unwrap(), "one");
        killed.abort();
        let _ = killed.await;
        // Nothing can have been sent to a server that is not there: also what changes something goes on.
        assert_eq!(ask(&transport, Method::POST).await.unwrap(), "other");
        assert_eq!(ask(&transport, Method::GET).await.unwrap(), "other");
        let mut upgrade = Request::builder().uri("/x").body(()).unwrap();
        transport.dial(&mut upgrade).await.unwrap();
        assert_eq!(upgrade.uri().to_string(), format!("{other}/x"));
    }

    #[tokio::test]
    async fn what_may_have_been_done_is_not_done_again() {
        let (one, heard_by_one, _one) = serve("one", true).await;
        let (other, heard_by_other, _other) = serve("other", false).await;
        let client = transport([&one, &other]);
        assert!(ask(&client, Method::POST).await.is_err());
        let heard = || (heard_by_one.load(Ordering::Relaxed), heard_by_other.load(Ordering::Relaxed));
        assert_eq!(heard(), (1, 0));
        let client = transport([&one, &other]);
        assert_eq!(ask(&client, Method::GET).await.unwrap(), "other");
        assert_eq!(heard(), (2, 1));
    }

    #[tokio::test]
    async fn with_no_server_left_the_error_names_one() {
        let (one, _, first) = serve("one", false).await;
        let (other, _, second) = serve("other", false).await;
        let transport = transport([&one, &other]);
        for task in [first, second] {
            task.abort();
            let _ = task.await;
        }
        let error = ask(&transport, Method::GET).await.unwrap_err().chain();
        assert!(error.contains(&other), "{error}");
    }
}
