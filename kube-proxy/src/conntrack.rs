//! Forgets UDP flows whose target is gone. TCP notices by itself; a UDP client that keeps its port would talk to the old
//! target for ever, because its flow never ends (kubernetes, pkg/proxy/conntrack/cleanup.go).

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::process::Stdio;

use tokio::process::Command;

use crate::rules::{Protocol, RuleSet, Target};

/// Deletes the flows that lead to what `new` no longer offers, or that were refused until now.
pub(crate) async fn forget_stale(old: Option<&RuleSet>, new: &RuleSet) {
    let Some(old) = old else { return };
    for arguments in stale(old, new) {
        let run = Command::new("conntrack").args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
        // Exit code 1 means that there was no such flow.
        if let Err(error) = run {
            tracing::warn!(%error, "conntrack cannot be run (package conntrack): stale UDP flows stay");
            return;
        }
    }
}

/// One `conntrack` command line for each kind of stale flow.
fn stale(old: &RuleSet, new: &RuleSet) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for (id, before) in old.backends.iter().filter(|(_, backend)| backend.protocol == Protocol::Udp) {
        let after: BTreeSet<Target> =
            new.backends.get(id).map(|backend| backend.targets.iter().copied().collect()).unwrap_or_default();
        let gone: Vec<Target> = before.targets.iter().filter(|target| !after.contains(target)).copied().collect();
        let newly_served = before.targets.is_empty() && !after.is_empty();
        for (address, port) in addresses(old, id) {
            for (target, _) in &gone {
                commands.push(delete(address, port, Some(*target)));
            }
            if newly_served {
                commands.push(delete(address, port, None));
            }
        }
        for ((_, port), _) in old.node_ports.iter().filter(|(_, to)| *to == id) {
            for (target, _) in &gone {
                let mut command: Vec<String> = ["-D", "-p", "udp", "--dport"].map(String::from).into();
                command.extend([port.to_string(), "--dst-nat".into(), target.to_string()]);
                commands.push(command);
            }
        }
    }
    commands
}

fn addresses<'a>(rules: &'a RuleSet, id: &'a str) -> impl Iterator<Item = (Ipv4Addr, u16)> + 'a {
    rules.addresses.iter().filter(move |(_, to)| *to == id).map(|((address, _, port), _)| (*address, *port))
}

fn delete(address: Ipv4Addr, port: u16, target: Option<Ipv4Addr>) -> Vec<String> {
    let mut command: Vec<String> = ["-D", "-p", "udp", "--orig-dst"].map(String::from).into();
    command.extend([address.to_string(), "--dport".into(), port.to_string()]);
    if let Some(target) = target {
        command.extend(["--dst-nat".into(), target.to_string()]);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Backend;

    fn rules(protocol: Protocol, last_bytes: &[u8]) -> RuleSet {
        let mut rules = RuleSet::default();
        let targets = last_bytes.iter().map(|last| (Ipv4Addr::new(10, 64, 0, *last), 53)).collect();
        rules.backends.insert("dns".into(), Backend { protocol, targets });
        rules.addresses.insert((Ipv4Addr::new(10, 96, 0, 10), protocol, 53), "dns".into());
        rules
    }

    #[test]
    fn only_udp_flows_to_vanished_targets_are_forgotten() {
        let table = [
            (
                Protocol::Udp,
                vec![1, 2],
                vec![2],
                vec!["-D -p udp --orig-dst 10.96.0.10 --dport 53 --dst-nat 10.64.0.1"],
            ),
            (Protocol::Udp, vec![], vec![2], vec!["-D -p udp --orig-dst 10.96.0.10 --dport 53"]),
            (Protocol::Udp, vec![1], vec![1, 2], vec![]),
            (Protocol::Tcp, vec![1, 2], vec![2], vec![]),
        ];
        for (protocol, before, after, expected) in table {
            let commands = stale(&rules(protocol, &before), &rules(protocol, &after));
            assert_eq!(commands.iter().map(|command| command.join(" ")).collect::<Vec<_>>(), expected);
        }
    }
}
