//! Several API servers on one store: nothing is given out twice or lost, and each sees what the others do.
#![allow(clippy::unwrap_used)] // Only tests are here.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use api::kinds::{self, KindRef};
use api::{Status, object};
use apiserver::bootstrap::{self, Facts};
use apiserver::registry::{Call, DeleteOptions, Object, Registry, Settings, Target};
use apiserver::storage::{Freshness, ListQuery, Storage};
use apiserver::upkeep::masters::{Masters, Pace};
use apiserver::upkeep::repair;
use base::Context;
use futures::StreamExt as _;
use serde_json::{Value, json};
use store::testing::Over;
use store::{Kv, Range, Store, WatchOptions, prefix_end};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that others write to as well.
struct Shared(Arc<Store>);

impl Over for Shared {
    fn below(&self) -> &dyn Kv {
        &*self.0
    }

    fn is_private(&self) -> bool {
        false
    }
}

/// One of the servers, without its front.
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
    fn new(store: &Arc<Store>, number: u8) -> Self {
        let context = Context::new();
        let storage = Storage::new(Arc::new(Shared(store.clone())), context.clone());
        let registry = Registry::with_settings(storage, &Settings { node_ports: 30000..=30009 });
        let facts = Facts {
            advertise: IpAddr::from([192, 0, 2, number]),
            port: 6443,
            service_range: "10.96.0.0/24".into(),
            client_ca: None,
        };
        Self { store: store.clone(), registry, context, facts }
    }

    /// Two that start at the same time on an empty store.
    async fn two() -> [Self; 2] {
        let store = Store::in_memory();
        let servers = [1, 2].map(|number| Self::new(&store, number));
        let both = servers.each_ref().map(|server| bootstrap::run(&server.registry, &server.facts));
        futures::future::try_join_all(both).await.unwrap();
        servers
    }

    async fn create(&self, name: &str, spec: Value) -> Result<Value, Status> {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        let created = self.registry.create(&Call::internal(), kind("services"), "default", object).await;
        created.map(|object| Object::value(&object))
    }

    async fn delete(&self, name: &str) {
        let (call, options) = (Call::internal(), DeleteOptions::default());
        self.registry.delete(&call, kind("services"), "default", name, &options).await.unwrap();
    }

    async fn update(&self, name: &str, edit: impl Fn(&mut Value)) -> Result<(), Status> {
        let mut object = self.get("services", "default", name).await.unwrap();
        edit(&mut object);
        let (call, kind) = (Call::internal(), kind("services"));
        self.registry.update(&call, kind, "default", name, Target::Main, object).await.map(drop)
    }

    async fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let found = self.registry.storage().get(kind(plural), namespace, name, Freshness::Latest).await.unwrap();
        found.map(|entry| entry.value())
    }

    async fn list(&self, plural: &str) -> Vec<Value> {
        let listing = self.registry.storage().list(kind(plural), ListQuery::default()).await.unwrap();
        listing.entries.iter().map(|entry| entry.value()).collect()
    }

    /// Every Service and the record of its address, every record and its Service.
    async fn agreed(&self) -> usize {
        let held: BTreeSet<(String, String)> = self
            .list("services")
            .await
            .iter()
            .map(|service| (object::text(service, "/spec/clusterIP").to_string(), object::name(service).to_string()))
            .filter(|(address, _)| address.parse::<IpAddr>().is_ok())
            .collect();
        let records: BTreeSet<(String, String)> = self
            .list("ipaddresses")
            .await
            .iter()
            .map(|record| (object::name(record).to_string(), object::text(record, "/spec/parentRef/name").to_string()))
            .collect();
        assert_eq!(held, records);
        let addresses: BTreeSet<&String> = held.iter().map(|(address, _)| address).collect();
        assert_eq!(addresses.len(), held.len(), "an address was given out twice: {held:?}");
        held.len()
    }

    /// Probes again after each write to the store, whoever wrote, until something is found.
    async fn eventually<T>(&self, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
        let all = Range { key: "/".into(), end: prefix_end(b"/"), ..Range::default() };
        let from = self.store.local_revision() + 1;
        let mut writes = self.store.watch(all, WatchOptions { from, ..WatchOptions::default() });
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = probe().await {
                    return found;
                }
                writes.next().await.unwrap().unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("not in time: {what}"))
    }

    async fn ports(&self) -> Vec<u16> {
        let records = self.registry.allocator().node_port_records().await.unwrap();
        records.all().map(|(port, _)| port).collect()
    }
}

fn kind(plural: &str) -> KindRef {
    kinds::KINDS.iter().find(|kind| kind.plural == plural).unwrap()
}

fn plain() -> Value {
    json!({"type": "ClusterIP", "ports": [{"port": 80}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_given_out_once() {
    let [one, other] = Server::two().await;
    let names: Vec<String> = (0..60).map(|number| format!("s{number}")).collect();
    let created = names.iter().enumerate().map(|(number, name)| {
        let server = if number % 2 == 0 { &one } else { &other };
        server.create(name, plain())
    });
    for service in futures::future::join_all(created).await {
        let service = service.unwrap();
        assert_ne!(object::text(&service, "/spec/clusterIP"), "");
    }
    assert_eq!(one.agreed().await, 61, "with the one named kubernetes");
    assert_eq!(other.agreed().await, 61);
    // What one made the other may take away.
    for name in &names {
        other.delete(name).await;
    }
    assert_eq!(one.agreed().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_gets_an_address_asked_for_by_all() {
    let [one, other] = Server::two().await;
    let spec = json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"port": 80}]});
    let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
    let created = names.iter().enumerate().map(|(number, name)| {
        let server = if number % 2 == 0 { &one } else { &other };
        server.create(name, spec.clone())
    });
    let (won, lost): (Vec<_>, Vec<_>) = futures::future::join_all(created).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 19));
    for status in lost.into_iter().map(Result::unwrap_err) {
        assert!(
            status.message.ends_with("failed to allocate IP 10.96.0.9: provided IP is already allocated"),
            "{status}"
        );
    }
    assert_eq!(one.agreed().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_range_of_ports_is_full_for_everybody() {
    let [one, other] = Server::two().await;
    let spec = json!({"type": "NodePort", "ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]});
    let mut spec = spec;
    spec["ports"][0]["name"] = json!("t");
    spec["ports"][1]["name"] = json!("u");
    let names: Vec<String> = (0..16).map(|number| format!("s{number}")).collect();
    let created = names.iter().enumerate().map(|(number, name)| {
        let server = if number % 2 == 0 { &one } else { &other };
        server.create(name, spec.clone())
    });
    let (won, lost): (Vec<_>, Vec<_>) = futures::future::join_all(created).await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (10, 6));
    for status in lost.into_iter().map(Result::unwrap_err) {
        assert_eq!(status.message, "Internal error occurred: failed to allocate a nodePort: range is full");
    }
    assert_eq!(one.ports().await, (30000..=30009).collect::<Vec<_>>());
    assert_eq!(other.agreed().await, 11, "who got no port got no address either");
    for service in won.into_iter().map(Result::unwrap) {
        one.delete(object::name(&service)).await;
    }
    assert_eq!((other.ports().await, other.agreed().await), (vec![], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_ceases_to_be_it_gives_back() {
    let [one, other] = Server::two().await;
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30003}]});
    one.create("a", spec.clone()).await.unwrap();
    assert_eq!(other.create("b", spec).await.unwrap_err().code, 422);
    other.update("a", |service| service["spec"]["type"] = json!("ClusterIP")).await.unwrap();
    assert_eq!((one.ports().await, one.agreed().await), (vec![], 2));
    one.update("a", |service| {
        service["spec"] = json!({"type": "ExternalName", "externalName": "example.com"});
    })
    .await
    .unwrap();
    assert_eq!(other.agreed().await, 1);
    other.update("a", |service| service["spec"] = plain()).await.unwrap();
    assert_eq!(one.agreed().await, 2);
    // Refused by the validation, after it had been given an address.
    let bad = json!({"type": "ClusterIP", "ports": [{"port": 0}]});
    assert_eq!(one.create("bad", bad).await.unwrap_err().code, 422);
    assert_eq!(other.agreed().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_repaired() {
    let [one, other] = Server::two().await;
    for server in [&one, &other] {
        server.context.spawn("repair", repair::run(server.registry.clone()));
    }
    let service = one.create("a", plain()).await.unwrap();
    let address = object::text(&service, "/spec/clusterIP").to_string();
    let options = DeleteOptions::default();
    one.registry.delete(&Call::internal(), kind("ipaddresses"), "", &address, &options).await.unwrap();
    one.eventually("the record is there again", async || other.get("ipaddresses", "", &address).await).await;
    let reason = |reason: &'static str| {
        let one = &one;
        async move || one.list("events").await.into_iter().find(|event| event["reason"] == reason)
    };
    let event = one.eventually("the event", reason("ClusterIPNotAllocated")).await;
    assert_eq!(event["message"], format!("Cluster IP [IPv4]: {address} is not allocated; repairing"));
    let leaked = json!({
        "metadata": {"name": "10.96.0.99", "labels": {
            "ipaddress.kubernetes.io/ip-family": "IPv4", "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
        }},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "nobody"}},
    });
    one.registry.create(&Call::internal(), kind("ipaddresses"), "", leaked).await.unwrap();
    one.eventually("the leaked record goes", async || {
        other.get("ipaddresses", "", "10.96.0.99").await.is_none().then_some(())
    })
    .await;
    one.eventually("the event", reason("IPAddressNotAllocated")).await;
    assert_eq!(one.agreed().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_follow_the_servers() {
    let [one, other] = Server::two().await;
    let pace = Pace { renew: Duration::from_millis(100), life: Duration::from_millis(5000) };
    for server in [&one, &other] {
        let masters = Masters::join(&server.registry, &server.facts, pace).await.unwrap();
        server.context.spawn_graceful("masters", masters.keep(server.context.child()));
    }
    // A third one, that is killed: from then on nobody renews its record.
    let storage = one.registry.storage().clone();
    let third = tokio::spawn(async move {
        let mut turn = tokio::time::interval(pace.renew);
        loop {
            turn.tick().await;
            storage.put_record("/registry/masterleases/192.0.2.3", "{}".into()).await.unwrap();
        }
    });
    let lead_to = |wanted: &'static [&'static str]| {
        let one = &one;
        async move || {
            let slice = one.get("endpointslices", "default", "kubernetes").await?;
            let legacy = one.get("endpoints", "default", "kubernetes").await?;
            let new: Vec<_> = object::list(&slice, "/endpoints").iter().map(|e| e["addresses"][0].clone()).collect();
            let old: Vec<_> =
                object::list(&legacy, "/subsets/0/addresses").iter().map(|address| address["ip"].clone()).collect();
            (new == wanted && old == wanted).then_some(())
        }
    };
    one.eventually("all three", lead_to(&["192.0.2.1", "192.0.2.2", "192.0.2.3"])).await;
    third.abort();
    one.eventually("the dead one is taken out", lead_to(&["192.0.2.1", "192.0.2.2"])).await;
    other.context.stop();
    one.eventually("the one that ends takes itself out", lead_to(&["192.0.2.1"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_at_once_what_another_one_wrote() {
    let [one, other] = Server::two().await;
    for number in 0..50 {
        let object = json!({"metadata": {"name": format!("m{number}")}, "data": {"k": "v"}});
        one.registry.create(&Call::internal(), kind("configmaps"), "default", object).await.unwrap();
        assert!(other.get("configmaps", "default", &format!("m{number}")).await.is_some(), "{number}");
        assert_eq!(other.list("configmaps").await.len(), number + 1);
    }
}
