//! What all that works for the pods of a node shares: the runtime, the API server, the time, the places.

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
