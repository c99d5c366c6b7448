//! /metrics: what a member holds, counts and times, for Prometheus.

use std::fmt::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::TextEncoder;

use super::{CLUSTER_VERSION, Service, VERSION};

pub(super) fn routes() -> Router<Service> {
    Router::new().route("/metrics", get(page))
}

/// Under etcd's names where etcd has the figure.
async fn page(State(service): State<Service>) -> Response {
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
    let id = format!("{:x}", service.store.member_id());
    let labels = [
        ("etcd_server_version", "server_version", VERSION),
        ("etcd_cluster_version", "cluster_version", CLUSTER_VERSION.trim_end_matches(".0")),
        ("etcd_server_id", "server_id", &id),
    ];
    for (name, label, value) in labels {
        let _ = writeln!(text, "# TYPE {name} gauge\n{name}{{{label}=\"{value}\"}} 1");
    }
    for families in [service.store.counted(), service.calls.gather()] {
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
    }
    text.push_str(&String::from_utf8_lossy(&base::health::render_metrics()));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
