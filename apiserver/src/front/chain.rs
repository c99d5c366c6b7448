//! The filters that every request passes, in order: a table. A filter sees the exchange on its way in, calls the rest, and
//! sees the response on its way out; or answers itself.

use std::sync::Arc;

use futures::future::BoxFuture;
use http::{Request, Response};

use super::{dispatch, filters};
use crate::auth::Peer;
use crate::request::{Body, RequestInfo, User};
use crate::state::{Exchange, Front};

/// A filter.
pub type Filter = fn(Exchange, Next) -> BoxFuture<'static, Response<Body>>;

/// Name, filter. The order is the order of effects: nothing is counted before it is named, nothing costly is done for a
/// stranger, nothing is read of a body before the request is allowed (upstream: DefaultBuildHandlerChain).
pub static CHAIN: &[(&str, Filter)] = &[
    ("panic", |x, next| Box::pin(filters::panic::filter(x, next))),
    ("audit-id", |x, next| Box::pin(filters::audit_id::filter(x, next))),
    ("access-log", |x, next| Box::pin(filters::access::filter(x, next))),
    ("authentication", |x, next| Box::pin(filters::authentication::filter(x, next))),
    ("in-flight", |x, next| Box::pin(filters::inflight::filter(x, next))),
    ("timeout", |x, next| Box::pin(filters::timeout::filter(x, next))),
    ("impersonation", |x, next| Box::pin(filters::impersonation::filter(x, next))),
    ("authorization", |x, next| Box::pin(filters::authorization::filter(x, next))),
    ("body-limit", |x, next| Box::pin(filters::body_limit::filter(x, next))),
];

/// The rest of the chain.
#[derive(Clone, Copy)]
pub struct Next(&'static [(&'static str, Filter)]);

impl Next {
    /// Goes on with the next filter, or to the handler.
    pub fn run(self, exchange: Exchange) -> BoxFuture<'static, Response<Body>> {
        match self.0.split_first() {
            Some(((_, filter), rest)) => filter(exchange, Next(rest)),
            None => Box::pin(dispatch::dispatch(exchange)),
        }
    }
}

/// Serves one request.
pub async fn serve(front: Arc<Front>, peer: Arc<Peer>, request: Request<Body>) -> Response<Body> {
    let uri = request.uri();
    let info = RequestInfo::parse(request.method(), uri.path(), uri.query());
    Next(CHAIN).run(Exchange { front, peer, info, user: User::anonymous(), request }).await
}
