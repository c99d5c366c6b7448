//! Calls that etcdctl does not make, or does not show: streams of several watches, progress, Lock and Election as services,
//! keep-alive streams, health, what is not supported.

use futures::StreamExt;
use futures::future::{FutureExt, LocalBoxFuture};
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::watch_client::WatchClient;
use proto::etcd::etcdserverpb::watch_request::RequestUnion;
use proto::etcd::v3electionpb as election;
use proto::etcd::v3electionpb::election_client::ElectionClient;
use proto::etcd::v3lockpb::lock_client::LockClient;
use proto::etcd::v3lockpb::{LockRequest, UnlockRequest};
use proto::grpc_health::HealthCheckRequest;
use proto::grpc_health::health_client::HealthClient;
use tokio::sync::mpsc;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use super::server::{PATIENCE, Server};

pub(crate) async fn put(channel: &Channel, key: &str, value: &str) -> i64 {
    let request = pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), ..Default::default() };
    KvClient::new(channel.clone()).put(request).await.unwrap().into_inner().header.unwrap().revision
}

/// One watch stream.
pub(crate) struct Watches {
    requests: mpsc::UnboundedSender<pb::WatchRequest>,
    /// etcd answers a stream when it has something to say, and not before.
    call: Option<LocalBoxFuture<'static, Streaming<pb::WatchResponse>>>,
    responses: Option<Streaming<pb::WatchResponse>>,
}

impl Watches {
    pub(crate) fn open(channel: &Channel) -> Self {
        let (requests, receiver) = mpsc::unbounded_channel();
        let stream = futures::stream::unfold(receiver, |mut receiver| async {
            let request = receiver.recv().await?;
            Some((request, receiver))
        });
        let mut request = tonic::Request::new(stream.boxed());
        request.metadata_mut().insert("hasleader", "true".parse().unwrap());
        let mut client = WatchClient::new(channel.clone());
        let call = async move { client.watch(request).await.unwrap().into_inner() }.boxed_local();
        Self { requests, call: Some(call), responses: None }
    }

    pub(crate) fn ask(&self, request: RequestUnion) {
        self.requests.send(pb::WatchRequest { request_union: Some(request) }).unwrap();
    }

    pub(crate) fn create(&self, request: pb::WatchCreateRequest) {
        self.ask(RequestUnion::CreateRequest(request));
    }

    pub(crate) async fn next(&mut self) -> pb::WatchResponse {
        let next = async {
            if let Some(call) = self.call.take() {
                self.responses = Some(call.await);
            }
            self.responses.as_mut().unwrap().next().await.unwrap().unwrap()
        };
        tokio::time::timeout(PATIENCE, next).await.unwrap()
    }
}

pub(crate) fn prefix(key: &'static str, end: &'static str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key.into(), range_end: end.into(), ..Default::default() }
}

/// `id: key@revision …`
fn said(response: &pb::WatchResponse) -> String {
    let words = response.events.iter().map(|event| {
        let kv = event.kv.as_ref().unwrap();
        format!(" {}@{}", String::from_utf8_lossy(&kv.key), kv.mod_revision)
    });
    format!("{}:{}", response.watch_id, words.collect::<String>())
}

async fn start() -> (tempfile::TempDir, Server, Channel) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--watch-progress-notify-interval=200ms"]);
    let channel = server.channel().await;
    (dir, server, channel)
}

#[tokio::test]
async fn one_stream_carries_many_watches() {
    let (_dir, _server, channel) = start().await;
    for at in 0..3 {
        put(&channel, &format!("a{at}"), "1").await; // 2 3 4
    }
    let mut watches = Watches::open(&channel);
    watches.create(pb::WatchCreateRequest { start_revision: 3, ..prefix("a", "b") });
    let created = watches.next().await;
    assert!(created.created && created.watch_id == 0);
    assert_eq!(said(&watches.next().await), "0: a1@3 a2@4");
    watches.create(pb::WatchCreateRequest { watch_id: 7, prev_kv: true, ..prefix("a0", "") });
    assert_eq!(watches.next().await.watch_id, 7);
    watches.create(pb::WatchCreateRequest { watch_id: 7, ..prefix("b", "") });
    let refused = watches.next().await;
    assert!(refused.canceled && refused.created && refused.watch_id == -1);
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");
    watches.create(prefix("b", "a"));
    assert_eq!(watches.next().await.cancel_reason, "mvcc: watcher range is empty");
    // Filters: a watch for deletions only says nothing of puts.
    watches.create(pb::WatchCreateRequest { filters: vec![0], ..prefix("a", "b") });
    assert_eq!(watches.next().await.watch_id, 1);
    put(&channel, "a0", "2").await; // 5
    let mut both = [watches.next().await, watches.next().await];
    both.sort_by_key(|response| response.watch_id);
    assert_eq!(both.each_ref().map(said), ["0: a0@5", "7: a0@5"]);
    assert!(both[0].events[0].prev_kv.is_none());
    assert_eq!(both[1].events[0].prev_kv.as_ref().unwrap().value, "1");
    // Progress for all: only behind everything that was sent.
    watches.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
    let progress = watches.next().await;
    assert_eq!((progress.watch_id, progress.header.unwrap().revision, progress.events.len()), (-1, 5, 0));
    watches.ask(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 7 }));
    let cancelled = watches.next().await;
    assert!(cancelled.canceled && cancelled.watch_id == 7 && cancelled.compact_revision == 0);
    // The next free ID.
    watches.create(pb::WatchCreateRequest { progress_notify: true, ..prefix("z", "") });
    assert_eq!(watches.next().await.watch_id, 2);
    let idle = watches.next().await;
    assert_eq!((idle.watch_id, idle.header.unwrap().revision, idle.events.len()), (2, 5, 0));
}

#[tokio::test]
async fn progress_never_runs_ahead_of_events() {
    let (_dir, _server, channel) = start().await;
    let mut watches = Watches::open(&channel);
    for _ in 0..20 {
        watches.create(prefix("k", "l"));
        assert!(watches.next().await.created);
    }
    let writer = channel.clone();
    let writes = tokio::spawn(async move {
        for at in 0..200 {
            put(&writer, &format!("k{}", at % 7), "v").await;
        }
    });
    let mut seen = vec![1; 20];
    let mut told = 0;
    while told < 201 {
        watches.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
        loop {
            let response = watches.next().await;
            if response.watch_id == -1 {
                told = response.header.unwrap().revision;
                assert!(seen.iter().all(|seen| *seen == told), "progress {told}, seen {seen:?}");
                break;
            }
            for event in response.events {
                let revision = event.kv.unwrap().mod_revision;
                let seen = &mut seen[usize::try_from(response.watch_id).unwrap()];
                assert_eq!(revision, *seen + 1, "each revision, in order");
                *seen = revision;
            }
        }
    }
    writes.await.unwrap();
}

#[tokio::test]
async fn a_compacted_watch_is_cancelled() {
    let (_dir, _server, channel) = start().await;
    for at in 0..5 {
        put(&channel, "k", &at.to_string()).await; // 2 to 6
    }
    let request = pb::CompactionRequest { revision: 5, physical: true };
    KvClient::new(channel.clone()).compact(request).await.unwrap();
    let mut watches = Watches::open(&channel);
    watches.create(pb::WatchCreateRequest { start_revision: 4, ..prefix("k", "") });
    assert!(watches.next().await.created);
    let cancelled = watches.next().await;
    assert!(cancelled.canceled && cancelled.compact_revision == 5, "{cancelled:?}");
    watches.create(pb::WatchCreateRequest { start_revision: 5, ..prefix("k", "") });
    assert!(watches.next().await.created);
    assert_eq!(said(&watches.next().await), "1: k@5 k@6");
}

#[tokio::test]
async fn large_revisions_come_in_fragments() {
    let (_dir, _server, channel) = start().await;
    let put = |key: String| pb::RequestOp {
        request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
            key: key.into(),
            value: vec![b'v'; 100_000].into(),
            ..Default::default()
        })),
    };
    let mut watches = Watches::open(&channel);
    watches.create(pb::WatchCreateRequest { fragment: true, prev_kv: true, ..prefix("k", "l") });
    assert!(watches.next().await.created);
    for _ in 0..2 {
        let success = (0..14).map(|at| put(format!("k{at}"))).collect();
        KvClient::new(channel.clone()).txn(pb::TxnRequest { success, ..Default::default() }).await.unwrap();
    }
    let first = watches.next().await;
    assert_eq!((first.events.len(), first.fragment), (14, false));
    let mut sizes = Vec::new();
    loop {
        let piece = watches.next().await;
        sizes.push(piece.events.len());
        if !piece.fragment {
            break;
        }
    }
    assert!(sizes.len() > 1 && sizes.iter().sum::<usize>() == 14, "{sizes:?}");
}

#[tokio::test]
async fn locks_pass_on_in_order() {
    let (_dir, _server, channel) = start().await;
    let mut lock = LockClient::new(channel.clone());
    let first = lock.lock(LockRequest { name: "l".into(), lease: 0 }).await.unwrap().into_inner();
    let waiting = |lease| {
        let mut lock = LockClient::new(channel.clone());
        tokio::spawn(async move { lock.lock(LockRequest { name: "l".into(), lease }).await })
    };
    let grant = |id| pb::LeaseGrantRequest { ttl: 60, id };
    let mut leases = LeaseClient::new(channel.clone());
    leases.lease_grant(grant(11)).await.unwrap();
    leases.lease_grant(grant(12)).await.unwrap();
    let (second, third) = (waiting(11), waiting(12));
    let queue = async |count: i64| {
        let request = pb::RangeRequest { key: "l/".into(), range_end: "l0".into(), ..Default::default() };
        while KvClient::new(channel.clone()).range(request.clone()).await.unwrap().into_inner().count != count {}
    };
    tokio::time::timeout(PATIENCE, queue(3)).await.unwrap();
    assert!(!second.is_finished() && !third.is_finished());
    // Whoever goes away while waiting leaves the queue.
    third.abort();
    tokio::time::timeout(PATIENCE, queue(2)).await.unwrap();
    lock.unlock(UnlockRequest { key: first.key }).await.unwrap();
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap().unwrap().into_inner();
    assert_eq!(second.key, "l/b");
    let missing = lock.lock(LockRequest { name: "m".into(), lease: 999 }).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (Code::NotFound, "etcdserver: requested lease not found"));
}

#[tokio::test]
async fn elections_have_one_leader_at_a_time() {
    let (_dir, _server, channel) = start().await;
    let mut client = ElectionClient::new(channel.clone());
    let ask = || election::LeaderRequest { name: "e".into() };
    assert_eq!(client.leader(ask()).await.unwrap_err().message(), "election: no leader");
    let mut observed = client.observe(ask()).await.unwrap().into_inner();
    let mut next = async || {
        let said = tokio::time::timeout(PATIENCE, observed.next()).await.unwrap().unwrap().unwrap();
        said.kv.unwrap().value
    };
    let campaign = |value: &'static str| {
        let mut client = ElectionClient::new(channel.clone());
        let request = election::CampaignRequest { name: "e".into(), lease: 0, value: value.into() };
        tokio::spawn(async move { client.campaign(request).await.unwrap().into_inner().leader.unwrap() })
    };
    let first = campaign("one").await.unwrap();
    assert_eq!(next().await, "one");
    let second = campaign("two");
    let proclaim = |leader: &election::LeaderKey| election::ProclaimRequest {
        leader: Some(leader.clone()),
        value: "one again".into(),
    };
    client.proclaim(proclaim(&first)).await.unwrap();
    assert_eq!(next().await, "one again");
    assert_eq!(client.leader(ask()).await.unwrap().into_inner().kv.unwrap().value, "one again");
    client.resign(election::ResignRequest { leader: Some(first.clone()) }).await.unwrap();
    let second = tokio::time::timeout(PATIENCE, second).await.unwrap().unwrap();
    assert_eq!(next().await, "two");
    assert!(second.rev > first.rev);
    assert_eq!(client.proclaim(proclaim(&first)).await.unwrap_err().message(), "election: not leader");
    let missing = client.resign(election::ResignRequest { leader: None }).await.unwrap_err();
    assert_eq!(missing.message(), "\"leader\" field must be provided");
}

#[tokio::test]
async fn leases_are_kept_alive_on_a_stream() {
    let (_dir, _server, channel) = start().await;
    let mut leases = LeaseClient::new(channel.clone());
    leases.lease_grant(pb::LeaseGrantRequest { ttl: 60, id: 5 }).await.unwrap();
    let requests = [5, 6, 5].map(|id| pb::LeaseKeepAliveRequest { id });
    let answers = leases.lease_keep_alive(futures::stream::iter(requests)).await.unwrap().into_inner();
    let told: Vec<_> = answers.map(|answer| answer.unwrap()).map(|answer| (answer.id, answer.ttl)).collect().await;
    assert_eq!(told, [(5, 60), (6, 0), (5, 60)]);
    let unknown = pb::LeaseTimeToLiveRequest { id: 6, keys: true };
    assert_eq!(leases.lease_time_to_live(unknown).await.unwrap().into_inner().ttl, -1);
    let listed = leases.lease_leases(pb::LeaseLeasesRequest {}).await.unwrap().into_inner();
    assert_eq!(listed.leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn health_and_what_is_not_served() {
    let (_dir, server, channel) = start().await;
    let mut health = HealthClient::new(channel.clone());
    let ask = |service: &str| HealthCheckRequest { service: service.into() };
    assert_eq!(health.check(ask("")).await.unwrap().into_inner().status, 1);
    assert_eq!(health.check(ask("other")).await.unwrap_err().code(), Code::NotFound);
    let mut grpc = tonic::client::Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/etcdserverpb.Auth/AuthEnable");
    let codec = tonic_prost::ProstCodec::<pb::StatusRequest, pb::StatusResponse>::default();
    let refused = grpc.unary(tonic::Request::new(pb::StatusRequest {}), path, codec).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    assert!(refused.message().contains("users and roles are not supported"), "{refused}");

    let version = r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}"#;
    assert_eq!(server.http("GET", "/version").await, (200, version.to_owned()));
    assert!(server.http("GET", "/metrics").await.1.contains("\netcd_server_has_leader 1\n"));
    assert_eq!(server.http("GET", "/elsewhere").await.0, 404);
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_nothing() {
    let (_dir, _server, channel) = start().await;
    let mut watches = Watches::open(&channel);
    watches.create(prefix("k", "l"));
    assert!(watches.next().await.created);
    // More than the connection's windows take, while nobody reads.
    let value = "v".repeat(1 << 20);
    for at in 0..12 {
        put(&channel, &format!("k{at}"), &value).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 12 {
        let response = watches.next().await;
        assert!(response.events.len() <= 1, "a response is not made longer than is comfortable");
        seen.extend(response.events.into_iter().map(|event| event.kv.unwrap().mod_revision));
    }
    assert_eq!(seen, (2..=13).collect::<Vec<_>>());
}
