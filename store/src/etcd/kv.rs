//! KV. etcd: server/etcdserver/api/v3rpc/key.go.

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::kv_server::Kv;
use tonic::{Request, Response, Status};

use super::Service;
use super::convert::{delete, delete_body, put, put_body, txn, unsigned};
use super::errors::{not_for_learners, status};
use super::range::to_range;
use crate::kv::{Error, Kv as _, Op, OpReply, Txn, TxnReply};

impl Service {
    async fn single(&self, op: Op) -> Result<(OpReply, u64), Error> {
        let txn = Txn { then: vec![op], ..Txn::default() };
        let TxnReply { mut replies, revision, .. } = self.store.txn(txn).await?;
        let missing = || Error::Corrupt("the store did not answer a step".into());
        replies.pop().map(|reply| (reply, revision)).ok_or_else(missing)
    }

    /// Of a put on its own etcd asks for the lease first, of one within a transaction, as the state does, for the key.
    async fn why_not_put(&self, lease: i64, error: Error) -> Error {
        match error {
            Error::NoKey if lease != 0 => self.store.lease_info(lease).await.err().unwrap_or(Error::NoKey),
            error => error,
        }
    }
}

#[tonic::async_trait]
impl Kv for Service {
    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        let request = request.into_inner();
        if !request.serializable && self.store.is_learner() {
            return Err(not_for_learners());
        }
        let page = self.store.range(to_range(&request)?).await.map_err(status)?;
        Ok(Response::new(self.range_response(&request, page)))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let request = request.into_inner();
        let (reply, revision) = match self.single(put(&request)?).await {
            Ok(done) => done,
            Err(error) => return Err(status(self.why_not_put(request.lease, error).await)),
        };
        let prev = if let OpReply::Put(prev) = reply { prev } else { None };
        Ok(Response::new(pb::PutResponse { header: self.header(revision), ..put_body(&request, prev, revision) }))
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        let request = request.into_inner();
        let (reply, revision) = self.single(delete(&request)?).await.map_err(status)?;
        let prevs = if let OpReply::Delete(prevs) = reply { prevs } else { Vec::new() };
        let body = delete_body(&request, prevs, revision);
        Ok(Response::new(pb::DeleteRangeResponse { header: self.header(revision), ..body }))
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        let request = request.into_inner();
        let reply = self.store.txn(txn(&request)?).await.map_err(status)?;
        Ok(Response::new(self.txn_response(&request, reply)))
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        let request = request.into_inner();
        let revision = unsigned(request.revision);
        self.store.compact(revision).await.map_err(status)?;
        if request.physical {
            self.store.swept(revision).await.map_err(status)?;
        }
        Ok(Response::new(pb::CompactionResponse { header: self.header_now() }))
    }
}
