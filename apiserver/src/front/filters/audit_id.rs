//! Every answer names its request: `Audit-ID`, the client's own if it sent one (upstream: WithAuditInit).

use http::{HeaderName, HeaderValue, Response};

use crate::front::chain::Next;
use crate::request::Body;
use crate::state::Exchange;

/// The header.
pub static AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
/// A longer id of a client is replaced by ours.
const LONGEST: usize = 64;

/// See the module.
pub async fn filter(mut exchange: Exchange, next: Next) -> Response<Body> {
    let headers = exchange.request.headers_mut();
    let sent = headers.get(&AUDIT_ID).filter(|id| !id.is_empty() && id.len() <= LONGEST).cloned();
    let id = sent.or_else(|| HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).ok());
    if let Some(id) = &id {
        headers.insert(AUDIT_ID.clone(), id.clone());
    }
    let mut response = next.run(exchange).await;
    if let Some(id) = id {
        response.headers_mut().insert(AUDIT_ID.clone(), id);
    }
    response
}
