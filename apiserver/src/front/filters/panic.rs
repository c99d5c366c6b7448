//! A panic in a handler is one failed request, not a dead server (upstream: WithPanicRecovery).

use std::panic::AssertUnwindSafe;

use api::Status;
use futures::FutureExt;
use http::Response;

use crate::front::chain::{Exchange, Next};
use crate::front::respond;
use crate::request::Body;

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    let (verb, path) = (exchange.info.verb.clone(), exchange.info.path.clone());
    match AssertUnwindSafe(async move { next.run(exchange).await }).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(verb, path, "a handler panicked");
            respond::status(&Status::internal("this request caused apiserver to panic, look in the logs for details"))
        }
    }
}
