//! Tests of [`super`]: records of node ports that are missing, wrong, or nobody's.

use std::sync::atomic::{AtomicUsize, Ordering};

use base::Context;
use futures::future::BoxFuture;
use store::testing::Over;
use store::{Error, Kv, Page, Range, Store};

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

/// A server without its front, and Services of so many node ports each.
async fn server(services: &[usize]) -> (Arc<Registry>, Arc<Counting>, Context) {
    let (context, kv) = (Context::new(), Arc::new(Counting { store: Store::in_memory(), read: AtomicUsize::new(0) }));
    let registry = Registry::new(Storage::new(kv.clone(), context.clone()));
    let (advertise, service_range) = ([192, 0, 2, 1].into(), "10.96.0.0/16".into());
    bootstrap::run(&registry, &Facts { advertise, port: 6443, service_range, client_ca: None }).await.unwrap();
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
