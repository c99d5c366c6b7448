//! The standard gRPC health service, for the server as a whole (service "").

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use proto::grpc_health::health_check_response::ServingStatus;
use proto::grpc_health::health_server::Health;
use proto::grpc_health::{HealthCheckRequest, HealthCheckResponse};
use tonic::{Request, Response, Status};

use super::Service;

type States = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

impl Service {
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
        let standing = self.store.core().standing.subscribe();
        let states = stream::unfold((self.clone(), standing, None), |(service, mut standing, told)| async move {
            let mut ended = false;
            loop {
                standing.borrow_and_update();
                let now = service.serving();
                if told != Some(now.status) {
                    return Some((Ok(now), (service, standing, Some(now.status))));
                }
                if ended {
                    return None;
                }
                ended = tokio::select! {
                    changed = standing.changed() => changed.is_err(),
                    () = service.store.ended() => true,
                };
            }
        });
        Ok(Response::new(states.boxed()))
    }
}
