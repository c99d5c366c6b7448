//! HTTP GET for probes and hooks, with failures in the words of Go's client, as upstream's events carry them
//! (pkg/probe/http). TLS is not verified: the probe asks whether the container answers, not who it is.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use tokio::net::TcpStream;

use crate::tls;

/// Most of an answer that is read.
const MOST_BYTES: usize = 10 * 1024;
/// Redirects to the same host that are followed.
const MOST_REDIRECTS: usize = 10;

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    tls: bool,
    host: String,
    port: u16,
    path: String,
    headers: Vec<(String, String)>,
}

/// An answer with a good code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its code.
    pub code: u16,
}

impl Request {
    /// The request that `action` describes; the host defaults to the pod's address.
    ///
    /// # Errors
    /// When there is neither a host nor an address.
    pub fn new(action: &HTTPGetAction, pod_ip: Option<IpAddr>, port: u16) -> Result<Self, String> {
        let host = action.host.clone().filter(|h| !h.is_empty()).or(pod_ip.map(|ip| ip.to_string()));
        let path = action.path.as_deref().unwrap_or("/");
        Ok(Self {
            tls: action.scheme.as_deref().is_some_and(|s| s.eq_ignore_ascii_case("https")),
            host: host.ok_or("the pod has no address yet")?,
            port,
            path: if path.starts_with('/') { path.into() } else { format!("/{path}") },
            headers: action.http_headers.iter().flatten().map(|h| (h.name.clone(), h.value.clone())).collect(),
        })
    }

    fn authority(&self) -> String {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.path)
    }
}

/// Asks; a code from 200 to 399 is good. The error is what an event says.
///
/// # Errors
/// Anything else.
pub async fn get(request: &Request, timeout: Duration) -> Result<Answer, String> {
    let url = request.url();
    let work = async {
        let mut request = request.clone();
        for _ in 0..MOST_REDIRECTS {
            let (code, location) = once(&request).await?;
            match location.and_then(|l| same_host(&request, &l)) {
                Some(path) if (300..400).contains(&code) => request.path = path,
                _ if (200..400).contains(&code) => return Ok(Answer { code }),
                _ => return Err(Failure::Said(format!("HTTP probe failed with statuscode: {code}"))),
            }
        }
        Err(Failure::Transport("stopped after 10 redirects".into()))
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(Failure::Said(text))) => Err(text),
        Ok(Err(Failure::Transport(text))) => Err(format!("Get \"{url}\": {text}")),
        Err(_) => {
            let why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
            Err(format!("Get \"{url}\": {why}"))
        }
    }
}

enum Failure {
    Said(String),
    Transport(String),
}

/// The path of a redirect that stays on this host; others count as answered.
fn same_host(request: &Request, location: &str) -> Option<String> {
    if location.starts_with('/') && !location.starts_with("//") {
        return Some(location.to_string());
    }
    let base = format!("{}://{}", if request.tls { "https" } else { "http" }, request.authority());
    location.strip_prefix(&base).filter(|path| path.starts_with('/')).map(ToString::to_string)
}

async fn once(request: &Request) -> Result<(u16, Option<String>), Failure> {
    let stream = dial(&request.host, request.port).await.map_err(Failure::Transport)?;
    if request.tls {
        let stream = tls::connect_unverified(stream, &request.host).await;
        let stream = stream.map_err(|error| Failure::Transport(format!("tls: {error}")))?;
        return exchange(request, TokioIo::new(stream)).await;
    }
    exchange(request, TokioIo::new(stream)).await
}

async fn exchange<S>(request: &Request, stream: S) -> Result<(u16, Option<String>), Failure>
where
    S: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let transport = |error: hyper::Error| Failure::Transport(go_text(&error));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(transport)?;
    let driver = base::panics::spawn(connection);
    let guard = AbortOnDrop(driver);
    let mut builder = http::Request::get(&request.path);
    let named = |name: &str| request.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    for (name, value) in [("host", request.authority().as_str()), ("user-agent", "kube-probe/1.37"), ("accept", "*/*")]
    {
        if !named(name) {
            builder = builder.header(name, value);
        }
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let message = builder.header("connection", "close").body(Empty::<Bytes>::new());
    let message = message.map_err(|error| Failure::Transport(error.to_string()))?;
    let response = sender.send_request(message).await.map_err(transport)?;
    let (parts, body) = response.into_parts();
    let location = parts.headers.get("location").and_then(|l| l.to_str().ok()).map(ToString::to_string);
    // Read, so that the server does not see a reset; how it ends does not matter.
    let _ = Limited::new(body, MOST_BYTES).collect().await;
    drop(guard);
    Ok((parts.status.as_u16(), location))
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn go_text(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_closed() {
        return "EOF".into();
    }
    match std::error::Error::source(error).and_then(|s| s.downcast_ref::<io::Error>()) {
        Some(io) => go_io(io),
        None => error.to_string(),
    }
}

fn go_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::ConnectionReset => "read: connection reset by peer".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => error.to_string(),
    }
}

/// A TCP connection; the error reads like Go's `dial tcp …`.
///
/// # Errors
/// When it cannot be made.
pub async fn dial(host: &str, port: u16) -> Result<TcpStream, String> {
    match host.parse::<IpAddr>() {
        Ok(ip) => {
            let address = SocketAddr::new(ip, port);
            TcpStream::connect(address).await.map_err(|error| format!("dial tcp {address}: {}", go_io(&error)))
        }
        Err(_) => {
            let stream = TcpStream::connect((host, port)).await;
            stream.map_err(|error| format!("dial tcp: lookup {host}: {}", go_io(&error)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn server(answer: &'static str) -> (u16, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4096];
            let count = stream.read(&mut seen).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&seen[..count]).into_owned()
        });
        (port, task)
    }

    fn request(port: u16, action: serde_json::Value) -> Request {
        let mut action = action;
        action["port"] = json!(port);
        let action: HTTPGetAction = serde_json::from_value(action).unwrap();
        Request::new(&action, Some(IpAddr::from([127, 0, 0, 1])), port).unwrap()
    }

    #[tokio::test]
    async fn good_and_bad_answers() {
        let second = Duration::from_secs(5);
        let (port, seen) = server("HTTP/1.1 204 No Content\r\n\r\n").await;
        let action = json!({"path": "healthz", "httpHeaders": [{"name": "X-A", "value": "1"}]});
        assert_eq!(get(&request(port, action), second).await, Ok(Answer { code: 204 }));
        let seen = seen.await.unwrap();
        assert!(seen.starts_with("GET /healthz HTTP/1.1\r\n") && seen.contains("x-a: 1"), "{seen}");
        assert!(seen.contains("user-agent: kube-probe/1.37"), "{seen}");
        let (port, _) = server("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n").await;
        let error = get(&request(port, json!({})), second).await.unwrap_err();
        assert_eq!(error, "HTTP probe failed with statuscode: 500");
        let (port, _) = server("").await;
        let error = get(&request(port, json!({})), second).await.unwrap_err();
        assert_eq!(error, format!("Get \"http://127.0.0.1:{port}/\": EOF"));
    }

    #[tokio::test]
    async fn refused_and_silent_servers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = get(&request(port, json!({})), Duration::from_millis(50)).await.unwrap_err();
        assert!(error.ends_with("(Client.Timeout exceeded while awaiting headers)"), "{error}");
        drop(listener);
        let error = get(&request(port, json!({})), Duration::from_secs(5)).await.unwrap_err();
        let expected =
            format!("Get \"http://127.0.0.1:{port}/\": dial tcp 127.0.0.1:{port}: connect: connection refused");
        assert_eq!(error, expected);
    }
}
