//! /metrics: what a Prometheus that knows etcd finds.

use std::collections::BTreeMap;

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::grpc_health::HealthCheckRequest;
use proto::grpc_health::health_client::HealthClient;
use store::testing::etcd::{Etcd, is_installed};
use tonic::Code;
use tonic::transport::Channel;

use super::backup::to;
use super::calls::{Watches, prefix, put};
use super::members::{cluster, eventually};
use super::server::{Server, http};

/// The samples, by name and labels, and the types, by name.
async fn scrape(endpoint: &str) -> (BTreeMap<String, f64>, BTreeMap<String, String>) {
    let (code, page) = http(endpoint, "GET", "/metrics").await;
    assert_eq!(code, 200);
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    (samples.collect(), types)
}

/// Calls that end in different ways.
async fn call(channel: &Channel) {
    let mut kv = KvClient::new(channel.clone());
    put(channel, "k", "v").await;
    put(channel, "k", "w").await;
    assert_eq!(kv.put(pb::PutRequest::default()).await.unwrap_err().code(), Code::InvalidArgument);
    let future = pb::RangeRequest { key: "k".into(), revision: 99, ..Default::default() };
    assert_eq!(kv.range(future).await.unwrap_err().code(), Code::OutOfRange);
    let check = HealthCheckRequest { service: String::new() };
    HealthClient::new(channel.clone()).check(check).await.unwrap();
    let snapshot = MaintenanceClient::new(channel.clone()).snapshot(pb::SnapshotRequest {}).await;
    let mut parts = snapshot.unwrap().into_inner();
    while parts.message().await.unwrap().is_some() {}
    let mut watches = Watches::open(channel);
    watches.create(prefix("k", "l"));
    assert!(watches.next().await.created);
    // The stream ends with its reader.
}

#[tokio::test]
async fn calls_and_figures_are_those_of_etcd() {
    if !is_installed() {
        eprintln!("SKIPPED: no etcd in the PATH (Debian: etcd-server); CI installs it");
        return;
    }
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ours = Server::start(here.path(), &[]);
    let etcd = Etcd::start(there.path()).unwrap();
    call(&ours.channel().await).await;
    call(&to(etcd.url()).await).await;
    let mut counted = Vec::new();
    for endpoint in [ours.endpoint().as_str(), etcd.url().trim_start_matches("http://")] {
        let canceled = "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method=\"Watch\",grpc_service=\"\
                        etcdserverpb.Watch\",grpc_type=\"bidi_stream\"}";
        let scraped = eventually("the watch's end", async || {
            let scraped = scrape(endpoint).await;
            scraped.0.get(canceled).is_some_and(|count| *count > 0.0).then_some(scraped)
        });
        counted.push(scraped.await);
    }
    let [(ours, our_types), (theirs, their_types)] = &counted[..] else { unreachable!() };
    let calls = |samples: &BTreeMap<String, f64>| {
        let calls = samples.iter().filter(|(name, count)| name.starts_with("grpc_server_") && **count > 0.0);
        calls.map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>()
    };
    // etcd counts messages of streams, too.
    let mut expected = calls(theirs);
    expected.retain(|line| !line.starts_with("grpc_server_msg_"));
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(calls(ours), expected);
    let series = theirs.keys().filter(|name| {
        let counted = ["grpc_server_started_total", "grpc_server_handled_total"].iter().any(|of| name.starts_with(of));
        counted && !name.contains("etcdserverpb.Auth")
    });
    let missing: Vec<_> = series.filter(|name| !ours.contains_key(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (name, kind) in our_types.iter().filter(|(name, _)| !name.starts_with("mkube_")) {
        assert_eq!(their_types.get(name), Some(kind), "{name}");
    }
    for name in [
        "etcd_server_leader_changes_seen_total",
        "etcd_server_proposals_pending",
        "etcd_server_proposals_failed_total",
        "etcd_server_has_leader",
        "etcd_debugging_mvcc_keys_total",
        "etcd_debugging_mvcc_current_revision",
    ] {
        assert_eq!(ours.get(name).map(f64::to_string), theirs.get(name).map(f64::to_string), "{name}");
    }
    let buckets = |samples: &BTreeMap<String, f64>| {
        let buckets = samples.keys().filter(|name| name.starts_with("etcd_disk_wal_fsync_duration_seconds"));
        buckets.cloned().collect::<Vec<_>>()
    };
    assert_eq!(buckets(ours), buckets(theirs));
    assert!(ours["etcd_disk_wal_fsync_duration_seconds_count"] >= 2.0);
}

#[tokio::test]
async fn a_lost_leader_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = cluster(dir.path());
    let leads = async |server: &Server| scrape(&server.endpoint()).await.0["etcd_server_is_leader"] > 0.0;
    let at = eventually("a leader", async || {
        for (at, server) in servers.iter().enumerate() {
            if leads(server).await {
                return Some(at);
            }
        }
        None
    });
    let mut lost = servers.remove(at.await);
    let others = &servers;
    let number = |samples: &BTreeMap<String, f64>, name: &str| samples.get(name).copied().unwrap_or_default();
    let changes = "etcd_server_leader_changes_seen_total";
    eventually("who follows", async || {
        let (samples, _) = scrape(&others[0].endpoint()).await;
        (number(&samples, changes) > 0.0).then_some(())
    })
    .await;
    let (before, _) = scrape(&others[0].endpoint()).await;
    lost.kill();
    eventually("another leader, and a member that cannot be reached", async || {
        let (now, _) = scrape(&others[0].endpoint()).await;
        let failed = now.iter().filter(|(name, _)| name.starts_with("etcd_network_peer_sent_failures_total{To=\""));
        let failed: f64 = failed.map(|(_, count)| count).sum();
        (number(&now, changes) > number(&before, changes) && failed > 0.0).then_some(())
    })
    .await;
}
