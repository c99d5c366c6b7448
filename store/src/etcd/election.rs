//! Election. etcd: server/etcdserver/api/v3election/election.go, client/v3/concurrency/election.go.

use std::pin::Pin;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, stream};
use proto::etcd::v3electionpb as pb;
use proto::etcd::v3electionpb::election_server::Election;
use tonic::{Request, Response, Status};

use super::Service;
use super::concurrency::{created_at, under};
use super::convert::{kv, signed, unsigned};
use super::errors::status;
use crate::kv::{Error, Event, EventKind, KeyValue, Kv, Op, Range, Signal, Txn, WatchOptions};

type Leaders = Pin<Box<dyn Stream<Item = Result<pb::LeaderResponse, Status>> + Send>>;

fn required(leader: Option<pb::LeaderKey>) -> Result<pb::LeaderKey, Status> {
    leader.ok_or_else(|| Status::unknown("\"leader\" field must be provided"))
}

impl Service {
    /// Gives a candidate's key another value, if it is still the one created then.
    async fn announce(&self, key: &Bytes, created: u64, lease: i64, value: Bytes) -> Result<u64, Status> {
        let put = Op::Put { key: key.clone(), value, lease };
        let txn = Txn { when: vec![created_at(key, created)], then: vec![put], ..Txn::default() };
        let reply = self.store.txn(txn).await.map_err(status)?;
        if reply.succeeded { Ok(reply.revision) } else { Err(Status::unknown("election: not leader")) }
    }
}

#[tonic::async_trait]
impl Election for Service {
    type ObserveStream = Leaders;

    async fn campaign(&self, request: Request<pb::CampaignRequest>) -> Result<Response<pb::CampaignResponse>, Status> {
        let pb::CampaignRequest { name, lease, value } = request.into_inner();
        let place = self.queue_up(&name, lease, value.clone()).await?;
        let queued = self.queued(place.key.clone());
        if place.existing.as_ref().is_some_and(|kv| kv.value != value) {
            self.announce(&place.key, place.created, place.lease, value).await?;
        }
        self.wait_for_turn(&name, place.created).await?;
        queued.keep();
        let leader = pb::LeaderKey { name, key: place.key, rev: signed(place.created), lease: place.lease };
        Ok(Response::new(pb::CampaignResponse { header: self.header_now(), leader: Some(leader) }))
    }

    async fn proclaim(&self, request: Request<pb::ProclaimRequest>) -> Result<Response<pb::ProclaimResponse>, Status> {
        let pb::ProclaimRequest { leader, value } = request.into_inner();
        let leader = required(leader)?;
        let revision = self.announce(&leader.key, unsigned(leader.rev), leader.lease, value).await?;
        Ok(Response::new(pb::ProclaimResponse { header: self.header(revision) }))
    }

    async fn leader(&self, request: Request<pb::LeaderRequest>) -> Result<Response<pb::LeaderResponse>, Status> {
        match self.first(&request.into_inner().name).await? {
            (Some(leader), revision) => Ok(Response::new(self.leader_response(leader, revision))),
            (None, _) => Err(Status::unknown("election: no leader")),
        }
    }

    async fn observe(&self, request: Request<pb::LeaderRequest>) -> Result<Response<Leaders>, Status> {
        let observer = Observer { service: self.clone(), name: request.into_inner().name, stage: Stage::Look };
        let stream = stream::unfold(observer, |mut observer| async move {
            if matches!(observer.stage, Stage::Ended) {
                return None;
            }
            let next = observer.next().await.inspect_err(|_| observer.stage = Stage::Ended);
            Some((next, observer))
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn resign(&self, request: Request<pb::ResignRequest>) -> Result<Response<pb::ResignResponse>, Status> {
        let leader = required(request.into_inner().leader)?;
        let revision = self.leave(leader.key, Some(unsigned(leader.rev))).await.map_err(status)?;
        Ok(Response::new(pb::ResignResponse { header: self.header(revision) }))
    }
}

impl Service {
    /// Waits for the first key under `name`, from a revision on.
    async fn first_candidate(&self, name: &Bytes, from: u64) -> Result<(KeyValue, u64), Status> {
        let options = WatchOptions { from, progress: false };
        let mut watch = self.store.watch(under(name), options);
        while let Some(signal) = watch.next().await {
            let Signal::Events(revision, events) = signal.map_err(status)? else { continue };
            if let Some(event) = events.into_iter().find(|event| event.kind == EventKind::Put) {
                return Ok((event.kv, revision));
            }
        }
        Err(Status::unavailable("the watch ended"))
    }

    fn leader_response(&self, leader: KeyValue, revision: u64) -> pb::LeaderResponse {
        pb::LeaderResponse { header: self.header(revision), kv: Some(kv(leader)) }
    }
}

/// Tells who leads, and every change of it: not each one of the past, but always the latest.
struct Observer {
    service: Service,
    name: Bytes,
    stage: Stage,
}

enum Stage {
    /// Who leads?
    Look,
    /// Somebody did at this revision: what becomes of his key?
    Follow(BoxStream<'static, Result<Signal, Error>>),
    Ended,
}

impl Observer {
    async fn next(&mut self) -> Result<pb::LeaderResponse, Status> {
        loop {
            match &mut self.stage {
                Stage::Look => {
                    let (leader, revision) = match self.service.first(&self.name).await? {
                        (Some(leader), revision) => (leader, revision),
                        (None, revision) => self.service.first_candidate(&self.name, revision).await?,
                    };
                    let range = Range { key: leader.key.clone(), ..Range::default() };
                    let options = WatchOptions { from: revision + 1, progress: false };
                    self.stage = Stage::Follow(self.service.store.watch(range, options));
                    return Ok(self.service.leader_response(leader, revision));
                }
                Stage::Follow(watch) => {
                    let signal = watch.next().await.ok_or_else(|| Status::unavailable("the watch ended"))?;
                    let Signal::Events(revision, events) = signal.map_err(status)? else { continue };
                    // One key: one event.
                    match events.into_iter().next() {
                        Some(Event { kind: EventKind::Put, kv, .. }) => {
                            return Ok(self.service.leader_response(kv, revision));
                        }
                        _ => self.stage = Stage::Look,
                    }
                }
                Stage::Ended => return Err(Status::unavailable("the watch ended")),
            }
        }
    }
}
