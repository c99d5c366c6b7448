//! Alarms: raised and disarmed by entries; while one is on, parts of the store are closed. etcd:
//! server/etcdserver/apply/apply.go (applierV3Capped, applierV3Corrupt).

use std::collections::BTreeSet;

use proto::log::{AlarmChange, AlarmKind};

use crate::kv::Error;

/// The alarms that are on.
#[derive(Default)]
pub(crate) struct Alarms {
    /// (kind, member).
    on: BTreeSet<(i32, u64)>,
}

impl Alarms {
    pub(crate) fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    /// Those that are on.
    pub(crate) fn all(&self) -> Vec<AlarmChange> {
        self.on.iter().map(|(kind, member)| AlarmChange { member: *member, kind: *kind, on: true }).collect()
    }

    /// Whether an alarm of this kind is on.
    pub(crate) fn is_on(&self, kind: AlarmKind) -> bool {
        self.on.range((kind.into(), 0)..=(kind.into(), u64::MAX)).next().is_some()
    }

    /// What the alarms say to a request that makes the state grow, or to one that does not.
    pub(crate) fn check(&self, grows: bool) -> Result<(), Error> {
        if self.is_on(AlarmKind::AlarmCorrupt) {
            return Err(Error::CorruptCluster);
        }
        if grows && self.is_on(AlarmKind::AlarmNoSpace) {
            return Err(Error::NoSpace);
        }
        Ok(())
    }

    /// Raises or disarms; answers those that were meant: the one raised, or those disarmed. Disarming with member 0, or
    /// without a kind, means all of them.
    pub(super) fn change(&mut self, change: AlarmChange) -> Vec<AlarmChange> {
        if change.on {
            self.on.insert((change.kind, change.member));
            return vec![change];
        }
        let meant = |(kind, member): &(i32, u64)| {
            (change.kind == 0 || *kind == change.kind) && (change.member == 0 || *member == change.member)
        };
        let gone: Vec<(i32, u64)> = self.on.iter().copied().filter(meant).collect();
        self.on.retain(|alarm| !meant(alarm));
        gone.into_iter().map(|(kind, member)| AlarmChange { member, kind, on: false }).collect()
    }
}
