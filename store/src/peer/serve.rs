//! What other members call here.

use std::convert::Infallible;
use std::sync::Arc;

use proto::peer::peer_server::{Peer, PeerServer};
use proto::peer::{ClusterReply, ClusterRequest, Farewell, HashReply, HashRequest, Hello, SnapshotPart};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::admit::{REMOVED, admit};
use super::arriving::receive;
use super::{Door, Inner, MOST_BYTES, PROBE};
use crate::member::{Arrived, Input, Temporary};
use crate::raft;
use crate::random::random;
use crate::state::HashKv;

/// Parts of a snapshot that wait to be written.
const AHEAD: usize = 4;

/// Serves until the member stops.
pub(super) async fn serve(inner: Arc<Inner>, door: Door, open: mpsc::Sender<Infallible>) {
    let mut stopped = inner.stopped.subscribe();
    let service = PeerServer::new(Service { inner: Arc::clone(&inner) })
        .max_decoding_message_size(MOST_BYTES)
        .max_encoding_message_size(MOST_BYTES);
    let served = tonic::transport::Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .http2_keepalive_interval(Some(PROBE))
        .http2_keepalive_timeout(Some(PROBE))
        .add_service(service)
        .serve_with_incoming(door.connections(&open, &inner));
    tokio::select! {
        result = served => if let Err(error) = result {
            tracing::error!(%error, "other members can no longer reach this one");
        },
        // Not gracefully: a snapshot on its way would be waited for.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

/// Why somebody may not talk.
pub(super) fn refusal(reason: String) -> Status {
    if reason == REMOVED { Status::permission_denied(reason) } else { Status::failed_precondition(reason) }
}

struct Service {
    inner: Arc<Inner>,
}

impl Inner {
    /// Who calls, if it is whom it says it is.
    pub(super) fn admit(&self, hello: Option<&Hello>) -> Result<u64, Status> {
        let hello = hello.ok_or_else(|| Status::invalid_argument("the caller does not say who it is"))?;
        let state = self.core.state.read();
        let mut heard = self.heard.lock();
        admit(&self.me, state.members(), &mut heard, hello).map_err(refusal)?;
        Ok(hello.from)
    }
}

#[tonic::async_trait]
impl Peer for Service {
    async fn install(&self, request: Request<Streaming<SnapshotPart>>) -> Result<Response<Farewell>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.unwrap_or_default();
        let from = self.inner.admit(first.hello.as_ref())?;
        let message = first.message.ok_or_else(|| Status::invalid_argument("a snapshot of nothing"))?;
        let Some(raft::Body::Snapshot(snapshot)) = message.body.as_ref().filter(|_| message.from == from) else {
            return Err(Status::invalid_argument("a snapshot that is none"));
        };
        // A name of its own: the same snapshot may be on its way twice.
        let path = self.inner.dir.join(format!("received-{from:016x}-{:020}-{:016x}.tmp", snapshot.index, random()));
        let file = Temporary::new(Arc::clone(&self.inner.disk), path);
        let index = snapshot.index;
        let (parts, writing) = mpsc::channel(AHEAD);
        let disk = Arc::clone(&self.inner.disk);
        let load = tokio::task::spawn_blocking(move || receive(&*disk, file, index, writing));
        while let Some(part) = stream.message().await? {
            // Fails when the other side has: its reason comes below.
            if parts.send(part).await.is_err() {
                break;
            }
        }
        drop(parts);
        let loaded = load.await.map_err(|error| Status::internal(error.to_string()))?;
        let (file, state, head) = loaded.map_err(Status::aborted)?;
        let arrived = Arrived { file, head, state, message };
        self.inner.tell(Input::Arrived(Box::new(arrived)));
        Ok(Response::new(Farewell {}))
    }

    async fn cluster(&self, request: Request<ClusterRequest>) -> Result<Response<ClusterReply>, Status> {
        let member = request.into_inner().member;
        let state = self.inner.core.state.read();
        let known = state.members().get(member).is_some_and(|member| member.nonce != 0)
            || self.inner.heard.lock().contains_key(&member);
        let members = state.members().iter().cloned().collect();
        Ok(Response::new(ClusterReply { cluster: self.inner.me.cluster, members, known }))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashReply>, Status> {
        let HashRequest { hello, revision } = request.into_inner();
        self.inner.admit(hello.as_ref())?;
        let found = self.inner.core.hash(revision).await;
        let HashKv { hash, compacted, revision } =
            found.map_err(|error| Status::failed_precondition(error.to_string()))?;
        Ok(Response::new(HashReply { hash, compacted, revision }))
    }
}
