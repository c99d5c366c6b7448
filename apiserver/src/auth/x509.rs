//! Client certificates: the handshake takes any (or none), and the authenticator judges it afterwards, so that a foreign or
//! expired certificate gets 401 and words instead of a broken handshake (upstream: `tls.RequestClientCert` and
//! apiserver, pkg/authentication/request/x509). User = common name, groups = organisations.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::request::User;

/// Verifies against the client CA, but lets every handshake through.
#[derive(Debug)]
pub struct Lenient {
    strict: Arc<dyn ClientCertVerifier>,
}

/// Who a connection's certificate speaks for.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user.
    pub user: User,
    /// When the certificate ends, in seconds since 1970: a connection may outlive it.
    pub not_after: i64,
}

impl Lenient {
    /// Verifies against the certificates in a PEM text.
    ///
    /// # Errors
    /// When there is no usable certificate in it.
    pub fn new(ca_pem: &str) -> anyhow::Result<Arc<Self>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let strict = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Arc::new(Self { strict }))
    }

    /// Who the certificate (and its intermediates) speaks for.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, String> {
        let (end_entity, intermediates) = chain.split_first().ok_or("no certificate")?;
        self.strict
            .verify_client_cert(end_entity, intermediates, UnixTime::now())
            .map_err(|error| error.to_string())?;
        identity(end_entity)
    }
}

/// Reads the subject.
fn identity(certificate: &[u8]) -> Result<Identity, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let subject = parsed.subject();
    let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    if name.is_empty() {
        return Err("the certificate has no common name".into());
    }
    let groups = subject.iter_organization().filter_map(|group| group.as_str().ok()).map(str::to_string);
    let mut user = User { name: name.into(), groups: groups.collect(), ..User::default() };
    user.groups.push("system:authenticated".into());
    Ok(Identity { user, not_after: parsed.validity().not_after.timestamp() })
}

impl ClientCertVerifier for Lenient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Judged by `identify` after the handshake; that the peer holds the key is still checked below.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::pki::{Authority, Subject};

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn certificates_of_the_authority_name_user_and_groups() {
        let authority = Authority::create("kubernetes").unwrap();
        let verifier = Lenient::new(&authority.pair().cert).unwrap();
        let subject = Subject { name: "ann", group: Some("devs"), days: 1, ..Subject::default() };
        let identity = verifier.identify(&[der(&authority.issue(&subject).unwrap().cert)]).unwrap();
        assert_eq!(identity.user, User::new("ann", &["devs", "system:authenticated"]));
        assert!(identity.not_after > jiff::Timestamp::now().as_second());
    }

    #[test]
    fn foreign_and_nameless_certificates_are_refused() {
        let authority = Authority::create("kubernetes").unwrap();
        let verifier = Lenient::new(&authority.pair().cert).unwrap();
        let foreign = Authority::create("kubernetes").unwrap();
        let subject = Subject { name: "ann", group: Some("system:masters"), days: 1, ..Subject::default() };
        assert!(verifier.identify(&[der(&foreign.issue(&subject).unwrap().cert)]).is_err());
        let nameless = Subject { name: "", group: Some("system:masters"), days: 1, ..Subject::default() };
        assert!(verifier.identify(&[der(&authority.issue(&nameless).unwrap().cert)]).is_err());
        assert!(verifier.identify(&[]).is_err());
        assert!(Lenient::new("no certificate").is_err());
    }
}
