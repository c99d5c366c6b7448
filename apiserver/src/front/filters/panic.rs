//! A panic in a handler is one failed request, not a dead server (upstream: WithPanicRecovery).

use api::Status;
use http::Response;

use crate::answer;
use crate::front::chain::Next;
use crate::request::Body;
use crate::state::Exchange;

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    let (verb, path) = (exchange.info.verb.clone(), exchange.info.path.clone());
    recover(&verb, &path, next.run(exchange)).await
}

async fn recover(verb: &str, path: &str, handler: impl Future<Output = Response<Body>>) -> Response<Body> {
    base::panics::catch_in(handler).await.unwrap_or_else(|panic| {
        tracing::error!(verb, path, panic, "a handler panicked");
        answer::status(&Status::internal("this request caused apiserver to panic, look in the logs for details"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered() {
        let response = recover("get", "/api", async {
            tokio::task::yield_now().await;
            panic!("a handler's")
        });
        assert_eq!(response.await.status(), http::StatusCode::INTERNAL_SERVER_ERROR);
        let well = recover("get", "/api", async { Response::new(Body::empty()) });
        assert_eq!(well.await.status(), http::StatusCode::OK);
    }
}
