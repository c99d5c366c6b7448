//! The `kubernetes` Service in `default`, with the API servers as its endpoints (upstream: pkg/controlplane/controller/
//! kubernetesservice and pkg/controlplane/reconcilers). It has no selector: its endpoints are ours to write.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::{Status, kinds, object};
use serde_json::{Value, json};

use super::Facts;
use crate::registry::{Call, Registry, Target};
use crate::storage::Freshness;

/// Its name, and that of its endpoints.
pub const NAME: &str = "kubernetes";
/// Where they are.
pub const NAMESPACE: &str = "default";

/// Makes sure of the Service and its ports. For the start only: servers that differ about the ports would never agree.
///
/// # Errors
/// `Invalid` while another Service has its address; when the range is none, or the store fails.
pub async fn reconcile(registry: &Registry, facts: &Facts) -> Result<bool, Status> {
    put(registry, wanted(facts)?, &["/spec/ports"]).await
}

/// Creates the Service if it is not there; says whether it did.
///
/// # Errors
/// As [`reconcile`].
pub async fn ensure(registry: &Registry, facts: &Facts) -> Result<bool, Status> {
    put(registry, wanted(facts)?, &[]).await
}

/// Makes these servers, one or more, the endpoints of the Service; says whether anything had to change.
///
/// # Errors
/// When an object is refused or the store fails.
pub async fn endpoints(registry: &Registry, facts: &Facts, servers: &[IpAddr]) -> Result<bool, Status> {
    let legacy = put(registry, legacy(facts, servers), &["/subsets"]).await?;
    Ok(put(registry, slice(facts, servers), &["/endpoints", "/ports"]).await? || legacy)
}

fn wanted(facts: &Facts) -> Result<Value, Status> {
    let range = &facts.service_range;
    let address = first_address(range)
        .ok_or_else(|| Status::bad_request(format!("--service-cluster-ip-range {range:?} is no range of addresses")))?;
    Ok(service(address, facts.port))
}

/// The first usable address of a range: the one after its base.
pub fn first_address(range: &str) -> Option<IpAddr> {
    let (base, bits) = range.split(',').next()?.trim().split_once('/')?;
    let bits: u32 = bits.parse().ok()?;
    match base.parse().ok()? {
        IpAddr::V4(base) if bits <= 31 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(Ipv4Addr::from((u32::from(base) & mask) + 1).into())
        }
        IpAddr::V6(base) if bits <= 127 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Some(Ipv6Addr::from((u128::from(base) & mask) + 1).into())
        }
        _ => None,
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn service(address: IpAddr, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP", "clusterIP": address.to_string(), "clusterIPs": [address.to_string()],
            "ipFamilies": [family(address)], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "internalTrafficPolicy": "Cluster",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": port}],
        },
    })
}

fn legacy(facts: &Facts, servers: &[IpAddr]) -> Value {
    let addresses: Vec<Value> = servers.iter().map(|server| json!({"ip": server.to_string()})).collect();
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": NAME, "namespace": NAMESPACE,
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{
            "addresses": addresses,
            "ports": [{"name": "https", "port": facts.port, "protocol": "TCP"}],
        }],
    })
}

fn slice(facts: &Facts, servers: &[IpAddr]) -> Value {
    let endpoint = |server: &IpAddr| json!({"addresses": [server.to_string()], "conditions": {"ready": true}});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": NAME}},
        "addressType": family(facts.advertise),
        "endpoints": servers.iter().map(endpoint).collect::<Vec<_>>(),
        "ports": [{"name": "https", "port": facts.port, "protocol": "TCP"}],
    })
}

/// How often another server may do the same in the same moment.
const ATTEMPTS: usize = 20;
/// What one is told then: `Invalid`, as the address of the Service is taken.
const BEATEN: &[&str] = &["AlreadyExists", "Conflict", "Invalid"];

/// Creates the object, or brings `fields` of the present one up to date; says whether it had to.
async fn put(registry: &Registry, wanted: Value, fields: &[&str]) -> Result<bool, Status> {
    let mut attempt = 1;
    loop {
        match try_put(registry, &wanted, fields).await {
            // Another server was faster: what is there now is looked at anew.
            Err(status) if attempt < ATTEMPTS && BEATEN.iter().any(|reason| status.is(reason)) => attempt += 1,
            done => return done,
        }
    }
}

async fn try_put(registry: &Registry, wanted: &Value, fields: &[&str]) -> Result<bool, Status> {
    let found = kinds::by_api_version(object::api_version(wanted), object::kind(wanted));
    let (kind, _) = found.ok_or_else(|| Status::internal("kind without a row"))?;
    let call = Call::internal();
    let Some(entry) = registry.storage().get(kind, NAMESPACE, NAME, Freshness::Latest).await? else {
        return registry.create(&call, kind, NAMESPACE, wanted.clone()).await.map(|_| true);
    };
    let present = entry.value();
    let mut merged = present.clone();
    for field in fields {
        if let Some(value) = object::at(wanted, field) {
            object::set(&mut merged, field, value.clone());
        }
    }
    if merged == present {
        return Ok(false);
    }
    registry.update(&call, kind, NAMESPACE, NAME, Target::Main, merged).await.map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_follows_the_base() {
        let table = [
            ("10.96.0.0/16", Some("10.96.0.1")),
            ("10.96.7.9/16", Some("10.96.0.1")),
            ("fd00:1::/112", Some("fd00:1::1")),
            ("10.96.0.0/12,fd00::/108", Some("10.96.0.1")),
            ("10.96.0.0", None),
            ("10.96.0.0/33", None),
            ("x/8", None),
        ];
        for (range, expected) in table {
            assert_eq!(first_address(range).map(|a| a.to_string()).as_deref(), expected, "{range}");
        }
    }

    #[test]
    fn the_service_leads_to_the_servers() {
        let facts = Facts {
            advertise: IpAddr::from([10, 0, 0, 1]),
            port: 6443,
            service_range: "10.96.0.0/16".into(),
            client_ca: None,
        };
        let servers = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
        let subset = &legacy(&facts, &servers)["subsets"][0];
        assert_eq!((&subset["ports"][0]["port"], &subset["addresses"][1]["ip"]), (&json!(6443), &json!("10.0.0.2")));
        let slice = slice(&facts, &servers);
        assert_eq!((&slice["addressType"], slice["endpoints"].as_array().unwrap().len()), (&json!("IPv4"), 2));
        assert_eq!(service(IpAddr::from([10, 96, 0, 1]), 6443)["spec"]["ports"][0]["targetPort"], 6443);
    }
}
