//! Runs pods on a node: sources, workers, probes, volumes, runtimes.

pub mod runtime;
