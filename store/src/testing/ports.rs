//! Ports to listen on that are told to somebody else first: a port that the system would give to any connection could be one's
//! by the time it is listened on, so they are taken from below those.

use std::collections::BTreeSet;
use std::net::TcpListener;

use parking_lot::Mutex;

/// Where the system's own choice begins, unless it says otherwise.
const EPHEMERAL: u16 = 32768;

/// Given out in this process.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// So many ports of 127.0.0.1 that nobody listens on.
pub fn free_ports(count: usize) -> Vec<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let end = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(EPHEMERAL);
    let mut given = GIVEN.lock();
    let mut ports = Vec::new();
    for _ in 0..10_000 {
        if ports.len() == count {
            return ports;
        }
        let port = rand::random_range(end / 2..end);
        if !given.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            given.insert(port);
            ports.push(port);
        }
    }
    panic!("no {count} free ports below {end}");
}
