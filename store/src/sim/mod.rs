//! A seeded simulation of whole members: raft, log, state and watches as they run, on disks in memory that lose power, tear
//! writes and fail, over a network that loses, doubles and delays. Clients' answers are judged against a model, revision by
//! revision (`testing::history`).
//!
//! | file | what it is |
//! |---|---|
//! | `world` | time: events in their order |
//! | `outside` | what comes out of a member: parcels, answers, snapshots on their way |
//! | `looks` | whether members agree, who takes part |
//! | `host` | one member and its disk |
//! | `nemesis` | what goes wrong, what operators do |
//! | `clients` | what clients ask for |
//! | `watchers` | clients that watch |
//! | `leases` | clients that keep leases alive, members' clocks, when leases may end |
//!
//! ```text
//! cargo test -p store --lib sim::holds                                        200 seeds
//! SEEDS=20000 cargo test --release -p store --lib sim::holds -- --nocapture   as many as one likes
//! SEED=4711 cargo test -p store --lib sim::holds -- --nocapture               one, with what happens in it
//! ```

mod clients;
mod host;
mod leases;
mod looks;
mod nemesis;
mod outside;
mod watchers;
mod world;

use std::sync::atomic::Ordering;

use proto::log::MembershipChange;

use crate::member::Input;
use crate::raft::{ChangeKind, Fault};
use crate::shared;
use crate::testing::seeds;
use host::Ticket;
use world::{Event, Options, World};

/// What is wrong with the store on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Planted {
    Raft(Fault),
    Store(shared::Fault),
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

#[test]
fn the_other_one_of_two_voters_can_lead_after_the_leader_was_removed() {
    // The news of the removal is lost; the removed one's vote is needed once more.
    let mut world = World::of(Options { seed: 1, planted: None, trace: false }, 2).unwrap();
    world.run_until(10_000, |_| false).unwrap();
    let leader = world.somebody(true).unwrap();
    let other = world.members().into_iter().find(|id| *id != leader).unwrap();
    let change = MembershipChange { kind: ChangeKind::Remove.into(), id: leader, ..MembershipChange::default() };
    world.input(leader, Input::Change(change, Ticket::Nobody)).unwrap();
    let removed = world.run_until(11_000, |world| world.members() == [other]).unwrap();
    assert!(removed, "the change is not applied by the leader");
    world.forget(|event| matches!(event, Event::Deliver { from, .. } if *from == leader));
    world.forget(|event| matches!(event, Event::Start(_)));
    let alone = |world: &World| world.hosts[&other].core().is_some_and(|core| core.alone.load(Ordering::Acquire));
    assert!(!alone(&world), "it knows already");
    assert!(world.run_until(14_000, alone).unwrap(), "it waits for a vote");
}

/// Each planted fault is found; in the message, after how many seeds.
#[test]
fn finds_planted_faults() {
    // What needs rare coincidences (votes forgotten, acknowledgements before a sync, commits by counting) is found by
    // raft's own simulation, whose members crash and campaign more often.
    let planted = [
        Planted::SkippedSync,
        Planted::Raft(Fault::ReadWithoutQuorum),
        Planted::Raft(Fault::CommitWithoutQuorum),
        Planted::Raft(Fault::ApplyBeforeCommit),
        Planted::Store(shared::Fault::DropEvent),
        Planted::Store(shared::Fault::EarlyProgress),
        Planted::Store(shared::Fault::ExpireInAnyTerm),
        Planted::Store(shared::Fault::SkipTombstones),
    ];
    for planted in planted {
        seeds::one_fails(&format!("{planted:?}"), 5000, |seed| run(seed, Some(planted), false));
    }
}
