//! What other members call here.

use std::sync::Arc;

use base::panics::{CatchingExecutor, catch};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use proto::peer::peer_server::{Peer, PeerServer};
use proto::peer::{ClusterReply, ClusterRequest, Farewell, HashReply, HashRequest, Hello, SnapshotPart};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::admit::{REMOVED, admit};
use super::arriving::receive;
use super::{Inner, MOST_BYTES, PROBE};
use crate::member::{Arrived, Input, Temporary};
use crate::raft;
use crate::random::random;
use crate::state::HashKv;

/// Parts of a snapshot that wait to be written.
const AHEAD: usize = 4;

/// Answers the calls of one connection, until it ends.
pub(super) async fn answer<S>(inner: Arc<Inner>, connection: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service =
        PeerServer::new(Service { inner }).max_decoding_message_size(MOST_BYTES).max_encoding_message_size(MOST_BYTES);
    let mut builder = auto::Builder::new(CatchingExecutor).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .keep_alive_interval(PROBE)
        .keep_alive_timeout(PROBE);
    let connection = builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
    if let Err(error) = connection.await {
        tracing::debug!(error, "a caller's connection ended");
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
        let load = tokio::task::spawn_blocking(move || catch(|| receive(&*disk, file, index, writing)));
        while let Some(part) = stream.message().await? {
            // Fails when the other side has: its reason comes below.
            if parts.send(part).await.is_err() {
                break;
            }
        }
        drop(parts);
        let loaded = load.await.map_err(|error| error.to_string()).flatten().map_err(Status::internal)?;
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
