//! The end-to-end harness: real clusters of real processes, started, asked, hurt and ended by tests (`tests/*.rs`).
//!
//! | module | what it is for |
//! |---|---|
//! | [`program`] | finds or builds the `mkube` program under test; says loudly why a scenario cannot run |
//! | [`backing`] | the store that clusters run on, where it is not their own |
//! | [`cluster`] | one cluster: up, down, clients, kubectl |
//! | [`faults`] | kill, stop, continue, cut a node off, kill everything |
//! | [`objects`] | manifests in, pods out |
//! | [`web`]  | one connection per request, as an impatient client does it; steady load |
//! | [`leftovers`] | what a cluster must not leave behind |
//! | [`wait`] | conditions with deadlines, the last state in the message |
//!
//! It relies on root and on the host's kernel; nothing is simulated.

pub mod backing;
pub mod cluster;
pub mod faults;
pub mod leftovers;
pub mod objects;
pub mod program;
pub mod wait;
pub mod web;

pub use cluster::{Cluster, Options};
pub use wait::eventually;
