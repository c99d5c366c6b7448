//! TLS out of PEM files, for all that the store listens on and connects to; errors name the files. What is chosen is chosen in
//! `base::tls`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::tls::{self, Error, Identity, Trust};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// What a file of them is called in an error.
const AUTHORITY: &str = "certificate authority";

/// Files for TLS, all PEM.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Authorities that the other side's certificate may come from.
    pub ca: Option<PathBuf>,
    /// Our certificate.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
}

/// A file that is missing or not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There are no authorities in it.
    #[error("cannot use {}", path.display())]
    Authorities {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// They are not a certificate and its key.
    #[error("cannot use {} with {}", cert.display(), key.display())]
    Identity {
        /// The certificate's.
        cert: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why.
        source: Error,
    },
}

/// A client's side, for HTTP/2, or what members say in its place: whom it trusts, and the certificate and the key that it
/// shows, if any.
pub(crate) fn client(ca: &Path, identity: Option<(&Path, &Path)>) -> Result<ClientConfig, FileError> {
    let roots = roots(ca)?;
    let trust = Trust::Roots(&roots);
    let mut config = match identity {
        None => tls::client(trust, None).map_err(|source| FileError::Authorities { path: ca.to_owned(), source })?,
        Some((cert, key)) => with_identity(cert, key, |identity| tls::client(trust, Some(identity)))?,
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// A server's side, for HTTP/2 and HTTP/1.1; with `clients`, who connects must show a certificate that comes from there.
pub(crate) fn server(cert: &Path, key: &Path, clients: Option<&Path>) -> Result<ServerConfig, FileError> {
    let clients = clients.map(verifier).transpose()?;
    with_identity(cert, key, |identity| tls::server(identity, clients))
}

fn verifier(ca: &Path) -> Result<Arc<dyn ClientCertVerifier>, FileError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(ca)?, tls::provider()).build();
    verifier.map_err(|error| {
        let source = Error::Refused(AUTHORITY, rustls::Error::General(error.to_string()));
        FileError::Authorities { path: ca.to_owned(), source }
    })
}

/// The authorities in a file; there must be one.
fn roots(path: &Path) -> Result<Arc<RootCertStore>, FileError> {
    let roots = match tls::roots(&read(path)?, AUTHORITY) {
        Ok(roots) if roots.is_empty() => Err(Error::Empty(AUTHORITY)),
        roots => roots,
    };
    roots.map(Arc::new).map_err(|source| FileError::Authorities { path: path.to_owned(), source })
}

fn with_identity<T>(
    cert: &Path,
    key: &Path,
    make: impl FnOnce(Identity<'_>) -> Result<T, Error>,
) -> Result<T, FileError> {
    let made = make(Identity { chain: &read(cert)?, key: &read(key)? });
    made.map_err(|source| FileError::Identity { cert: cert.to_owned(), key: key.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use base::pki::{Authority, Subject};

    use super::*;

    #[test]
    fn the_file_that_is_wrong_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create("authority").unwrap();
        let pair = authority.issue(&Subject { name: "member", days: 1, ..Subject::default() }).unwrap();
        let other = authority.issue(&Subject { name: "other", days: 1, ..Subject::default() }).unwrap();
        let write = |name: &str, content: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (ca, cert, key) = (write("ca", &authority.pair().cert), write("cert", &pair.cert), write("key", &pair.key));
        let (foreign, empty, none) = (write("foreign", &other.key), write("empty", ""), dir.path().join("none"));
        // (authorities, certificate, key, what is said after the directory's name)
        let table = [
            (&ca, &cert, &key, None),
            (&none, &cert, &key, Some("cannot read DIR/none: No such file")),
            (
                &empty,
                &cert,
                &key,
                Some("cannot use DIR/empty: unable to use certificate authority: it holds no certificate"),
            ),
            (&key, &cert, &key, Some("cannot use DIR/key: unable to use certificate authority")),
            (&ca, &none, &key, Some("cannot read DIR/none")),
            (&ca, &key, &key, Some("cannot use DIR/key with DIR/key: unable to use")),
            (&ca, &cert, &cert, Some("cannot use DIR/cert with DIR/cert: unable to use")),
            (&ca, &cert, &foreign, Some("cannot use DIR/cert with DIR/foreign: unable to use")),
        ];
        for (ca, cert, key, said) in table {
            let outcomes = [client(ca, Some((cert, key))).map(drop), server(cert, key, Some(ca.as_path())).map(drop)];
            for (side, outcome) in ["client", "server"].into_iter().zip(outcomes) {
                let text = outcome.err().map(|error| {
                    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    format!("{error}: {cause}").replace(&dir.path().display().to_string(), "DIR")
                });
                let fits = match said {
                    None => text.is_none(),
                    Some(said) => text
                        .as_ref()
                        .is_some_and(|text| text.replace("server ", "").replace("client ", "").starts_with(said)),
                };
                assert!(fits, "{side}, {said:?}: {text:?}");
            }
        }
        assert!(client(&ca, None).is_ok() && server(&cert, &key, None).is_ok());
    }
}
