//! Tests of [`super`]: for how long a token counts.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use base::pki::Pair;
use base::{Context, SystemClock};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use serde_json::json;
use store::testing::Over;
use store::{Error, Kv, Range, Revision, Signal, Store, WatchOptions};
use tokio::sync::watch;

use super::*;

#[test]
fn bound_objects_count_by_uid_and_a_minute_after_their_deletion() {
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
    let wanted = Reference { name: "p".into(), uid: "u".into() };
    let table = [
        (json!({"metadata": {"uid": "u"}}), true),
        (json!({"metadata": {"uid": "other"}}), false),
        (json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:09:30Z"}}), true),
        (json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:08:59Z"}}), false),
        (json!({"metadata": {"uid": "u", "deletionTimestamp": "2026-01-01T00:20:00Z"}}), true),
    ];
    for (object, good) in table {
        assert_eq!(still_bound("pods", &object, &wanted, now).is_ok(), good, "{object}");
    }
}

/// A store shared with other servers, whose watches can be held up.
struct Behind {
    store: Arc<Store>,
    open: watch::Sender<bool>,
    /// The revision up to which the watches have come when they are held up.
    reached: AtomicU64,
    /// How often it was asked for its revision.
    asked: AtomicUsize,
}

impl Behind {
    fn new() -> Arc<Self> {
        let (store, open) = (Store::in_memory(), watch::Sender::new(true));
        Arc::new(Self { store, open, reached: AtomicU64::new(0), asked: AtomicUsize::new(0) })
    }

    fn hold(&self) {
        self.reached.store(self.store.local_revision(), Ordering::SeqCst);
        self.open.send_replace(false);
    }
}

impl Over for Behind {
    fn below(&self) -> &dyn Kv {
        &*self.store
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        let gate = self.open.subscribe();
        let held = move |signal| {
            let mut gate = gate.clone();
            async move {
                let _ = gate.wait_for(|open| *open).await;
                signal
            }
        };
        self.store.watch(range, options).then(held).boxed()
    }

    fn revision(&self) -> BoxFuture<'_, Result<Revision, Error>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.store.revision()
    }

    fn local_revision(&self) -> Revision {
        if *self.open.borrow() { self.store.local_revision() } else { self.reached.load(Ordering::SeqCst) }
    }

    fn is_private(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn a_deletion_that_this_server_has_acknowledged_counts_at_once() {
    let (kv, context) = (Behind::new(), Context::new());
    let storage = Storage::new(kv.clone(), context.clone());
    let signer = Signer::read(&Pair::signing_key().unwrap().key).unwrap();
    let (clock, keys) = (SystemClock::shared(), Vec::new());
    let (issuer, audiences, verified) = (String::new(), Vec::new(), Mutex::default());
    let tokens = Tokens { storage: storage.clone(), clock, issuer, audiences, signer, keys, verified };
    let (kind, _) = kinds::find("", "v1", "serviceaccounts").unwrap();
    let account = json!({"metadata": {"namespace": "default", "name": "robot", "uid": "u"}});
    let made = storage.create(kind, "default", "robot", &account).await.unwrap();
    let wanted = Reference { name: "robot".into(), uid: "u".into() };
    let check = || tokens.exists("serviceaccounts", "default", &wanted, Timestamp::UNIX_EPOCH);
    check().await.unwrap();
    let asked = kv.asked.load(Ordering::SeqCst);
    check().await.unwrap();
    assert_eq!(kv.asked.load(Ordering::SeqCst), asked, "a token that counts costs no question to the store");

    kv.hold();
    storage.delete(kind, "default", "robot", made.revision()).await.unwrap();
    let late = async {
        tokio::task::yield_now().await;
        kv.open.send_replace(true);
    };
    let (verdict, ()) = tokio::join!(check(), late);
    assert_eq!(verdict, Err("serviceaccounts \"robot\" of the token is gone".to_string()));
    context.stop();
}
