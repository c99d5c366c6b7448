//! How many requests are served at once, reading and changing apart; more get 429 and a time to come back. Watches and
//! streams are not counted (upstream: WithMaxInFlightLimit; there members of system:masters pass, here nobody does: the
//! limit is what bounds memory).

use api::Status;
use http::Response;

use crate::answer;
use crate::front::chain::Next;
use crate::front::metrics::{self, Labels};
use crate::request::Body;
use crate::state::Exchange;

/// A busy server is no dead server (upstream: the exempt flow schema `probes`).
const PROBES: &[&str] = &["/healthz", "/livez", "/readyz"];

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    if exchange.info.long_running() || PROBES.contains(&exchange.info.path.as_str()) {
        return next.run(exchange).await;
    }
    let front = exchange.front.clone();
    let (limit, kind) = if exchange.info.read_only() {
        (&front.limits.reading, "readOnly")
    } else {
        (&front.limits.changing, "mutating")
    };
    let Ok(_permit) = limit.try_acquire() else {
        Labels::of(&exchange.info, false).terminated("429");
        return answer::status(&Status::too_many_requests("Too many requests, please try again later.", 1));
    };
    let _counted = metrics::inflight(kind);
    next.run(exchange).await
}
