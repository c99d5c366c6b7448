//! `/exec` and `/attach` over WebSocket: copies between the client's channels and a session of the runtime. Buffers are
//! bounded on both sides: a slow client slows the container's output down, not the kubelet.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use base::panics::catch_in;
use futures::stream::SplitStream;
use futures::{FutureExt, SinkExt, Stream, StreamExt};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::channels::{self, Incoming};
use super::{Refusal, Server};
use crate::runtime::{Session, Streams, describe};

const PIECE: usize = 32 * 1024;
const BACKLOG: usize = 16;
/// Of one message from the client (upstream: DefaultMaxPayloadBytes of golang.org/x/net/websocket).
const MOST_BYTES: usize = 32 << 20;
/// How long more output is waited for after a command's end, from processes it left behind; and how long the client may take to
/// close.
const DRAIN: Duration = Duration::from_secs(5);

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// What the query asks for. Pure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wanted {
    command: Vec<String>,
    streams: Streams,
}

/// Both the kubelet's own names of the parameters (`input`) and the API's (`stdin`) are taken.
fn wanted(query: Query<Vec<(String, String)>>) -> Wanted {
    let mut wanted = Wanted::default();
    for (name, value) in query.0 {
        let on = matches!(value.as_str(), "1" | "true");
        match name.as_str() {
            "command" => wanted.command.push(value),
            "input" | "stdin" => wanted.streams.stdin |= on,
            "output" | "stdout" => wanted.streams.stdout |= on,
            "error" | "stderr" => wanted.streams.stderr |= on,
            "tty" => wanted.streams.tty |= on,
            _ => {}
        }
    }
    if wanted.streams.tty {
        // A terminal has one output.
        wanted.streams.stderr = false;
    }
    wanted
}

/// Whose streams they are. A path may name the pod's UID too, which nobody needs.
#[derive(Deserialize)]
pub struct Target {
    namespace: String,
    pod: String,
    container: String,
}

/// Runs a command.
pub async fn exec(
    State(server): State<Arc<Server>>,
    Path(target): Path<Target>,
    query: Query<Vec<(String, String)>>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    start(server, target, false, wanted(query), upgrade).await
}

/// Connects to the container's first process.
pub async fn attach(
    State(server): State<Arc<Server>>,
    Path(target): Path<Target>,
    query: Query<Vec<(String, String)>>,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    start(server, target, true, wanted(query), upgrade).await
}

async fn start(
    server: Arc<Server>,
    target: Target,
    attach: bool,
    wanted: Wanted,
    upgrade: Upgrade,
) -> Result<Response, Refusal> {
    let streams = wanted.streams;
    if !(streams.stdin || streams.stdout || streams.stderr) {
        let message = "you must specify at least 1 of stdin, stdout, stderr";
        return Err(Refusal(StatusCode::BAD_REQUEST, message.into()));
    }
    // First: a client that finds its WebSocket refused tries SPDY, and would show this second answer only.
    let container = server.running(&target.namespace, &target.pod, &target.container).await?;
    let upgrade = upgrade.map_err(|_| Refusal(StatusCode::BAD_REQUEST, only_websocket()))?;
    let runtime = server.manager.node().runtime.clone();
    let upgrade = upgrade.protocols(channels::PROTOCOLS).max_message_size(MOST_BYTES);
    // Started after the client is answered, as upstream's is: kubectl up to 1.33 throws away what comes before it has set up its
    // streams, which it does while it already reads (kubernetes/kubernetes#131189).
    let serve = move |mut socket: WebSocket| async move {
        // As upstream: an empty message tells the client that the connection stands.
        let first = if streams.stdout {
            channels::STDOUT
        } else if streams.stderr {
            channels::STDERR
        } else {
            channels::ERROR
        };
        let _ = socket.send(Message::Binary(vec![first].into())).await;
        let session = if attach {
            runtime.attach(&container.id, streams).await
        } else {
            runtime.exec(&container.id, &wanted.command, streams).await
        };
        match session {
            Ok(session) => copy(socket, session, attach).await,
            Err(error) => end(socket, &channels::failure(&describe(&error))).await,
        }
    };
    Ok(upgrade.on_upgrade(|socket| catch_in(serve(socket)).map(drop)))
}

/// What clients that want SPDY show after "unable to upgrade connection: ". Without a colon and a blank: they would read it
/// as a Status in YAML, find no message in it, and show nothing (client-go, transport/spdy, Negotiate).
fn only_websocket() -> String {
    let protocols = channels::PROTOCOLS.join(" or ");
    format!(
        "this needs WebSocket ({protocols}), as kubectl has it since 1.30, and 1.29 with \
         KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true"
    )
}

async fn end(mut socket: WebSocket, status: &serde_json::Value) {
    let message = channels::frame(channels::ERROR, status.to_string().as_bytes());
    let _ = socket.send(Message::Binary(message.into())).await;
    let _ = socket.send(closing()).await;
    closed(socket).await;
}

/// Reads until the client has closed, too. A connection that is closed while something in it is unread is reset, and what was
/// sent before may be lost with it: the exit code, if the client still sends what the command no longer reads.
async fn closed(mut from_client: impl Stream<Item = Result<Message, axum::Error>> + Unpin) {
    let unread = async { while let Some(Ok(_)) = from_client.next().await {} };
    let _ = tokio::time::timeout(DRAIN, unread).await;
}

/// kubectl exits 1 on any other code.
fn closing() -> Message {
    Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: "".into() }))
}

async fn copy(socket: WebSocket, session: Session, attach: bool) {
    let v5 = socket.protocol().is_some_and(|p| p.as_bytes() == channels::PROTOCOLS[0].as_bytes());
    let (mut to_client, mut from_client) = socket.split();
    let (sender, mut messages) = mpsc::channel::<Message>(BACKLOG);
    let writer = base::panics::spawn(async move {
        while let Some(message) = messages.recv().await {
            let last = matches!(message, Message::Close(_));
            if to_client.send(message).await.is_err() || last {
                break;
            }
        }
    });
    let Session { stdin, stdout, stderr, resize, exit } = session;
    let ended = CancellationToken::new();
    let out = stdout.map(|s| base::panics::spawn(pump(s, channels::STDOUT, sender.clone(), ended.clone())));
    let err = stderr.map(|s| base::panics::spawn(pump(s, channels::STDERR, sender.clone(), ended.clone())));
    let result = tokio::select! {
        result = exit => Some(result),
        () = feed(&mut from_client, stdin, resize, v5) => None,
    };
    let Some(result) = result else {
        for task in [out, err].into_iter().flatten() {
            task.abort();
        }
        drop(sender);
        let _ = tokio::time::timeout(DRAIN, writer).await;
        return;
    };
    ended.cancel();
    for task in [out, err].into_iter().flatten() {
        let _ = task.await;
    }
    let status = match result {
        Ok(code) => channels::exit_status(if attach { 0 } else { code }),
        Err(error) => channels::failure(&describe(&error)),
    };
    let message = channels::frame(channels::ERROR, status.to_string().as_bytes());
    let _ = sender.send(Message::Binary(message.into())).await;
    let _ = sender.send(closing()).await;
    // However slowly it reads: it ends when all is written, or when the client has gone.
    let _ = writer.await;
    closed(from_client).await;
}

/// Hands the client's messages to the session; returns when the client has gone.
async fn feed(
    from_client: &mut SplitStream<WebSocket>,
    mut stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    resize: Option<mpsc::Sender<(u16, u16)>>,
    v5: bool,
) {
    while let Some(Ok(message)) = from_client.next().await {
        let data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            Message::Ping(_) | Message::Pong(_) => continue,
        };
        match channels::parse(&data, v5) {
            Incoming::Stdin(data) => {
                if let Some(writer) = &mut stdin
                    && writer.write_all(&data).await.is_err()
                {
                    // The process reads no more; its output may go on.
                    stdin = None;
                }
            }
            Incoming::CloseStdin => stdin = None,
            Incoming::Resize(columns, rows) => {
                if let Some(resize) = &resize {
                    let _ = resize.try_send((columns, rows));
                }
            }
            Incoming::Ignored => {}
        }
    }
}

/// Hands output to the client until there is no more. After the command's end no more than [`DRAIN`] is spent waiting for it; the
/// client may take as long as it likes.
async fn pump(
    mut stream: Box<dyn AsyncRead + Send + Unpin>,
    channel: u8,
    to: mpsc::Sender<Message>,
    ended: CancellationToken,
) {
    let (mut buffer, mut left) = (vec![0; PIECE], DRAIN);
    loop {
        let begun = ended.is_cancelled().then(Instant::now);
        let too_late = async {
            ended.cancelled().await;
            tokio::time::sleep(left).await;
        };
        let read = tokio::select! {
            biased;
            read = stream.read(&mut buffer) => read,
            () = too_late => return,
        };
        left = left.saturating_sub(begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
        let Ok(count @ 1..) = read else { return };
        if to.send(Message::Binary(channels::frame(channel, &buffer[..count]).into())).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_loses_nothing() {
        let ended = CancellationToken::new();
        ended.cancel();
        let (mut process, stream) = tokio::io::duplex(8 * PIECE);
        process.write_all(&vec![b'x'; 8 * PIECE]).await.unwrap();
        drop(process);
        let (sender, mut messages) = mpsc::channel(1);
        let pumped = tokio::spawn(pump(Box::new(stream), channels::STDOUT, sender, ended));
        let mut bytes = 0;
        loop {
            tokio::time::sleep(10 * DRAIN).await;
            let Some(message) = messages.recv().await else { break };
            bytes += message.into_data().len() - 1;
        }
        pumped.await.unwrap();
        assert_eq!(bytes, 8 * PIECE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_command_has_left_behind_is_heard_for_a_while() {
        let (ended, begun) = (CancellationToken::new(), Instant::now());
        let (mut process, stream) = tokio::io::duplex(PIECE);
        tokio::spawn(async move {
            while process.write_all(b"still here").await.is_ok() {
                tokio::time::sleep(DRAIN * 2 / 5).await;
            }
        });
        let (sender, mut messages) = mpsc::channel(BACKLOG);
        let pumped = tokio::spawn(pump(Box::new(stream), channels::STDOUT, sender, ended.clone()));
        tokio::time::sleep(3 * DRAIN).await;
        assert!(!pumped.is_finished(), "the command runs");
        ended.cancel();
        pumped.await.unwrap();
        // The wait that the end falls into does not count.
        assert!((4 * DRAIN..5 * DRAIN).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert!(messages.len() > 8, "{} times", messages.len());
        assert!(messages.recv().await.is_some());
    }

    #[test]
    fn queries_in_both_dialects() {
        let wanted = |query: &str| wanted(Query::try_from_uri(&format!("/?{query}").parse().unwrap()).unwrap());
        let streams = Streams { stdin: true, stdout: true, stderr: true, tty: false };
        let command = vec!["sh".to_string(), "-c".into(), "echo a+b & c".into()];
        let text = "command=sh&command=-c&command=echo+a%2Bb%20%26%20c";
        for rest in ["&input=1&output=1&error=1&tty=0", "&stdin=true&stdout=true&stderr=true"] {
            assert_eq!(wanted(&format!("{text}{rest}")), Wanted { command: command.clone(), streams });
        }
        assert!(!wanted("tty=1&stdout=1&stderr=1").streams.stderr);
        assert_eq!(wanted("command=%zz%4&command&tty").command, ["%zz%4", ""]);
        assert_eq!(wanted(""), Wanted::default());
    }
}
