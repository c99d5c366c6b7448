//! JSON Web Tokens signed with ES256 (ECDSA P-256, SHA-256), directly on ring, and the keys for them as PEM, JWK and key id.
//!
//! Only the algorithm of our own keys is accepted: `none` and foreign algorithms are refused before anything else is read
//! (RFC 7515, RFC 7518 §3.4). The key id is upstream's: unpadded base64url of the SHA-256 of the DER public key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Why a key or a token is not usable.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// The PEM text holds no key that we can use.
    #[error("no ECDSA P-256 key in PEM form: {0}")]
    Key(String),
    /// The token is no JWT of ours.
    #[error("invalid bearer token")]
    Malformed,
    /// The signature does not fit any key.
    #[error("invalid bearer token")]
    Signature,
}

/// What precedes the point in the DER form of a P-256 public key (RFC 5480).
const SPKI_HEADER: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed P-256 point: 0x04, x, y.
const POINT: usize = 65;

/// A key that verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Vec<u8>,
    id: String,
}

impl PublicKey {
    fn of_point(point: &[u8]) -> Result<Self, Error> {
        if point.len() != POINT || point[0] != 4 {
            return Err(Error::Key("not an uncompressed P-256 point".into()));
        }
        let digest = Sha256::new().chain_update(SPKI_HEADER).chain_update(point).finalize();
        Ok(Self { point: point.to_vec(), id: URL_SAFE_NO_PAD.encode(digest) })
    }

    /// All keys in a PEM text: public keys, and the public halves of private keys.
    ///
    /// # Errors
    /// When there is none, or one is of another algorithm.
    pub fn read_all(pem: &str) -> Result<Vec<Self>, Error> {
        let mut keys = Vec::new();
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            match section.map_err(|error| Error::Key(error.to_string()))? {
                (SectionKind::PublicKey, der) => keys.push(Self::of_spki(&der)?),
                (SectionKind::PrivateKey, der) => keys.push(Signer::of_pkcs8(&der)?.public),
                (kind, _) => tracing::debug!(?kind, "PEM section is no key for tokens"),
            }
        }
        if keys.is_empty() { Err(Error::Key("none found".into())) } else { Ok(keys) }
    }

    fn of_spki(der: &[u8]) -> Result<Self, Error> {
        let point = der.strip_prefix(&SPKI_HEADER[..]).ok_or_else(|| Error::Key("another algorithm".into()))?;
        Self::of_point(point)
    }

    /// The key id that tokens and the key set name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as an entry of a JWK set.
    pub fn jwk(&self) -> Value {
        json!({
            "use": "sig", "kty": "EC", "kid": self.id, "crv": "P-256", "alg": "ES256",
            "x": URL_SAFE_NO_PAD.encode(&self.point[1..33]), "y": URL_SAFE_NO_PAD.encode(&self.point[33..]),
        })
    }
}

/// A key that signs.
pub struct Signer {
    pair: EcdsaKeyPair,
    public: PublicKey,
    random: SystemRandom,
}

impl Signer {
    /// The first private key (PKCS #8) of a PEM text.
    ///
    /// # Errors
    /// When there is none of ECDSA P-256.
    pub fn read(pem: &str) -> Result<Self, Error> {
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem.as_bytes()) {
            if let (SectionKind::PrivateKey, der) = section.map_err(|error| Error::Key(error.to_string()))? {
                return Self::of_pkcs8(&der);
            }
        }
        Err(Error::Key("no PKCS #8 private key found".into()))
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random)
            .map_err(|error| Error::Key(error.to_string()))?;
        let public = PublicKey::of_point(pair.public_key().as_ref())?;
        Ok(Self { pair, public, random })
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn sign(&self, claims: &Value) -> Result<String, Error> {
        let header = json!({"alg": "ES256", "kid": self.public.id});
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature =
            self.pair.sign(&self.random, token.as_bytes()).map_err(|_| Error::Key("signing failed".into()))?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature.as_ref()));
        Ok(token)
    }
}

/// The claims of a token whose signature fits one of `keys`. Times and audiences are the caller's to check.
///
/// # Errors
/// When it is no such token.
pub fn verify(token: &str, keys: &[PublicKey]) -> Result<Value, Error> {
    let (signed, signature) = token.rsplit_once('.').ok_or(Error::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(Error::Malformed)?;
    let header: Value = part(header)?;
    if header.get("alg").and_then(Value::as_str) != Some("ES256") {
        return Err(Error::Malformed);
    }
    let id = header.get("kid").and_then(Value::as_str);
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Error::Malformed)?;
    let fits = |key: &PublicKey| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.point).verify(signed.as_bytes(), &signature).is_ok()
    };
    if keys.iter().any(|key| id.is_none_or(|id| id == key.id) && fits(key)) {
        part(claims)
    } else {
        Err(Error::Signature)
    }
}

/// The claims of a token, unverified: to tell whose token it is before verifying it.
pub fn peek(token: &str) -> Option<Value> {
    part(token.split('.').nth(1)?).ok()
}

fn part(encoded: &str) -> Result<Value, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Error::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| Error::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> (Signer, base::pki::Pair) {
        let pair = base::pki::Pair::signing_key().unwrap();
        (Signer::read(&pair.key).unwrap(), pair)
    }

    #[test]
    fn what_is_signed_verifies_with_the_public_key() {
        let (signer, pair) = signer();
        let keys = PublicKey::read_all(&pair.cert).unwrap();
        assert_eq!(&keys[0], signer.public());
        assert_eq!(PublicKey::read_all(&pair.key).unwrap(), keys, "a private key file verifies, too");
        let token = signer.sign(&json!({"sub": "me"})).unwrap();
        assert_eq!(verify(&token, &keys).unwrap(), json!({"sub": "me"}));
        assert_eq!(peek(&token).unwrap()["sub"], "me");
    }

    #[test]
    fn what_is_not_signed_by_us_is_refused() {
        let (signer, pair) = signer();
        let keys = PublicKey::read_all(&pair.cert).unwrap();
        let token = signer.sign(&json!({"sub": "me"})).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let table = [
            (String::new(), Error::Malformed),
            ("a.b".into(), Error::Malformed),
            ("a.b.c".into(), Error::Malformed),
            (format!("{}.{}.", encode(json!({"alg": "none"})), parts[1]), Error::Malformed),
            (format!("{}.{}.{}", encode(json!({"alg": "HS256"})), parts[1], parts[2]), Error::Malformed),
            (format!("{}.{}.{}", parts[0], encode(json!({"sub": "root"})), parts[2]), Error::Signature),
            (format!("{}.{}.{}", parts[0], parts[1], &parts[2][4..]), Error::Signature),
            (self::signer().0.sign(&json!({"sub": "me"})).unwrap(), Error::Signature),
        ];
        for (token, expected) in table {
            assert_eq!(verify(&token, &keys).unwrap_err(), expected, "{token}");
        }
    }

    #[test]
    fn keys_of_other_kinds_are_named() {
        assert!(matches!(Signer::read("nothing"), Err(Error::Key(_))));
        let (_, pair) = signer();
        assert!(matches!(Signer::read(&pair.cert), Err(Error::Key(_))));
        let jwk = PublicKey::read_all(&pair.cert).unwrap()[0].jwk();
        assert_eq!(jwk["x"].as_str().unwrap().len(), 43);
    }
}
