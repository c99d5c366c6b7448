//! `/api`, `/apis` and what is below them, from the pure documents of the api crate; the aggregated form where the client's
//! `Accept` header prefers it (KEP-3352).

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use api::discovery::{self, Discovery};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::answer;
use crate::request::Body;

/// The media type of the aggregated documents.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers a discovery path; `None` if it is none. `address` is where clients reach the server.
pub fn answer(path: &str, address: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let document = match parts.as_slice() {
        ["api" | "apis"] if wants_aggregated(headers) => {
            return Some(tagged(discovery::aggregated(parts == ["api"]), AGGREGATED, headers));
        }
        ["api"] => discovery::api_versions(address),
        ["apis"] => discovery::group_list(),
        ["api", version] => discovery::resource_list("", version)?,
        ["apis", group] => Discovery::default().group(group)?,
        ["apis", group, version] => discovery::resource_list(group, version)?,
        _ => return None,
    };
    Some(answer::json(&document))
}

/// Whether the first acceptable form that we have is the aggregated one.
fn wants_aggregated(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let parameters: Vec<&str> = parts.collect();
        let has = |wanted: &str| parameters.contains(&wanted);
        match media {
            // v2beta1 has the same shape but another name: only what we really speak.
            "application/json" if has("g=apidiscovery.k8s.io") && has("v=v2") && has("as=APIGroupDiscoveryList") => {
                return true;
            }
            "application/json" | "application/*" | "*/*" if !parameters.iter().any(|p| p.starts_with("g=")) => {
                return false;
            }
            _ => {}
        }
    }
    false
}

/// A document with an entity tag; 304 if the client has it.
fn tagged(document: Value, media_type: &'static str, headers: &HeaderMap) -> Response<Body> {
    let bytes = document.to_string().into_bytes();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = format!("\"{:016X}\"", hasher.finish());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        answer::bytes_of(StatusCode::NOT_MODIFIED, media_type, Vec::new())
    } else {
        answer::bytes_of(StatusCode::OK, media_type, bytes)
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_we_have_wins() {
        let table = [
            ("", false),
            ("application/json", false),
            (AGGREGATED, true),
            // What kubectl 1.27 to 1.33 send.
            (
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
                true,
            ),
            ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", false),
            (
                "application/vnd.kubernetes.protobuf, application/json; g=apidiscovery.k8s.io; v=v2; as=APIGroupDiscoveryList",
                true,
            ),
            ("*/*", false),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(wants_aggregated(&headers), expected, "{accept}");
        }
    }
}
