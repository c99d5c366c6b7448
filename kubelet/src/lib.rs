//! Runs pods on a node: sources, workers, probes, volumes, runtimes.

pub mod cgroup;
pub mod netns;
pub mod runtime;
pub mod shim;
