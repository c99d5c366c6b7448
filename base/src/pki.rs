//! A certificate authority and the certificates it signs: ECDSA P-256, PEM files, private keys readable by their owner only.
//!
//! A subject is Kubernetes' convention: the common name is the user (or node), the organisation its group.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};

use crate::files::write_atomic;

/// Why a key or certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{path}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The content is no usable key or certificate.
    #[error("certificate")]
    Certificate(#[from] rcgen::Error),
}

/// A certificate and its private key, both PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate (chain).
    pub cert: String,
    /// The private key, PKCS #8.
    pub key: String,
}

/// Whom a certificate speaks for.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    /// User name (CN).
    pub name: &'a str,
    /// Group (O), if any.
    pub group: Option<&'a str>,
    /// Names under which a server is reached; none for a pure client.
    pub dns: &'a [String],
    /// Addresses under which a server is reached.
    pub ips: &'a [IpAddr],
    /// Life in days, from an hour ago.
    pub days: i64,
}

/// A certificate authority that can sign.
pub struct Authority {
    pair: Pair,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed authority named `name`, valid for ten years.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn create(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = params(&Subject { name, days: 3650, ..Subject::default() })?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let cert = params.self_signed(&key)?.pem();
        Self::from_pair(Pair { cert, key: key.serialize_pem() })
    }

    /// The authority whose certificate and key are given.
    ///
    /// # Errors
    /// When they do not parse.
    pub fn from_pair(pair: Pair) -> Result<Self, Error> {
        let issuer = Issuer::from_ca_cert_pem(&pair.cert, KeyPair::from_pem(&pair.key)?)?;
        Ok(Self { pair, issuer })
    }

    /// Reads `<dir>/<name>.crt` and `.key`, or makes and writes them when neither exists.
    ///
    /// # Errors
    /// I/O errors, damaged files, or one of the two missing.
    pub fn load_or_create(dir: &Path, name: &str, common_name: &str) -> Result<Self, Error> {
        match Pair::read(dir, name)? {
            Some(pair) => Self::from_pair(pair),
            None => {
                let authority = Self::create(common_name)?;
                authority.pair.write(dir, name)?;
                Ok(authority)
            }
        }
    }

    /// The authority's own certificate and key.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// A new key and a certificate for it, good as a client and, where names or addresses are given, as a server.
    ///
    /// # Errors
    /// When a name is not valid in a certificate.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<Pair, Error> {
        let key = KeyPair::generate()?;
        let mut params = params(subject)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.dns.is_empty() || !subject.ips.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { cert, key: key.serialize_pem() })
    }
}

impl Pair {
    /// A fresh key pair without a certificate: what signs service account tokens. `cert` then holds the public key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn signing_key() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        Ok(Self { cert: key.public_key_pem(), key: key.serialize_pem() })
    }

    /// Writes `<dir>/<name>.crt` (0644) and `.key` (0600); makes the directory.
    ///
    /// # Errors
    /// I/O errors.
    pub fn write(&self, dir: &Path, name: &str) -> Result<(), Error> {
        fs::create_dir_all(dir).map_err(|source| Error::File { path: dir.display().to_string(), source })?;
        for (suffix, content, mode) in [("key", &self.key, 0o600), ("crt", &self.cert, 0o644)] {
            let path = dir.join(format!("{name}.{suffix}"));
            write_atomic(&path, content.as_bytes(), mode)
                .map_err(|source| Error::File { path: path.display().to_string(), source })?;
        }
        Ok(())
    }

    /// Reads what [`Pair::write`] wrote; `None` when neither file exists.
    ///
    /// # Errors
    /// I/O errors; one of the two files missing.
    pub fn read(dir: &Path, name: &str) -> Result<Option<Self>, Error> {
        let path = |suffix: &str| dir.join(format!("{name}.{suffix}"));
        if !path("crt").exists() && !path("key").exists() {
            return Ok(None);
        }
        let read = |suffix: &str| {
            fs::read_to_string(path(suffix))
                .map_err(|source| Error::File { path: path(suffix).display().to_string(), source })
        };
        Ok(Some(Self { cert: read("crt")?, key: read("key")? }))
    }
}

fn params(subject: &Subject<'_>) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name.push(DnType::CommonName, subject.name);
    if let Some(group) = subject.group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    for name in subject.dns {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    params.subject_alt_names.extend(subject.ips.iter().map(|ip| SanType::IpAddress(*ip)));
    // An hour of slack for machines whose clocks differ.
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = params.not_before + Duration::days(subject.days.max(1));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn issues_certificates_that_name_user_group_and_addresses() {
        let authority = Authority::create("kubernetes").unwrap();
        let dns = ["localhost".to_string()];
        let ips = [IpAddr::from([127, 0, 0, 1])];
        let subject = Subject { name: "system:node:n1", group: Some("system:nodes"), dns: &dns, ips: &ips, days: 365 };
        let pair = authority.issue(&subject).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(pair.cert.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        assert_eq!(cert.subject().to_string(), "CN=system:node:n1, O=system:nodes");
        assert_eq!(cert.issuer().to_string(), "CN=kubernetes");
        assert_eq!(cert.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 2);
    }

    #[test]
    fn an_authority_survives_its_files_and_keys_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(dir.path(), "ca", "kubernetes").unwrap();
        let second = Authority::load_or_create(dir.path(), "ca", "kubernetes").unwrap();
        assert_eq!(first.pair().cert, second.pair().cert);
        let mode = fs::metadata(dir.path().join("ca.key")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        fs::remove_file(dir.path().join("ca.key")).unwrap();
        assert!(Authority::load_or_create(dir.path(), "ca", "kubernetes").is_err());
    }
}
