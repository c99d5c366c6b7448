//! The calls of a Kubernetes API server (apiserver/pkg/storage/etcd3): creations, updates and deletions on a revision, pages
//! at a revision, watches with what was before, the compactor's transaction, leases of events, health.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::etcdserverpb::request_op::Request;
use proto::etcd::etcdserverpb::response_op::Response;
use proto::etcd::etcdserverpb::watch_request::RequestUnion;
use store::testing::etcd::{self, Etcd};
use tonic::transport::{Channel, Endpoint};

use super::calls::{Watches, prefix};
use super::server::Server;

struct Client {
    kv: KvClient<Channel>,
    channel: Channel,
}

fn op(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn get(key: &str) -> Request {
    Request::RequestRange(pb::RangeRequest { key: key.to_owned().into(), ..Default::default() })
}

fn put(key: &str, value: &str, lease: i64) -> Request {
    let (key, value) = (key.to_owned().into(), value.to_owned().into());
    Request::RequestPut(pb::PutRequest { key, value, lease, ..Default::default() })
}

impl Client {
    /// If the key was last written by `revision` (0: is not there), does `then`, otherwise reads it.
    async fn on_revision(&mut self, key: &str, revision: i64, then: Request) -> pb::TxnResponse {
        let unchanged = pb::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key.to_owned().into(),
            target_union: Some(TargetUnion::ModRevision(revision)),
            ..Default::default()
        };
        let txn = pb::TxnRequest { compare: vec![unchanged], success: vec![op(then)], failure: vec![op(get(key))] };
        self.kv.txn(txn).await.unwrap().into_inner()
    }

    /// Keys with their revisions, whether there is more, and the revision of the answer.
    async fn page(&mut self, from: &str, limit: i64, revision: i64) -> (String, bool, i64, i64) {
        let (key, range_end) = (from.to_owned().into(), "/registry/pods0".into());
        let request = pb::RangeRequest { key, range_end, limit, revision, ..Default::default() };
        let page = self.kv.range(request).await.unwrap().into_inner();
        let words = page.kvs.iter().map(|kv| format!("{}@{}", String::from_utf8_lossy(&kv.key[15..]), kv.mod_revision));
        (words.collect::<Vec<_>>().join(" "), page.more, page.count, page.header.unwrap().revision)
    }
}

fn found(response: &pb::TxnResponse) -> String {
    match response.responses[0].response.as_ref().unwrap() {
        Response::ResponseRange(range) => {
            range.kvs.iter().map(|kv| format!("{}@{}", String::from_utf8_lossy(&kv.value), kv.mod_revision)).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn suite(url: &str, ours: bool) {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    let deadline = std::time::Instant::now() + super::server::PATIENCE;
    let channel = loop {
        match endpoint.connect().await {
            Ok(channel) => break channel,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
        }
    };
    let mut client = Client { kv: KvClient::new(channel.clone()), channel };
    objects(&mut client).await;
    lists_and_watches(&mut client).await;
    compaction(&mut client).await;
    leases_of_events(&mut client).await;
    let status =
        MaintenanceClient::new(client.channel.clone()).status(pb::StatusRequest {}).await.unwrap().into_inner();
    assert!(status.db_size > 0 && status.leader != 0);
    if ours {
        let parts: Vec<u32> = status.version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts[..2] == [3, 5] && parts[2] >= 13, "{}: API servers would not ask for progress", status.version);
    }
    // Upstream's health check.
    let health = client.kv.range(pb::RangeRequest { key: "health".into(), ..Default::default() }).await.unwrap();
    assert_eq!(health.into_inner().count, 0);
}

async fn objects(client: &mut Client) {
    let key = "/registry/pods/a";
    let created = client.on_revision(key, 0, put(key, "one", 0)).await;
    assert!(created.succeeded);
    assert_eq!(created.header.unwrap().revision, 2);
    let again = client.on_revision(key, 0, put(key, "two", 0)).await;
    assert!(!again.succeeded, "it exists");
    assert_eq!(found(&again), "one@2");
    assert_eq!(again.header.unwrap().revision, 2, "nothing was written");
    assert!(client.on_revision(key, 2, put(key, "two", 0)).await.succeeded); // 3
    let conflict = client.on_revision(key, 2, put(key, "three", 0)).await;
    assert_eq!((conflict.succeeded, found(&conflict).as_str()), (false, "two@3"));
    let delete =
        || Request::RequestDeleteRange(pb::DeleteRangeRequest { key: key.into(), prev_kv: true, ..Default::default() });
    assert_eq!(found(&client.on_revision(key, 2, delete()).await), "two@3");
    let deleted = client.on_revision(key, 3, delete()).await; // 4
    match deleted.responses[0].response.as_ref().unwrap() {
        Response::ResponseDeleteRange(range) => {
            assert_eq!((range.deleted, range.prev_kvs[0].value.as_ref()), (1, b"two".as_ref()))
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(found(&client.on_revision(key, 3, delete()).await), "", "gone");
}

async fn lists_and_watches(client: &mut Client) {
    let first = "/registry/pods/";
    for name in ["a", "b", "c", "d"] {
        let key = format!("{first}{name}");
        client.on_revision(&key, 0, put(&key, "v", 0)).await; // 5 to 8
    }
    assert_eq!(client.page(first, 2, 0).await, ("a@5 b@6".into(), true, 4, 8));
    client.on_revision("/registry/pods/c", 7, put("/registry/pods/c", "w", 0)).await; // 9
    assert_eq!(client.page("/registry/pods/b\0", 2, 8).await, ("c@7 d@8".into(), false, 2, 9), "as of the first page");

    let mut watches = Watches::open(&client.channel);
    watches.create(pb::WatchCreateRequest {
        start_revision: 7,
        prev_kv: true,
        ..prefix("/registry/pods/", "/registry/pods0")
    });
    assert!(watches.next().await.created);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        for event in watches.next().await.events {
            let kv = event.kv.unwrap();
            seen.push((kv.mod_revision, event.prev_kv.map(|prev| prev.mod_revision)));
        }
    }
    assert_eq!(seen, [(7, None), (8, None), (9, Some(7))]);
    // The watch cache asks, and takes what is said for all it has to know.
    watches.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {}));
    let progress = watches.next().await;
    assert_eq!((progress.events.len(), progress.header.unwrap().revision), (0, 9));
}

async fn compaction(client: &mut Client) {
    // Only one of several API servers compacts (etcd3/compact.go).
    let compare = |version| pb::Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Version.into(),
        key: "compact_rev_key".into(),
        target_union: Some(TargetUnion::Version(version)),
        ..Default::default()
    };
    let txn = |version| pb::TxnRequest {
        compare: vec![compare(version)],
        success: vec![op(put("compact_rev_key", "8", 0))],
        failure: vec![op(get("compact_rev_key"))],
    };
    assert!(client.kv.txn(txn(0)).await.unwrap().into_inner().succeeded); // 10
    let late = client.kv.txn(txn(0)).await.unwrap().into_inner();
    assert_eq!(found(&late), "8@10");
    client.kv.compact(pb::CompactionRequest { revision: 8, physical: false }).await.unwrap();
    let old = pb::RangeRequest { key: "/registry/pods/c".into(), revision: 7, ..Default::default() };
    let refused = client.kv.range(old.clone()).await.unwrap_err();
    assert_eq!(refused.message(), "etcdserver: mvcc: required revision has been compacted");
    let future = client.kv.range(pb::RangeRequest { revision: 99, ..old }).await.unwrap_err();
    assert_eq!(future.message(), "etcdserver: mvcc: required revision is a future revision");
    assert_eq!(client.page("/registry/pods/", 0, 8).await.0, "a@5 b@6 c@7 d@8");
}

async fn leases_of_events(client: &mut Client) {
    let grant = pb::LeaseGrantRequest { ttl: 2, id: 0 };
    let mut leases = LeaseClient::new(client.channel.clone());
    let lease = leases.lease_grant(grant).await.unwrap().into_inner().id;
    let mut watches = Watches::open(&client.channel);
    watches.create(pb::WatchCreateRequest { prev_kv: true, ..prefix("/registry/events/", "/registry/events0") });
    assert!(watches.next().await.created);
    for name in ["x", "y"] {
        let key = format!("/registry/events/{name}");
        assert!(client.on_revision(&key, 0, put(&key, "e", lease)).await.succeeded);
    }
    let mut gone = Vec::new();
    while gone.len() < 2 {
        for event in watches.next().await.events.into_iter().filter(|event| event.r#type == 1) {
            gone.push((event.kv.unwrap().key, event.prev_kv.unwrap().lease == lease));
        }
    }
    assert_eq!(gone, [("/registry/events/x".into(), true), ("/registry/events/y".into(), true)]);
}

#[tokio::test]
async fn an_api_server_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    suite(&server.url(), true).await;
}

#[tokio::test]
async fn a_real_etcd_passes_the_same() {
    if !etcd::is_installed() {
        eprintln!("SKIPPED a_real_etcd_passes_the_same: no etcd in the PATH (Debian: etcd-server)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Etcd::start(dir.path()).unwrap();
    suite(server.url(), false).await;
}
