//! Tests of [`super`]: records that are missing, wrong, or nobody's, and those of a Service that is only just coming.

use std::sync::atomic::{AtomicUsize, Ordering};

use base::Context;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use store::testing::Over;
use store::{Error, Kv, Op, Page, Range, Revision, Signal, Store, Txn, TxnReply, WatchOptions};
use tokio::sync::watch;

use super::*;
use crate::allocation::node_ports::PREFIX;
use crate::bootstrap::{self, Facts};
use crate::storage::Storage;

/// A store that counts the records of node ports that are read.
struct Counting {
    store: Arc<Store>,
    read: AtomicUsize,
}

impl Over for Counting {
    fn below(&self) -> &dyn Kv {
        &*self.store
    }

    fn range(&self, range: Range) -> BoxFuture<'_, Result<Page, Error>> {
        let counted = range.key.starts_with(PREFIX.as_bytes());
        Box::pin(async move {
            let page = self.store.range(range).await?;
            self.read.fetch_add(if counted { page.kvs.len() } else { 0 }, Ordering::SeqCst);
            Ok(page)
        })
    }
}

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that tells of Services later than of all else while `held` is a revision: the last one that can be read everywhere.
struct Late {
    store: Arc<Store>,
    held: watch::Sender<Option<Revision>>,
}

impl Late {
    fn concerns(key: &[u8]) -> bool {
        key.starts_with(kind("", "services").unwrap().storage_prefix().as_bytes())
    }
}

impl Over for Late {
    fn below(&self) -> &dyn Kv {
        &*self.store
    }

    fn txn(&self, txn: Txn) -> BoxFuture<'_, Result<TxnReply, Error>> {
        let late = txn.then.iter().any(|op| matches!(op, Op::Put { key, .. } if Self::concerns(key)));
        let mut held = self.held.subscribe();
        Box::pin(async move {
            let reply = self.store.txn(txn).await;
            if late {
                held.wait_for(Option::is_none).await.unwrap();
            }
            reply
        })
    }

    fn watch(&self, range: Range, options: WatchOptions) -> BoxStream<'static, Result<Signal, Error>> {
        let (late, held) = (Self::concerns(&range.key), self.held.subscribe());
        let signals = self.store.watch(range, options);
        Box::pin(signals.then(move |signal| {
            let mut held = held.clone();
            async move {
                if late {
                    held.wait_for(Option::is_none).await.unwrap();
                }
                signal
            }
        }))
    }

    fn local_revision(&self) -> Revision {
        self.held.borrow().unwrap_or_else(|| self.store.local_revision())
    }
}

/// A server without its front on a store of one's own.
async fn server_on(kv: Arc<dyn Kv>) -> (Arc<Registry>, Context) {
    let context = Context::new();
    let registry = Registry::new(Storage::new(kv, context.clone()));
    let (advertise, service_range) = ([192, 0, 2, 1].into(), "10.96.0.0/16".into());
    bootstrap::run(&registry, &Facts { advertise, port: 6443, service_range, client_ca: None }).await.unwrap();
    (registry, context)
}

/// A server without its front, and Services of so many node ports each.
async fn server(services: &[usize]) -> (Arc<Registry>, Arc<Counting>, Context) {
    let kv = Arc::new(Counting { store: Store::in_memory(), read: AtomicUsize::new(0) });
    let (registry, context) = server_on(kv.clone()).await;
    for (number, count) in services.iter().enumerate() {
        let ports: Vec<Value> = (1..=*count).map(|port| json!({"name": format!("p{port}"), "port": port})).collect();
        let object = json!({"metadata": {"name": format!("s{number}")}, "spec": {"type": "NodePort", "ports": ports}});
        registry.create(&Call::internal(), kind("", "services").unwrap(), "default", object).await.unwrap();
    }
    (registry, kv, context)
}

/// Gives all recorded node ports to somebody, or to nobody.
async fn give(registry: &Registry, owner: Option<&str>) {
    let records = registry.allocator().node_port_records().await.unwrap();
    let changes = records.all().map(|(port, _)| (port, owner.map(String::from))).collect();
    assert!(registry.storage().settle(&records.claims(&changes)).await.unwrap());
}

/// Port and owner, in order.
async fn recorded(registry: &Registry) -> Vec<(u16, String)> {
    let records = registry.allocator().node_port_records().await.unwrap();
    records.all().map(|(port, owner)| (port, owner.to_string())).collect()
}

#[tokio::test]
async fn records_that_are_missing_or_wrong_are_written_before_the_server_gives_out_anything() {
    let (registry, _kv, context) = server(&[1, 200, 3, 1, 1, 1, 1, 1, 1, 1]).await;
    let right = recorded(&registry).await;
    assert_eq!(right.len(), 211);
    for wrong in [None, Some("default/nobody")] {
        give(&registry, wrong).await;
        assert_ne!(recorded(&registry).await, right);
        complete(&registry).await.unwrap();
        assert_eq!(recorded(&registry).await, right, "{wrong:?}");
    }
    context.stop();
}

#[tokio::test]
async fn a_start_reads_few_records_for_each_service() {
    const SERVICES: usize = 120;
    let (registry, kv, context) = server(&[1; SERVICES]).await;
    kv.read.store(0, Ordering::SeqCst);
    complete(&registry).await.unwrap();
    let read = kv.read.load(Ordering::SeqCst);
    assert!((SERVICES..=2 * SERVICES).contains(&read), "{read} records for {SERVICES} Services");
    context.stop();
}

#[tokio::test]
async fn node_ports_that_nobody_has_are_given_back() {
    let (registry, _kv, context) = server(&[5]).await;
    let right = recorded(&registry).await;
    let leaked = (30000..=32767).filter(|port| right.iter().all(|(taken, _)| taken != port)).step_by(7);
    let changes = leaked.map(|port| (port, Some("default/gone".to_string()))).collect();
    let records = registry.allocator().node_port_records().await.unwrap();
    assert!(registry.storage().settle(&records.claims(&changes)).await.unwrap());
    Repair::new(registry.clone()).unwrap().forgotten_ports().await.unwrap();
    assert_eq!(recorded(&registry).await, right);
    context.stop();
}

#[tokio::test]
async fn the_record_of_a_service_that_is_still_coming_has_not_leaked() {
    let kv = Arc::new(Late { store: Store::in_memory(), held: watch::Sender::new(None) });
    let (registry, context) = server_on(kv.clone()).await;
    let repair = Repair::new(registry.clone()).unwrap();
    complete(&registry).await.unwrap();
    let storage = registry.storage();
    let before = storage.list(repair.addresses, ListQuery::default()).await.unwrap().entries.len();
    kv.held.send_replace(Some(kv.store.local_revision()));
    let creating = tokio::spawn({
        let registry = registry.clone();
        let object = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}});
        async move { registry.create(&Call::internal(), kind("", "services").unwrap(), "default", object).await }
    });
    let begun = std::time::Instant::now();
    let record = loop {
        assert!(begun.elapsed() < PATIENCE, "no record");
        let list = ListQuery { freshness: Freshness::Any, ..ListQuery::default() };
        let records = storage.list(repair.addresses, list).await.unwrap().entries;
        let new = |entry: &&Arc<Entry>| object::text(&entry.value(), "/spec/parentRef/name") == "s";
        if let Some(record) = records.iter().find(new) {
            break record.clone();
        }
        tokio::task::yield_now().await;
    };
    assert!(storage.known(repair.services, "default", "s").is_none(), "nothing is late");
    let (checked, _) = tokio::join!(repair.address(&record), async {
        // As far as it comes by itself.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        kv.held.send_replace(None);
    });
    checked.unwrap();
    let service = creating.await.unwrap().unwrap();
    let held = object::text(&service.value(), "/spec/clusterIP").to_string();
    let after = storage.list(repair.addresses, ListQuery::default()).await.unwrap().entries;
    assert_eq!((after.len(), held.as_str()), (before + 1, record.name()));
    assert!(after.iter().any(|entry| entry.name() == held && entry.revision() == record.revision()));
    context.stop();
}
