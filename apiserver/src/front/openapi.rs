//! `/openapi/v2` and `/openapi/v3`, from the pure documents of the api crate. They are built when asked for and not kept: a
//! client caches them by the hash in their address.

use http::{HeaderValue, Response, StatusCode, header};

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

/// The v2 document. Clients that ask for its protobuf form accept JSON, too.
pub fn v2() -> Response<Body> {
    answer::bytes_of(StatusCode::OK, "application/json", api::openapi::v2())
}
