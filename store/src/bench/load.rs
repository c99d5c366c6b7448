//! Clients in closed loops: each sends its next request when the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use proto::etcd::etcdserverpb::request_op::Request as Op;
use proto::etcd::etcdserverpb::watch_client::WatchClient;
use proto::etcd::etcdserverpb::watch_request::RequestUnion;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::cases::{Case, Work};

/// Connections; clients share them, as those of one API server do.
const CONNECTIONS: usize = 4;
/// Keys that puts and gets go to.
const KEYS: usize = 10_000;
/// Keys of a list.
const LISTED: usize = 500;
/// Keys that lie there where many others do.
const MANY: usize = 100_000;
/// Watches on one stream.
const PER_STREAM: usize = 100;

/// What the clients of a case saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Operations.
    pub(super) count: u64,
    pub(super) time: Duration,
    /// CPU of the server.
    pub(super) cpu: Option<Duration>,
    /// Of each operation, in µs, unsorted.
    pub(super) latencies: Vec<u32>,
    /// How often what went on meanwhile was done.
    pub(super) disturbances: u64,
}

impl Seen {
    /// Another round of the same.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
        self.cpu = match (self.cpu, other.cpu) {
            (Some(one), Some(two)) => Some(one + two),
            (one, two) => one.or(two),
        };
        self.latencies.extend(other.latencies);
        self.disturbances += other.disturbances;
    }
}

/// The clients of a case.
pub(super) struct Clients {
    channels: Vec<Channel>,
}

impl Clients {
    /// Connects to the members in turn.
    pub(super) async fn connect(urls: &[String], case: &Case) -> Result<Self, Status> {
        let mut channels = Vec::new();
        for url in urls.iter().cycle().take(CONNECTIONS.min(case.clients).max(urls.len().min(case.clients))) {
            channels.push(connect(url).await?);
        }
        Ok(Self { channels })
    }

    fn kv(&self, number: usize) -> KvClient<Channel> {
        let channel = &self.channels[number % self.channels.len()];
        KvClient::new(channel.clone()).max_decoding_message_size(i32::MAX as usize)
    }

    /// Writes what the case reads.
    pub(super) async fn prepare(&self, case: &Case) -> Result<(), Status> {
        let keys: Vec<Bytes> = match case.work {
            Work::Get { .. } => (0..KEYS).map(key).collect(),
            Work::List => (0..LISTED).map(listed).collect(),
            Work::PutAmongMany => (0..MANY).map(many).collect(),
            Work::Put(_) | Work::Update | Work::Watch => return Ok(()),
        };
        let put = |key| {
            let mut kv = self.kv(0);
            async move { kv.put(put(key, 1024)).await }
        };
        stream::iter(keys.into_iter().map(put)).buffer_unordered(64).try_for_each(|_| async { Ok(()) }).await
    }

    /// Runs the case for so long.
    pub(super) async fn run(&self, case: &Case, time: Duration) -> Result<Seen, Status> {
        if case.work == Work::Watch {
            return self.watch(case.clients, time).await;
        }
        let (begun, end) = (Instant::now(), Instant::now() + time);
        let clients = (0..case.clients).map(|number| tokio::spawn(client(self.kv(number), case.work, number, end)));
        let mut seen = Seen::default();
        for client in clients.collect::<Vec<_>>() {
            let latencies = client.await.map_err(|error| Status::internal(error.to_string()))??;
            seen.count += latencies.len() as u64;
            seen.latencies.extend(latencies);
        }
        seen.time = begun.elapsed();
        Ok(seen)
    }

    /// Watchers of one prefix, and a writer that goes on when every watcher has heard of its last put.
    async fn watch(&self, watchers: usize, time: Duration) -> Result<Seen, Status> {
        let heard = Arc::new(AtomicU64::new(0));
        let woken = Arc::new(tokio::sync::Notify::new());
        let mut streams = Vec::new();
        for first in (0..watchers).step_by(PER_STREAM) {
            let count = PER_STREAM.min(watchers - first);
            let channel = self.channels[(first / PER_STREAM) % self.channels.len()].clone();
            let responses = open_watches(channel, count).await?;
            streams.push(tokio::spawn(listen(responses, heard.clone(), woken.clone())));
        }
        let (begun, mut kv) = (Instant::now(), self.kv(0));
        let mut seen = Seen::default();
        let mut puts = 0u64;
        while begun.elapsed() < time {
            let sent = Instant::now();
            kv.put(put(Bytes::from(format!("/watched/{}", puts % 100)), 256)).await?;
            puts += 1;
            while heard.load(Ordering::Acquire) < puts * watchers as u64 {
                let patience = tokio::time::timeout(Duration::from_secs(30), woken.notified());
                patience.await.map_err(|_| Status::internal("watchers do not hear of a put"))?;
            }
            seen.latencies.push(micros(sent));
        }
        (seen.count, seen.time) = (puts * watchers as u64, begun.elapsed());
        streams.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(seen)
    }
}

async fn open_watches(channel: Channel, count: usize) -> Result<tonic::Streaming<pb::WatchResponse>, Status> {
    let create = |_| {
        let range_end = Bytes::from_static(b"/watched0");
        let create = pb::WatchCreateRequest { key: "/watched/".into(), range_end, ..Default::default() };
        pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
    };
    let requests = stream::iter((0..count).map(create)).chain(stream::pending());
    let mut responses = WatchClient::new(channel).watch(requests).await?.into_inner();
    for _ in 0..count {
        responses.message().await?;
    }
    Ok(responses)
}

async fn listen(
    mut responses: tonic::Streaming<pb::WatchResponse>,
    heard: Arc<AtomicU64>,
    woken: Arc<tokio::sync::Notify>,
) {
    // Ends with the writer, which would otherwise wait in vain.
    while let Ok(Some(response)) = responses.message().await {
        heard.fetch_add(response.events.len() as u64, Ordering::AcqRel);
        woken.notify_one();
    }
}

/// One client's loop; the time of each of its operations.
async fn client(mut kv: KvClient<Channel>, work: Work, number: usize, end: Instant) -> Result<Vec<u32>, Status> {
    let mut latencies = Vec::new();
    let mut seen = 0;
    let mut at = number * 7919;
    while Instant::now() < end {
        at += 1;
        let sent = Instant::now();
        match work {
            Work::Put(bytes) => drop(kv.put(put(key(at % KEYS), bytes)).await?),
            Work::PutAmongMany => drop(kv.put(put(many(at % MANY), 1024)).await?),
            Work::Get { serializable } => {
                let request = pb::RangeRequest { key: key(at % KEYS), serializable, ..Default::default() };
                kv.range(request).await?;
            }
            Work::List => {
                let (key, range_end) = (Bytes::from_static(b"/listed/"), Bytes::from_static(b"/listed0"));
                let request = pb::RangeRequest { key, range_end, limit: LISTED as i64, ..Default::default() };
                kv.range(request).await?;
            }
            Work::Update => seen = update(&mut kv, number, seen).await?,
            Work::Watch => return Err(Status::internal("watchers are no clients")),
        }
        latencies.push(micros(sent));
    }
    Ok(latencies)
}

/// If the key is at the revision `seen`, puts it; the revision that it is at then.
async fn update(kv: &mut KvClient<Channel>, number: usize, seen: i64) -> Result<i64, Status> {
    use pb::compare::{CompareTarget, TargetUnion};
    let key = Bytes::from(format!("/registry/pods/default/pod-{number}"));
    let compare = pb::Compare {
        key: key.clone(),
        target: CompareTarget::Mod.into(),
        target_union: Some(TargetUnion::ModRevision(seen)),
        ..Default::default()
    };
    let op = |request| vec![pb::RequestOp { request: Some(request) }];
    let get = pb::RangeRequest { key: key.clone(), ..Default::default() };
    let txn = pb::TxnRequest {
        compare: vec![compare],
        success: op(Op::RequestPut(put(key, 1024))),
        failure: op(Op::RequestRange(get)),
    };
    let reply = kv.txn(txn).await?.into_inner();
    let present = reply.responses.into_iter().find_map(|op| match op.response {
        Some(pb::response_op::Response::ResponseRange(range)) => range.kvs.into_iter().next(),
        _ => None,
    });
    Ok(present.map_or_else(|| reply.header.map_or(0, |header| header.revision), |kv| kv.mod_revision))
}

/// Puts `count` values of 1 KiB under `keys` keys in turn.
pub(super) async fn fill(url: &str, count: u64, keys: u64) -> Result<(), Status> {
    let kv = KvClient::new(connect(url).await?);
    let put = |number: u64| {
        let mut kv = kv.clone();
        async move { kv.put(put(Bytes::from(format!("/filled/{:09}", number % keys.max(1))), 1024)).await }
    };
    stream::iter((0..count).map(put)).buffer_unordered(256).try_for_each(|_| async { Ok(()) }).await
}

/// Waits, within `patience`, until the server at `url` answers a linearizable read.
pub(super) async fn ready(url: &str, patience: Duration) -> Result<(), Status> {
    let end = Instant::now() + patience;
    loop {
        let asked = async {
            let request = pb::RangeRequest { key: "\0".into(), ..Default::default() };
            KvClient::new(connect(url).await?).range(request).await
        };
        match asked.await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Puts the URL of the member that leads first.
pub(super) async fn leader_first(urls: &mut [String]) -> Result<(), Status> {
    for at in 0..urls.len() {
        let status = MaintenanceClient::new(connect(&urls[at]).await?).status(pb::StatusRequest {}).await?.into_inner();
        if status.header.is_some_and(|header| header.member_id == status.leader) {
            urls.swap(0, at);
            return Ok(());
        }
    }
    Ok(())
}

pub(super) async fn connect(url: &str) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| Status::from_error(error.into()))?;
    let endpoint = endpoint.tcp_nodelay(true).initial_stream_window_size(4 << 20);
    let endpoint = endpoint.initial_connection_window_size(16 << 20);
    endpoint.connect().await.map_err(|error| Status::from_error(error.into()))
}

fn key(number: usize) -> Bytes {
    Bytes::from(format!("/bench/{number:06}"))
}

fn many(number: usize) -> Bytes {
    Bytes::from(format!("/many/{number:06}"))
}

fn listed(number: usize) -> Bytes {
    Bytes::from(format!("/listed/{number:06}"))
}

fn put(key: Bytes, bytes: usize) -> pb::PutRequest {
    pb::PutRequest { key, value: Bytes::from(vec![b'v'; bytes]), ..Default::default() }
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
}
