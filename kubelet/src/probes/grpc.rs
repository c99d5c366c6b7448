//! gRPC health checks (`grpc.health.v1.Health/Check`) with upstream's texts (pkg/probe/grpc/grpc.go). Both messages have one field,
//! so they are written and read by hand.

use std::net::SocketAddr;
use std::time::Duration;

use base::panics::CatchingExecutor;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use super::http::dial;

/// Longest answer that is read.
const MOST_BYTES: usize = 4096;
/// `Unimplemented` (google.golang.org/grpc/codes).
const UNIMPLEMENTED: &str = "12";

/// Asks whether `service` is healthy (empty: the server as a whole).
///
/// # Errors
/// Why it is not.
pub async fn check(address: SocketAddr, service: &str, timeout: Duration) -> Result<(), String> {
    let connect = async { dial(&address.ip().to_string(), address.port()).await };
    let stream = match tokio::time::timeout(timeout, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(why)) => return Err(format!("error: failed to connect service at \"{address}\": {why}")),
        Err(_) => return Err(format!("timeout: failed to connect service \"{address}\" within {timeout:?}")),
    };
    let late = |_| format!("timeout: health rpc did not complete within {timeout:?}");
    let (sender, connection) = tokio::time::timeout(timeout, http2::handshake(CatchingExecutor, TokioIo::new(stream)))
        .await
        .map_err(late)?
        .map_err(|error| failed(&error))?;
    let connection = base::panics::spawn(connection);
    let result = tokio::time::timeout(timeout, call(sender, address, service)).await;
    connection.abort();
    result.map_err(late)?
}

fn failed(error: &dyn std::fmt::Display) -> String {
    format!("error: health rpc probe failed: {error}")
}

async fn call(mut sender: http2::SendRequest<Full<Bytes>>, address: SocketAddr, service: &str) -> Result<(), String> {
    let request = http::Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("user-agent", "kube-probe/1.37")
        .header("te", "trailers")
        .body(Full::new(question(service)))
        .map_err(|error| failed(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let (head, body) = answer.into_parts();
    if head.status != http::StatusCode::OK {
        return Err(failed(&format!("unexpected HTTP status code received from server: {}", head.status)));
    }
    let body = Limited::new(body, MOST_BYTES).collect().await.map_err(|error| failed(&error))?;
    // A server that has nothing to say puts the trailers into the head.
    let trailers = body.trailers().unwrap_or(&head.headers);
    let text = |name: &str| trailers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_string();
    let (code, message) = (text("grpc-status"), text("grpc-message"));
    match code.as_str() {
        "0" => {}
        UNIMPLEMENTED => {
            let what = "this server does not implement the grpc health protocol (grpc.health.v1.Health)";
            return Err(format!("error: {what}: {message}"));
        }
        _ => return Err(failed(&format!("rpc error: code = {code} desc = {message}"))),
    }
    match answered(&body.to_bytes()) {
        Some(1) => Ok(()),
        Some(status) => Err(format!("service unhealthy (responded with \"{}\")", name(status))),
        None => Err(failed(&"the answer is no HealthCheckResponse")),
    }
}

/// A framed `HealthCheckRequest{service = 1}`.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length > 0x7f {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message);
    frame.freeze()
}

/// The status in a framed `HealthCheckResponse{status = 1}`; a default value is not written.
fn answered(frame: &[u8]) -> Option<u8> {
    let (head, message) = frame.split_at_checked(5)?;
    match (head.first(), message) {
        (Some(0), []) => Some(0),
        (Some(0), [0x08, status]) => Some(*status),
        _ => None,
    }
}

fn name(status: u8) -> &'static str {
    match status {
        1 => "SERVING",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::service::service_fn;
    use tokio::net::TcpListener;

    const LONG: Duration = Duration::from_secs(5);

    /// A server that answers one call with this frame and gRPC status; tells what it was asked.
    async fn server(frame: &'static [u8], code: &'static str) -> (SocketAddr, tokio::sync::oneshot::Receiver<Bytes>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = tokio::sync::oneshot::channel();
        let tell = std::sync::Arc::new(parking_lot::Mutex::new(Some(tell)));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let tell = tell.clone();
                async move {
                    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    tell.lock().take().unwrap().send(body).unwrap();
                    let body = Full::new(Bytes::from_static(frame)).with_trailers(async move {
                        let value = http::HeaderValue::from_static(code);
                        let name = http::HeaderName::from_static("grpc-status");
                        Some(Ok(http::HeaderMap::from_iter([(name, value)])))
                    });
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                }
            });
            let _ = hyper::server::conn::http2::Builder::new(CatchingExecutor)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        (address, asked)
    }

    #[tokio::test]
    async fn answers_become_verdicts() {
        let unhealthy = "service unhealthy (responded with \"NOT_SERVING\")";
        let unknown = "service unhealthy (responded with \"UNKNOWN\")";
        let missing = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ";
        for (frame, code, expected) in [
            (&[0, 0, 0, 0, 2, 8, 1][..], "0", Ok(())),
            (&[0, 0, 0, 0, 2, 8, 2], "0", Err(unhealthy)),
            (&[0, 0, 0, 0, 0], "0", Err(unknown)),
            (&[], "12", Err(missing)),
            (&[], "0", Err("error: health rpc probe failed: the answer is no HealthCheckResponse")),
            (&[], "14", Err("error: health rpc probe failed: rpc error: code = 14 desc = ")),
        ] {
            let (address, asked) = server(frame, code).await;
            assert_eq!(check(address, "db", LONG).await, expected.map_err(str::to_string));
            assert_eq!(&asked.await.unwrap()[..], b"\0\0\0\0\x04\x0a\x02db");
        }
        assert_eq!(&question("")[..], [0; 5]);
        assert_eq!(question(&"x".repeat(300)).len(), 5 + 3 + 300);
    }

    #[tokio::test]
    async fn silence_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let error = check(address, "", Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error, "timeout: health rpc did not complete within 50ms");
        drop(listener);
        let error = check(address, "", LONG).await.unwrap_err();
        assert!(error.starts_with(&format!("error: failed to connect service at \"{address}\": ")), "{error}");
    }
}
