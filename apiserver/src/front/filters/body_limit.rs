//! Bodies of at most 3 MiB (upstream: MaxRequestBodyBytes, `limitedReadBody`). Here by the announced length, before anything is
//! kept; a body that announces nothing is stopped by the handlers' [`decode::read`](crate::handlers::decode::read).

use std::time::Duration;

use api::Status;
use http::{Response, header};
use http_body_util::BodyExt;

use crate::answer;
use crate::front::chain::Next;
use crate::handlers::decode::BODY_LIMIT;
use crate::request::Body;
use crate::state::Exchange;

/// So much of a refused body is read and thrown away, for so long: a client that is still writing when the connection
/// closes would see the reset instead of the answer (Go's server lingers for the same reason).
const DISCARD: (usize, Duration) = (64 << 20, Duration::from_secs(5));

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    // A proxied body is not held here; a stream has no end.
    if !exchange.info.long_running() {
        let announced = exchange.request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()).and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > BODY_LIMIT as u64) {
            let _ = tokio::time::timeout(DISCARD.1, discard(exchange.request.into_body())).await;
            return answer::status(&Status::too_large(format!("Request entity too large: limit is {BODY_LIMIT}")));
        }
    }
    next.run(exchange).await
}

async fn discard(mut body: Body) {
    let mut seen = 0;
    while let Some(Ok(frame)) = body.frame().await {
        seen += frame.data_ref().map_or(0, bytes::Bytes::len);
        if seen > DISCARD.0 {
            return;
        }
    }
}
