//! Routes to the pods of other nodes: each node's range by way of that node's address (what "host gateway" network
//! plugins do). The routes carry a protocol number of their own, so that only these are ever removed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol};
use rtnetlink::{Handle, RouteMessageBuilder};

use crate::rules::{Range, node_address};

/// Marks our routes (free in iproute2's rt_protos).
const PROTOCOL: RouteProtocol = RouteProtocol::Other(0x6d);

/// Range of pods → address of their node.
pub type Routes = BTreeMap<Range, Ipv4Addr>;

/// The parts of a node that routes and rules depend on.
pub(crate) fn relevant(node: Option<&Node>) -> Option<(Option<Ipv4Addr>, Option<String>)> {
    node.map(|node| (node_address(node), node.spec.as_ref().and_then(|spec| spec.pod_cidr.clone())))
}

/// The routes that the node `own` (or a machine that is no node) needs.
pub fn plan(nodes: &[Arc<Node>], own: &str) -> Routes {
    let others = nodes.iter().filter(|node| node.metadata.name.as_deref() != Some(own));
    let route = |node: &Arc<Node>| {
        let range = node.spec.as_ref()?.pod_cidr.as_deref()?.parse().ok()?;
        Some((range, node_address(node)?))
    };
    others.filter_map(route).collect()
}

/// Makes the kernel's routes of ours equal to `wanted`.
///
/// # Errors
/// When netlink refuses.
pub async fn apply(wanted: &Routes) -> anyhow::Result<()> {
    let (connection, handle, _) = rtnetlink::new_connection().context("netlink")?;
    let driver = tokio::spawn(connection);
    let result = converge(&handle, wanted).await;
    driver.abort();
    result
}

async fn converge(handle: &Handle, wanted: &Routes) -> anyhow::Result<()> {
    let filter = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let present: Vec<RouteMessage> = handle.route().get(filter).execute().try_collect().await.context("listing")?;
    let mut missing = wanted.clone();
    for route in present.into_iter().filter(|route| route.header.protocol == PROTOCOL) {
        let found = destination(&route).zip(gateway(&route));
        match found.filter(|(range, via)| wanted.get(range) == Some(via)) {
            Some((range, _)) => {
                missing.remove(&range);
            }
            None => handle.route().del(route).execute().await.context("removing")?,
        }
    }
    for (range, via) in missing {
        let route = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(range.base, range.bits)
            .gateway(via)
            .protocol(PROTOCOL)
            .build();
        handle.route().add(route).replace().execute().await.with_context(|| format!("{range} via {via}"))?;
    }
    Ok(())
}

fn destination(route: &RouteMessage) -> Option<Range> {
    let base = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })?;
    Some(Range { base, bits: route.header.destination_prefix_length })
}

fn gateway(route: &RouteMessage) -> Option<Ipv4Addr> {
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    })
}

/// Lets this network namespace forward packets.
///
/// # Errors
/// When /proc/sys is not writable.
pub fn enable_forwarding() -> std::io::Result<()> {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::serde_json::{from_value, json};

    fn node(name: &str, range: Option<&str>, address: Option<&str>) -> Arc<Node> {
        let addresses: Vec<_> =
            address.map(|address| json!({"type": "InternalIP", "address": address})).into_iter().collect();
        let node = json!({"metadata": {"name": name}, "spec": {"podCIDR": range}, "status": {"addresses": addresses}});
        Arc::new(from_value(node).unwrap())
    }

    #[test]
    fn every_other_node_with_a_range_and_an_address_gets_a_route() {
        let nodes = [
            node("own", Some("10.64.0.0/24"), Some("10.9.0.10")),
            node("peer", Some("10.64.1.0/24"), Some("10.9.0.11")),
            node("no-range", None, Some("10.9.0.12")),
            node("no-address", Some("10.64.3.0/24"), None),
        ];
        let expected = Routes::from([("10.64.1.0/24".parse().unwrap(), Ipv4Addr::new(10, 9, 0, 11))]);
        assert_eq!(plan(&nodes, "own"), expected);
        assert_eq!(plan(&nodes, "").len(), 2);
    }
}
