//! Leases at work: what a client asks for, and the task that revokes those whose time is over. The decisions are
//! [`crate::lessor`]'s; what exists is the state's.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use proto::log::request::Body;
use proto::log::{LeaseGrant, LeaseRevoke};

use super::Store;
use crate::kv::{ClusterError, Error, Kv};
use crate::lessor::Renewal;
use crate::request;
use crate::shared::Core;
use crate::state::Outcome;

/// Shorter leases are granted this many seconds: one and a half times the time in which a leader is elected (etcd:
/// server/etcdserver/server.go, minTTL), so that a change of leader does not cost them.
const SHORTEST: i64 = 2;
/// Revocations under way at once.
const AT_ONCE: usize = 64;

/// What is known of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Whole seconds left.
    pub ttl: i64,
    /// Seconds that it was granted.
    pub granted: i64,
    /// The keys that go with it, in order.
    pub keys: Vec<Bytes>,
}

impl Store {
    /// Grants a lease of `ttl` seconds under an ID of the caller's, or (0) of the store's choice. Answers the ID and the
    /// seconds that were granted: short ones are lengthened.
    ///
    /// # Errors
    /// When the ID is taken, the time is too long, or the write fails.
    pub async fn lease_grant(&self, id: i64, ttl: i64) -> Result<(i64, i64), Error> {
        let id = if id == 0 { new_id() } else { id };
        self.room(64).await?;
        let grant = LeaseGrant { id, ttl: ttl.max(SHORTEST) };
        match self.propose(request::encode(Body::LeaseGrant(grant))).await? {
            Outcome::LeaseGranted { id, ttl } => Ok((id, ttl)),
            other => Err(mismatch(&other)),
        }
    }

    /// Ends a lease; its keys are deleted.
    ///
    /// # Errors
    /// When there is no such lease, or the write fails.
    pub async fn lease_revoke(&self, id: i64) -> Result<(), Error> {
        let revoke = LeaseRevoke { id, expired_in_term: None };
        self.propose(request::encode(Body::LeaseRevoke(revoke))).await.map(|_| ())
    }

    /// Gives a lease its full time again; answers the seconds.
    ///
    /// # Errors
    /// [`Error::NoLease`] when it is gone, or its time was over. When this member cannot say: another one leads.
    pub async fn lease_keep_alive(&self, id: i64) -> Result<i64, Error> {
        // A deposed leader must not promise time: its successor counts from its own beginning.
        self.revision().await?;
        loop {
            let ended = self.core().lease_ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            match self.core().renew(id) {
                Renewal::Renewed(ttl) => return Ok(ttl),
                Renewal::Unknown => return Err(Error::NoLease),
                Renewal::NotLeading => return Err(ClusterError::NotLeader.into()),
                Renewal::Expired => ended.await,
            }
            self.core().open()?;
        }
    }

    /// What is known of a lease.
    ///
    /// # Errors
    /// [`Error::NoLease`]. When this member cannot say: another one leads.
    pub async fn lease_info(&self, id: i64) -> Result<LeaseInfo, Error> {
        self.revision().await?;
        let (granted, keys) = {
            let state = self.core().state.read();
            let lease = state.leases().get(id).ok_or(Error::NoLease)?;
            (lease.ttl, lease.keys.iter().cloned().collect())
        };
        let lessor = self.core().lessor.lock();
        if lessor.term().is_none() {
            return Err(ClusterError::NotLeader.into());
        }
        let ttl = lessor.remaining(self.core().now(), id).ok_or(Error::NoLease)?;
        Ok(LeaseInfo { ttl, granted, keys })
    }

    /// The IDs of all leases, in order.
    ///
    /// # Errors
    /// When the store is closed.
    pub async fn leases(&self) -> Result<Vec<i64>, Error> {
        self.revision().await?;
        Ok(self.core().state.read().leases().iter().map(|lease| lease.id).collect())
    }
}

/// A positive random number.
fn new_id() -> i64 {
    loop {
        let id = (rand::random::<u64>() >> 1) as i64;
        if id != 0 {
            return id;
        }
    }
}

fn mismatch(outcome: &Outcome) -> Error {
    Error::Corrupt(format!("a request was answered with {outcome:?}"))
}

/// Revokes what has expired, as long as the store is open.
pub(crate) async fn expire(core: Arc<Core>, store: Weak<Store>) {
    while core.open().is_ok() {
        let next = core.lessor.lock().next();
        let wait = next.map(|next| next.saturating_sub(core.now()));
        let changed = core.lease_changed.notified();
        match wait {
            None => changed.await,
            Some(Duration::ZERO) => {
                let Some(store) = store.upgrade() else { return };
                revoke_expired(&core, &store).await;
            }
            Some(wait) => tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(wait) => {}
            },
        }
    }
}

async fn revoke_expired(core: &Core, store: &Store) {
    let revocations = core.expired(AT_ONCE).into_iter().map(|revoke| async move {
        let id = revoke.id;
        match store.propose(request::encode(Body::LeaseRevoke(revoke))).await {
            Ok(_) | Err(Error::NoLease) => tracing::debug!(id, "a lease expired"),
            Err(error) => tracing::warn!(id, %error, "cannot revoke an expired lease; will be tried again"),
        }
    });
    futures::future::join_all(revocations).await;
}
