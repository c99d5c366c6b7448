//! A store that fails: watches that break, reads that are refused, damaged objects.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use store::testing::Over;
use store::{Error, Op, Page, Range, Signal, Txn, WatchOptions};
use tokio::sync::broadcast;

use super::*;

type Act = Box<dyn FnOnce() + Send>;

/// A store whose watches can be cut with an error, and whose reads can be refused.
pub(super) struct Flaky {
    inner: Arc<Store>,
    /// How far it has been told to forget.
    pub(super) compacted: tokio::sync::watch::Sender<Revision>,
    cut: broadcast::Sender<Error>,
    refuse: Mutex<Option<Error>>,
    ranges: AtomicUsize,
    /// What happens while watches are polled: the first when one was asked in passing and had nothing to say, the second before
    /// the next poll.
    meanwhile: Arc<Mutex<VecDeque<Act>>>,
}

impl Flaky {
    pub(super) fn new() -> Arc<Self> {
        let (inner, cut, compacted) = (Store::in_memory(), broadcast::channel(8).0, Default::default());
        Arc::new(Self {
            inner,
            compacted,
            cut,
            refuse: Mutex::new(None),
            ranges: AtomicUsize::new(0),
            meanwhile: Arc::default(),
        })
    }
}

impl Over for Flaky {
    fn below(&self) -> &dyn Kv {
        &*self.inner
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        self.ranges.fetch_add(1, Ordering::SeqCst);
        match self.refuse.lock().clone() {
            Some(error) => Box::pin(async { Err(error) }),
            None => self.inner.range(range),
        }
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        let mut cut = self.cut.subscribe();
        let cutting = futures::stream::once(async move { Err(cut.recv().await.unwrap_or(Error::NoSpace)) });
        // Whatever comes first; nothing after an error.
        let (mut inner, meanwhile) = (self.inner.watch(range, options), self.meanwhile.clone());
        let inner = futures::stream::poll_fn(move |cx| {
            // Only when asked in passing, not while somebody waits.
            let passing = cx.waker().will_wake(futures::task::noop_waker_ref());
            let next = if meanwhile.lock().len() == 1 { meanwhile.lock().pop_front() } else { None };
            next.into_iter().for_each(|act| act());
            let polled = inner.poll_next_unpin(cx);
            let next = if passing && polled.is_pending() { meanwhile.lock().pop_front() } else { None };
            next.into_iter().for_each(|act| act());
            polled
        });
        let both = futures::stream::select(inner, cutting);
        let ended = Arc::new(Mutex::new(false));
        both.take_while(move |signal| {
            let before = std::mem::replace(&mut *ended.lock(), signal.is_err());
            futures::future::ready(!before)
        })
        .boxed()
    }

    fn compact(&self, upto: Revision) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.inner.compact(upto).await?;
            self.compacted.send_replace(upto);
            Ok(())
        })
    }
}

pub(super) fn storage(kv: &Arc<Flaky>, options: Options) -> (Arc<Storage>, Context) {
    let context = Context::new();
    (Storage::with_options(kv.clone(), context.clone(), options), context)
}

pub(super) async fn put(storage: &Storage, name: &str, app: &str) -> Revision {
    let (pods, object) = (kind("pods"), pod("ns", name, app, ""));
    match storage.get(pods, "ns", name, Freshness::Latest).await.unwrap() {
        None => storage.create(pods, "ns", name, &object).await.unwrap().revision(),
        Some(entry) => match storage.update(pods, "ns", name, entry.revision(), &object).await.unwrap() {
            Updated::Done(entry) => entry.revision(),
            Updated::Changed(_) => panic!("nobody else writes"),
        },
    }
}

#[tokio::test]
async fn a_broken_watch_goes_on_where_it_was() {
    let kv = Flaky::new();
    let (storage, _context) = storage(&kv, Options::default());
    let first = put(&storage, "a", "0").await;
    let mut items = storage.watch(kind("pods"), watch_from(WatchFrom::Revision(first))).await.unwrap();
    let lists = kv.ranges.load(Ordering::SeqCst);
    for round in 1..4 {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while kv.cut.send(Error::Unavailable("cut".into())).is_err() {
            assert!(std::time::Instant::now() < deadline, "the cache watches again in time");
            tokio::task::yield_now().await;
        }
        let changed = put(&storage, "a", &round.to_string()).await;
        assert_eq!(told(&mut items).await, format!("MODIFIED a@{changed}"));
    }
    assert_eq!(kv.ranges.load(Ordering::SeqCst), lists, "without listing again");
}

#[tokio::test]
async fn after_a_gap_everything_is_listed_and_watchers_read_history() {
    let kv = Flaky::new();
    let (storage, _context) = storage(&kv, Options::default());
    let first = put(&storage, "a", "0").await;
    let pods = kind("pods");
    let mut items = storage.watch(pods, watch_from(WatchFrom::Revision(first))).await.unwrap();
    let mut named = watch_from(WatchFrom::Revision(first));
    (named.namespace, named.name) = (Some("ns".into()), Some("b".into()));
    let mut named = storage.watch(pods, named).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(20), items.next()).await.is_err());
    let lists = kv.ranges.load(Ordering::SeqCst);
    kv.cut.send(Error::Compacted(1)).unwrap();
    let b = put(&storage, "b", "0").await;
    let a = put(&storage, "a", "1").await;
    assert_eq!(told(&mut items).await, format!("ADDED b@{b}"));
    assert_eq!(told(&mut items).await, format!("MODIFIED a@{a}"));
    assert_eq!(told(&mut named).await, format!("ADDED b@{b}"));
    assert!(kv.ranges.load(Ordering::SeqCst) > lists, "listed again");
    let last = put(&storage, "a", "2").await;
    assert_eq!(told(&mut items).await, format!("MODIFIED a@{last}"), "and goes on");
}

#[tokio::test]
async fn a_cache_that_cannot_start_says_so_and_starts_later() {
    let kv = Flaky::new();
    *kv.refuse.lock() = Some(Error::Unavailable("no leader".into()));
    let (storage, context) = storage(&kv, Options { patience: Duration::from_millis(200), ..Options::default() });
    let status = storage.get(kind("pods"), "ns", "a", Freshness::Any).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (429, "storage is (re)initializing"));
    assert_eq!(storage.kinds_synced().unwrap_err(), "watch caches not synced: pods");
    *kv.refuse.lock() = None;
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while storage.get(kind("pods"), "ns", "a", Freshness::Any).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "started in time");
    }
    assert!(storage.kinds_synced().is_ok());
    context.stop();
    let status = storage.get(kind("nodes"), "", "a", Freshness::Any).await.unwrap_err();
    assert_eq!(status.code, 503, "{status}");
}

#[tokio::test]
async fn damaged_objects_are_left_out() {
    let kv = Flaky::new();
    let damaged = |key: &str, value: &str| Txn {
        then: vec![Op::Put { key: key.to_string().into(), value: value.to_string().into(), lease: 0 }],
        ..Txn::default()
    };
    kv.below().txn(damaged("/registry/pods/ns/before", "{\"metadata\":")).await.unwrap();
    let (storage, _context) = storage(&kv, Options::default());
    put(&storage, "good", "0").await;
    for key in ["/registry/pods/ns/after", "/registry/pods/nowhere"] {
        kv.below().txn(damaged(key, "k8s\0protobuf")).await.unwrap();
    }
    let listing = storage.list(kind("pods"), ListQuery::default()).await.unwrap();
    let names: Vec<&str> = listing.entries.iter().map(|entry| entry.name()).collect();
    assert_eq!(names, ["good"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn being_up_to_date_is_judged_by_what_was_known_before_looking() {
    for _ in 0..100 {
        if write_while_looking().await {
            return;
        }
    }
    panic!("the cache never looked at the right moment");
}

/// A pod is written just when the cache has looked for news on behalf of a list, and the cache hears of it after the list.
/// Whether it came about so; otherwise the cache had looked before, for another reason.
async fn write_while_looking() -> bool {
    let kv = Flaky::new();
    let (storage, _context) = storage(&kv, Options { patience: Duration::from_millis(300), ..Options::default() });
    put(&storage, "a", "0").await;
    storage.list(kind("pods"), ListQuery::default()).await.unwrap();
    let put = |kind: KindRef, name: &str| {
        let value = serde_json::to_vec(&pod("ns", name, "0", "")).unwrap().into();
        Op::Put { key: kind.key("ns", name).into(), value, lease: 0 }
    };
    // The store moves on, so that the list makes the cache look. Not through the storage: another cache would look, too.
    kv.inner.txn(Txn { then: vec![put(kind("configmaps"), "c")], ..Txn::default() }).await.unwrap();
    let (inner, put) = (kv.inner.clone(), put(kind("pods"), "b"));
    let written = Arc::new(AtomicUsize::new(0));
    let done = written.clone();
    let write = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reply = runtime.block_on(inner.txn(Txn { then: vec![put], ..Txn::default() })).unwrap();
        done.store(reply.revision as usize, Ordering::SeqCst);
    };
    let (listed, list_done) = std::sync::mpsc::channel::<()>();
    let acts: [Act; 2] = [
        Box::new(move || std::thread::spawn(write).join().unwrap()),
        // Ends when the sender goes.
        Box::new(move || assert!(list_done.recv_timeout(Duration::from_secs(10)).is_err())),
    ];
    kv.meanwhile.lock().extend(acts);
    let listing = storage.list(kind("pods"), ListQuery::default()).await;
    drop(listed);
    let written = written.load(Ordering::SeqCst) as Revision;
    let Some(listing) = listing.ok().filter(|_| written > 0) else { return false };
    let there = listing.entries.iter().any(|entry| entry.name() == "b");
    assert_eq!(there, listing.revision >= written, "a list at {} and a write at {written}", listing.revision);
    true
}
