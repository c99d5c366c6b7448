//! The way from a follower to the leader, for what only the leader can say and raft does not carry: how long a lease has left,
//! and that it lives on. It goes to the leader's client URL, once: who was handed a call does not hand it on.

use std::time::Duration;

use tokio::sync::Mutex;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Service;
use super::errors::no_leader;
use crate::remote::dial::{self, Dialer, Target};
use crate::tls::TlsFiles;

/// Marks a call that a member has handed on.
pub(super) const MARK: &str = "mkube-store-forwarded";
/// How long it takes at most (etcd: lease requests to the leader, 5 s and more).
const PATIENCE: Duration = Duration::from_secs(5);

/// The connection to the leader.
pub(super) struct Leader {
    tls: TlsFiles,
    /// To which URL.
    channel: Mutex<Option<(String, Channel)>>,
}

impl Leader {
    /// With the files by which other members' client URLs are reached.
    pub(super) fn new(tls: TlsFiles) -> Self {
        Self { tls, channel: Mutex::new(None) }
    }

    async fn connect(&self, url: &str) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
        let target = Target::parse(url)?;
        let dialer = Dialer::new(std::slice::from_ref(&target), &self.tls, None)?;
        let stream = dialer.dial(&target, PATIENCE).await?;
        Ok(dial::channel(stream, Endpoint::from_shared(target.url.to_string())?.timeout(PATIENCE)).await?)
    }
}

impl Service {
    /// Whether a call was handed on by another member.
    pub(super) fn was_forwarded(metadata: &MetadataMap) -> bool {
        metadata.contains_key(MARK)
    }

    /// A request to hand on.
    pub(super) fn forwarded<T>(message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert(MARK, tonic::metadata::MetadataValue::from_static("1"));
        request.set_timeout(PATIENCE);
        request
    }

    /// A channel to the leader.
    pub(super) async fn leader_channel(&self) -> Result<Channel, Status> {
        let leader = self.store.leader().ok_or_else(no_leader)?;
        let member = self.store.members().into_iter().find(|member| member.id == leader);
        let url = member.and_then(|member| member.client_urls.into_iter().next()).ok_or_else(no_leader)?;
        let mut known = self.leader.channel.lock().await;
        if let Some((to, channel)) = &*known
            && *to == url
        {
            return Ok(channel.clone());
        }
        let channel = self.leader.connect(&url).await.map_err(|error| {
            tracing::warn!(%error, url, "cannot reach the leader");
            Status::unavailable("etcdserver: request timed out, possibly due to connection lost")
        })?;
        *known = Some((url, channel.clone()));
        Ok(channel)
    }

    /// The connection failed: the next call makes another.
    pub(super) async fn leader_unreachable(&self, status: Status) -> Status {
        if status.code() == tonic::Code::Unavailable || status.code() == tonic::Code::Unknown {
            *self.leader.channel.lock().await = None;
        }
        status
    }
}
