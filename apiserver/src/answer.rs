//! Responses from values and errors, for everything that is answered before or beside the handlers.

use api::Status;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::request::Body;

/// A JSON document.
pub fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => bytes_of(StatusCode::OK, "application/json", bytes),
        Err(error) => status(&Status::internal(error)),
    }
}

/// An error (or success) as the `Status` that says so; with `Retry-After` if it names a time.
pub fn status(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = serde_json::to_vec(status).unwrap_or_default();
    let mut response = bytes_of(code, "application/json", bytes);
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// Plain text.
pub fn text(code: StatusCode, body: impl Into<String>) -> Response<Body> {
    let mut response = bytes_of(code, "text/plain; charset=utf-8", body.into().into_bytes());
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Bytes of a media type.
pub fn bytes_of(code: StatusCode, media_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_carry_their_code_and_when_to_come_back() {
        let response = status(&Status::too_many_requests("slow down", 1));
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        assert!(!status(&Status::unauthorized()).headers().contains_key(header::RETRY_AFTER));
    }
}
