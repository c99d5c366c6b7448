//! Whether they may. Health is for everybody.

use http::Response;

use crate::answer;
use crate::auth::{Attributes, Decision};
use crate::front::chain::Next;
use crate::request::Body;
use crate::state::Exchange;

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
        Ok(Decision::NoOpinion(reason)) => answer::status(&asked.forbidden(&reason)),
        Err(status) => answer::status(&status),
    }
}
