//! What is not KV: the other services by their paths; what is not gRPC: /version, /metrics, and `probes`. etcd:
//! server/etcdserver/api/etcdhttp.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
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
use super::{CLUSTER_VERSION, OVERHEAD, Service, VERSION, probes};

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
        .route("/metrics", get(metrics))
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

/// Under etcd's names where etcd has the figure.
async fn metrics(State(service): State<Service>) -> Response {
    let (now, figures) = (service.store.status(), service.store.figures());
    let leads = u64::from(service.store.is_leader());
    let rows = [
        ("etcd_server_has_leader", "gauge", u64::from(service.store.leader().is_some())),
        ("etcd_server_is_leader", "gauge", leads),
        ("etcd_server_is_learner", "gauge", u64::from(now.learner)),
        ("etcd_server_proposals_committed_total", "gauge", now.index),
        ("etcd_server_proposals_applied_total", "gauge", now.applied_index),
        ("etcd_server_quota_backend_bytes", "gauge", service.store.quota()),
        ("etcd_mvcc_db_total_size_in_bytes", "gauge", now.db_size),
        ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", now.db_size_in_use),
        ("etcd_debugging_mvcc_keys_total", "gauge", figures.keys),
        ("etcd_debugging_mvcc_current_revision", "gauge", service.store.local()),
        ("etcd_debugging_mvcc_compact_revision", "gauge", figures.compacted),
        ("etcd_debugging_mvcc_watcher_total", "gauge", figures.watches),
        ("mkube_store_leases", "gauge", figures.leases),
        ("mkube_store_checkpoint_failed", "gauge", u64::from(service.store.checkpoint_failure().is_some())),
    ];
    let mut text = String::new();
    for (name, kind, value) in rows {
        let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
    }
    let _ = writeln!(text, "# TYPE etcd_server_version gauge\netcd_server_version{{server_version=\"{VERSION}\"}} 1");
    text.push_str(&String::from_utf8_lossy(&base::health::render_metrics()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
