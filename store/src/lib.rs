//! A revisioned key-value store with ordered, resumable watches, in the shape of etcd's. Knows nothing of Kubernetes.
//!
//! [`Kv`] is the one door.

mod kv;

pub use kv::{
    Compare, Error, Event, EventKind, KeyValue, Kv, Op, OpReply, Order, Page, Range, Revision, Signal, Target, Txn,
    TxnReply, WatchOptions, prefix_end,
};
