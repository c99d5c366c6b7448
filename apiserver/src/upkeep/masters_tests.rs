//! Tests of [`super`]: when records run out, and that the Service and its endpoints come back.

use api::object;
use serde_json::Value;
use store::{Kv, Store};

use super::*;
use crate::bootstrap;
use crate::registry::{Call, DeleteOptions, Target};
use crate::storage::{Freshness, Storage};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// So seldom that nothing here can come about by it.
const SELDOM: Pace = Pace { renew: Duration::from_secs(3600), life: Duration::from_secs(3600) };
const OBJECTS: [(&str, &str); 3] = [("", "services"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices")];

#[tokio::test(start_paused = true)]
async fn a_record_ends_when_it_has_not_changed_for_its_life() {
    let (mut seen, begun, Pace { renew, life }) = (Seen::default(), Instant::now(), Pace::default());
    assert!(seen.note("10.0.0.1", Some(1), begun));
    assert!(seen.note("10.0.0.2", Some(2), begun));
    assert_eq!(seen.next_end("10.0.0.1", life), Some(begun + life));
    assert!(!seen.note("10.0.0.2", Some(7), begun + renew), "renewed, not new");
    assert_eq!(seen.ended("10.0.0.1", life, begun + life), []);
    assert_eq!(seen.ended("10.0.0.1", life, begun + renew + life), [("10.0.0.2".to_string(), 7)]);
    assert!(seen.note("10.0.0.2", None, begun));
    assert!(!seen.note("10.0.0.2", None, begun));
    assert_eq!((seen.addresses().len(), seen.next_end("10.0.0.1", life)), (1, None), "one's own never ends");
}

/// A server whose store is its own, without its front.
struct Server {
    store: Arc<Store>,
    registry: Arc<Registry>,
    context: Context,
    facts: Facts,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.context.stop();
    }
}

impl Server {
    async fn new(advertise: [u8; 4]) -> Self {
        let context = Context::new();
        let store = Store::in_memory();
        let registry = Registry::new(Storage::new(store.clone(), context.clone()));
        let (advertise, service_range) = (advertise.into(), "10.96.0.0/24".into());
        let facts = Facts { advertise, port: 6443, service_range, client_ca: None };
        bootstrap::run(&registry, &facts).await.unwrap();
        Self { store, registry, context, facts }
    }

    async fn keep(&self, pace: Pace) {
        let masters = Masters::join(&self.registry, &self.facts, pace).await.unwrap();
        self.context.spawn_graceful("masters", masters.keep(self.context.child()));
    }

    async fn get(&self, (group, plural): (&str, &str)) -> Option<Value> {
        let (kind, _) = kinds::find(group, "v1", plural).unwrap();
        // What is written and not acknowledged yet is there, too: nothing may come after it to look again for.
        let fresh = Freshness::AtLeast(self.store.local_revision());
        let found = self.registry.storage().get(kind, service::NAMESPACE, service::NAME, fresh).await;
        found.unwrap().map(|entry| entry.value())
    }

    async fn delete(&self, (group, plural): (&str, &str), name: &str) {
        let ((kind, _), options) = (kinds::find(group, "v1", plural).unwrap(), DeleteOptions::default());
        self.registry.delete(&Call::internal(), kind, service::NAMESPACE, name, &options).await.unwrap();
    }

    /// Waits until the object is there and `right`, looking again after each write to the store; gives it.
    async fn eventually(&self, what: (&str, &str), right: impl Fn(&Value) -> bool) -> Value {
        let all = Range { key: "/".into(), end: prefix_end(b"/"), ..Range::default() };
        let from = self.store.local_revision() + 1;
        let mut writes = self.store.watch(all, WatchOptions { from, ..WatchOptions::default() });
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = self.get(what).await.filter(|found| right(found)) {
                    return found;
                }
                writes.next().await.unwrap().unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("not in time: {what:?}"))
    }

    async fn back(&self, what: (&str, &str)) -> Value {
        self.eventually(what, |_| true).await
    }
}

#[tokio::test]
async fn the_service_and_its_endpoints_come_back() {
    // One at a time, as one that is deleted in a row with others waits for its turn.
    for what in OBJECTS {
        let server = Server::new([192, 0, 2, 1]).await;
        server.keep(SELDOM).await;
        let before = server.get(what).await.unwrap();
        server.delete(what, service::NAME).await;
        let after = server.back(what).await;
        assert_ne!(object::uid(&after), object::uid(&before), "{what:?}");
        for field in ["spec", "subsets", "endpoints", "ports"] {
            assert_eq!(after.get(field), before.get(field), "{what:?} {field}");
        }
    }
}

#[tokio::test]
async fn all_of_them_come_back_by_and_by() {
    let server = Server::new([192, 0, 2, 1]).await;
    server.keep(Pace { renew: Duration::from_millis(50), ..SELDOM }).await;
    for what in OBJECTS {
        server.delete(what, service::NAME).await;
    }
    for what in OBJECTS {
        server.back(what).await;
    }
}

#[tokio::test]
async fn without_endpoints_the_service_still_comes_back() {
    let server = Server::new([127, 0, 0, 1]).await;
    server.keep(SELDOM).await;
    server.delete(OBJECTS[0], service::NAME).await;
    server.back(OBJECTS[0]).await;
    assert_eq!((server.get(OBJECTS[1]).await, server.get(OBJECTS[2]).await), (None, None));
}

#[tokio::test]
async fn endpoints_that_somebody_changed_are_changed_back_and_ports_of_the_service_are_not() {
    let server = Server::new([192, 0, 2, 1]).await;
    server.keep(SELDOM).await;
    let write = async |what: (&str, &str), object: Value| {
        let (kind, _) = kinds::find(what.0, "v1", what.1).unwrap();
        let (call, target) = (Call::internal(), Target::Main);
        server.registry.update(&call, kind, service::NAMESPACE, service::NAME, target, object).await.unwrap();
    };
    let mut edited = server.get(OBJECTS[0]).await.unwrap();
    edited["spec"]["ports"][0]["targetPort"] = json!(7443);
    write(OBJECTS[0], edited).await;
    let right = server.get(OBJECTS[2]).await.unwrap();
    let mut wrong = right.clone();
    wrong["endpoints"][0]["addresses"] = json!(["192.0.2.77"]);
    write(OBJECTS[2], wrong).await;
    server.eventually(OBJECTS[2], |now| now["endpoints"] == right["endpoints"]).await;
    // Upstream sets the ports at the start only, and so does it here.
    assert_eq!(server.get(OBJECTS[0]).await.unwrap()["spec"]["ports"][0]["targetPort"], 7443);
    bootstrap::run(&server.registry, &server.facts).await.unwrap();
    assert_eq!(server.get(OBJECTS[0]).await.unwrap()["spec"]["ports"][0]["targetPort"], 6443);
}

#[tokio::test]
async fn a_server_starts_while_another_service_has_the_address_and_waits_for_it() {
    let server = Server::new([192, 0, 2, 1]).await;
    server.delete(OBJECTS[0], service::NAME).await;
    let (kind, _) = kinds::find("", "v1", "services").unwrap();
    let squatter =
        json!({"metadata": {"name": "squatter"}, "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]}});
    server.registry.create(&Call::internal(), kind, service::NAMESPACE, squatter).await.unwrap();
    bootstrap::run(&server.registry, &server.facts).await.unwrap();
    server.keep(Pace { renew: Duration::from_millis(20), ..SELDOM }).await;
    assert_eq!(server.get(OBJECTS[0]).await, None);
    assert_eq!(server.get(OBJECTS[2]).await.unwrap()["endpoints"][0]["addresses"], json!(["192.0.2.1"]));
    server.delete(OBJECTS[0], "squatter").await;
    let service = server.back(OBJECTS[0]).await;
    assert_eq!(service["spec"]["clusterIP"], "10.96.0.1");
}
