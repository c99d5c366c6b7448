//! A revisioned key-value store with ordered, resumable watches, in the shape of etcd's. Knows nothing of Kubernetes.
//!
//! [`Kv`] is the one door; [`Store`] is the in-process implementation. The way of a write:
//! ```text
//! store ── request (encode) ──► writer ── member: raft ── log (append, fdatasync) ── state (apply) ── watch (mark) ──► answer
//!                                              └── peer ──► the other members
//! range ─────────────────────────────────────────────────────────── state (read at a revision)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `kv` | the contract |
//! | `store` | opens a directory and answers the contract; leases, alarms and hashes beside it |
//! | `writer` | the thread that drives the member, in groups; `inbox`: what it is told |
//! | [`raft`] | how members agree on one log; pure |
//! | `member` | raft, log and state as one deterministic machine |
//! | `peer` | how members reach each other |
//! | `options` | what a store is opened with, and why it may refuse |
//! | `cluster` | what a member of several is told, and what all derive from it |
//! | `divergence` | which members are corrupt, by their hashes |
//! | `check` | what makes a transaction acceptable |
//! | `request` | requests as bytes |
//! | `lessor` | when leases expire |
//! | `quota` | how much a store may hold |
//! | `log` | entries in checksummed files; recovery; tears told from damage |
//! | `state` | keys with history: a deterministic function of the log |
//! | `snapshot` | the state as one stream: for a checkpoint, another member, a backup |
//! | `ration` | how fast that, or the log, goes to a member that is far behind |
//! | `checkpoint` | that stream in sled, two generations, so that old log files can go |
//! | `marks` | what the writer tells the watches |
//! | `shared` | what the writer, the readers and the watches share |
//! | `watch` | watches as places in the history |
//! | `span` | which keys a request means |
//! | `metrics` | what a store counts and times |
//! | `tls` | TLS out of PEM files |
//! | `random` | a seeded generator, and numbers that nobody can foresee |
//! | `turn` | gets the writer its turn on a busy machine |
//! | [`remote`] | the contract over etcd's v3 API |
//! | [`etcd`] | serves etcd's v3 API; the process `mkube-store` |
//! | [`process`] | the command line of `mkube-store`: serve, or use a tool |
//! | [`offline`] | backups as files, and new clusters out of them |
//! | `compactor` | when to compact by itself |
//! | [`bench`] | measures servers of etcd's API beside each other |
//! | [`testing`] | the suite for every implementation of the contract |
//! | `sim` | whole members over disks and a network of a seed |
//! | [`disk`] | what is asked of a file system; the real one, and one that fails by seed |

pub mod bench;
mod check;
mod checkpoint;
mod cluster;
mod compactor;
pub mod disk;
mod divergence;
pub mod etcd;
mod inbox;
mod kv;
mod lessor;
mod log;
mod marks;
mod member;
mod metrics;
pub mod offline;
mod options;
mod peer;
pub mod process;
mod quota;
pub mod raft;
mod random;
mod ration;
pub mod remote;
mod request;
mod shared;
#[cfg(test)]
mod sim;
mod snapshot;
mod span;
mod state;
mod store;
pub mod testing;
mod tls;
mod turn;
mod watch;
mod writer;

pub use cluster::Cluster;
pub use kv::{
    ClusterError, Compare, Error, Event, EventKind, KeyValue, Kv, Op, OpReply, Order, Page, Range, Revision, Signal,
    Target, Txn, TxnReply, WatchOptions, prefix_end,
};
pub use options::{OpenError, Options};
pub use state::HashKv;
pub use store::{LeaseInfo, MemberInfo, Store, StoreStatus};
