//! TLS configurations out of PEM: whom we trust, who we are. One place for the choices: ring, the library's safe versions, HTTP/2
//! before HTTP/1.1 where a server offers both.
//!
//! Relies on nothing but the bytes it is given: its users read the files. A client that verifies nothing still checks that its peer
//! holds the key.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Why there is no configuration: what could not be used, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PEM, or none of the kind that is needed.
    #[error("unable to use {0}")]
    Pem(&'static str, #[source] rustls_pki_types::pem::Error),
    /// The library refuses it.
    #[error("unable to use {0}")]
    Refused(&'static str, #[source] rustls::Error),
    /// There is not one certificate in it.
    #[error("unable to use {0}: it holds no certificate")]
    Empty(&'static str),
}

/// Whom a client trusts.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Whom one of these certificates (PEM) has signed.
    Authorities(&'a [u8]),
    /// The same, as they were read.
    Roots(&'a Arc<RootCertStore>),
    /// Whoever answers.
    Anyone,
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The certificate, then its intermediates.
    pub chain: &'a [u8],
    /// The key.
    pub key: &'a [u8],
}

/// The cryptography of all connections.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// All certificates in a PEM text; `what` it is, for the error.
///
/// # Errors
/// When it is no PEM, or there are none.
pub fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all.map_err(|error| Error::Pem(what, error))? {
        all if all.is_empty() => Err(Error::Empty(what)),
        all => Ok(all),
    }
}

/// The certificates in a PEM text as authorities; none are an authority that has signed nothing.
///
/// # Errors
/// When one is unusable.
pub fn roots(pem: &[u8], what: &'static str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Error::Pem(what, error))?;
        roots.add(certificate).map_err(|error| Error::Refused(what, error))?;
    }
    Ok(roots)
}

fn private_key(pem: &[u8], what: &'static str) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| Error::Pem(what, error))
}

/// A client's side; without application protocols.
///
/// # Errors
/// Unusable PEM, or a key that does not fit its certificate.
pub fn client(trust: Trust<'_>, identity: Option<Identity<'_>>) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Refused("TLS", error))?;
    let builder = match trust {
        Trust::Authorities(pem) => builder.with_root_certificates(roots(pem, "certificate authority")?),
        Trust::Roots(roots) => builder.with_root_certificates(Arc::clone(roots)),
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyone(provider()))),
    };
    let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(identity.chain, "client certificate")?;
    let key = private_key(identity.key, "client key")?;
    builder.with_client_auth_cert(chain, key).map_err(|error| Error::Refused("client certificate", error))
}

/// A server's side, for HTTP/2 and HTTP/1.1; `clients` judges client certificates, without it none are asked for.
///
/// # Errors
/// Unusable PEM, or a key that does not fit its certificate.
pub fn server(identity: Identity<'_>, clients: Option<Arc<dyn ClientCertVerifier>>) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Error::Refused("TLS", error))?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let (chain, key) = (certificates(identity.chain, "server certificate")?, private_key(identity.key, "server key")?);
    let mut config =
        builder.with_single_cert(chain, key).map_err(|error| Error::Refused("server certificate", error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// For `insecure-skip-tls-verify`, probes, and proxies to what users run: any certificate will do.
#[derive(Debug)]
struct AcceptAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::{Authority, Subject};

    /// Whether a handshake in memory comes about.
    fn handshake(server: ServerConfig, client: ClientConfig) -> Result<(), rustls::Error> {
        let mut server = rustls::ServerConnection::new(Arc::new(server))?;
        let mut client = rustls::ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap())?;
        for _ in 0..4 {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            server.read_tls(&mut bytes.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            client.read_tls(&mut bytes.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        assert!(!server.is_handshaking() && !client.is_handshaking());
        Ok(())
    }

    #[test]
    fn clients_trust_their_authorities_or_anyone() {
        let (authority, other) = (Authority::create("one").unwrap(), Authority::create("two").unwrap());
        let dns = ["localhost".to_string()];
        let pair = authority.issue(&Subject { name: "server", dns: &dns, days: 1, ..Subject::default() }).unwrap();
        let identity = Identity { chain: pair.cert.as_bytes(), key: pair.key.as_bytes() };
        let table = [
            (Trust::Authorities(authority.pair().cert.as_bytes()), true),
            (Trust::Authorities(other.pair().cert.as_bytes()), false),
            (Trust::Authorities(b""), false),
            (Trust::Anyone, true),
        ];
        for (trust, good) in table {
            let outcome = handshake(server(identity, None).unwrap(), client(trust, Some(identity)).unwrap());
            assert_eq!(outcome.is_ok(), good, "{trust:?}");
        }
    }

    #[test]
    fn what_is_unusable_is_named() {
        let pair = Authority::create("one").unwrap().pair().clone();
        let other = Authority::create("two").unwrap().pair().clone();
        let (cert, key, foreign) = (pair.cert.as_bytes(), pair.key.as_bytes(), other.key.as_bytes());
        let table: [(&[u8], &[u8], &str); 4] = [
            (b"", key, "unable to use client certificate: it holds no certificate"),
            (cert, b"", "unable to use client key"),
            (cert, foreign, "unable to use client certificate"),
            (b"-----BEGIN CERTIFICATE-----\n!", key, "unable to use client certificate"),
        ];
        for (chain, key, message) in table {
            let error = client(Trust::Anyone, Some(Identity { chain, key })).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
