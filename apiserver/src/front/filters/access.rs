//! One structured log line and one count per request. A watch or stream is logged when it ends; it ends at the latest when
//! the server stops.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Response, header};
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::front::chain::Next;
use crate::front::metrics::{Labels, Running};
use crate::request::Body;
use crate::state::Exchange;

/// Who turned out to ask: authentication tells through the response, because it runs further in.
#[derive(Debug, Clone, Default)]
pub struct Asker(pub String);

struct Line {
    verb: String,
    uri: String,
    agent: String,
    audit_id: String,
    peer: std::net::SocketAddr,
    user: String,
    code: u16,
    started: Instant,
    labels: Labels,
}

impl Line {
    fn of(exchange: &Exchange) -> Self {
        let request = &exchange.request;
        let text = |name: &str| {
            let value = request.headers().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_string()
        };
        let dry_run = request.uri().query().is_some_and(|query| query.contains("dryRun=All"));
        Self {
            verb: exchange.info.verb.clone(),
            uri: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
            agent: text(header::USER_AGENT.as_str()),
            audit_id: text(super::audit_id::AUDIT_ID.as_str()),
            peer: exchange.peer.address,
            user: String::new(),
            code: 0,
            started: Instant::now(),
            labels: Labels::of(&exchange.info, dry_run),
        }
    }

    fn finish(&self) {
        let took = self.started.elapsed();
        self.labels.done(self.code, took);
        tracing::info!(
            target: "access",
            verb = self.verb, uri = self.uri, latency_us = took.as_micros() as u64, user_agent = self.agent,
            audit_id = self.audit_id, src_ip = %self.peer, user = self.user, code = self.code,
            "request"
        );
    }
}

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    let mut line = Line::of(&exchange);
    let long_running = exchange.info.long_running();
    let stopped = exchange.front.context.token();
    let running = long_running.then(|| line.labels.long_running()).flatten();
    let mut response = next.run(exchange).await;
    line.code = response.status().as_u16();
    line.user = response.extensions_mut().remove::<Asker>().unwrap_or_default().0;
    if !long_running || response.body().is_end_stream() {
        line.finish();
        return response;
    }
    response.map(|inner| {
        Body::new(Lasting { inner, line: Some(line), _running: running, stopped: Box::pin(stopped.cancelled_owned()) })
    })
}

/// The body of a watch or stream: logs when it ends or is dropped, ends when the server stops.
struct Lasting {
    inner: Body,
    line: Option<Line>,
    _running: Option<Running>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl http_body::Body for Lasting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending if self.stopped.as_mut().poll(cx).is_ready() => Poll::Ready(None),
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            line.finish();
        }
    }
}
