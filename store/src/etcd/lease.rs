//! Lease. etcd: server/etcdserver/api/v3rpc/lease.go.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::lease_client::LeaseClient;
use proto::etcd::etcdserverpb::lease_server::Lease;
use tonic::{Request, Response, Status, Streaming};

use super::Service;
use super::errors::status;
use crate::kv::{ClusterError, Error};

type KeepAlives = Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

impl Service {
    async fn keep_alive(&self, id: i64, forwarded: bool) -> Result<pb::LeaseKeepAliveResponse, Status> {
        // Of before: the lease may be gone by the revision after the renewal.
        let header = self.header_now();
        match self.store.lease_keep_alive(id).await {
            Ok(ttl) => Ok(pb::LeaseKeepAliveResponse { header, id, ttl }),
            Err(Error::NoLease) => Ok(pb::LeaseKeepAliveResponse { header, id, ttl: 0 }),
            Err(Error::Cluster(ClusterError::NotLeader)) if !forwarded => {
                let ttl = match self.ask_to_keep_alive(id).await {
                    Ok(ttl) => ttl,
                    Err(status) => return Err(self.leader_unreachable(status).await),
                };
                Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
            }
            Err(error) => Err(status(error)),
        }
    }

    async fn ask_to_keep_alive(&self, id: i64) -> Result<i64, Status> {
        let mut client = LeaseClient::new(self.leader_channel().await?);
        let requests = stream::iter([pb::LeaseKeepAliveRequest { id }]);
        let mut answers = client.lease_keep_alive(Self::forwarded(requests)).await?.into_inner();
        match answers.next().await {
            Some(answer) => Ok(answer?.ttl),
            None => Err(Status::unavailable("etcdserver: request timed out")),
        }
    }

    async fn ask_for_time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let mut client = LeaseClient::new(self.leader_channel().await?);
        let answer = client.lease_time_to_live(Self::forwarded(request)).await?.into_inner();
        Ok(Response::new(pb::LeaseTimeToLiveResponse { header: self.header_now(), ..answer }))
    }
}

#[tonic::async_trait]
impl Lease for Service {
    type LeaseKeepAliveStream = KeepAlives;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let request = request.into_inner();
        let (id, ttl) = self.store.lease_grant(request.id, request.ttl).await.map_err(status)?;
        Ok(Response::new(pb::LeaseGrantResponse { header: self.header_now(), id, ttl, error: String::new() }))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        self.store.lease_revoke(request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::LeaseRevokeResponse { header: self.header_now() }))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<KeepAlives>, Status> {
        let forwarded = Self::was_forwarded(request.metadata());
        let start = (self.clone(), request.into_inner(), false);
        let stream = stream::unfold(start, move |(service, mut requests, ended)| async move {
            if ended {
                return None;
            }
            // An error is the client's: it is gone.
            let request = requests.next().await?.ok()?;
            let response = service.keep_alive(request.id, forwarded).await;
            let ended = response.is_err();
            Some((response, (service, requests, ended)))
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let forwarded = Self::was_forwarded(request.metadata());
        let pb::LeaseTimeToLiveRequest { id, keys } = request.into_inner();
        let header = self.header_now();
        let response = match self.store.lease_info(id).await {
            Ok(info) => pb::LeaseTimeToLiveResponse {
                header,
                id,
                ttl: info.ttl,
                granted_ttl: info.granted,
                keys: if keys { info.keys } else { Vec::new() },
            },
            Err(Error::NoLease) => {
                pb::LeaseTimeToLiveResponse { header, id, ttl: -1, ..pb::LeaseTimeToLiveResponse::default() }
            }
            Err(Error::Cluster(ClusterError::NotLeader)) if !forwarded => {
                return match self.ask_for_time_to_live(pb::LeaseTimeToLiveRequest { id, keys }).await {
                    Ok(answer) => Ok(answer),
                    Err(status) => Err(self.leader_unreachable(status).await),
                };
            }
            Err(error) => return Err(status(error)),
        };
        Ok(Response::new(response))
    }

    async fn lease_leases(
        &self,
        _: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let ids = self.store.leases().await.map_err(status)?;
        let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        Ok(Response::new(pb::LeaseLeasesResponse { header: self.header_now(), leases }))
    }
}
