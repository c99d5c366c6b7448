//! Addresses and node ports of Services (upstream: pkg/registry/core/service/storage/alloc.go). Free is what no stored
//! Service has and nobody was promised a moment ago; the ranges of addresses are the ServiceCIDR objects. One server
//! decides at a time; several servers on one store will need the promises in the store.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::kinds::{self, KindRef};
use api::{FieldError, Path, Status, object};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Admission, Attributes, Operation};
use crate::storage::{ListQuery, Storage};

/// A promise that was not kept (the write failed, or was a dry run) is free again after this long.
const PROMISE: Duration = Duration::from_secs(30);

/// What one Service holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    addresses: Vec<Ipv4Addr>,
    /// (protocol, node port)
    ports: Vec<(String, u16)>,
}

/// Who holds what: the stored Services and the promises.
#[derive(Default)]
struct Book {
    stored: HashMap<String, (u64, Held)>,
    promised: HashMap<String, (Instant, Held)>,
}

struct ServiceAllocation {
    storage: Arc<Storage>,
    node_ports: RangeInclusive<u16>,
    book: Mutex<Book>,
}

/// The plugin.
pub fn new(storage: &Arc<Storage>, node_ports: RangeInclusive<u16>) -> Box<dyn Admission> {
    Box::new(ServiceAllocation { storage: storage.clone(), node_ports, book: Mutex::default() })
}

impl Admission for ServiceAllocation {
    fn name(&self) -> &'static str {
        "ServiceAllocation"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        matches!(attributes.operation, Operation::Create | Operation::Update) && attributes.is("", "services")
    }

    fn admit<'a>(
        &'a self,
        attributes: &'a Attributes<'a>,
        service: &'a mut Value,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if !service["spec"].is_object() {
                return Ok(());
            }
            carry_over(service, attributes.old);
            let mut book = self.book.lock().await;
            self.update(&mut book).await?;
            let own = format!("{}/{}", object::namespace(service), object::name(service));
            let free =
                Free { book: &book, own: &own, ranges: self.ranges().await?, node_ports: self.node_ports.clone() };
            let errors = allocate(service, &free, |count| rand::random_range(0..count));
            if !errors.is_empty() {
                return Err(Status::invalid("", "Service", object::name(service), &errors));
            }
            // A name that is still to be generated promises under its prefix: good enough for half a minute.
            let held = held(service);
            book.promised.insert(own, (Instant::now(), held));
            Ok(())
        })
    }
}

impl ServiceAllocation {
    /// Brings the book up to date with what is stored.
    async fn update(&self, book: &mut Book) -> Result<(), Status> {
        let listing = self.storage.list(kind("", "services")?, ListQuery::default()).await?;
        let mut stored = HashMap::with_capacity(listing.entries.len());
        for entry in &listing.entries {
            let name = format!("{}/{}", entry.namespace(), entry.name());
            let known = book.stored.remove(&name).filter(|(revision, _)| *revision == entry.revision());
            let row = known.unwrap_or_else(|| (entry.revision(), held(&entry.value())));
            stored.insert(name, row);
        }
        book.stored = stored;
        book.promised.retain(|_, (since, _)| since.elapsed() < PROMISE);
        Ok(())
    }

    async fn ranges(&self) -> Result<Vec<Range>, Status> {
        let listing = self.storage.list(kind("networking.k8s.io", "servicecidrs")?, ListQuery::default()).await?;
        let objects: Vec<Value> = listing.entries.iter().map(|entry| entry.value()).collect();
        let cidrs = objects.iter().flat_map(|object| object::list(object, "/spec/cidrs"));
        Ok(cidrs.filter_map(|cidr| Range::parse(cidr.as_str()?)).collect())
    }
}

fn kind(group: &str, plural: &str) -> Result<KindRef, Status> {
    kinds::find(group, "v1", plural).map(|(kind, _)| kind).ok_or_else(Status::no_such_path)
}

/// An IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    base: u32,
    bits: u32,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits): (Ipv4Addr, u32) = (base.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 30)?);
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Some(Self { base: u32::from(base) & mask, bits })
    }

    /// How many addresses it has, without the first (the network's) and the last (broadcast).
    fn size(self) -> u32 {
        u32::MAX.checked_shr(self.bits).unwrap_or(0) - 1
    }

    fn nth(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.base + 1 + number % self.size())
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        address > self.base && address <= self.base + self.size()
    }
}

/// What may be given out.
struct Free<'a> {
    book: &'a Book,
    own: &'a str,
    ranges: Vec<Range>,
    node_ports: RangeInclusive<u16>,
}

impl Free<'_> {
    fn others(&self) -> impl Iterator<Item = &Held> {
        let stored = self.book.stored.iter().map(|(name, (_, held))| (name, held));
        let promised = self.book.promised.iter().map(|(name, (_, held))| (name, held));
        stored.chain(promised).filter(|(name, _)| *name != self.own).map(|(_, held)| held)
    }

    fn has_address(&self, address: Ipv4Addr) -> bool {
        self.others().all(|held| !held.addresses.contains(&address))
    }

    fn has_port(&self, protocol: &str, port: u16) -> bool {
        self.others().all(|held| !held.ports.iter().any(|(other, taken)| other == protocol && *taken == port))
    }
}

/// What a Service holds.
fn held(service: &Value) -> Held {
    let addresses = object::list(service, "/spec/clusterIPs").iter().filter_map(|ip| ip.as_str()?.parse().ok());
    let ports = object::list(service, "/spec/ports").iter().filter_map(|port| {
        let number = u16::try_from(port["nodePort"].as_i64()?).ok().filter(|number| *number != 0)?;
        Some((protocol(port), number))
    });
    Held { addresses: addresses.collect(), ports: ports.collect() }
}

fn protocol(port: &Value) -> String {
    port["protocol"].as_str().unwrap_or("TCP").to_string()
}

/// What an update leaves out it keeps: clients that do not know the allocated fields must not lose them.
fn carry_over(service: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    let (kind, before) = (object::text(service, "/spec/type").to_string(), object::text(old, "/spec/type"));
    let needs_ports = |kind: &str| kind == "NodePort" || kind == "LoadBalancer";
    if kind == "ExternalName" {
        if before != "ExternalName" && service["spec"]["clusterIP"] == old["spec"]["clusterIP"] {
            release_addresses(service);
        }
    } else if before != "ExternalName" && object::text(service, "/spec/clusterIP").is_empty() {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            if let Some(value) = old["spec"].get(field) {
                service["spec"][field] = value.clone();
            }
        }
    }
    let old_ports = object::list(old, "/spec/ports");
    let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for port in ports {
        let same = old_ports.iter().find(|o| o["port"] == port["port"] && protocol(o) == protocol(port));
        let taken = same.and_then(|old| old.get("nodePort")).filter(|number| **number != json!(0)).cloned();
        let Some(taken) = taken else { continue };
        let unset = port["nodePort"].as_i64().unwrap_or(0) == 0;
        if needs_ports(&kind) && unset {
            port["nodePort"] = taken;
        } else if !needs_ports(&kind) && needs_ports(before) && port["nodePort"] == taken {
            port["nodePort"] = Value::Null;
        }
        if let Some(map) = port.as_object_mut() {
            map.retain(|_, value| !value.is_null());
        }
    }
}

fn release_addresses(service: &mut Value) {
    if let Some(spec) = service["spec"].as_object_mut() {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
        }
    }
}

/// Gives the Service what it lacks; says what it asks for and cannot have. `pick(n)` chooses one of n.
fn allocate(service: &mut Value, free: &Free<'_>, pick: impl Fn(u32) -> u32) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = object::text(service, "/spec/type").to_string();
    if kind != "ExternalName" {
        errors.extend(address(service, free, &pick));
    }
    let wants_ports = match kind.as_str() {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != json!(false),
        _ => false,
    };
    errors.extend(ports(service, free, wants_ports, &pick));
    errors
}

fn address(service: &mut Value, free: &Free<'_>, pick: &impl Fn(u32) -> u32) -> Option<FieldError> {
    let spec = Path::new("spec");
    if object::text(service, "/spec/ipFamilyPolicy") == "RequireDualStack" {
        let why = "This cluster is not configured for dual-stack services";
        return Some(FieldError::invalid(&spec.child("ipFamilyPolicy"), &json!("RequireDualStack"), why));
    }
    let listed = object::list(service, "/spec/clusterIPs").first().and_then(Value::as_str);
    let wanted = match object::text(service, "/spec/clusterIP") {
        "" => listed.unwrap_or_default().to_string(),
        set => set.to_string(),
    };
    let path = spec.child("clusterIPs");
    let given = match wanted.as_str() {
        "None" => wanted,
        "" => match pick_address(free, pick) {
            Some(address) => address.to_string(),
            None => return Some(FieldError::internal(&path, "failed to allocate a serviceIP: range is full")),
        },
        text => {
            // What is no address is for the validation to say.
            if let Ok(address) = text.parse() {
                let why = refuse_address(free, address).map(|why| format!("failed to allocate IP {text}: {why}"));
                if let Some(why) = why {
                    return Some(FieldError::invalid(&path, &json!([text]), why));
                }
            }
            wanted
        }
    };
    service["spec"]["clusterIP"] = json!(given);
    service["spec"]["clusterIPs"] = json!([given]);
    let fields = [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))];
    for (field, value) in fields {
        if service["spec"].get(field).is_none_or(Value::is_null) {
            service["spec"][field] = value;
        }
    }
    None
}

fn refuse_address(free: &Free<'_>, address: Ipv4Addr) -> Option<String> {
    if !free.ranges.iter().any(|range| range.contains(address)) {
        let ranges: Vec<String> =
            free.ranges.iter().map(|range| format!("{}/{}", Ipv4Addr::from(range.base), range.bits)).collect();
        let valid = ranges.join(", ");
        return Some(format!(
            "the provided IP ({address}) is not in the valid range. The range of valid IPs is {valid}"
        ));
    }
    (!free.has_address(address)).then(|| "provided IP is already allocated".to_string())
}

fn pick_address(free: &Free<'_>, pick: &impl Fn(u32) -> u32) -> Option<Ipv4Addr> {
    free.ranges.iter().find_map(|range| {
        let start = pick(range.size());
        // A full turn from a random start.
        (0..range.size()).map(|step| range.nth(start.wrapping_add(step))).find(|address| free.has_address(*address))
    })
}

fn ports(service: &mut Value, free: &Free<'_>, wanted: bool, pick: &impl Fn(u32) -> u32) -> Vec<FieldError> {
    let path = Path::new("spec").child("ports");
    let (first, last) = (*free.node_ports.start(), *free.node_ports.end());
    let Some(ports) = service.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return Vec::new() };
    let mut errors = Vec::new();
    // Ports of this Service: the same number may serve two protocols of the same port.
    let mut own: BTreeMap<(i64, String), u16> = BTreeMap::new();
    for (index, port) in ports.iter().enumerate() {
        let Some(number) = port["nodePort"].as_i64().filter(|number| *number != 0) else { continue };
        let refuse = |why: String| FieldError::invalid(&path.index(index).child("nodePort"), &json!(number), why);
        match u16::try_from(number) {
            Ok(number) if (first..=last).contains(&number) => {
                if free.has_port(&protocol(port), number) {
                    own.insert((port["port"].as_i64().unwrap_or(0), protocol(port)), number);
                } else {
                    errors.push(refuse("provided port is already allocated".into()));
                }
            }
            _ => errors.push(refuse(format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            ))),
        }
    }
    if !wanted {
        return errors;
    }
    for (index, port) in ports.iter_mut().enumerate() {
        if port["nodePort"].as_i64().unwrap_or(0) != 0 {
            continue;
        }
        let (number, protocol) = (port["port"].as_i64().unwrap_or(0), protocol(port));
        let sibling =
            own.iter().find(|((port, other), _)| *port == number && *other != protocol).map(|(_, node)| *node);
        let sibling = sibling.filter(|node| free.has_port(&protocol, *node));
        let taken = |node: &u16| own.iter().any(|((_, other), used)| *other == protocol && used == node);
        let count = u32::from(last - first) + 1;
        let start = pick(count);
        let turn = (0..count).filter_map(|step| u16::try_from((start + step) % count).ok()).map(|step| first + step);
        let chosen = sibling.or_else(|| turn.into_iter().find(|node| free.has_port(&protocol, *node) && !taken(node)));
        match chosen {
            Some(node) => {
                port["nodePort"] = json!(node);
                own.insert((number, protocol), node);
            }
            None => errors.push(FieldError::internal(
                &path.index(index).child("nodePort"),
                "failed to allocate a nodePort: range is full",
            )),
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocated(book: &Book, mut service: Value) -> Result<Value, String> {
        let ranges = vec![Range::parse("10.96.0.0/29").unwrap()];
        let free = Free { book, own: "default/own", ranges, node_ports: 30000..=30002 };
        let errors = allocate(&mut service, &free, |_| 0);
        if errors.is_empty() { Ok(service["spec"].take()) } else { Err(api::field::aggregate(&errors)) }
    }

    fn book(services: &[(&str, Value)]) -> Book {
        let stored = services.iter().map(|(name, spec)| ((*name).to_string(), (1, held(&json!({"spec": spec})))));
        Book { stored: stored.collect(), promised: HashMap::new() }
    }

    #[test]
    fn the_first_free_address_is_given_and_all_fields_agree() {
        let taken = book(&[("default/a", json!({"clusterIPs": ["10.96.0.1"]}))]);
        let spec = allocated(&taken, json!({"spec": {"type": "ClusterIP"}})).unwrap();
        assert_eq!(
            spec,
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.2", "clusterIPs": ["10.96.0.2"],
                   "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"})
        );
    }

    #[test]
    fn what_cannot_be_had_is_refused_in_upstreams_words() {
        let taken = book(&[("default/a", json!({"clusterIPs": ["10.96.0.1"], "ports": [{"nodePort": 30000}]}))]);
        let table = [
            (
                json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.1"}}),
                "spec.clusterIPs: Invalid value: [\"10.96.0.1\"]: failed to allocate IP 10.96.0.1: provided IP is already allocated",
            ),
            (
                json!({"spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1"}}),
                "spec.clusterIPs: Invalid value: [\"10.0.0.1\"]: failed to allocate IP 10.0.0.1: the provided IP (10.0.0.1) \
                 is not in the valid range. The range of valid IPs is 10.96.0.0/29",
            ),
            (
                json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30000}]}}),
                "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated",
            ),
            (
                json!({"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]}}),
                "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-30002",
            ),
        ];
        for (service, message) in table {
            assert_eq!(allocated(&taken, service).unwrap_err(), message);
        }
    }

    #[test]
    fn a_full_range_says_so_and_ones_own_is_ones_own() {
        let all: Vec<String> = (1..=6).map(|last| format!("10.96.0.{last}")).collect();
        let full = book(&[("default/a", json!({"clusterIPs": all}))]);
        let error = allocated(&full, json!({"spec": {"type": "ClusterIP"}})).unwrap_err();
        assert!(error.contains("range is full"), "{error}");
        let own = book(&[("default/own", json!({"clusterIPs": ["10.96.0.3"]}))]);
        assert!(allocated(&own, json!({"spec": {"clusterIP": "10.96.0.3"}})).is_ok());
    }

    #[test]
    fn node_ports_are_shared_between_protocols_of_one_port_only() {
        let ports =
            json!([{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}, {"port": 54, "protocol": "TCP"}]);
        let spec = allocated(&Book::default(), json!({"spec": {"type": "NodePort", "ports": ports}})).unwrap();
        let given: Vec<i64> = object::list(&json!({"spec": spec}), "/spec/ports")
            .iter()
            .map(|p| p["nodePort"].as_i64().unwrap())
            .collect();
        assert_eq!(given, [30000, 30000, 30001]);
    }

    #[test]
    fn headless_and_external_services_hold_nothing() {
        let headless =
            allocated(&Book::default(), json!({"spec": {"type": "ClusterIP", "clusterIP": "None"}})).unwrap();
        assert_eq!(headless["clusterIPs"], json!(["None"]));
        let external = allocated(&Book::default(), json!({"spec": {"type": "ExternalName"}})).unwrap();
        assert_eq!(external.get("clusterIP"), None);
    }

    #[test]
    fn an_update_keeps_what_it_leaves_out() {
        let old = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.4", "clusterIPs": ["10.96.0.4"],
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
        let mut same = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        carry_over(&mut same, Some(&old));
        assert_eq!(
            (&same["spec"]["clusterIP"], &same["spec"]["ports"][0]["nodePort"]),
            (&json!("10.96.0.4"), &json!(30001))
        );
        let mut plain = json!({"spec": {"type": "ClusterIP", "clusterIP": "10.96.0.4", "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30001}]}});
        carry_over(&mut plain, Some(&old));
        assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None);
        let mut external = json!({"spec": {"type": "ExternalName", "clusterIP": "10.96.0.4"}});
        carry_over(&mut external, Some(&old));
        assert_eq!(external["spec"].get("clusterIP"), None);
    }
}
