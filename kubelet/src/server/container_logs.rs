//! `/containerLogs/{namespace}/{pod}/{container}`: a container's log as a stream. Following waits for the file to grow or
//! for the container to end; nothing is polled.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use rustix::fs::inotify;
use serde::Deserialize;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Refusal, Server};
use crate::logs::read::{LogOptions, Reader, Renderer};
use crate::pod;
use crate::runtime::{Container, ContainerState, RuntimeEvent};

/// Bytes per piece, and how many pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;

/// The query, as the API server sends it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogQuery {
    follow: Option<String>,
    previous: Option<String>,
    timestamps: Option<String>,
    tail_lines: Option<String>,
    since_seconds: Option<String>,
    since_time: Option<String>,
    limit_bytes: Option<String>,
    stream: Option<String>,
}

fn flag(value: &Option<String>) -> bool {
    matches!(value.as_deref(), Some("true" | "1"))
}

fn number(value: &Option<String>, what: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = value.as_deref().filter(|t| !t.is_empty()) else { return Ok(None) };
    let parsed = text.parse::<i64>().ok().filter(|n| *n >= 0);
    parsed.map(Some).ok_or_else(|| Refusal(StatusCode::BAD_REQUEST, format!("invalid value {text:?} for {what}")))
}

impl LogQuery {
    fn options(&self, now: Timestamp) -> Result<LogOptions, Refusal> {
        let bad = |what: &str| Refusal(StatusCode::BAD_REQUEST, format!("invalid value for {what}"));
        let size = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok());
        let since_time = match self.since_time.as_deref().filter(|t| !t.is_empty()) {
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| bad("sinceTime"))?),
            None => None,
        };
        let seconds = number(&self.since_seconds, "sinceSeconds")?;
        let since = seconds.and_then(|s| now.saturating_sub(jiff::SignedDuration::from_secs(s)).ok());
        let stream = match self.stream.as_deref() {
            None | Some("" | "All") => None,
            Some("Stdout") => Some("stdout".to_string()),
            Some("Stderr") => Some("stderr".to_string()),
            Some(_) => return Err(bad("stream")),
        };
        Ok(LogOptions {
            tail: size(number(&self.tail_lines, "tailLines")?),
            since: since.or(since_time),
            timestamps: flag(&self.timestamps),
            limit: size(number(&self.limit_bytes, "limitBytes")?),
            follow: flag(&self.follow) && !flag(&self.previous),
            stream,
        })
    }
}

/// The run whose log is wanted, or why there is none (kubelet_pods.go, validateContainerLogStatus).
fn choose(pod: &Pod, name: &str, runs: &[Container], previous: bool) -> Result<Container, Refusal> {
    let shown = pod::name(pod);
    if pod::container(pod, name).is_none() {
        let message = format!("container \"{name}\" not found in pod \"{shown}\"");
        return Err(Refusal(StatusCode::NOT_FOUND, message));
    }
    let mut begun = runs.iter().filter(|c| c.state != ContainerState::Created);
    if previous {
        let waits = pod::recorded(pod::status(pod), name)
            .is_some_and(|s| s.state.as_ref().is_some_and(|s| s.waiting.is_some()));
        // While a container waits to be restarted, the run before is the newest one that ended.
        let found = if waits { begun.next() } else { begun.nth(1) };
        let missing = format!("previous terminated container \"{name}\" in pod \"{shown}\" not found");
        return found.cloned().ok_or(Refusal(StatusCode::BAD_REQUEST, missing));
    }
    begun.next().cloned().ok_or_else(|| {
        let state = pod::recorded(pod::status(pod), name).and_then(|s| s.state.clone()).and_then(|s| s.waiting);
        let reason = state.and_then(|w| w.reason).unwrap_or_else(|| "ContainerCreating".into());
        let message = match reason.as_str() {
            "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" => {
                format!("container \"{name}\" in pod \"{shown}\" is waiting to start: trying and failing to pull image")
            }
            reason => format!("container \"{name}\" in pod \"{shown}\" is waiting to start: {reason}"),
        };
        Refusal(StatusCode::BAD_REQUEST, message)
    })
}

/// The handler.
pub async fn serve(
    State(server): State<Arc<Server>>,
    UrlPath((namespace, name, container)): UrlPath<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Refusal> {
    let node = server.manager.node().clone();
    let options = query.options(node.now())?;
    let pod = server.pod(&namespace, &name)?;
    // Subscribed before looking: the end of the container is not missed.
    let events = node.runtime.events();
    let runs = server.runs(&pod, &container).await?;
    let run = choose(&pod, &container, &runs, flag(&query.previous))?;
    let path = node.paths.log(&pod, &container, run.attempt);
    let (sender, receiver) = mpsc::channel(PIECES);
    base::panics::spawn(async move {
        let follower = Follower { server, pod, run, path, sender };
        if let Err(error) = follower.run(options, events).await {
            tracing::debug!(%error, "log not read to its end");
        }
    });
    let body = Body::from_stream(ReceiverStream::new(receiver).map(Ok::<Bytes, std::io::Error>));
    Ok(([("content-type", "text/plain; charset=utf-8")], body).into_response())
}

struct Follower {
    server: Arc<Server>,
    pod: Arc<Pod>,
    run: Container,
    path: PathBuf,
    sender: mpsc::Sender<Bytes>,
}

impl Follower {
    async fn run(
        self,
        options: LogOptions,
        mut events: futures::stream::BoxStream<'static, RuntimeEvent>,
    ) -> std::io::Result<()> {
        let growth = if options.follow { Some(Growth::new(&self.path)?) } else { None };
        let path = self.path.clone();
        let mut renderer = Renderer::new(options.clone());
        let mut reader = blocking(move || Reader::open(&path, &options)).await?;
        let mut ended = self.ended().await;
        loop {
            loop {
                let (r, t, out, done) = blocking(move || read(reader, renderer)).await?;
                (reader, renderer) = (r, t);
                if !out.is_empty() && self.sender.send(out.into()).await.is_err() {
                    return Ok(());
                }
                if renderer.is_full() {
                    return Ok(());
                }
                if done {
                    break;
                }
            }
            let Some(growth) = growth.as_ref().filter(|_| !ended) else { return Ok(()) };
            tokio::select! {
                grown = growth.wait() => grown?,
                event = events.next() => match event {
                    Some(event) if event.pod_uid == pod::uid(&self.pod) => ended = self.ended().await,
                    Some(_) => {}
                    None => ended = true,
                },
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// Whether the container writes no more.
    async fn ended(&self) -> bool {
        let all = self.server.manager.node().runtime.containers(&self.run.sandbox).await.unwrap_or_default();
        !all.iter().any(|c| c.id == self.run.id && c.state == ContainerState::Running)
    }
}

fn read(mut reader: Reader, mut renderer: Renderer) -> std::io::Result<(Reader, Renderer, Vec<u8>, bool)> {
    let mut out = Vec::new();
    let done = reader.read(&mut renderer, &mut out, PIECE)?;
    Ok((reader, renderer, out, done))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    base::panics::blocking(work).await.map_err(std::io::Error::other)?
}

/// Tells when a file has grown.
struct Growth {
    fd: AsyncFd<rustix::fd::OwnedFd>,
}

impl Growth {
    fn new(path: &Path) -> std::io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        inotify::add_watch(&fd, path, inotify::WatchFlags::MODIFY | inotify::WatchFlags::DELETE_SELF)?;
        // An owned descriptor stays open as long as the AsyncFd: what its successor guards against cannot happen.
        #[allow(deprecated)]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    async fn wait(&self) -> std::io::Result<()> {
        let mut guard = self.fd.readable().await?;
        let mut space = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.fd.get_ref(), &mut space);
        loop {
            match reader.next() {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        guard.clear_ready();
        Ok(())
    }
}
