//! Lock. etcd: server/etcdserver/api/v3lock/lock.go.

use bytes::Bytes;
use proto::etcd::v3lockpb::lock_server::Lock;
use proto::etcd::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Request, Response, Status};

use super::Service;
use super::errors::status;
use crate::kv::{Kv, Range};

#[tonic::async_trait]
impl Lock for Service {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let LockRequest { name, lease } = request.into_inner();
        let place = self.queue_up(&name, lease, Bytes::new()).await?;
        let queued = self.queued(place.key.clone());
        self.wait_for_turn(&name, place.created).await?;
        // The lease may have ended meanwhile, and the key with it.
        let range = Range { key: place.key.clone(), ..Range::default() };
        let page = self.store.range(range).await.map_err(status)?;
        queued.keep();
        if page.kvs.is_empty() {
            return Err(Status::unknown("mutex: session is expired"));
        }
        Ok(Response::new(LockResponse { header: self.header(page.revision), key: place.key }))
    }

    async fn unlock(&self, request: Request<UnlockRequest>) -> Result<Response<UnlockResponse>, Status> {
        let key = request.into_inner().key;
        let revision = self.leave(key, None).await.map_err(status)?;
        Ok(Response::new(UnlockResponse { header: self.header(revision) }))
    }
}
