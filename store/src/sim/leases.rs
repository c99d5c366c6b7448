//! Leases: what clients do with them, and when they may end and must.
//!
//! A client that was answered, to a grant or a keep-alive, may rely on the lease for its time from when it asked. Each member
//! has its own clock, and none is faster than [`FASTEST`]; so in the simulation's time:
//! ```text
//! at 1000   a client asks to keep a lease of 5 s alive
//! at 1300   it is answered: the lease must live until 1000 + 5000 / 1.1 = 5545, whoever leads by then
//! at 6100   the first member has applied that it ended: allowed; at 5500 it would not have been
//! ```
//! A client that asks for its end may see it end at any time. Once nobody keeps them alive, all must end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::log::request::Body;
use proto::log::{LeaseGrant, LeaseRevoke};

use super::host::{Host, Ticket};
use super::world::{Event, World};
use crate::kv::Error;
use crate::lessor::Renewal;
use crate::member::{Done, Input};
use crate::request;
use crate::state::{Outcome, State};

/// The fastest clock of a member, in thousandths; the slowest is as much slower.
const FASTEST: u64 = 1100;
/// Revocations proposed at a time.
const AT_ONCE: usize = 4;
/// Leases that clients have at a time.
const MOST: usize = 6;

/// See the module's header.
#[derive(Default)]
pub(super) struct Leases {
    all: BTreeMap<i64, Lease>,
    asked: Vec<Asked>,
}

/// What is known of a lease.
struct Lease {
    /// Seconds.
    ttl: u64,
    /// Must not end before this; `None`: nobody has been told that it exists.
    until: Option<u64>,
    /// A member that had applied everything up to this entry had it.
    seen: Option<u64>,
    /// A client has asked for its end.
    unwanted: bool,
    ended: bool,
}

/// What a client has asked for, of which lease, and when.
#[derive(Debug, Clone, Copy)]
struct Asked {
    what: Wish,
    id: i64,
    at: u64,
}

#[derive(Debug, Clone, Copy)]
enum Wish {
    Grant,
    KeepAlive,
    Revoke,
}

impl Leases {
    fn ask(&mut self, what: Wish, id: i64, at: u64) -> Ticket {
        self.asked.push(Asked { what, id, at });
        Ticket::Lease(self.asked.len() - 1)
    }

    /// Those that somebody knows to exist and that have not ended.
    pub(super) fn known(&self) -> Vec<i64> {
        let known = |(_, lease): &(&i64, &Lease)| lease.until.is_some() && !lease.ended && !lease.unwanted;
        self.all.iter().filter(known).map(|(id, _)| *id).collect()
    }

    /// A client may count on the lease for its time, from when it asked.
    fn promised(&mut self, asked: Asked) {
        if let Some(lease) = self.all.get_mut(&asked.id) {
            let until = asked.at + lease.ttl * 1_000_000 / FASTEST;
            lease.until = lease.until.max(Some(until));
        }
    }

    /// A client is told that there is no such lease.
    pub(super) fn missing(&self, id: i64) -> Result<(), String> {
        match self.all.get(&id) {
            Some(Lease { until: Some(_), seen: Some(_), ended: false, .. }) => {
                Err(format!("lease {id} is said not to exist"))
            }
            _ => Ok(()),
        }
    }

    /// A member that has applied everything up to an entry has these leases, at `now`. How many have ended that nobody knew
    /// to have ended, for want of a keep-alive.
    fn look(&mut self, applied: u64, has: &BTreeSet<i64>, now: u64) -> Result<u64, String> {
        let mut expired = 0;
        for (id, lease) in self.all.iter_mut().filter(|(_, lease)| !lease.ended) {
            if has.contains(id) {
                lease.seen = Some(lease.seen.map_or(applied, |seen| seen.min(applied)));
                continue;
            }
            lease.ended = lease.seen.is_some_and(|seen| seen <= applied);
            match lease.until {
                _ if lease.unwanted || !lease.ended => {}
                Some(until) if now < until => {
                    return Err(format!("lease {id} ended, but was to live until {until}"));
                }
                _ => expired += 1,
            }
        }
        Ok(expired)
    }
}

/// Leases that a state has.
pub(super) fn ids(state: &State) -> BTreeSet<i64> {
    state.leases().iter().map(|lease| lease.id).collect()
}

impl World {
    /// A client does something with a lease.
    pub(super) fn lease_client(&mut self) -> Result<(), String> {
        if self.healed {
            return Ok(());
        }
        let leads = self.chance(90);
        let Some(member) = self.somebody(leads) else { return Ok(()) };
        let (known, now) = (self.leases.known(), self.now());
        let pick = self.random.below(known.len().max(1) as u64) as usize;
        match (self.random.below(10), known.get(pick).copied()) {
            (0..=6, Some(id)) => {
                let ticket = self.leases.ask(Wish::KeepAlive, id, now);
                self.input(member, Input::Read(ticket))
            }
            (7, Some(id)) => {
                if let Some(lease) = self.leases.all.get_mut(&id) {
                    lease.unwanted = true;
                }
                let ticket = self.leases.ask(Wish::Revoke, id, now);
                let revoke = LeaseRevoke { id, expired_in_term: None };
                self.input(member, Input::Propose(request::encode(Body::LeaseRevoke(revoke)), ticket))
            }
            _ if known.len() < MOST => {
                let (id, ttl) = (self.leases.all.len() as i64 + 1, 1 + self.random.below(8));
                self.leases.all.insert(id, Lease { ttl, until: None, seen: None, unwanted: false, ended: false });
                let ticket = self.leases.ask(Wish::Grant, id, now);
                let grant = LeaseGrant { id, ttl: ttl as i64 };
                self.input(member, Input::Propose(request::encode(Body::LeaseGrant(grant)), ticket))
            }
            _ => Ok(()),
        }
    }

    /// A client is answered by a member.
    pub(super) fn lease_answered(
        &mut self,
        member: u64,
        number: usize,
        result: Result<Done, Error>,
    ) -> Result<(), String> {
        let asked = self.leases.asked[number];
        self.trace(|| format!("{asked:?} is answered {result:?}"));
        match (asked.what, result) {
            (Wish::Grant, Ok(Done::Applied(Outcome::LeaseGranted { .. }))) => self.leases.promised(asked),
            // What `Store::lease_keep_alive` does once it has confirmed that this member leads.
            (Wish::KeepAlive, Ok(Done::Readable)) => {
                let renewal = self.hosts.get(&member).and_then(Host::core).map(|core| core.renew(asked.id));
                match renewal {
                    Some(Renewal::Renewed(_)) => {
                        self.leases.promised(asked);
                        self.note("lease kept alive");
                    }
                    Some(Renewal::Unknown) => return self.leases.missing(asked.id),
                    Some(Renewal::Expired | Renewal::NotLeading) | None => {}
                }
            }
            (Wish::Revoke, Ok(Done::Applied(Outcome::LeaseRevoked { .. }))) => {}
            (Wish::Revoke | Wish::Grant, Err(Error::NoLease)) => return self.leases.missing(asked.id),
            (_, Ok(other)) => return Err(format!("{asked:?} is answered {other:?}")),
            (_, Err(_)) => {}
        }
        Ok(())
    }

    /// Compares the leases that a member has with what was promised.
    pub(super) fn look_at_leases(&mut self, applied: u64, has: &BTreeSet<i64>) -> Result<(), String> {
        let expired = self.leases.look(applied, has, self.now())?;
        if expired > 0 {
            *self.seen.entry("lease expired").or_default() += expired;
        }
        Ok(())
    }

    /// A member has ticked: if leases expire before its next tick, it is to look at the right moment.
    pub(super) fn expect_expiry(&mut self, id: u64) {
        let Some(host) = self.hosts.get(&id) else { return };
        let (life, tick, rate) = (host.lives, host.tick, host.clock_rate);
        let Some(core) = host.core() else { return };
        let Some(next) = core.lessor.lock().next() else { return };
        let wait = next.saturating_sub(core.now()).as_micros() as u64;
        let wait = wait.div_ceil(rate);
        if wait <= tick {
            self.after(wait, Event::Expire { id, life });
        }
    }

    /// A member's clock says that leases have expired; it proposes that, if it still runs by the time it has got to it.
    pub(super) fn expire(&mut self, id: u64, life: u64) {
        self.turn_clock(id);
        let slow = self.chance(30);
        let Some(host) = self.hosts.get(&id).filter(|host| host.lives == life) else { return };
        let Some(core) = host.core() else { return };
        for revoke in core.expired(AT_ONCE) {
            let time = self.random.below(if slow { 5000 } else { 3 });
            let request = request::encode(Body::LeaseRevoke(revoke));
            self.after(time, Event::Propose { id, life, request });
        }
    }

    /// Lets a member's clock go on to now.
    pub(super) fn turn_clock(&mut self, id: u64) {
        let now = self.now();
        if let Some(host) = self.hosts.get_mut(&id) {
            let passed = now - std::mem::replace(&mut host.clock_at, now);
            host.clock.advance(Duration::from_micros(passed * host.clock_rate));
        }
    }

    /// A clock becomes faster or slower.
    pub(super) fn drift_clock(&mut self, id: u64) {
        self.turn_clock(id);
        let rate = 2000 - FASTEST + self.random.below(2 * (FASTEST - 1000) + 1);
        if let Some(host) = self.hosts.get_mut(&id) {
            host.clock_rate = rate;
        }
    }

    /// Whether some member still has a lease.
    pub(super) fn any_lease(&self) -> bool {
        let members = self.members();
        let hosts = members.iter().filter_map(|id| self.hosts.get(id));
        hosts.filter_map(Host::core).any(|core| core.state.read().leases().iter().next().is_some())
    }
}
