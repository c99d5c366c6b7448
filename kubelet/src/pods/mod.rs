//! The life of pods on this node: one task per pod, driven by events.
//!
//! | file | what it does |
//! |---|---|
//! | [`manager`] | one worker per pod; tells them what changed |
//! | [`operations`] | what runs beside the worker: starts, stops, volumes, sandboxes |
//! | [`messages`] | termination messages |
//! | [`finish`] | the end of a pod |
//! | [`report`] | writes the status to the API |
//! | [`worker`] | observes, plans, acts, reports, until the pod is gone |
//! | `acting` | begins the plan's actions, takes what came of them |
//! | `tending` | probes, garbage |
//! | [`mailbox`] | what happened since the worker last looked |
//! | [`observed`] | what the runtime has of a pod |
//! | [`memory`] | what the worker remembers |
//! | [`plan`] | pure: what to do next |
//! | [`launch`] | starts a container: image, configuration, hooks |
//! | [`hooks`] | postStart and preStop |
//! | [`supplies`] | makes and renews volumes and tokens |

mod acting;
pub mod finish;
pub mod hooks;
pub mod launch;
pub mod mailbox;
pub mod manager;
pub mod memory;
pub mod messages;
pub mod observed;
pub mod operations;
pub mod plan;
pub mod report;
pub mod supplies;
mod tending;
pub mod worker;

use std::net::IpAddr;
use std::sync::Arc;

use base::Clock;
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::resources::Quantities;
use crate::runtime::Runtime;
use crate::volumes::network_files::ClusterDns;
use crate::volumes::paths::Paths;

/// What all workers of a node share.
pub struct Node {
    /// Runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// The API server.
    pub cluster: Arc<dyn Cluster>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where things are kept.
    pub paths: Paths,
    /// Name of the node.
    pub name: String,
    /// Addresses of the node.
    pub ips: Vec<IpAddr>,
    /// What pods may use, in thousandths.
    pub allocatable: Quantities,
    /// Bytes of memory.
    pub memory: u64,
    /// The cluster's DNS.
    pub dns: ClusterDns,
}

impl Node {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Scheme of container IDs, e.g. `process`.
    pub fn runtime_name(&self) -> String {
        let version = self.runtime.version();
        version.split_once("://").map_or(version.clone(), |(name, _)| name.to_string())
    }
}

#[cfg(test)]
mod worker_tests;
