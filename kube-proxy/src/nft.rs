//! Rule sets as nftables text: everything ([`whole`]), or only what differs ([`delta`]). Pure.
//!
//! A packet's way: `prerouting`/`output` → `services` (address or node port → chain of its backend, by one map look-up)
//! → the backend's chain (mark what must be masqueraded, pick a target at random) → `postrouting` (masquerade what is
//! marked, what goes back to where it came from, and what leaves the pods' range). Backends without targets are in
//! `refused`, looked up by `filter` chains, because a NAT chain cannot reject.
//!
//! nft 1.0.6 wants `;` or a newline before `}`, and a protocol match in the chain that says `dnat to address:port`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::rules::{Backend, RuleSet, Target};

/// Name of the table; a node's namespace has no other of that name.
const TABLE: &str = "ip mkube";
/// Mark of packets to masquerade (the bit that upstream uses).
const MARK: &str = "0x4000";

/// What maps and sets of the table hold, in nft's words.
#[derive(Default, PartialEq, Eq)]
struct Elements {
    addresses: BTreeMap<String, String>,
    node_ports: BTreeMap<String, String>,
    refused: BTreeSet<String>,
    refused_ports: BTreeSet<String>,
    hairpin: BTreeSet<String>,
    nodes: BTreeSet<String>,
}

/// The transaction that replaces whatever is there.
pub(crate) fn whole(rules: &RuleSet) -> String {
    let range = rules.pod_range.map_or_else(|| "0.0.0.0/0".to_string(), |range| range.to_string());
    let mut text = format!(
        "add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n\
         map addresses {{ type ipv4_addr . inet_proto . inet_service : verdict\n }}\n\
         map node-ports {{ type inet_proto . inet_service : verdict\n }}\n\
         set refused {{ type ipv4_addr . inet_proto . inet_service\n }}\n\
         set refused-ports {{ type inet_proto . inet_service\n }}\n\
         set hairpin {{ type ipv4_addr . ipv4_addr\n }}\n\
         set nodes {{ type ipv4_addr\n }}\n\
         chain services {{\n\
           ip daddr . meta l4proto . th dport vmap @addresses\n\
           fib daddr type local meta l4proto . th dport vmap @node-ports\n }}\n\
         chain refuse {{\n\
           ip daddr . meta l4proto . th dport @refused reject\n\
           fib daddr type local meta l4proto . th dport @refused-ports reject\n }}\n\
         chain prerouting {{ type nat hook prerouting priority dstnat; policy accept;\n jump services\n }}\n\
         chain output {{ type nat hook output priority -100; policy accept;\n jump services\n }}\n\
         chain input {{ type filter hook input priority -110; policy accept;\n ct state new jump refuse\n }}\n\
         chain forward {{ type filter hook forward priority -110; policy accept;\n ct state new jump refuse\n }}\n\
         chain filter-output {{ type filter hook output priority -110; policy accept;\n ct state new jump refuse\n }}\n\
         chain postrouting {{ type nat hook postrouting priority srcnat; policy accept;\n\
           meta mark & {MARK} == {MARK} masquerade\n\
           ct status dnat ip saddr . ip daddr @hairpin masquerade\n\
           ip saddr {range} ip daddr != {range} ip daddr != @nodes ip daddr != 224.0.0.0/4 masquerade\n }}\n\
         }}\n"
    );
    text.push_str(&delta(&RuleSet { pod_range: rules.pod_range, ..RuleSet::default() }, rules).unwrap_or_default());
    text
}

/// The transaction that leads from `old` to `new`; `None` when only [`whole`] does.
pub(crate) fn delta(old: &RuleSet, new: &RuleSet) -> Option<String> {
    if old.pod_range != new.pod_range {
        return None;
    }
    let mut text = String::new();
    let serving = |rules: &RuleSet| -> BTreeMap<String, Backend> {
        let with_targets = rules.backends.iter().filter(|(_, backend)| !backend.targets.is_empty());
        with_targets.map(|(id, backend)| (id.clone(), backend.clone())).collect()
    };
    let (before, after) = (serving(old), serving(new));
    for (id, backend) in &after {
        if before.get(id) != Some(backend) {
            fill_chain(&mut text, id, backend, new);
        }
    }
    let (from, to) = (elements(old), elements(new));
    map_delta(&mut text, "addresses", &from.addresses, &to.addresses);
    map_delta(&mut text, "node-ports", &from.node_ports, &to.node_ports);
    set_delta(&mut text, "refused", &from.refused, &to.refused);
    set_delta(&mut text, "refused-ports", &from.refused_ports, &to.refused_ports);
    set_delta(&mut text, "hairpin", &from.hairpin, &to.hairpin);
    set_delta(&mut text, "nodes", &from.nodes, &to.nodes);
    // Last: no map leads to these chains any more.
    for id in before.keys().filter(|id| !after.contains_key(*id)) {
        let chain = chain_name(id);
        let _ = writeln!(text, "flush chain {TABLE} {chain}\ndelete chain {TABLE} {chain}");
    }
    Some(text)
}

/// The chain of a backend: a short name that no other backend has (FNV-1a, 64 bits).
fn chain_name(id: &str) -> String {
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("svc-{hash:016x}")
}

fn fill_chain(text: &mut String, id: &str, backend: &Backend, rules: &RuleSet) {
    let (chain, protocol) = (chain_name(id), backend.protocol.as_str());
    let _ = writeln!(text, "add chain {TABLE} {chain} {{ comment \"{id}\"; }}\nflush chain {TABLE} {chain}");
    if let Some(range) = rules.pod_range {
        let _ = writeln!(text, "add rule {TABLE} {chain} ip saddr != {range} meta mark set meta mark | {MARK}");
    }
    // Whoever comes in through a node port must be answered from that node.
    let _ = writeln!(text, "add rule {TABLE} {chain} fib daddr type local meta mark set meta mark | {MARK}");
    match backend.targets.as_slice() {
        [(ip, port)] => {
            let _ = writeln!(text, "add rule {TABLE} {chain} meta l4proto {protocol} dnat to {ip}:{port}");
        }
        targets => {
            let choices: Vec<String> = targets.iter().enumerate().map(choice).collect();
            let _ = writeln!(
                text,
                "add rule {TABLE} {chain} meta l4proto {protocol} dnat ip to numgen random mod {} map {{ {} }}",
                targets.len(),
                choices.join(", ")
            );
        }
    }
}

fn choice((number, (ip, port)): (usize, &Target)) -> String {
    format!("{number} : {ip} . {port}")
}

fn elements(rules: &RuleSet) -> Elements {
    let mut elements = Elements::default();
    let serves = |id: &String| rules.backends.get(id).is_some_and(|backend| !backend.targets.is_empty());
    for ((address, protocol, port), id) in &rules.addresses {
        let key = format!("{address} . {} . {port}", protocol.as_str());
        if serves(id) {
            elements.addresses.insert(key, chain_name(id));
        } else {
            elements.refused.insert(key);
        }
    }
    for ((protocol, port), id) in &rules.node_ports {
        let key = format!("{} . {port}", protocol.as_str());
        if serves(id) {
            elements.node_ports.insert(key, chain_name(id));
        } else {
            elements.refused_ports.insert(key);
        }
    }
    elements.hairpin = rules.target_addresses().into_iter().map(|ip| format!("{ip} . {ip}")).collect();
    elements.nodes = rules.node_addresses.iter().map(ToString::to_string).collect();
    elements
}

fn map_delta(text: &mut String, name: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
    let gone: Vec<&str> =
        old.iter().filter(|(key, to)| new.get(*key) != Some(to)).map(|(key, _)| key.as_str()).collect();
    element_command(text, "delete", name, &gone);
    let added: Vec<String> = new
        .iter()
        .filter(|(key, to)| old.get(*key) != Some(to))
        .map(|(key, chain)| format!("{key} : goto {chain}"))
        .collect();
    element_command(text, "add", name, &added.iter().map(String::as_str).collect::<Vec<_>>());
}

fn set_delta(text: &mut String, name: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
    let gone: Vec<&str> = old.difference(new).map(String::as_str).collect();
    element_command(text, "delete", name, &gone);
    let added: Vec<&str> = new.difference(old).map(String::as_str).collect();
    element_command(text, "add", name, &added);
}

fn element_command(text: &mut String, verb: &str, name: &str, elements: &[&str]) {
    if !elements.is_empty() {
        let _ = writeln!(text, "{verb} element {TABLE} {name} {{ {} }}", elements.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Protocol;
    use std::net::Ipv4Addr;

    fn rules(targets: &[Target]) -> RuleSet {
        let mut rules = RuleSet { pod_range: "10.64.0.0/16".parse().ok(), ..RuleSet::default() };
        let id = "default/web:http:80:tcp".to_string();
        rules.backends.insert(id.clone(), Backend { protocol: Protocol::Tcp, targets: targets.to_vec() });
        rules.addresses.insert((Ipv4Addr::new(10, 96, 0, 9), Protocol::Tcp, 80), id);
        rules
    }

    fn target(last: u8) -> Target {
        (Ipv4Addr::new(10, 64, 0, last), 8080)
    }

    #[test]
    fn equal_rules_need_no_commands() {
        assert_eq!(delta(&rules(&[target(1)]), &rules(&[target(1)])).unwrap(), "");
    }

    #[test]
    fn a_new_target_touches_one_chain_and_the_hairpin_set() {
        let text = delta(&rules(&[target(1)]), &rules(&[target(1), target(2)])).unwrap();
        assert!(text.contains("mod 2 map { 0 : 10.64.0.1 . 8080, 1 : 10.64.0.2 . 8080 }"), "{text}");
        assert!(text.contains("add element ip mkube hairpin { 10.64.0.2 . 10.64.0.2 }"), "{text}");
        assert!(!text.contains("addresses"), "{text}");
    }

    #[test]
    fn the_last_target_gone_moves_the_address_to_the_refused_ones() {
        let text = delta(&rules(&[target(1)]), &rules(&[])).unwrap();
        let order = ["delete element ip mkube addresses", "add element ip mkube refused", "delete chain"];
        let places: Vec<usize> =
            order.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"))).collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn another_pod_range_needs_everything_anew() {
        let mut other = rules(&[]);
        other.pod_range = "10.65.0.0/16".parse().ok();
        assert_eq!(delta(&rules(&[]), &other), None);
    }
}
