//! Generated protobuf code: the store's log entries; later the etcd v3 API, the raft transport and CRI.

/// The store's log and snapshots (`proto/log.proto`).
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod log {
    include!(concat!(env!("OUT_DIR"), "/mkube.log.v1.rs"));
}
