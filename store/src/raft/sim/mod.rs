//! A seeded simulation of the pure core: members on a simulated network and simulated disks, nothing else. One seed decides
//! every delay, loss, crash and change. What it must never see is in `check`; what it does to the members is in `nemesis`.
//!
//! ```text
//! cargo test -p store --lib raft::sim                                     200 seeds
//! SEEDS=20000 cargo test --release -p store --lib raft::sim::holds        as many as one likes
//! SEED=4711 cargo test -p store --lib raft::sim::holds -- --nocapture     one, with what happens in it
//! ```

mod check;
mod member;
mod nemesis;
mod world;

use super::Fault;
use crate::testing::seeds;
use world::{Options, World};

/// Runs one seed.
fn run(seed: u64, fault: Option<Fault>, trace: bool) -> Result<seeds::Coverage, String> {
    let mut world = World::new(Options { seed, fault, trace });
    world.trouble().and_then(|()| world.heal()).map_err(|what| format!("at {}: {what}", world.now()))?;
    Ok(world.coverage())
}

#[test]
fn holds() {
    seeds::all_hold("raft::sim::holds", 200, |seed, trace| run(seed, None, trace));
}

/// Each planted fault is found; in the message, after how many seeds.
#[test]
fn finds_planted_faults() {
    let faults = [
        Fault::ForgetVote,
        Fault::CommitWithoutQuorum,
        Fault::CountOldTerms,
        Fault::AckBeforePersist,
        Fault::ApplyBeforeCommit,
        Fault::ReadWithoutQuorum,
    ];
    for fault in faults {
        seeds::one_fails(&format!("{fault:?}"), 5000, |seed| run(seed, Some(fault), false));
    }
}
