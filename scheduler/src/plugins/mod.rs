//! The table of plugins. A new one is a row here and a file beside.

mod affinity;
mod names;
mod ports;
mod resources;
mod taints;

use crate::framework::Plugin;

/// In the order in which they filter: the first that refuses a node names the reason.
pub const PLUGINS: &[&dyn Plugin] = &[
    &names::NodeUnschedulable,
    &names::NodeName,
    &taints::TaintToleration,
    &affinity::NodeAffinity,
    &ports::NodePorts,
    &resources::Fit,
    &resources::BalancedAllocation,
];
