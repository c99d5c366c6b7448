//! What is not KV: the other services by their paths; what is not gRPC: /version, and what `metrics` and `probes` serve. etcd:
//! server/etcdserver/api/etcdhttp.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use proto::etcd::etcdserverpb::cluster_server::ClusterServer;
use proto::etcd::etcdserverpb::lease_server::LeaseServer;
use proto::etcd::etcdserverpb::maintenance_server::MaintenanceServer;
use proto::etcd::etcdserverpb::watch_server::WatchServer;
use proto::etcd::v3electionpb::election_server::ElectionServer;
use proto::etcd::v3lockpb::lock_server::LockServer;
use proto::grpc_health::health_server::HealthServer;
use tonic::Status;
use tonic::service::Routes;

use super::front::is_grpc;
use super::{CLUSTER_VERSION, OVERHEAD, Service, VERSION, metrics, probes};

/// All paths of a client URL but KV's.
pub(super) fn router(service: &Service) -> Router {
    let most = service.max_request_bytes + OVERHEAD;
    let mut routes = Routes::builder();
    routes
        .add_service(WatchServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(LeaseServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(ClusterServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(MaintenanceServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(LockServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(ElectionServer::new(service.clone()).max_decoding_message_size(most))
        .add_service(HealthServer::new(service.clone()).max_decoding_message_size(most));
    let plain = Router::new()
        .route("/version", get(version))
        .merge(metrics::routes())
        .merge(probes::routes())
        .with_state(service.clone());
    routes.routes().into_axum_router().fallback(unknown).merge(plain)
}

async fn unknown(request: Request<Body>) -> Response {
    let path = request.uri().path();
    if !is_grpc(&request) {
        return (StatusCode::NOT_FOUND, "404 page not found\n").into_response();
    }
    let text = if path.starts_with("/etcdserverpb.Auth/") {
        "etcdserver: users and roles are not supported: clients are told apart by their certificates".to_owned()
    } else {
        format!("unknown method {path}")
    };
    Status::unimplemented(text).into_http()
}

async fn version() -> Response {
    let body = format!("{{\"etcdserver\":\"{VERSION}\",\"etcdcluster\":\"{CLUSTER_VERSION}\"}}");
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
