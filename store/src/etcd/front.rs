//! The one way all requests take: what refuses them before anything else, then whoever serves them. KV, which most calls are
//! of, is asked directly: axum's routing in between cost an eighth to a fifth of a call.

use std::convert::Infallible;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, header};
use proto::etcd::etcdserverpb::kv_server::KvServer;
use tonic::Status;

use super::errors::{no_leader, not_for_learners};
use super::{OVERHEAD, Service, http as plain};

/// What a learner answers: etcd's interceptors let nothing else through. Of Ranges `kv` lets only serializable ones through.
const FOR_LEARNERS: [&str; 3] =
    ["/etcdserverpb.Maintenance/Status", "/etcdserverpb.Maintenance/Snapshot", "/etcdserverpb.KV/Range"];

/// See the module's header.
#[derive(Clone)]
pub(super) struct Front {
    service: Service,
    kv: KvServer<Service>,
    rest: Router,
}

impl Front {
    pub(super) fn new(service: &Service) -> Self {
        let most = service.max_request_bytes + OVERHEAD;
        let kv = KvServer::new(service.clone()).max_decoding_message_size(most);
        Self { service: service.clone(), kv, rest: plain::router(service) }
    }

    /// Why a call is not served here. A learner refuses most of them; clients that ask for it are refused by a member that knows
    /// no leader (etcd: server/etcdserver/api/v3rpc/interceptor.go).
    fn refusal<B>(&self, request: &Request<B>) -> Option<Status> {
        if !is_grpc(request) {
            return None;
        }
        if self.service.store.is_learner() && !FOR_LEARNERS.contains(&request.uri().path()) {
            return Some(not_for_learners());
        }
        let asked = request.headers().get("hasleader").is_some_and(|value| value == "true");
        (asked && self.service.store.leader().is_none()).then(no_leader)
    }
}

impl<B> tower::Service<Request<B>> for Front
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError> + Send> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(status) = self.refusal(&request) {
            return std::future::ready(Ok(status.into_http())).boxed();
        }
        let call = self.service.calls.begin(&request);
        let ended = |answer: Response| {
            let answer = in_grpcs_words(answer);
            match call {
                Some(call) => call.answered(answer),
                None => answer,
            }
        };
        if request.uri().path().starts_with("/etcdserverpb.KV/") {
            return self.kv.call(request).map(|answer| answer.map(|answer| ended(answer.map(Body::new)))).boxed();
        }
        self.rest.call(request.map(Body::new)).map(|answer| answer.map(ended)).boxed()
    }
}

pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

/// Says what grpc-go says of a message that is too large, where tonic says something else.
fn in_grpcs_words(response: Response) -> Response {
    match Status::from_header_map(response.headers()).as_ref().and_then(too_large) {
        Some(status) => status.into_http(),
        None => response,
    }
}

fn too_large(status: &Status) -> Option<Status> {
    let rest = status.message().strip_prefix("Error, decoded message length too large: found ")?;
    let (found, rest) = rest.split_once(" bytes, the limit is: ")?;
    let most = rest.trim_end_matches(" bytes");
    Some(Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {most})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_large_is_said_as_by_etcd() {
        let said =
            Status::out_of_range("Error, decoded message length too large: found 9 bytes, the limit is: 7 bytes");
        let status = too_large(&said).unwrap();
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (9 vs. 7)");
        assert!(too_large(&Status::out_of_range("etcdserver: too large lease TTL")).is_none());
    }
}
