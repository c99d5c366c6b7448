//! Backups: saved of a running store, checked, made a new cluster of one member and of three, which goes on from there; and
//! every damage refused. An etcd's keys and leases taken over, with its HashKV.

use std::path::Path;
use std::process::Command;

use futures::StreamExt;
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::etcdserverpb::watch_client::WatchClient;
use store::testing::etcd::{self, Etcd};
use store::testing::free_ports;
use tonic::transport::{Channel, Endpoint};

use super::members::eventually;
use super::server::Server;

/// Runs a tool of `mkube-store`; what it printed, or its error.
fn tool(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO_BIN_EXE_mkube-store")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

pub(crate) async fn to(url: &str) -> Channel {
    eventually("a connection", async || Endpoint::from_shared(url.to_owned()).unwrap().connect().await.ok()).await
}

async fn put(channel: &Channel, key: &str, value: &str, lease: i64) -> i64 {
    let request =
        pb::PutRequest { key: key.to_owned().into(), value: value.to_owned().into(), lease, ..Default::default() };
    KvClient::new(channel.clone()).put(request).await.unwrap().into_inner().header.unwrap().revision
}

/// Keys with history, a transaction with several writes and a deletion among them, leases. Returns the revision.
async fn fill(channel: &Channel) -> i64 {
    LeaseClient::new(channel.clone()).lease_grant(pb::LeaseGrantRequest { id: 77, ttl: 1000 }).await.unwrap();
    LeaseClient::new(channel.clone()).lease_grant(pb::LeaseGrantRequest { id: 78, ttl: 2000 }).await.unwrap();
    for number in 0..40 {
        put(channel, &format!("key/{}", number % 13), &"x".repeat(number * 97), if number % 5 == 0 { 77 } else { 0 })
            .await;
    }
    let mut kv = KvClient::new(channel.clone());
    kv.compact(pb::CompactionRequest { revision: 20, physical: true }).await.unwrap();
    let put = |key: &'static str| {
        pb::request_op::Request::RequestPut(pb::PutRequest { key: key.into(), value: "t".into(), ..Default::default() })
    };
    let delete = pb::request_op::Request::RequestDeleteRange(pb::DeleteRangeRequest {
        key: "key/3".into(),
        ..Default::default()
    });
    let success = [put("txn/b"), delete, put("txn/a")].map(|request| pb::RequestOp { request: Some(request) });
    let txn = pb::TxnRequest { success: success.into(), ..Default::default() };
    kv.txn(txn).await.unwrap().into_inner().header.unwrap().revision
}

/// (hash, revision, compact revision).
async fn hash(channel: &Channel, revision: i64) -> (u32, i64, i64) {
    let found =
        MaintenanceClient::new(channel.clone()).hash_kv(pb::HashKvRequest { revision }).await.unwrap().into_inner();
    (found.hash, found.header.unwrap().revision, found.compact_revision)
}

async fn cluster_id(channel: &Channel) -> u64 {
    let status = MaintenanceClient::new(channel.clone()).status(pb::StatusRequest {}).await.unwrap().into_inner();
    status.header.unwrap().cluster_id
}

async fn leases(channel: &Channel) -> Vec<(i64, usize)> {
    let mut client = LeaseClient::new(channel.clone());
    let all = client.lease_leases(pb::LeaseLeasesRequest {}).await.unwrap().into_inner().leases;
    let mut found = Vec::new();
    for lease in all {
        let request = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
        let answer = client.lease_time_to_live(request).await.unwrap().into_inner();
        found.push((answer.granted_ttl, answer.keys.len()));
    }
    found.sort_unstable();
    found
}

fn path(dir: &Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

fn etcdctl(endpoint: &str, words: &[&str]) -> String {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints={endpoint}")).args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_backup_becomes_a_new_cluster_with_the_same_hash() {
    let dir = tempfile::tempdir().unwrap();
    let [old, one, bumped] = ["old", "one", "bumped"].map(|name| dir.path().join(name));
    [&old, &one, &bumped].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let server = Server::start(&old, &[]);
    let channel = server.channel().await;
    let revision = fill(&channel).await;
    let (expected, before, compacted) = hash(&channel, 0).await;
    assert_eq!((before, compacted), (revision, 20));

    // Both ways to save give the same.
    let file = path(dir.path(), "backup");
    let other = path(dir.path(), "other");
    assert_eq!(
        tool(&["snapshot", "save", &file, "--endpoints", &server.url()]),
        Ok(format!("Snapshot saved at {file}\n"))
    );
    if etcd::is_installed() {
        etcdctl(&server.endpoint(), &["snapshot", "save", &other]);
        assert_eq!(std::fs::read(&file).unwrap(), std::fs::read(&other).unwrap());
    } else {
        eprintln!("SKIPPED: etcdctl snapshot save: no etcdctl");
    }
    let size = std::fs::metadata(&file).unwrap().len() - 32;
    assert_eq!(
        tool(&["snapshot", "status", &file, "-w", "json"]),
        Ok(format!("{{\"hash\":{expected},\"revision\":{revision},\"totalKey\":14,\"totalSize\":{size}}}\n"))
    );
    let lasting = leases(&channel).await;
    let old_cluster = cluster_id(&channel).await;
    drop(server);

    let said = tool(&["snapshot", "restore", &file, "--data-dir", &path(&one, "data")]).unwrap();
    assert!(said.starts_with("Restored 14 keys at revision"), "{said}");
    let mut server = Server::start(&one, &[]);
    let channel = server.channel().await;
    assert_eq!(hash(&channel, revision).await, (expected, revision, 20));
    assert_ne!(cluster_id(&channel).await, old_cluster);
    assert_eq!(leases(&channel).await, lasting);
    assert_eq!(put(&channel, "after", "", 78).await, revision + 1);
    server.run();
    let channel = server.channel().await;
    assert_eq!(hash(&channel, revision).await, (expected, revision + 1, 20));
    // Into a directory that is used: refused, and it stays as it is.
    let refused = tool(&["snapshot", "restore", &file, "--data-dir", &path(&one, "data")]).unwrap_err();
    assert!(refused.contains("not empty"), "{refused}");
    drop(server);

    let half = tool(&["snapshot", "restore", &file, "--bump-revision=1000"]).unwrap_err();
    assert!(half.contains("--mark-compacted required"), "{half}");
    let data = path(&bumped, "data");
    tool(&["snapshot", "restore", &file, "--data-dir", &data, "--bump-revision=1000", "--mark-compacted"]).unwrap();
    let server = Server::start(&bumped, &[]);
    let channel = server.channel().await;
    let (_, now, compacted) = hash(&channel, 0).await;
    assert_eq!((now, compacted), (revision + 1000, revision + 1000));
    assert_eq!(put(&channel, "after", "", 0).await, revision + 1001);
    let create = pb::WatchCreateRequest { key: "k".into(), start_revision: revision, ..Default::default() };
    let request = pb::WatchRequest { request_union: Some(pb::watch_request::RequestUnion::CreateRequest(create)) };
    let requests = futures::stream::iter([request]).chain(futures::stream::pending());
    let mut answers = WatchClient::new(channel.clone()).watch(requests).await.unwrap().into_inner();
    let ended = loop {
        let answer = answers.next().await.unwrap().unwrap();
        if answer.canceled {
            break answer;
        }
    };
    assert_eq!(ended.compact_revision, revision + 1000);
}

#[tokio::test]
async fn three_members_restored_from_one_backup_go_on_together() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old");
    std::fs::create_dir(&old).unwrap();
    let server = Server::start(&old, &[]);
    let revision = fill(&server.channel().await).await;
    let (expected, ..) = hash(&server.channel().await, 0).await;
    let file = path(dir.path(), "backup");
    tool(&["snapshot", "save", &file, "--endpoints", &server.url()]).unwrap();
    drop(server);

    let ports = free_ports(3);
    let names = ["a", "b", "c"];
    let all: Vec<String> =
        names.iter().zip(&ports).map(|(name, port)| format!("{name}=http://127.0.0.1:{port}")).collect();
    let all = format!("--initial-cluster={}", all.join(","));
    let mut servers = Vec::new();
    for (name, port) in names.into_iter().zip(ports) {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let (data, me) = (path(&dir, "data"), format!("--name={name}"));
        let url = format!("--initial-advertise-peer-urls=http://127.0.0.1:{port}");
        tool(&["snapshot", "restore", &file, "--data-dir", &data, &me, &all, &url]).unwrap();
        servers.push(Server::start_as(&dir, port, &[&me, &all]));
    }
    let write = async || {
        let request = pb::PutRequest { key: "after".into(), ..Default::default() };
        KvClient::new(servers[0].channel().await).put(request).await.ok()
    };
    let answer = eventually("a write", write).await.into_inner();
    // An attempt that timed out may have happened all the same.
    assert!(answer.header.unwrap().revision > revision);
    let mut clusters = Vec::new();
    for server in &servers {
        let channel = server.channel().await;
        let caught_up = async || {
            let found = hash(&channel, 0).await;
            (found.1 > revision).then_some(())
        };
        eventually("the write here", caught_up).await;
        assert_eq!(hash(&channel, revision).await.0, expected);
        clusters.push(cluster_id(&channel).await);
    }
    assert!(clusters.iter().all(|id| *id == clusters[0]));
}

#[tokio::test]
async fn damaged_backups_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    fill(&server.channel().await).await;
    let file = path(dir.path(), "backup");
    tool(&["snapshot", "save", &file, "--endpoints", &server.url()]).unwrap();
    let good = std::fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        bytes
    };
    let (end, blocks) = (good.len(), (good.len() - 32) / 512);
    assert!(blocks > 8);
    let mut cases: Vec<(String, Vec<u8>, &str)> = vec![
        ("empty".into(), Vec::new(), "the file is empty"),
        ("text".into(), b"not a snapshot".to_vec(), "snapshot missing hash"),
        ("another's".into(), with_tail(vec![7; 1024]), "not a snapshot of this store"),
        ("of nothing".into(), with_tail(good[..32].to_vec()), "is not complete"),
        ("cut short, with a tail".into(), with_tail(good[..512 * (blocks / 2)].to_vec()), "damaged at byte"),
        ("without its tail".into(), good[..end - 32].to_vec(), "snapshot missing hash"),
        ("cut by a byte".into(), good[..end - 1].to_vec(), "snapshot missing hash"),
        ("cut by a block".into(), good[..end - 512].to_vec(), "expected sha256"),
        ("longer by a block".into(), [&good[..], &[0; 512]].concat(), "expected sha256"),
        ("tail".into(), flipped(end - 1), "expected sha256"),
    ];
    cases.extend(
        [0, 9, 33, 200, end / 2, end - 40].map(|at| (format!("a bit at {at}"), flipped(at), "expected sha256")),
    );
    let bad = path(dir.path(), "bad");
    let into = path(dir.path(), "restored");
    for (what, bytes, said) in cases {
        std::fs::write(&bad, bytes).unwrap();
        for arguments in [["snapshot", "status", &bad].as_slice(), &["snapshot", "restore", &bad, "--data-dir", &into]]
        {
            let refused = tool(arguments).expect_err(&what);
            assert!(refused.contains(said), "{what}: {refused}");
            assert!(!Path::new(&into).exists(), "{what}");
        }
    }
    // Without the checksum, the frames have theirs.
    let unchecked = |bytes: Vec<u8>| {
        std::fs::write(&bad, bytes).unwrap();
        tool(&["snapshot", "restore", &bad, "--data-dir", &into, "--skip-hash-check"])
    };
    assert!(unchecked(flipped(200)).unwrap_err().contains("damaged at byte"));
    assert!(!Path::new(&into).exists());
    unchecked(good[..end - 32].to_vec()).unwrap();
}

/// A file with a right checksum, whatever is in it.
fn with_tail(mut bytes: Vec<u8>) -> Vec<u8> {
    use sha2::Digest as _;
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    let digest = sha2::Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    bytes
}

#[tokio::test]
async fn an_etcds_keys_and_leases_are_taken_over_with_their_hash() {
    if !etcd::is_installed() {
        eprintln!("SKIPPED: import from an etcd: there is none in the PATH");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [live, filed, bad] = ["live", "filed", "bad"].map(|name| dir.path().join(name));
    [&live, &filed].into_iter().for_each(|dir| std::fs::create_dir(dir).unwrap());
    let source = Etcd::start(dir.path()).unwrap();
    let channel = to(source.url()).await;
    let revision = fill(&channel).await;
    // Many more, so that the tree has branches, and a value longer than a page.
    for number in 0..600 {
        put(&channel, &format!("many/{number:04}"), &"y".repeat(number % 300), 0).await;
    }
    let last = put(&channel, "long", &"z".repeat(50_000), 77).await;
    assert_eq!(last, revision + 601);
    let data = path(&live, "data");
    let said = tool(&["import", "--endpoints", source.url(), "--data-dir", &data]).unwrap();
    assert!(said.starts_with("Imported 615 keys and 2 leases of"), "{said}");
    let file = path(dir.path(), "etcd.db");
    etcdctl(source.url(), &["snapshot", "save", &file]);
    tool(&["import", "--from-file", &file, "--data-dir", &path(&filed, "data")]).unwrap();

    let compact = pb::CompactionRequest { revision: last, physical: true };
    KvClient::new(channel.clone()).compact(compact).await.unwrap();
    // etcd 3.4 tells the hash at its compact revision only as that of now.
    let theirs = hash(&channel, 0).await;
    assert_eq!((theirs.1, theirs.2), (last, last));
    for dir in [live, filed] {
        let server = Server::start(&dir, &[]);
        let ours = server.channel().await;
        assert_eq!(hash(&ours, last).await, theirs);
        assert!(said.contains(&format!("compact revision {last}: {}", theirs.0)), "{said}");
        assert_eq!(leases(&ours).await, leases(&channel).await);
        let all = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
        let found =
            async |channel: &Channel| KvClient::new(channel.clone()).range(all.clone()).await.unwrap().into_inner().kvs;
        assert_eq!(found(&ours).await, found(&channel).await);
        assert_eq!(put(&ours, "after", "", 77).await, last + 1);
    }
    // What is compacted already has a hash to compare, too.
    let again = dir.path().join("again").display().to_string();
    let said = tool(&["import", "--endpoints", source.url(), "--data-dir", &again]).unwrap();
    assert!(said.contains(&format!("(HashKV {} as there)", theirs.0)), "{said}");
    refuses_damaged_databases(&file, dir.path(), &bad);
}

fn refuses_damaged_databases(file: &str, dir: &Path, bad: &Path) {
    let refused = tool(&["snapshot", "restore", file, "--data-dir", &bad.display().to_string()]).unwrap_err();
    assert!(refused.contains("import --from-file"), "{refused}");
    let good = std::fs::read(file).unwrap();
    let broken = path(dir, "broken.db");
    let into = bad.display().to_string();
    let import = |bytes: &[u8], unchecked: bool| {
        std::fs::write(&broken, bytes).unwrap();
        let mut arguments = vec!["import", "--from-file", &broken, "--data-dir", &into];
        arguments.extend(unchecked.then_some("--skip-hash-check"));
        tool(&arguments).inspect(|_| std::fs::remove_dir_all(&into).unwrap())
    };
    for (at, step) in [(100, 1), (4096, 2), (good.len() / 2, 4), (good.len() - 1, 8)] {
        let mut bytes = good.clone();
        bytes[at] ^= step;
        assert!(import(&bytes, false).unwrap_err().contains("expected sha256"));
    }
    // Unchecked, whatever stands in the pages: an answer, and never a panic.
    let mut answers = [0, 0];
    for round in 0..40_usize {
        let mut bytes = good.clone();
        let at = (round * 7919 * 13) % bytes.len();
        bytes[at..].iter_mut().take(16).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(round as u8));
        match import(&bytes, true) {
            Ok(_) => answers[0] += 1,
            Err(said) => {
                assert!(!said.contains("panicked") && said.contains("broken.db"), "{said}");
                answers[1] += 1;
            }
        }
    }
    assert_eq!(answers[0] + answers[1], 40);
    assert!(import(&good[..good.len() / 3], true).is_err());
}
