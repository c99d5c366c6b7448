//! A panic in a handler is one failed request, not a dead server (upstream: WithPanicRecovery).

use std::panic::AssertUnwindSafe;

use api::Status;
use futures::FutureExt;
use http::Response;

use crate::answer;
use crate::front::chain::Next;
use crate::request::Body;
use crate::state::Exchange;

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    let (verb, path) = (exchange.info.verb.clone(), exchange.info.path.clone());
    match AssertUnwindSafe(async move { next.run(exchange).await }).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(verb, path, "a handler panicked");
            answer::status(&Status::internal("this request caused apiserver to panic, look in the logs for details"))
        }
    }
}
