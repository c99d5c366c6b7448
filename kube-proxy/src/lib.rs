//! The data plane of a node: Services as nftables rules, routes between the nodes' pod ranges.
