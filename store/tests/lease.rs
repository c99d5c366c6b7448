//! Leases of a running store: they expire, live on when kept alive, survive a restart; and the store's quota.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::log::{AlarmChange, AlarmKind};
use store::disk::MemoryDisk;
use store::testing::{delete, everything, next, put, single, text};
use store::{Error, EventKind, Kv, Op, Options, Signal, Store, Txn, WatchOptions};

async fn put_leased(store: &Store, key: &str, lease: i64) -> Result<(), Error> {
    let op = Op::Put { key: key.to_string().into(), value: "v".into(), lease };
    store.txn(Txn { then: vec![op], ..Txn::default() }).await.map(|_| ())
}

#[tokio::test]
async fn keys_go_with_their_lease() {
    let store = Store::in_memory();
    let (short, ttl) = store.lease_grant(0, 1).await.unwrap();
    assert_eq!(ttl, 2, "as short as etcd's shortest");
    let (long, _) = store.lease_grant(4711, 600).await.unwrap();
    assert_eq!(long, 4711);
    assert_eq!(store.lease_grant(4711, 5).await, Err(Error::LeaseExists));
    for (key, lease) in [("a", short), ("b", short), ("c", long)] {
        put_leased(&store, key, lease).await.unwrap();
    }
    let mut watch = store.watch(everything(0), WatchOptions::default());
    assert!(matches!(next(&mut watch).await.unwrap(), Signal::Started(_)));
    let begin = Instant::now();
    assert_eq!(store.lease_keep_alive(short).await, Ok(2));
    let Signal::Events(_, events) = next(&mut watch).await.unwrap() else { panic!() };
    assert!(begin.elapsed() >= Duration::from_secs(2), "not before its time");
    let gone: Vec<_> = events.iter().map(|event| (event.kind, event.kv.key.as_ref())).collect();
    assert_eq!(gone, [(EventKind::Delete, b"a".as_ref()), (EventKind::Delete, b"b")], "both in one revision");
    assert_eq!(store.lease_keep_alive(short).await, Err(Error::NoLease));
    assert_eq!(store.leases().await, Ok(vec![long]));
    store.lease_revoke(long).await.unwrap();
    assert_eq!(store.range(everything(0)).await.unwrap().count, 0);
    assert_eq!(store.lease_info(long).await, Err(Error::NoLease));
}

#[tokio::test]
async fn leases_survive_a_restart_with_their_full_time() {
    let disk = MemoryDisk::new();
    let open = || {
        let options = Options { disk: Arc::new(disk.clone()), ..Options::new("/store") };
        Store::open(options, &base::Context::new()).unwrap()
    };
    let store = open();
    let (id, _) = store.lease_grant(0, 3).await.unwrap();
    put_leased(&store, "k", id).await.unwrap();
    store.close().await;
    let store = open();
    let info = store.lease_info(id).await.unwrap();
    assert_eq!((info.granted, info.keys.as_slice()), (3, ["k".into()].as_slice()));
    let mut watch = store.watch(single("k", 0), WatchOptions::default());
    next(&mut watch).await.unwrap();
    assert!(matches!(next(&mut watch).await.unwrap(), Signal::Events(..)), "it expires");
    assert_eq!(store.range(single("k", 0)).await.unwrap().count, 0);
    store.close().await;
    assert_eq!(open().leases().await, Ok(vec![]));
}

#[tokio::test]
async fn a_full_store_can_be_emptied() {
    let store = Store::open(Options { quota_bytes: 100_000, ..Options::in_memory() }, &base::Context::new()).unwrap();
    let mut written = 0;
    let refused = loop {
        match put(&*store, format!("k{written}"), vec![b'v'; 1000]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((refused, written > 50), (Error::NoSpace, true), "after {written}");
    assert_eq!(store.alarms().len(), 1);
    assert_eq!(put(&*store, "small", "").await, Err(Error::NoSpace), "until somebody has looked");
    assert_eq!(store.lease_grant(0, 10).await, Err(Error::NoSpace));
    for at in 0..written {
        delete(&*store, format!("k{at}")).await.unwrap();
    }
    store.compact(store.revision().await.unwrap()).await.unwrap();
    store.swept(store.revision().await.unwrap()).await.unwrap();
    let disarm = AlarmChange { member: 0, kind: AlarmKind::AlarmNoSpace.into(), on: false };
    assert_eq!(store.alarm(disarm).await.unwrap().len(), 1);
    put(&*store, "small", "v").await.unwrap();
    assert!(text(&store.range(everything(0)).await.unwrap()).starts_with("small=v@"));
}
