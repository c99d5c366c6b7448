//! Whether a ServiceCIDR may go: none of the addresses that are in use may be left without a range (upstream: `canDeleteCIDR`
//! in pkg/controller/servicecidrs). Pure.

use std::net::IpAddr;

/// A range of either family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    base: IpAddr,
    bits: u32,
}

impl Range {
    /// `None` for nonsense, which the API server does not let through.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits): (IpAddr, u32) = (base.parse().ok()?, bits.parse().ok()?);
        (bits <= if base.is_ipv4() { 32 } else { 128 }).then_some(Self { base, bits })
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                u32::from(base) & mask == u32::from(address) & mask
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                u128::from(base) & mask == u128::from(address) & mask
            }
            _ => false,
        }
    }

    fn covers(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.base)
    }
}

/// Whether the object with the ranges `own` may go, beside all others' ranges and the addresses in use.
pub(crate) fn may_go(own: &[Range], others: &[Range], used: impl IntoIterator<Item = IpAddr>) -> bool {
    let covered = own.iter().all(|range| others.iter().any(|other| other.covers(*range)));
    let orphan = |address: &IpAddr| {
        own.iter().any(|range| range.contains(*address)) && !others.iter().any(|range| range.contains(*address))
    };
    covered || !used.into_iter().any(|address| orphan(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_goes_when_no_address_is_orphaned() {
        type Texts = &'static [&'static str];
        // (own, others, used, whether it may go)
        let table: [(Texts, Texts, Texts, bool); 7] = [
            (&["10.0.0.0/24"], &[], &[], true),
            (&["10.0.0.0/24"], &[], &["10.0.0.9"], false),
            (&["10.0.0.0/24"], &["10.1.0.0/24"], &["10.1.0.9"], true),
            (&["10.0.0.0/24"], &["10.0.0.0/16"], &["10.0.0.9"], true),
            (&["10.0.0.0/24"], &["10.0.0.0/28"], &["10.0.0.9"], true),
            (&["10.0.0.0/24"], &["10.0.0.0/28"], &["10.0.0.9", "10.0.0.99"], false),
            (&["10.0.0.0/24", "fd00::/112"], &["10.0.0.0/16"], &["fd00::7"], false),
        ];
        for (own, others, used, expected) in table {
            let ranges = |texts: &[&str]| texts.iter().map(|text| Range::parse(text).unwrap()).collect::<Vec<_>>();
            let used = used.iter().map(|address| address.parse().unwrap());
            assert_eq!(may_go(&ranges(own), &ranges(others), used), expected, "{own:?} {others:?}");
        }
    }

    #[test]
    fn families_do_not_mix() {
        let all = Range::parse("0.0.0.0/0").unwrap();
        assert!(all.contains("10.0.0.1".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        assert_eq!(Range::parse("10.0.0.0/33"), None);
    }
}
