//! A request that is no watch or stream ends after a minute, or after the client's `timeout`, if that is less; the outcome
//! of a write is then unknown (upstream: WithRequestDeadline, WithTimeoutForNonLongRunningRequests).

use std::time::Duration;

use api::Status;
use http::Response;

use crate::answer;
use crate::front::chain::Next;
use crate::front::metrics::Labels;
use crate::request::{Body, Query};
use crate::state::Exchange;

/// See the module.
pub async fn filter(exchange: Exchange, next: Next) -> Response<Body> {
    if exchange.info.long_running() {
        return next.run(exchange).await;
    }
    let query = Query::parse(exchange.request.uri().query().unwrap_or_default());
    let limit = match limit(query.get("timeout"), exchange.front.request_timeout) {
        Ok(limit) => limit,
        Err(status) => return answer::status(&status),
    };
    let labels = Labels::of(&exchange.info, false);
    match tokio::time::timeout(limit, next.run(exchange)).await {
        Ok(response) => response,
        Err(_) => {
            labels.terminated("504");
            answer::status(&Status::timeout("request did not complete within the allotted timeout"))
        }
    }
}

fn limit(asked: Option<&str>, most: Duration) -> Result<Duration, Status> {
    let Some(text) = asked.filter(|text| !text.is_empty()) else { return Ok(most) };
    let refused = || Status::bad_request(format!("invalid timeout specified in the request URL - \"{text}\""));
    let asked = api::duration::parse_go(text).map_err(|_| refused())?;
    let asked = Duration::try_from(asked).map_err(|_| refused())?;
    Ok(if asked.is_zero() { most } else { asked.min(most) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_shorten_the_limit() {
        let most = Duration::from_secs(60);
        for (asked, expected) in [
            (None, Some(60)),
            (Some(""), Some(60)),
            (Some("5s"), Some(5)),
            (Some("5m"), Some(60)),
            (Some("0s"), Some(60)),
            (Some("x"), None),
            (Some("-1s"), None),
        ] {
            assert_eq!(limit(asked, most).ok().map(|d| d.as_secs()), expected, "{asked:?}");
        }
    }
}
