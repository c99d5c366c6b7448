//! Service account tokens: issues them, and tells whose a token is. A token counts only while the account (and the pod, node or
//! secret that it is bound to) exists with the UID that it was issued for (upstream: pkg/serviceaccount/claims.go, Validate).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use api::{Status, kinds, object};
use base::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::Value;

use super::claims::{Claims, Kubernetes, Reference};
use super::jwt::{self, PublicKey, Signer};
use crate::options::Options;
use crate::request::User;
use crate::storage::{Freshness, Storage};

/// How long after its deletion a bound object still counts: pods stop gracefully (`bound object deletion leeway`).
const LEEWAY_SECONDS: i64 = 60;
/// So many verified tokens are remembered: a signature check costs more than everything else here.
const REMEMBERED: usize = 4096;

/// See the module.
pub struct Tokens {
    storage: Arc<Storage>,
    clock: Arc<dyn Clock>,
    issuer: String,
    audiences: Vec<String>,
    signer: Signer,
    keys: Vec<PublicKey>,
    verified: Mutex<HashMap<String, Arc<Claims>>>,
}

impl Tokens {
    /// Reads the keys that the flags name.
    ///
    /// # Errors
    /// Files that cannot be read or hold no usable key.
    pub fn new(options: &Options, storage: Arc<Storage>, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let read =
            |path: &Path| std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
        let path = &options.service_account_signing_key_file;
        let signer = Signer::read(&read(path)?).with_context(|| format!("{} cannot sign", path.display()))?;
        let mut keys = vec![signer.public().clone()];
        for path in &options.service_account_key_file {
            for key in PublicKey::read_all(&read(path)?).with_context(|| format!("{} cannot verify", path.display()))? {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
        let issuer = options.service_account_issuer.clone();
        Ok(Self { storage, clock, issuer, audiences: options.audiences(), signer, keys, verified: Mutex::default() })
    }

    /// Who issues.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audiences of this API.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The keys that verify.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// A signed token with these claims.
    ///
    /// # Errors
    /// 500 when the system has no randomness to give.
    pub fn sign(&self, claims: &Claims) -> Result<String, Status> {
        let value = serde_json::to_value(claims).map_err(Status::internal)?;
        self.signer.sign(&value).map_err(Status::internal)
    }

    /// The user of a token for this API.
    ///
    /// # Errors
    /// Why the token does not count.
    pub async fn authenticate(&self, token: &str) -> Result<User, String> {
        self.review(token, &self.audiences).await.map(|(user, _)| user)
    }

    /// The user of a token for one of `audiences`, and the audiences that fit.
    ///
    /// # Errors
    /// Why the token does not count.
    pub async fn review(&self, token: &str, audiences: &[String]) -> Result<(User, Vec<String>), String> {
        let claims = self.verified(token)?;
        let now = self.clock.now();
        let shared = claims.check(&self.issuer, audiences, now.as_second())?;
        self.check_bound(&claims.kubernetes, now).await?;
        if claims.kubernetes.warnafter.is_some_and(|after| now.as_second() > after) {
            tracing::warn!(subject = claims.sub, "stale service account token: it should have been renewed");
        }
        Ok((claims.user(), shared))
    }

    fn verified(&self, token: &str) -> Result<Arc<Claims>, String> {
        if let Some(claims) = self.verified.lock().get(token) {
            return Ok(claims.clone());
        }
        let value = jwt::verify(token, &self.keys).map_err(|error| error.to_string())?;
        let claims: Claims = serde_json::from_value(value).map_err(|error| format!("invalid claims: {error}"))?;
        let claims = Arc::new(claims);
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(token.to_string(), claims.clone());
        Ok(claims)
    }

    async fn check_bound(&self, private: &Kubernetes, now: Timestamp) -> Result<(), String> {
        let namespace = private.namespace.as_str();
        self.exists("serviceaccounts", namespace, &private.serviceaccount, now).await?;
        for (plural, reference) in [("pods", &private.pod), ("secrets", &private.secret)] {
            if let Some(reference) = reference {
                self.exists(plural, namespace, reference, now).await?;
            }
        }
        match &private.node {
            // With a pod the node is only information.
            Some(node) if private.pod.is_none() => self.exists("nodes", "", node, now).await,
            _ => Ok(()),
        }
    }

    async fn exists(&self, plural: &str, namespace: &str, wanted: &Reference, now: Timestamp) -> Result<(), String> {
        // What this server knows lets a token through, and what it has acknowledged it knows: a deletion counts at once. Before
        // a token is refused, what other servers wrote is looked at too.
        let mut verdict = Ok(());
        for freshness in [Freshness::Own, Freshness::Latest] {
            let object =
                self.read(plural, namespace, &wanted.name, freshness).await.map_err(|status| status.message)?;
            verdict = match object {
                Some(object) => still_bound(plural, &object, wanted, now),
                None => Err(format!("{plural} {:?} of the token is gone", wanted.name)),
            };
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    /// A core object, if it exists.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub async fn object(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        self.read(plural, namespace, name, Freshness::Latest).await
    }

    async fn read(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        freshness: Freshness,
    ) -> Result<Option<Value>, Status> {
        let (kind, _) = kinds::find("", "v1", plural).ok_or_else(|| Status::internal(format!("no kind {plural}")))?;
        let entry = self.storage.get(kind, namespace, name, freshness).await?;
        Ok(entry.map(|entry| entry.value()))
    }

    /// The time of the server.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn still_bound(plural: &str, object: &Value, wanted: &Reference, now: Timestamp) -> Result<(), String> {
    let name = &wanted.name;
    if object::uid(object) != wanted.uid {
        return Err(format!("{plural} {name:?} is not the one that the token was issued for"));
    }
    let gone = object::deletion_timestamp(object)
        .and_then(|time| time.parse::<Timestamp>().ok())
        .is_some_and(|time| now.as_second() > time.as_second() + LEEWAY_SECONDS);
    if gone { Err(format!("{plural} {name:?} of the token has been deleted")) } else { Ok(()) }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
