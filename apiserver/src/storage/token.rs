//! Continue tokens, in upstream's form (apiserver, pkg/storage/continue.go): base64url of
//! `{"v":"meta.k8s.io/v1","rv":N,"start":"next key, relative to what is listed"}`. The revision -1 goes on at whatever is present.

use api::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use store::Revision;

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continue {
    /// The revision of the list; `None` to go on inconsistently.
    pub revision: Option<Revision>,
    /// For [`super::ListQuery::after_key`].
    pub start: String,
}

/// A token for the next page: the revision of the list ([`super::Listing::revision`]) and [`super::Listing::next`].
pub fn encode(revision: Option<Revision>, next: &str) -> String {
    let rv = revision.map_or(-1, |revision| i64::try_from(revision).unwrap_or(i64::MAX));
    let wire = Wire { v: "meta.k8s.io/v1".into(), rv, start: next.into() };
    // A struct of two strings and a number always serialises.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
}

/// Reads a token.
///
/// # Errors
/// 400 for anything that is not one; it also may not leave the listed range.
pub fn decode(token: &str) -> Result<Continue, Status> {
    let bad = |why: String| Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"));
    let json = URL_SAFE_NO_PAD.decode(token).map_err(|error| bad(error.to_string()))?;
    let wire: Wire = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
    if wire.v != "meta.k8s.io/v1" {
        return Err(bad(format!("server does not recognize this encoded version {}", wire.v)));
    }
    if wire.rv == 0 {
        return Err(bad("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".into()));
    }
    if wire.start.is_empty() {
        return Err(bad("encoded start key empty (version meta.k8s.io/v1)".into()));
    }
    let path = wire.start.strip_prefix('/').unwrap_or(&wire.start);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(bad(wire.start));
    }
    Ok(Continue { revision: Revision::try_from(wire.rv).ok(), start: path.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_has_upstreams_form() {
        for revision in [Some(12345), None] {
            let token = encode(revision, "ns/a\0");
            assert_eq!(decode(&token).unwrap(), Continue { revision, start: "ns/a\0".into() });
        }
        let json = URL_SAFE_NO_PAD.decode(encode(Some(5), "a\0")).unwrap();
        assert_eq!(json, br#"{"v":"meta.k8s.io/v1","rv":5,"start":"a\u0000"}"#);
    }

    #[test]
    fn bad_tokens_are_bad_requests() {
        let json = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let table = [
            ("%".to_string(), "continue key is not valid: "),
            (json("nonsense"), "continue key is not valid: "),
            (json(r#"{"v":"v9","rv":5,"start":"a"}"#), "does not recognize this encoded version v9"),
            (json(r#"{"v":"meta.k8s.io/v1","start":"a"}"#), "incorrect encoded start resourceVersion"),
            (json(r#"{"v":"meta.k8s.io/v1","rv":5}"#), "encoded start key empty"),
            (
                json(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"../secrets/a"}"#),
                "continue key is not valid: ../secrets/a",
            ),
            (json(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"a//b"}"#), "continue key is not valid: a//b"),
        ];
        for (token, want) in table {
            let status = decode(&token).unwrap_err();
            assert!(status.code == 400 && status.message.contains(want), "{}", status.message);
        }
    }
}
