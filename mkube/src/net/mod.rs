//! The network of a local cluster: a switch (a bridge in a namespace of its own), and on it the master, the nodes and the
//! host. Netlink only.

pub mod cidr;
pub mod namespace;

use std::fs::File;
use std::future::Future;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use anyhow::Context as _;
use futures::TryStreamExt;
use kube_proxy::rules::Range;
use rtnetlink::packet_route::route::{RouteAddress, RouteAttribute};
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

/// Runs netlink calls in the namespace `name`.
///
/// # Errors
/// Those of the calls; no such namespace.
pub fn in_namespace<T, F, Fut>(name: &str, calls: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce(Handle) -> Fut + Send + 'static,
    Fut: Future<Output = anyhow::Result<T>>,
{
    let path = namespace::path(name);
    let what = format!("network namespace {name}");
    namespace::on_thread(move || {
        namespace::enter(&path)?;
        Ok(with_netlink(calls))
    })
    .context(what.clone())?
    .context(what)
}

/// Runs netlink calls in the namespace of the calling thread.
///
/// # Errors
/// Those of the calls.
pub fn with_netlink<T, F, Fut>(calls: F) -> anyhow::Result<T>
where
    F: FnOnce(Handle) -> Fut,
    Fut: Future<Output = anyhow::Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        calls(handle).await
    })
}

/// Sets a device up.
///
/// # Errors
/// Netlink's.
pub async fn link_up(handle: &Handle, name: &str) -> anyhow::Result<()> {
    let link = LinkUnspec::new_with_name(name).up().build();
    handle.link().set(link).execute().await.with_context(|| format!("setting {name} up"))
}

/// Sets a device down: what pulling its cable would do.
///
/// # Errors
/// Netlink's.
pub async fn link_down(handle: &Handle, name: &str) -> anyhow::Result<()> {
    let link = LinkUnspec::new_with_name(name).down().build();
    handle.link().set(link).execute().await.with_context(|| format!("setting {name} down"))
}

async fn index(handle: &Handle, name: &str) -> anyhow::Result<u32> {
    let mut links = handle.link().get().match_name(name.to_string()).execute();
    let link = links.try_next().await.with_context(|| format!("looking for {name}"))?;
    Ok(link.with_context(|| format!("no device {name}"))?.header.index)
}

/// Makes the bridge `br0`.
///
/// # Errors
/// Netlink's.
pub async fn make_bridge(handle: &Handle) -> anyhow::Result<()> {
    handle.link().add(LinkBridge::new("br0").up().build()).execute().await.context("making br0")
}

/// Joins the namespace `target` to the bridge of the switch (in whose namespace `handle` works): a port named `port` here,
/// the device `eth0` there.
///
/// # Errors
/// Netlink's.
pub async fn plug(handle: &Handle, port: &str, target: &str) -> anyhow::Result<()> {
    // A port whose namespace is gone is gone too, but the kernel removes it a little later.
    if let Ok(stale) = index(handle, port).await {
        handle.link().del(stale).execute().await.with_context(|| format!("removing {port}"))?;
    }
    handle.link().add(LinkVeth::new(port, "eth0").build()).execute().await.with_context(|| format!("making {port}"))?;
    let file = File::open(namespace::path(target)).with_context(|| format!("namespace {target}"))?;
    let moved = LinkUnspec::new_with_name("eth0").setns_by_fd(file.as_raw_fd()).build();
    handle.link().set(moved).execute().await.with_context(|| format!("moving eth0 to {target}"))?;
    let bridge = index(handle, "br0").await?;
    let joined = LinkUnspec::new_with_name(port).controller(bridge).up().build();
    handle.link().set(joined).execute().await.with_context(|| format!("joining {port}"))
}

/// Joins the host to the switch: the device `name` here, a port `host` there.
///
/// # Errors
/// Netlink's.
pub async fn plug_host(handle: &Handle, name: &str, switch: &str) -> anyhow::Result<()> {
    handle.link().add(LinkVeth::new(name, "host").build()).execute().await.with_context(|| format!("making {name}"))?;
    let file = File::open(namespace::path(switch)).with_context(|| format!("namespace {switch}"))?;
    let moved = LinkUnspec::new_with_name("host").setns_by_fd(file.as_raw_fd()).build();
    handle.link().set(moved).execute().await.context("moving the host's port")
}

/// Puts an existing device onto the bridge.
///
/// # Errors
/// Netlink's.
pub async fn join_bridge(handle: &Handle, port: &str) -> anyhow::Result<()> {
    let bridge = index(handle, "br0").await?;
    let joined = LinkUnspec::new_with_name(port).controller(bridge).up().build();
    handle.link().set(joined).execute().await.with_context(|| format!("joining {port}"))
}

/// Gives a device an address in a /24 and sets it up.
///
/// # Errors
/// Netlink's.
pub async fn address(handle: &Handle, device: &str, address: Ipv4Addr) -> anyhow::Result<()> {
    let number = index(handle, device).await?;
    handle.address().add(number, address.into(), 24).execute().await.with_context(|| format!("address {address}"))?;
    link_up(handle, device).await
}

/// Adds (or replaces) a route; `0.0.0.0/0` is the default route.
///
/// # Errors
/// Netlink's.
pub async fn route(handle: &Handle, to: &str, via: Ipv4Addr) -> anyhow::Result<()> {
    let range: Range = to.parse().map_err(anyhow::Error::msg)?;
    let route = RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(range.base, range.bits).gateway(via).build();
    handle.route().add(route).replace().execute().await.with_context(|| format!("route {to} via {via}"))
}

/// Removes a device, if it exists.
///
/// # Errors
/// Netlink's.
pub async fn remove_link(handle: &Handle, name: &str) -> anyhow::Result<()> {
    match index(handle, name).await {
        Ok(number) => handle.link().del(number).execute().await.with_context(|| format!("removing {name}")),
        Err(_) => Ok(()),
    }
}

/// Whether a device exists.
pub async fn has_link(handle: &Handle, name: &str) -> bool {
    index(handle, name).await.is_ok()
}

/// The destinations of all routes of this machine.
///
/// # Errors
/// Netlink's.
pub async fn routed_ranges(handle: &Handle) -> anyhow::Result<Vec<Range>> {
    let filter = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Vec<_> = handle.route().get(filter).execute().try_collect().await.context("listing routes")?;
    let destination = |attributes: &[RouteAttribute]| {
        attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
            _ => None,
        })
    };
    let ranges = routes.iter().filter_map(|route| {
        let base = destination(&route.attributes)?;
        Some(Range { base, bits: route.header.destination_prefix_length })
    });
    Ok(ranges.collect())
}
