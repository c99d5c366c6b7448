//! Ranges of addresses and ports, and in which order what is free in them is given out: from the upper band first, so that
//! the lower one stays for those who choose for themselves (upstream: KEP-3070, KEP-3668; `calculateRangeOffset` of
//! pkg/registry/core/service/{ipallocator,portallocator}). Pure.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use api::object;
use serde_json::Value;

/// An IPv4 range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    base: u32,
    bits: u32,
}

impl Range {
    /// From its text; `None` for other families, nonsense, and ranges too small to give anything out of.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits): (Ipv4Addr, u32) = (base.parse().ok()?, bits.parse().ok().filter(|bits| *bits <= 30)?);
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Some(Self { base: u32::from(base) & mask, bits })
    }

    /// Whether it may give out this address: its first (the network's) and last (broadcast) belong to nobody.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        address > self.base && address <= self.base + self.size()
    }

    /// All addresses that may be given out, the best first. `pick(n)` chooses one of n.
    pub fn turn(self, pick: &dyn Fn(u32) -> u32) -> impl Iterator<Item = Ipv4Addr> + use<> {
        // Upstream counts first and last here: a /28 has 16.
        let band = band(self.size() + 2, 16, 256, 16);
        let base = self.base;
        turn(self.size(), band, pick).map(move |number| Ipv4Addr::from(base + 1 + number))
    }

    fn size(self) -> u32 {
        u32::MAX.checked_shr(self.bits).unwrap_or(0) - 1
    }
}

/// All ports of a range, the best first.
pub fn ports(range: &RangeInclusive<u16>, pick: &dyn Fn(u32) -> u32) -> impl Iterator<Item = u16> + use<> {
    let (first, last) = (u32::from(*range.start()), u32::from(*range.end()));
    let size = last - first + 1;
    turn(size, band(size, 16, 128, 32), pick).filter_map(move |number| u16::try_from(first + number).ok())
}

/// The size of the lower band.
fn band(size: u32, least: u32, most: u32, share: u32) -> u32 {
    if size <= least { 0 } else { (size / share).clamp(least, most) }
}

/// 0 to `size`: each number once, those from `band` on first, from a random start.
fn turn(size: u32, band: u32, pick: &dyn Fn(u32) -> u32) -> impl Iterator<Item = u32> + use<> {
    let round = |from: u32, count: u32| {
        let start = if count == 0 { 0 } else { pick(count) };
        (0..count).map(move |step| from + (start + step) % count)
    };
    let band = band.min(size);
    round(band, size - band).chain(round(0, band))
}

/// The ranges of the ServiceCIDRs; with `ready`, only of those that may still give something out (upstream: `isReady` of the
/// MetaAllocator: without a condition they may, as nobody may be there to set it).
pub fn of<'a>(cidrs: impl IntoIterator<Item = &'a Value>, ready: bool) -> Vec<Range> {
    let open = |cidr: &&Value| !ready || (object::deletion_timestamp(cidr).is_none() && !refused(cidr));
    let texts = cidrs.into_iter().filter(open).flat_map(|cidr| object::list(cidr, "/spec/cidrs"));
    let mut ranges: Vec<Range> = Vec::new();
    for range in texts.filter_map(|text| Range::parse(text.as_str()?)) {
        if !ranges.contains(&range) {
            ranges.push(range);
        }
    }
    ranges
}

fn refused(cidr: &Value) -> bool {
    object::list(cidr, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Ready" && condition["status"] != "True")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use serde_json::json;

    #[test]
    fn every_address_comes_once_and_the_upper_band_first() {
        // (range, how many, first with the least pick, first of the lower band)
        let table = [
            ("10.96.0.0/29", 6, "10.96.0.1", None),
            ("10.96.0.0/28", 14, "10.96.0.1", None),
            ("10.96.0.0/24", 254, "10.96.0.17", Some("10.96.0.1")),
            ("10.96.0.0/16", 65534, "10.96.1.1", Some("10.96.0.1")),
        ];
        for (text, count, first, lower) in table {
            let all: Vec<Ipv4Addr> = Range::parse(text).unwrap().turn(&|_| 0).collect();
            assert_eq!((all.len(), all[0].to_string().as_str()), (count, first), "{text}");
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), count, "{text}");
            let range = Range::parse(text).unwrap();
            assert!(all.iter().all(|address| range.contains(*address)), "{text}");
            if let Some(lower) = lower {
                let band = all.iter().position(|address| address.to_string() == lower).unwrap();
                assert!(all[..band].iter().all(|upper| *upper > all[band]), "{text}");
            }
        }
    }

    #[test]
    fn a_random_start_goes_round() {
        let all: Vec<String> = Range::parse("10.0.0.0/29").unwrap().turn(&|_| 4).map(|a| a.to_string()).collect();
        assert_eq!(all, ["10.0.0.5", "10.0.0.6", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        let ports: Vec<u16> = ports(&(30000..=30003), &|_| 1).collect();
        assert_eq!(ports, [30001, 30002, 30003, 30000]);
        assert_eq!(super::ports(&(30000..=32767), &|_| 0).next(), Some(30086));
        assert_eq!(super::ports(&(7..=7), &|_| 0).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn network_and_broadcast_addresses_are_nobodys() {
        let range = Range::parse("10.96.0.5/24").unwrap();
        let table = [("10.96.0.0", false), ("10.96.0.1", true), ("10.96.0.254", true), ("10.96.0.255", false)];
        for (address, inside) in table {
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{address}");
        }
        for nonsense in ["10.96.0.0", "10.96.0.0/31", "x/8", "fd00::/112"] {
            assert_eq!(Range::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_range_on_its_way_out_gives_nothing_out() {
        let cidr = |name: &str, range: &str, status: Value, going: bool| {
            let deleted = if going { json!("2026-01-01T00:00:00Z") } else { Value::Null };
            json!({"metadata": {"name": name, "deletionTimestamp": deleted}, "spec": {"cidrs": [range]},
                   "status": {"conditions": [{"type": "Ready", "status": status}]}})
        };
        let all = [
            cidr("a", "10.0.0.0/24", json!("True"), false),
            cidr("b", "10.1.0.0/24", json!("False"), false),
            cidr("c", "10.2.0.0/24", json!("True"), true),
            json!({"metadata": {"name": "d"}, "spec": {"cidrs": ["10.3.0.0/24", "fd00::/112", "10.0.0.0/24"]}}),
        ];
        let ranges = |texts: &[&str]| texts.iter().map(|text| Range::parse(text).unwrap()).collect::<Vec<_>>();
        assert_eq!(of(&all, true), ranges(&["10.0.0.0/24", "10.3.0.0/24"]));
        assert_eq!(of(&all, false).len(), 4);
    }
}
