//! The network of a pod: a namespace with `eth0`, whose other end is in the node's namespace.
//!
//! ```text
//! node's namespace                        pod's namespace (held by the shim; gone with its last process)
//!   mk<hash>  ---------- veth ----------  eth0  10.244.1.7/32
//!   route 10.244.1.7/32 dev mk<hash>      169.254.1.1 dev eth0; default via 169.254.1.1
//! ```
//! No bridge and no subnet: each pod is one route, and the gateway is an address that nobody has, with the hardware address of the
//! node's end as a permanent neighbour (the way Calico does it). Relies on IP forwarding being on in the node's namespace.

pub mod ipam;
pub mod netlink;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use netlink::{Mac, Netlink};

/// What everything outside is reached by, in every pod.
const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
/// The pod's interface.
const INTERFACE: &str = "eth0";

/// The network of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodNetwork {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Name of the interface on the node.
    pub interface: String,
}

impl PodNetwork {
    /// The network of a sandbox; interface names are derived from its ID (15 characters is all Linux has for one).
    pub fn new(sandbox: &str, addresses: Vec<IpAddr>) -> Self {
        let hash = Sha256::digest(sandbox.as_bytes());
        let mut interface = String::from("mk");
        for byte in &hash[..6] {
            interface.push_str(&format!("{byte:02x}"));
        }
        Self { addresses, interface }
    }

    /// Hardware addresses of the node's and the pod's end: locally administered, derived like the name, so that nothing needs to
    /// be asked for.
    fn macs(&self) -> (Mac, Mac) {
        let hash = Sha256::digest(self.interface.as_bytes());
        let mac = |end: u8| [0x0a, end, hash[0], hash[1], hash[2], hash[3]];
        (mac(0), mac(1))
    }

    /// Gives the calling thread a new network namespace with this network. The thread was in the node's before.
    pub fn enter_new(&self) -> io::Result<()> {
        let mut node = Netlink::open()?;
        crate::sys::unshare(UnshareFlags::NEWNET)?;
        let mut pod = Netlink::open()?;
        let namespace = open_namespace("/proc/thread-self/ns/net")?;
        let (node_mac, pod_mac) = self.macs();
        node.apply(vec![netlink::veth(&self.interface, node_mac, INTERFACE, pod_mac, namespace.as_raw_fd())])?;
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the pod's interface vanished");
        let outside = node.index(&self.interface)?.ok_or_else(missing)?;
        let inside = pod.index(INTERFACE)?.ok_or_else(missing)?;

        let (mut here, mut there) = (Vec::new(), vec![netlink::up(1), netlink::up(inside)]);
        for address in &self.addresses {
            let gateway = if address.is_ipv4() { GATEWAY_V4 } else { GATEWAY_V6 };
            here.push(netlink::neighbour(outside, *address, pod_mac));
            here.push(netlink::route(outside, Some(*address), None));
            there.push(netlink::address(inside, *address));
            there.push(netlink::neighbour(inside, gateway, node_mac));
            there.push(netlink::route(inside, Some(gateway), None));
            there.push(netlink::route(inside, None, Some(gateway)));
        }
        pod.apply(there)?;
        node.apply(here)?;
        // As containerd 2 does: within its own namespace a pod may serve low ports and ping without being root.
        let _ = std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
        let _ = std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
        Ok(())
    }

    /// Removes the node's end (and with it the pod's), if a process that escaped us still holds the namespace.
    pub fn remove(&self) -> io::Result<()> {
        let mut node = Netlink::open()?;
        match node.index(&self.interface)? {
            Some(index) => node.apply(vec![netlink::delete(index)]),
            None => Ok(()),
        }
    }
}

/// Lets packets pass between pods and the rest, in the current network namespace.
pub fn forward() -> io::Result<()> {
    let path = "/proc/sys/net/ipv4/ip_forward";
    if std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "1") {
        return Ok(());
    }
    std::fs::write(path, "1")
}

/// Runs `work` on a thread of its own inside the network namespace of a process. What it opens stays in there.
pub fn within<T: Send + 'static>(
    pid: u32,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<std::thread::JoinHandle<io::Result<T>>> {
    let namespace = open_namespace(&format!("/proc/{pid}/ns/net"))?;
    std::thread::Builder::new().name("in-pod-network".to_owned()).spawn(move || {
        use std::os::fd::AsFd;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    })
}

fn open_namespace(path: &str) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let one = PodNetwork::new("a", vec![]);
        let two = PodNetwork::new("b", vec![]);
        assert!(one.interface.len() <= 15 && one.interface != two.interface);
        assert_ne!(one.macs().0, one.macs().1);
        assert_eq!(one.macs().0[0] & 3, 2, "locally administered, unicast");
    }
}
