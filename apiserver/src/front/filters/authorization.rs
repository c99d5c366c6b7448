//! Whether they may. Health is for everybody.

use http::Response;

use crate::auth::{Attributes, Decision};
use crate::front::chain::{Exchange, Next};
use crate::front::respond;
use crate::request::Body;

/// Upstream's `--authorization-always-allow-paths`.
const ALWAYS: &[&str] = &["/healthz", "/livez", "/readyz"];

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    if !exchange.info.is_resource && ALWAYS.contains(&exchange.info.path.as_str()) {
        return next.run(exchange).await;
    }
    let asked = Attributes::of(&exchange.info, &exchange.user);
    match exchange.front.auth.authorize(&asked).await {
        Ok(Decision::Allow(_)) => next.run(exchange).await,
        Ok(Decision::NoOpinion(reason)) => respond::status(&asked.forbidden(&reason)),
        Err(status) => respond::status(&status),
    }
}
