//! A terminal on one end, a container on the other, over a WebSocket (apimachinery, pkg/util/remotecommand): the first byte of
//! each message is its channel, 0 input, 1 output, 2 errors, 3 how it ended, 4 the terminal's size; in v5 a message on channel
//! 255 closes another.

use std::io::{IsTerminal, Read, Write};

use futures::{SinkExt, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::error::{Error, Result, fail};
use crate::session::{Session, with_query};
use crate::{locate, pods};

const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/// What is connected to what.
pub struct Wires {
    /// Our standard input to theirs.
    pub stdin: bool,
    /// Through a terminal.
    pub tty: bool,
}

/// The pod that a word means.
pub async fn pod(session: &Session, word: &str) -> Result<Value> {
    let found = locate::one(session, &[word.to_string()], "pods").await?;
    let title = found.title();
    pods::best(pods::of(session, found).await?, pods::Purpose::Process)
        .ok_or_else(|| fail!("timed out waiting for the condition on {title}"))
}

/// Connects the terminal to a container that runs.
pub async fn attach(session: &Session, pod: &Value) -> Result<()> {
    let phase = api::object::text(pod, "/status/phase");
    if phase == "Succeeded" || phase == "Failed" {
        return Err(fail!("cannot attach a container in a completed pod; current phase is {phase}"));
    }
    let container = pods::container(pod, session.flags.text("container"), session.flags.is("quiet"))?;
    let mut wires = wires(session);
    let has_tty = api::object::list(pod, "/spec/containers")
        .iter()
        .any(|one| one["name"] == container.as_str() && one["tty"] == true);
    if wires.tty && !has_tty {
        wires.tty = false;
        if !session.flags.is("quiet") {
            eprintln!("error: Unable to use a TTY - container {container} did not allocate one");
        }
    } else if has_tty && wires.stdin {
        wires.tty = std::io::stdin().is_terminal();
    }
    if !session.flags.is("quiet") && wires.stdin {
        eprintln!("If you don't see a command prompt, try pressing enter.");
    }
    let path = stream_path(pod, "attach", &container, &wires);
    stream(session, &path, wires).await
}

/// What the flags connect.
pub fn wires(session: &Session) -> Wires {
    let stdin = session.flags.is("stdin");
    let mut tty = session.flags.is("tty");
    if tty && stdin && !std::io::stdin().is_terminal() {
        eprintln!("Unable to use a TTY - input is not a terminal or the right kind of file");
        tty = false;
    }
    Wires { stdin, tty }
}

/// Path and query of a stream.
pub fn stream_path(pod: &Value, verb: &str, container: &str, wires: &Wires) -> String {
    let yes = |on: bool| if on { "true" } else { "" };
    let path = format!("/api/v1/namespaces/{}/pods/{}/{verb}", api::object::namespace(pod), api::object::name(pod));
    with_query(
        &path,
        &[
            ("container", container),
            ("stdin", yes(wires.stdin)),
            ("stdout", "true"),
            ("stderr", yes(!wires.tty)),
            ("tty", yes(wires.tty)),
        ],
    )
}

/// The terminal in raw mode until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The terminal's size as the server wants it.
fn size() -> Option<Message> {
    let size = tcgetwinsize(std::io::stdin()).ok()?;
    let text = json!({"Width": size.ws_col, "Height": size.ws_row}).to_string();
    Some(Message::binary([&[4u8], text.as_bytes()].concat()))
}

/// Standard input, piece by piece, from a thread of its own: a terminal cannot be read without blocking.
fn input() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(8);
    std::thread::spawn(move || {
        let mut buffer = [0; 32 * 1024];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Connects the terminal until the other side ends.
pub async fn stream(session: &Session, path: &str, wires: Wires) -> Result<()> {
    let upgraded = session.client()?.websocket(path, &PROTOCOLS).await.map_err(|error| session.unreachable(error))?;
    let closes = upgraded.protocol == PROTOCOLS[0];
    let (mut to, mut from) = upgraded.socket.split();
    let raw = if wires.tty { Raw::enter() } else { None };
    let mut resized = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())?;
    if let (true, Some(size)) = (wires.tty, size()) {
        to.send(size).await.map_err(|error| fail!("{error}"))?;
    }
    let mut input = wires.stdin.then(input);
    let mut end = None;
    loop {
        tokio::select! {
            message = from.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some(status) = output(&bytes)? {
                        end = Some(status);
                    }
                }
                Some(Ok(Message::Close(_))) | None => break,
                Some(Ok(_)) => {}
                Some(Err(_)) if end.is_some() => break,
                Some(Err(error)) => return Err(fail!("error reading from error stream: {error}")),
            },
            piece = next(&mut input) => {
                let message = match piece {
                    Some(piece) => Message::binary([&[0u8], piece.as_slice()].concat()),
                    None => {
                        input = None;
                        if !closes {
                            continue;
                        }
                        Message::binary(vec![255, 0])
                    }
                };
                // A peer that no longer listens says through its messages why.
                let _ = to.send(message).await;
            }
            _ = resized.recv(), if wires.tty => if let Some(size) = size() {
                let _ = to.send(size).await;
            }
        }
    }
    drop(raw);
    let _ = to.close().await;
    ended(end.as_ref())
}

async fn next(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// Writes a message to where it belongs; how it ended is handed back.
fn output(bytes: &[u8]) -> Result<Option<Value>> {
    let Some((channel, data)) = bytes.split_first() else { return Ok(None) };
    match channel {
        1 => {
            let mut out = std::io::stdout().lock();
            out.write_all(data).and_then(|()| out.flush())?;
        }
        2 => std::io::stderr().lock().write_all(data)?,
        3 => return Ok(serde_json::from_slice(data).ok()),
        _ => {}
    }
    Ok(None)
}

/// The exit code in a Status.
fn ended(status: Option<&Value>) -> Result<()> {
    let Some(status) = status else { return Ok(()) };
    if status["status"] == "Success" {
        return Ok(());
    }
    if status["reason"] == "NonZeroExitCode" {
        let causes = api::object::list(status, "/details/causes");
        let code =
            causes.iter().find(|cause| cause["reason"] == "ExitCode").and_then(|cause| cause["message"].as_str());
        if let Some(code) = code.and_then(|code| code.parse::<i32>().ok()) {
            return Err(Error::Exit(code, format!("command terminated with exit code {code}")));
        }
    }
    Err(fail!("{}", status["message"].as_str().unwrap_or("error executing remote command")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_becomes_an_exit_code() {
        assert!(ended(None).is_ok() && ended(Some(&json!({"status": "Success"}))).is_ok());
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}});
        let error = ended(Some(&failed)).unwrap_err();
        assert_eq!((error.code(), error.shown().as_str()), (7, "command terminated with exit code 7"));
        let error = ended(Some(&json!({"status": "Failure", "reason": "InternalError", "message": "no"}))).unwrap_err();
        assert_eq!((error.code(), error.shown().as_str()), (1, "error: no"));
    }

    #[test]
    fn paths_say_what_is_connected() {
        let pod = json!({"metadata": {"name": "p", "namespace": "n"}});
        let path = |stdin, tty| stream_path(&pod, "exec", "c", &Wires { stdin, tty });
        assert_eq!(path(false, false), "/api/v1/namespaces/n/pods/p/exec?container=c&stdout=true&stderr=true");
        assert_eq!(path(true, true), "/api/v1/namespaces/n/pods/p/exec?container=c&stdin=true&stdout=true&tty=true");
    }
}
