//! Who asks: a client certificate, or a bearer token, or nobody. Nobody may only look at health and version.

use api::Status;
use http::{HeaderMap, Response, header};

use super::access::Asker;
use crate::answer;
use crate::front::chain::Next;
use crate::request::Body;
use crate::state::Exchange;

/// Paths for everybody (and below the first three the single checks).
const OPEN: &[&str] = &["/healthz", "/livez", "/readyz", "/version"];

/// See the module.
pub async fn filter(mut exchange: Exchange, next: Next) -> Response<Body> {
    let found = match bearer(exchange.request.headers()) {
        _ if exchange.peer.has_certificate() => exchange.peer.user(exchange.front.registry.now()).map(Some),
        Some(token) => exchange.front.auth.tokens.authenticate(token).await.map(Some),
        None => Ok(None),
    };
    match found {
        Ok(Some(user)) => exchange.user = user,
        Ok(None) if is_open(&exchange.info.path) => {}
        Ok(None) => return answer::status(&Status::unauthorized()),
        Err(why) => {
            tracing::info!(path = exchange.info.path, peer = %exchange.peer.address, why, "unable to authenticate the request");
            return answer::status(&Status::unauthorized());
        }
    }
    // Nobody further in needs the secret, and proxied requests must not carry it on.
    exchange.request.headers_mut().remove(header::AUTHORIZATION);
    let asker = Asker(exchange.user.name.clone());
    let mut response = next.run(exchange).await;
    if response.extensions().get::<Asker>().is_none() {
        response.extensions_mut().insert(asker);
    }
    response
}

fn is_open(path: &str) -> bool {
    OPEN.iter().any(|open| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_version_are_open() {
        for (path, open) in [
            ("/healthz", true),
            ("/readyz/etcd", true),
            ("/version", true),
            ("/versions", false),
            ("/healthzx", false),
            ("/", false),
            ("/api", false),
            ("/metrics", false),
        ] {
            assert_eq!(is_open(path), open, "{path}");
        }
    }

    #[test]
    fn tokens_come_as_bearer() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
