//! The controllers against a whole API in memory: what each makes of the objects that people and kubelets write. Time is
//! paused and moves only when a test says so; the part of scheduler and kubelet is played by [`rig`].
#![allow(clippy::unwrap_used)] // Only tests are here.

mod budgets;
mod deployments;
mod endpoints;
mod garbage;
mod namespaces;
mod nodes;
mod pod_gc;
mod replicasets;
mod rig;
mod service_cidrs;
