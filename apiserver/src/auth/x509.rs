//! Client certificates: the handshake takes any (or none), and the authenticator judges it afterwards, so that a foreign or
//! expired certificate gets 401 and words instead of a broken handshake (upstream: `tls.RequestClientCert` and
//! apiserver, pkg/authentication/request/x509). User = common name, groups = organisations.
//!
//! Certificates of X.509 version 1 count as well, as they do upstream: `openssl x509 -req -CA` makes them unless it is told
//! about extensions. webpki refuses them, so they are checked here.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use x509_parser::prelude::{ASN1Time, X509Certificate, X509Version};

use crate::request::User;

/// Verifies against the client CA, but lets every handshake through.
#[derive(Debug)]
pub struct Lenient {
    strict: Arc<dyn ClientCertVerifier>,
    authorities: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
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
        let authorities = CertificateDer::pem_slice_iter(ca_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let mut roots = RootCertStore::empty();
        for certificate in &authorities {
            roots.add(certificate.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let strict = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Arc::new(Self { strict, authorities, algorithms }))
    }

    /// Who the certificate (and its intermediates) speaks for.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn identify(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, String> {
        let (end_entity, intermediates) = chain.split_first().ok_or("no certificate")?;
        let (_, parsed) = x509_parser::parse_x509_certificate(end_entity).map_err(|error| error.to_string())?;
        if parsed.version() == X509Version::V1 {
            self.verify_plain(&parsed)?;
        } else {
            let now = UnixTime::now();
            self.strict.verify_client_cert(end_entity, intermediates, now).map_err(|error| error.to_string())?;
        }
        identity(&parsed)
    }

    /// Whether a certificate without extensions is signed by an authority, and both are in their time. What it may be used
    /// for is not restricted then (Go, crypto/x509, Verify).
    fn verify_plain(&self, certificate: &X509Certificate<'_>) -> Result<(), String> {
        if certificate.signature_algorithm.algorithm == x509_parser::oid_registry::OID_PKCS1_SHA1WITHRSA {
            return Err("SHA-1 signatures are not accepted".into());
        }
        let now = ASN1Time::now();
        if !certificate.validity().is_valid_at(now) {
            return Err("the certificate has expired or is not yet valid".into());
        }
        let signed = self.authorities.iter().any(|authority| {
            x509_parser::parse_x509_certificate(authority).is_ok_and(|(_, authority)| {
                authority.subject().as_raw() == certificate.issuer().as_raw()
                    && authority.validity().is_valid_at(now)
                    && certificate.verify_signature(Some(authority.public_key())).is_ok()
            })
        });
        if signed { Ok(()) } else { Err("the certificate is signed by an unknown authority".into()) }
    }
}

/// Reads the subject.
fn identity(parsed: &X509Certificate<'_>) -> Result<Identity, String> {
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
        // By the key itself, because webpki cannot read every certificate that may come.
        let (_, parsed) =
            x509_parser::parse_x509_certificate(certificate).map_err(|_| rustls::CertificateError::BadEncoding)?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        rustls::crypto::verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
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

    /// Made by `openssl x509 -req -CA ca.crt -CAkey ca.key` for /O=devs/CN=ann: version 1. Valid for a hundred years.
    const PLAIN_AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUJmPxd62twswKw5jdW6Oef6JwVc0wCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjAyMDQyMDBaGA8yMTI2MTAy
NzIwNDIwMFowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABBXDzraGuvRhqqT2o1ELZBgdhBy2ttrPDNJpyUpNmBnfa38FIHim
7Yx51aGicMxIOaf5GJJtNaXbTdCoXsKGfuSjUzBRMB0GA1UdDgQWBBT/lW+5eh3F
5ec94VO90puLBtvD4TAfBgNVHSMEGDAWgBT/lW+5eh3F5ec94VO90puLBtvD4TAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIFV59bJivPxkAg1a0tuW
QHGj6GviVp2P29jnviveeZaQAiEA0hZ01AZvCS0rCBmrOa1T3Z/lchkOx5U/Q0P5
MRSm6K8=
-----END CERTIFICATE-----
";
    const PLAIN: &str = "\
-----BEGIN CERTIFICATE-----
MIIBLjCB1QIUBuMQAvawZbqjWMMIbuDQItgiG9owCgYIKoZIzj0EAwIwFTETMBEG
A1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjAyMDQyMDBaGA8yMTI2MTAyNzIwNDIw
MFowHTENMAsGA1UECgwEZGV2czEMMAoGA1UEAwwDYW5uMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEscZUlzBUonE599R1u2UHN94nrTqc9bRyEy/ytKhQcKadaSub
5xfWOx1v+Mq/3j3uaWVvt/Nqfa8A97jZusDOpTAKBggqhkjOPQQDAgNIADBFAiAg
5y4Ozo1ZyTj132+gqdL7HZiQQdZlDxgBbkxW0XNjNwIhAMDWSroDbHgYDZysUGN0
pP7m0Fh4wKuv42uYTNz8GcgF
-----END CERTIFICATE-----
";
    const PLAIN_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWI7LIwhLYt5mTGGL
vMxEq8VDfBVhaVEOOZsufuqQllGhRANCAASxxlSXMFSicTn31HW7ZQc33ietOpz1
tHITL/K0qFBwpp1pK5vnF9Y7HW/4yr/ePe5pZW+382p9rwD3uNm6wM6l
-----END PRIVATE KEY-----
";

    #[test]
    fn certificates_without_extensions_are_accepted_from_their_authority_only() {
        let identity = Lenient::new(PLAIN_AUTHORITY).unwrap().identify(&[der(PLAIN)]).unwrap();
        assert_eq!(identity.user, User::new("ann", &["devs", "system:authenticated"]));
        // The name of the authority alone is not enough.
        let foreign = Authority::create("kubernetes").unwrap();
        let error = Lenient::new(&foreign.pair().cert).unwrap().identify(&[der(PLAIN)]).unwrap_err();
        assert_eq!(error, "the certificate is signed by an unknown authority");
    }

    /// Both ends of a handshake in memory, with a client that presents `PLAIN` and signs with `key`.
    fn handshake(key: &str) -> Result<Vec<CertificateDer<'static>>, rustls::Error> {
        use rustls::sign::{CertifiedKey, SingleCertAndKey};
        let provider = || Arc::new(rustls::crypto::ring::default_provider());
        let private = |pem: &str| rustls_pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let authority = Authority::create("kubernetes").unwrap();
        let pair = authority.issue(&Subject { name: "server", days: 1, ..Subject::default() }).unwrap();
        let server = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let server = server.unwrap().with_client_cert_verifier(Lenient::new(PLAIN_AUTHORITY).unwrap());
        let server = server.with_single_cert(vec![der(&pair.cert)], private(&pair.key)).unwrap();
        let signer = provider().key_provider.load_private_key(private(key)).unwrap();
        let resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![der(PLAIN)], signer)));
        let client = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let anything = Arc::new(Anything(provider().signature_verification_algorithms));
        let client = client.unwrap().dangerous().with_custom_certificate_verifier(anything);
        let client = client.with_client_cert_resolver(resolver);
        let mut server = rustls::ServerConnection::new(Arc::new(server)).unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), "server".try_into().unwrap()).unwrap();
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
        assert!(!server.is_handshaking());
        Ok(server.peer_certificates().unwrap().iter().map(|certificate| certificate.clone().into_owned()).collect())
    }

    #[test]
    fn a_handshake_proves_the_key_of_any_certificate() {
        assert_eq!(handshake(PLAIN_KEY).unwrap(), [der(PLAIN)]);
        let other = Authority::create("other").unwrap().issue(&Subject { name: "x", days: 1, ..Subject::default() });
        assert!(handshake(&other.unwrap().key).is_err());
    }

    /// A client that trusts every server.
    #[derive(Debug)]
    struct Anything(WebPkiSupportedAlgorithms);

    impl rustls::client::danger::ServerCertVerifier for Anything {
        fn verify_server_cert(
            &self,
            _end_entity: &CertificateDer<'_>,
            _intermediates: &[CertificateDer<'_>],
            _name: &rustls_pki_types::ServerName<'_>,
            _ocsp: &[u8],
            _now: UnixTime,
        ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
            Ok(rustls::client::danger::ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_schemes()
        }
    }
}
