//! When leases expire: the leader's clockwork over the leases that the log knows. Pure: time is a parameter, read off a
//! monotonic clock. Only a leader has one running; a new one gives every lease its full time again, because it does not know
//! when the last one renewed them. etcd: server/lease/lessor.go.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use proto::log::LeaseGrant;

/// A revocation that did not get through is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module's header. Times are since some fixed moment.
#[derive(Default)]
pub(crate) struct Lessor {
    /// The term in which this process leads.
    term: Option<u64>,
    timers: HashMap<i64, Timer>,
    /// (when to act, lease), one for each timer.
    due: BTreeSet<(Duration, i64)>,
}

struct Timer {
    ttl: i64,
    /// Alive up to here.
    until: Duration,
    /// When to act: `until`, or later if a revocation is under way.
    due: Duration,
}

/// What became of a keep-alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It lives for so many seconds from now.
    Renewed(i64),
    /// Its time is over, and it is about to be revoked: wait for that.
    Expired,
    /// There is no such lease.
    Unknown,
    /// Another member decides.
    NotLeading,
}

impl Lessor {
    /// This process leads from now on; all leases get their full time.
    pub(crate) fn promote(&mut self, now: Duration, term: u64, leases: impl Iterator<Item = LeaseGrant>) {
        self.demote();
        self.term = Some(term);
        leases.for_each(|lease| self.granted(now, lease.id, lease.ttl));
    }

    /// This process does not lead any more.
    pub(crate) fn demote(&mut self) {
        *self = Self::default();
    }

    /// The term in which this process leads.
    pub(crate) fn term(&self) -> Option<u64> {
        self.term
    }

    /// A lease was granted.
    pub(crate) fn granted(&mut self, now: Duration, id: i64, ttl: i64) {
        if self.term.is_some() {
            self.revoked(id);
            let until = now + seconds(ttl);
            self.timers.insert(id, Timer { ttl, until, due: until });
            self.due.insert((until, id));
        }
    }

    /// A lease is gone.
    pub(crate) fn revoked(&mut self, id: i64) {
        if let Some(timer) = self.timers.remove(&id) {
            self.due.remove(&(timer.due, id));
        }
    }

    /// Keeps a lease alive.
    pub(crate) fn renew(&mut self, now: Duration, id: i64) -> Renewal {
        if self.term.is_none() {
            return Renewal::NotLeading;
        }
        let Some(timer) = self.timers.get_mut(&id) else { return Renewal::Unknown };
        if timer.until <= now {
            return Renewal::Expired;
        }
        self.due.remove(&(timer.due, id));
        timer.until = now + seconds(timer.ttl);
        timer.due = timer.until;
        self.due.insert((timer.due, id));
        Renewal::Renewed(timer.ttl)
    }

    /// Whole seconds that a lease has left; 0 when its time is over.
    pub(crate) fn remaining(&self, now: Duration, id: i64) -> Option<i64> {
        let left = self.timers.get(&id)?.until.saturating_sub(now);
        i64::try_from(left.as_secs()).ok()
    }

    /// Up to `most` leases to revoke now; each comes again only if it still lives a while later.
    pub(crate) fn expired(&mut self, now: Duration, most: usize) -> Vec<i64> {
        let ids: Vec<i64> = self.due.iter().take_while(|(due, _)| *due <= now).take(most).map(|(_, id)| *id).collect();
        for id in &ids {
            if let Some(timer) = self.timers.get_mut(id) {
                self.due.remove(&(timer.due, *id));
                timer.due = now + AGAIN;
                self.due.insert((timer.due, *id));
            }
        }
        ids
    }

    /// When to ask for the expired next.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(u64::try_from(ttl).unwrap_or(0))
}

#[cfg(test)]
mod tests;
