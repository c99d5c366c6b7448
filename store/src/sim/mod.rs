//! A seeded simulation of whole members: raft, log, state and watches as they run, on disks in memory that lose power, tear
//! writes and fail, over a network that loses, doubles and delays. Clients' answers are judged against a model, revision by
//! revision (`testing::history`).
//!
//! | file | what it is |
//! |---|---|
//! | `world` | time, the network, snapshots on their way |
//! | `host` | one member and its disk |
//! | `nemesis` | what goes wrong, what operators do |
//! | `clients` | what clients ask for, and watches |
//!
//! ```text
//! cargo test -p store --lib sim::holds                                        200 seeds
//! SEEDS=20000 cargo test --release -p store --lib sim::holds -- --nocapture   as many as one likes
//! SEED=4711 cargo test -p store --lib sim::holds -- --nocapture               one, with what happens in it
//! ```

mod clients;
mod host;
mod nemesis;
mod world;

use crate::raft::Fault;
use crate::seeds;
use world::{Options, World};

/// What is wrong with the store on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    Raft(Fault),
    /// Syncs do nothing.
    SkippedSync,
}

/// Runs one seed.
fn run(seed: u64, planted: Option<Planted>, trace: bool) -> Result<seeds::Coverage, String> {
    let mut world = World::new(Options { seed, planted, trace })?;
    world.trouble().and_then(|()| world.heal()).map_err(|what| format!("at {}: {what}", world.now()))?;
    Ok(world.coverage())
}

#[test]
fn holds() {
    seeds::all_hold("sim::holds", 200, |seed, trace| run(seed, None, trace));
}

/// Each planted fault is found; in the message, after how many seeds.
#[test]
fn finds_planted_faults() {
    // What needs rare coincidences (votes forgotten, acknowledgements before a sync, commits by counting) is found by
    // raft's own simulation, whose members crash and campaign more often.
    let planted =
        [Planted::SkippedSync, Planted::Raft(Fault::ReadWithoutQuorum), Planted::Raft(Fault::CommitWithoutQuorum)];
    for planted in planted {
        seeds::one_fails(&format!("{planted:?}"), 5000, |seed| run(seed, Some(planted), false));
    }
}
