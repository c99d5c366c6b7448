//! TLS of the client URLs: the server's certificate, and clients' certificates if they are asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Flags that need each other.
    #[error("{0}")]
    Incomplete(&'static str),
    /// A file is missing or not what it should be.
    #[error("{}: no usable {what}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) trusted_ca: Option<PathBuf>,
    pub(super) client_cert_auth: bool,
}

impl Files {
    /// # Errors
    /// When a file is missing or unusable. `client_cert_auth` needs an authority; so does, as in etcd, an authority mean
    /// that clients need certificates.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            return Err(TlsError::Incomplete("an https URL to listen on needs --cert-file and --key-file"));
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let broken = |path: &Path, what, source: Box<dyn std::error::Error + Send + Sync>| TlsError::File {
            path: path.to_owned(),
            what,
            source,
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(cert, "TLS versions", error.into()))?;
        let builder = match &self.trusted_ca {
            None if self.client_cert_auth => {
                return Err(TlsError::Incomplete("--client-cert-auth needs --trusted-ca-file"));
            }
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(|error| broken(path, "authority", error.into()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| broken(path, "authority", error.into()))?)
            }
        };
        let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| broken(key, "private key", error.into()))?;
        let mut config = builder
            .with_single_cert(certificates(cert)?, secret)
            .map_err(|error| broken(cert, "pair of certificate and key", error.into()))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let broken = |source| TlsError::File { path: path.to_owned(), what: "certificate", source };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(broken("there is none in it".into())),
        Ok(found) => Ok(found),
        Err(error) => Err(broken(error.into())),
    }
}
