//! Generated protobuf code: the store's log entries; later the etcd v3 API, the raft transport and CRI.
