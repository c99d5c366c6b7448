//! etcd's v3 API over a [`Store`]: what etcdctl, etcd's client libraries and Kubernetes API servers speak.
//!
//! | file | what it serves |
//! |---|---|
//! | `kv`, `range`, `convert` | KV: requests as the store's values, answers back |
//! | `watch`, `events` | Watch: many watches on one stream |
//! | `lease`, `forward` | Lease; a follower asks the leader |
//! | `lock`, `election`, `concurrency` | Lock and Election: keys under leases, waiting for those before |
//! | `cluster`, `maintenance` | Cluster, Maintenance |
//! | `health`, `probes` | whether this member is well: gRPC health; /health, /livez, /readyz |
//! | `front` | the one way all requests take |
//! | `http` | everything but KV by its path; /version |
//! | `metrics`, `calls` | /metrics; calls counted |
//! | `errors` | the store's errors as gRPC's, in etcd's words |
//! | `listen`, `flags`, `run` | the process: sockets, the command line |
//! | `authority` | clients that name the server by a whole URL |
//! | `fuzz` | calls and answers as bytes, without a server, for fuzzing |
//!
//! Upstream: server/etcdserver/api/v3rpc.

mod authority;
mod calls;
mod cluster;
mod concurrency;
mod convert;
mod election;
mod errors;
mod events;
pub(crate) mod flags;
mod forward;
mod front;
pub(crate) mod fuzz;
mod health;
mod http;
mod kv;
mod lease;
mod listen;
mod lock;
mod maintenance;
mod metrics;
mod probes;
mod range;
mod run;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use proto::etcd::etcdserverpb::ResponseHeader;

use crate::store::Store;

pub use flags::Options;
pub use run::{ServeError, Server, run, serve};

pub use crate::tls::FileError;

/// The version of etcd whose API this is. API servers ask: from 3.5.13 on they rely on progress notifications (etcd #15220).
pub const VERSION: &str = "3.5.21";
/// The version that all members of the cluster understand.
pub const CLUSTER_VERSION: &str = "3.5.0";
/// What a request may take beyond the store's own limit (etcd: server/embed/config.go, grpcOverheadBytes).
const OVERHEAD: usize = 512 * 1024;

/// What all services share.
#[derive(Clone)]
pub(crate) struct Service {
    store: Arc<Store>,
    max_request_bytes: usize,
    leader: Arc<forward::Leader>,
    calls: Arc<calls::Calls>,
}

impl Service {
    /// The header of an answer as of a revision.
    fn header(&self, revision: u64) -> Option<ResponseHeader> {
        Some(ResponseHeader {
            cluster_id: self.store.cluster_id(),
            member_id: self.store.member_id(),
            revision: convert::signed(revision),
            raft_term: self.store.term(),
        })
    }

    /// The header of an answer as of now.
    fn header_now(&self) -> Option<ResponseHeader> {
        self.header(self.store.local())
    }
}
