//! HTTP/1 on one connection: heads of requests in, answers out, until it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::{Action, decide};
use super::request::Head;
use super::state::{Phase, State};

/// Longest request head, and longest body that is read (and not kept).
const MAX_HEAD: usize = 32 << 10;
const MAX_BODY: u64 = 1 << 20;
/// A silent connection is closed.
const IDLE: Duration = Duration::from_secs(75);

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
pub(super) async fn serve(
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

#[cfg(test)]
mod tests {
    use super::super::testing::{address, state};
    use super::*;

    #[tokio::test]
    async fn a_connection_carries_several_requests_and_ends_when_told_to_stop() {
        let (mut ours, theirs) = tokio::io::duplex(4096);
        let state = Arc::new(state());
        let served = tokio::spawn(serve(theirs, address("10.0.0.2:80"), address("10.0.0.1:9"), state.clone()));
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
        let idle = tokio::spawn(serve(theirs, address("10.0.0.2:80"), address("10.0.0.1:9"), state.clone()));
        state.phase.send_replace(Phase::Stopping);
        idle.await.unwrap().unwrap();
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 0);
    }
}
