//! Addresses and node ports of Services. What is given out is recorded in the store, and written and removed in the very
//! transaction that writes or removes the Service: several servers on one store can neither give one thing out twice nor
//! lose track of it (upstream: pkg/registry/core/service, whose servers write the record first and repair what that leaves
//! behind when they die in between).
//!
//! An address is an IPAddress object, as upstream's, so that other users of the ranges are seen and people can look. Node
//! ports are in records of their own, a block of them in each, that name their Services. Upstream keeps one bitmap of all ports
//! in a single RangeAllocation object; its writers all wait for each other, and a bit cannot say whose it is. Nothing but the
//! API server ever reads either.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | what a Service gets, and what it cannot have: pure |
//! | [`families`] | of which families its addresses are: pure |
//! | [`node_ports`] | the records of node ports |
//! | [`range`] | ranges of addresses and ports, and their bands: pure |

pub mod families;
pub mod node_ports;
pub mod plan;
pub mod range;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use api::kinds::{self, KindRef};
use api::{Status, object};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::storage::{Claim, Freshness, ListQuery, Storage};
use node_ports::NodePorts;
use plan::{Free, held};
use range::Range;

/// Who manages the IPAddress objects of Services: upstream's name (ipallocator.ControllerName).
pub const MANAGER: &str = "ipallocator.k8s.io";
/// Label of an IPAddress: who manages it.
pub const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// Label of an IPAddress: `IPv4` or `IPv6`.
pub const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";

/// The kinds that it works with.
struct Kinds {
    services: KindRef,
    addresses: KindRef,
    cidrs: KindRef,
}

/// Gives out addresses and node ports.
pub struct Allocator {
    storage: Arc<Storage>,
    node_ports: RangeInclusive<u16>,
    kinds: Kinds,
}

impl Allocator {
    /// Over this storage; node ports come from this range.
    pub fn new(storage: Arc<Storage>, node_ports: RangeInclusive<u16>) -> Self {
        let of = |group: &str, plural: &str| match kinds::find(group, "v1", plural) {
            Some((kind, _)) => kind,
            None => unreachable!("{plural} stand in the table of kinds"),
        };
        let kinds = Kinds {
            services: of("", "services"),
            addresses: of("networking.k8s.io", "ipaddresses"),
            cidrs: of("networking.k8s.io", "servicecidrs"),
        };
        Self { storage, node_ports, kinds }
    }

    /// Whether objects of this kind hold anything.
    pub fn concerns(&self, kind: KindRef) -> bool {
        std::ptr::eq(kind, self.kinds.services)
    }

    /// Where node ports come from.
    pub fn node_ports(&self) -> &RangeInclusive<u16> {
        &self.node_ports
    }

    /// Gives a Service what it lacks, without writing anything: what somebody else is given in the same moment shows when
    /// the claims are not to be had.
    ///
    /// # Errors
    /// In upstream's words, for what it asks for and cannot have, and when a range is full.
    pub async fn fill(&self, service: &mut Value, old: Option<&Value>) -> Result<(), Status> {
        if !service["spec"].is_object() {
            return Ok(());
        }
        plan::carry_over(service, old);
        let own_ports = old.map(|old| held(old).ports).unwrap_or_default();
        // Waits until the cache is up to date; the name is nobody's.
        self.storage.get(self.kinds.addresses, "", "-", Freshness::Latest).await?;
        let taken_ports = match plan::concerns_ports(service) {
            true => self.taken_ports(&own_ports).await?,
            false => BTreeSet::new(),
        };
        let taken = |address: Ipv4Addr| self.storage.known(self.kinds.addresses, "", &address.to_string()).is_some();
        let (ranges, node_ports) = (self.ranges(true, Freshness::Latest).await?, self.node_ports.clone());
        let free = Free { taken: &taken, taken_ports, ranges, node_ports, own_ports };
        let filled = plan::fill(service, old, &free, &|count| rand::random_range(0..count));
        filled.map_err(|refusal| refusal.status(object::name(service)))
    }

    async fn taken_ports(&self, own: &BTreeSet<u16>) -> Result<BTreeSet<u16>, Status> {
        Ok(self.node_port_records().await?.all().map(|(port, _)| port).filter(|port| !own.contains(port)).collect())
    }

    /// The ranges of addresses; with `ready`, only those that may still give something out.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn ranges(&self, ready: bool, freshness: Freshness) -> Result<Vec<Range>, Status> {
        let listing = self.storage.list(self.kinds.cidrs, ListQuery { freshness, ..ListQuery::default() }).await?;
        let objects: Vec<Value> = listing.entries.iter().map(|entry| entry.value()).collect();
        Ok(range::of(&objects, ready))
    }

    /// What the write that makes `new` of `old` claims and gives back. Only what is recorded as this Service's is given back.
    /// `None` if a node port that it takes has been given to another Service meanwhile.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn claims(
        &self,
        new: Option<&Value>,
        old: Option<&Value>,
        now: Timestamp,
    ) -> Result<Option<Vec<Claim>>, Status> {
        let (after, before) = (new.map(held).unwrap_or_default(), old.map(held).unwrap_or_default());
        let mut claims = Vec::new();
        if let Some(service) = new {
            for address in after.addresses.iter().filter(|address| !before.addresses.contains(address)) {
                claims.push(self.take_address(*address, service, now)?);
            }
        }
        if let Some(service) = old {
            for address in before.addresses.iter().filter(|address| !after.addresses.contains(address)) {
                claims.extend(self.free_address(*address, service).await?);
            }
        }
        let records = self.records_of(after.ports.symmetric_difference(&before.ports).copied()).await?;
        let name = new.or(old).map(owner).unwrap_or_default();
        let mut changes = BTreeMap::new();
        for port in after.ports.difference(&before.ports) {
            if records.owner(*port).is_some_and(|other| other != name) {
                return Ok(None);
            }
            changes.insert(*port, Some(name.clone()));
        }
        let freed = before.ports.difference(&after.ports).filter(|port| records.owner(**port) == Some(&name));
        changes.extend(freed.map(|port| (*port, None)));
        claims.extend(records.claims(&changes));
        Ok(Some(claims))
    }

    /// The claim of an address that nobody has yet.
    ///
    /// # Errors
    /// None in practice: the record can be encoded.
    pub fn take_address(&self, address: Ipv4Addr, service: &Value, now: Timestamp) -> Result<Claim, Status> {
        let name = address.to_string();
        let record = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {
                "name": name,
                "uid": uuid::Uuid::new_v4().to_string(),
                "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                "labels": {FAMILY: "IPv4", MANAGED_BY: MANAGER},
            },
            "spec": {"parentRef": {
                "resource": "services", "namespace": object::namespace(service), "name": object::name(service),
            }},
        });
        self.storage.claim(self.kinds.addresses, &name, 0, Some(&record))
    }

    async fn free_address(&self, address: Ipv4Addr, service: &Value) -> Result<Option<Claim>, Status> {
        let name = address.to_string();
        let Some(entry) = self.storage.get(self.kinds.addresses, "", &name, Freshness::Latest).await? else {
            return Ok(None);
        };
        if !refers_to(&entry.value(), service) {
            return Ok(None);
        }
        self.storage.claim(self.kinds.addresses, &name, entry.revision(), None).map(Some)
    }

    /// All records of node ports.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn node_port_records(&self) -> Result<NodePorts, Status> {
        Ok(NodePorts::of(self.storage.records(node_ports::PREFIX, false).await?))
    }

    /// The records that these ports are in, or would be.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn records_of(&self, ports: impl IntoIterator<Item = u16>) -> Result<NodePorts, Status> {
        let Some((first, last)) = node_ports::span(ports) else { return Ok(NodePorts::default()) };
        Ok(NodePorts::of(self.storage.records_between(first, &last).await?))
    }
}

/// Whether an IPAddress is the record of this Service.
pub fn refers_to(address: &Value, service: &Value) -> bool {
    let parent = |field: &str| object::text(address, &format!("/spec/parentRef/{field}"));
    (parent("group"), parent("resource")) == ("", "services")
        && (parent("namespace"), parent("name")) == (object::namespace(service), object::name(service))
}

/// How a record names its Service.
pub fn owner(service: &Value) -> String {
    format!("{}/{}", object::namespace(service), object::name(service))
}
