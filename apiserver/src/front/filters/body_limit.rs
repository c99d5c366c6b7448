//! Bodies of at most 3 MiB (upstream: MaxRequestBodyBytes, `limitedReadBody`). Here by the announced length, before anything is
//! read; a body that announces nothing is stopped by the handlers' [`decode::read`](crate::handlers::decode::read).

use api::Status;
use http::{Response, header};

use crate::front::chain::{Exchange, Next};
use crate::front::respond;
use crate::handlers::decode::BODY_LIMIT;
use crate::request::Body;

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    // A proxied body is not held here; a stream has no end.
    if !exchange.info.long_running() {
        let announced = exchange.request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
            return respond::status(&Status::too_large(format!("Request entity too large: limit is {BODY_LIMIT}")));
        }
    }
    next.run(exchange).await
}
