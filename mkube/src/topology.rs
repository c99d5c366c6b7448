//! The network of a local cluster: what it is made of, made and removed.
//!
//! ```text
//!   host ── mkube-<id> ┐                 host: 10.198.0.1, routes to pods and Services by way of the master
//!   master ───── eth0 ─┤ br0             master: 10.198.0.2, programs Services like every node
//!   node-1 ───── eth0 ─┤ (switch)        node-1: 10.198.0.11, pods behind it
//!   node-2 ───── eth0 ─┘                 node-2: 10.198.0.12
//! ```
//! Several masters are `master-1` (10.198.0.2, the host's way), `master-2` (10.198.0.3), and so on.
//! Each member is a network namespace. What exists is kept: pods of a cluster whose supervisor died go on meanwhile.
//! A packet from the host to a pod goes by way of the master, the answer comes directly, as the host is on the switch.

use anyhow::Context as _;

use crate::layout::Cluster;
use crate::net::cidr::{FIRST_NODE, HOST, MASTER};
use crate::net::{self, namespace};

/// Makes the switch, and connects the host to it, where that is missing.
///
/// # Errors
/// Netlink's; without root.
pub fn make_switch(cluster: &Cluster) -> anyhow::Result<()> {
    let switch = cluster.namespace("switch");
    if !namespace::exists(&switch) {
        namespace::create(&switch)?;
        net::in_namespace(&switch, |handle| async move { net::make_bridge(&handle).await })?;
    }
    connect_host(cluster, &switch)
}

/// Who is on the switch besides the host, and the last byte of their address: the masters first.
pub fn members(cluster: &Cluster) -> impl Iterator<Item = (String, u8)> {
    let masters = cluster.masters().into_iter().map(|master| (master.name, master.last));
    masters.chain(cluster.node_names().into_iter().zip(FIRST_NODE..))
}

/// Connects a member to the switch, if it is not yet.
///
/// # Errors
/// As [`make_switch`].
pub fn connect(cluster: &Cluster, member: &str, last: u8) -> anyhow::Result<()> {
    let address = |last: u8| cluster.ranges.node_address(last).map_err(anyhow::Error::msg);
    let name = cluster.namespace(member);
    if namespace::exists(&name) {
        return Ok(());
    }
    namespace::create(&name)?;
    let (member, target, switch) = (member.to_string(), name.clone(), cluster.namespace("switch"));
    net::in_namespace(&switch, |handle| async move { net::plug(&handle, &member, &target).await })?;
    let (own, host) = (address(last)?, address(HOST)?);
    net::in_namespace(&name, move |handle| async move {
        net::address(&handle, "eth0", own).await?;
        net::route(&handle, "0.0.0.0/0", host).await
    })
}

fn connect_host(cluster: &Cluster, switch: &str) -> anyhow::Result<()> {
    let device = cluster.host_device();
    let (host, master) = (cluster.ranges.node_address(HOST), cluster.ranges.node_address(MASTER));
    let (host, master) = (host.map_err(anyhow::Error::msg)?, master.map_err(anyhow::Error::msg)?);
    let (pods, services) = (cluster.ranges.pods.clone(), cluster.ranges.services.clone());
    let switch_name = switch.to_string();
    let made = namespace::on_thread(move || {
        Ok(net::with_netlink(|handle| async move {
            if net::has_link(&handle, &device).await {
                return Ok(false);
            }
            net::plug_host(&handle, &device, &switch_name).await?;
            net::address(&handle, &device, host).await?;
            net::route(&handle, &pods, master).await?;
            net::route(&handle, &services, master).await?;
            Ok(true)
        }))
    });
    if made.context("host")?.context("connecting the host")? {
        net::in_namespace(switch, |handle| async move { net::join_bridge(&handle, "host").await })?;
    }
    Ok(())
}

/// Removes everything of it. What is gone already is no error.
///
/// # Errors
/// Netlink's.
pub fn remove(cluster: &Cluster) -> anyhow::Result<()> {
    // Before the namespace that has its other end: with that it would go, too, but only some time later.
    let device = cluster.host_device();
    let removed = namespace::on_thread(move || {
        Ok(net::with_netlink(|handle| async move { net::remove_link(&handle, &device).await }))
    });
    removed.context("host")??;
    for name in namespace::named(&cluster.namespace("")) {
        namespace::remove(&name).with_context(|| format!("removing network namespace {name}"))?;
    }
    Ok(())
}
