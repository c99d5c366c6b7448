//! `/openapi/v2` and `/openapi/v3`, from the pure documents of the api crate. They are built when asked for and not kept: a
//! client caches them by the hash in their address.

use api::Status;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::answer;
use crate::request::{Body, Query};

/// The index of the v3 documents.
pub fn index() -> Response<Body> {
    answer::json(&api::openapi::v3_index())
}

/// One v3 document, e.g. `apis/apps/v1`; `None` if there is no such group and version.
pub fn document(path: &str, query: &Query) -> Option<Response<Body>> {
    let bytes = api::openapi::v3_document(path)?;
    let mut response = answer::bytes_of(StatusCode::OK, "application/json", bytes);
    if query.get("hash").is_some() {
        // The address changes with the content.
        let forever = HeaderValue::from_static("public, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    Some(response)
}

/// The v2 document, in JSON. Clients before kubectl 1.30 take its protobuf form only, which this server does not have.
pub fn v2(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !takes_json(accept) {
        return answer::status(&Status::not_acceptable(&["application/json"]));
    }
    answer::bytes_of(StatusCode::OK, "application/json", api::openapi::v2())
}

fn takes_json(accept: &str) -> bool {
    let mut media = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    accept.trim().is_empty() || media.any(|media| matches!(media, "*/*" | "application/*" | "application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_is_spoken() {
        for (accept, taken) in [
            ("", true),
            ("application/json", true),
            ("text/html, */*;q=0.1", true),
            ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", false),
            ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf,application/json", true),
        ] {
            assert_eq!(takes_json(accept), taken, "{accept}");
        }
    }
}
