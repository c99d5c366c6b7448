//! Generated protobuf code: the store's log entries and the etcd v3 API; later the raft transport and CRI.

/// The store's log and snapshots (`proto/log.proto`).
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod log {
    include!(concat!(env!("OUT_DIR"), "/mkube.log.v1.rs"));
}

/// The etcd v3 API (`proto/etcd_*.proto`), under the package names that are part of its paths.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod etcd {
    /// KV, Watch, Lease, Cluster and Maintenance.
    pub mod etcdserverpb {
        include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
    }
    /// Keys and events.
    pub mod mvccpb {
        include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
    }
    /// Locks.
    pub mod v3lockpb {
        include!(concat!(env!("OUT_DIR"), "/v3lockpb.rs"));
    }
    /// Elections.
    pub mod v3electionpb {
        include!(concat!(env!("OUT_DIR"), "/v3electionpb.rs"));
    }
}
