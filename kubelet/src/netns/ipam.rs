//! Which pod has which address of the node's podCIDR: pure. Durability is the caller's: the sandboxes on disk say which are taken, and
//! [`Pool::last`] says where to go on.
//!
//! Goes round the whole range before an address is used again, so that a late packet for a dead pod does not reach a living one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u32,
    prefix: u8,
}

/// A text is no range of addresses that pods can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pod CIDR {0:?}: an IPv4 network such as 10.244.1.0/24 is needed, of at most 30 bits")]
pub struct InvalidCidr(String);

impl std::str::FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
            (1..=30).contains(&prefix).then(|| {
                let mask = u32::MAX << (32 - u32::from(prefix));
                Self { network: u32::from(address) & mask, prefix }
            })
        };
        parse().ok_or_else(|| InvalidCidr(text.to_owned()))
    }
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.network), self.prefix)
    }
}

impl Cidr {
    fn size(self) -> u32 {
        1 << (32 - u32::from(self.prefix))
    }

    /// Whether it holds an address.
    pub fn contains(self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(v4) if u32::from(v4).wrapping_sub(self.network) < self.size())
    }
}

/// The addresses of a node.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// Where they come from; unknown until the node has a podCIDR.
    pub cidr: Option<Cidr>,
    /// The one given out last.
    pub last: Option<IpAddr>,
    taken: BTreeSet<IpAddr>,
}

impl Pool {
    /// Where to go on after a restart.
    pub fn new(cidr: Option<Cidr>, last: Option<IpAddr>) -> Self {
        Self { cidr, last, taken: BTreeSet::new() }
    }

    /// Marks an address as taken.
    pub fn take(&mut self, address: IpAddr) {
        self.taken.insert(address);
    }

    /// Takes the next free one after the last. The first two are left out (network, a gateway if somebody wants one), and the
    /// last (broadcast).
    pub fn allocate(&mut self) -> Option<IpAddr> {
        let cidr = self.cidr?;
        let usable = cidr.size().checked_sub(3).filter(|usable| *usable > 0)?;
        let after = match self.last {
            Some(IpAddr::V4(last)) if cidr.contains(IpAddr::V4(last)) => {
                (u32::from(last) - cidr.network).saturating_sub(1)
            }
            _ => 0,
        };
        let free = (0..usable)
            .map(|step| IpAddr::V4(Ipv4Addr::from(cidr.network + 2 + (after + step) % usable)))
            .find(|address| !self.taken.contains(address))?;
        self.taken.insert(free);
        self.last = Some(free);
        Some(free)
    }

    /// Gives one back.
    pub fn release(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(cidr: &str) -> Pool {
        Pool { cidr: Some(cidr.parse().unwrap()), ..Pool::default() }
    }

    #[test]
    fn reads_networks() {
        for (text, expected) in [
            ("10.244.1.0/24", Some("10.244.1.0/24")),
            ("10.244.1.77/24", Some("10.244.1.0/24")),
            ("10.0.0.0/31", None),
            ("10.0.0.0/0", None),
            ("10.0.0.0", None),
            ("fd00::/64", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Cidr>().ok().map(|cidr| cidr.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn goes_round_before_using_one_again() {
        let mut pool = pool("10.0.0.0/29");
        let all: Vec<_> = std::iter::from_fn(|| pool.allocate()).map(|ip| ip.to_string()).collect();
        assert_eq!(all, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        pool.release("10.0.0.3".parse().unwrap());
        pool.release("10.0.0.5".parse().unwrap());
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.3");
        pool.release("10.0.0.3".parse().unwrap());
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.5", "not the one just given back");
    }

    #[test]
    fn starts_after_what_was_last_given_before_a_restart() {
        let mut pool = Pool { last: Some("10.0.0.4".parse().unwrap()), ..pool("10.0.0.0/29") };
        pool.take("10.0.0.5".parse().unwrap());
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.6");
        assert_eq!(pool.allocate().unwrap().to_string(), "10.0.0.2");
    }

    #[test]
    fn gives_nothing_without_a_range_or_beyond_it() {
        assert_eq!(Pool::default().allocate(), None);
        let mut small = pool("10.0.0.0/30");
        assert_eq!(small.allocate().unwrap().to_string(), "10.0.0.2");
        assert_eq!(small.allocate(), None);
        let mut moved = Pool { last: Some("10.9.9.9".parse().unwrap()), ..pool("10.0.0.0/29") };
        assert_eq!(moved.allocate().unwrap().to_string(), "10.0.0.2", "the range may change");
    }
}
