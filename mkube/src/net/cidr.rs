//! Which address ranges a cluster takes: ones that nothing on this machine uses, neither the host nor another cluster
//! (whose routes stand in the host's table). Pure.

use std::net::Ipv4Addr;

use kube_proxy::rules::Range;
use serde::{Deserialize, Serialize};

/// The ranges of a cluster. Kept in its directory: a cluster has the same ones for life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ranges {
    /// Addresses of pods, /16; each node gets a /24 of it.
    pub pods: String,
    /// Addresses of Services, /16.
    pub services: String,
    /// Addresses of master, nodes and host on the cluster's switch, /24.
    pub nodes: String,
}

/// How many clusters one machine can hold beside each other.
const MOST: u8 = 56;

impl Ranges {
    /// The `number`th set of ranges, below [`MOST`].
    fn candidate(number: u8) -> [Range; 3] {
        let range = |first: u8, bits| Range { base: Ipv4Addr::new(10, first + number, 0, 0), bits };
        [range(72, 16), range(136, 16), range(198, 24)]
    }

    /// The first set that overlaps none of `taken`; `None` when the machine is full.
    pub fn choose(taken: &[Range]) -> Option<Self> {
        let free = |set: &[Range; 3]| set.iter().all(|range| !taken.iter().any(|other| overlap(*range, *other)));
        let [pods, services, nodes] = (0..MOST).map(Self::candidate).find(free)?;
        Some(Self { pods: pods.to_string(), services: services.to_string(), nodes: nodes.to_string() })
    }

    /// Whether one of the ranges overlaps one of `taken`.
    pub fn overlap(&self, taken: &[Range]) -> bool {
        let own = [&self.pods, &self.services, &self.nodes].map(|text| text.parse::<Range>());
        own.iter().flatten().any(|range| taken.iter().any(|other| overlap(*range, *other)))
    }

    /// The `last`th address of the nodes' range.
    ///
    /// # Errors
    /// When the stored range is damaged.
    pub fn node_address(&self, last: u8) -> Result<Ipv4Addr, String> {
        let range: Range = self.nodes.parse()?;
        Ok(Ipv4Addr::from(u32::from(range.base) + u32::from(last)))
    }
}

/// Last byte of the host's address on the switch.
pub const HOST: u8 = 1;
/// Last byte of the first master's; the others follow, at most five in all.
pub const MASTER: u8 = 2;
/// Last byte of the first node's; the others follow.
pub const FIRST_NODE: u8 = 11;

/// Whether two ranges share an address. The default route overlaps nothing.
fn overlap(one: Range, other: Range) -> bool {
    if one.bits == 0 || other.bits == 0 {
        return false;
    }
    let mask = u32::MAX << (32 - u32::from(one.bits.min(other.bits)));
    u32::from(one.base) & mask == u32::from(other.base) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(texts: &[&str]) -> Vec<Range> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_free_set_is_chosen() {
        let first = Ranges::choose(&ranges(&["0.0.0.0/0", "192.168.0.0/16"])).unwrap();
        assert_eq!(first.pods, "10.72.0.0/16");
        for taken in ["10.72.3.0/24", "10.136.0.1/32", "10.198.0.0/24"] {
            assert_eq!(Ranges::choose(&ranges(&[taken])).unwrap().pods, "10.73.0.0/16", "{taken}");
        }
        assert_eq!(Ranges::choose(&ranges(&["10.0.0.0/8"])), None);
        assert!(first.overlap(&ranges(&["10.136.7.0/24"])));
        assert!(!first.overlap(&ranges(&["0.0.0.0/0", "10.73.0.0/16"])));
    }

    #[test]
    fn addresses_count_from_the_start_of_the_range() {
        let ranges = Ranges::choose(&[]).unwrap();
        assert_eq!(ranges.node_address(FIRST_NODE).unwrap(), Ipv4Addr::new(10, 198, 0, 11));
    }
}
