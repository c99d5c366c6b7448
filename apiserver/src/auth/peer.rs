//! The other end of a connection: its address and whom its certificate speaks for, judged once per connection (a certificate
//! that runs out meanwhile stops counting).

use std::net::SocketAddr;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;

use super::x509::{Identity, Lenient};
use crate::request::User;

/// See the module.
#[derive(Debug)]
pub struct Peer {
    /// Where it is.
    pub address: SocketAddr,
    identity: Option<Result<Identity, String>>,
}

impl Peer {
    /// Judges the certificates that came with the handshake.
    pub fn new(address: SocketAddr, chain: Option<&[CertificateDer<'_>]>, judge: Option<&Lenient>) -> Self {
        let identity = match (chain, judge) {
            (Some(chain), Some(judge)) if !chain.is_empty() => Some(judge.identify(chain)),
            _ => None,
        };
        Self { address, identity }
    }

    /// Whether there is a certificate to be judged.
    pub fn has_certificate(&self) -> bool {
        self.identity.is_some()
    }

    /// The user of the certificate.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn user(&self, now: Timestamp) -> Result<User, String> {
        match &self.identity {
            None => Err("no certificate".into()),
            Some(Err(why)) => Err(why.clone()),
            Some(Ok(identity)) if now.as_second() > identity.not_after => Err("the certificate has expired".into()),
            Some(Ok(identity)) => Ok(identity.user.clone()),
        }
    }
}
