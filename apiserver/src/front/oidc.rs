//! The documents by which others verify our service account tokens: OpenID Connect discovery and the key set
//! (upstream: pkg/serviceaccount/openidmetadata.go).

use http::{Response, StatusCode};
use serde_json::json;

use crate::answer;
use crate::auth::tokens::Tokens;
use crate::request::Body;

/// `/.well-known/openid-configuration`.
pub fn configuration(tokens: &Tokens) -> Response<Body> {
    let issuer = tokens.issuer();
    answer::json(&json!({
        "issuer": issuer,
        "jwks_uri": format!("{}/openid/v1/jwks", issuer.trim_end_matches('/')),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    }))
}

/// `/openid/v1/jwks`.
pub fn key_set(tokens: &Tokens) -> Response<Body> {
    let keys: Vec<_> = tokens.keys().iter().map(crate::auth::jwt::PublicKey::jwk).collect();
    answer::bytes_of(StatusCode::OK, "application/jwk-set+json", json!({ "keys": keys }).to_string().into_bytes())
}
