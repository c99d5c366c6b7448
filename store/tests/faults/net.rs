//! The members' network: a switch in the test's own namespace, and a namespace with one cable for each member. What is dropped
//! is said to nftables where packets arrive, so that one direction can fail alone; delay is netem's where the kernel has it, else
//! a cable too narrow for what goes through it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// The clients' place in partitions.
pub(crate) const CLIENTS: u8 = 254;

/// How cables behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weather {
    /// Packets lost, in percent.
    pub(crate) lost: u64,
    pub(crate) slow: bool,
}

/// See the module's header.
pub(crate) struct Net {
    members: u8,
    netem: bool,
    cut: BTreeSet<(u8, u8)>,
    weather: Weather,
}

pub(crate) fn address(member: u8) -> String {
    format!("10.77.0.{member}")
}

fn name(member: u8) -> String {
    format!("m{member}")
}

/// The command that runs something where a member is.
pub(crate) fn within(member: u8, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &name(member), program]);
    command
}

fn must(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ip(line: &str) {
    must(Command::new("ip").args(line.split(' ')));
}

impl Net {
    /// Makes it, in the namespaces of the calling process, which must be its own.
    pub(crate) fn new(members: u8) -> Self {
        // Where `ip netns` keeps names: not in the machine's.
        std::fs::create_dir_all("/run/netns").unwrap();
        must(Command::new("mount").args(["-t", "tmpfs", "none", "/run/netns"]));
        ip("link set lo up");
        ip("link add br0 type bridge");
        ip(&format!("addr add {}/24 dev br0", address(CLIENTS)));
        ip("link set br0 up");
        for member in 1..=members {
            let name = name(member);
            ip(&format!("netns add {name}"));
            ip(&format!("link add {name} type veth peer name eth0 netns {name}"));
            ip(&format!("link set {name} master br0 up"));
            ip(&format!("-n {name} addr add {}/24 dev eth0", address(member)));
            ip(&format!("-n {name} link set lo up"));
            ip(&format!("-n {name} link set eth0 up"));
        }
        let netem = within(1, "tc").args("qdisc replace dev eth0 root netem delay 1ms".split(' ')).output().unwrap();
        let netem = netem.status.success();
        println!("delay by {}", if netem { "netem" } else { "narrow cables: this kernel has no netem" });
        Self { members, netem, cut: BTreeSet::new(), weather: Weather::default() }
    }

    /// Nothing gets from the first of each pair to the second, and packets fare as they may.
    pub(crate) fn set(&mut self, cut: BTreeSet<(u8, u8)>, weather: Weather) {
        (self.cut, self.weather) = (cut, weather);
        for member in 1..=self.members {
            self.filter(member);
            self.delay(member);
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.cut.is_empty() && self.weather == Weather::default()
    }

    fn filter(&self, member: u8) {
        let mut rules = String::from("table inet faults\ndelete table inet faults\ntable inet faults {\n");
        rules.push_str("chain input { type filter hook input priority 0;\n");
        for (from, to) in &self.cut {
            if *to == member {
                rules.push_str(&format!("ip saddr {} drop\n", address(*from)));
            }
        }
        if self.weather.lost > 0 {
            rules.push_str(&format!("iifname eth0 numgen random mod 100 < {} drop\n", self.weather.lost));
        }
        rules.push_str("}\nchain output { type filter hook output priority 0;\n");
        // The clients' own namespace has no rules: what a member says to them is dropped where it leaves.
        if self.cut.contains(&(member, CLIENTS)) {
            rules.push_str(&format!("ip daddr {} drop\n", address(CLIENTS)));
        }
        rules.push_str("}\n}\n");
        let mut nft = within(member, "nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft does not take {rules}");
    }

    fn delay(&self, member: u8) {
        let line = match (self.weather.slow, self.netem) {
            (false, _) => "qdisc replace dev eth0 root pfifo limit 1000",
            (true, true) => "qdisc replace dev eth0 root netem delay 60ms 50ms",
            (true, false) => "qdisc replace dev eth0 root tbf rate 500kbit burst 3000 latency 400ms",
        };
        must(within(member, "tc").args(line.split(' ')));
    }
}
