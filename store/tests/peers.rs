//! What a member lets other members do, over its real door: strangers, the removed and the forgetful are refused whatever they
//! call; snapshots that are not whole leave nothing behind; nonsense costs nobody anything.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use proto::peer::parcel::Body;
use proto::peer::peer_client::PeerClient;
use proto::peer::{ClusterRequest, Forward, HashRequest, Hello, Parcel, Refusal, SnapshotPart};
use proto::raft::{self, message};
use store::testing::{free_ports, put};
use store::{Cluster, Kv, Options, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

/// A member that is alone but for a learner 2 that never comes and a learner 3 that was removed; and a way to its door.
struct Member {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    context: base::Context,
    door: String,
    client: PeerClient<Channel>,
    learner: u64,
    removed: u64,
}

impl Member {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let door = format!("127.0.0.1:{}", free_ports(1)[0]);
        let url = format!("http://{door}");
        let options = Options { cluster: Some(Cluster::new("a", &url)), ..Options::new(dir.path()) };
        let context = base::Context::new();
        let store = Store::open_member(options, &context).await.unwrap();
        let removed = store.member_add(vec!["http://127.0.0.1:2".into()], true).await.unwrap().id;
        store.member_remove(removed).await.unwrap();
        let learner = store.member_add(vec!["http://127.0.0.1:1".into()], true).await.unwrap().id;
        put(&*store, "k", "v").await.unwrap();
        let client = PeerClient::new(Endpoint::from_shared(url).unwrap().connect().await.unwrap());
        Self { dir, store, context, door, client, learner, removed }
    }

    fn hello(&self) -> Hello {
        let (cluster, to) = (self.store.cluster_id(), self.store.member_id());
        Hello { cluster, from: self.learner, to, nonce: 77 }
    }

    async fn talk(&self, parcels: Vec<Body>) -> Result<(), Status> {
        let mut said = vec![b'T'];
        parcels.into_iter().for_each(|body| said.extend(frame(body)));
        self.say(&said).await
    }

    /// Says this, and ends; what it is refused for.
    async fn say(&self, said: &[u8]) -> Result<(), Status> {
        let mut stream = tokio::net::TcpStream::connect(&self.door).await?;
        stream.write_all(said).await?;
        stream.shutdown().await?;
        Self::answer(stream).await
    }

    /// What is answered, which is only ever why somebody is refused.
    async fn answer(mut stream: tokio::net::TcpStream) -> Result<(), Status> {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let Some((length, refusal)) = answer.split_first_chunk() else { return Ok(()) };
        assert_eq!(u32::from_be_bytes(*length) as usize, refusal.len());
        let Refusal { code, reason } = Refusal::decode(refusal).unwrap();
        Err(Status::new(Code::from(code), reason))
    }

    async fn install(&self, parts: Vec<SnapshotPart>) -> Result<(), Status> {
        self.client.clone().install(futures::stream::iter(parts)).await.map(drop)
    }

    async fn hash(&self, hello: Option<Hello>, revision: u64) -> Result<u32, Status> {
        let answer = self.client.clone().hash(HashRequest { hello, revision }).await?;
        Ok(answer.into_inner().hash)
    }

    async fn end(self) {
        assert!(put(&*self.store, "still", "serves").await.is_ok());
        assert!(self.context.shutdown(Duration::from_secs(20)).await);
    }
}

/// As it travels (proto/peer.proto).
fn frame(body: Body) -> Vec<u8> {
    let message = Parcel { body: Some(body) }.encode_to_vec();
    [&(message.len() as u32).to_be_bytes(), &*message].concat()
}

fn snapshot(from: u64, index: u64) -> Option<raft::Message> {
    let snapshot = raft::Snapshot { index, term: 1, membership: None };
    Some(raft::Message { from, to: 0, term: 1, body: Some(message::Body::Snapshot(snapshot)) })
}

#[tokio::test]
async fn whoever_is_not_a_member_is_refused_by_all_calls() {
    let member = Member::start().await;
    let good = member.hello();
    let own = member.store.member_id();
    // (what, hello, code, what is said; in this order: the first nonce that is heard counts)
    let table = [
        ("no hello", None, Code::InvalidArgument, "does not say who it is"),
        ("another cluster's", Some(Hello { cluster: 1, ..good }), Code::FailedPrecondition, "belongs to cluster 1"),
        ("for another", Some(Hello { to: 1, ..good }), Code::FailedPrecondition, "this is member"),
        ("myself", Some(Hello { from: own, ..good }), Code::FailedPrecondition, "does not say who it is"),
        ("nobody", Some(Hello { from: 0, ..good }), Code::FailedPrecondition, "does not say who it is"),
        ("without a nonce", Some(Hello { nonce: 0, ..good }), Code::FailedPrecondition, "does not say who it is"),
        ("removed", Some(Hello { from: member.removed, ..good }), Code::PermissionDenied, "permanently removed"),
        ("a member", Some(good), Code::Ok, ""),
        (
            "that member, without its memory",
            Some(Hello { nonce: 78, ..good }),
            Code::FailedPrecondition,
            "lost its data",
        ),
    ];
    for (what, hello, code, said) in table {
        let talk = member.talk(hello.map(Body::Hello).into_iter().collect()).await;
        let hash = member.hash(hello, 0).await.map(drop);
        let part = SnapshotPart { hello, message: snapshot(good.from, 5), ..SnapshotPart::default() };
        let install = member.install(vec![part]).await;
        for (call, result) in [("talk", talk), ("hash", hash), ("install", install)] {
            let (found, text) =
                result.err().map_or((Code::Ok, String::new()), |status| (status.code(), status.message().into()));
            // A snapshot of which nothing follows is refused for that.
            let expected =
                if code == Code::Ok && call == "install" { (Code::Aborted, "as a whole") } else { (code, said) };
            assert!(found == expected.0 && text.contains(expected.1), "{what}, {call}: {found:?} {text}");
        }
    }
    // A stream whose first parcel says something else.
    let raft = Body::Raft(raft::Message::default());
    assert_eq!(member.talk(vec![raft]).await.map_err(|status| status.code()), Err(Code::InvalidArgument));
    // Who goes on talking hears it, too.
    let raft = frame(Body::Raft(raft::Message::default()));
    let going_on = async {
        let mut stream = tokio::net::TcpStream::connect(&member.door).await.unwrap();
        stream.write_all(&[b"T", &*raft].concat()).await.unwrap();
        while stream.try_read(&mut [0; 4]).is_err() {
            stream.write_all(&raft).await.unwrap();
        }
        stream.write_all(&raft.repeat(1000)).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reason = Vec::new();
        stream.read_to_end(&mut reason).await.unwrap();
        Refusal::decode(&*reason).unwrap().reason
    };
    let reason = tokio::time::timeout(Duration::from_secs(20), going_on).await;
    assert_eq!(reason.as_deref(), Ok("the caller does not say who it is"));
    let hello = || frame(Body::Hello(good));
    // (what, what is said after the first byte, what it is refused for; nothing: what is cut short was never said)
    let table = [
        ("nothing", vec![], Some("does not say who it is")),
        ("half a hello", hello()[..9].to_vec(), Some("does not say who it is")),
        ("a hello of a gigabyte", vec![0x40, 0, 0, 0], Some("a message of 1073741824 bytes")),
        (
            "more than a message may have",
            [hello(), vec![0x40, 0, 0, 0]].concat(),
            Some("a message of 1073741824 bytes"),
        ),
        ("no message", [hello(), vec![0, 0, 0, 1, 0xff]].concat(), Some("not a message")),
        ("half a message", [hello(), vec![0, 0, 1, 0, 0xff]].concat(), None),
    ];
    for (what, said, refused) in table {
        let result = member.say(&[b"T", &*said].concat()).await;
        let reason = result.as_ref().map_err(|status| status.message());
        assert_eq!(reason.is_err(), refused.is_some(), "{what}: {reason:?}");
        assert!(reason.err().unwrap_or("").contains(refused.unwrap_or("")), "{what}: {reason:?}");
    }
    member.end().await;
}

#[tokio::test]
async fn snapshots_that_are_not_whole_leave_nothing() {
    let member = Member::start().await;
    let hello = Some(member.hello());
    let first = |message| SnapshotPart { hello, message, ..SnapshotPart::default() };
    let data = |bytes: &[u8]| SnapshotPart { data: bytes.to_vec().into(), ..SnapshotPart::default() };
    let last = |size| SnapshotPart { size, ..SnapshotPart::default() };
    let from = member.learner;
    let heartbeat = raft::Message { from, to: 0, term: 1, body: Some(message::Body::Heartbeat(Default::default())) };
    // (what, parts, code, what is said)
    let table = [
        ("of nothing", vec![first(None)], Code::InvalidArgument, "a snapshot of nothing"),
        ("of another message", vec![first(Some(heartbeat))], Code::InvalidArgument, "a snapshot that is none"),
        ("of another member", vec![first(snapshot(from ^ 1, 5))], Code::InvalidArgument, "a snapshot that is none"),
        ("without its end", vec![first(snapshot(from, 5)), data(b"MKUBESNP")], Code::Aborted, "as a whole"),
        (
            "shorter than it says",
            vec![first(snapshot(from, 5)), data(b"MKUBESNP"), last(9)],
            Code::Aborted,
            "as a whole",
        ),
        (
            "longer than it says",
            vec![first(snapshot(from, 5)), data(b"MKUBESNP"), last(7)],
            Code::Aborted,
            "as a whole",
        ),
        ("of no bytes", vec![first(snapshot(from, 5)), last(0)], Code::Aborted, "as a whole"),
        (
            "of other bytes",
            vec![first(snapshot(from, 5)), data(&[1; 100]), last(100)],
            Code::Aborted,
            "damaged at byte 0",
        ),
        ("a later program's", vec![first(snapshot(from, 5)), data(b"MKUBESNP"), last(8)], Code::Aborted, "cut short"),
    ];
    for (what, parts, code, said) in table {
        let status = member.install(parts).await.unwrap_err();
        assert!(status.code() == code && status.message().contains(said), "{what}: {status}");
        let names = std::fs::read_dir(member.dir.path()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("received-")).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
    member.end().await;
}

/// While it sends, the sender keeps the state as it was: it is told at once that nobody takes the rest.
#[tokio::test]
async fn a_snapshot_that_is_refused_is_not_read_on() {
    let member = Member::start().await;
    let good = member.hello();
    let first = |hello| SnapshotPart { hello: Some(hello), message: snapshot(good.from, 5), ..SnapshotPart::default() };
    // (what, its first part, code)
    let table = [
        ("at its first part", first(Hello { cluster: 1, ..good }), Code::FailedPrecondition),
        ("at its first bytes", first(good), Code::Aborted),
    ];
    for (what, first, code) in table {
        let (parts, sending) = tokio::sync::mpsc::channel(1);
        // More than a connection takes unread, and without an end.
        let feeding = tokio::spawn(async move {
            let zeros = SnapshotPart { data: vec![0; 256 << 10].into(), ..SnapshotPart::default() };
            let mut next = first;
            while parts.send(next).await.is_ok() {
                next = zeros.clone();
            }
        });
        let sending =
            futures::stream::unfold(sending, |mut sending| async { sending.recv().await.map(|part| (part, sending)) });
        let status = member.client.clone().install(sending).await.unwrap_err();
        assert_eq!(status.code(), code, "{what}: {status}");
        let ended = tokio::time::timeout(Duration::from_secs(20), feeding).await;
        assert!(ended.is_ok(), "{what}: it is sent on");
    }
    member.end().await;
}

/// A machine that is gone closes nothing; and what has come of its snapshot takes as much memory as a state.
#[tokio::test]
async fn a_snapshot_whose_sender_vanishes_is_let_go() {
    let member = Member::start().await;
    // A wire to its door that can be cut without a word to anybody.
    let wire = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = Endpoint::from_shared(format!("http://{}", wire.local_addr().unwrap())).unwrap();
    let (cut, mut is_cut) = tokio::sync::oneshot::channel::<()>();
    let door = member.door.clone();
    let carrying = tokio::spawn(async move {
        let (mut near, _) = wire.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(door).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = &mut is_cut => std::future::pending().await,
        }
    });
    let (parts, sending) = tokio::sync::mpsc::unbounded_channel();
    let (hello, message) = (Some(member.hello()), snapshot(member.learner, 5));
    parts.send(SnapshotPart { hello, message, ..SnapshotPart::default() }).unwrap();
    parts.send(SnapshotPart { data: b"MKUBESNP".to_vec().into(), ..SnapshotPart::default() }).unwrap();
    let sending =
        futures::stream::unfold(sending, |mut sending| async { sending.recv().await.map(|part| (part, sending)) });
    let mut client = PeerClient::new(way.connect().await.unwrap());
    let installing = tokio::spawn(async move { client.install(sending).await });
    let until_there = async |wanted: bool| {
        let there = async {
            loop {
                let names = std::fs::read_dir(member.dir.path()).unwrap().flatten().map(|entry| entry.file_name());
                if wanted == names.into_iter().any(|name| name.to_string_lossy().starts_with("received-")) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), there).await.is_ok(), "what has come: {}", !wanted);
    };
    until_there(true).await;
    cut.send(()).unwrap();
    until_there(false).await;
    drop(parts);
    installing.abort();
    carrying.abort();
    member.end().await;
}

#[tokio::test]
async fn nonsense_of_a_member_costs_nobody_anything() {
    let member = Member::start().await;
    let (from, to) = (member.learner, member.store.member_id());
    let before = member.store.status();
    let raft = |from, to, term, body| Body::Raft(raft::Message { from, to, term, body });
    let beat = || Some(message::Body::Heartbeat(Default::default()));
    let parcels = vec![
        Body::Hello(member.hello()),
        Body::Hello(member.hello()),
        raft(from, to, 1, None),
        raft(from, to, 0, beat()),
        raft(from, to, u64::MAX, beat()),
        raft(from, to ^ 1, 1, beat()),
        raft(0, to, 1, beat()),
        raft(from, to, before.term, beat()),
        raft(
            from,
            to,
            before.term,
            Some(message::Body::AppendReply(raft::AppendReply { index: 1 << 40, ..Default::default() })),
        ),
        raft(
            from,
            to,
            before.term,
            Some(message::Body::Snapshot(raft::Snapshot { index: 1 << 40, term: 1, membership: None })),
        ),
        Body::Forward(proto::peer::Forward { ticket: 1, request: b"\xff\xff".to_vec().into(), kind: 99, term: 99 }),
        Body::Placed(proto::peer::Placed { ticket: 99, term: 99, index: 99 }),
        Body::Refused(proto::peer::Refused { ticket: 99, reason: 99 }),
    ];
    member.talk(parcels).await.unwrap();
    let page = member.store.range(store::testing::single("k", 0)).await.unwrap();
    assert_eq!((page.count, page.revision), (1, 2));
    let now = member.store.status();
    assert_eq!((now.leader, now.term), (before.leader, before.term), "it leads on");
    member.end().await;
}

#[tokio::test]
async fn what_a_member_tells_of_itself() {
    let member = Member::start().await;
    let expected = member.store.hash_kv(0).await.unwrap();
    assert_eq!(member.hash(Some(member.hello()), 0).await.unwrap(), expected.hash);
    assert_eq!(member.hash(Some(member.hello()), 2).await.unwrap(), expected.hash);
    let future = member.hash(Some(member.hello()), 3).await.unwrap_err();
    assert_eq!(
        (future.code(), future.message()),
        (Code::FailedPrecondition, "mvcc: required revision is a future revision")
    );
    // Who asks need not say who it is: it may not be anybody yet. (asks, known): who has spoken to it is.
    for (asks, known) in
        [(0, false), (99, false), (member.removed, false), (member.learner, true), (member.store.member_id(), true)]
    {
        let told = member.client.clone().cluster(ClusterRequest { member: asks }).await.unwrap().into_inner();
        let own = told.members.iter().any(|listed| listed.id == member.store.member_id());
        assert_eq!((told.cluster, told.members.len(), own), (member.store.cluster_id(), 2, true));
        let founder = asks == member.store.member_id();
        assert!(told.known == known || founder, "{asks}: {}", told.known);
    }
    member.end().await;
}

/// A member that only listens: what it is told goes to the test.
async fn listen(address: std::net::SocketAddr, hear: tokio::sync::mpsc::UnboundedSender<Body>) -> std::io::Result<()> {
    let (mut stream, _) = tokio::net::TcpListener::bind(address).await?.accept().await?;
    assert_eq!(stream.read_u8().await?, b'T');
    loop {
        let length = stream.read_u32().await?;
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame).await?;
        let _ = Parcel::decode(&*frame)?.body.map(|body| hear.send(body));
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// In the first moments of a cluster a member may hear of the leader before it can reach it. A request is held for half a second, within
/// which the test must open the way: where the machine is too busy for that, another one is tried.
#[tokio::test]
async fn a_request_that_cannot_leave_yet_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let [led, leads] = free_ports(2).try_into().unwrap();
    let [led, leads] = [led, leads].map(|port| format!("http://127.0.0.1:{port}"));
    let initial = vec![("led".to_owned(), led.clone()), ("leads".to_owned(), leads.clone())];
    let cluster = Cluster { initial, ..Cluster::new("led", &led) };
    let context = base::Context::new();
    let store =
        Store::open_member(Options { cluster: Some(cluster), ..Options::new(dir.path()) }, &context).await.unwrap();
    let address: std::net::SocketAddr = leads.strip_prefix("http://").unwrap().parse().unwrap();
    let client = PeerClient::new(Endpoint::from_shared(led.clone()).unwrap().connect().await.unwrap());
    let told = client.clone().cluster(ClusterRequest { member: 0 }).await.unwrap().into_inner();
    let leader = told.members.iter().find(|member| member.id != store.member_id()).unwrap().id;

    // Nobody listens there yet, but says that it leads.
    let hello = Hello { cluster: store.cluster_id(), from: leader, to: store.member_id(), nonce: 77 };
    let mut stream = tokio::net::TcpStream::connect(led.strip_prefix("http://").unwrap()).await.unwrap();
    let beat = |term| {
        let body = Some(message::Body::Heartbeat(raft::Heartbeat::default()));
        Body::Raft(raft::Message { from: leader, to: store.member_id(), term, body })
    };
    stream.write_all(&[b"T", &*frame(Body::Hello(hello)), &frame(beat(9))].concat()).await.unwrap();
    let until_told = async |term| {
        let told = async {
            while store.status().leader != leader || store.status().term != term {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(20), told).await.is_ok(), "it does not hear of term {term}");
    };
    until_told(9).await;
    let mut came = false;
    for term in 10..15 {
        let key = format!("handed on {term}");
        let mut write = Box::pin(put(&*store, key.clone(), "v"));
        assert!(futures::poll!(&mut write).is_pending());
        // What comes in is taken in turn: by then the write has been handed on.
        stream.write_all(&frame(beat(term))).await.unwrap();
        until_told(term).await;

        let (hear, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let listening = tokio::spawn(listen(address, hear));
        let written = async {
            loop {
                match heard.recv().await {
                    Some(Body::Forward(Forward { request, .. })) if contains(&request, key.as_bytes()) => break,
                    other => assert!(other.is_some()),
                }
            }
        };
        came = tokio::time::timeout(Duration::from_secs(4), written).await.is_ok();
        listening.abort();
        let _ = listening.await;
        if came {
            break;
        }
    }
    drop(stream);
    assert!(came, "it never comes");
    assert!(context.shutdown(Duration::from_secs(20)).await);
}
