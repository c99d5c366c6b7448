//! Where a request goes that has passed the filters: a table of paths for what is no resource, and for resources the streams,
//! the reviews and everything else.

use http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;

use super::{discovery, health, oidc, openapi, version};
use crate::request::{Body, Query};
use crate::state::{Exchange, Front};
use crate::{answer, handlers, posted, stream};
use api::Status;

/// The paths at `/`, as upstream lists them.
const ROOT: &[&str] = &[
    "/.well-known/openid-configuration",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/",
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/readyz",
    "/version",
];

/// Answers the request.
pub async fn dispatch(exchange: Exchange) -> Response<Body> {
    if !exchange.info.is_resource {
        let Exchange { front, info, request, .. } = exchange;
        let (parts, _) = request.into_parts();
        return document(&front, &info.path, &parts).await;
    }
    if stream::serves(&exchange.info) {
        return stream::serve(exchange).await;
    }
    if posted::serves(&exchange.info) {
        return posted::serve(exchange).await;
    }
    let registry = exchange.front.registry.clone();
    handlers::serve(registry, exchange.info, exchange.user, exchange.request).await
}

/// Everything that is no resource.
async fn document(front: &Front, path: &str, parts: &http::request::Parts) -> Response<Body> {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return not_found();
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let trimmed = path.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(path);
    match trimmed {
        "/" => answer::json(&json!({ "paths": ROOT })),
        "/version" => answer::json(&version::document()),
        "/metrics" => {
            answer::bytes_of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", base::health::render_metrics())
        }
        "/.well-known/openid-configuration" => oidc::configuration(&front.auth.tokens),
        "/openid/v1/jwks" => oidc::key_set(&front.auth.tokens),
        "/openapi/v2" => openapi::v2(&parts.headers),
        "/openapi/v3" => openapi::index(),
        _ => nested(front, trimmed, &query, &parts.headers).await,
    }
}

async fn nested(front: &Front, path: &str, query: &Query, headers: &HeaderMap) -> Response<Body> {
    for group in ["healthz", "livez", "readyz"] {
        let Some(rest) = path.strip_prefix('/').and_then(|path| path.strip_prefix(group)) else { continue };
        let one = rest.strip_prefix('/');
        if rest.is_empty() || one.is_some() {
            return health::answer(front, group, one, query).await.unwrap_or_else(not_found);
        }
    }
    if let Some(rest) = path.strip_prefix("/openapi/v3/") {
        return openapi::document(rest, query).unwrap_or_else(not_found);
    }
    discovery::answer(path, &front.address, headers).unwrap_or_else(not_found)
}

fn not_found() -> Response<Body> {
    answer::status(&Status::no_such_path())
}
