//! kill -9 and start again: keys, leases and alarms are there.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;

use super::server::Server;

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    let channel = server.channel().await;
    let grant = pb::LeaseGrantRequest { ttl: 600, id: 77 };
    LeaseClient::new(channel.clone()).lease_grant(grant).await.unwrap();
    let put = |key: String, lease| pb::PutRequest { key: key.into(), value: "v".into(), lease, ..Default::default() };
    let mut kv = KvClient::new(channel.clone());
    for at in 0..20 {
        kv.put(put(format!("k{at}"), 77 * (at % 2))).await.unwrap();
    }
    let alarm = pb::AlarmRequest { action: 1, member_id: 5, alarm: 1 };
    MaintenanceClient::new(channel.clone()).alarm(alarm).await.unwrap();
    let hash = MaintenanceClient::new(channel).hash_kv(pb::HashKvRequest { revision: 0 }).await.unwrap().into_inner();
    server.kill();
    server.run();

    let channel = server.channel().await;
    let mut maintenance = MaintenanceClient::new(channel.clone());
    let found = maintenance.hash_kv(pb::HashKvRequest { revision: 0 }).await.unwrap().into_inner();
    assert_eq!((found.hash, found.hash_revision), (hash.hash, 21));
    let before = hash.header.unwrap();
    let after = found.header.unwrap();
    assert_eq!((before.member_id, before.cluster_id), (after.member_id, after.cluster_id));
    assert!(after.raft_term > before.raft_term, "each start is a term");
    let status = maintenance.status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.errors, ["memberID:5 alarm:NOSPACE "]);
    let mut lease = LeaseClient::new(channel.clone());
    let request = pb::LeaseTimeToLiveRequest { id: 77, keys: true };
    let info = lease.lease_time_to_live(request).await.unwrap().into_inner();
    assert_eq!((info.granted_ttl, info.keys.len()), (600, 10));
    assert!(info.ttl > 590, "the full time again");
    let refused = KvClient::new(channel).put(put("more".into(), 0)).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: database space exceeded");
}
