//! Three members of the store as real processes, each in a network namespace of its own, under a load of clients, while processes
//! are killed, stopped and replaced, cables cut and slowed, disks filled and bits on them flipped. What the clients were told is
//! judged by the simulation's judge ([`store::testing::history`]): everything acknowledged is there, reads are linearizable,
//! watches ordered, unique and complete; and all members hold the same in the end.
//!
//! | file | what it is |
//! |---|---|
//! | `net` | namespaces, a switch, partitions, loss and delay |
//! | `member` | one member: its process, its files, what it says of itself |
//! | `clients` | the load, the watches |
//! | `record` | what clients asked and were told, and its judgement |
//! | `nemesis` | what goes wrong, by seed |
//! | `repair` | what operators do: replace a member, restart one after the other |
//!
//! ```text
//! cargo test -p store --test faults -- --nocapture                                            25 s of trouble
//! STORE_FAULTS_SECONDS=600 STORE_FAULTS_SEED=7 cargo test -p store --test faults -- --nocapture
//! STORE_FAULTS_PROGRAM=target/release/mkube-store …                                           another build
//! ```
//! The test runs itself again in namespaces (network, mounts, processes) that end with it: nothing is left behind, whatever
//! happens. A seed chooses what goes wrong; what real processes make of it differs from run to run.
#![allow(clippy::unwrap_used)]

mod clients;
mod member;
mod nemesis;
mod net;
mod record;
mod repair;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::Load;
use member::Member;
use nemesis::Nemesis;
use record::Record;

const INSIDE: &str = "STORE_FAULTS_INSIDE";
const TEST: &str = "whatever_happens_nothing_acknowledged_is_lost";
const MEMBERS: u8 = 3;
/// For everything to work again when nothing is wrong any more.
const RECOVERY: Duration = Duration::from_secs(60);

/// How often what happened.
type Counts = BTreeMap<&'static str, u64>;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Whether a program can be run at all.
fn is_there(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok()
}

#[test]
fn whatever_happens_nothing_acknowledged_is_lost() {
    if let Some(dir) = std::env::var_os(INSIDE) {
        return inside(Path::new(&dir));
    }
    let tools = [("nft", "--version"), ("ip", "-V"), ("tc", "-V"), ("unshare", "--version")];
    if !rustix::process::geteuid().is_root() || !tools.iter().all(|(tool, argument)| is_there(tool, argument)) {
        eprintln!("SKIPPED {TEST}: needs root, iproute2, nftables and util-linux");
        return;
    }
    let arguments = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
    let program = std::env::current_exe().unwrap();
    // Removed out here, where the disks that are mounted inside are gone with their namespace.
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .args(arguments)
        .arg(program)
        .args(["--exact", TEST, "--nocapture", "--test-threads=1"])
        .env(INSIDE, dir.path())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    println!("{text}");
}

fn inside(dir: &Path) {
    let seed = number("STORE_FAULTS_SEED", 1);
    let trouble = Duration::from_secs(number("STORE_FAULTS_SECONDS", 25));
    println!("seed {seed}, {} s of trouble", trouble.as_secs());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
    let result = runtime.block_on(run(seed, trouble, dir));
    if let Err(what) = result {
        panic!(
            "{what}\nto run it again: STORE_FAULTS_SEED={seed} STORE_FAULTS_SECONDS={} \
             cargo test -p store --test faults -- --nocapture",
            trouble.as_secs()
        );
    }
}

async fn run(seed: u64, trouble: Duration, dir: &Path) -> Result<(), String> {
    let net = net::Net::new(MEMBERS);
    let mut members: Vec<Member> = (1..=MEMBERS).map(|number| Member::new(number, MEMBERS, dir)).collect();
    for member in &mut members {
        member.start(false);
    }
    for member in &members {
        member.works(Instant::now() + RECOVERY).await?;
    }
    let record = Arc::new(Record::default());
    let load = Load::start(seed, &members, &record).await;
    let mut nemesis = Nemesis::new(seed, net, members, &record);
    nemesis.trouble(trouble).await?;
    nemesis.heal().await?;
    load.stop().await;
    let (members, mut counts) = nemesis.end().await;
    record.judge(&members, Instant::now() + RECOVERY, &mut counts).await?;
    println!("seed {seed}: holds");
    for (what, times) in counts {
        println!("  {what:<36} {times:>8}");
    }
    Ok(())
}
