//! The standard gRPC health service, for the server as a whole (service "").

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use proto::grpc_health::health_check_response::ServingStatus;
use proto::grpc_health::health_server::Health;
use proto::grpc_health::{HealthCheckRequest, HealthCheckResponse};
use proto::log::AlarmKind;
use tonic::{Request, Response, Status};

use super::Service;

type States = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

impl Service {
    /// Why the store is not healthy; `None` if it is. etcd: server/etcdserver/api/etcdhttp/health.go.
    pub(super) fn ailment(&self) -> Option<&'static str> {
        if !self.store.is_open() {
            return Some("the store is stopped");
        }
        if let Some(alarm) = self.store.alarms().first() {
            return Some(match alarm.kind() {
                AlarmKind::AlarmNoSpace => "ALARM NOSPACE",
                AlarmKind::AlarmCorrupt => "ALARM CORRUPT",
                AlarmKind::AlarmNone => "ALARM NONE",
            });
        }
        self.store.leader().is_none().then_some("RAFT NO LEADER")
    }

    fn serving(&self) -> HealthCheckResponse {
        let open = self.store.is_open() && self.store.leader().is_some();
        let state = if open { ServingStatus::Serving } else { ServingStatus::NotServing };
        HealthCheckResponse { status: state.into() }
    }
}

fn check_name(request: &HealthCheckRequest) -> Result<(), Status> {
    if request.service.is_empty() { Ok(()) } else { Err(Status::not_found("unknown service")) }
}

#[tonic::async_trait]
impl Health for Service {
    type WatchStream = States;

    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        check_name(request.get_ref())?;
        Ok(Response::new(self.serving()))
    }

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<States>, Status> {
        check_name(request.get_ref())?;
        // What changes it here is the store's end, with which the stream ends too.
        let now = self.serving();
        Ok(Response::new(stream::iter([Ok(now)]).chain(stream::pending()).boxed()))
    }
}
