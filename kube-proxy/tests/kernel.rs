//! The rules in a real kernel: a network namespace of its own (`unshare --net`), real nft, real sockets on loopback.
//! Needs root and nft; says so loudly and passes where they are missing.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use kube_proxy::dataplane::{DataPlane, Nftables};
use kube_proxy::rules::{Backend, Protocol, RuleSet};

const INSIDE: &str = "MKUBE_TEST_INSIDE_NAMESPACE";
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 9);

#[test]
fn services_in_a_real_kernel() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let there = |program: &str, version: &str| Command::new(program).arg(version).output().is_ok();
    if !rustix::process::geteuid().is_root() || !there("nft", "--version") || !there("ip", "-V") {
        eprintln!("SKIPPED: services_in_a_real_kernel needs root, nftables and iproute2");
        return;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--"])
        .arg(program)
        .args(["--exact", "services_in_a_real_kernel", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
}

fn inside() {
    // A veth pair stands for the network card: the reject of a NAT chain needs a route that does not lead over loopback.
    for arguments in [
        "link set lo up",
        "link add eth0 type veth peer name switch0",
        "link set eth0 up",
        "link set switch0 up",
        "addr add 10.9.0.1/24 dev eth0",
        "addr add 10.64.0.1/32 dev eth0",
        "addr add 10.64.0.2/32 dev eth0",
        "route add default via 10.9.0.2",
    ] {
        let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
        assert!(status.success(), "ip {arguments}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (address, name) in [("10.64.0.1:8080", "one"), ("10.64.0.2:8080", "two")] {
            serve(address, name);
        }
        let mut plane = Nftables::new().await.unwrap();

        plane.apply(&rules(&[1, 2])).await.unwrap();
        let answers = count(40);
        assert_eq!(answers.len(), 2, "both targets answer: {answers:?}");

        plane.apply(&rules(&[2])).await.unwrap();
        assert_eq!(count(10), BTreeMap::from([("two".into(), 10)]));

        plane.apply(&rules(&[])).await.unwrap();
        let refused = ask().unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "no targets: refused at once");

        plane.apply(&rules(&[1])).await.unwrap();
        assert_eq!(count(5), BTreeMap::from([("one".into(), 5)]));

        // Somebody else removes the table: the next change programs everything anew.
        assert!(Command::new("nft").args(["delete", "table", "ip", "mkube"]).status().unwrap().success());
        plane.apply(&rules(&[2])).await.unwrap();
        assert_eq!(count(5), BTreeMap::from([("two".into(), 5)]));

        // A proxy that starts again replaces what the last one left.
        let mut again = Nftables::new().await.unwrap();
        again.apply(&rules(&[1])).await.unwrap();
        assert_eq!(count(5), BTreeMap::from([("one".into(), 5)]));
    });
}

fn rules(last_bytes: &[u8]) -> RuleSet {
    let mut rules = RuleSet { pod_range: "10.64.0.0/16".parse().ok(), ..RuleSet::default() };
    let targets = last_bytes.iter().map(|last| (Ipv4Addr::new(10, 64, 0, *last), 8080)).collect();
    rules.backends.insert("default/web:http:80:tcp".into(), Backend { protocol: Protocol::Tcp, targets });
    rules.addresses.insert((SERVICE, Protocol::Tcp, 80), "default/web:http:80:tcp".into());
    rules.node_ports.insert((Protocol::Tcp, 30080), "default/web:http:80:tcp".into());
    rules.node_addresses.insert(Ipv4Addr::new(10, 9, 0, 1));
    rules
}

fn serve(address: &str, name: &'static str) {
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(name.as_bytes());
        }
    });
}

fn ask() -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((SERVICE, 80)), Duration::from_secs(2))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn count(times: usize) -> BTreeMap<String, usize> {
    let mut answers = BTreeMap::new();
    for _ in 0..times {
        *answers.entry(ask().unwrap()).or_default() += 1;
    }
    answers
}
