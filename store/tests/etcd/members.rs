//! Three members: whichever a client asks, the answer is the cluster's; and the death of the leader's process costs nothing that
//! was acknowledged.

use std::time::Instant;

use futures::StreamExt;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use store::testing::free_ports;

use super::server::{PATIENCE, Server};

/// Three members in new directories below `dir`.
pub(crate) fn cluster(dir: &std::path::Path) -> Vec<Server> {
    let ports = free_ports(3);
    let names = ["a", "b", "c"];
    let all: Vec<String> =
        names.iter().zip(&ports).map(|(name, port)| format!("{name}=http://127.0.0.1:{port}")).collect();
    let all = format!("--initial-cluster={}", all.join(","));
    let start = |(name, port): (&str, u16)| {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        Server::start_as(&dir, port, &[&format!("--name={name}"), &all])
    };
    names.into_iter().zip(ports).map(start).collect()
}

/// Asks until the answer is good.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}

async fn leader(server: &Server) -> Option<(u64, u64)> {
    let status = MaintenanceClient::new(server.channel().await).status(pb::StatusRequest {}).await.ok()?.into_inner();
    (status.leader != 0).then(|| (status.leader, status.header.unwrap().member_id))
}

async fn keep_alive(server: &Server, id: i64) -> Option<i64> {
    let requests = futures::stream::iter([pb::LeaseKeepAliveRequest { id }]);
    let mut answers = LeaseClient::new(server.channel().await).lease_keep_alive(requests).await.ok()?.into_inner();
    Some(answers.next().await?.ok()?.ttl)
}

async fn put(server: &Server, key: String, lease: i64) -> Option<()> {
    let request = pb::PutRequest { key: key.into(), value: "v".into(), lease, ..Default::default() };
    KvClient::new(server.channel().await).put(request).await.ok().map(|_| ())
}

#[tokio::test]
async fn every_member_answers_for_the_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = cluster(dir.path());
    let mut led = 0;
    for server in &servers {
        led = eventually("a leader", async || leader(server).await).await.0;
    }
    let grant = pb::LeaseGrantRequest { ttl: 60, id: 9 };
    LeaseClient::new(servers[0].channel().await).lease_grant(grant).await.unwrap();
    for (at, server) in servers.iter().enumerate() {
        put(server, format!("k{at}"), 9).await.unwrap();
        // Followers ask the leader, once it has told them where clients reach it.
        assert_eq!(eventually("a keep-alive", async || keep_alive(server, 9).await).await, 60);
        let request = pb::LeaseTimeToLiveRequest { id: 9, keys: true };
        let info = LeaseClient::new(server.channel().await).lease_time_to_live(request).await.unwrap().into_inner();
        assert_eq!((info.granted_ttl, info.keys.len()), (60, at + 1));
        let missing = pb::LeaseTimeToLiveRequest { id: 10, keys: true };
        let info = LeaseClient::new(server.channel().await).lease_time_to_live(missing).await.unwrap().into_inner();
        assert_eq!(info.ttl, -1);
    }
    let mut at = 0;
    for (number, server) in servers.iter().enumerate() {
        let (leader, own) = leader(server).await.unwrap();
        assert_eq!(leader, led);
        at = if leader == own { number } else { at };
    }
    servers[at].kill();
    let others: Vec<&Server> = servers.iter().enumerate().filter(|(number, _)| *number != at).map(|(_, s)| s).collect();
    for (number, server) in others.iter().enumerate() {
        eventually("a write", async || put(server, format!("after{number}"), 0).await).await;
        assert_eq!(eventually("a keep-alive", async || keep_alive(server, 9).await).await, 60);
    }
    let range = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    for server in others {
        let found = KvClient::new(server.channel().await).range(range.clone()).await.unwrap().into_inner();
        assert_eq!(found.count, 5);
    }
}
