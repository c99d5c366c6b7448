//! Maintenance. etcd: server/etcdserver/api/v3rpc/maintenance.go.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use base::panics::catch;
use futures::{Stream, StreamExt};
use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::alarm_request::AlarmAction;
use proto::etcd::etcdserverpb::maintenance_server::Maintenance;
use proto::log::{AlarmChange, AlarmKind};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::convert::{signed, unsigned};
use super::errors::{invalid, status};
use super::{CLUSTER_VERSION, Service, VERSION};
use crate::kv::{Error, Kv};
use crate::store::Backup;

/// Bytes in a message of a snapshot (etcd: snapshotSendBufferSize).
const CHUNK: usize = 32 * 1024;
/// A client that takes nothing of its snapshot for so long has lost it: history is kept for it meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

type Chunks = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

fn kind_from(alarm: i32) -> Result<AlarmKind, Status> {
    match pb::AlarmType::try_from(alarm) {
        Ok(pb::AlarmType::None) => Ok(AlarmKind::AlarmNone),
        Ok(pb::AlarmType::Nospace) => Ok(AlarmKind::AlarmNoSpace),
        Ok(pb::AlarmType::Corrupt) => Ok(AlarmKind::AlarmCorrupt),
        Err(_) => Err(invalid("unknown alarm")),
    }
}

fn alarm_to(alarm: AlarmChange) -> pb::AlarmMember {
    let kind = match alarm.kind() {
        AlarmKind::AlarmNone => pb::AlarmType::None,
        AlarmKind::AlarmNoSpace => pb::AlarmType::Nospace,
        AlarmKind::AlarmCorrupt => pb::AlarmType::Corrupt,
    };
    pb::AlarmMember { member_id: alarm.member, alarm: kind.into() }
}

#[tonic::async_trait]
impl Maintenance for Service {
    type SnapshotStream = Chunks;

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let request = request.into_inner();
        let kind = kind_from(request.alarm)?;
        let member = request.member_id;
        let action = AlarmAction::try_from(request.action).map_err(|_| invalid("unknown alarm action"))?;
        let alarms = match action {
            AlarmAction::Get => {
                let wanted = |alarm: &AlarmChange| kind == AlarmKind::AlarmNone || alarm.kind() == kind;
                self.store.alarms().into_iter().filter(wanted).collect()
            }
            AlarmAction::Activate if kind == AlarmKind::AlarmNone => Vec::new(),
            AlarmAction::Activate | AlarmAction::Deactivate => {
                let change = AlarmChange { member, kind: kind.into(), on: action == AlarmAction::Activate };
                self.store.alarm(change).await.map_err(status)?
            }
        };
        let alarms = alarms.into_iter().map(alarm_to).collect();
        Ok(Response::new(pb::AlarmResponse { header: self.header_now(), alarms }))
    }

    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        let now = self.store.status();
        let mut errors: Vec<String> = Vec::new();
        if now.leader == 0 {
            errors.push("etcdserver: no leader".into());
        }
        errors.extend(self.store.alarms().into_iter().map(|alarm| {
            let alarm = alarm_to(alarm);
            format!("memberID:{} alarm:{} ", alarm.member_id, alarm.alarm().as_str_name())
        }));
        let failure = self.store.checkpoint_failure();
        errors.extend(failure.map(|failure| format!("memberID:{} checkpoint: {failure} ", self.store.member_id())));
        Ok(Response::new(pb::StatusResponse {
            header: self.header_now(),
            version: VERSION.into(),
            db_size: signed(now.db_size),
            leader: now.leader,
            raft_index: now.index,
            raft_term: now.term,
            raft_applied_index: now.applied_index,
            errors,
            db_size_in_use: signed(now.db_size_in_use),
            is_learner: now.learner,
            storage_version: CLUSTER_VERSION.into(),
            db_size_quota: signed(self.store.quota()),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        }))
    }

    /// There is no free space between live data to give back, as etcd's backend has; what can be waited for is that
    /// compaction has been carried out.
    async fn defragment(&self, _: Request<pb::DefragmentRequest>) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.store.swept(self.store.figures().compacted).await.map_err(status)?;
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, _: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let found = self.store.hash_kv(0).await.map_err(status)?;
        Ok(Response::new(pb::HashResponse { header: self.header(found.revision), hash: found.hash }))
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        let found = self.store.hash_kv(unsigned(request.into_inner().revision)).await.map_err(status)?;
        Ok(Response::new(pb::HashKvResponse {
            header: self.header_now(),
            hash: found.hash,
            // etcd: never compacted is -1.
            compact_revision: if found.compacted == 0 { -1 } else { signed(found.compacted) },
            hash_revision: signed(found.revision),
        }))
    }

    async fn snapshot(&self, _: Request<pb::SnapshotRequest>) -> Result<Response<Chunks>, Status> {
        self.store.revision().await.map_err(status)?;
        let (sender, receiver) = mpsc::channel(4);
        let (service, backup) = (self.clone(), self.store.backup());
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let sent = catch(|| send_backup(&service, &backup, &sender, &runtime));
            if let Err(error) = sent.unwrap_or_else(|panic| Err(io::Error::other(panic))) {
                tracing::debug!(%error, "a snapshot was not sent to its end");
                let _ = sender.try_send(Err(status(Error::Unavailable(error.to_string()))));
            }
        });
        let stream = futures::stream::unfold(receiver, |mut receiver| async move {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        self.store.move_leader(request.into_inner().target_id).await.map_err(status)?;
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    async fn downgrade(&self, _: Request<pb::DowngradeRequest>) -> Result<Response<pb::DowngradeResponse>, Status> {
        Err(Status::unimplemented("etcdserver: this store has no other version to downgrade to"))
    }
}

/// Sends a backup, until it is complete or the client has gone. Blocks.
fn send_backup(
    service: &Service,
    backup: &Backup,
    sender: &mpsc::Sender<Result<pb::SnapshotResponse, Status>>,
    runtime: &tokio::runtime::Handle,
) -> io::Result<()> {
    // An estimate: nobody has counted. It never says 0 before the end.
    let mut remaining = service.store.status().db_size;
    backup.write(&mut |mut piece| {
        while !piece.is_empty() {
            let blob = piece.split_to(piece.len().min(CHUNK));
            remaining = remaining.saturating_sub(blob.len() as u64).max(1);
            let response = pb::SnapshotResponse {
                header: service.header_now(),
                remaining_bytes: remaining,
                blob,
                version: CLUSTER_VERSION.into(),
            };
            let sent = runtime.block_on(async { tokio::time::timeout(PATIENCE, sender.send(Ok(response))).await });
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(io::Error::other("the client has gone")),
                Err(_) => return Err(io::Error::other("the client takes nothing any more")),
            }
        }
        Ok(())
    })
}
