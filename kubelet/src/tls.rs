//! TLS for probes: a client that verifies nothing.

use std::sync::{Arc, LazyLock};

use base::tls::{self, Trust};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

static UNVERIFIED: LazyLock<Option<Arc<ClientConfig>>> =
    LazyLock::new(|| tls::client(Trust::Anyone, None).ok().map(Arc::new));

/// TLS over `stream` with whoever is there.
///
/// # Errors
/// When the handshake fails.
pub async fn connect_unverified(stream: TcpStream, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
    let config = UNVERIFIED.clone().ok_or_else(|| std::io::Error::other("TLS is not available"))?;
    let name = ServerName::try_from(host.to_string()).map_err(std::io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use base::pki::Pair;

    /// TLS with whoever is there, as the owner of `pair`.
    pub(crate) async fn connect(stream: TcpStream, pair: Option<&Pair>) -> std::io::Result<TlsStream<TcpStream>> {
        let identity = pair.map(|pair| tls::Identity { chain: pair.cert.as_bytes(), key: pair.key.as_bytes() });
        let config = tls::client(Trust::Anyone, identity).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}
