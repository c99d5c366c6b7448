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
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn leading() -> Lessor {
        let mut lessor = Lessor::default();
        let leases = [(1, 10), (2, 20)].map(|(id, ttl)| LeaseGrant { id, ttl });
        lessor.promote(at(100), 7, leases.into_iter());
        lessor
    }

    #[test]
    fn a_lease_expires_once_and_is_insisted_on() {
        let mut lessor = leading();
        assert_eq!(lessor.next(), Some(at(110)));
        assert!(lessor.expired(at(109), 9).is_empty());
        assert_eq!(lessor.expired(at(110), 9), [1]);
        assert!(lessor.expired(at(110), 9).is_empty(), "its revocation is under way");
        assert_eq!(lessor.renew(at(110), 1), Renewal::Expired, "too late, even if the revocation is not done");
        assert_eq!(lessor.expired(at(111), 9), [1], "the revocation got lost");
        lessor.revoked(1);
        assert_eq!(lessor.renew(at(111), 1), Renewal::Unknown);
        assert_eq!((lessor.expired(at(119), 9), lessor.expired(at(500), 9)), (vec![], vec![2]));
    }

    #[test]
    fn a_renewal_counts_from_its_moment() {
        let mut lessor = leading();
        assert_eq!(lessor.renew(at(109), 1), Renewal::Renewed(10));
        assert_eq!(lessor.remaining(at(112), 1), Some(7));
        assert!(lessor.expired(at(118), 9).is_empty());
        assert_eq!(lessor.expired(at(120), 1), [1], "no more than were asked for");
        assert_eq!(lessor.expired(at(120), 1), [2]);
        assert_eq!(lessor.remaining(at(130), 1), Some(0));
    }

    #[test]
    fn only_a_leader_judges() {
        let mut lessor = leading();
        lessor.demote();
        assert_eq!((lessor.term(), lessor.next()), (None, None));
        lessor.granted(at(100), 3, 1);
        assert_eq!(lessor.renew(at(100), 1), Renewal::NotLeading);
        assert!(lessor.expired(at(1000), 9).is_empty());
        lessor.promote(at(1000), 8, [LeaseGrant { id: 1, ttl: 10 }].into_iter());
        assert!(lessor.expired(at(1009), 9).is_empty(), "a new leader gives the full time again");
        assert_eq!(lessor.expired(at(1010), 9), [1]);
    }
}
