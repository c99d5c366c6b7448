//! A learner answers for nobody but itself, and a cluster has one at a time.

use futures::StreamExt;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::etcdserverpb::watch_client::WatchClient;
use proto::grpc_health::HealthCheckRequest;
use proto::grpc_health::health_client::HealthClient;
use store::testing::free_ports;
use tonic::{Code, Status};

use super::calls::put;
use super::members::eventually;
use super::server::Server;

fn range(serializable: bool) -> pb::RangeRequest {
    pb::RangeRequest { key: "k".into(), serializable, ..Default::default() }
}

fn refused<T: std::fmt::Debug>(what: &str, result: Result<T, Status>) {
    let status = result.unwrap_err();
    let said = (status.code(), status.message());
    assert_eq!(said, (Code::Unavailable, "etcdserver: rpc not supported for learner"), "{what}");
}

#[tokio::test]
async fn a_learner_serves_its_status_and_local_reads() {
    let dir = tempfile::tempdir().unwrap();
    let ports = free_ports(3);
    let url = |at: usize| format!("http://127.0.0.1:{}", ports[at]);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    std::fs::create_dir(&one).unwrap();
    std::fs::create_dir(&two).unwrap();
    let voter = Server::start_as(&one, ports[0], &["--name=one", &format!("--initial-cluster=one={}", url(0))]);
    let leader = voter.channel().await;
    put(&leader, "k", "v").await;

    let mut members = ClusterClient::new(leader.clone());
    let add = |at: usize| pb::MemberAddRequest { peer_ur_ls: vec![url(at)], is_learner: true };
    let added = members.member_add(add(1)).await.unwrap().into_inner().member.unwrap();
    let many = members.member_add(add(2)).await.unwrap_err();
    let expected = (Code::FailedPrecondition, "etcdserver: too many learner members in cluster");
    assert_eq!((many.code(), many.message()), expected);

    let all = format!("--initial-cluster=one={},two={}", url(0), url(1));
    let server = Server::start_as(&two, ports[1], &["--name=two", &all, "--initial-cluster-state=existing"]);
    let channel = server.channel().await;
    let (mut kv, mut maintenance) = (KvClient::new(channel.clone()), MaintenanceClient::new(channel.clone()));
    eventually("the learner learns", async || {
        let read = kv.range(range(true)).await.ok()?.into_inner();
        let status = maintenance.status(pb::StatusRequest {}).await.ok()?.into_inner();
        (read.kvs.first()?.value == "v" && status.is_learner).then_some(())
    })
    .await;
    let mut snapshot = maintenance.snapshot(pb::SnapshotRequest {}).await.unwrap().into_inner();
    assert!(!snapshot.next().await.unwrap().unwrap().blob.is_empty());

    refused("a linearizable read", kv.range(range(false)).await);
    refused("a write", kv.put(pb::PutRequest { key: "k".into(), ..Default::default() }).await);
    let local = pb::request_op::Request::RequestRange(range(true));
    let success = vec![pb::RequestOp { request: Some(local) }];
    refused("a transaction", kv.txn(pb::TxnRequest { success, ..Default::default() }).await);
    refused("a checksum", maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await);
    refused("the alarms", maintenance.alarm(pb::AlarmRequest::default()).await);
    let mut own = ClusterClient::new(channel.clone());
    refused("the members", own.member_list(pb::MemberListRequest { linearizable: false }).await);
    refused("a lease", LeaseClient::new(channel.clone()).lease_grant(pb::LeaseGrantRequest { ttl: 9, id: 0 }).await);
    let alive = futures::stream::pending::<pb::LeaseKeepAliveRequest>();
    refused("keep-alives", LeaseClient::new(channel.clone()).lease_keep_alive(alive).await);
    let watches = futures::stream::pending::<pb::WatchRequest>();
    refused("watches", WatchClient::new(channel.clone()).watch(watches).await);
    let health = HealthCheckRequest { service: String::new() };
    refused("its health", HealthClient::new(channel.clone()).check(health).await);

    let not_ready = "[-]non_learner failed: not supported for learner\n\n".to_owned();
    assert_eq!(server.http("GET", "/readyz/non_learner").await, (503, not_ready));
    assert_eq!(server.http("GET", "/livez").await.0, 200);
    assert_eq!(server.http("GET", "/version").await.0, 200);

    eventually("the promotion", async || members.member_promote(pb::MemberPromoteRequest { id: added.id }).await.ok())
        .await;
    // It has applied its promotion by the time that it applies what comes after.
    let read = async || kv.range(range(false)).await.ok();
    eventually("a read through the new member", read).await;
    assert_eq!(server.http("GET", "/readyz").await, (200, "ok\n".to_owned()));
}
