//! Keeps Services and the records of their addresses and node ports in agreement. As both are written in one transaction, it
//! finds something only where a person (or a store from before) has put it there. Driven by two watches; every server does it,
//! and what two do at once one of them does in vain.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use api::kinds::{self, KindRef};
use api::{Status, object};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::findings::{self, Act, Finding};
use crate::allocation::{self, plan};
use crate::registry::{Call, Registry, timestamp};
use crate::storage::{Claim, Entry, Freshness, ListQuery, Predicate, Updated, WatchFrom, WatchItem, WatchQuery};

const PAUSE: Duration = Duration::from_secs(1);
/// Services looked at side by side in the first pass.
const AT_ONCE: usize = 64;

/// Writes the records that are missing, once: a server that gives something out must know what is given out already.
///
/// # Errors
/// What the storage says.
pub async fn complete(registry: &Arc<Registry>) -> Result<(), Status> {
    let Some(repair) = Repair::new(registry.clone()) else { return Ok(()) };
    for plural in [repair.services, repair.addresses] {
        // Both caches are there and up to date from here on.
        registry.storage().get(plural, "", "-", Freshness::Latest).await?;
    }
    let services = registry.storage().list(repair.services, ListQuery::default()).await?;
    stream::iter(services.entries.iter().map(Ok))
        .try_for_each_concurrent(AT_ONCE, |service| repair.service(service.namespace(), service.name()))
        .await
}

/// Watches and repairs until its task is dropped.
pub async fn run(registry: Arc<Registry>) {
    let Some(repair) = Repair::new(registry) else { return };
    loop {
        if let Err(error) = repair.follow().await {
            tracing::warn!(error = %error.message, "the records of Services cannot be checked, going on");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn kind(group: &str, plural: &str) -> Option<KindRef> {
    kinds::find(group, "v1", plural).map(|(kind, _)| kind)
}

struct Repair {
    registry: Arc<Registry>,
    services: KindRef,
    addresses: KindRef,
}

impl Repair {
    fn new(registry: Arc<Registry>) -> Option<Self> {
        let (services, addresses) = (kind("", "services")?, kind("networking.k8s.io", "ipaddresses")?);
        Some(Self { registry, services, addresses })
    }

    /// Everything there is, then every change.
    async fn follow(&self) -> Result<(), Status> {
        let watch = |kind| {
            let query = WatchQuery {
                namespace: None,
                name: None,
                from: WatchFrom::State(Freshness::Latest),
                initial_events: false,
                bookmarks: false,
                predicate: Predicate::default(),
            };
            self.registry.storage().watch(kind, query)
        };
        let mut both = futures::stream::select(watch(self.services).await?, watch(self.addresses).await?);
        self.forgotten_ports().await?;
        while let Some(item) = both.next().await {
            let (WatchItem::Added(change) | WatchItem::Modified(change) | WatchItem::Deleted(change)) = item? else {
                continue;
            };
            // A record that went leaves its Service to be looked at, and so does one that came: whose it is may be wrong.
            let value = change.entry().value();
            let checked = if object::kind(&value) == "Service" {
                self.service(object::namespace(&value), object::name(&value)).await
            } else {
                self.address(&value).await
            };
            if let Err(error) = checked {
                tracing::warn!(error = %error.message, object = object::name(&value), "not repaired");
            }
        }
        Ok(())
    }

    async fn get(&self, kind: KindRef, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        self.registry.storage().get(kind, namespace, name, Freshness::Latest).await
    }

    /// The Service that a record names.
    async fn holder(&self, record: &Value) -> Result<Option<Value>, Status> {
        let parent = |field: &str| object::text(record, &format!("/spec/parentRef/{field}"));
        if (parent("group"), parent("resource")) != ("", "services") {
            return Ok(None);
        }
        Ok(self.get(self.services, parent("namespace"), parent("name")).await?.map(|service| service.value()))
    }

    /// What the caches have is mostly right, and costs nothing to look at; before something is done about what is not, what is
    /// stored is.
    async fn service(&self, namespace: &str, name: &str) -> Result<(), Status> {
        let Some(known) = self.registry.storage().known(self.services, namespace, name) else { return Ok(()) };
        let held = plan::held(&known.value());
        if self.recorded(&known.value(), &held).await? && held.ports.is_empty() {
            return Ok(());
        }
        let Some(service) = self.get(self.services, namespace, name).await? else { return Ok(()) };
        let held = plan::held(&service.value());
        for address in &held.addresses {
            self.service_address(&service, *address).await?;
        }
        if !held.ports.is_empty() {
            self.service_ports(&service, &held).await?;
        }
        Ok(())
    }

    /// Whether the caches show the right record for every address.
    async fn recorded(&self, service: &Value, held: &plan::Held) -> Result<bool, Status> {
        let ranges = self.registry.allocator().ranges(false, Freshness::Any).await?;
        Ok(held.addresses.iter().all(|address| {
            let record =
                self.registry.storage().known(self.addresses, "", &address.to_string()).map(|entry| entry.value());
            let in_range = ranges.iter().any(|range| range.contains(*address));
            findings::of_service(service, *address, in_range, record.as_ref(), None).is_none()
        }))
    }

    async fn service_address(&self, service: &Entry, address: Ipv4Addr) -> Result<(), Status> {
        let entry = self.get(self.addresses, "", &address.to_string()).await?;
        let record = entry.as_ref().map(|entry| entry.value());
        let holder = match &record {
            Some(record) => self.holder(record).await?,
            None => None,
        };
        let ranges = self.registry.allocator().ranges(false, Freshness::Latest).await?;
        let in_range = ranges.iter().any(|range| range.contains(address));
        let object = service.value();
        let Some(finding) = findings::of_service(&object, address, in_range, record.as_ref(), holder.as_ref()) else {
            return Ok(());
        };
        let mut claim = self.registry.allocator().take_address(address, &object, self.registry.now())?;
        claim.expected = entry.map_or(0, |entry| entry.revision());
        self.mend(service, &finding, claim, "ClusterIPAllocation").await
    }

    async fn service_ports(&self, service: &Entry, held: &plan::Held) -> Result<(), Status> {
        let allocator = self.registry.allocator();
        let owners = allocator.port_owners().await?;
        let owners: BTreeMap<u16, (String, u64)> =
            owners.into_iter().map(|(port, owner, revision)| (port, (owner, revision))).collect();
        let object = service.value();
        for port in &held.ports {
            let owner = owners.get(port);
            let owner_holds = match owner {
                Some((owner, _)) => self.holds(owner, *port).await?,
                None => false,
            };
            let (name, in_range) = (allocation::owner(&object), allocator.node_ports().contains(port));
            let owner_name = owner.map(|(owner, _)| owner.as_str());
            let Some(finding) = findings::of_port(&name, *port, in_range, owner_name, owner_holds) else { continue };
            let mut claim = allocation::take_port(*port, &object);
            claim.expected = owner.map_or(0, |(_, revision)| *revision);
            self.mend(service, &finding, claim, "PortAllocation").await?;
        }
        Ok(())
    }

    /// Whether `namespace/name` is a Service that has this node port.
    async fn holds(&self, owner: &str, port: u16) -> Result<bool, Status> {
        let (namespace, name) = owner.split_once('/').unwrap_or_default();
        let service = self.get(self.services, namespace, name).await?;
        Ok(service.is_some_and(|service| plan::held(&service.value()).ports.contains(&port)))
    }

    /// Writes the record together with the Service as it was seen. Where the Service has changed meanwhile, the finding may
    /// be wrong, and its change leads here again.
    async fn mend(&self, service: &Entry, finding: &Finding, claim: Claim, action: &str) -> Result<(), Status> {
        let (storage, object) = (self.registry.storage(), service.value());
        let (namespace, name, revision) = (service.namespace(), service.name(), service.revision());
        let still = if finding.act == Act::Write {
            let written = storage.update_with(self.services, namespace, name, revision, &object, &[claim]).await?;
            matches!(written, Updated::Done(_))
        } else {
            self.get(self.services, namespace, name).await?.is_some_and(|now| now.revision() == revision)
        };
        if still {
            self.tell(&object, finding, action).await;
        }
        Ok(())
    }

    async fn address(&self, record: &Value) -> Result<(), Status> {
        let known = |kind, namespace: &str, name: &str| {
            self.registry.storage().known(kind, namespace, name).map(|entry| entry.value())
        };
        if let Some(present) = known(self.addresses, "", object::name(record)) {
            let parent = |field: &str| object::text(&present, &format!("/spec/parentRef/{field}"));
            let holder = known(self.services, parent("namespace"), parent("name"));
            if holder.is_some() && findings::of_address(&present, holder.as_ref()).is_none() {
                return Ok(());
            }
        }
        if let Some(holder) = self.holder(record).await? {
            self.service(object::namespace(&holder), object::name(&holder)).await?;
        }
        // The Service is read before the record: one that goes takes its record with it.
        let Some(present) = self.get(self.addresses, "", object::name(record)).await? else { return Ok(()) };
        let holder = self.holder(&present.value()).await?;
        let Some(finding) = findings::of_address(&present.value(), holder.as_ref()) else { return Ok(()) };
        let claim = self.registry.storage().claim(self.addresses, present.name(), present.revision(), None)?;
        if self.registry.storage().settle(&[claim]).await? {
            self.tell(&present.value(), &finding, "IPAddressAllocation").await;
        }
        Ok(())
    }

    /// Records of node ports that no Service has: they name nobody, so no change of a Service leads to them.
    async fn forgotten_ports(&self) -> Result<(), Status> {
        let owners = self.registry.allocator().port_owners().await?;
        for (port, owner, revision) in owners {
            if !self.holds(&owner, port).await? {
                tracing::warn!(port, owner, "the node port has leaked: cleaning up");
                self.registry.storage().settle(&[allocation::drop_port(port, revision)]).await?;
            }
        }
        Ok(())
    }

    /// An event about the object; that it cannot be written stops nothing.
    async fn tell(&self, about: &Value, finding: &Finding, action: &str) {
        if finding.reason.is_empty() {
            return;
        }
        let (namespace, name) = (object::namespace(about), object::name(about));
        tracing::warn!(object = name, reason = finding.reason, note = finding.note, "repair");
        let Some(events) = kind("", "events") else { return };
        let place = if namespace.is_empty() { "default" } else { namespace };
        let now = self.registry.now();
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": format!("{name}.{:016x}", rand::random::<u64>()), "namespace": place},
            "involvedObject": {
                "apiVersion": object::api_version(about), "kind": object::kind(about), "namespace": namespace,
                "name": name, "uid": object::uid(about), "resourceVersion": object::resource_version(about),
            },
            "type": "Warning", "reason": finding.reason, "message": finding.note, "action": action,
            "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string(),
            "firstTimestamp": timestamp(now), "lastTimestamp": timestamp(now), "count": 1,
            "reportingComponent": "ipallocator-repair-controller", "reportingInstance": "mkube-apiserver",
        });
        if let Err(error) = self.registry.create(&Call::internal(), events, place, event).await {
            tracing::debug!(error = %error.message, "event not written");
        }
    }
}
