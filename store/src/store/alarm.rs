//! Space and alarms: what a store may hold, and what happens when it is full.
//!
//! The quota is checked where a write is proposed, not where it is applied: so that members with different settings stay
//! equal. The first write that does not fit raises the alarm through the log, and from then on every member refuses growth
//! until an operator disarms it. Deletions, compactions and disarming always get through; the memory that they need for
//! themselves is the difference between the quota and what the process may use.

use proto::log::request::Body;
use proto::log::{AlarmChange, AlarmKind};

use super::Store;
use crate::kv::{Error, Kv};
use crate::request;
use crate::state::{HashKv, Outcome};

impl Store {
    /// Refuses what would take the store beyond its quota, and raises the alarm.
    pub(crate) async fn room(&self, bytes: usize) -> Result<(), Error> {
        let resident = self.core().state.read().resident();
        if resident + bytes as u64 <= self.quota() {
            return Ok(());
        }
        if !self.core().state.read().alarms().is_on(AlarmKind::AlarmNoSpace) {
            tracing::warn!(resident, quota = self.quota(), "the store is full: raising the alarm NOSPACE");
            self.alarm(AlarmChange { member: 0, kind: AlarmKind::AlarmNoSpace.into(), on: true }).await?;
        }
        Err(Error::NoSpace)
    }

    /// Raises or disarms alarms, and answers which.
    ///
    /// # Errors
    /// When the write fails.
    pub async fn alarm(&self, mut change: AlarmChange) -> Result<Vec<AlarmChange>, Error> {
        if change.on && change.member == 0 {
            change.member = self.member_id();
        }
        match self.propose(request::encode(Body::Alarm(change))).await? {
            Outcome::Alarms(alarms) => Ok(alarms),
            other => Err(Error::Corrupt(format!("an alarm was answered with {other:?}"))),
        }
    }

    /// The alarms that are on.
    pub fn alarms(&self) -> Vec<AlarmChange> {
        self.core().state.read().alarms().all()
    }

    /// Waits until a compaction at `revision` has been carried out (etcd's physical compaction).
    ///
    /// # Errors
    /// When the store is closed meanwhile.
    pub async fn swept(&self, revision: u64) -> Result<(), Error> {
        let mut swept = self.core().swept.subscribe();
        loop {
            self.core().open()?;
            if *swept.borrow_and_update() >= revision {
                return Ok(());
            }
            if swept.changed().await.is_err() {
                return self.core().open();
            }
        }
    }

    /// etcd's HashKV: a checksum of all keys with their history up to a revision (0: now).
    ///
    /// # Errors
    /// When the revision is compacted or has not happened yet.
    pub async fn hash_kv(&self, revision: u64) -> Result<HashKv, Error> {
        if revision == 0 {
            self.revision().await?;
        }
        self.core().hash(revision).await
    }
}
