//! Generated protobuf code: the store's log entries, what its members say to each other, the etcd v3 API; later CRI.

pub mod codec;

/// The modules stand as the packages do, because raft's messages name the log's by their path.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
mod mkube {
    pub mod log {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/mkube.log.v1.rs"));
        }
    }
    pub mod raft {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/mkube.raft.v1.rs"));
        }
    }
    pub mod peer {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/mkube.peer.v1.rs"));
        }
    }
}

/// The store's log and snapshots (`proto/log.proto`).
pub use mkube::log::v1 as log;
/// How members reach each other (`proto/peer.proto`).
pub use mkube::peer::v1 as peer;
/// What members say to each other (`proto/raft.proto`).
pub use mkube::raft::v1 as raft;

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

/// The standard gRPC health service (`proto/grpc_health.proto`).
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod grpc_health {
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}
