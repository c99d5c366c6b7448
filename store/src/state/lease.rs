//! Leases as the log knows them: which exist, for how many seconds each was granted, which keys live by it. When one has
//! expired is not decided here (that takes a clock: see `lessor`); what expiry does arrives as an entry.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proto::log::LeaseGrant;

use super::Outcome;
use crate::kv::Error;

/// etcd: server/lease/lessor.go, MaxLeaseTTL.
const LONGEST: i64 = 9_000_000_000;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Leases {
    all: BTreeMap<i64, Lease>,
}

/// One lease.
#[derive(Default)]
pub(crate) struct Lease {
    /// Seconds, as granted.
    pub(crate) ttl: i64,
    /// The keys that go with it.
    pub(crate) keys: BTreeSet<Bytes>,
}

impl Leases {
    /// A lease by its ID.
    pub(crate) fn get(&self, id: i64) -> Option<&Lease> {
        self.all.get(&id)
    }

    /// All leases, by ID.
    pub(crate) fn iter(&self) -> impl Iterator<Item = LeaseGrant> + '_ {
        self.all.iter().map(|(id, lease)| LeaseGrant { id: *id, ttl: lease.ttl })
    }

    /// Whether a key may be put under the lease (0: none).
    pub(super) fn check(&self, id: i64) -> Result<(), Error> {
        if id == 0 || self.all.contains_key(&id) { Ok(()) } else { Err(Error::NoLease) }
    }

    pub(super) fn grant(&mut self, id: i64, ttl: i64) -> Result<Outcome, Error> {
        if id == 0 {
            return Err(Error::NoLease);
        }
        if ttl > LONGEST {
            return Err(Error::TtlTooLarge);
        }
        if self.all.contains_key(&id) {
            return Err(Error::LeaseExists);
        }
        self.add(LeaseGrant { id, ttl });
        Ok(Outcome::LeaseGranted { id, ttl })
    }

    pub(super) fn add(&mut self, grant: LeaseGrant) {
        self.all.insert(grant.id, Lease { ttl: grant.ttl, keys: BTreeSet::new() });
    }

    /// Takes a lease away; its keys, in order, are for the caller to delete.
    pub(super) fn remove(&mut self, id: i64) -> Option<BTreeSet<Bytes>> {
        self.all.remove(&id).map(|lease| lease.keys)
    }

    pub(super) fn attach(&mut self, id: i64, key: &Bytes) {
        if id == 0 {
            return;
        }
        if let Some(lease) = self.all.get_mut(&id)
            && !lease.keys.contains(key)
        {
            lease.keys.insert(super::own(key));
        }
    }

    pub(super) fn detach(&mut self, id: i64, key: &Bytes) {
        if let Some(lease) = self.all.get_mut(&id) {
            lease.keys.remove(key);
        }
    }
}
