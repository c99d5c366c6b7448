//! How an entry changes the state. etcd: server/etcdserver/txn/txn.go and server/etcdserver/apply/apply.go.

use std::sync::Arc;

use proto::log::{AlarmChange, LeaseRevoke, Member};

use super::{At, Change, State};
use crate::kv::{Compare, Error, KeyValue, Op, OpReply, Order, Revision, Target, Txn, TxnReply};
use crate::request::Request;
use crate::span::Span;

/// The answer to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Txn(TxnReply),
    Compacted,
    /// The lease lives now, for so many seconds unless kept alive.
    LeaseGranted {
        id: i64,
        ttl: i64,
    },
    /// The lease and its keys are gone.
    LeaseRevoked {
        id: i64,
    },
    /// An expiry that came too late: see `LeaseRevoke.expired_in_term`.
    Void,
    /// The alarms that are on now.
    Alarms(Vec<AlarmChange>),
    /// The members as they are now.
    Members(Vec<Member>),
}

/// Which branches a transaction takes, depth first in the order of the steps.
type Path<'a> = std::slice::Iter<'a, bool>;

/// Where a transaction stands: `now` is what its reads see, `next` what its writes make; `first` counts its changes.
pub(super) struct Progress {
    pub(super) now: Revision,
    next: Revision,
    first: usize,
}

impl State {
    /// Applies the request of the entry at `at`. A request that fails changes nothing.
    pub(crate) fn apply(&mut self, at: At, request: Request) -> Result<Outcome, Error> {
        self.skip(at);
        self.admit(&request)?;
        match request {
            Request::Txn(txn) => self.txn(txn).map(Outcome::Txn),
            Request::Compact(upto) => self.compact(upto).map(|()| Outcome::Compacted),
            Request::LeaseGrant(grant) => self.leases.grant(grant.id, grant.ttl),
            Request::LeaseRevoke(revoke) => self.revoke(at, &revoke),
            Request::Alarm(change) => Ok(Outcome::Alarms(self.alarms.change(change))),
            Request::Member(update) => self.update_member(update).map(Outcome::Members),
        }
    }

    /// The entry at `at` has been dealt with; one without a request is by this alone.
    pub(crate) fn skip(&mut self, at: At) {
        self.applied = at;
    }

    /// What the alarms that are on let through.
    fn admit(&self, request: &Request) -> Result<(), Error> {
        if self.alarms.is_empty() {
            return Ok(());
        }
        let grows = match request {
            Request::Txn(txn) => puts(txn),
            Request::LeaseGrant(_) => true,
            Request::Compact(_) | Request::LeaseRevoke(_) => false,
            Request::Alarm(_) | Request::Member(_) => return Ok(()),
        };
        self.alarms.check(grows)
    }

    fn txn(&mut self, txn: Txn) -> Result<TxnReply, Error> {
        let mut path = Vec::new();
        self.decide(&txn, &mut path)?;
        let mut progress = self.begin();
        let reply = self.run(txn, &mut path.iter(), &mut progress)?;
        self.revision = progress.now;
        Ok(TxnReply { revision: progress.now, ..reply })
    }

    pub(super) fn begin(&self) -> Progress {
        Progress { now: self.revision, next: self.revision + 1, first: self.history.len() }
    }

    fn run(&mut self, txn: Txn, path: &mut Path<'_>, progress: &mut Progress) -> Result<TxnReply, Error> {
        let succeeded = path.next().is_some_and(|taken| *taken);
        let ops = if succeeded { txn.then } else { txn.otherwise };
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            replies.push(match op {
                Op::Range(range) => OpReply::Range(self.page(&range, progress.now)?),
                Op::Put { key, value, lease } => {
                    OpReply::Put(self.put(progress, KeyValue { key, value, lease, ..KeyValue::default() }))
                }
                Op::Update { key, value, lease } => {
                    let Some(old) = self.current(&key) else { return Err(Error::NoKey) };
                    let value = value.unwrap_or_else(|| old.value.clone());
                    let lease = lease.unwrap_or(old.lease);
                    OpReply::Put(self.put(progress, KeyValue { key, value, lease, ..KeyValue::default() }))
                }
                Op::Delete { key, end } => OpReply::Delete(self.delete(progress, &Span::of(&key, end.as_ref()))),
                Op::Txn(inner) => OpReply::Txn(self.run(inner, path, progress)?),
            });
        }
        Ok(TxnReply { succeeded, revision: progress.now, replies })
    }

    /// Runs a transaction that only reads.
    pub(crate) fn read_txn(&self, txn: &Txn) -> Result<TxnReply, Error> {
        self.alarms.check(false)?;
        let mut path = Vec::new();
        self.decide(txn, &mut path)?;
        self.read_branch(txn, &mut path.iter())
    }

    fn read_branch(&self, txn: &Txn, path: &mut Path<'_>) -> Result<TxnReply, Error> {
        let succeeded = path.next().is_some_and(|taken| *taken);
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        let mut replies = Vec::with_capacity(ops.len());
        for op in ops {
            match op {
                Op::Range(range) => replies.push(OpReply::Range(self.page(range, self.revision)?)),
                Op::Txn(inner) => replies.push(OpReply::Txn(self.read_branch(inner, path)?)),
                Op::Put { .. } | Op::Update { .. } | Op::Delete { .. } => {}
            }
        }
        Ok(TxnReply { succeeded, revision: self.revision, replies })
    }

    /// Judges all compares, and checks everything about the steps to come that can fail, before the first of them is done: all
    /// puts before all reads, as etcd does.
    fn decide(&self, txn: &Txn, path: &mut Vec<bool>) -> Result<(), Error> {
        self.judge(txn, path);
        check_steps(txn, &mut path.iter(), &|op| match op {
            Op::Put { lease, .. } => self.leases.check(*lease),
            Op::Update { key, .. } if self.current(key).is_none() => Err(Error::NoKey),
            Op::Update { lease, .. } => self.leases.check(lease.unwrap_or(0)),
            _ => Ok(()),
        })?;
        check_steps(txn, &mut path.iter(), &|op| match op {
            Op::Range(range) => self.readable(range.revision).map(|_| ()),
            _ => Ok(()),
        })
    }

    /// Judges all compares.
    fn judge(&self, txn: &Txn, path: &mut Vec<bool>) {
        let succeeded = txn.when.iter().all(|compare| self.holds(compare));
        path.push(succeeded);
        let ops = if succeeded { &txn.then } else { &txn.otherwise };
        for op in ops {
            if let Op::Txn(inner) = op {
                self.judge(inner, path);
            }
        }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let Some(end) = &compare.end else {
            return holds_for(compare, self.current(&compare.key).map(|item| &**item));
        };
        let span = Span::of(&compare.key, Some(end));
        let mut any = false;
        for item in self.live(&span) {
            any = true;
            if !holds_for(compare, Some(item)) {
                return false;
            }
        }
        any || holds_for(compare, None)
    }

    fn put(&mut self, progress: &mut Progress, mut item: KeyValue) -> Option<KeyValue> {
        progress.now = progress.next;
        (item.create_revision, item.mod_revision, item.version) = (progress.next, progress.next, 1);
        if let Some(prev) = self.current(&item.key) {
            (item.create_revision, item.version) = (prev.create_revision, prev.version + 1);
        }
        let sub = self.history.len() - progress.first;
        self.record(item, u32::try_from(sub).unwrap_or(u32::MAX)).map(|prev| (*prev).clone())
    }

    pub(super) fn delete(&mut self, progress: &mut Progress, span: &Span) -> Vec<KeyValue> {
        let keys: Vec<_> = self.live(span).map(|item| item.key.clone()).collect();
        let mut deleted = Vec::with_capacity(keys.len());
        for key in keys {
            progress.now = progress.next;
            let sub = u32::try_from(self.history.len() - progress.first).unwrap_or(u32::MAX);
            let tombstone = KeyValue { key, mod_revision: progress.next, ..KeyValue::default() };
            deleted.extend(self.record(tombstone, sub).map(|prev| (*prev).clone()));
        }
        deleted
    }

    /// Makes a new version of a key known to all who keep account of keys; says what stood there. `sub` is its number
    /// among the changes of its revision.
    pub(super) fn record(&mut self, item: KeyValue, sub: u32) -> Option<Arc<KeyValue>> {
        let item = Arc::new(item);
        let prev = self.push(&item, sub);
        if let Some(prev) = &prev {
            self.live_bytes -= bytes(prev);
            if prev.lease != 0 && prev.lease != item.lease {
                self.leases.detach(prev.lease, &prev.key);
            }
        }
        if item.version > 0 {
            self.live_bytes += bytes(&item);
            self.leases.attach(item.lease, &item.key);
        }
        self.history.push_back(Change { item, prev: prev.clone() });
        prev
    }

    fn revoke(&mut self, at: At, revoke: &LeaseRevoke) -> Result<Outcome, Error> {
        if revoke.expired_in_term.is_some_and(|term| term != at.term) {
            return Ok(Outcome::Void);
        }
        let keys = self.leases.remove(revoke.id).ok_or(Error::NoLease)?;
        let mut progress = self.begin();
        for key in keys {
            self.delete(&mut progress, &Span::of(&key, None));
        }
        self.revision = progress.now;
        Ok(Outcome::LeaseRevoked { id: revoke.id })
    }

    fn compact(&mut self, upto: Revision) -> Result<(), Error> {
        self.check_compaction(upto)?;
        self.compacted = upto;
        Ok(())
    }

    /// Whether a compaction up to `upto` is possible now.
    pub(crate) fn check_compaction(&self, upto: Revision) -> Result<(), Error> {
        match upto {
            gone if gone <= self.compacted => Err(Error::Compacted(self.compacted)),
            future if future > self.revision => Err(Error::Future(self.revision)),
            _ => Ok(()),
        }
    }
}

/// Checks the steps along a path.
fn check_steps(txn: &Txn, path: &mut Path<'_>, check: &dyn Fn(&Op) -> Result<(), Error>) -> Result<(), Error> {
    let ops = if path.next().is_some_and(|taken| *taken) { &txn.then } else { &txn.otherwise };
    ops.iter().try_for_each(|op| match op {
        Op::Txn(inner) => check_steps(inner, path, check),
        op => check(op),
    })
}

/// Bytes of a key and its value.
pub(super) fn bytes(item: &KeyValue) -> u64 {
    (item.key.len() + item.value.len()) as u64
}

/// Whether any branch puts: what may grow the state. (etcd: server/storage/quota.go, costTxn.)
pub(crate) fn puts(txn: &Txn) -> bool {
    txn.then.iter().chain(&txn.otherwise).any(|op| match op {
        Op::Put { .. } | Op::Update { .. } => true,
        Op::Range(_) | Op::Delete { .. } => false,
        Op::Txn(inner) => puts(inner),
    })
}

/// Whether a compare holds for one key, or for a missing one.
fn holds_for(compare: &Compare, item: Option<&KeyValue>) -> bool {
    let ordering = match &compare.target {
        Target::ModRevision(target) => item.map_or(0, |item| item.mod_revision).cmp(target),
        Target::CreateRevision(target) => item.map_or(0, |item| item.create_revision).cmp(target),
        Target::Version(target) => item.map_or(0, |item| item.version).cmp(target),
        Target::Lease(target) => item.map_or(0, |item| item.lease).cmp(target),
        Target::Value(target) => match item {
            Some(item) => item.value.cmp(target),
            None => return false,
        },
    };
    match compare.order {
        Order::Equal => ordering.is_eq(),
        Order::NotEqual => ordering.is_ne(),
        Order::Greater => ordering.is_gt(),
        Order::Less => ordering.is_lt(),
    }
}
