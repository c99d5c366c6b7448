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

/// The v2 document, in the first form that the client takes: the protobuf of gnostic, which kubectl and Helm ask for, or JSON.
pub fn v2(headers: &HeaderMap) -> Response<Body> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    match form(accept) {
        Some(Form::Json) => answer::bytes_of(StatusCode::OK, JSON, api::openapi::v2()),
        Some(Form::Protobuf) => {
            answer::bytes_of(StatusCode::OK, api::openapi::V2_PROTOBUF, api::openapi::v2_protobuf())
        }
        None => answer::status(&Status::not_acceptable(&[JSON, api::openapi::V2_PROTOBUF_ACCEPT])),
    }
}

const JSON: &str = "application/json";

/// How the v2 document can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf,
}

/// The form that an `Accept` header asks for: its first range that fits one (kube-openapi, pkg/handler, ServeHTTP).
fn form(accept: &str) -> Option<Form> {
    if accept.trim().is_empty() {
        return Some(Form::Json);
    }
    let media = accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
    media.into_iter().find_map(|media| match media {
        "*/*" | "application/*" | JSON => Some(Form::Json),
        api::openapi::V2_PROTOBUF | api::openapi::V2_PROTOBUF_ACCEPT => Some(Form::Protobuf),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_fits_is_written() {
        for (accept, expected) in [
            ("", Some(Form::Json)),
            ("application/json", Some(Form::Json)),
            ("text/html, */*;q=0.1", Some(Form::Json)),
            ("application/com.github.proto-openapi.spec.v2.v1.0+protobuf", Some(Form::Protobuf)),
            ("application/com.github.proto-openapi.spec.v2@v1.0+protobuf,application/json", Some(Form::Protobuf)),
            ("application/json,application/com.github.proto-openapi.spec.v2@v1.0+protobuf", Some(Form::Json)),
            ("text/html", None),
        ] {
            assert_eq!(form(accept), expected, "{accept}");
        }
    }

    #[test]
    fn protobuf_is_named_by_the_type_that_clients_can_parse() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(api::openapi::V2_PROTOBUF_ACCEPT));
        assert_eq!(v2(&headers).headers()[header::CONTENT_TYPE], api::openapi::V2_PROTOBUF);
    }
}
