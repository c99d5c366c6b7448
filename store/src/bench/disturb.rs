//! What goes on beside a load: compactions, snapshots that are read, a member that gets everything, checkpoints.

use std::time::Duration;

use proto::etcd::etcdserverpb as pb;
use proto::etcd::etcdserverpb::cluster_client::ClusterClient;
use proto::etcd::etcdserverpb::kv_client::KvClient;
use proto::etcd::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use super::cases::Meanwhile;
use super::load::connect;
use super::server::Server;

/// Between two compactions: Kubernetes' API servers do it every 5 minutes, of as many revisions as come in such a time.
const PAUSE: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(60);

/// Does it again and again until `end`; how often it was done.
pub(super) async fn disturb(what: Meanwhile, server: &mut Server, end: Instant) -> Result<u64, Status> {
    if what == Meanwhile::Checkpoints {
        return checkpoints(server, end).await;
    }
    let mut done = 0;
    while what != Meanwhile::Nothing && Instant::now() < end {
        match what {
            Meanwhile::Nothing | Meanwhile::Checkpoints => {}
            Meanwhile::Compactions => compact(server, end).await?,
            Meanwhile::Snapshots => read_snapshot(server).await?,
            Meanwhile::Transfers => {
                if !transfer(server).await? {
                    break;
                }
            }
        }
        done += 1;
    }
    Ok(done)
}

/// The server writes them by itself, once its log has grown beyond what it holds: so history must not pile up. How many there are
/// that were not there before.
async fn checkpoints(server: &Server, end: Instant) -> Result<u64, Status> {
    let before = server.checkpoints();
    let mut seen = std::collections::BTreeSet::new();
    while Instant::now() < end {
        compact(server, end).await?;
        seen.extend(server.checkpoints());
    }
    Ok(seen.difference(&before).count() as u64)
}

/// Everything that was overwritten until now goes.
async fn compact(server: &Server, end: Instant) -> Result<(), Status> {
    tokio::time::sleep_until(end.min(Instant::now() + PAUSE)).await;
    let mut kv = KvClient::new(connect(first(server)?).await?);
    let now = kv.range(pb::RangeRequest { key: "\0".into(), ..Default::default() }).await?.into_inner();
    let revision = now.header.map_or(0, |header| header.revision);
    match kv.compact(pb::CompactionRequest { revision, physical: true }).await {
        // Nothing was written since the last one.
        Err(status) if status.code() == tonic::Code::OutOfRange => Ok(()),
        compacted => compacted.map(drop),
    }
}

async fn read_snapshot(server: &Server) -> Result<(), Status> {
    let channel = connect(first(server)?).await?;
    let mut client = MaintenanceClient::new(channel).max_decoding_message_size(i32::MAX as usize);
    let mut parts = client.snapshot(pb::SnapshotRequest {}).await?.into_inner();
    while parts.message().await?.is_some() {}
    Ok(())
}

/// A learner joins, gets everything, answers, and leaves. Not where the processes are not ours.
async fn transfer(server: &mut Server) -> Result<bool, Status> {
    let Some(place) = server.place()? else { return Ok(false) };
    let mut cluster = ClusterClient::new(connect(first(server)?).await?);
    let add = pb::MemberAddRequest { peer_ur_ls: vec![place.peer.clone()], is_learner: true };
    let added = cluster.member_add(add).await?.into_inner().member.map_or(0, |member| member.id);
    server.join(&place)?;
    let outcome = caught_up(&place.client, first(server)?).await;
    let removed = cluster.member_remove(pb::MemberRemoveRequest { id: added }).await;
    server.part().await;
    outcome.and(removed.map(|_| true))
}

/// Waits until one member has applied what another one had at the call.
async fn caught_up(url: &str, leader: &str) -> Result<(), Status> {
    let end = Instant::now() + PATIENCE;
    let status = async |client: &mut MaintenanceClient<Channel>| {
        let status = client.status(pb::StatusRequest {}).await?.into_inner();
        Ok::<_, Status>(status.header.map_or(0, |header| header.revision))
    };
    let there = status(&mut MaintenanceClient::new(connect(leader).await?)).await?;
    // One connection, once it listens: a new one for each look would be load of its own.
    let mut client = None;
    loop {
        if client.is_none() {
            client = connect(url).await.ok().map(MaintenanceClient::new);
        }
        if let Some(client) = &mut client
            && status(client).await.is_ok_and(|here| here >= there)
        {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Status::deadline_exceeded("the new member does not catch up"));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn first(server: &Server) -> Result<&str, Status> {
    server.urls.first().map(String::as_str).ok_or_else(|| Status::internal("no endpoint"))
}
