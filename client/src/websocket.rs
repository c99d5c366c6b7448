//! Upgrades to WebSocket: exec and attach (`v5.channel.k8s.io`, `v4.channel.k8s.io`).

use http::{HeaderValue, Request, header};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WsError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::error::{Error, Result};
use crate::rest::{Client, check};
use crate::transport::Stream;

/// An open WebSocket and the subprotocol that the server chose.
pub struct Upgraded {
    /// Frames both ways.
    pub socket: WebSocketStream<Stream>,
    /// E.g. `v5.channel.k8s.io`.
    pub protocol: String,
}

impl Client {
    /// Opens a WebSocket at `path` (with query), offering `protocols` in order of preference.
    ///
    /// # Errors
    /// Transport errors; the server's Status if it refuses.
    pub async fn websocket(&self, path: &str, protocols: &[&str]) -> Result<Upgraded> {
        let mut request = Request::builder()
            .uri(path)
            .body(())
            .map_err(|error| Error::Config(format!("invalid request {path}: {error}")))?;
        let stream = self.transport().dial(&mut request).await?;
        let invalid = |error: &dyn std::fmt::Display| Error::Config(format!("invalid request {path}: {error}"));
        // The crate fills in the handshake's own headers from the URI; ours are added to them.
        // It knows URLs of WebSockets only: http becomes ws, https wss.
        let uri = request.uri().to_string().replacen("http", "ws", 1);
        let mut handshake = uri.into_client_request().map_err(|error| invalid(&error))?;
        for (name, value) in request.headers() {
            handshake.headers_mut().append(name.clone(), value.clone());
        }
        let offered = HeaderValue::from_str(&protocols.join(", ")).map_err(|error| invalid(&error))?;
        handshake.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        match tokio_tungstenite::client_async(handshake, stream).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
                let protocol = protocol.and_then(|value| value.to_str().ok()).unwrap_or_default().to_string();
                Ok(Upgraded { socket, protocol })
            }
            Err(WsError::Http(response)) => {
                check(response.status(), response.body().as_deref().unwrap_or_default())?;
                Err(Error::Config(format!("unexpected answer {} to the upgrade of {path}", response.status())))
            }
            Err(error) => Err(Error::transport(format!("upgrading {path}"), error)),
        }
    }
}
