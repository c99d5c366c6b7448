//! What a store elsewhere may do to its client: die, freeze, come back, lose answers, forget history, be another store. Real etcd
//! processes; without an etcd in the PATH each test says so and proves nothing.
#![allow(clippy::unwrap_used)]

mod gate;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base::Context;
use base::pki::{Authority, Subject};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use gate::Gate;
use store::remote::{self, Memory, Remote, TlsFiles};
use store::testing::etcd::{self, Etcd, ServingFiles};
use store::testing::{everything, put, single, started};
use store::{Error, Kv, Revision, Signal, WatchOptions};
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(90);

fn can_run(name: &str) -> bool {
    let can = etcd::is_installed();
    if !can {
        eprintln!("SKIPPED {name}: no etcd in the PATH (Debian: etcd-server)");
    }
    can
}

async fn connect(urls: &[&str], context: &Context) -> Arc<Remote> {
    Remote::connect(remote::Options::new(urls.iter().copied()), context, PATIENCE).await.unwrap()
}

type Events = BoxStream<'static, Result<Signal, Error>>;

/// The next events, in time.
async fn next(watch: &mut Events) -> Result<Signal, Error> {
    timeout(PATIENCE, watch.next()).await.expect("a signal in time").expect("not the end")
}

/// A client that writes all the time.
struct Load {
    kv: Arc<Remote>,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Load {
    /// Waits until a number of further writes are acknowledged.
    async fn goes_on(&self) {
        let (deadline, before) = (Instant::now() + PATIENCE, self.acknowledged.load(Ordering::SeqCst));
        while self.acknowledged.load(Ordering::SeqCst) < before + 20 {
            assert!(Instant::now() < deadline, "writes are acknowledged");
            tokio::task::yield_now().await;
        }
    }
}

/// Writes until told to stop; what was acknowledged, by revision.
async fn write(load: Arc<Load>) -> BTreeMap<Revision, Bytes> {
    let (kv, mut acknowledged, mut number) = (&load.kv, BTreeMap::new(), 0u64);
    while !load.stop.load(Ordering::SeqCst) {
        number += 1;
        let value = Bytes::from(number.to_string());
        match put(&**kv, format!("k{}", number % 5), value.clone()).await {
            Ok(reply) => {
                acknowledged.insert(reply.revision, value);
                load.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    acknowledged
}

/// Waits until a write is acknowledged.
async fn goes_on(kv: &Remote) -> Revision {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match put(kv, "alive", "").await {
            Ok(reply) => return reply.revision,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

/// Does things to the members while one client writes and watches; nothing that was acknowledged may be missing from the
/// watch, and no revision may come twice or out of order.
async fn disturbed(members: usize, disturb: impl AsyncFn(&mut Vec<Etcd>, &Load)) {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Etcd::cluster(&etcd::program(), dir.path(), members, None).unwrap();
    let urls: Vec<String> = servers.iter().map(|server| server.url().to_owned()).collect();
    let context = Context::new();
    let kv = connect(&urls.iter().map(String::as_str).collect::<Vec<_>>(), &context).await;
    let mut watch = kv.watch(everything(0), WatchOptions::default());
    let (_, first) = started(&mut watch).await;
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = Arc::new(Load { kv: kv.clone(), stop, acknowledged });
    let writer = tokio::spawn(write(load.clone()));
    disturb(&mut servers, &load).await;
    load.stop.store(true, Ordering::SeqCst);
    let acknowledged = writer.await.unwrap();
    let last = goes_on(&kv).await;
    let mut seen = BTreeMap::new();
    let mut due = first + 1;
    while due <= last {
        match next(&mut watch).await {
            // The watch is of everything, so every revision has events.
            Ok(Signal::Events(revision, events)) => {
                assert_eq!(revision, due, "each revision once, in order");
                seen.insert(revision, events[0].kv.value.clone());
                due += 1;
            }
            other => panic!("at {due}: {other:?}"),
        }
    }
    for (revision, value) in acknowledged {
        assert_eq!(seen.get(&revision), Some(&value), "acknowledged at {revision}");
    }
    assert_eq!(kv.revision().await, Ok(last));
    assert!(kv.local_revision() >= last);
    assert!(context.shutdown(PATIENCE).await);
}

#[tokio::test]
async fn a_store_that_is_killed_and_comes_back() {
    if !can_run("a_store_that_is_killed_and_comes_back") {
        return;
    }
    disturbed(1, async |servers, load| {
        for _ in 0..3 {
            load.goes_on().await;
            servers[0].kill();
            assert!(matches!(put(&*load.kv, "away", "").await, Err(Error::Unavailable(_))));
            servers[0].run().unwrap();
            load.goes_on().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_freezes_and_goes_on() {
    if !can_run("a_store_that_freezes_and_goes_on") {
        return;
    }
    disturbed(1, async |servers, load| {
        load.goes_on().await;
        servers[0].freeze();
        let written = put(&*load.kv, "frozen", "").await;
        let read = load.kv.range(single("frozen", 0)).await;
        servers[0].thaw();
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        load.goes_on().await;
    })
    .await;
}

#[tokio::test]
async fn another_member_takes_over_from_one_that_is_killed_or_frozen() {
    if !can_run("another_member_takes_over_from_one_that_is_killed_or_frozen") {
        return;
    }
    disturbed(3, async |servers, load| {
        for server in servers.iter_mut() {
            server.kill();
            load.goes_on().await;
            server.run().unwrap();
            load.goes_on().await;
        }
        for server in servers.iter() {
            server.freeze();
            load.goes_on().await;
            server.thaw();
            load.goes_on().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_sent_again() {
    if !can_run("a_write_whose_answer_is_lost_is_not_sent_again") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Etcd::start(dir.path()).unwrap();
    let gate = Gate::before(server.url()).await;
    let context = Context::new();
    let (kv, direct) = (connect(&[&gate.url()], &context).await, connect(&[server.url()], &context).await);
    gate.hold_answers(true);
    let lost = tokio::spawn({
        let kv = kv.clone();
        async move { put(&*kv, "once", "").await }
    });
    let deadline = Instant::now() + PATIENCE;
    while direct.range(single("once", 0)).await.unwrap().count == 0 {
        assert!(Instant::now() < deadline, "the write arrives");
    }
    gate.cut();
    gate.hold_answers(false);
    assert!(matches!(lost.await.unwrap(), Err(Error::Unavailable(_))));
    goes_on(&kv).await;
    assert_eq!(direct.range(single("once", 0)).await.unwrap().kvs[0].version, 1, "written once");
}

#[tokio::test]
async fn what_was_compacted_while_away_ends_the_watches_and_not_the_client() {
    if !can_run("what_was_compacted_while_away_ends_the_watches_and_not_the_client") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Etcd::start(dir.path()).unwrap();
    let gate = Gate::before(server.url()).await;
    let context = Context::new();
    let (kv, direct) = (connect(&[&gate.url()], &context).await, connect(&[server.url()], &context).await);
    put(&*kv, "a", "0").await.unwrap();
    kv.revision().await.unwrap();
    let (mut touched, mut quiet) =
        (kv.watch(single("a", 0), WatchOptions::default()), kv.watch(single("b", 0), WatchOptions::default()));
    started(&mut touched).await;
    started(&mut quiet).await;
    gate.close();
    let mut last = 0;
    for value in ["1", "2", "3", "4"] {
        last = put(&*direct, "a", value).await.unwrap().revision;
    }
    direct.compact(last).await.unwrap();
    gate.open();
    assert_eq!(next(&mut touched).await, Err(Error::Compacted(last)));
    assert_eq!(next(&mut quiet).await, Err(Error::Compacted(last)), "nobody can know that nothing is missing");
    assert_eq!(kv.revision().await, Ok(last));
    let mut again = kv.watch(single("a", 0), WatchOptions { from: last + 1, ..WatchOptions::default() });
    started(&mut again).await;
    let revision = put(&*kv, "a", "5").await.unwrap().revision;
    assert!(matches!(next(&mut again).await, Ok(Signal::Events(at, _)) if at == revision));
}

#[tokio::test]
async fn a_watch_that_lags_behind_a_compaction_is_told_so() {
    if !can_run("a_watch_that_lags_behind_a_compaction_is_told_so") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Etcd::start(dir.path()).unwrap();
    let context = Context::new();
    let memory = Memory { revisions: 4, bytes: 1 << 20 };
    let options = remote::Options { memory, ..remote::Options::new([server.url()]) };
    let kv = Remote::connect(options, &context, PATIENCE).await.unwrap();
    let mut slow = kv.watch(everything(0), WatchOptions::default());
    started(&mut slow).await;
    for number in 0..20 {
        put(&*kv, "a", number.to_string()).await.unwrap();
    }
    let compacted = kv.revision().await.unwrap() - 1;
    let direct = connect(&[server.url()], &context).await;
    direct.compact(compacted).await.unwrap();
    assert_eq!(next(&mut slow).await, Err(Error::Compacted(compacted)));
    assert!(slow.next().await.is_none(), "an error is the last word");
}

#[tokio::test]
async fn what_others_write_elsewhere_keeps_nobody_waiting() {
    if !can_run("what_others_write_elsewhere_keeps_nobody_waiting") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Etcd::start(dir.path()).unwrap();
    let context = Context::new();
    let options = remote::Options {
        watched: "/registry/".into(),
        prefix: ("/registry".into(), "/clusters/a".into()),
        ..remote::Options::new([server.url()])
    };
    let kv = Remote::connect(options, &context, PATIENCE).await.unwrap();
    let other = connect(&[server.url()], &context).await;
    let mut watch = kv.watch(testing_prefix("/registry/pods/"), WatchOptions::default());
    started(&mut watch).await;
    put(&*kv, "/registry/pods/a", "1").await.unwrap();
    let stored = other.range(testing_prefix("/clusters/a/")).await.unwrap();
    assert_eq!(stored.kvs[0].key, "/clusters/a/pods/a");
    for number in 0..50 {
        let written = put(&*other, "elsewhere", number.to_string()).await.unwrap().revision;
        assert_eq!(kv.revision().await, Ok(written));
        assert!(kv.local_revision() >= written);
    }
    match next(&mut watch).await {
        Ok(Signal::Events(_, events)) => assert_eq!(events[0].kv.key, "/registry/pods/a"),
        other => panic!("{other:?}"),
    }
    assert!(watch.next().now_or_never().is_none(), "nothing else concerns it");
}

fn testing_prefix(prefix: &str) -> store::Range {
    store::testing::prefix(prefix, 0)
}

#[tokio::test]
async fn a_member_of_another_cluster_is_refused() {
    if !can_run("a_member_of_another_cluster_is_refused") {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut ours = Etcd::start(dirs[0].path()).unwrap();
    let context = Context::new();
    let gate = Gate::listening("127.0.0.1:0".parse().unwrap()).await;
    let kv = connect(&[ours.url(), &gate.url()], &context).await;
    put(&*kv, "ours", "").await.unwrap();
    let foreign = Etcd::start(dirs[1].path()).unwrap();
    connect(&[foreign.url()], &context).await;
    gate.to(foreign.url());
    ours.kill();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Err(Error::Unavailable(why)) = kv.range(single("ours", 0)).await else { panic!("nobody else may answer") };
        if why.contains("belongs to cluster") {
            break;
        }
        assert!(Instant::now() < deadline, "{why}");
    }
    ours.run().unwrap();
    goes_on(&kv).await;
    assert_eq!(kv.range(single("ours", 0)).await.unwrap().count, 1);
}

fn serving_files(dir: &Path) -> (ServingFiles, TlsFiles) {
    let authority = Authority::load_or_create(dir, "ca", "store").unwrap();
    let ips = [std::net::IpAddr::from([127, 0, 0, 1])];
    let server = Subject { name: "server", ips: &ips, days: 1, ..Subject::default() };
    authority.issue(&server).unwrap().write(dir, "server").unwrap();
    authority.issue(&Subject { name: "client", days: 1, ..Subject::default() }).unwrap().write(dir, "client").unwrap();
    let file = |name: &str| dir.join(name);
    let serving = ServingFiles { cert: file("server.crt"), key: file("server.key"), client_ca: file("ca.crt") };
    let client = TlsFiles { ca: Some(file("ca.crt")), cert: Some(file("client.crt")), key: Some(file("client.key")) };
    (serving, client)
}

#[tokio::test]
async fn certificates_are_shown_and_checked() {
    if !can_run("certificates_are_shown_and_checked") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (serving, tls) = serving_files(dir.path());
    let servers = Etcd::cluster(&etcd::program(), dir.path(), 1, Some(&serving)).unwrap();
    let context = Context::new();
    let options = remote::Options { tls: tls.clone(), ..remote::Options::new([servers[0].url()]) };
    let kv = Remote::connect(options.clone(), &context, PATIENCE).await.unwrap();
    put(&*kv, "secret", "1").await.unwrap();
    let refused = |tls| {
        let options = remote::Options { tls, ..options.clone() };
        let context = context.clone();
        async move { Remote::connect(options, &context, Duration::from_millis(500)).await.err().unwrap() }
    };
    let without = refused(TlsFiles { cert: None, key: None, ..tls.clone() }).await;
    assert!(without.to_string().contains("does not answer"), "{without}");
    let other = tempfile::tempdir().unwrap();
    Authority::load_or_create(other.path(), "ca", "other").unwrap();
    let stranger = refused(TlsFiles { ca: Some(other.path().join("ca.crt")), ..tls }).await;
    let why = std::error::Error::source(&stranger).map(ToString::to_string).unwrap_or_default();
    assert!(why.contains("certificate"), "{why}");
}
