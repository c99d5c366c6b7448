//! Keeps Services and the records of their addresses and node ports in agreement. As both are written in one transaction, it
//! finds something only where a person (or a store from before) has put it there. Driven by two watches; every server does it,
//! and what two do at once one of them does in vain.

use std::collections::{BTreeMap, BTreeSet};
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
/// How often records that others change meanwhile are looked at again.
const ATTEMPTS: usize = 100;
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
            let entry = change.entry();
            let checked = if object::kind(&entry.value()) == "Service" {
                self.service(entry.namespace(), entry.name()).await
            } else {
                self.address(entry).await
            };
            // The others must not wait for one that cannot be repaired.
            if let Err(error) = checked {
                tracing::warn!(error = %error.message, object = entry.name(), "not repaired");
            }
        }
        Ok(())
    }

    /// No older than anything that was seen before: a watch tells of a write before it is answered, and of all that the write has
    /// brought the other kind's cache may not have it yet.
    async fn get(&self, kind: KindRef, namespace: &str, name: &str) -> Result<Option<Arc<Entry>>, Status> {
        self.registry.storage().present(kind, namespace, name).await
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
        for address in plan::held(&service.value()).addresses {
            self.service_address(&service, address).await?;
        }
        if held.ports.is_empty() { Ok(()) } else { self.service_ports(namespace, name).await }
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
        let claims = if finding.act == Act::Write { vec![claim] } else { Vec::new() };
        self.mend(service, &[finding], &claims, "ClusterIPAllocation").await.map(drop)
    }

    /// All that is wrong with the ports is put right by one write, as the next one would not find the Service as it was seen;
    /// again where others have changed the records meanwhile.
    async fn service_ports(&self, namespace: &str, name: &str) -> Result<(), Status> {
        for _ in 0..ATTEMPTS {
            let Some(service) = self.get(self.services, namespace, name).await? else { return Ok(()) };
            let (findings, claims) = self.port_findings(&service.value()).await?;
            if self.mend(&service, &findings, &claims, "PortAllocation").await? {
                break;
            }
        }
        Ok(())
    }

    /// What is wrong with the records of a Service's node ports, and the claims that put it right.
    async fn port_findings(&self, service: &Value) -> Result<(Vec<Finding>, Vec<Claim>), Status> {
        let allocator = self.registry.allocator();
        let (held, own) = (plan::held(service), allocation::owner(service));
        let records = allocator.records_of(held.ports.iter().copied()).await?;
        let (mut changes, mut findings) = (BTreeMap::new(), Vec::new());
        for port in &held.ports {
            let owner = records.owner(*port);
            let owner_holds = match owner {
                Some(owner) if owner != own => self.ports_of(owner).await?.contains(port),
                _ => false,
            };
            let in_range = allocator.node_ports().contains(port);
            let Some(finding) = findings::of_port(&own, *port, in_range, owner, owner_holds) else { continue };
            if finding.act == Act::Write {
                changes.insert(*port, Some(own.clone()));
            }
            findings.push(finding);
        }
        Ok((findings, records.claims(&changes)))
    }

    /// The node ports that the Service `namespace/name` has, if there is one.
    async fn ports_of(&self, owner: &str) -> Result<BTreeSet<u16>, Status> {
        let (namespace, name) = owner.split_once('/').unwrap_or_default();
        let service = self.get(self.services, namespace, name).await?;
        Ok(service.map(|service| plan::held(&service.value()).ports).unwrap_or_default())
    }

    /// Writes the records together with the Service as it was seen. Where the Service has changed meanwhile, the findings may
    /// be wrong, and its change leads here again. `false` if anything was not as it was seen.
    async fn mend(
        &self,
        service: &Entry,
        findings: &[Finding],
        claims: &[Claim],
        action: &str,
    ) -> Result<bool, Status> {
        if findings.is_empty() {
            return Ok(true);
        }
        let (storage, object) = (self.registry.storage(), service.value());
        let (namespace, name, revision) = (service.namespace(), service.name(), service.revision());
        let still = if claims.is_empty() {
            self.get(self.services, namespace, name).await?.is_some_and(|now| now.revision() == revision)
        } else {
            let written = storage.update_with(self.services, namespace, name, revision, &object, claims).await?;
            matches!(written, Updated::Done(_))
        };
        if still {
            for finding in findings {
                self.tell(&object, finding, action).await;
            }
        }
        Ok(still)
    }

    async fn address(&self, record: &Entry) -> Result<(), Status> {
        let known = |kind, namespace: &str, name: &str| {
            self.registry.storage().known(kind, namespace, name).map(|entry| entry.value())
        };
        if let Some(present) = known(self.addresses, "", record.name()) {
            let parent = |field: &str| object::text(&present, &format!("/spec/parentRef/{field}"));
            let holder = known(self.services, parent("namespace"), parent("name"));
            if holder.is_some() && findings::of_address(&present, holder.as_ref()).is_none() {
                return Ok(());
            }
        }
        if let Some(holder) = self.holder(&record.value()).await? {
            self.service(object::namespace(&holder), object::name(&holder)).await?;
        }
        // A Service that goes between these two takes its record with it, and what is done below fails.
        let Some(present) = self.get(self.addresses, "", record.name()).await? else { return Ok(()) };
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
        for _ in 0..ATTEMPTS {
            let records = self.registry.allocator().node_port_records().await?;
            let (mut held, mut leaked) = (BTreeMap::new(), BTreeMap::new());
            for (port, owner) in records.all() {
                if !held.contains_key(owner) {
                    held.insert(owner, self.ports_of(owner).await?);
                }
                if !held[owner].contains(&port) {
                    tracing::warn!(port, owner, "the node port has leaked: cleaning up");
                    leaked.insert(port, None);
                }
            }
            let mut settled = true;
            for claim in records.claims(&leaked) {
                settled &= self.registry.storage().settle(&[claim]).await?;
            }
            if settled {
                break;
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

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;
