//! Sends a request on and gives the answer back as it comes; an upgraded connection is copied both ways until the target has
//! ended, the client has gone, or the server stops.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::Status;
use api::status::Details;
use futures::future::{self, Either};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::dialer::{Dialer, Target};
use crate::request::Body;
use crate::state::Front;

/// A kubelet takes no longer to begin its answer.
const ANSWER: Duration = Duration::from_secs(30);
/// When one side has ended, the other one ends within this.
const LINGER: Duration = Duration::from_secs(5);
/// So much of an error's text is passed on (upstream: maxReadLength of the response checker).
const ERROR_TEXT: usize = 50_000;
/// What belongs to one connection and not to the request (RFC 9110, 7.6.1).
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Sends one request over its own connection.
///
/// # Errors
/// 500 with the cause if the target cannot be reached, 504 if it does not answer.
pub async fn send(dialer: &Dialer, target: &Target, request: Request<Body>) -> Result<Response<Body>, Status> {
    let what = format!("{} \"{}://{}{}\"", title(request.method()), target.scheme(), target.authority(), request.uri());
    let failed = |why: String| unreachable(&format!("{what}: {why}"));
    let stream = dialer.connect(target).await.map_err(&failed)?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| failed(error.to_string()))?;
    // The connection ends with the answer's body or the upgraded stream; both end with their request.
    base::panics::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "forwarded connection ended");
        }
    });
    match tokio::time::timeout(ANSWER, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok(response.map(Body::new)),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(Status::timeout(format!("{what}: no answer"))),
    }
}

/// `Get`, as Go's errors name methods.
fn title(method: &Method) -> String {
    let lower = method.as_str().to_ascii_lowercase();
    let mut letters = lower.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

/// A plain request without a body.
///
/// # Errors
/// As [`send`].
pub async fn plain(dialer: &Dialer, target: &Target, method: Method, path: &str) -> Result<Response<Body>, Status> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, target.authority())
        .body(Body::empty())
        .map_err(Status::internal)?;
    send(dialer, target, request).await
}

fn unreachable(why: &str) -> Status {
    let mut status = Status::internal(why);
    // Upstream gives the bare error of its HTTP client.
    status.message = why.to_string();
    status
}

/// The answer of a kubelet for the client: its body streams on; an error becomes a `Status` with the kubelet's words
/// (upstream: apiserver, pkg/registry/generic/rest/response_checker.go).
///
/// # Errors
/// What the kubelet refused.
pub async fn checked(answer: Response<Body>, resource: &str, name: &str) -> Result<Response<Body>, Status> {
    let code = answer.status();
    if code.is_success() {
        let mut response = Response::new(answer.into_body());
        response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache, private"));
        return Ok(response);
    }
    let text = text_of(answer.into_body()).await;
    Err(match code {
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(text),
        StatusCode::BAD_REQUEST => Status::bad_request(text),
        other => {
            let mut status = unreachable(&text);
            status.code = other.as_u16();
            status.reason = if other == StatusCode::NOT_FOUND { "NotFound".into() } else { "InternalError".into() };
            if status.message.is_empty() {
                status.message = format!(
                    "the server responded with the status code {} but did not return more information",
                    status.code
                );
            }
            status.details = Some(Details { name: name.into(), kind: resource.into(), ..Details::default() });
            status
        }
    })
}

async fn text_of(mut body: Body) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() >= ERROR_TEXT {
            bytes.truncate(ERROR_TEXT);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).trim_end().to_string()
}

/// Headers for the next hop. Credentials stay here.
pub fn headers_for(headers: &HeaderMap, keep_upgrade: bool) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let upgrade: [HeaderName; 2] = [header::CONNECTION, header::UPGRADE];
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let hop = HOP_BY_HOP.contains(&name.as_str()) || named.iter().any(|n| n == name.as_str());
        let secret =
            matches!(*name, header::AUTHORIZATION | header::COOKIE) || name.as_str().starts_with("impersonate-");
        if *name == header::HOST || secret || (hop && !(keep_upgrade && upgrade.contains(name))) {
            continue;
        }
        out.append(name.clone(), value.clone());
    }
    out
}

/// Passes an upgrade request on and joins the two connections. An answer that is no upgrade is passed back as it is.
///
/// # Errors
/// 400 if the request asks for no upgrade; as [`send`].
pub async fn upgrade(
    front: &Arc<Front>,
    target: &Target,
    mut request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Status> {
    if !request.headers().contains_key(header::UPGRADE) {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let mut onward = Request::new(Body::empty());
    *onward.method_mut() = request.method().clone();
    *onward.uri_mut() = path.parse::<Uri>().map_err(|error| Status::bad_request(error.to_string()))?;
    *onward.headers_mut() = headers_for(request.headers(), true);
    onward.headers_mut().insert(header::HOST, target.authority().parse().map_err(Status::internal)?);
    let ours = hyper::upgrade::on(&mut request);
    let mut answer = send(&front.dialer, target, onward).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(answer);
    }
    let theirs = hyper::upgrade::on(&mut answer);
    let context = front.context.clone();
    front.context.spawn("upgraded", async move {
        let (ours, theirs) = match (ours.await, theirs.await) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (Err(error), _) | (_, Err(error)) => {
                tracing::debug!(%error, "upgrade failed");
                return;
            }
        };
        tokio::select! {
            _ = base::panics::catch_in(join(TokioIo::new(ours), TokioIo::new(theirs))) => {}
            () = context.stopped() => {}
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}

/// Copies both ways until nothing more comes from `theirs`, or `ours` has gone. That the target takes no more (its command has
/// ended, and the client still types) ends nothing: the exit code may still be on its way back.
async fn join(ours: impl AsyncRead + AsyncWrite, theirs: impl AsyncRead + AsyncWrite) {
    let ((mut from_client, to_client), (from_target, to_target)) = (tokio::io::split(ours), tokio::io::split(theirs));
    let up = pin!(async {
        one_way(&mut from_client, to_target).await;
        // Read even if nobody takes it: a connection that is closed while something in it is unread takes back what was said.
        let _ = tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await;
    });
    match future::select(up, pin!(one_way(from_target, to_client))).await {
        Either::Left(((), down)) => drop(tokio::time::timeout(LINGER, down).await),
        Either::Right(((), up)) => drop(tokio::time::timeout(LINGER, up).await),
    }
}

/// Copies until the one has ended or the other takes no more, and says so to the other.
async fn one_way(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    if let Err(error) = tokio::io::copy(&mut from, &mut to).await {
        tracing::debug!(%error, "upgraded stream ended");
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_target_that_does_not_notice_that_its_client_has_gone_is_left() {
        let (client, ours) = tokio::io::duplex(64);
        let (_target, theirs) = tokio::io::duplex(64);
        drop(client);
        assert!(tokio::time::timeout(2 * LINGER, join(ours, theirs)).await.is_ok());
    }

    #[tokio::test]
    async fn who_takes_no_more_may_still_have_something_to_say() {
        let (mut client, ours) = tokio::io::duplex(64);
        let (mut target, from_target) = tokio::io::duplex(64);
        let (to_target, nobody) = tokio::io::duplex(64);
        drop(nobody);
        let joined = tokio::spawn(join(ours, tokio::io::join(from_target, to_target)));
        // More than the pipe holds: it has been read, and could not be written.
        client.write_all(&[b'x'; 100]).await.unwrap();
        target.write_all(b"exit code").await.unwrap();
        drop(target);
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "exit code");
        // Nobody wants it, but it is read.
        client.write_all(&[b'x'; 1000]).await.unwrap();
        drop(client);
        joined.await.unwrap();
    }

    #[test]
    fn credentials_and_hops_stay_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "a"),
            ("authorization", "Bearer x"),
            ("connection", "Upgrade, X-Hop"),
            ("upgrade", "websocket"),
            ("x-hop", "1"),
            ("sec-websocket-protocol", "v5.channel.k8s.io"),
            ("impersonate-user", "root"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let names = |keep| {
            let mut names: Vec<String> = headers_for(&headers, keep).keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        assert_eq!(names(false), ["sec-websocket-protocol"]);
        assert_eq!(names(true), ["connection", "sec-websocket-protocol", "upgrade"]);
    }

    #[tokio::test]
    async fn a_kubelets_words_reach_the_client() {
        let answer =
            |code: u16, text: &str| Response::builder().status(code).body(Body::from(text.to_string())).unwrap();
        let table = [
            (
                400,
                "container \"a\" in pod \"p\" is waiting to start: ContainerCreating",
                "BadRequest",
                "container \"a\" in pod \"p\" is waiting to start: ContainerCreating",
            ),
            (500, "disk", "InternalError", "Internal error occurred: disk"),
            (404, "no such container\n", "NotFound", "no such container"),
        ];
        for (code, text, reason, message) in table {
            let status = checked(answer(code, text), "pods/log", "p").await.unwrap_err();
            assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (code, reason, message));
        }
        assert!(checked(answer(200, "line"), "pods/log", "p").await.is_ok());
    }
}
