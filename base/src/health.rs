//! The health port of the smaller daemons (scheduler, controller manager, proxy): `/healthz`, `/livez`, `/readyz`, `/metrics` over
//! plain HTTP, on loopback unless told otherwise. Paths and the answer `ok` are those of the upstream components.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;

use crate::Context;

/// Answers whether the component is ready; an `Err` says in words why not.
pub type ReadyCheck = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Serves the health port in `context` until it stops. Returns the bound address (port 0 = any free one).
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(context: &Context, address: SocketAddr, ready: ReadyCheck) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/livez", get(|| async { "ok" }))
        .route(
            "/readyz",
            get(move || async move {
                match ready() {
                    Ok(()) => (StatusCode::OK, "ok".to_string()),
                    Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
                }
            }),
        )
        .route("/metrics", get(|| async { metrics_response() }));
    context.spawn("health", async move {
        if let Err(error) = axum::serve(listener.tap_io(|stream| crate::tcp::prepare(stream)), router).await {
            tracing::error!(%error, "health port failed");
        }
    });
    Ok(bound)
}

/// Everything in the process's default Prometheus registry, in the text exposition format.
pub fn render_metrics() -> Vec<u8> {
    let mut out = Vec::new();
    if let Err(error) = TextEncoder::new().encode(&prometheus::gather(), &mut out) {
        tracing::error!(%error, "metrics cannot be encoded");
    }
    out
}

fn metrics_response() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render_metrics())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn tells_healthy_from_not_ready() {
        let context = Context::new();
        let local = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(&context, local, Arc::new(|| Err("caches not synced".into()))).await.unwrap();
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        let ready = fetch(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 500") && ready.contains("caches not synced"), "{ready}");
        assert!(fetch(address, "/metrics").await.starts_with("HTTP/1.1 200"));
    }
}
